//! Easings and disturbances: when a program is where on its path, and what it adds to look less like one.

use rand::{Rng, RngExt};

use super::legs::Sample;

/// Progress along the path as a function of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Easing {
    Linear,
    Sine,
    Cubic,
    MinimumJerk,
    Out(f64),
    In(f64),
    /// A skewed bell of speed.
    Bell(f64),
}

impl Easing {
    /// Any easing.
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..10) {
            0..3 => Self::Linear,
            3 => Self::Sine,
            4 => Self::Cubic,
            5 | 6 => Self::MinimumJerk,
            7 => Self::Out(rng.random_range(1.5..5.0)),
            8 => Self::In(rng.random_range(1.5..3.0)),
            _ => Self::Bell(rng.random_range(0.25..0.7)),
        }
    }

    /// Share of the path done at share `u` of the time; both within 0 to 1.
    pub(super) fn at(self, u: f64) -> f64 {
        match self {
            Self::Linear => u,
            Self::Sine => 0.5 - 0.5 * (std::f64::consts::PI * u).cos(),
            Self::Cubic if u < 0.5 => 4.0 * u * u * u,
            Self::Cubic => 1.0 - 4.0 * (1.0 - u).powi(3),
            Self::MinimumJerk => u * u * u * (10.0 - 15.0 * u + 6.0 * u * u),
            Self::Out(power) => 1.0 - (1.0 - u).powf(power),
            Self::In(power) => u.powf(power),
            Self::Bell(peak) => {
                let warped = u.powf(0.5f64.ln() / peak.ln());
                warped * warped * (3.0 - 2.0 * warped)
            }
        }
    }
}

/// What is added to the positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Noise {
    None,
    Uniform(f64),
    Gaussian(f64),
    /// Correlated over some samples.
    Drift(f64, f64),
    /// A sine of this amplitude and frequency (Hz).
    Tremor(f64, f64),
}

impl Noise {
    /// Any disturbance, and often none.
    pub(super) fn draw(rng: &mut impl Rng) -> Self {
        let size = (rng.random_range(-1.2..1.6f64)).exp();
        match rng.random_range(0..10) {
            0..4 => Self::None,
            4..6 => Self::Uniform(size),
            6..8 => Self::Gaussian(0.7 * size),
            8 => Self::Drift(2.0 * size, rng.random_range(0.7..0.97)),
            _ => Self::Tremor(size, rng.random_range(4.0..14.0)),
        }
    }
}

/// Adds `noise` to the positions.
pub(super) fn disturb(points: &mut [Sample], noise: Noise, rng: &mut impl Rng) {
    let (mut x, mut y) = (0.0, 0.0);
    for point in points {
        (x, y) = match noise {
            Noise::None => (0.0, 0.0),
            Noise::Uniform(size) => (rng.random_range(-size..size), rng.random_range(-size..size)),
            Noise::Gaussian(size) => (size * gaussian(rng), size * gaussian(rng)),
            Noise::Drift(size, keep) => {
                let fresh = size * (1.0f64 - keep * keep).sqrt();
                (keep * x + fresh * gaussian(rng), keep * y + fresh * gaussian(rng))
            }
            Noise::Tremor(size, hertz) => {
                let phase = std::f64::consts::TAU * hertz * point.t / 1000.0;
                (size * phase.sin(), size * (1.1 * phase).cos())
            }
        };
        point.x += x;
        point.y += y;
    }
}

/// A standard normal number (Box and Muller, Annals of Mathematical Statistics 29, 1958).
pub fn gaussian(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A number between two positive ones whose logarithm is uniform.
pub(super) fn log_uniform(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
    low * (high / low).powf(rng.random::<f64>())
}
