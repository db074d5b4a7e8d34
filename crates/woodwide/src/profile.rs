//! What is known of a model version: whether its scores depend on the company, what people score, how patient one has to be.
//!
//! Found out once, at first use, by scoring the same known rows twice in different company, many of them and then few as
//! in a batch, and kept. From then on it says what the added rows of every call must answer.

use std::time::Duration;

use rand::Rng;
use rand::seq::{SliceRandom as _, index};
use serde::{Deserialize, Serialize};

use super::answer::Scores;
use super::layout::{Layout, Slot};
use super::retry_ladder::Start;
use playproof_domain::agreement::rank_correlation;
use playproof_domain::calibration::Calibration;

/// Known people in the larger of the two first calls and, where scores depend on the company, in every call.
pub(super) const CALIBRATION_ROWS: usize = 1000;
/// Known people in the smaller one, which is of a batch's size: arithmetic may differ with the size of the table.
pub(super) const FEW_ROWS: usize = 50;
/// Two scores of one row are the same up to this, measured by how far people's scores lie apart.
const SAME: f64 = 1e-6;
/// Up to this they differ by the noise of arithmetic; beyond it the company matters.
const NOISE: f64 = 1e-3;
/// A later score may be off by so many times the noise that was met at first.
const SLACK: f64 = 10.0;
/// Known people that watch over a call.
const CANARIES: usize = 4;
/// The same where a row only has a flag, which says less than a score: outliers beside the one at the end, each between
/// two people, and people for themselves.
const FLAG_CANARIES: (usize, usize) = (3, 13);
/// Least rank correlation of the known people's scores within a call with those of the first call.
const MIN_CORRELATION: f64 = 0.5;
/// Share of the known people below which the outlier's score may not lie.
const OUTLIER_ABOVE: f64 = 0.95;

/// What a model version's answers are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum ScoringMode {
    /// A row's score depends on the row alone.
    ContextFree {
        /// Of the known people, in order.
        scores: Vec<f64>,
        /// Of the outlier.
        outlier: f64,
        /// How much they differed between both calls, as [`Spread::apart`] measures it.
        noise: f64,
    },
    /// A row's score depends on the company, so everything is compared within a call.
    InContext {
        /// Of the known people, in order, among themselves.
        scores: Vec<f64>,
    },
    /// There are no scores, only flags.
    FlagsOnly {
        /// How many known people there are.
        people: usize,
        /// Those who were not flagged in either company.
        unflagged: Vec<usize>,
    },
}

/// Everything kept about a model version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    /// The version.
    pub(super) version: String,
    /// The known rows it was found out with.
    pub(super) reference: String,
    pub(super) nature: ScoringMode,
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
pub(super) enum IntegrityError {
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
    /// Likewise.
    #[error(
        "the model is unusable: it gives nearly all people the same score; train another one on rows of people \
         (POST /api/v1/datasets/upload, /api/v1/training/start) and set ANOMALY_MODEL_ID to it"
    )]
    Alike,
}

/// The first call of the first use: people alone.
pub(super) fn people_alone(rows: usize) -> Layout {
    Layout::fixed((0..rows).map(Slot::Known).collect())
}

/// The second one: some of them, in another order, with an outlier among them.
pub(super) fn in_company(rows: usize) -> Layout {
    let mut company: Vec<Slot> = (0..rows).rev().map(Slot::Known).collect();
    company.insert(rows / 3, Slot::Outlier);
    Layout::fixed(company)
}

/// What the answers to [`people_alone`] and [`in_company`] say.
pub(super) fn nature(alone: (&Layout, &Scores), company: (&Layout, &Scores)) -> Result<ScoringMode, IntegrityError> {
    let people = by_place(alone.0, alone.1, alone.0.slots.len());
    let again = by_place(company.0, company.1, people.len());
    let outlier = company.0.added(company.1).find(|(slot, ..)| *slot == Slot::Outlier);
    let Some((_, outlier, outlier_flag)) = outlier else { return Err(IntegrityError::OtherForm) };
    // Of everybody who was in both calls: what was said in the first, and in the second.
    let both: Vec<_> =
        people.iter().zip(&again).filter_map(|(first, second)| Some((*first.as_ref()?, *second.as_ref()?))).collect();
    let scored = |score: Option<f64>| score.ok_or(IntegrityError::OtherForm);
    if let Some(outlier) = outlier {
        let first: Vec<f64> =
            people.iter().map(|found| scored(found.and_then(|(score, _)| score))).collect::<Result<_, _>>()?;
        let pairs = both.iter().map(|(first, second)| Ok((scored(first.0)?, scored(second.0)?)));
        let pairs: Vec<(f64, f64)> = pairs.collect::<Result<_, _>>()?;
        let below = pairs.iter().filter(|(_, second)| *second < outlier).count();
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let share = below as f64 / pairs.len().max(1) as f64;
        if share < OUTLIER_ABOVE {
            return Err(IntegrityError::Useless);
        }
        let spread = Spread::of(&first).ok_or(IntegrityError::Alike)?;
        let noise = pairs.iter().map(|(a, b)| spread.apart(*a, *b)).fold(0.0, f64::max);
        return Ok(if noise <= NOISE {
            ScoringMode::ContextFree { scores: first, outlier, noise }
        } else {
            ScoringMode::InContext { scores: first }
        });
    }
    if both.iter().any(|(first, second)| first.0.is_some() || second.0.is_some()) {
        return Err(IntegrityError::OtherForm);
    }
    let flagged = both.iter().filter(|(_, second)| second.1).count();
    if !outlier_flag || 2 * flagged > both.len() {
        return Err(IntegrityError::Useless);
    }
    let free = |found: &Option<Said>| found.is_some_and(|(_, flag)| !flag);
    let unflagged = (0..people.len()).filter(|place| free(&people[*place]) && free(&again[*place]));
    Ok(ScoringMode::FlagsOnly { people: people.len(), unflagged: unflagged.collect() })
}

/// Score and flag of a row.
type Said = (Option<f64>, bool);

/// What was said of the known people, by their place.
fn by_place(layout: &Layout, answered: &Scores, rows: usize) -> Vec<Option<Said>> {
    let mut found = vec![None; rows];
    for (slot, score, flag) in layout.added(answered) {
        if let Slot::Known(place) = slot
            && let Some(entry) = found.get_mut(place)
        {
            *entry = Some((score, flag));
        }
    }
    found
}

/// How far people's scores lie apart: scores may be of any size, so this is what differences are measured by.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    /// From the tenth to the ninetieth percentile.
    width: f64,
}

impl Spread {
    /// `None` where nearly all are the same.
    fn of(scores: &[f64]) -> Option<Self> {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |tenth: usize| sorted.get(sorted.len() * tenth / 10).copied();
        let (low, median, high) = (at(1)?, at(5)?, at(9)?);
        (high > low).then_some(Self { median, width: high - low })
    }

    /// How far two scores of one row lie apart; for a row far out, relative to how far out it is.
    fn apart(self, a: f64, b: f64) -> f64 {
        let scale = self.width.max((a - self.median).abs()).max((b - self.median).abs());
        (a - b).abs() / scale
    }
}

/// Where people score from zero upwards, so does everybody.
fn no_negative(layout: &Layout, answered: &Scores, people: &[f64]) -> Result<(), IntegrityError> {
    let negative = layout.sessions(answered).any(|(_, score, _)| score.is_some_and(|score| score < 0.0));
    if negative && people.iter().all(|score| *score >= 0.0) { Err(IntegrityError::Negative) } else { Ok(()) }
}

impl Profile {
    /// The rows of the batch among known ones at random places, at least `least` in all: canaries always, then what fills
    /// it up.
    pub(super) fn layout(&self, sessions: usize, least: usize, rng: &mut impl Rng) -> Layout {
        match &self.nature {
            // All of them, always: the p-values are taken among them.
            ScoringMode::InContext { scores } => {
                Layout::mixed(sessions, (0..scores.len()).map(|place| vec![Slot::Known(place)]).collect(), rng)
            }
            ScoringMode::ContextFree { scores, .. } => {
                let wanted = least.saturating_sub(sessions + 1).max(CANARIES).min(scores.len());
                let people = index::sample(rng, scores.len(), wanted).into_iter().map(|place| vec![Slot::Known(place)]);
                let added = std::iter::once(vec![Slot::Outlier]).chain(people).collect();
                Layout::mixed(sessions, added, rng)
            }
            ScoringMode::FlagsOnly { people, unflagged } => flag_layout(sessions, least, *people, unflagged, rng),
        }
    }

    /// Checks everything that was added, and says against which people the scores are to be held.
    pub(super) fn check(&self, layout: &Layout, answered: &Scores) -> Result<Option<Calibration>, IntegrityError> {
        match &self.nature {
            ScoringMode::ContextFree { scores, outlier, noise } => {
                let spread = Spread::of(scores).ok_or(IntegrityError::Alike)?;
                let tolerance = (SLACK * noise).max(SAME);
                for (slot, score, _) in layout.added(answered) {
                    let Some(score) = score else { return Err(IntegrityError::OtherForm) };
                    let expected = match slot {
                        Slot::Known(place) => scores.get(place).copied(),
                        _ => Some(*outlier),
                    };
                    if expected.is_none_or(|expected| spread.apart(score, expected) > tolerance) {
                        return Err(IntegrityError::OtherScore);
                    }
                }
                no_negative(layout, answered, scores)?;
                Ok(Some(Calibration::new(scores.clone())))
            }
            ScoringMode::InContext { scores } => {
                let found = by_place(layout, answered, scores.len());
                let found: Option<Vec<f64>> = found.into_iter().map(|said| said?.0).collect();
                let Some(found) = found else { return Err(IntegrityError::OtherForm) };
                if rank_correlation(&found, scores).is_none_or(|r| r < MIN_CORRELATION) {
                    return Err(IntegrityError::OtherOrder);
                }
                no_negative(layout, answered, scores)?;
                Ok(Some(Calibration::new(found)))
            }
            ScoringMode::FlagsOnly { unflagged, .. } => {
                for (slot, score, flag) in layout.added(answered) {
                    if score.is_some() {
                        return Err(IntegrityError::OtherForm);
                    }
                    let right = match slot {
                        // Whoever only fills the table up may be either.
                        Slot::Known(place) => !flag || unflagged.binary_search(&place).is_err(),
                        _ => flag,
                    };
                    if !right {
                        return Err(IntegrityError::OtherFlag);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Whether a model that was taken to score rows among each other gave the known rows the very scores of another
    /// company: it was misjudged, and asking it is cheaper than thought.
    pub(super) fn is_misjudged(&self, layout: &Layout, answered: &Scores) -> bool {
        let ScoringMode::InContext { scores } = &self.nature else { return false };
        let Some(spread) = Spread::of(scores) else { return false };
        let found = by_place(layout, answered, scores.len());
        let same = |said: Option<Said>, before: f64| {
            said.and_then(|(score, _)| score).is_some_and(|score| spread.apart(score, before) <= SAME)
        };
        found.iter().zip(scores).all(|(said, before)| same(*said, *before))
    }

    /// Where the next question starts.
    pub(super) fn start(&self) -> Start {
        let warm_up = Duration::from_millis(self.warm_up_ms);
        Start { top_up: self.top_up, as_dataset: self.as_dataset, warm_up }
    }

    /// What kind it is, for logs and `check`.
    pub(super) fn kind(&self) -> &'static str {
        match self.nature {
            ScoringMode::ContextFree { .. } => "scores each row by itself",
            ScoringMode::InContext { .. } => "scores rows among each other",
            ScoringMode::FlagsOnly { .. } => "flags rows and gives no scores",
        }
    }
}

/// The rows of a call where flags are all there is: every outlier stands between people who are not flagged, so that
/// flags moved by a row show, and the last row is an outlier, so that an answer that was cut short does.
fn flag_layout(sessions: usize, least: usize, people: usize, unflagged: &[usize], rng: &mut impl Rng) -> Layout {
    let (outliers, single) = FLAG_CANARIES;
    let mut watching = index::sample(rng, unflagged.len(), unflagged.len()).into_iter().map(|at| unflagged[at]).cycle();
    let mut person = || watching.next().map(Slot::Known);
    let mut added: Vec<Vec<Slot>> = Vec::with_capacity(outliers + single);
    for _ in 0..outliers {
        added.push([person(), Some(Slot::Outlier), person()].into_iter().flatten().collect());
    }
    for _ in 0..single {
        added.push(person().into_iter().collect());
    }
    let end: Vec<Slot> = [person(), Some(Slot::Outlier)].into_iter().flatten().collect();
    let so_far = sessions + added.iter().map(Vec::len).sum::<usize>() + end.len();
    let wanted = least.saturating_sub(so_far).min(people);
    added.extend(index::sample(rng, people, wanted).into_iter().map(|place| vec![Slot::Known(place)]));
    added.shuffle(rng);
    let mut layout = Layout::mixed(sessions, added, rng);
    layout.slots.extend(end);
    layout
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
