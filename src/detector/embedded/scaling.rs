//! Robust scaling: every column on one comparable, unbounded but compressed scale.
//!
//! `asinh((g(x) - median) / sigma)` with `sigma` the interquartile range over 1.349 (a Gaussian's standard deviation)
//! and `g` the identity, or `ln(1 + x)` for columns that are never negative and lean far to the right. `asinh` is linear
//! near the median and logarithmic far out, so one wild value neither dominates a distance nor becomes invisible.

/// How one column is scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnScale {
    /// Whether `ln(1 + x)` comes first.
    pub log: bool,
    /// Median of the fitted values, after `g`.
    pub median: f64,
    /// Robust standard deviation of the fitted values, after `g`; above zero.
    pub sigma: f64,
}

impl ColumnScale {
    /// Fits a column.
    #[must_use]
    pub fn fit(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let low = values.first().copied().unwrap_or(0.0);
        let [q05, q50, q95] = [0.05, 0.5, 0.95].map(|q| quantile(&values, q));
        let log = low >= 0.0 && q95 - q50 > 3.0 * (q50 - q05);
        if log {
            values.iter_mut().for_each(|v| *v = v.ln_1p());
        }
        let [q25, median, q75] = [0.25, 0.5, 0.75].map(|q| quantile(&values, q));
        let iqr = (q75 - q25) / 1.349;
        let range = quantile(&values, 0.99) - quantile(&values, 0.01);
        // Columns that hardly vary are scaled by their range, constants not at all.
        let sigma = [iqr, range / 4.0].into_iter().find(|s| *s > 1e-9).unwrap_or(1.0);
        Self { log, median, sigma }
    }

    /// The scaled value; finite for any finite `x`.
    #[inline]
    #[must_use]
    pub fn apply(&self, x: f64) -> f64 {
        let g = if self.log { x.max(0.0).ln_1p() } else { x };
        asinh((g - self.median) / self.sigma)
    }
}

/// `asinh` without the standard library's care for tiny arguments, which costs more than the rest of the scaling.
#[inline]
fn asinh(z: f64) -> f64 {
    let a = z.abs().min(1e150);
    (a + (a * a + 1.0).sqrt()).ln().copysign(z)
}

/// Linearly interpolated quantile of sorted values; 0 for none.
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a length")]
    let at = q.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a length")]
    let low = at.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + at.fract() * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_median_scales_to_zero_and_one_sigma_to_about_one() {
        let scale = ColumnScale::fit((0..=1000).map(f64::from).collect());
        assert!(!scale.log);
        assert!(scale.apply(500.0).abs() < 1e-12);
        assert!((scale.apply(500.0 + scale.sigma) - 1f64.asinh()).abs() < 1e-12);
    }

    #[test]
    fn columns_that_lean_to_the_right_are_taken_logarithmically() {
        assert!(ColumnScale::fit((0..1000).map(|i| (f64::from(i) / 100.0).exp()).collect()).log);
    }

    #[test]
    fn constants_and_nothing_have_a_scale_too() {
        for values in [vec![], vec![3.0; 9]] {
            assert!(ColumnScale::fit(values).apply(1e300).is_finite());
        }
    }

    proptest! {
        #[test]
        fn order_is_kept_and_values_stay_finite(values in proptest::collection::vec(-1e9..1e9f64, 1..50), a in any::<f64>(), b in any::<f64>()) {
            let scale = ColumnScale::fit(values);
            prop_assume!(a.is_finite() && b.is_finite() && a <= b);
            prop_assert!(scale.apply(a).is_finite());
            prop_assert!(scale.apply(a) <= scale.apply(b) + 1e-9);
        }
    }
}
