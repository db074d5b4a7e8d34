//! The path as a sketch sees it: on one common clock, smoothed, with its speed.
//!
//! Samples are put in time order (stably), those that share a timestamp become the last of them. Between samples the
//! pointer is taken to move in a straight line, as whoever resamples a recording takes it too.

use super::super::session::Movements;

/// The common clock's step, ms.
pub(super) const STEP_MS: f64 = 10.0;
/// A longer silence counts as this long, ms: who left and came back is not described by how long it took.
const MAX_GAP_MS: f64 = 2_000.0;
/// Only so many steps are described: the first minute of movement.
const MAX_STEPS: usize = 6_000;
/// Steps to either side over which each of three running means goes; together about a Gaussian of 35 ms.
const REACH: usize = 3;
/// Variance of that smoothing, in steps squared: three times that of seven equal weights.
pub(super) const SMOOTHED: f64 = 12.0;

/// Position and speed on the common clock; all columns have the same length.
#[derive(Debug, Default)]
pub(super) struct Path {
    /// Horizontal position, px.
    pub(super) x: Vec<f64>,
    /// Vertical position, px.
    pub(super) y: Vec<f64>,
    /// Speed, px per step.
    pub(super) speed: Vec<f64>,
    /// Way from the begin of the path, px.
    travelled: Vec<f64>,
    /// Times of the samples and where they lie on the clock, ms.
    clock: Vec<(f64, f64)>,
    order: Vec<usize>,
    sums: Vec<f64>,
}

impl Path {
    /// Number of steps on the clock.
    pub(super) fn len(&self) -> usize {
        self.x.len()
    }

    /// The position at `step`, which need not be whole and is held within the path.
    pub(super) fn at(&self, step: f64) -> (f64, f64) {
        let last = self.len().saturating_sub(1);
        let (low, share) = place(step, last);
        let high = (low + 1).min(last);
        let between = |column: &[f64]| column[low] + share * (column[high] - column[low]);
        (between(&self.x), between(&self.y))
    }

    /// The way from the begin of the path to `step`, px; held within the path like [`Path::at`].
    pub(super) fn travelled_at(&self, step: f64) -> f64 {
        let last = self.len().saturating_sub(1);
        let (low, share) = place(step, last);
        let high = (low + 1).min(last);
        self.travelled[low] + share * (self.travelled[high] - self.travelled[low])
    }

    /// The whole steps between `begin` and `end`, without both: each with its position and the way to it.
    pub(super) fn whole_steps(&self, begin: f64, end: f64) -> impl Iterator<Item = (f64, (f64, f64), f64)> {
        let last = self.len().saturating_sub(1);
        let (from, _) = place(begin, last);
        let (to, share) = place(end, last);
        let steps = from + 1..to + usize::from(share > 0.0);
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_STEPS")]
        steps.map(|step| (step as f64, (self.x[step], self.y[step]), self.travelled[step]))
    }

    /// Where a time of the recording lies on the clock, steps.
    pub(super) fn step_of(&self, t: f64) -> f64 {
        let place = self.clock.partition_point(|(sample, _)| *sample <= t).saturating_sub(1);
        let Some((sample, now)) = self.clock.get(place) else { return 0.0 };
        (now + (t - sample).clamp(0.0, MAX_GAP_MS)) / STEP_MS
    }

    /// The time of the recording at `step`, ms from its first sample: the way back from [`Path::step_of`].
    pub(super) fn time_of(&self, step: f64) -> f64 {
        let now = step * STEP_MS;
        let place = self.clock.partition_point(|(_, at)| *at <= now).saturating_sub(1);
        let (Some(first), Some((sample, at))) = (self.clock.first(), self.clock.get(place)) else { return 0.0 };
        // Within a long silence its begin stands for all of it.
        let next = self.clock.get(place + 1).map_or(*sample, |(sample, _)| *sample);
        (sample + (now - at).clamp(0.0, next - sample)) - first.0
    }

    /// Computes the path of `moves` over whatever was here before.
    pub(super) fn trace(&mut self, moves: &Movements) {
        self.x.clear();
        self.y.clear();
        self.speed.clear();
        self.travelled.clear();
        self.clock.clear();
        let t = &moves.t;
        self.order.clear();
        if !t.is_sorted() {
            self.order.extend(0..t.len());
            self.order.sort_by(|a, b| t[*a].total_cmp(&t[*b]));
        }
        self.interpolate(moves);
        for column in [&mut self.x, &mut self.y] {
            for _ in 0..3 {
                smooth(column, &mut self.sums);
            }
        }
        let mut way = 0.0;
        self.travelled.extend(self.x.first().map(|_| way));
        self.travelled.extend(self.x.windows(2).zip(self.y.windows(2)).map(|(x, y)| {
            let (dx, dy) = (x[1] - x[0], y[1] - y[0]);
            way += (dx * dx + dy * dy).sqrt();
            way
        }));
        let last = self.len().saturating_sub(1);
        let between = |before: usize, after: usize| {
            let (dx, dy) = (self.x[after] - self.x[before], self.y[after] - self.y[before]);
            0.5 * (dx * dx + dy * dy).sqrt()
        };
        if last > 0 {
            self.speed.push(between(0, 1));
            let steps = self.x.windows(3).zip(self.y.windows(3));
            self.speed.extend(steps.map(|(x, y)| {
                let (dx, dy) = (x[2] - x[0], y[2] - y[0]);
                0.5 * (dx * dx + dy * dy).sqrt()
            }));
            self.speed.push(between(last - 1, last));
        } else {
            self.speed.resize(self.x.len(), 0.0);
        }
        smooth(&mut self.speed, &mut self.sums);
    }

    fn interpolate(&mut self, moves: &Movements) {
        let (x, y, t) = (&moves.x, &moves.y, &moves.t);
        let order = std::mem::take(&mut self.order);
        let sample = |place: usize| order.get(place).copied().unwrap_or(place);
        if t.is_empty() {
            return;
        }
        // `now` is the time of the last sample with long gaps taken out, `next` the first step not written yet.
        let (mut now, mut next) = (0.0, 0.0);
        let mut last = sample(0);
        for place in 0..t.len() {
            let here = sample(place);
            if place + 1 < t.len() && t[sample(place + 1)] <= t[here] {
                continue;
            }
            if place == 0 {
                last = here;
            }
            let gap = (t[here] - t[last]).min(MAX_GAP_MS);
            while next <= now + gap {
                if self.x.len() >= MAX_STEPS {
                    return;
                }
                let share = if gap > 0.0 { (next - now) / gap } else { 1.0 };
                self.x.push(x[last] + share * (x[here] - x[last]));
                self.y.push(y[last] + share * (y[here] - y[last]));
                next += STEP_MS;
            }
            now += gap;
            self.clock.push((t[here], now));
            last = here;
        }
    }
}

/// The whole step below `step` and the share of the way to the next, held within `0..=last`.
pub(super) fn place(step: f64, last: usize) -> (usize, f64) {
    #[expect(clippy::cast_precision_loss, reason = "at most MAX_STEPS")]
    let held = step.clamp(0.0, last as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within 0..=last")]
    let low = held as usize;
    #[expect(clippy::cast_precision_loss, reason = "at most MAX_STEPS")]
    let share = held - low as f64;
    (low, share)
}

/// A running mean over [`REACH`] steps to either side, shorter towards the ends: as far to one side as to the other, or
/// the ends would be drawn inwards.
fn smooth(column: &mut Vec<f64>, scratch: &mut Vec<f64>) {
    const WIDTH: usize = 2 * REACH + 1;
    const SHARE: f64 = 1.0 / 7.0;
    const { assert!(WIDTH == 7) };
    #[expect(clippy::cast_precision_loss, reason = "at most WIDTH")]
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let count = column.len();
    let edge = REACH.min(count.div_ceil(2));
    scratch.clear();
    scratch.extend((0..edge).map(|i| mean(&column[..(2 * i + 1).min(count)])));
    scratch.extend(column.windows(WIDTH).map(|w| (w[0] + w[1] + w[2] + w[3] + w[4] + w[5] + w[6]) * SHARE));
    let done = scratch.len();
    scratch.extend((done..count).map(|i| mean(&column[count.saturating_sub(2 * (count - 1 - i) + 1)..])));
    std::mem::swap(column, scratch);
}
