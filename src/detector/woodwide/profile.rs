//! What is known of a model version: whether its scores depend on the company, what people score, how patient one has to be.
//!
//! Found out once, at first use, by scoring the same known rows twice in different company, and kept. From then on it
//! says what the added rows of every call must answer.

use std::time::Duration;

use rand::Rng;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use super::answer::Scores;
use super::asking::Start;
use super::layout::{Layout, Slot};
use crate::domain::agreement::rank_correlation;
use crate::domain::calibration::Calibration;

/// Known people in each of the two first calls and, where scores depend on the company, in every call.
pub(super) const CALIBRATION_ROWS: usize = 1000;
/// Two scores of one row are the same up to this, relative to the larger one.
const SAME: f64 = 1e-6;
/// Known people that watch over a call.
const CANARIES: usize = 4;
/// The same where a row only has a flag, which says less than a score: outliers beside the one at the end, and people.
const FLAG_CANARIES: (usize, usize) = (2, 16);
/// Least rank correlation of the known people's scores within a call with those of the first call.
const LEAST_CORRELATION: f64 = 0.5;
/// Share of the known people below which the outlier's score may not lie.
const OUTLIER_ABOVE: f64 = 0.95;

/// What a model version's answers are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Nature {
    /// A row's score depends on the row alone.
    ContextFree {
        /// Of the known people, in order.
        scores: Vec<f64>,
        /// Of the outlier.
        outlier: f64,
    },
    /// A row's score depends on the company, so everything is compared within a call.
    InContext {
        /// Of the known people, in order, among themselves.
        scores: Vec<f64>,
    },
    /// There are no scores, only flags.
    FlagsOnly {
        /// Of the known people, in order.
        flags: Vec<bool>,
    },
}

/// Everything kept about a model version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    /// The version.
    pub(super) version: String,
    /// The known rows it was found out with.
    pub(super) reference: String,
    pub(super) nature: Nature,
    /// Known rows with which the service last answered a batch.
    pub(super) top_up: usize,
    /// Whether it did so for a dataset only, though it takes rows with the question.
    #[serde(default)]
    pub(super) as_dataset: bool,
    /// How long it took then, ms.
    pub(super) warm_up_ms: u64,
}

/// An answer that the model cannot have given to the rows that were sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Suspicion {
    /// A known row has another score.
    #[error(
        "a known row came back with another score than before; the answer is about other rows, or the model changed"
    )]
    OtherScore,
    /// A known row has another flag.
    #[error(
        "a known row came back with another flag than before; the answer is about other rows, or the model changed"
    )]
    OtherFlag,
    /// The known people are in another order.
    #[error(
        "the known rows came back in another order of scores; the answer is about other rows, or the model changed"
    )]
    OtherOrder,
    /// A negative score of a model that scores people from zero upwards.
    #[error("a row came back with a negative score from a model that gives none")]
    Negative,
    /// Scores where there were none before, or none where there were.
    #[error("the service answers in another form than before")]
    OtherForm,
    /// The model is of no use.
    #[error(
        "the model is unusable: a planted outlier does not outrank people; train another one on rows of people \
         (POST /api/v1/datasets/upload, /api/v1/training/start) and set ANOMALY_MODEL_ID to it"
    )]
    Useless,
}

/// The two calls of the first use: people alone, and people in another order among outliers.
pub(super) fn trials(rows: usize) -> [Layout; 2] {
    let alone = (0..rows).map(Slot::Known).collect();
    let mut company: Vec<Slot> = (0..rows).rev().map(Slot::Known).collect();
    company.insert(rows / 3, Slot::Outlier);
    [Layout::fixed(alone), Layout::fixed(company)]
}

/// What the answers to both [`trials`] say.
pub(super) fn nature(rows: usize, alone: &Scores, company: &Scores) -> Result<Nature, Suspicion> {
    let [first, second] = trials(rows);
    let people = by_place(&first, alone, rows);
    let again = by_place(&second, company, rows);
    let outlier = second.added(company).find(|(slot, ..)| *slot == Slot::Outlier).map(|(_, score, flag)| (score, flag));
    let Some((outlier, outlier_flag)) = outlier else { return Err(Suspicion::OtherForm) };
    let scores = |found: &[(Option<f64>, bool)]| found.iter().map(|(score, _)| *score).collect::<Option<Vec<f64>>>();
    match (scores(&people), scores(&again), outlier) {
        (Some(first), Some(second), Some(outlier)) => {
            let below = second.iter().filter(|score| **score < outlier).count();
            #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
            let share = below as f64 / second.len().max(1) as f64;
            if share < OUTLIER_ABOVE {
                return Err(Suspicion::Useless);
            }
            let context_free = first.iter().zip(&second).all(|(a, b)| same(*a, *b));
            Ok(if context_free {
                Nature::ContextFree { scores: first, outlier }
            } else {
                Nature::InContext { scores: first }
            })
        }
        (None, None, None) => {
            let flagged = again.iter().filter(|(_, flag)| *flag).count();
            if !outlier_flag || 2 * flagged > again.len() {
                return Err(Suspicion::Useless);
            }
            Ok(Nature::FlagsOnly { flags: people.into_iter().map(|(_, flag)| flag).collect() })
        }
        _ => Err(Suspicion::OtherForm),
    }
}

/// Scores and flags of the known people, by their place.
fn by_place(layout: &Layout, answered: &Scores, rows: usize) -> Vec<(Option<f64>, bool)> {
    let mut found = vec![(None, false); rows];
    for (slot, score, flag) in layout.added(answered) {
        if let Slot::Known(place) = slot
            && let Some(entry) = found.get_mut(place)
        {
            *entry = (score, flag);
        }
    }
    found
}

/// Where people score from zero upwards, so does everybody.
fn no_negative(layout: &Layout, answered: &Scores, people: &[f64]) -> Result<(), Suspicion> {
    let negative = layout.sessions(answered).any(|(_, score, _)| score.is_some_and(|score| score < 0.0));
    if negative && people.iter().all(|score| *score >= 0.0) { Err(Suspicion::Negative) } else { Ok(()) }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs()).max(1.0)
}

impl Profile {
    /// The rows to add to a call of `sessions` rows, at least `least` in all: canaries always, then what fills it up.
    fn added(&self, sessions: usize, least: usize, rng: &mut impl Rng) -> Vec<Slot> {
        let (people, canaries, mut added): (usize, usize, Vec<Slot>) = match &self.nature {
            // All of them, always: the p-values are taken among them.
            Nature::InContext { scores } => return (0..scores.len()).map(Slot::Known).collect(),
            Nature::ContextFree { scores, .. } => (scores.len(), CANARIES, vec![Slot::Outlier]),
            Nature::FlagsOnly { flags } => (flags.len(), FLAG_CANARIES.1, vec![Slot::Outlier; FLAG_CANARIES.0]),
        };
        let wanted = least.saturating_sub(sessions + added.len()).max(canaries).min(people);
        added.extend(index::sample(rng, people, wanted).into_iter().map(Slot::Known));
        added
    }

    /// The rows of the batch among those to add, at random places. Where flags are all there is, the last row is one that
    /// must be flagged: an answer that was cut short shows.
    pub(super) fn layout(&self, sessions: usize, least: usize, rng: &mut impl Rng) -> Layout {
        let mut layout = Layout::mixed(sessions, self.added(sessions, least, rng), rng);
        if matches!(self.nature, Nature::FlagsOnly { .. }) {
            layout.slots.push(Slot::Outlier);
        }
        layout
    }

    /// Checks everything that was added, and says against which people the scores are to be held.
    pub(super) fn check(&self, layout: &Layout, answered: &Scores) -> Result<Option<Calibration>, Suspicion> {
        match &self.nature {
            Nature::ContextFree { scores, outlier } => {
                for (slot, score, _) in layout.added(answered) {
                    let Some(score) = score else { return Err(Suspicion::OtherForm) };
                    let expected = match slot {
                        Slot::Known(place) => scores.get(place).copied(),
                        _ => Some(*outlier),
                    };
                    if !expected.is_some_and(|expected| same(score, expected)) {
                        return Err(Suspicion::OtherScore);
                    }
                }
                no_negative(layout, answered, scores)?;
                Ok(Some(Calibration::new(scores.clone())))
            }
            Nature::InContext { scores } => {
                let found = by_place(layout, answered, scores.len());
                let found: Option<Vec<f64>> = found.into_iter().map(|(score, _)| score).collect();
                let Some(found) = found else { return Err(Suspicion::OtherForm) };
                if rank_correlation(&found, scores).is_none_or(|r| r < LEAST_CORRELATION) {
                    return Err(Suspicion::OtherOrder);
                }
                no_negative(layout, answered, scores)?;
                Ok(Some(Calibration::new(found)))
            }
            Nature::FlagsOnly { flags } => {
                for (slot, score, flag) in layout.added(answered) {
                    if score.is_some() {
                        return Err(Suspicion::OtherForm);
                    }
                    let expected = match slot {
                        Slot::Known(place) => flags.get(place).copied().unwrap_or(false),
                        _ => true,
                    };
                    if flag != expected {
                        return Err(Suspicion::OtherFlag);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Whether a model that was taken to score rows among each other gave the known rows the very scores of another
    /// company: it was misjudged, and asking it is cheaper than thought.
    pub(super) fn is_misjudged(&self, layout: &Layout, answered: &Scores) -> bool {
        let Nature::InContext { scores } = &self.nature else { return false };
        let found = by_place(layout, answered, scores.len());
        found.iter().zip(scores).all(|((score, _), before)| score.is_some_and(|score| same(score, *before)))
    }

    /// Where the next question starts.
    pub(super) fn start(&self) -> Start {
        let warm_up = Duration::from_millis(self.warm_up_ms);
        Start { top_up: self.top_up, as_dataset: self.as_dataset, warm_up }
    }

    /// What kind it is, for logs and `check`.
    pub(super) fn kind(&self) -> &'static str {
        match self.nature {
            Nature::ContextFree { .. } => "scores each row by itself",
            Nature::InContext { .. } => "scores rows among each other",
            Nature::FlagsOnly { .. } => "flags rows and gives no scores",
        }
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
