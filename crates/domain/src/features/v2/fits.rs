//! How well one smooth primitive explains a stretch of the path: least-squares polynomials in time.
//!
//! A hand corrects itself several times a second, so what is left of 0.4 s of its motion beyond a parabola is smooth and
//! grows with speed (signal-dependent noise: Harris and Wolpert, Nature 394, 1998). A drawn curve leaves next to
//! nothing, added noise leaves white noise of one size. Polynomials are discrete orthonormal ones (Gram), so a
//! residual is the energy minus the energies of the degrees taken out.

use super::resample::Steps;
use super::statistics::{Pairs, count, ln, sorted};

/// Names of the values that [`Fits::measure`] appends.
pub(super) const COLUMNS: [&str; 17] = [
    "fitAlongMedian",
    "fitAlongQ10",
    "fitAcross2Median",
    "fitAcross2Q10",
    "fitAcross2Q90",
    "fitAcross4Median",
    "fitAcross4Q10",
    "fitAcrossSmoothMedian",
    "fitAcrossSmoothQ10",
    "fitAlongSmoothMedian",
    "fitNoiseSlope",
    "fitNoiseCorrelation",
    "strokeFitAlongMedian",
    "strokeFitAlongQ25",
    "strokeFitAcrossMedian",
    "strokeFitAcrossQ25",
    "strokeFitSmoothMedian",
];

/// Points in a window: 15 steps.
const POINTS: usize = 16;
/// Windows start this many steps apart.
const STRIDE: usize = 4;
/// Highest degree taken out.
const DEGREES: usize = 6;
/// A stroke that is fitted has at least this many steps.
const STROKE_STEPS: usize = 8;
/// Keeps logarithms finite: a hundred-thousandth of the stretch's length.
const FLOOR: f64 = 1e-10;

/// Per-window and per-stroke series, reused from session to session.
#[derive(Debug)]
pub(super) struct Fits {
    basis: [[f64; POINTS]; DEGREES],
    along: Vec<f64>,
    across2: Vec<f64>,
    across4: Vec<f64>,
    across_smooth: Vec<f64>,
    along_smooth: Vec<f64>,
    stroke_along: Vec<f64>,
    stroke_across: Vec<f64>,
    stroke_smooth: Vec<f64>,
}

impl Default for Fits {
    fn default() -> Self {
        Self {
            basis: basis(),
            along: Vec::new(),
            across2: Vec::new(),
            across4: Vec::new(),
            across_smooth: Vec::new(),
            along_smooth: Vec::new(),
            stroke_along: Vec::new(),
            stroke_across: Vec::new(),
            stroke_smooth: Vec::new(),
        }
    }
}

/// Squared residuals of one stretch, over its squared length.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Residual {
    /// Along the stretch beyond a parabola, and what of it degrees 3 to 5 take out.
    along: (f64, f64),
    /// Across it beyond a parabola, and what of it degrees 3 to 5 take out.
    across: (f64, f64),
    /// Across it beyond degree 4.
    across4: f64,
}

/// Orthonormal polynomials of degree 0 to 5 on [`POINTS`] places.
fn basis() -> [[f64; POINTS]; DEGREES] {
    let mut all = [[0.0; POINTS]; DEGREES];
    for degree in 0..DEGREES {
        let mut values: [f64; POINTS] = std::array::from_fn(|k| {
            (2.0 * count(k) / count(POINTS - 1) - 1.0).powi(i32::try_from(degree).unwrap_or(0))
        });
        for lower in &all[..degree] {
            let overlap: f64 = values.iter().zip(lower).map(|(v, l)| v * l).sum();
            values.iter_mut().zip(lower).for_each(|(v, l)| *v -= overlap * l);
        }
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        all[degree] = values.map(|v| v / norm);
    }
    all
}

impl Fits {
    /// Appends the values named in [`COLUMNS`]; `steps` are normalised.
    pub(super) fn measure(&mut self, steps: &Steps, row: &mut Vec<f64>) {
        for series in [
            &mut self.along,
            &mut self.across2,
            &mut self.across4,
            &mut self.across_smooth,
            &mut self.along_smooth,
            &mut self.stroke_along,
            &mut self.stroke_across,
            &mut self.stroke_smooth,
        ] {
            series.clear();
        }
        let mut noise = Pairs::default();
        for run in steps.runs() {
            let before = &steps.before[run.start..=run.end];
            for window in before.windows(POINTS).step_by(STRIDE) {
                let length = window[POINTS - 1][2] - window[0][2];
                if length < 0.4 * count(POINTS - 1) {
                    continue;
                }
                let x = std::array::from_fn(|k| window[k][0] - window[0][0]);
                let y = std::array::from_fn(|k| window[k][1] - window[0][1]);
                let fit = self.residual(&x, &y, length);
                self.along.push(0.5 * ln(fit.along.0 + FLOOR));
                self.across2.push(0.5 * ln(fit.across.0 + FLOOR));
                self.across4.push(0.5 * ln(fit.across4 + FLOOR));
                self.across_smooth.push(fit.across.1 / (fit.across.0 + FLOOR));
                self.along_smooth.push(fit.along.1 / (fit.along.0 + FLOOR));
                noise.push(ln(length), 0.5 * ln(fit.across4 * length * length + 1e-8));
            }
        }
        let [along_low, along] = sorted(&mut self.along, [0.1, 0.5], -4.0);
        let [low, median, high] = sorted(&mut self.across2, [0.1, 0.5, 0.9], -4.0);
        let [low4, median4] = sorted(&mut self.across4, [0.1, 0.5], -5.0);
        let [smooth_low, smooth] = sorted(&mut self.across_smooth, [0.1, 0.5], 0.7);
        let [along_smooth] = sorted(&mut self.along_smooth, [0.5], 0.7);
        row.extend([
            along,
            along_low,
            median,
            low,
            high,
            median4,
            low4,
            smooth,
            smooth_low,
            along_smooth,
            noise.slope(),
            noise.correlation(),
        ]);
        for run in steps.runs() {
            let mut begin = run.start;
            for k in run.clone() {
                if steps.length[k] < super::strokes::NEAR_STOP {
                    self.stroke(steps, begin, k);
                    begin = k + 1;
                }
            }
            self.stroke(steps, begin, run.end);
        }
        let [along_low, along] = sorted(&mut self.stroke_along, [0.25, 0.5], -3.0);
        let [across_low, across] = sorted(&mut self.stroke_across, [0.25, 0.5], -3.0);
        let [smooth] = sorted(&mut self.stroke_smooth, [0.5], 0.7);
        row.extend([along, along_low, across, across_low, smooth]);
    }

    fn stroke(&mut self, steps: &Steps, begin: usize, end: usize) {
        let n = end.saturating_sub(begin);
        if n < STROKE_STEPS {
            return;
        }
        let before = &steps.before[begin..=end];
        let length = before[n][2] - before[0][2];
        let scale = count(n) / count(POINTS - 1);
        let at = |k: usize, axis: usize| {
            let place = count(k) * scale;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the stroke")]
            let low = (place as usize).min(n - 1);
            let share = place - count(low);
            before[low][axis] + share * (before[low + 1][axis] - before[low][axis]) - before[0][axis]
        };
        let x = std::array::from_fn(|k| at(k, 0));
        let y = std::array::from_fn(|k| at(k, 1));
        let fit = self.residual(&x, &y, length);
        self.stroke_along.push(0.5 * ln(fit.along.0 + FLOOR));
        self.stroke_across.push(0.5 * ln(fit.across4 + FLOOR));
        self.stroke_smooth.push(fit.across.1 / (fit.across.0 + FLOOR));
    }

    fn residual(&self, x: &[f64; POINTS], y: &[f64; POINTS], length: f64) -> Residual {
        // The direction of the straight part.
        let project = |values: &[f64; POINTS], degree: usize| -> f64 {
            values.iter().zip(&self.basis[degree]).map(|(v, b)| v * b).sum()
        };
        let (lx, ly) = (project(x, 1), project(y, 1));
        let size = (lx * lx + ly * ly).sqrt();
        let (ux, uy) = if size > 0.0 { (lx / size, ly / size) } else { (1.0, 0.0) };
        let mut along = [0.0; POINTS];
        let mut across = [0.0; POINTS];
        for k in 0..POINTS {
            along[k] = x[k] * ux + y[k] * uy;
            across[k] = y[k] * ux - x[k] * uy;
        }
        let energies = |values: &[f64; POINTS]| -> ([f64; DEGREES], f64) {
            let of: [f64; DEGREES] = std::array::from_fn(|degree| {
                let c = project(values, degree);
                c * c
            });
            let total: f64 = values.iter().map(|v| v * v).sum();
            (of, total)
        };
        let scale = 1.0 / (length * length * count(POINTS));
        let beyond = |(of, total): &([f64; DEGREES], f64), degree: usize| {
            (total - of[..=degree].iter().sum::<f64>()).max(0.0) * scale
        };
        let (a, c) = (energies(&along), energies(&across));
        let smooth = |(of, _): &([f64; DEGREES], f64)| of[3..].iter().sum::<f64>() * scale;
        Residual { along: (beyond(&a, 2), smooth(&a)), across: (beyond(&c, 2), smooth(&c)), across4: beyond(&c, 4) }
    }
}
