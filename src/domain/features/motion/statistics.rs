//! Moments, quantiles and correlations of short series, each with a value for the empty one.

/// Moments of a series up to the fourth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) std: f64,
    /// Third standardised moment; 0 without spread.
    pub(super) skew: f64,
    /// Fourth standardised moment (3 for a Gaussian); 0 without spread.
    pub(super) kurtosis: f64,
}

impl Moments {
    pub(super) fn of(series: &[f64]) -> Self {
        if series.is_empty() {
            return Self::default();
        }
        let n = count(series.len());
        let mean = series.iter().sum::<f64>() / n;
        let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
        for value in series {
            let d = value - mean;
            let square = d * d;
            m2 += square;
            m3 += square * d;
            m4 += square * square;
        }
        let variance = m2 / n;
        let std = variance.sqrt();
        if variance <= 1e-18 {
            return Self { mean, std, skew: 0.0, kurtosis: 0.0 };
        }
        Self { mean, std, skew: m3 / n / (variance * std), kurtosis: m4 / n / (variance * variance) }
    }
}

/// The lower empirical quantile, by selection; `empty` for an empty series. Reorders the series.
pub(super) fn quantile(series: &mut [f64], q: f64, empty: f64) -> f64 {
    let Some(last) = series.len().checked_sub(1) else { return empty };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a length")]
    let at = (count(last) * q).round() as usize;
    *series.select_nth_unstable_by(at.min(last), f64::total_cmp).1
}

/// Running sums for a correlation and a regression line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pairs {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Pairs {
    pub(super) fn push(&mut self, x: f64, y: f64) {
        self.n += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    fn centred(&self) -> Option<(f64, f64, f64)> {
        let n = self.n;
        let (vx, vy, c) = (self.xx - self.x * self.x / n, self.yy - self.y * self.y / n, self.xy - self.x * self.y / n);
        let floor = 1e-12 * (self.xx + self.yy);
        (n >= 3.0 && vx > floor && vy > floor).then_some((vx, vy, c))
    }

    /// Pearson's r; 0 where it is not defined.
    pub(super) fn correlation(&self) -> f64 {
        self.centred().map_or(0.0, |(vx, vy, c)| (c / (vx * vy).sqrt()).clamp(-1.0, 1.0))
    }

    /// Slope of the least-squares line of y on x; 0 where it is not defined.
    pub(super) fn slope(&self) -> f64 {
        self.centred().map_or(0.0, |(vx, _, c)| c / vx)
    }
}

/// A length as a number.
#[expect(clippy::cast_precision_loss, reason = "a session's counts are far below 2^53")]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_known_series() {
        let m = Moments::of(&[1.0, 2.0, 3.0, 4.0, 10.0]);
        assert!((m.mean - 4.0).abs() < 1e-12 && (m.std - 10f64.sqrt()).abs() < 1e-12);
        assert!((m.skew - 180.0 / 5.0 / 10f64.powf(1.5)).abs() < 1e-12);
    }

    #[test]
    fn lines_and_constants() {
        let mut line = Pairs::default();
        (0..5).for_each(|i| line.push(f64::from(i), 3.0 - 2.0 * f64::from(i)));
        assert!((line.correlation() + 1.0).abs() < 1e-12 && (line.slope() + 2.0).abs() < 1e-12);
        let mut flat = Pairs::default();
        (0..5).for_each(|i| flat.push(f64::from(i), 3.0));
        assert_eq!((flat.correlation(), flat.slope()), (0.0, 0.0));
    }

    #[test]
    fn quantiles_of_few_values() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5, 9.0), 2.0);
        assert_eq!(quantile(&mut [], 0.5, 9.0), 9.0);
    }
}
