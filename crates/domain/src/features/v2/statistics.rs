//! Moments, quantiles and correlations of short series, each with a value for the empty one.

/// Moments of a series up to the fourth.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::features) struct Moments {
    pub(in crate::features) std: f64,
    /// Third standardised moment; 0 without spread.
    pub(in crate::features) skew: f64,
    /// Fourth standardised moment (3 for a Gaussian); 0 without spread.
    pub(in crate::features) kurtosis: f64,
}

impl Moments {
    pub(in crate::features) fn of(series: &[f64]) -> Self {
        if series.is_empty() {
            return Self::default();
        }
        let n = count(series.len());
        let mean = sums(series, |v| [v]).map(|sum| sum / n)[0];
        let [variance, third, fourth] = sums(series, |v| {
            let d = v - mean;
            let square = d * d;
            [square, square * d, square * square]
        })
        .map(|sum| sum / n);
        let std = variance.sqrt();
        if variance <= 1e-18 {
            return Self { std, skew: 0.0, kurtosis: 0.0 };
        }
        Self { std, skew: third / (variance * std), kurtosis: fourth / (variance * variance) }
    }
}

/// Sums of several terms of each value, in four lanes added in a fixed order: vector instructions, the same bits on
/// every run.
#[inline]
pub(in crate::features) fn sums<const N: usize>(series: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0; 4]; N];
    let (chunks, rest) = series.as_chunks::<4>();
    for chunk in chunks {
        let values = chunk.map(&terms);
        for (term, lanes) in lanes.iter_mut().enumerate() {
            for (lane, values) in lanes.iter_mut().zip(&values) {
                *lane += values[term];
            }
        }
    }
    let mut total = lanes.map(|lanes| (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]));
    for value in rest {
        for (sum, term) in total.iter_mut().zip(terms(*value)) {
            *sum += term;
        }
    }
    total
}

/// The sum of the products of two series of one length, added as in [`sums`].
#[inline]
pub(in crate::features) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let ((left, a), (right, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (x, y) in left.iter().zip(right) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    let rest: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
}

/// Natural logarithm of a normal number above zero, to 1e-11: exponent, and for the mantissa `m` within `[sqrt 1/2,
/// sqrt 2)` a polynomial in the square of `(m - 1) / (m + 1)`. Without branches, so that loops over it become vector
/// instructions; anything else gives some finite number or NaN.
#[inline]
pub(in crate::features) fn ln(x: f64) -> f64 {
    const HALF_ROOT: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const ONE: u64 = 1f64.to_bits();
    const MANTISSA: u64 = (1 << 52) - 1;
    /// A number whose lowest bits count units: the exponent, put there, becomes a number by subtraction.
    const SHIFTER: f64 = 4_503_599_627_370_496.0;
    let bits = x.to_bits().wrapping_add(ONE - HALF_ROOT);
    let exponent = f64::from_bits((bits >> 52) | SHIFTER.to_bits()) - (SHIFTER + 1023.0);
    let m = f64::from_bits((bits & MANTISSA) + HALF_ROOT);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let even = 2.000_000_000_008_359_5
        + z * (0.666_666_652_474_794
            + z * (0.400_003_846_739_827_64 + z * (0.285_350_509_320_35 + z * 0.236_163_611_837_416_6)));
    exponent * std::f64::consts::LN_2 + s * even
}

/// The angle of the vector `(x, y)` of length `r`, above zero, to 1e-10: a polynomial in the tangent of a quarter of the
/// acute angle to the line of the abscissa; without branches.
#[inline]
pub(in crate::features) fn angle(y: f64, x: f64, r: f64) -> f64 {
    let half = y / (r + x.abs());
    let t = half / (1.0 + (1.0 + half * half).sqrt());
    let z = t * t;
    let even = 0.999_999_999_978_399
        + z * (-0.333_333_320_976_116_45
            + z * (0.199_998_838_566_581_8
                + z * (-0.142_815_887_745_984_7
                    + z * (0.110_404_892_436_695_8 + z * (-0.084_561_929_530_631_3 + z * 0.047_073_482_449_450_03)))));
    let acute = 4.0 * t * even;
    // Without a comparison: the sign of `x` as 1 or -1.
    let side = 1f64.copysign(x);
    side * acute + (0.5 - 0.5 * side) * std::f64::consts::PI.copysign(y)
}

/// Finds quantiles; holds the buffer for it.
#[derive(Debug, Default)]
pub(in crate::features) struct Selection(Vec<u64>);

impl Selection {
    /// Lower empirical quantiles; `empty` for an empty series. The series holds the bits of values that are not negative:
    /// those order like their bits. `shares` ascend.
    ///
    /// The values are put apart by exponent and first three bits of the mantissa, and only the bins that hold a quantile
    /// are searched further.
    pub(in crate::features) fn quantiles<const N: usize>(
        &mut self,
        series: &[u64],
        shares: [f64; N],
        empty: f64,
    ) -> [f64; N] {
        const BINS: usize = 128;
        const LOWEST: u64 = (1023 - 13) << 3;
        let Some(last) = series.len().checked_sub(1) else { return [empty; N] };
        let bin = |bits: u64| (bits >> 49).saturating_sub(LOWEST).min(BINS as u64 - 1) as usize;
        let mut ends = [0usize; BINS];
        for bits in series {
            ends[bin(*bits)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        self.0.resize(series.len().max(self.0.len()), 0);
        let apart = &mut self.0[..series.len()];
        for bits in series {
            let end = &mut ends[bin(*bits)];
            apart[*end] = *bits;
            *end += 1;
        }
        shares.map(|share| {
            let at = place(last, share).min(last);
            let own = ends.partition_point(|end| *end <= at);
            let begin = if own == 0 { 0 } else { ends[own - 1] };
            f64::from_bits(*apart[begin..ends[own]].select_nth_unstable(at - begin).1)
        })
    }
}

/// As [`Selection::quantiles`], of few values of any sign: sorts them.
pub(in crate::features) fn sorted<const N: usize>(series: &mut [f64], shares: [f64; N], empty: f64) -> [f64; N] {
    let Some(last) = series.len().checked_sub(1) else { return [empty; N] };
    series.sort_unstable_by(f64::total_cmp);
    shares.map(|share| series[place(last, share).min(last)])
}

/// `last * share` to the nearest whole number.
fn place(last: usize, share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a length")]
    let at = (count(last) * share + 0.5) as usize;
    at
}

/// Running sums for a correlation and a regression line.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::features) struct Pairs {
    pub(in crate::features) n: f64,
    pub(in crate::features) x: f64,
    pub(in crate::features) y: f64,
    pub(in crate::features) xx: f64,
    pub(in crate::features) yy: f64,
    pub(in crate::features) xy: f64,
}

impl Pairs {
    pub(in crate::features) fn push(&mut self, x: f64, y: f64) {
        self.n += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    /// Adds the pairs of `other`.
    pub(in crate::features) fn add(&mut self, other: Self) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    /// Standard deviation of `y - x`; 0 for no pairs.
    pub(in crate::features) fn difference_std(&self) -> f64 {
        let n = self.n.max(1.0);
        let mean = (self.y - self.x) / n;
        ((self.xx + self.yy - 2.0 * self.xy) / n - mean * mean).max(0.0).sqrt()
    }

    fn centred(&self) -> Option<(f64, f64, f64)> {
        let n = self.n;
        let (vx, vy, c) = (self.xx - self.x * self.x / n, self.yy - self.y * self.y / n, self.xy - self.x * self.y / n);
        let floor = 1e-12 * (self.xx + self.yy);
        (n >= 3.0 && vx > floor && vy > floor).then_some((vx, vy, c))
    }

    /// Pearson's r; 0 where it is not defined.
    pub(in crate::features) fn correlation(&self) -> f64 {
        self.centred().map_or(0.0, |(vx, vy, c)| (c / (vx * vy).sqrt()).clamp(-1.0, 1.0))
    }

    /// Slope of the least-squares line of y on x; 0 where it is not defined.
    pub(in crate::features) fn slope(&self) -> f64 {
        self.centred().map_or(0.0, |(vx, _, c)| c / vx)
    }
}

/// A length as a number.
#[expect(clippy::cast_precision_loss, reason = "a session's counts are far below 2^53")]
pub(in crate::features) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_a_known_series() {
        let m = Moments::of(&[1.0, 2.0, 3.0, 4.0, 10.0]);
        assert!((m.std - 10f64.sqrt()).abs() < 1e-12);
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
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let values: Vec<f64> = (0..41).map(|i| f64::from(i * 17 % 41)).collect();
        for n in [1, 2, 3, 10, 41] {
            let shares = [0.1, 0.5, 0.9, 1.0];
            let selected = Selection::default().quantiles(&bits(&values[..n]), shares, 9.0);
            assert_eq!(selected, sorted(&mut values[..n].to_vec(), shares, 9.0));
        }
        assert_eq!(sorted(&mut [3.0, 1.0, 2.0], [0.5], 9.0), [2.0]);
        assert_eq!((Selection::default().quantiles(&[], [0.5], 9.0), sorted(&mut [], [0.5], 9.0)), ([9.0], [9.0]));
    }

    #[test]
    fn logarithms_and_angles_are_those_of_the_standard_library() {
        for i in 1..20_000 {
            let x = (f64::from(i) / 500.0 - 20.0).exp();
            assert!((ln(x) - x.ln()).abs() < 1e-10, "ln {x}");
            let (sin, cos) = (f64::from(i - 10_000) / 10_000.0 * std::f64::consts::PI).sin_cos();
            assert!((angle(3.0 * sin, 3.0 * cos, 3.0) - sin.atan2(cos)).abs() < 1e-9, "angle of {cos}, {sin}");
        }
    }
}
