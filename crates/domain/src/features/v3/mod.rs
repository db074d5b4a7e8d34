//! Feature set v3: v2 and what it leaves out on purpose, absolute time and size.
//!
//! v2 measures everything in the session's own mean step, so a movement looks the same at any pace. People have time
//! constants: reactions, submovements of 0.1 to 1 s, tremor of 8 to 12 Hz. v3 keeps v2's columns and adds how the path
//! scales with time and how long a direction lasts ([`scaling`]), patterns of single events that no hand makes
//! ([`events`]) and strokes between two lifts of a finger ([`lifts`]).

mod events;

mod lifts;

mod scaling;

use super::super::reason::Reason;
use super::super::session::Session;
use super::v2;

/// The columns of the parts, in the order in which their values are appended behind v2's.
const PARTS: [&[&str]; 3] = [&scaling::COLUMNS, &events::COLUMNS, &lifts::COLUMNS];

/// Number of columns.
pub const WIDTH: usize = v2::WIDTH + PARTS[0].len() + PARTS[1].len() + PARTS[2].len();

/// Column names in their published order.
pub const COLUMNS: [&str; WIDTH] = {
    let mut all = [""; WIDTH];
    let mut at = 0;
    while at < v2::WIDTH {
        all[at] = v2::COLUMNS[at];
        at += 1;
    }
    let mut part = 0;
    while part < PARTS.len() {
        let mut i = 0;
        while i < PARTS[part].len() {
            all[at] = PARTS[part][i];
            (at, i) = (at + 1, i + 1);
        }
        part += 1;
    }
    all
};

/// Which trait the added columns describe whose names start like this; the first that fits counts.
const TRAITS: [(&str, Reason); 9] = [
    ("heading", Reason::Turning),
    ("reversal", Reason::Turning),
    ("direction", Reason::Turning),
    ("scaling", Reason::SpeedRhythm),
    ("window", Reason::SpeedSpread),
    ("extent", Reason::SpeedSpread),
    ("peak", Reason::SpeedSpread),
    ("event", Reason::EventStream),
    ("lift", Reason::StrokeShape),
];

/// The trait of the movement that a column describes.
pub(super) fn describes(column: usize) -> Reason {
    if column < v2::WIDTH {
        return v2::describes(column);
    }
    let name = COLUMNS.get(column).copied().unwrap_or_default();
    TRAITS.iter().find(|(start, _)| name.starts_with(start)).map_or(Reason::SpeedSpread, |(_, reason)| *reason)
}

/// Whether a column describes the recorder and not the movement.
pub(super) fn is_recorder(column: usize) -> bool {
    column < v2::WIDTH && v2::is_recorder(column)
}

/// Whether a column says more of the task and the recorder's clock than of the hand.
pub(super) fn is_task(column: usize) -> bool {
    let name = COLUMNS.get(column).copied().unwrap_or_default();
    name.starts_with("click") || matches!(name, "reversalRate" | "eventTimeCorrelation")
}

/// Buffers that are reused from session to session.
#[derive(Debug, Default)]
pub struct Workspace {
    v2: v2::Workspace,
    windows: Vec<f64>,
    events: events::Events,
    lifts: lifts::Lifts,
}

impl Workspace {
    /// Appends the [`WIDTH`] values of `session` to `row`; every one is finite. Behind a v2 row without motion stand
    /// zeros.
    pub fn extract(&mut self, session: &Session, row: &mut Vec<f64>) {
        let start = row.len();
        row.reserve(WIDTH);
        self.v2.extract(session, row);
        if let Some(unit) = self.v2.unit_px() {
            scaling::measure(self.v2.steps(), unit, &mut self.windows, row);
            self.events.measure(&session.movements, row);
            self.lifts.measure(session, row);
        }
        row.resize(start + WIDTH, 0.0);
        for value in &mut row[start + v2::WIDTH..] {
            *value = if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::{Click, Movements};

    fn row(points: impl Iterator<Item = (f64, f64, f64)>) -> Vec<f64> {
        let mut moves = Movements::default();
        for (x, y, t) in points {
            moves.x.push(x);
            moves.y.push(y);
            moves.t.push(t);
        }
        let clicks = moves.t.iter().step_by(9).map(|t| Click { x: 1.0, y: 1.0, t: *t, target_hit: true }).collect();
        let mut row = Vec::new();
        Workspace::default().extract(&Session { movements: moves, clicks, ..Session::default() }, &mut row);
        row
    }

    fn value(row: &[f64], name: &str) -> f64 {
        row[COLUMNS.iter().position(|column| *column == name).unwrap()]
    }

    fn wave(pace: f64) -> impl Iterator<Item = (f64, f64, f64)> {
        (0..500).map(move |i| {
            let s = f64::from(i) / 60.0;
            (400.0 + 300.0 * (1.7 * s).sin(), 300.0 + 200.0 * (2.9 * s).cos(), 1000.0 * s * pace)
        })
    }

    #[test]
    fn pace_shows() {
        let (fast, slow) = (row(wave(1.0)), row(wave(2.0)));
        // At half the pace, twice the lag or the window finds what the simple one found...
        for (simple, twice) in [("headingAuto8", "headingAuto16"), ("scaling400", "scaling800")] {
            assert!((value(&fast, simple) - value(&slow, twice)).abs() < 0.02, "{twice}");
        }
        // ...so that the same lag, window and second find another value, where v2's units hide the pace.
        assert!(value(&slow, "headingAuto16") > value(&fast, "headingAuto16") + 0.2);
        assert!(value(&slow, "scaling800") > value(&fast, "scaling800") + 0.1);
        assert!(value(&fast, "extentRate") > value(&slow, "extentRate") + 0.5);
        assert!((value(&fast, "speedMedian") - value(&slow, "speedMedian")).abs() < 0.02);
    }

    #[test]
    fn random_positions_are_far_from_smooth_motion() {
        let mut seed = 7u32;
        let mut draw = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(seed >> 16) / 65_536.0
        };
        let points: Vec<(f64, f64, f64)> =
            (0..240).map(|i| (800.0 * draw(), 600.0 * draw(), 33.0 * f64::from(i))).collect();
        let (random, smooth) = (row(points.into_iter()), row(wave(1.0)));
        assert!(value(&random, "headingAuto4") < 0.3 && value(&smooth, "headingAuto4") > 0.9);
        assert!(value(&random, "scaling200") < 0.4 && value(&smooth, "scaling200") > 0.9);
    }

    #[test]
    fn every_column_is_described() {
        let table = include_str!("../../../../../models/FEATURES.md");
        for column in COLUMNS {
            assert!(table.contains(&format!("| {column} |")), "models/FEATURES.md lacks {column}");
        }
    }

    #[test]
    fn the_first_columns_are_v2s() {
        let session = Session {
            movements: {
                let mut moves = Movements::default();
                for (x, y, t) in wave(1.0) {
                    moves.x.push(x);
                    moves.y.push(y);
                    moves.t.push(t);
                }
                moves
            },
            ..Session::default()
        };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        v2::Workspace::default().extract(&session, &mut old);
        Workspace::default().extract(&session, &mut new);
        assert_eq!(old[..], new[..v2::WIDTH]);
    }

    proptest! {
        #[test]
        fn every_value_is_finite_for_any_session_within_bounds(
            points in proptest::collection::vec((-1e7..=1e7f64, -1e7..=1e7f64, prop_oneof![-1e15..=1e15f64, 0.0..=3000.0f64]), 1..90),
        ) {
            let row = row(points.into_iter());
            prop_assert_eq!(row.len(), WIDTH);
            prop_assert!(row.iter().all(|v| v.is_finite()));
        }
    }
}
