//! Several components' opinions of one row as one number: the weighted mean of their standardised scores.
//!
//! ADD A COMPONENT: one module with its parameters, one in `train/` that fits it, one variant here, one tag in `file`.

use super::boosting::Boosted;
use super::mixture::{MAX_DIMENSION, Mixture};
use super::scaling::ColumnScale;

/// Something that gives a scaled row a score; larger is odder.
#[derive(Clone, Debug, PartialEq)]
pub enum Component {
    /// Density of humans.
    Mixture(Mixture),
    /// Likeness to counterexamples.
    Boosted(Boosted),
}

impl Component {
    /// The component's own score of a scaled row.
    #[must_use]
    pub fn score(&self, row: &[f32]) -> f64 {
        match self {
            Self::Mixture(mixture) => mixture.surprise(row),
            Self::Boosted(trees) => trees.log_odds(row),
        }
    }
}

/// A component and how its score enters the mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The component.
    pub component: Component,
    /// Its share of the mean.
    pub weight: f64,
    /// Score of the median human.
    pub centre: f64,
    /// From the median human's score to that of one in twenty; above zero.
    pub spread: f64,
}

/// Column selection, scaling and members.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Which column of the feature set each scaled value comes from, and how it is scaled.
    columns: Vec<(usize, ColumnScale)>,
    members: Vec<Member>,
}

impl Ensemble {
    /// An ensemble over rows of `width` columns; `None` when its parts do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(columns: Vec<(usize, ColumnScale)>, members: Vec<Member>, width: usize) -> Option<Self> {
        let columns_fit = (1..=MAX_DIMENSION).contains(&columns.len())
            && columns.iter().all(|(c, s)| *c < width && s.median.is_finite() && s.sigma.is_finite() && s.sigma > 0.0);
        let members_fit = !members.is_empty()
            && members.iter().all(|m| {
                let numbers = m.weight.is_finite() && m.centre.is_finite() && m.spread.is_finite() && m.spread > 0.0;
                numbers
                    && match &m.component {
                        Component::Mixture(mixture) => mixture.dimension() == columns.len(),
                        Component::Boosted(trees) => {
                            trees.splits().iter().all(|s| usize::from(s.column) < columns.len())
                        }
                    }
            });
        (columns_fit && members_fit).then_some(Self { columns, members })
    }

    /// The columns used and their scales.
    #[must_use]
    pub fn columns(&self) -> &[(usize, ColumnScale)] {
        &self.columns
    }

    /// The members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The raw score of a row of the feature set: uncalibrated, without plateaus, larger is odder. Rows must have the
    /// width that the ensemble was made for and finite values; nothing is allocated.
    #[must_use]
    pub fn raw(&self, row: &[f64]) -> f64 {
        let mut scaled = [0.0f32; MAX_DIMENSION];
        for (value, (column, scale)) in scaled.iter_mut().zip(&self.columns) {
            *value = single(scale.apply(row[*column]));
        }
        let scaled = &scaled[..self.columns.len()];
        self.members.iter().map(|m| m.weight * (m.component.score(scaled) - m.centre) / m.spread).sum()
    }
}

/// Scaled values are small; single precision halves the work.
#[expect(clippy::cast_possible_truncation, reason = "scaled values are within a few hundred")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}
