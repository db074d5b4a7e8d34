//! Strokes: the stretches between two near-stops, and how alike and how hand-made they look.
//!
//! A hand starts and ends a reach slowly, peaks before the middle and bends a little, each time differently (the
//! minimum-jerk profile `30 t^2 (1 - t)^2` is the reference: Flash and Hogan, J. Neurosci. 5, 1985).

use std::ops::Range;

use super::resample::Steps;
use super::statistics::{Pairs, count, ln, sorted, sums};

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
const MIN_STEPS: usize = 4;
/// Below this share of the mean step the pointer nearly stands.
pub(super) const NEAR_STOP: f64 = 0.3;
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
    /// Appends the values named in [`COLUMNS`]; `steps` are normalised.
    pub(super) fn measure(&mut self, steps: &Steps, row: &mut Vec<f64>) {
        self.clear();
        let n = steps.len();
        let mut covered = 0;
        for run in steps.runs() {
            let mut begin = run.start;
            for k in run.clone() {
                if steps.length[k] < NEAR_STOP {
                    covered += self.stroke(steps, begin..k);
                    begin = k + 1;
                }
            }
            covered += self.stroke(steps, begin..run.end);
        }
        let strokes = self.durations.len();
        let mut line = Pairs::default();
        for (duration, length) in self.durations.iter().zip(&self.lengths) {
            line.push(*length, *duration);
        }
        let profile_spread = self.profile_spread();
        let quarters = |series: &mut Vec<f64>| {
            let [low, median, high] = sorted(series, [0.25, 0.5, 0.75], 0.0);
            (low, median, high, high - low)
        };
        let median = |series: &mut Vec<f64>, empty| sorted(series, [0.5], empty)[0];
        let durations = quarters(&mut self.durations);
        let bends = quarters(&mut self.bends);
        let deviations = quarters(&mut self.deviations);
        let peaks = quarters(&mut self.peaks);
        let peak_times = quarters(&mut self.peak_times);
        let min_jerk = quarters(&mut self.min_jerk);
        let evenness = quarters(&mut self.evenness);
        row.extend([
            ln(count(strokes) / count(n) + 1e-3),
            durations.1,
            durations.3,
            quarters(&mut self.lengths).3,
            bends.0,
            bends.1,
            bends.2,
            deviations.1,
            deviations.3,
            peaks.1,
            peaks.3,
            if strokes == 0 { 0.5 } else { peak_times.1 },
            peak_times.3,
            self.modes / count(strokes.max(1)),
            median(&mut self.starts, 0.0),
            median(&mut self.ends, 0.0),
            min_jerk.1,
            min_jerk.0,
            evenness.1,
            evenness.3,
            line.correlation(),
            line.slope(),
            profile_spread,
            1.0 - count(covered) / count(n),
            median(&mut self.symmetry, 0.5),
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

    /// Measures the steps of `range` if they are enough for a stroke, and says how many they are.
    fn stroke(&mut self, steps: &Steps, range: Range<usize>) -> usize {
        if range.len() < MIN_STEPS {
            return 0;
        }
        let lengths = &steps.length[range.clone()];
        let n = lengths.len();
        let before = &steps.before[range.start..=range.end];
        let ([x, y, start, _], [end_x, end_y, end, _]) = (before[0], before[n]);
        let total = end - start;
        // Everything is measured in the stroke's own mean step.
        let unit = count(n) / total;
        let (cx, cy) = (end_x - x, end_y - y);
        let chord = (cx * cx + cy * cy).sqrt();
        let away = before.iter().fold(0.0f64, |most, at| {
            let away = ((at[0] - x) * cy - (at[1] - y) * cx).abs();
            if away > most { away } else { most }
        });
        let deviation = if chord > 0.0 { away / chord } else { 0.0 };
        let (mut peak_at, mut peak) = (0, 0.0);
        for (i, length) in lengths.iter().enumerate() {
            if *length > peak {
                (peak_at, peak) = (i, *length);
            }
        }
        let [variance] = sums(lengths, |v| [(v * unit - 1.0) * (v * unit - 1.0)]);
        self.durations.push(ln(count(n)));
        self.lengths.push(ln(total + 1.0));
        self.bends.push(ln(1e-3 + 1.0 - (chord / total).min(1.0)));
        self.deviations.push(ln(1e-3 + deviation / total));
        self.peaks.push(peak * unit);
        self.peak_times.push((count(peak_at) + 0.5) / count(n));
        self.starts.push(lengths[0] * unit);
        self.ends.push(lengths[n - 1] * unit);
        self.min_jerk.push(min_jerk_residual(lengths, total));
        self.evenness.push((variance / count(n)).sqrt());
        self.symmetry.push((before[n / 2][2] - start) / total);
        self.profiles.push(profile(lengths, before, total));
        let peaks = lengths.windows(3).filter(|w| w[1] > w[0] && w[1] >= w[2]).count();
        self.modes += count(peaks) / count(n);
        n
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
    let (unit, step) = (n / total, 1.0 / n);
    let (mut squares, mut t) = (0.0, 0.5 * step);
    for length in lengths {
        let rise = t * (1.0 - t);
        let d = length * unit - 30.0 * rise * rise;
        squares += d * d;
        t += step;
    }
    (squares / n).sqrt()
}

/// The stroke's speeds over [`PROFILE`] equal parts of its duration, with mean 1; `before` holds in its third place
/// the sum of the lengths before each step.
fn profile(lengths: &[f64], before: &[[f64; 4]], total: f64) -> [f64; PROFILE] {
    let width = count(lengths.len()) / count(PROFILE);
    let (scale, start) = (count(PROFILE) / total, before[0][2]);
    let mut done = 0.0;
    std::array::from_fn(|bin| {
        let to = count(bin + 1) * width;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the stroke's length")]
        let whole = (to as usize).min(lengths.len());
        let part = lengths.get(whole).map_or(0.0, |length| length * (to - count(whole)));
        let reached = before[whole][2] - start + part;
        let value = (reached - done) * scale;
        done = reached;
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_keeps_the_mean_and_the_shape() {
        let lengths: Vec<f64> = (1..=20).map(f64::from).collect();
        let before: Vec<[f64; 4]> = (0..=20).map(|i| [0.0, 0.0, 7.0 + lengths[..i].iter().sum::<f64>(), 0.0]).collect();
        let p = profile(&lengths, &before, lengths.iter().sum());
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
