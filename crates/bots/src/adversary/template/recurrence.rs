//! A linear recurrence of the velocity, fitted to a person's own and run with fresh innovations.

use rand::{Rng, RngExt};

use super::Reach;
use crate::adversary::legs::{GAP_MS, Sample};
use crate::adversary::noise::gaussian;
use crate::adversary::setting::number;

/// Fewest movements that a recurrence is fitted to.
const MIN_SAMPLES: usize = 30;
/// The highest order.
const MAX_ORDER: usize = 4;

/// An autoregression of the velocity, both axes with the same coefficients (Box and Jenkins, Time Series Analysis, 1970).
pub(super) struct Recurrence {
    coefficients: Vec<f64>,
    /// Standard deviation of the innovations, px per ms.
    innovation: f64,
    /// The person's greatest speed along an axis, px per ms.
    fastest: f64,
    /// Whether the mean of a reach follows a bell of speed or is constant.
    bell: bool,
}

impl Recurrence {
    /// Of order two to four, by least squares over the movement between rests; `None` for too little movement.
    pub(super) fn fitted(samples: &[Sample], rng: &mut impl Rng) -> Option<Self> {
        if samples.len() < MIN_SAMPLES {
            return None;
        }
        let order = rng.random_range(2..=MAX_ORDER);
        let velocity = |w: &[Sample]| {
            let dt = (w[1].t - w[0].t).max(1.0);
            ((w[1].x - w[0].x) / dt, (w[1].y - w[0].y) / dt)
        };
        // The movement is cut at rests: a velocity there says nothing of the next.
        let runs = samples.chunk_by(|a, b| b.t - a.t <= GAP_MS);
        let series: Vec<Vec<f64>> = runs
            .flat_map(|run| {
                let (x, y): (Vec<f64>, Vec<f64>) = run.windows(2).map(velocity).unzip();
                [x, y]
            })
            .collect();
        let mut normal = [[0.0; MAX_ORDER + 1]; MAX_ORDER];
        for window in series.iter().flat_map(|s| s.windows(order + 1)) {
            for (i, row) in normal.iter_mut().enumerate().take(order) {
                for j in 0..order {
                    row[j] += window[order - 1 - i] * window[order - 1 - j];
                }
                row[MAX_ORDER] += window[order - 1 - i] * window[order];
            }
        }
        let coefficients = solved(normal, order)?;
        let (mut square, mut count) = (0.0, 0usize);
        for window in series.iter().flat_map(|s| s.windows(order + 1)) {
            let expected: f64 = coefficients.iter().enumerate().map(|(i, c)| c * window[order - 1 - i]).sum();
            square += (window[order] - expected) * (window[order] - expected);
            count += 1;
        }
        let innovation = (square / number(count.max(1))).sqrt() * rng.random_range(0.3..1.2);
        let fastest = series.iter().flatten().fold(0.0f64, |fastest, v| fastest.max(v.abs()));
        let usable = innovation.is_finite() && fastest.is_finite() && fastest > 0.0;
        usable.then_some(Self { coefficients, innovation, fastest, bell: rng.random_bool(0.7) })
    }

    /// The places at `times` of a run that is led to the target.
    pub(super) fn places(&self, (from, to): Reach, times: &[f64], rng: &mut impl Rng) -> Vec<(f64, f64)> {
        let mut past = [[0.0; MAX_ORDER]; 2];
        let (mut x, mut y, mut before) = (0.0, 0.0, from.t);
        let run: Vec<(f64, f64)> = times
            .iter()
            .map(|t| {
                let dt = t - before;
                before = *t;
                for axis in &mut past {
                    let expected: f64 = self.coefficients.iter().zip(axis.iter()).map(|(c, v)| c * v).sum();
                    let next = (expected + self.innovation * gaussian(rng)).clamp(-self.fastest, self.fastest);
                    axis.rotate_right(1);
                    axis[0] = next;
                }
                (x, y) = (x + past[0][0] * dt, y + past[1][0] * dt);
                (x, y)
            })
            .collect();
        let span = (to.t - from.t).max(1e-9);
        let (ex, ey) = (to.x - from.x - x, to.y - from.y - y);
        run.into_iter()
            .zip(times)
            .map(|((x, y), t)| {
                let u = ((t - from.t) / span).clamp(0.0, 1.0);
                let s = if self.bell { u * u * u * (10.0 - 15.0 * u + 6.0 * u * u) } else { u };
                (from.x + x + s * ex, from.y + y + s * ey)
            })
            .collect()
    }
}

/// Solves the normal equations, slightly ridged, by Gaussian elimination; `None` when they are singular.
fn solved(mut rows: [[f64; MAX_ORDER + 1]; MAX_ORDER], order: usize) -> Option<Vec<f64>> {
    for (i, row) in rows.iter_mut().enumerate().take(order) {
        row[i] += 1e-6 * row[i] + 1e-12;
    }
    for i in 0..order {
        let pivot = rows[i];
        if !(pivot[i].is_finite() && pivot[i] > 0.0) {
            return None;
        }
        for (k, row) in rows.iter_mut().enumerate().take(order) {
            if k != i {
                let factor = row[i] / pivot[i];
                row.iter_mut().zip(pivot).for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    Some((0..order).map(|i| rows[i][MAX_ORDER] / rows[i][i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let rows = [[2.0, 1.0, 0.0, 0.0, 4.0], [1.0, 3.0, 0.0, 0.0, 7.0], [0.0; 5], [0.0; 5]];
        let found = solved(rows, 2).unwrap();
        assert!((found[0] - 1.0).abs() < 1e-5 && (found[1] - 2.0).abs() < 1e-5, "{found:?}");
        assert_eq!(solved([[0.0; 5]; 4], 2).map(|v| v.iter().all(|c| *c == 0.0)), Some(true));
    }
}
