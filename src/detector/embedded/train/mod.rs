//! Training: from human sessions to a model file. The same sessions, recipe and seed give the same bytes, whatever the
//! order of the sessions and the number of threads.
//!
//! Every fitted session is also taken as other recorders would have recorded it ([`recorders`]); each of these has a
//! counterexample ([`counterexamples`]). The mixture learns the humans, the trees learn to tell the two apart. Nobody
//! calibrates a model that was fitted on them.

pub mod boosting;

pub mod counterexamples;

pub mod mixture;

pub mod recorders;

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::ensemble::{Component, Ensemble, Member, single};
use super::file::Contents;
use super::scaling::{ColumnScale, quantile};
use crate::domain::calibration::Calibration;
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::session::Session;

/// Fewest sessions with motion that a model is fitted on.
pub const MIN_FIT: usize = 200;
/// Fewest sessions with motion that calibrate one.
pub const MIN_CALIBRATION: usize = 50;
/// From here on a set resolves the default threshold between review and fail, 10^-2.5.
const RESOLVES_FAIL: usize = 316;
/// A class has a calibration of its own from this many sessions...
pub const CLASS_SESSIONS: usize = 400;
/// ...of this many users.
pub const CLASS_USERS: usize = 10;

/// A human session and whose it is.
#[derive(Clone, Debug)]
pub struct Example {
    /// The session.
    pub session: Session,
    /// The person, where known; otherwise every session counts as its own person.
    pub user: Option<String>,
}

impl Example {
    fn person(&self) -> &str {
        self.user.as_deref().unwrap_or(self.session.id.as_str())
    }
}

/// Everything that training depends on besides the sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// The features.
    pub set: FeatureSet,
    /// Of everything drawn at random.
    pub seed: u64,
    /// How often each fitted session is taken through another recorder.
    pub recorders: u64,
    /// The same for calibration sessions.
    pub calibration_recorders: u64,
    /// Whether device classes may have calibrations of their own.
    pub classes: bool,
    /// The density of humans.
    pub mixture: mixture::Settings,
    /// Its share of the raw score; the trees have the rest.
    pub mixture_weight: f64,
    /// The trees.
    pub boosting: boosting::Settings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            set: FeatureSet::Motion,
            seed: 1,
            recorders: 3,
            calibration_recorders: 4,
            classes: true,
            mixture: mixture::Settings { parts: 4, rounds: 15, prior: 100.0 },
            mixture_weight: 0.2,
            boosting: boosting::Settings {
                trees: 400,
                depth: 4,
                rate: 0.07,
                rows: 0.6,
                columns: 0.4,
                ridge: 5.0,
                least: 10.0,
            },
        }
    }
}

/// What training is doing, for progress displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Computing feature rows of people and counterexamples.
    Features,
    /// Fitting the mixture.
    Mixture,
    /// Growing the trees.
    Trees,
    /// Scoring the calibration sessions.
    Calibration,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 4] = [Self::Features, Self::Mixture, Self::Trees, Self::Calibration];

    /// What to show.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Features => "computing features",
            Self::Mixture => "fitting the density of humans",
            Self::Trees => "telling humans from counterexamples",
            Self::Calibration => "calibrating",
        }
    }
}

/// What training learned, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Sessions fitted on.
    pub fitted: usize,
    /// Their persons.
    pub fitted_people: usize,
    /// Counterexamples made of them.
    pub counterexamples: usize,
    /// Sessions calibrated on.
    pub calibrated: usize,
    /// Their persons.
    pub calibrated_people: usize,
    /// Sessions left out for want of motion.
    pub motionless: usize,
    /// Sessions left out of calibration because their person was fitted.
    pub shared: usize,
    /// Classes with a calibration of their own.
    pub classes: Vec<(String, usize)>,
    /// The columns that the trees ask most, with their share of all questions.
    pub telling: Vec<(&'static str, f64)>,
}

/// Why no model came of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Not enough to fit on.
    #[error(
        "only {found} human sessions with enough motion are left to fit on, at least {MIN_FIT} are needed; add sessions"
    )]
    TooFewToFit {
        /// How many there are.
        found: usize,
    },
    /// Not enough to calibrate on.
    #[error(
        "only {found} human sessions with enough motion, of people not fitted on, are left to calibrate on, at least {MIN_CALIBRATION} are needed; add sessions of other people"
    )]
    TooFewToCalibrate {
        /// How many there are.
        found: usize,
    },
    /// The sessions differ in nothing.
    #[error("the sessions are too much alike to learn from; use recordings of real and different people")]
    Alike,
}

/// Splits by person: about `share` of all sessions, and whole persons only, come second.
#[must_use]
pub fn split(examples: Vec<Example>, share: f64, seed: u64) -> (Vec<Example>, Vec<Example>) {
    let mut people: BTreeMap<&str, usize> = BTreeMap::new();
    for example in &examples {
        *people.entry(example.person()).or_default() += 1;
    }
    let mut order: Vec<([u8; 32], &str, usize)> = people
        .into_iter()
        .map(|(person, n)| {
            let mut digest = Sha256::new();
            digest.update(seed.to_le_bytes());
            digest.update(person.as_bytes());
            (digest.finalize().into(), person, n)
        })
        .collect();
    order.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
    let wanted = share * examples.len() as f64;
    let (mut taken, mut second) = (0.0, BTreeSet::new());
    for (_, person, n) in order {
        #[expect(clippy::cast_precision_loss, reason = "a number of sessions")]
        let n = n as f64;
        // A person too large for what is missing would upset the share more than it helps.
        if taken + 0.5 * n <= wanted {
            taken += n;
            second.insert(person.to_owned());
        }
    }
    examples.into_iter().partition(|e| !second.contains(e.person()))
}

/// Fits on `fit`, calibrates on those of `calibration` whose person is not among the fitted.
///
/// # Errors
/// [`TrainError`] with the mend.
pub fn train(
    fit: &[Example],
    calibration: &[Example],
    recipe: &Recipe,
    provenance: String,
    on_stage: &mut dyn FnMut(Stage),
) -> Result<(Contents, Report), TrainError> {
    on_stage(Stage::Features);
    let set = recipe.set;
    let fitted_people: BTreeSet<&str> = fit.iter().map(Example::person).collect();
    let apart: Vec<&Example> = calibration.iter().filter(|e| !fitted_people.contains(e.person())).collect();
    let shared = calibration.len() - apart.len();
    let (fit, fit_still) = moving(fit.iter().collect(), set);
    let (apart, apart_still) = moving(apart, set);
    if fit.len() < MIN_FIT {
        return Err(TrainError::TooFewToFit { found: fit.len() });
    }
    if apart.len() < MIN_CALIBRATION {
        return Err(TrainError::TooFewToCalibrate { found: apart.len() });
    }

    let originals: Vec<&Session> = fit.iter().map(|e| &e.session).collect();
    let humans = through_recorders(&originals, recipe.recorders, recipe.seed);
    let bots: Vec<Session> = humans
        .par_iter()
        .enumerate()
        .filter_map(|(i, human)| counterexamples::imitate(human, &mut stream(recipe.seed, COUNTEREXAMPLES, i)))
        .collect();
    let (human_rows, bot_rows) = (rows(&humans, set), rows(&bots, set));
    if bot_rows.is_empty() {
        return Err(TrainError::Alike);
    }
    let (evidence, _) = set.evidence();
    let columns: Vec<(usize, ColumnScale)> = (0..set.columns().len())
        .into_par_iter()
        .filter(|column| *column != evidence)
        .map(|column| (column, ColumnScale::fit(human_rows.iter().map(|row| row[column]).collect())))
        .collect();
    let scale = |rows: &[Vec<f64>]| -> Vec<Vec<f32>> {
        rows.par_iter().map(|row| columns.iter().map(|(c, s)| single(s.apply(row[*c]))).collect()).collect()
    };
    let (human_rows, bot_rows) = (scale(&human_rows), scale(&bot_rows));

    on_stage(Stage::Mixture);
    let density = mixture::fit(&human_rows, &recipe.mixture, recipe.seed).ok_or(TrainError::Alike)?;

    on_stage(Stage::Trees);
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
    let bot_weight = human_rows.len() as f64 / bot_rows.len() as f64;
    let odd: Vec<bool> = (0..human_rows.len() + bot_rows.len()).map(|i| i >= human_rows.len()).collect();
    let weights: Vec<f64> = odd.iter().map(|odd| if *odd { bot_weight } else { 1.0 }).collect();
    let all: Vec<Vec<f32>> = human_rows.iter().chain(&bot_rows).cloned().collect();
    let trees = boosting::fit(&all, &odd, &weights, &recipe.boosting, recipe.seed).ok_or(TrainError::Alike)?;
    let telling = telling(&trees, &columns, set);

    on_stage(Stage::Calibration);
    let members = [
        (Component::Mixture(density), recipe.mixture_weight),
        (Component::Boosted(trees), 1.0 - recipe.mixture_weight),
    ];
    let members = members.into_iter().map(|(component, weight)| standardised(component, weight, &human_rows)).collect();
    let ensemble = Ensemble::from_parts(columns, members, set.columns().len()).ok_or(TrainError::Alike)?;
    let (pooled, classes) = calibrate(&ensemble, &apart, recipe);
    let report = Report {
        fitted: fit.len(),
        fitted_people: people(&fit),
        counterexamples: bots.len(),
        calibrated: apart.len(),
        calibrated_people: people(&apart),
        motionless: fit_still + apart_still,
        shared,
        classes: classes.iter().map(|(name, set)| (name.clone(), set.len())).collect(),
        telling,
    };
    Ok((Contents { set, provenance, ensemble, pooled, classes }, report))
}

const RECORDERS: u64 = 1;
const COUNTEREXAMPLES: u64 = 2;

/// An own stream of random numbers for each session and purpose, so that threads do not matter.
fn stream(seed: u64, purpose: u64, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose << 48) ^ index as u64);
    rng
}

/// Those that carry motion, by identifier, and how many do not.
fn moving(mut examples: Vec<&Example>, set: FeatureSet) -> (Vec<&Example>, usize) {
    let all = examples.len();
    let (column, least) = set.evidence();
    let enough: Vec<bool> = examples
        .par_iter()
        .map_init(<(Extractor, Vec<f64>)>::default, |(extractor, row), example| {
            extractor.extract(set, &example.session, row);
            row[column] >= least
        })
        .collect();
    let mut enough = enough.into_iter();
    examples.retain(|_| enough.next().unwrap_or(false));
    examples.sort_by(|a, b| a.session.id.as_str().cmp(b.session.id.as_str()));
    let still = all - examples.len();
    (examples, still)
}

fn people(examples: &[&Example]) -> usize {
    examples.iter().map(|e| e.person()).collect::<BTreeSet<_>>().len()
}

/// The sessions as they are, then as `copies` other recorders would have recorded each.
fn through_recorders(originals: &[&Session], copies: u64, seed: u64) -> Vec<Session> {
    let mut all: Vec<Session> = originals.iter().map(|s| (*s).clone()).collect();
    for copy in 0..copies {
        all.par_extend(
            originals
                .par_iter()
                .enumerate()
                .map(|(i, session)| recorders::re_record(session, &mut stream(seed, RECORDERS + ((copy + 1) << 8), i))),
        );
    }
    all
}

/// The feature rows of those sessions that carry motion.
fn rows(sessions: &[Session], set: FeatureSet) -> Vec<Vec<f64>> {
    let (column, least) = set.evidence();
    sessions
        .par_iter()
        .map_init(Extractor::default, |extractor, session| {
            let mut row = Vec::new();
            extractor.extract(set, session, &mut row);
            row
        })
        .filter(|row| row[column] >= least)
        .collect()
}

fn standardised(component: Component, weight: f64, humans: &[Vec<f32>]) -> Member {
    let mut scores: Vec<f64> = humans.par_iter().map(|row| component.score(row)).collect();
    scores.sort_by(f64::total_cmp);
    let centre = quantile(&scores, 0.5);
    let spread = (quantile(&scores, 0.95) - centre).max(1e-6);
    Member { component, weight, centre, spread }
}

/// The pooled calibration and those of the classes.
fn calibrate(ensemble: &Ensemble, examples: &[&Example], recipe: &Recipe) -> (Calibration, Vec<(String, Calibration)>) {
    // Copies show more recorders but no more people: they must not make a small set look large.
    let raw = |examples: &[&Example]| {
        let copies = if examples.len() >= RESOLVES_FAIL { recipe.calibration_recorders } else { 0 };
        let originals: Vec<&Session> = examples.iter().map(|e| &e.session).collect();
        let sessions = through_recorders(&originals, copies, recipe.seed ^ 0x5eed);
        Calibration::new(rows(&sessions, recipe.set).par_iter().map(|row| ensemble.raw(row)).collect())
    };
    let mut by_class: BTreeMap<&str, Vec<&Example>> = BTreeMap::new();
    for example in examples.iter().filter(|_| recipe.classes) {
        by_class.entry(&example.session.device_type).or_default().push(example);
    }
    let classes = by_class
        .into_iter()
        // What nobody knows is no class, and a class that is everybody is the pool.
        .filter(|(name, own)| *name != "unknown" && own.len() < examples.len())
        .filter(|(_, own)| own.len() >= CLASS_SESSIONS && people(own) >= CLASS_USERS)
        .map(|(name, own)| (name.to_owned(), raw(&own)))
        .collect();
    (raw(examples), classes)
}

fn telling(
    trees: &super::boosting::Boosted,
    columns: &[(usize, ColumnScale)],
    set: FeatureSet,
) -> Vec<(&'static str, f64)> {
    let mut asked: BTreeMap<u16, u32> = BTreeMap::new();
    for split in trees.splits().iter().filter(|s| s.threshold.is_finite()) {
        *asked.entry(split.column).or_default() += 1;
    }
    let total: u32 = asked.values().sum();
    let mut asked: Vec<(u16, u32)> = asked.into_iter().collect();
    asked.sort_by_key(|(column, n)| (std::cmp::Reverse(*n), *column));
    let name = |column: u16| columns.get(usize::from(column)).map(|(c, _)| set.columns()[*c]);
    asked
        .into_iter()
        .take(8)
        .filter_map(|(column, n)| Some((name(column)?, f64::from(n) / f64::from(total.max(1)))))
        .collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
