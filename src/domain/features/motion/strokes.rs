//! Strokes: the stretches between two near-stops, and how alike and how hand-made they look.
//!
//! A hand starts and ends a reach slowly, peaks before the middle and bends a little, each time differently (the
//! minimum-jerk profile `30 t^2 (1 - t)^2` is the reference: Flash and Hogan, J. Neurosci. 5, 1985).

use super::resample::Steps;
use super::statistics::{Moments, Pairs, count, quantile};

/// Names of the values that [`Strokes::measure`] appends.
pub(super) const COLUMNS: [&str; 25] = [
    "strokeRate",
    "strokeDurationMedian",
    "strokeDurationSpread",
    "strokeLengthSpread",
    "strokeBendQ25",
    "strokeBendMedian",
    "strokeBendQ75",
    "strokeDeviationMedian",
    "strokeDeviationSpread",
    "strokePeakMedian",
    "strokePeakSpread",
    "strokePeakTimeMedian",
    "strokePeakTimeSpread",
    "strokePeaksMean",
    "strokeStartMedian",
    "strokeEndMedian",
    "strokeMinimumJerkMedian",
    "strokeMinimumJerkQ25",
    "strokeEvennessMedian",
    "strokeEvennessSpread",
    "strokeDurationLengthCorrelation",
    "strokeDurationLengthSlope",
    "strokeProfileSpread",
    "strokeLoneShare",
    "strokeSymmetryMedian",
];

/// A stroke has at least this many steps.
const MIN_STEPS: usize = 5;
/// Below this share of the mean step the pointer nearly stands.
const NEAR_STOP: f64 = 0.3;
const PROFILE: usize = 8;

/// Per-stroke series, reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Strokes {
    durations: Vec<f64>,
    lengths: Vec<f64>,
    bends: Vec<f64>,
    deviations: Vec<f64>,
    peaks: Vec<f64>,
    peak_times: Vec<f64>,
    starts: Vec<f64>,
    ends: Vec<f64>,
    min_jerk: Vec<f64>,
    evenness: Vec<f64>,
    symmetry: Vec<f64>,
    profiles: Vec<[f64; PROFILE]>,
    modes: f64,
}

impl Strokes {
    /// Appends the values named in [`COLUMNS`]; `mean` is the mean step, above zero.
    pub(super) fn measure(&mut self, steps: &Steps, mean: f64, row: &mut Vec<f64>) {
        self.clear();
        let n = steps.len();
        let (mut begin, mut covered) = (0, 0usize);
        for k in 0..=n {
            let stops = k == n || steps.length[k] < NEAR_STOP * mean || (k > begin && !steps.together(k - 1, k));
            if stops {
                if k - begin >= MIN_STEPS {
                    self.stroke(steps, begin, k);
                    covered += k - begin;
                }
                let near_stop = k < n && steps.length[k] < NEAR_STOP * mean;
                begin = if near_stop { k + 1 } else { k };
            }
        }
        let strokes = self.durations.len();
        let mut line = Pairs::default();
        for (duration, length) in self.durations.iter().zip(&self.lengths) {
            line.push(*length, *duration);
        }
        let profile_spread = self.profile_spread();
        let spread = |series: &mut Vec<f64>| quantile(series, 0.75, 0.0) - quantile(series, 0.25, 0.0);
        row.extend([
            (count(strokes) / count(n) + 1e-3).ln(),
            quantile(&mut self.durations, 0.5, 0.0),
            spread(&mut self.durations),
            spread(&mut self.lengths),
            quantile(&mut self.bends, 0.25, 0.0),
            quantile(&mut self.bends, 0.5, 0.0),
            quantile(&mut self.bends, 0.75, 0.0),
            quantile(&mut self.deviations, 0.5, 0.0),
            spread(&mut self.deviations),
            quantile(&mut self.peaks, 0.5, 0.0),
            spread(&mut self.peaks),
            quantile(&mut self.peak_times, 0.5, 0.5),
            spread(&mut self.peak_times),
            self.modes / count(strokes.max(1)),
            quantile(&mut self.starts, 0.5, 0.0),
            quantile(&mut self.ends, 0.5, 0.0),
            quantile(&mut self.min_jerk, 0.5, 0.0),
            quantile(&mut self.min_jerk, 0.25, 0.0),
            quantile(&mut self.evenness, 0.5, 0.0),
            spread(&mut self.evenness),
            line.correlation(),
            line.slope(),
            profile_spread,
            1.0 - count(covered) / count(n),
            quantile(&mut self.symmetry, 0.5, 0.5),
        ]);
    }

    fn clear(&mut self) {
        for series in [
            &mut self.durations,
            &mut self.lengths,
            &mut self.bends,
            &mut self.deviations,
            &mut self.peaks,
            &mut self.peak_times,
            &mut self.starts,
            &mut self.ends,
            &mut self.min_jerk,
            &mut self.evenness,
            &mut self.symmetry,
        ] {
            series.clear();
        }
        self.profiles.clear();
        self.modes = 0.0;
    }

    fn stroke(&mut self, steps: &Steps, begin: usize, end: usize) {
        let lengths = &steps.length[begin..end];
        let n = lengths.len();
        let total: f64 = lengths.iter().sum();
        let speed = Moments::of(lengths);
        let (cx, cy) = (steps.dx[begin..end].iter().sum::<f64>(), steps.dy[begin..end].iter().sum::<f64>());
        let chord = (cx * cx + cy * cy).sqrt();
        let deviation = largest_deviation(&steps.dx[begin..end], &steps.dy[begin..end], (cx, cy), chord);
        let (peak_at, peak) =
            lengths.iter().enumerate().fold((0, 0.0f64), |best, (i, v)| if *v > best.1 { (i, *v) } else { best });
        let profile = profile(lengths, total);
        let half: f64 = lengths[..n / 2].iter().sum();
        self.durations.push(count(n).ln());
        self.lengths.push((total + 1.0).ln());
        self.bends.push((1e-3 + 1.0 - (chord / total).min(1.0)).ln());
        self.deviations.push((1e-3 + deviation / total).ln());
        self.peaks.push(peak / speed.mean);
        self.peak_times.push((count(peak_at) + 0.5) / count(n));
        self.starts.push(lengths[0] / speed.mean);
        self.ends.push(lengths[n - 1] / speed.mean);
        self.min_jerk.push(min_jerk_residual(lengths, total));
        self.evenness.push(speed.std / speed.mean);
        self.symmetry.push(half / total);
        self.profiles.push(profile);
        let peaks = lengths.windows(3).filter(|w| w[1] > w[0] && w[1] >= w[2]).count();
        self.modes += count(peaks) / count(n);
    }

    /// Mean squared distance of the speed profiles from their mean profile.
    fn profile_spread(&self) -> f64 {
        let n = count(self.profiles.len().max(1));
        let mut spread = 0.0;
        for bin in 0..PROFILE {
            let mean = self.profiles.iter().map(|p| p[bin]).sum::<f64>() / n;
            spread += self.profiles.iter().map(|p| (p[bin] - mean) * (p[bin] - mean)).sum::<f64>() / n;
        }
        spread.sqrt()
    }
}

/// Root mean square distance between the stroke's speeds and a minimum-jerk stroke of its length and duration.
fn min_jerk_residual(lengths: &[f64], total: f64) -> f64 {
    let n = count(lengths.len());
    let squares: f64 = lengths
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let t = (count(i) + 0.5) / n;
            let expected = 30.0 * t * t * (1.0 - t) * (1.0 - t);
            let d = v * n / total - expected;
            d * d
        })
        .sum();
    (squares / n).sqrt()
}

/// The stroke's speeds over [`PROFILE`] equal parts of its duration, with mean 1.
fn profile(lengths: &[f64], total: f64) -> [f64; PROFILE] {
    let mut bins = [0.0; PROFILE];
    let width = count(lengths.len()) / count(PROFILE);
    for (bin, value) in bins.iter_mut().enumerate() {
        let (from, to) = (count(bin) * width, (count(bin) + 1.0) * width);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the stroke's length")]
        let (first, last) = (from as usize, (to.ceil() as usize).min(lengths.len()));
        for (i, length) in lengths.iter().enumerate().take(last).skip(first) {
            let overlap = (to.min(count(i) + 1.0) - from.max(count(i))).max(0.0);
            *value += length * overlap;
        }
        *value *= count(PROFILE) / total;
    }
    bins
}

fn largest_deviation(dx: &[f64], dy: &[f64], (cx, cy): (f64, f64), chord: f64) -> f64 {
    if chord <= 0.0 {
        return 0.0;
    }
    let (mut x, mut y, mut largest) = (0.0, 0.0, 0.0f64);
    for (dx, dy) in dx.iter().zip(dy) {
        x += dx;
        y += dy;
        largest = largest.max((x * cy - y * cx).abs() / chord);
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_keeps_the_mean_and_the_shape() {
        let lengths: Vec<f64> = (1..=20).map(f64::from).collect();
        let p = profile(&lengths, lengths.iter().sum());
        assert!((p.iter().sum::<f64>() - 8.0).abs() < 1e-9);
        assert!(p.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn a_minimum_jerk_stroke_has_next_to_no_residual() {
        let n = 40;
        let s = |t: f64| t * t * t * (10.0 - 15.0 * t + 6.0 * t * t);
        let lengths: Vec<f64> =
            (0..n).map(|i| s(f64::from(i + 1) / f64::from(n)) - s(f64::from(i) / f64::from(n))).collect();
        assert!(min_jerk_residual(&lengths, 1.0) < 0.01);
        assert!(min_jerk_residual(&[1.0; 40], 40.0) > 0.5);
    }
}
