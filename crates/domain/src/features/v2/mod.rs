//! Feature set v2: how the pointer moved, as little as possible of what recorded it.
//!
//! Everything is measured on the path put on one common clock ([`resample`]) and relative to the session's own mean
//! step, so that sampling rate, clock tick, screen size and sensitivity matter little. Families of values: distribution
//! and persistence of speed, acceleration, turning, the curvature-speed power law (Lacquaniti, Terzuolo, Viviani, Acta
//! Psychologica 54, 1983), roughness along and across the direction of motion, straightness of short windows, rests and
//! jumps, strokes ([`strokes`]), smooth primitives ([`fits`]) and the approach to clicks ([`clicks`]). The last columns
//! describe the recorder ([`recorder`]), so that a model can tell how far the others are to be trusted.

mod clicks;

mod fits;

mod recorder;

pub(super) mod resample;

pub(super) mod statistics;

mod strokes;

use std::ops::Range;

use self::clicks::Approach;
use self::fits::Fits;
use self::resample::{STEP_MS, Steps};
use self::statistics::{Moments, Pairs, Selection, angle, count, dot, ln, sorted, sums};
use self::strokes::Strokes;
use super::super::reason::Reason;
use super::super::session::Session;

/// Sessions with fewer steps on the common clock carry no motion: every other value of their row is zero.
pub const MIN_STEPS: usize = 16;

const OWN: usize = 46;
/// Number of columns.
pub const WIDTH: usize = OWN + PARTS[0].len() + PARTS[1].len() + PARTS[2].len() + PARTS[3].len();

/// The columns of the parts, in the order in which their values are appended.
const PARTS: [&[&str]; 4] = [&strokes::COLUMNS, &fits::COLUMNS, &clicks::COLUMNS, &recorder::COLUMNS];

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
    let mut at = 0;
    while at < OWN {
        all[at] = OWN_COLUMNS[at];
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

/// Which trait the columns describe whose names start like this; the first that fits counts.
const TRAITS: [(&str, Reason); 29] = [
    ("motionSteps", Reason::Pauses),
    ("speedAuto", Reason::SpeedRhythm),
    ("speed", Reason::SpeedSpread),
    ("stillShare", Reason::SpeedSpread),
    ("accel", Reason::Acceleration),
    ("jerkRatio", Reason::Acceleration),
    ("evenShare", Reason::Acceleration),
    ("turn", Reason::Turning),
    ("straightShare", Reason::Straightness),
    ("bend", Reason::Straightness),
    ("powerLaw", Reason::PowerLaw),
    ("across", Reason::Roughness),
    ("along", Reason::Roughness),
    ("jumpShare", Reason::Pauses),
    ("runRate", Reason::Pauses),
    ("restShare", Reason::Pauses),
    ("endSpeed", Reason::Pauses),
    ("strokeFit", Reason::Smoothness),
    ("fit", Reason::Smoothness),
    ("strokeRate", Reason::StrokeVariety),
    ("strokeDuration", Reason::StrokeVariety),
    ("strokeLength", Reason::StrokeVariety),
    ("strokeProfileSpread", Reason::StrokeVariety),
    ("strokePeakSpread", Reason::StrokeVariety),
    ("strokePeakTimeSpread", Reason::StrokeVariety),
    ("strokeDeviationSpread", Reason::StrokeVariety),
    ("stroke", Reason::StrokeShape),
    ("click", Reason::ClickApproach),
    ("recorder", Reason::EventStream),
];

/// The trait of the movement that a column describes.
pub(in crate::features) fn describes(column: usize) -> Reason {
    let name = COLUMNS.get(column).copied().unwrap_or_default();
    TRAITS.iter().find(|(start, _)| name.starts_with(start)).map_or(Reason::SpeedSpread, |(_, reason)| *reason)
}

/// Whether a column describes the recorder and not the movement.
pub(in crate::features) fn is_recorder(column: usize) -> bool {
    column >= WIDTH - recorder::COLUMNS.len()
}

/// Windows straighter than this count as straight: pixels bend a path as much.
const BEND_FLOOR: f64 = 5e-4;
/// Shortest step, in mean steps, that has a direction.
const DIRECTED: f64 = 0.2;

/// Buffers that are reused from session to session.
#[derive(Debug, Default)]
pub struct Workspace {
    steps: Steps,
    strokes: Strokes,
    fits: Fits,
    approach: Approach,
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    d: Vec<f64>,
    bits: Vec<u64>,
    selection: Selection,
    places: Vec<usize>,
    unit_px: Option<f64>,
}

impl Workspace {
    /// Appends the [`WIDTH`] values of `session` to `row`; every one is finite.
    pub fn extract(&mut self, session: &Session, row: &mut Vec<f64>) {
        let start = row.len();
        row.reserve(WIDTH);
        self.steps.resample(&session.movements);
        let n = self.steps.len();
        let mean = sums(&self.steps.length, |s| [s])[0] / count(n.max(1));
        row.push(count(n));
        self.unit_px = (n >= MIN_STEPS && mean > 1e-6).then_some(mean);
        if self.unit_px.is_some() {
            self.steps.normalise(mean);
            self.speed(row);
            self.persistence(row);
            self.acceleration(row);
            self.turning(row);
            self.roughness(row);
            self.straightness(row);
            self.rests(row);
            self.strokes.measure(&self.steps, row);
            self.fits.measure(&self.steps, row);
            self.approach.measure(session, mean / STEP_MS, row);
            recorder::measure(&session.movements, mean, &mut self.bits, &mut self.selection, row);
        } else {
            row[start] = count(n.min(MIN_STEPS - 1));
        }
        row.resize(start + WIDTH, 0.0);
        for value in &mut row[start..] {
            *value = if value.is_finite() { value.clamp(-1e6, 1e6) } else { 0.0 };
        }
    }

    /// The mean step of the last session on the common clock, px; `None` where it had no motion.
    pub(super) fn unit_px(&self) -> Option<f64> {
        self.unit_px
    }

    /// The normalised steps of the last session.
    pub(super) fn steps(&self) -> &Steps {
        &self.steps
    }

    fn speed(&mut self, row: &mut Vec<f64>) {
        let floor = 0.05;
        let steps = &self.steps.length;
        self.a.clear();
        self.a.extend(steps.iter().map(|s| ln(s + floor)));
        self.bits.clear();
        self.bits.extend(steps.iter().map(|s| s.to_bits()));
        let log = Moments::of(&self.a);
        let plain = Moments::of(steps);
        let [still] = sums(steps, |s| [if s < floor { 1.0 } else { 0.0 }]);
        let [median, p95, max] = self.selection.quantiles(&self.bits, [0.5, 0.95, 1.0], 0.0);
        row.extend([
            log.std,
            log.skew,
            plain.std,
            ln(1.0 + plain.kurtosis),
            ln(median + floor),
            ln(p95 + floor),
            ln(max + floor),
            still / count(steps.len()),
        ]);
    }

    fn persistence(&self, row: &mut Vec<f64>) {
        let (steps, before) = (&self.steps.length, &self.steps.before);
        for lag in [1, 2, 4, 8, 16] {
            let mut pairs = Pairs::default();
            for run in self.steps.runs().filter(|run| run.len() > lag) {
                let (earlier, later) = (run.start..run.end - lag, run.start + lag..run.end);
                let [_, _, x, xx] = difference(before, &earlier);
                let [_, _, y, yy] = difference(before, &later);
                pairs.add(Pairs { n: count(earlier.len()), x, y, xx, yy, xy: dot(&steps[earlier], &steps[later]) });
            }
            row.push(pairs.correlation());
        }
    }

    fn acceleration(&mut self, row: &mut Vec<f64>) {
        let mut auto = Pairs::default();
        let (mut even, mut fast) = (0u32, 0u32);
        self.a.clear();
        for run in self.steps.runs() {
            let steps = &self.steps.length[run];
            let begin = self.a.len();
            for pair in steps.windows(2) {
                let change = pair[1] - pair[0];
                self.a.push(change);
                let quick = pair[0] > 1.0 && pair[1] > 1.0;
                fast += u32::from(quick);
                even += u32::from(quick & (change.abs() < 0.05 * pair[1]));
            }
            let changes = &self.a[begin..];
            if let ([first, later @ ..], [earlier @ .., last]) = (changes, changes) {
                let [all, squares] = sums(changes, |v| [v, v * v]);
                auto.add(Pairs {
                    n: count(later.len()),
                    x: all - last,
                    y: all - first,
                    xx: squares - last * last,
                    yy: squares - first * first,
                    xy: dot(earlier, later),
                });
            }
        }
        let accel = Moments::of(&self.a);
        row.extend([
            ln(accel.std + 1e-3),
            accel.skew,
            ln(1.0 + accel.kurtosis),
            auto.correlation(),
            ln((auto.difference_std() + 1e-3) / (accel.std + 1e-3)),
            f64::from(even) / f64::from(fast.max(1)),
        ]);
    }

    fn turning(&mut self, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let n = steps.len();
        // The places whose two steps lie in one run and have a direction, put one after the other without a branch.
        self.places.resize(n, 0);
        let mut turns = 0;
        for run in steps.runs() {
            let lengths = &steps.length[run.clone()];
            for (k, pair) in (run.start + 1..).zip(lengths.windows(2)) {
                self.places[turns] = k;
                turns += usize::from(pair[0] >= DIRECTED && pair[1] >= DIRECTED);
            }
        }
        let places = &self.places[..turns];
        for series in [&mut self.a, &mut self.b, &mut self.c, &mut self.d] {
            series.resize(turns, 0.0);
        }
        let (dx, dy, length) = (&steps.dx[..n], &steps.dy[..n], &steps.length[..n]);
        let outputs = self.a.iter_mut().zip(&mut self.b).zip(&mut self.c).zip(&mut self.d);
        for ((((cross, dot), speed), reach), k) in outputs.zip(places) {
            let (k, j) = (*k, k.wrapping_sub(1));
            *cross = dx[j] * dy[k] - dy[j] * dx[k];
            *dot = dx[j] * dx[k] + dy[j] * dy[k];
            *speed = 0.5 * (length[j] + length[k]);
            *reach = length[j] * length[k];
        }
        for ((cross, dot), reach) in self.a.iter_mut().zip(&self.b).zip(&self.d) {
            *cross = angle(*cross, *dot, *reach);
        }
        let (angles, speeds) = (&self.a, &self.c);
        self.bits.clear();
        self.bits.extend(angles.iter().map(|turn| turn.abs().to_bits()));

        let (mut fast_sum, mut fast, mut all_sum) = (0.0, 0.0, 0.0);
        let (mut sharp, mut straight) = (0.0, 0.0);
        for ((turn, dot), speed) in angles.iter().zip(&self.b).zip(speeds) {
            let size = turn.abs();
            let quick = if *speed > 1.0 { 1.0 } else { 0.0 };
            all_sum += size;
            fast += quick;
            fast_sum += quick * size;
            sharp += if *dot < 0.0 { 1.0 } else { 0.0 };
            straight += if size < 0.02 { 1.0 } else { 0.0 };
        }
        let auto = neighbours(places, angles);
        // The power law's pair takes the place of what it is computed from.
        for ((bend, turn), speed) in self.b.iter_mut().zip(&self.a).zip(&self.c) {
            *bend = ln(turn.abs() / speed + 1e-2);
        }
        self.c.iter_mut().for_each(|speed| *speed = ln(*speed));
        let [x, xx] = sums(&self.b, |v| [v, v * v]);
        let [y, yy] = sums(&self.c, |v| [v, v * v]);
        let law = Pairs { n: count(turns), x, y, xx, yy, xy: dot(&self.b, &self.c) };

        let turns = count(turns.max(1));
        let slow = count(self.a.len()) - fast;
        let (fast_mean, slow_mean) = (fast_sum / fast.max(1.0), (all_sum - fast_sum) / slow.max(1.0));
        let [median, p90] = self.selection.quantiles(&self.bits, [0.5, 0.9], 0.0);
        row.extend([
            ln(1e-2 + all_sum / turns),
            ln(1e-3 + median),
            ln(1e-3 + p90),
            auto.correlation(),
            sharp / turns,
            ln(1e-3 + fast_mean),
            ln((1e-2 + slow_mean) / (1e-2 + fast_mean)),
            straight / turns,
            law.slope(),
            law.correlation(),
        ]);
    }

    /// Third differences of the position: what is left when place, speed and acceleration are taken out.
    fn roughness(&mut self, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let n = steps.len();
        self.places.resize(n, 0);
        let mut found = 0;
        for series in [&mut self.a, &mut self.b, &mut self.c] {
            series.resize(n, 0.0);
        }
        for run in steps.runs() {
            let (dx, dy) = (&steps.dx[run.clone()], &steps.dy[run.clone()]);
            for (k, (x, y)) in (run.start + 1..).zip(dx.windows(3).zip(dy.windows(3))) {
                let (rx, ry) = (x[2] + x[0], y[2] + y[0]);
                let (jx, jy) = (rx - 2.0 * x[1], ry - 2.0 * y[1]);
                let reach = rx * rx + ry * ry;
                self.places[found] = k;
                self.a[found] = jy * rx - jx * ry;
                self.b[found] = jx * rx + jy * ry;
                self.c[found] = reach;
                found += usize::from(reach >= DIRECTED * DIRECTED);
            }
        }
        for series in [&mut self.a, &mut self.b, &mut self.c] {
            series.truncate(found);
        }
        for (across, reach) in self.a.iter_mut().zip(&self.c) {
            *across /= reach.sqrt();
        }
        let (mut along_sum, mut fast_sum, mut fast, mut all_sum) = (0.0, 0.0, 0.0, 0.0);
        for ((across, along), reach) in self.a.iter().zip(&self.b).zip(&self.c) {
            let quick = if *reach > 4.0 { 1.0 } else { 0.0 };
            let square = across * across;
            along_sum += along * along / reach;
            all_sum += square;
            fast += quick;
            fast_sum += quick * square;
        }
        let n = count(found.max(1));
        let slow = count(found) - fast;
        let (across, along) = ((all_sum / n).sqrt(), (along_sum / n).sqrt());
        let (fast_rms, slow_rms) =
            ((fast_sum / fast.max(1.0)).sqrt(), ((all_sum - fast_sum).max(0.0) / slow.max(1.0)).sqrt());
        row.extend([
            ln(1e-2 + across),
            ln(1e-2 + along),
            ln((1e-2 + across) / (1e-2 + along)),
            neighbours(&self.places[..found], &self.a).correlation(),
            ln(1.0 + Moments::of(&self.a).kurtosis),
            ln((1e-2 + fast_rms) / (1e-2 + slow_rms)),
        ]);
    }

    /// `ln(1 - chord / length)` of all windows of 100 and of 240 ms in motion.
    fn straightness(&mut self, row: &mut Vec<f64>) {
        for window in [4, 10] {
            self.bits.clear();
            let least = 0.5 * count(window);
            for run in self.steps.runs().filter(|run| run.len() >= window) {
                let before = &self.steps.before[run.start..=run.end];
                for (begin, end) in before.iter().zip(&before[window..]) {
                    let length = end[2] - begin[2];
                    if length >= least {
                        let (x, y) = (end[0] - begin[0], end[1] - begin[1]);
                        // Orders as the value itself does, and costs less.
                        let bent = 1.0 - (x * x + y * y) / (length * length);
                        self.bits.push(bent.max(0.0).to_bits());
                    }
                }
            }
            let empty = self.bits.is_empty();
            let bends = self.selection.quantiles(&self.bits, [0.1, 0.5, 0.9], 0.0);
            row.extend(bends.map(|bent| if empty { 0.0 } else { ln(BEND_FLOOR + 1.0 - (1.0 - bent).sqrt()) }));
        }
    }

    fn rests(&mut self, row: &mut Vec<f64>) {
        let steps = &self.steps;
        let (mut jumped, n) = (0.0, steps.len());
        self.a.clear();
        for run in steps.runs() {
            if steps.ends[0] <= run.start {
                jumped += steps.length[run.start];
            }
            if run.end < n && run.len() >= 3 {
                self.a.push(steps.length[run.end - 1]);
            }
        }
        let [end_speed] = sorted(&mut self.a, [0.5], 0.3);
        row.extend([
            jumped / steps.before[n][2],
            ln(count(steps.ends.len()) / count(n)),
            if steps.span_ms > 0.0 { steps.rest_ms / steps.span_ms } else { 0.0 },
            end_speed,
        ]);
    }
}

/// The sums over `range`, from the sums before each place.
fn difference(before: &[[f64; 4]], range: &Range<usize>) -> [f64; 4] {
    let (begin, end) = (before[range.start], before[range.end]);
    [0, 1, 2, 3].map(|i| end[i] - begin[i])
}

/// The pairs of values whose places follow each other.
fn neighbours(places: &[usize], values: &[f64]) -> Pairs {
    let mut pairs = Pairs::default();
    for (place, value) in places.windows(2).zip(values.windows(2)) {
        if place[0] + 1 == place[1] {
            pairs.push(value[0], value[1]);
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
