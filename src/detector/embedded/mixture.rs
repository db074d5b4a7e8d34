//! A Gaussian mixture with full covariances: how thinly humans populate the place of a row.
//!
//! Bishop, "Pattern Recognition and Machine Learning" (2006), section 9.2. Kept as the lower Cholesky factors of the
//! precisions' inverses, inverted: with `P = L^-1`, the squared Mahalanobis distance of `x` is `|P (x - mean)|^2` and
//! `-log N(x) = 0.5 (d ln 2 pi + |P (x - mean)|^2) - ln det P`.

/// One Gaussian, ready to evaluate.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    /// `ln weight + ln det P - 0.5 d ln 2 pi`.
    pub offset: f64,
    /// Mean.
    pub mean: Vec<f32>,
    /// Rows of the lower triangular `P`, row `i` with `i + 1` values.
    pub factor: Vec<f32>,
}

/// A weighted sum of Gaussians over the first `dimension` values of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    dimension: usize,
    parts: Vec<Gaussian>,
    /// The factor of each part, [`BLOCK`] rows at a time and within these column by column, padded with zeros: so the
    /// rows of a block are summed up side by side.
    blocks: Vec<Vec<[f32; BLOCK]>>,
}

/// Rows of a factor that are multiplied together.
const BLOCK: usize = 16;

/// Most dimensions that a model may hold, which bounds what one row costs.
pub const MAX_DIMENSION: usize = 256;

impl Mixture {
    /// A mixture from its parts; `None` when they do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(dimension: usize, parts: Vec<Gaussian>) -> Option<Self> {
        let sound = (1..=MAX_DIMENSION).contains(&dimension)
            && !parts.is_empty()
            && parts.iter().all(|g| {
                g.mean.len() == dimension
                    && g.factor.len() == dimension * (dimension + 1) / 2
                    && g.offset.is_finite()
                    && g.mean.iter().chain(&g.factor).all(|v| v.is_finite())
            });
        if !sound {
            return None;
        }
        let blocks = parts.iter().map(|part| in_blocks(&part.factor, dimension)).collect();
        Some(Self { dimension, parts, blocks })
    }

    /// Number of values of a row.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The Gaussians.
    #[must_use]
    pub fn parts(&self) -> &[Gaussian] {
        &self.parts
    }

    /// `-ln` density of the row, by the log-sum-exp of the parts; larger is odder.
    #[must_use]
    pub fn surprise(&self, row: &[f32]) -> f64 {
        let row = &row[..self.dimension];
        let mut centred = [0.0f32; MAX_DIMENSION];
        // The largest term is carried along, so that nothing overflows and one pass is enough.
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for (part, blocks) in self.parts.iter().zip(&self.blocks) {
            for ((c, x), m) in centred.iter_mut().zip(row).zip(&part.mean) {
                *c = x - m;
            }
            let term = part.offset - 0.5 * squared_length(blocks, &centred[..self.dimension]);
            if term > largest {
                sum = sum * (largest - term).exp() + 1.0;
                largest = term;
            } else {
                sum += (term - largest).exp();
            }
        }
        -(largest + sum.ln())
    }
}

/// The blocks of a packed lower triangular matrix: the one that begins at row `i` has `min(i + BLOCK, dimension)` columns.
fn in_blocks(factor: &[f32], dimension: usize) -> Vec<[f32; BLOCK]> {
    let mut blocks = Vec::new();
    for first in (0..dimension).step_by(BLOCK) {
        for column in 0..dimension.min(first + BLOCK) {
            blocks.push(std::array::from_fn(|lane| {
                let row = first + lane;
                if row < dimension && column <= row { factor[row * (row + 1) / 2 + column] } else { 0.0 }
            }));
        }
    }
    blocks
}

/// `|P c|^2` for the blocks of a lower triangular `P`; sums in a fixed order, the same bits on every run.
fn squared_length(mut blocks: &[[f32; BLOCK]], centred: &[f32]) -> f64 {
    let mut total = 0.0;
    for first in (0..centred.len()).step_by(BLOCK) {
        let columns = &centred[..centred.len().min(first + BLOCK)];
        let Some((block, rest)) = blocks.split_at_checked(columns.len()) else { break };
        blocks = rest;
        let mut sums = [0.0f32; BLOCK];
        for (factors, c) in block.iter().zip(columns) {
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum += factor * c;
            }
        }
        total += sums.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    }
    total
}
