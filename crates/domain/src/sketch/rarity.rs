//! What a likeness of two reaches is worth: how much likelier it is between a reach and its copy than by chance.
//!
//! Both are densities of the shape: around the reach itself, for a copy that was changed a little, a multivariate t of
//! [`FREEDOM_OF_COPIES`] degrees of freedom whose scales are the changes measured on people's reaches that were turned,
//! scaled, stretched, re-timed and resampled; and among all reaches the mixture of [`super::density`]. The decimal
//! logarithm of their ratio, with that of how long the two reaches took, less what a kind must give away before it counts
//! ([`Kind::price`]), is the excess of a pair. A plain reach has no excess however close its copy is.

use std::sync::OnceLock;

use super::density::{CLICK, COMPONENTS, Component, FREEDOM, PAIR, STOP};
use super::shape::{DIMENSIONS, Kind, Packed, Shape, levels};

/// Degrees of freedom of the changes that copies show.
const FREEDOM_OF_COPIES: f32 = 2.5;
/// The most that one pair counts, so that one likeness by chance is never enough.
pub const MAX_EXCESS: f32 = 5.0;
/// What the decimal logarithm exceeds by less counts nothing in a look-up.
const PRICE_OF_LOOK_UP: f32 = 3.0;
/// Standard deviation of the logarithm of how long a copy of a reach takes, as a share of the reach.
const DURATION_OF_COPIES: f32 = 0.14;
/// The same between reaches that are alike by chance, measured on people.
const DURATION_BY_CHANCE: f32 = 0.42;
/// The dimensions as a number.
#[expect(clippy::cast_precision_loss, reason = "a small constant")]
const COUNT: f32 = DIMENSIONS as f32;

impl Kind {
    /// The typical change of each number between a reach and its copy.
    pub(super) fn noise(self) -> &'static Shape {
        const NOISE: [Shape; 3] = [
            [0.0035, 0.0020, 0.0012, 0.0008, 0.0006, 0.0005, 0.0022, 0.0015, 0.0010, 0.0006, 0.0004, 0.0003],
            [0.0030, 0.0025, 0.0010, 0.0007, 0.0004, 0.0003, 0.0025, 0.0012, 0.0009, 0.0005, 0.0003, 0.0002],
            [0.0020, 0.0040, 0.0030, 0.0028, 0.0018, 0.0017, 0.0022, 0.0065, 0.0050, 0.0042, 0.0034, 0.0028],
        ];
        &NOISE[self.number()]
    }

    /// What the decimal logarithm must exceed: the choice among all that are stored, and what the densities get wrong.
    pub(super) fn price(self) -> f32 {
        match self {
            Self::Stop | Self::Click => 10.5,
            Self::Pair => 8.0,
        }
    }

    /// How much an excess of this kind counts.
    pub(super) fn weight(self) -> f32 {
        match self {
            Self::Click => 1.5,
            Self::Stop | Self::Pair => 1.0,
        }
    }

    fn mixture(self) -> &'static [Component; COMPONENTS] {
        match self {
            Self::Stop => &STOP,
            Self::Click => &CLICK,
            Self::Pair => &PAIR,
        }
    }
}

/// The natural logarithm of the density of a shape among all reaches.
fn chance(kind: Kind, shape: &Shape) -> f32 {
    let logs = kind.mixture().each_ref().map(|component| {
        let squared: f32 = shape
            .iter()
            .zip(&component.centre)
            .zip(&component.sharpness)
            .map(|((value, centre), sharpness)| ((value - centre) * sharpness).powi(2))
            .sum();
        // `ln_1p` takes several times as long, and is finer than a mixture can be.
        component.log - 0.5 * (FREEDOM + COUNT) * (1.0 + squared / FREEDOM).ln()
    });
    let top = logs.iter().copied().fold(f32::MIN, f32::max);
    top + logs.iter().map(|log| (log - top).exp()).sum::<f32>().ln()
}

/// A shape that others are compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    kind: Kind,
    /// Each number over its noise.
    scaled: Shape,
    /// What a copy without any change exceeds by, durations aside.
    best: f32,
    /// From this sum of squares on a stored reach counts nothing in a look-up.
    farthest: f32,
}

impl Target {
    pub(super) fn new(kind: Kind, shape: &Shape) -> Self {
        let log: f32 = kind.noise().iter().map(|noise| noise.ln()).sum();
        let best = (normaliser() - log - chance(kind, shape)) / std::f32::consts::LN_10 - kind.price();
        let mut scaled = *shape;
        scaled.iter_mut().zip(kind.noise()).for_each(|(value, noise)| *value /= noise);
        Self { kind, scaled, best, farthest: farthest(best + kind.price() - PRICE_OF_LOOK_UP) }
    }

    /// The same shape, of which no copy is evidence.
    pub(super) fn without_excess(self) -> Self {
        Self { best: 0.0, farthest: farthest(self.kind.price() - PRICE_OF_LOOK_UP), ..self }
    }

    /// What a copy without any change exceeds by, not weighted, durations aside.
    pub(super) fn best(&self) -> f32 {
        self.best
    }

    /// The sum of squares by which a kept reach of the same kind differs, in typical changes of a copy.
    pub(super) fn distance(&self, kept: &Packed) -> f32 {
        let levels = scaled_levels(self.kind);
        (0..DIMENSIONS).map(|d| (levels[d][usize::from(kept[d].cast_unsigned())] - self.scaled[d]).powi(2)).sum()
    }

    /// The excess of a stored reach of the same kind at a distance ([`Target::distance`]) beside which this one takes `slower`
    /// times as long as it should, weighted; 0 where it is no more alike than chance makes it.
    pub(super) fn excess(&self, squared: f32, slower: f32) -> f32 {
        if self.best <= 0.0 {
            return 0.0;
        }
        let excess = self.best - fall(squared) + of_durations(slower);
        (excess.max(0.0) * self.kind.weight()).min(MAX_EXCESS)
    }

    /// What a stored reach of the same kind at a distance counts in a look-up, before durations are known.
    pub(super) fn in_look_up(&self, squared: f32) -> f32 {
        if squared >= self.farthest {
            return 0.0;
        }
        self.best + self.kind.price() - PRICE_OF_LOOK_UP - fall(squared)
    }
}

/// By how much the density of copies falls over a distance, decimal logarithm.
fn fall(squared: f32) -> f32 {
    0.5 * (FREEDOM_OF_COPIES + COUNT) * (1.0 + squared / FREEDOM_OF_COPIES).ln() / std::f32::consts::LN_10
}

/// The distance over which the density of copies falls by so much: the way back from [`fall`].
fn farthest(by: f32) -> f32 {
    let exponent = by.max(0.0) * std::f32::consts::LN_10 / (0.5 * (FREEDOM_OF_COPIES + COUNT));
    FREEDOM_OF_COPIES * exponent.exp_m1()
}

/// How much likelier a ratio of durations is of a copy than of a chance likeness, decimal logarithm: two normal
/// densities of the ratio's logarithm.
fn of_durations(slower: f32) -> f32 {
    let squared = slower.ln().powi(2);
    let (copy, chance) = (DURATION_OF_COPIES, DURATION_BY_CHANCE);
    let exponent = -0.5 * squared * (copy.powi(-2) - chance.powi(-2));
    (chance / copy).log10() + exponent / std::f32::consts::LN_10
}

/// What each byte stands for in each number, over its noise.
fn scaled_levels(kind: Kind) -> &'static [[f32; 256]; DIMENSIONS] {
    static LEVELS: OnceLock<Vec<[[f32; 256]; DIMENSIONS]>> = OnceLock::new();
    let all = LEVELS.get_or_init(|| {
        let mut all = vec![[[0.0; 256]; DIMENSIONS]; 3];
        for kind in Kind::ALL {
            for (d, noise) in kind.noise().iter().enumerate() {
                all[kind.number()][d] = levels(kind)[d].map(|value| value / noise);
            }
        }
        all
    });
    &all[kind.number()]
}

/// The logarithm of the normaliser of a multivariate t of [`FREEDOM_OF_COPIES`] degrees of freedom in twelve dimensions:
/// gamma(7.25) / (gamma(1.25) (2.5 pi)^6).
fn normaliser() -> f32 {
    const LN_GAMMA_7_25: f32 = 7.052_185_5;
    const LN_GAMMA_1_25: f32 = -0.098_271_84;
    LN_GAMMA_7_25 - LN_GAMMA_1_25 - 0.5 * COUNT * (FREEDOM_OF_COPIES * std::f32::consts::PI).ln()
}
