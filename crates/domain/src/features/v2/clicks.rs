//! The last moments before clicks: a hand slows down, corrects and waits.
//!
//! Medians over the clicks that have at least 0.4 s of recording before them. Distances are in the session's mean speed
//! times the window, so 0 (as a logarithm) is the mean speed.

use super::super::super::session::Movements;
use super::super::super::session::Session;
use super::resample::{GAP_MS, STEP_MS};
use super::statistics::{count, ln, sorted};

/// Names of the values that [`Approach::measure`] appends.
pub(super) const COLUMNS: [&str; 4] = ["clickSpeed100", "clickSpeed300", "clickDetour", "clickDwell"];

/// Steps of the common clock in the last 100 ms...
const NEAR: usize = 4;
/// ...and in the last 300 ms.
const FAR: usize = 12;

/// Where the pointer was at `t`, on the way from sample `k` to the next one before `end`, once `k` went back far enough.
fn place(moves: &Movements, k: &mut usize, end: usize, t: f64) -> (f64, f64) {
    while *k > 0 && moves.t[*k] > t {
        *k -= 1;
    }
    let here = (moves.x[*k], moves.y[*k]);
    let next = *k + 1;
    if next >= end || moves.t[next] - moves.t[*k] > GAP_MS {
        return here;
    }
    let share = ((t - moves.t[*k]) / (moves.t[next] - moves.t[*k]).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    (here.0 + share * (moves.x[next] - here.0), here.1 + share * (moves.y[next] - here.1))
}

/// Per-click series, reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Approach {
    last: Vec<f64>,
    middle: Vec<f64>,
    detour: Vec<f64>,
    dwell: Vec<f64>,
}

impl Approach {
    /// Appends the values named in [`COLUMNS`]; `speed` is the mean speed in px/ms.
    pub(super) fn measure(&mut self, session: &Session, speed: f64, row: &mut Vec<f64>) {
        for series in [&mut self.last, &mut self.middle, &mut self.detour, &mut self.dwell] {
            series.clear();
        }
        let moves = &session.movements;
        if moves.t.is_sorted() && moves.len() > 1 && speed > 0.0 {
            for click in session.clicks.iter().take(64) {
                let end = moves.t.partition_point(|t| *t <= click.t);
                if end < 2 || click.t - moves.t[0] < 400.0 {
                    continue;
                }
                self.dwell.push(ln(1.0 + (click.t - moves.t[end - 1]).min(2000.0) / 20.0));
                // Back from the click on the common clock, so that the recorder's rate does not show in the lengths.
                let (mut near, mut far) = (0.0, 0.0);
                let (first, mut k) = ((moves.x[end - 1], moves.y[end - 1]), end - 1);
                let mut last = first;
                for step in 1..=FAR {
                    let at = place(moves, &mut k, end, click.t - count(step) * STEP_MS);
                    let length = (last.0 - at.0).hypot(last.1 - at.1);
                    *(if step <= NEAR { &mut near } else { &mut far }) += length;
                    last = at;
                }
                let chord = (first.0 - last.0).hypot(first.1 - last.1);
                self.last.push(ln(near / (count(NEAR) * STEP_MS * speed) + 0.02));
                self.middle.push(ln(far / (count(FAR - NEAR) * STEP_MS * speed) + 0.02));
                let stride = STEP_MS * speed;
                self.detour.push(ln((near + far + stride) / (chord + stride)));
            }
        }
        row.extend([
            sorted(&mut self.last, [0.5], -1.0)[0],
            sorted(&mut self.middle, [0.5], -0.5)[0],
            sorted(&mut self.detour, [0.5], 0.1)[0],
            sorted(&mut self.dwell, [0.5], 1.0)[0],
        ]);
    }
}
