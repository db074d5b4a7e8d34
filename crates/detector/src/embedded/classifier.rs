//! From a row of the feature set to a raw score, and what each column did for it.

use super::boosting::Boosted;
use super::quantiles::Profile;

/// Most columns that a model may ask, which bounds what one row costs.
pub const MAX_COLUMNS: usize = 256;

/// One column that the trees ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Its place in the feature set.
    pub index: usize,
    /// How people are spread over it.
    pub people: Profile,
}

/// Columns and trees.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    columns: Vec<Column>,
    trees: Boosted,
    /// The median person, column by column.
    median: Vec<f32>,
}

/// What one column did for the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// Its place in the feature set.
    pub index: usize,
    /// Log-odds that it adds to those of the median person.
    pub added: f64,
    /// What nine people in ten have there.
    pub range: (f64, f64),
}

impl Classifier {
    /// A classifier of rows of `width` columns; `None` when its parts do not fit together or are not finite.
    #[must_use]
    pub fn from_parts(columns: Vec<Column>, trees: Boosted, width: usize) -> Option<Self> {
        let columns_fit = (1..=MAX_COLUMNS).contains(&columns.len())
            && columns.iter().all(|column| column.index < width && column.people.is_sound());
        let trees_fit = trees.splits().iter().all(|split| usize::from(split.column) < columns.len());
        let median = columns.iter().map(|column| single(column.people.median())).collect();
        (columns_fit && trees_fit).then_some(Self { columns, trees, median })
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The trees; their columns are places in [`Classifier::columns`].
    #[must_use]
    pub fn trees(&self) -> &Boosted {
        &self.trees
    }

    /// The raw score of a row: the log-odds that it is a counterexample. Uncalibrated, without plateaus worth the name,
    /// larger is odder. Nothing is allocated.
    #[must_use]
    pub fn raw(&self, row: &[f64]) -> f64 {
        let mut asked = [0.0f32; MAX_COLUMNS];
        for (value, column) in asked.iter_mut().zip(&self.columns) {
            *value = single(row[column.index]);
        }
        self.trees.log_odds(&asked)
    }

    /// The raw score of the median person: what contributions are added to.
    #[must_use]
    pub fn base(&self) -> f64 {
        self.trees.log_odds(&self.median)
    }

    /// What each column adds to [`Classifier::base`], the largest first; the sum of all is the raw score.
    ///
    /// Shapley values of the game in which a column outside the coalition has the median person's value (Lundberg et
    /// al., Nature Machine Intelligence 2, 2020, interventional form with one reference).
    #[must_use]
    pub fn contributions(&self, row: &[f64]) -> Vec<Contribution> {
        self.contributions_of(&self.asked(row))
    }

    /// What the trees ask of a row: the values of [`Classifier::columns`].
    #[must_use]
    pub fn asked(&self, row: &[f64]) -> Box<[f32]> {
        self.columns.iter().map(|column| single(row[column.index])).collect()
    }

    /// [`Classifier::contributions`] from what [`Classifier::asked`] gives.
    #[must_use]
    pub fn contributions_of(&self, asked: &[f32]) -> Vec<Contribution> {
        let mut added = vec![0.0; self.columns.len()];
        self.trees.contributions(asked, &self.median, &mut added);
        let mut all: Vec<Contribution> = self
            .columns
            .iter()
            .zip(added)
            .map(|(column, added)| Contribution { index: column.index, added, range: column.people.range() })
            .collect();
        all.sort_by(|a, b| b.added.total_cmp(&a.added).then(a.index.cmp(&b.index)));
        all
    }
}

/// Single precision halves the work; values are at most a million.
#[expect(clippy::cast_possible_truncation, reason = "values are within a million and compared with thresholds")]
pub(super) fn single(value: f64) -> f32 {
    value as f32
}
