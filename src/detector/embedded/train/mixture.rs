//! Fitting a [`Mixture`] by expectation and maximisation from a k-means++ start.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::mixture::{Gaussian, Mixture};

/// How a mixture is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Number of Gaussians.
    pub parts: usize,
    /// Rounds of expectation and maximisation.
    pub rounds: usize,
    /// Rows' worth of the pooled covariance that is mixed into each part's own, so that small parts stay round.
    pub prior: f64,
}

struct Part {
    weight: f64,
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

/// Fits the mixture; `None` without rows.
#[must_use]
pub fn fit(rows: &[Vec<f32>], settings: &Settings, seed: u64) -> Option<Mixture> {
    let d = rows.first()?.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let everyone = vec![1.0; rows.len()];
    let pooled = part_of(rows, &everyone, d, None);
    let prior: Vec<f64> = (0..d * d)
        .map(|i| {
            let diagonal = i / d == i % d;
            // The ridge keeps columns that hardly vary from ruling the distance.
            pooled.covariance[i] * if diagonal { 1.0 } else { 0.9 } + if diagonal { 0.02 } else { 0.0 }
        })
        .collect();
    let mut shares: Vec<Vec<f64>> = first_shares(rows, settings.parts, &mut rng);
    let mut mixture = None;
    for _ in 0..settings.rounds {
        let parts: Vec<Gaussian> = shares
            .par_iter()
            .map(|share| part_of(rows, share, d, Some((&prior, settings.prior))))
            .map(|part| gaussian(&part, d))
            .collect::<Option<_>>()?;
        let current = Mixture::from_parts(d, parts)?;
        shares = expectation(rows, &current);
        mixture = Some(current);
    }
    mixture
}

/// Every row wholly to the nearest of the k-means++ centres.
fn first_shares(rows: &[Vec<f32>], parts: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from((x - y) * (x - y))).sum::<f64>();
    let mut centres = vec![rng.random_range(0..rows.len())];
    let mut nearest: Vec<f64> = rows.iter().map(|r| distance(r, &rows[centres[0]])).collect();
    while centres.len() < parts {
        let total: f64 = nearest.iter().sum();
        let mut left = rng.random::<f64>() * total;
        let at = nearest.iter().position(|d| {
            left -= d;
            left <= 0.0
        });
        let centre = at.unwrap_or(rows.len() - 1);
        for (best, row) in nearest.iter_mut().zip(rows) {
            *best = best.min(distance(row, &rows[centre]));
        }
        centres.push(centre);
    }
    let mut shares = vec![vec![0.0; rows.len()]; parts];
    for (i, row) in rows.iter().enumerate() {
        let distances = centres.iter().map(|c| distance(row, &rows[*c]));
        let best = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k);
        shares[best][i] = 1.0;
    }
    shares
}

fn expectation(rows: &[Vec<f32>], mixture: &Mixture) -> Vec<Vec<f64>> {
    let singles: Vec<Mixture> =
        mixture.parts().iter().filter_map(|g| Mixture::from_parts(mixture.dimension(), vec![g.clone()])).collect();
    let logs: Vec<Vec<f64>> =
        singles.par_iter().map(|single| rows.iter().map(|r| -single.surprise(r)).collect()).collect();
    let all: Vec<f64> = rows.par_iter().map(|r| -mixture.surprise(r)).collect();
    logs.into_iter().map(|log| log.into_iter().zip(&all).map(|(part, all)| (part - all).exp()).collect()).collect()
}

fn part_of(rows: &[Vec<f32>], share: &[f64], d: usize, prior: Option<(&[f64], f64)>) -> Part {
    let total: f64 = share.iter().sum::<f64>().max(1e-9);
    let mut mean = vec![0.0; d];
    for (row, s) in rows.iter().zip(share) {
        for (m, x) in mean.iter_mut().zip(row) {
            *m += s * f64::from(*x);
        }
    }
    mean.iter_mut().for_each(|m| *m /= total);
    let mut covariance = vec![0.0; d * d];
    let mut centred = vec![0.0; d];
    for (row, s) in rows.iter().zip(share) {
        if *s < 1e-6 {
            continue;
        }
        for ((c, x), m) in centred.iter_mut().zip(row).zip(&mean) {
            *c = f64::from(*x) - m;
        }
        for i in 0..d {
            let scaled = s * centred[i];
            for (slot, c) in covariance[i * d..=i * d + i].iter_mut().zip(&centred) {
                *slot += scaled * c;
            }
        }
    }
    let (prior, rows_worth) = prior.map_or((None, 0.0), |(p, w)| (Some(p), w));
    for i in 0..d {
        for j in 0..=i {
            let own = covariance[i * d + j];
            let value = (own + prior.map_or(0.0, |p| rows_worth * p[i * d + j])) / (total + rows_worth);
            covariance[i * d + j] = value;
            covariance[j * d + i] = value;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of rows")]
    let weight = total / rows.len() as f64;
    Part { weight, mean, covariance }
}

/// The part in the form in which it is evaluated; `None` when its covariance is not positive definite.
fn gaussian(part: &Part, d: usize) -> Option<Gaussian> {
    let lower = cholesky(&part.covariance, d)?;
    // P = L^-1, row by row, by forward substitution.
    let mut inverse = vec![0.0; d * d];
    for i in 0..d {
        inverse[i * d + i] = 1.0 / lower[i * d + i];
        for j in 0..i {
            let sum: f64 = (j..i).map(|k| lower[i * d + k] * inverse[k * d + j]).sum();
            inverse[i * d + j] = -sum / lower[i * d + i];
        }
    }
    let log_det: f64 = (0..d).map(|i| inverse[i * d + i].ln()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let constant = 0.5 * d as f64 * std::f64::consts::TAU.ln();
    let packed = (0..d).flat_map(|i| inverse[i * d..=i * d + i].iter().copied());
    #[expect(clippy::cast_possible_truncation, reason = "parameters are stored in single precision")]
    let single = |v: f64| v as f32;
    Some(Gaussian {
        offset: part.weight.ln() + log_det - constant,
        mean: part.mean.iter().copied().map(single).collect(),
        factor: packed.map(single).collect(),
    })
}

fn cholesky(matrix: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut lower = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i * d + k] * lower[j * d + k]).sum();
            let rest = matrix[i * d + j] - sum;
            if i == j {
                if rest <= 0.0 {
                    return None;
                }
                lower[i * d + i] = rest.sqrt();
            } else {
                lower[i * d + j] = rest / lower[j * d + j];
            }
        }
    }
    Some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gaussian_has_the_density_of_the_textbook() {
        // Mean 0, covariance [[4, 2], [2, 2]]; det 4, inverse [[0.5, -0.5], [-0.5, 1]].
        let part = Part { weight: 1.0, mean: vec![0.0, 0.0], covariance: vec![4.0, 2.0, 2.0, 2.0] };
        let mixture = Mixture::from_parts(2, vec![gaussian(&part, 2).unwrap()]).unwrap();
        let squared = 0.5 * 1.0 - 2.0 * 0.5 * 3.0 + 9.0;
        let expected = std::f64::consts::TAU.ln() + 0.5 * 4f64.ln() + 0.5 * squared;
        assert!((mixture.surprise(&[1.0, 3.0]) - expected).abs() < 1e-5);
    }

    #[test]
    fn two_clouds_are_found_and_the_space_between_them_is_odd() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows: Vec<Vec<f32>> = (0..600)
            .map(|i| {
                let centre = if i % 2 == 0 { -5.0 } else { 5.0 };
                (0..3).map(|_| centre + rng.random::<f32>() - 0.5).collect()
            })
            .collect();
        let mixture = fit(&rows, &Settings { parts: 2, rounds: 10, prior: 1.0 }, 7).unwrap();
        let surprise = |v: f32| mixture.surprise(&[v, v, v]);
        assert!(surprise(0.0) > surprise(5.0) + 5.0 && surprise(0.0) > surprise(-5.0) + 5.0);
    }
}
