//! Quantiles of sorted values, and of the people a model was fitted on, column by column.

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

/// Which quantiles a [`Profile`] holds.
pub const SHARES: [f64; 11] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/// How one column is spread among the people a model was fitted on: its values at [`SHARES`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile(pub [f64; SHARES.len()]);

impl Profile {
    /// The profile of values in any order.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(SHARES.map(|share| quantile(&values, share)))
    }

    /// Whether the values are finite and ascend.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.0.iter().all(|v| v.is_finite()) && self.0.is_sorted()
    }

    /// Half of the people lie below.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.0[5]
    }

    /// What nine people in ten lie within.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        (self.0[0], self.0[10])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_and_ends_are_kept() {
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| quantile(&[1.0, 3.0], q)), [1.0, 1.5, 2.0, 3.0]);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }

    #[test]
    fn a_profile_gives_median_and_range_in_any_order() {
        let profile = Profile::of((0..=100).rev().map(f64::from).collect());
        assert_eq!((profile.median(), profile.range(), profile.is_sound()), (50.0, (5.0, 95.0), true));
    }
}
