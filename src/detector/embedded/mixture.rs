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
}

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
        sound.then_some(Self { dimension, parts })
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
        for part in &self.parts {
            for ((c, x), m) in centred.iter_mut().zip(row).zip(&part.mean) {
                *c = x - m;
            }
            let term = part.offset - 0.5 * squared_length(&part.factor, &centred[..self.dimension]);
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

/// `|P c|^2` for a packed lower triangular `P`.
fn squared_length(mut factor: &[f32], centred: &[f32]) -> f64 {
    let mut total = 0.0;
    for i in 1..=centred.len() {
        let Some((row, rest)) = factor.split_at_checked(i) else { break };
        factor = rest;
        let value = f64::from(dot(row, &centred[..i]));
        total += value * value;
    }
    total
}

/// Eight lanes, added in a fixed order: vector instructions, the same bits on every run.
#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in left.zip(right) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f32>() + rest
}
