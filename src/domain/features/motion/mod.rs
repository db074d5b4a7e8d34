//! Feature set `motion`: how the pointer moved, as little as possible of what recorded it.
//!
//! Everything is measured on the path put on one common clock ([`resample`]) and relative to the session's own mean
//! step, so that sampling rate, clock tick, screen size and sensitivity matter little. Families of values: distribution
//! and persistence of speed, acceleration, turning, the curvature-speed power law (Lacquaniti, Terzuolo, Viviani, Acta
//! Psychologica 54, 1983), roughness along and across the direction of motion, straightness of short windows, rests and
//! jumps, and strokes ([`strokes`]).

mod resample;

mod statistics;

mod strokes;

use self::resample::Steps;
use self::statistics::{Moments, Pairs, count, quantile};
use self::strokes::Strokes;
use super::super::session::Session;

/// Sessions with fewer steps on the common clock carry no motion: every other value of their row is zero.
pub const MIN_STEPS: usize = 16;

const OWN: usize = 46;
/// Number of columns.
pub const WIDTH: usize = OWN + strokes::COLUMNS.len();

const OWN_COLUMNS: [&str; OWN] = [
    "motionSteps",
    "speedLogStd",
    "speedLogSkew",
    "speedVariation",
    "speedKurtosis",
    "speedMedian",
    "speedP95",
    "speedMax",
    "stillShare",
    "speedAuto1",
    "speedAuto2",
    "speedAuto4",
    "speedAuto8",
    "speedAuto16",
    "accelStd",
    "accelSkew",
    "accelKurtosis",
    "accelAuto1",
    "jerkRatio",
    "evenShare",
    "turnMean",
    "turnMedian",
    "turnP90",
    "turnAuto1",
    "turnSharpShare",
    "turnFast",
    "turnSlowToFast",
    "straightShare",
    "powerLawSlope",
    "powerLawCorrelation",
    "acrossRoughness",
    "alongRoughness",
    "acrossToAlong",
    "acrossAuto1",
    "acrossKurtosis",
    "acrossFastToSlow",
    "bend100Q10",
    "bend100Median",
    "bend100Q90",
    "bend240Q10",
    "bend240Median",
    "bend240Q90",
    "jumpShare",
    "runRate",
    "restShare",
    "endSpeed",
];

/// Column names in their published order.
pub const COLUMNS: [&str; WIDTH] = {
    let mut all = [""; WIDTH];
    let mut i = 0;
    while i < WIDTH {
        all[i] = if i < OWN { OWN_COLUMNS[i] } else { strokes::COLUMNS[i - OWN] };
        i += 1;
    }
    all
};

/// Buffers that are reused from session to session.
#[derive(Debug, Default)]
pub struct Workspace {
    steps: Steps,
    strokes: Strokes,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Workspace {
    /// Appends the [`WIDTH`] values of `session` to `row`; every one is finite.
    pub fn extract(&mut self, session: &Session, row: &mut Vec<f64>) {
        let start = row.len();
        self.steps.resample(&session.movements);
        let n = self.steps.len();
        let mean = self.steps.length.iter().sum::<f64>() / count(n.max(1));
        row.push(count(n));
        if n >= MIN_STEPS && mean > 1e-6 {
            self.speed(mean, row);
            self.persistence(mean, row);
            self.acceleration(mean, row);
            self.turning(mean, row);
            self.roughness(mean, row);
            self.straightness(mean, row);
            self.rests(mean, row);
            self.strokes.measure(&self.steps, mean, row);
        } else {
            row[start] = count(n.min(MIN_STEPS - 1));
        }
        row.resize(start + WIDTH, 0.0);
        for value in &mut row[start..] {
            *value = if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
        }
    }

    fn speed(&mut self, mean: f64, row: &mut Vec<f64>) {
        let floor = 0.05 * mean;
        let steps = &self.steps.length;
        self.a.clear();
        self.a.extend(steps.iter().map(|s| ((s + floor) / mean).ln()));
        let log = Moments::of(&self.a);
        let plain = Moments::of(steps);
        let still = steps.iter().filter(|s| **s < floor).count();
        row.extend([
            log.std,
            log.skew,
            plain.std / mean,
            (1.0 + plain.kurtosis).ln(),
            quantile(&mut self.a, 0.5, 0.0),
            quantile(&mut self.a, 0.95, 0.0),
            quantile(&mut self.a, 1.0, 0.0),
            count(still) / count(steps.len()),
        ]);
    }

    fn persistence(&self, mean: f64, row: &mut Vec<f64>) {
        for lag in [1, 2, 4, 8, 16] {
            let mut pairs = Pairs::default();
            for k in lag..self.steps.len() {
                if self.steps.together(k - lag, k) {
                    pairs.push(self.steps.length[k - lag] / mean, self.steps.length[k] / mean);
                }
            }
            row.push(pairs.correlation());
        }
    }

    fn acceleration(&mut self, mean: f64, row: &mut Vec<f64>) {
        let (steps, lengths) = (&self.steps, &self.steps.length);
        let (mut auto, mut even, mut fast) = (Pairs::default(), 0usize, 0usize);
        self.a.clear();
        self.b.clear();
        for k in 1..steps.len() {
            if !steps.together(k - 1, k) {
                continue;
            }
            let accel = (lengths[k] - lengths[k - 1]) / mean;
            self.a.push(accel);
            if lengths[k] > mean && lengths[k - 1] > mean {
                fast += 1;
                even += usize::from((lengths[k] - lengths[k - 1]).abs() < 0.05 * lengths[k]);
            }
            if k >= 2 && steps.together(k - 2, k) {
                let before = (lengths[k - 1] - lengths[k - 2]) / mean;
                auto.push(before, accel);
                self.b.push(accel - before);
            }
        }
        let (accel, jerk) = (Moments::of(&self.a), Moments::of(&self.b));
        row.extend([
            (accel.std + 1e-3).ln(),
            accel.skew,
            (1.0 + accel.kurtosis).ln(),
            auto.correlation(),
            ((jerk.std + 1e-3) / (accel.std + 1e-3)).ln(),
            count(even) / count(fast.max(1)),
        ]);
    }

    fn turning(&mut self, mean: f64, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let (mut auto, mut law) = (Pairs::default(), Pairs::default());
        let (mut fast_sum, mut fast, mut slow_sum, mut slow) = (0.0, 0usize, 0.0, 0usize);
        let (mut sharp, mut straight) = (0usize, 0usize);
        let mut last: Option<(usize, f64)> = None;
        self.a.clear();
        for k in 1..steps.len() {
            let (s0, s1) = (steps.length[k - 1], steps.length[k]);
            if !steps.together(k - 1, k) || s0 < 0.2 * mean || s1 < 0.2 * mean {
                continue;
            }
            let cross = steps.dx[k - 1] * steps.dy[k] - steps.dy[k - 1] * steps.dx[k];
            let dot = steps.dx[k - 1] * steps.dx[k] + steps.dy[k - 1] * steps.dy[k];
            let turn = cross.atan2(dot);
            let size = turn.abs();
            self.a.push(size);
            sharp += usize::from(size > std::f64::consts::FRAC_PI_2);
            straight += usize::from(size < 0.02);
            let speed = f64::midpoint(s0, s1) / mean;
            if speed > 1.0 {
                fast += 1;
                fast_sum += size;
            } else {
                slow += 1;
                slow_sum += size;
            }
            law.push((size / speed + 1e-2).ln(), speed.ln());
            if let Some((at, before)) = last
                && at == k - 1
            {
                auto.push(before, turn);
            }
            last = Some((k, turn));
        }
        let turns = count(self.a.len().max(1));
        let (fast_mean, slow_mean) = (fast_sum / count(fast.max(1)), slow_sum / count(slow.max(1)));
        row.extend([
            (1e-2 + self.a.iter().sum::<f64>() / turns).ln(),
            (1e-3 + quantile(&mut self.a, 0.5, 0.0)).ln(),
            (1e-3 + quantile(&mut self.a, 0.9, 0.0)).ln(),
            auto.correlation(),
            count(sharp) / turns,
            (1e-3 + fast_mean).ln(),
            ((1e-2 + slow_mean) / (1e-2 + fast_mean)).ln(),
            count(straight) / turns,
            law.slope(),
            law.correlation(),
        ]);
    }

    /// Third differences of the position: what is left when place, speed and acceleration are taken out.
    fn roughness(&mut self, mean: f64, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let mut auto = Pairs::default();
        let (mut along_sum, mut fast_sum, mut fast, mut slow_sum, mut slow) = (0.0, 0.0, 0usize, 0.0, 0usize);
        let mut last: Option<(usize, f64)> = None;
        self.a.clear();
        for k in 1..steps.len().saturating_sub(1) {
            if !steps.together(k - 1, k + 1) {
                continue;
            }
            let (dx, dy) = (steps.dx[k + 1] + steps.dx[k - 1], steps.dy[k + 1] + steps.dy[k - 1]);
            let reach = (dx * dx + dy * dy).sqrt();
            if reach < 0.2 * mean {
                continue;
            }
            let (ux, uy) = (dx / reach, dy / reach);
            let jx = (steps.dx[k + 1] - 2.0 * steps.dx[k] + steps.dx[k - 1]) / mean;
            let jy = (steps.dy[k + 1] - 2.0 * steps.dy[k] + steps.dy[k - 1]) / mean;
            let (along, across) = (jx * ux + jy * uy, jy * ux - jx * uy);
            along_sum += along * along;
            if reach > 2.0 * mean {
                fast += 1;
                fast_sum += across * across;
            } else {
                slow += 1;
                slow_sum += across * across;
            }
            self.a.push(across);
            if let Some((at, before)) = last
                && at == k - 1
            {
                auto.push(before, across);
            }
            last = Some((k, across));
        }
        let n = count(self.a.len().max(1));
        let across = ((fast_sum + slow_sum) / n).sqrt();
        let along = (along_sum / n).sqrt();
        let (fast_rms, slow_rms) = ((fast_sum / count(fast.max(1))).sqrt(), (slow_sum / count(slow.max(1))).sqrt());
        row.extend([
            (1e-2 + across).ln(),
            (1e-2 + along).ln(),
            ((1e-2 + across) / (1e-2 + along)).ln(),
            auto.correlation(),
            (1.0 + Moments::of(&self.a).kurtosis).ln(),
            ((1e-2 + fast_rms) / (1e-2 + slow_rms)).ln(),
        ]);
    }

    /// `ln(1 - chord / length)` of all windows of 100 and of 240 ms in motion.
    fn straightness(&mut self, mean: f64, row: &mut Vec<f64>) {
        let steps = &self.steps;
        for window in [5, 12] {
            self.a.clear();
            for end in window..=steps.len() {
                let begin = end - window;
                if !steps.together(begin, end - 1) {
                    continue;
                }
                let length: f64 = steps.length[begin..end].iter().sum();
                if length < 0.5 * mean * count(window) {
                    continue;
                }
                let (x, y) = (steps.dx[begin..end].iter().sum::<f64>(), steps.dy[begin..end].iter().sum::<f64>());
                self.a.push((1e-4 + 1.0 - ((x * x + y * y).sqrt() / length).min(1.0)).ln());
            }
            for q in [0.1, 0.5, 0.9] {
                row.push(quantile(&mut self.a, q, 0.0));
            }
        }
    }

    fn rests(&mut self, mean: f64, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let (mut jumped, mut total, mut before) = (0.0, 0.0, 0u32);
        self.a.clear();
        for k in 0..steps.len() {
            total += steps.length[k];
            if steps.run[k] != before {
                jumped += steps.length[k];
                before = steps.run[k];
            }
            let ends = k + 1 < steps.len() && !steps.together(k, k + 1);
            if ends && k >= 2 && steps.together(k - 2, k) {
                self.a.push(steps.length[k] / mean);
            }
        }
        row.extend([
            jumped / total,
            (f64::from(steps.runs) / count(steps.len())).ln(),
            if steps.span_ms > 0.0 { steps.rest_ms / steps.span_ms } else { 0.0 },
            quantile(&mut self.a, 0.5, 0.3),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::session::Movements;

    fn row(points: impl Iterator<Item = (f64, f64, f64)>) -> Vec<f64> {
        let mut moves = Movements::default();
        for (x, y, t) in points {
            moves.x.push(x);
            moves.y.push(y);
            moves.t.push(t);
        }
        let mut row = Vec::new();
        Workspace::default().extract(&Session { movements: moves, ..Session::default() }, &mut row);
        row
    }

    fn wave(rate: f64) -> impl Iterator<Item = (f64, f64, f64)> {
        (0..).map(move |i| f64::from(i) * 1000.0 / rate).take_while(|t| *t < 8000.0).map(|t| {
            let s = t / 1000.0;
            (400.0 + 300.0 * (1.7 * s).sin(), 300.0 + 200.0 * (2.9 * s).cos(), t)
        })
    }

    #[test]
    fn the_recorders_rate_hardly_shows() {
        let (slow, fast) = (row(wave(60.0)), row(wave(1000.0)));
        for name in ["speedVariation", "speedAuto4", "strokeBendMedian", "bend240Median", "powerLawSlope"] {
            let at = COLUMNS.iter().position(|c| *c == name).unwrap();
            assert!((slow[at] - fast[at]).abs() < 0.1, "{name}: {} and {}", slow[at], fast[at]);
        }
    }

    #[test]
    fn the_screens_scale_and_the_clocks_origin_do_not_show() {
        let base = row(wave(60.0));
        let moved = row(wave(60.0).map(|(x, y, t)| (4.0 * x - 900.0, 4.0 * y, t + 65_536.0)));
        for ((a, b), name) in base.iter().zip(&moved).zip(COLUMNS) {
            let same = (a - b).abs() < 1e-6 * a.abs().max(1.0);
            assert!(same || name.starts_with("strokeLength") || name.contains("Slope"), "{name}: {a} and {b}");
        }
    }

    #[test]
    fn too_little_motion_is_a_row_of_zeros() {
        let few = row((0..4).map(|i| (f64::from(i), 0.0, 10.0 * f64::from(i))));
        assert!(few[1..].iter().all(|v| *v == 0.0) && few[0] < 16.0);
        let standing = row((0..100).map(|i| (5.0, 5.0, 10.0 * f64::from(i))));
        assert!(standing[1..].iter().all(|v| *v == 0.0) && standing[0] < 16.0);
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
