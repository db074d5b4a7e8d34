//! Support: how far a movement is from people at all.
//!
//! Trees answer everywhere, also where neither people nor counterexamples are. This measure knows people alone. Each
//! column is brought to the normal scale by the quantiles that people have there, so that no column's tail outweighs the
//! others, and the measure is the squared Mahalanobis distance from the mean person, with a covariance that is drawn
//! towards the identity (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
//! Journal of Multivariate Analysis 88, 2004).

use super::classifier::single;

/// Quantiles that a column's normal scale is read from; between them it is linear.
pub const KNOTS: usize = 33;
/// Beyond the outermost people a column counts as this many standard deviations from the mean at most.
const MAX_DEVIATION: f32 = 3.7;
/// Weight of the identity in the covariance.
const SHRINKAGE: f64 = 0.1;

/// One column and the values that people have there.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Its place in the feature set.
    pub index: usize,
    /// Ascending values of people at equally spaced shares, from the least to the largest.
    pub knots: [f32; KNOTS],
}

/// How far a row is from people.
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    scales: Vec<Scale>,
    mean: Vec<f32>,
    /// The inverse of the covariance, row by row, the lower triangle with its diagonal.
    precision: Vec<f32>,
    /// The same without its diagonal, column by column: the order in which a row's sums are taken side by side.
    columns: Vec<f32>,
}

/// What one column does for the distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Its place in the feature set.
    pub index: usize,
    /// What it adds to the squared distance; the sum over all columns is the distance. Below 0 where it agrees with what
    /// the other columns let expect.
    pub added: f64,
}

impl Scale {
    /// The scale of values in any order.
    fn of(index: usize, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let knots = std::array::from_fn(|k| single(super::quantiles::quantile(&values, k as f64 / (KNOTS - 1) as f64)));
        Self { index, knots }
    }

    /// The value on the normal scale: the normal quantile of the share of people below, ties in the middle.
    fn normal(&self, value: f32) -> f32 {
        let below = self.knots.partition_point(|knot| *knot < value);
        let not_above = self.knots.partition_point(|knot| *knot <= value);
        #[expect(clippy::cast_precision_loss, reason = "at most 33")]
        let at = if not_above > below {
            // On knots: people with this very value lie on either side.
            0.5 * (below + not_above - 1) as f32
        } else if below == 0 {
            return -MAX_DEVIATION;
        } else if below == KNOTS {
            return MAX_DEVIATION;
        } else {
            let (low, high) = (self.knots[below - 1], self.knots[below]);
            (below - 1) as f32 + (value - low) / (high - low)
        };
        #[expect(clippy::cast_precision_loss, reason = "33")]
        let share = at / (KNOTS - 1) as f32;
        single(normal_quantile(f64::from(share))).clamp(-MAX_DEVIATION, MAX_DEVIATION)
    }
}

impl Support {
    /// The support of `people`: rows of a feature set, of which `columns` are looked at. `None` when they are too much
    /// alike to have a covariance.
    #[must_use]
    pub fn fit(people: &[&[f64]], columns: &[usize]) -> Option<Self> {
        let of = |index: &usize| Scale::of(*index, people.iter().map(|row| row[*index]).collect());
        let scales: Vec<Scale> = columns.iter().map(of).collect();
        let width = scales.len();
        let rows: Vec<Vec<f64>> = people
            .iter()
            .map(|row| scales.iter().map(|s| f64::from(s.normal(single(row[s.index])))).collect())
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
        let n = rows.len() as f64;
        let mean: Vec<f64> = (0..width).map(|i| rows.iter().map(|row| row[i]).sum::<f64>() / n).collect();
        let mut covariance = vec![0.0; width * width];
        for row in &rows {
            for i in 0..width {
                let a = row[i] - mean[i];
                for j in 0..=i {
                    covariance[i * width + j] += a * (row[j] - mean[j]);
                }
            }
        }
        for i in 0..width {
            for j in 0..=i {
                let identity = if i == j { SHRINKAGE } else { 0.0 };
                covariance[i * width + j] = (1.0 - SHRINKAGE) * covariance[i * width + j] / n + identity;
            }
        }
        let inverse = inverse_of_positive(covariance, width)?;
        let precision =
            (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| single(inverse[i * width + j]));
        Self::from_parts(scales, mean.iter().map(|v| single(*v)).collect(), precision.collect(), usize::MAX)
    }

    /// A support of rows of `width` columns; `None` when its parts do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(scales: Vec<Scale>, mean: Vec<f32>, precision: Vec<f32>, width: usize) -> Option<Self> {
        let n = scales.len();
        let fit = mean.len() == n && precision.len() == n * (n + 1) / 2 && scales.iter().all(|s| s.index < width);
        let finite = mean.iter().chain(&precision).chain(scales.iter().flat_map(|s| &s.knots)).all(|v| v.is_finite());
        let ascending = scales.iter().all(|s| s.knots.is_sorted());
        if !(fit && finite && ascending) {
            return None;
        }
        let below = |column: usize| (column + 1..n).map(move |row| row * (row + 1) / 2 + column);
        let columns = (0..n).flat_map(below).map(|at| precision[at]).collect();
        Some(Self { scales, mean, precision, columns })
    }

    /// The columns it looks at.
    #[must_use]
    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The mean person on the normal scale.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The lower triangle of the inverse covariance, row by row.
    #[must_use]
    pub fn precision(&self) -> &[f32] {
        &self.precision
    }

    /// The squared distance of a row from the mean person: about the number of columns for a person, finite.
    #[must_use]
    pub fn distance(&self, row: &[f64]) -> f64 {
        self.added(row).iter().map(|added| f64::from(*added)).sum::<f64>().clamp(0.0, f64::MAX)
    }

    /// What each column adds to [`Support::distance`], the largest first: its deviation times that of all columns,
    /// weighted by their covariance.
    #[must_use]
    pub fn shares(&self, row: &[f64]) -> Vec<Share> {
        let added = self.added(row);
        let mut all: Vec<Share> = self
            .scales
            .iter()
            .zip(added)
            .map(|(scale, added)| Share { index: scale.index, added: f64::from(added) })
            .collect();
        all.sort_by(|a, b| b.added.total_cmp(&a.added).then(a.index.cmp(&b.index)));
        all
    }

    fn added(&self, row: &[f64]) -> Vec<f32> {
        let deviation: Vec<f32> =
            self.scales.iter().zip(&self.mean).map(|(s, mean)| s.normal(single(row[s.index])) - mean).collect();
        // Each column's pull is a sum over all columns, its own first, then those before it, then those behind it. All
        // pulls take their next term together, so that the terms become vector instructions.
        let mut line = 0;
        let mut pull: Vec<f32> = (0..deviation.len())
            .map(|i| {
                line += i + 1;
                self.precision[line - 1] * deviation[i]
            })
            .collect();
        let mut columns = self.columns.as_slice();
        for (j, deviation) in deviation.iter().enumerate() {
            let (column, rest) = columns.split_at(pull.len() - j - 1);
            columns = rest;
            for (pull, weight) in pull[j + 1..].iter_mut().zip(column) {
                *pull += weight * deviation;
            }
        }
        let mut lines = self.precision.as_slice();
        for (k, deviation) in deviation.iter().enumerate() {
            let (line, rest) = lines.split_at(k + 1);
            lines = rest;
            for (pull, weight) in pull[..k].iter_mut().zip(line) {
                *pull += weight * deviation;
            }
        }
        deviation.iter().zip(pull).map(|(deviation, pull)| deviation * pull).collect()
    }
}

/// The inverse of a symmetric positive matrix whose lower triangle is given, by Cholesky's factors.
fn inverse_of_positive(mut matrix: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| matrix[i * n + k] * matrix[j * n + k]).sum();
            let value = matrix[i * n + j] - sum;
            if i == j {
                if value.is_nan() || value <= 0.0 {
                    return None;
                }
                matrix[i * n + i] = value.sqrt();
            } else {
                matrix[i * n + j] = value / matrix[j * n + j];
            }
        }
    }
    let mut inverse = vec![0.0; n * n];
    let mut column = vec![0.0; n];
    for c in 0..n {
        for i in 0..n {
            let sum: f64 = (0..i).map(|k| matrix[i * n + k] * column[k]).sum();
            column[i] = (f64::from(u8::from(i == c)) - sum) / matrix[i * n + i];
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|k| matrix[k * n + i] * column[k]).sum();
            column[i] = (column[i] - sum) / matrix[i * n + i];
        }
        (0..n).for_each(|i| inverse[i * n + c] = column[i]);
    }
    Some(inverse)
}

/// The normal quantile of `share`, to about 4e-4; infinite at 0 and 1 (Abramowitz and Stegun, Handbook of Mathematical
/// Functions, 26.2.23).
fn normal_quantile(share: f64) -> f64 {
    let tail = share.min(1.0 - share);
    if tail <= 0.0 {
        return if share < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let t = (-2.0 * tail.ln()).sqrt();
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let bottom = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let away = t - top / bottom;
    if share < 0.5 { -away } else { away }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two columns that go together, and one that says nothing.
    fn people() -> Vec<Vec<f64>> {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        (0..500).map(|i| vec![noise(i), noise(i) + 0.1 * noise(i + 7_000), noise(i + 30_000)]).collect()
    }

    fn support() -> Support {
        let people = people();
        let rows: Vec<&[f64]> = people.iter().map(Vec::as_slice).collect();
        Support::fit(&rows, &[0, 1, 2]).unwrap()
    }

    #[test]
    fn people_are_about_as_far_as_there_are_columns_and_what_no_person_combines_is_further() {
        let support = support();
        let people = people();
        let mean = people.iter().map(|row| support.distance(row)).sum::<f64>() / 500.0;
        assert!((1.5..4.0).contains(&mean), "{mean}");
        // Each value is ordinary, the pair is not.
        assert!(support.distance(&[0.9, 0.1, 0.5]) > 4.0 * mean);
        assert_eq!(support.shares(&[0.9, 0.1, 0.5])[2].index, 2);
    }

    #[test]
    fn people_who_are_all_the_same_have_distances_all_the_same() {
        let rows = vec![vec![1.0, 2.0]; 50];
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let support = Support::fit(&rows, &[0, 1]).unwrap();
        assert!(support.distance(&[1.0, 2.0]) < 1e-3);
        assert!(support.distance(&[1.5, 2.0]) > 1.0);
    }

    #[test]
    fn a_distance_is_the_same_bits_as_summed_column_by_column() {
        let model = crate::embedded::Model::bundled().unwrap();
        let support = &model.contents().judge.support;
        let width = model.feature_set().columns().len();
        for seed in 0..50u32 {
            let noise = |i: u32| f64::from((seed * 977 + i).wrapping_mul(2_654_435_761) >> 8) / 1e6 - 8.0;
            let row: Vec<f64> = (0..).map(noise).take(width).collect();
            let deviation: Vec<f32> =
                support.scales.iter().zip(&support.mean).map(|(s, m)| s.normal(single(row[s.index])) - m).collect();
            let mut pull = vec![0.0f32; deviation.len()];
            for i in 0..deviation.len() {
                let line = &support.precision[i * (i + 1) / 2..][..=i];
                let mut sum = line[i] * deviation[i];
                for j in 0..i {
                    sum += line[j] * deviation[j];
                    pull[j] += line[j] * deviation[i];
                }
                pull[i] += sum;
            }
            let plain: Vec<f32> = deviation.iter().zip(pull).map(|(d, pull)| d * pull).collect();
            assert_eq!(support.added(&row), plain);
        }
    }

    #[test]
    fn the_normal_quantile_is_that_of_the_tables() {
        for (share, expected) in [(0.5, 0.0), (0.975, 1.959_96), (0.01, -2.326_35)] {
            assert!((normal_quantile(share) - expected).abs() < 5e-4, "{share}");
        }
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_distance_and_no_row_is_infinitely_far(row in proptest::collection::vec(-1e9..1e9f64, 3)) {
            let support = support();
            let (distance, shares) = (support.distance(&row), support.shares(&row));
            prop_assert!(distance.is_finite() && distance >= 0.0);
            let sum: f64 = shares.iter().map(|share| share.added).sum();
            prop_assert!((sum - distance).abs() <= 1e-3 * (1.0 + distance));
        }
    }
}
