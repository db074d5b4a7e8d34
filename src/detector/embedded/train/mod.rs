//! Training: from human sessions to a model file. The same sessions, recipe and seed give the same bytes, whatever the
//! order of the sessions and the number of threads.
//!
//! Every fitted session is also taken as other recorders would have recorded it ([`recorders`]); each of these has
//! counterexamples ([`crate::adversary`]) through the same recorder, and the trees learn to tell the two apart
//! ([`samples`]). People who were not fitted on calibrate the model, and beside them, where sources are named, the people
//! of each source seen by a model fitted without it ([`calibrating`]).

mod adapting;

pub mod boosting;

mod calibrating;

pub mod recorders;

mod samples;

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

pub use self::adapting::{MIN_SITE, adapt, site_share};
use self::samples::{Sample, Samples};
use super::classifier::{Classifier, Column, single};
use super::file::{Contents, Known};
use super::quantiles::{Profile, quantile};
use crate::adversary::{Family, Kind};
use crate::domain::features::{Extractor, FeatureSet};
use crate::domain::session::Session;

/// Fewest sessions with motion that a model is fitted on.
pub const MIN_FIT: usize = 200;
/// Fewest sessions with motion that calibrate one.
pub const MIN_CALIBRATION: usize = 50;
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
    /// The recording that the session comes from; empty where not known.
    pub source: String,
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
    /// The families of counterexamples and how often each is drawn.
    pub families: [(Family, u32); Family::ALL.len()],
    /// How often each fitted session is taken through another recorder.
    pub recorders: u64,
    /// Counterexamples for each session and recorder.
    pub counterexamples: u64,
    /// Share of the counterexamples' weight that labelled bots have, where there are any.
    pub labelled: f64,
    /// How often each calibration session is taken through another recorder.
    pub calibration_recorders: u64,
    /// Weight of the people seen by a model that does not know their source, against that of the calibration people.
    pub foreign: f64,
    /// Whether device classes may have calibrations of their own.
    pub classes: bool,
    /// The trees.
    pub boosting: boosting::Settings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            set: FeatureSet::V3,
            seed: 1,
            families: Family::ALL.map(|family| (family, weight(family))),
            recorders: 6,
            counterexamples: 4,
            labelled: 0.3,
            calibration_recorders: 4,
            foreign: 1.0,
            classes: true,
            boosting: boosting::Settings {
                trees: 600,
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

/// How often a family is drawn.
fn weight(family: Family) -> u32 {
    match family {
        Family::Straight | Family::Bezier => 50,
        Family::Polyline | Family::Replay => 10,
        Family::Spline => 25,
        Family::Wind | Family::MinimumJerk | Family::Lognormal => 20,
        Family::Jumps => 40,
        Family::Keyframes => 15,
        Family::PacedBot => 20,
        Family::TemplateMotion | Family::HarmonicMotion | Family::RecurrentMotion => 12,
        Family::ShuffledSteps | Family::Slowed | Family::AxisSwappedNoise | Family::PhaseRandomized => 8,
        Family::Hurried => 4,
        _ => match family.kind() {
            Kind::Process => 6,
            Kind::Driver => 8,
            _ => 0,
        },
    }
}

/// What training is doing, for progress displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Computing feature rows of people and counterexamples.
    Features,
    /// Fitting the mixture and growing the trees.
    Trees,
    /// The same without each source in turn.
    Foreign,
    /// Scoring the calibration sessions.
    Calibration,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 4] = [Self::Features, Self::Trees, Self::Foreign, Self::Calibration];

    /// What to show.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Features => "computing features",
            Self::Trees => "telling humans from counterexamples",
            Self::Foreign => "leaving out one source after the other",
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
    /// Labelled bots fitted on.
    pub bots: usize,
    /// Sources whose people were also seen by a model fitted without them.
    pub foreign: usize,
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
    /// Not enough to set a site's cuts.
    #[error(
        "only {found} human sessions with enough motion are there to set the site's cuts, at least {MIN_SITE} are needed; add sessions"
    )]
    TooFewOfSite {
        /// How many there are.
        found: usize,
    },
    /// The base and the recipe want different features.
    #[error("the base model has the feature set {base}; leave --set away")]
    OtherSet {
        /// That of the base.
        base: &'static str,
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

/// What a model is made from.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// People to fit on.
    pub fit: &'a [Example],
    /// People to calibrate on; those of a person who is fitted on are left out.
    pub calibration: &'a [Example],
    /// Recorded bots to fit on beside the counterexamples.
    pub bots: &'a [Session],
}

/// Makes a model.
///
/// # Errors
/// [`TrainError`] with the mend.
pub fn train(
    material: &Material<'_>,
    recipe: &Recipe,
    provenance: String,
    on_stage: &mut dyn FnMut(Stage),
) -> Result<(Contents, Report), TrainError> {
    on_stage(Stage::Features);
    let Material { fit, calibration, bots } = *material;
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
    let samples = Samples::of(&fit, bots, recipe);
    if samples.counterexamples.is_empty() {
        return Err(TrainError::Alike);
    }

    on_stage(Stage::Trees);
    let classifier = fit_classifier(&samples, |_| true, None, recipe).ok_or(TrainError::Alike)?;

    on_stage(Stage::Foreign);
    let foreign = calibrating::foreign(&fit, &samples, recipe);

    on_stage(Stage::Calibration);
    let (pooled, classes) = calibrating::calibrate(&classifier, &apart, &foreign, recipe);
    let report = Report {
        fitted: fit.len(),
        fitted_people: people(&fit),
        counterexamples: samples.counterexamples.len(),
        bots: samples.bots.len(),
        foreign: foreign.len(),
        calibrated: apart.len(),
        calibrated_people: people(&apart),
        motionless: fit_still + apart_still,
        shared,
        classes: classes.iter().map(|(name, set)| (name.clone(), set.len())).collect(),
        telling: telling(&classifier, set),
    };
    let recorders = known_recorders(&samples.humans, set);
    Ok((Contents { set, provenance, classifier, recorders, pooled, classes }, report))
}

/// Grows trees that tell the people whom `wanted` accepts from their counterexamples and from all labelled bots; both
/// sides weigh the same. With a `base`, its columns are asked and its trees come first.
fn fit_classifier(
    samples: &Samples,
    wanted: impl Fn(&Sample) -> bool,
    base: Option<&Classifier>,
    recipe: &Recipe,
) -> Option<Classifier> {
    let set = recipe.set;
    let (evidence, _) = set.evidence();
    let of = |all: &'_ [Sample]| -> Vec<usize> { (0..all.len()).filter(|i| wanted(&all[*i])).collect() };
    let humans: Vec<&Sample> = of(&samples.humans).into_iter().map(|i| &samples.humans[i]).collect();
    let made: Vec<&Sample> = of(&samples.counterexamples).into_iter().map(|i| &samples.counterexamples[i]).collect();
    let columns: Vec<Column> = match base {
        Some(base) => base.columns().to_vec(),
        // What the recorder is like tells people from bots on the sites that were recorded, and on no other.
        None => (0..set.columns().len())
            .into_par_iter()
            .filter(|index| {
                *index != evidence && !set.is_touch(*index) && !set.recorder().any(|column| column == *index)
            })
            .map(|index| {
                let own = humans.iter().filter(|sample| sample.original);
                Column { index, people: Profile::of(own.map(|sample| sample.row[index]).collect()) }
            })
            .collect(),
    };
    let bots: Vec<&Sample> = samples.bots.iter().collect();
    let all: Vec<&Sample> = humans.iter().chain(&made).chain(&bots).copied().collect();
    let rows: Vec<Vec<f32>> =
        all.par_iter().map(|sample| columns.iter().map(|column| single(sample.row[column.index])).collect()).collect();
    let odd: Vec<bool> = (0..all.len()).map(|i| i >= humans.len()).collect();
    let labelled = if bots.is_empty() { 0.0 } else { recipe.labelled };
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows")]
    let weight = |share: f64, n: usize| share * humans.len() as f64 / n.max(1) as f64;
    let (made_weight, bot_weight) = (weight(1.0 - labelled, made.len()), weight(labelled, bots.len()));
    let weights: Vec<f64> = std::iter::repeat_n(1.0, humans.len())
        .chain(std::iter::repeat_n(made_weight, made.len()))
        .chain(std::iter::repeat_n(bot_weight, bots.len()))
        .collect();
    let start: Vec<f64> =
        base.map_or_else(Vec::new, |base| all.par_iter().map(|sample| base.raw(&sample.row)).collect());
    let rows = boosting::Rows { values: &rows, odd: &odd, weights: &weights, start: &start };
    let mut trees = boosting::fit(&rows, &recipe.boosting, recipe.seed)?;
    if let Some(base) = base {
        trees = base.trees().with(&trees, columns.len())?;
    }
    Classifier::from_parts(columns, trees, set.columns().len())
}

/// Share of the fitted sessions at either end whose recorder counts as odd itself.
const ODD_RECORDERS: f64 = 0.001;

/// What the recorders of the sessions are known by, as they were recorded.
fn known_recorders(humans: &[Sample], set: FeatureSet) -> Vec<Known> {
    set.recorder()
        .map(|column| {
            let mut values: Vec<f64> = humans.iter().filter(|s| s.original).map(|s| s.row[column]).collect();
            values.sort_by(f64::total_cmp);
            Known { column, low: quantile(&values, ODD_RECORDERS), high: quantile(&values, 1.0 - ODD_RECORDERS) }
        })
        .collect()
}

/// An own stream of random numbers for each session and purpose, so that threads do not matter.
fn stream(seed: u64, purpose: u64, index: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((purpose << 40) ^ index as u64);
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

fn telling(classifier: &Classifier, set: FeatureSet) -> Vec<(&'static str, f64)> {
    let mut asked: BTreeMap<u16, u32> = BTreeMap::new();
    for split in classifier.trees().splits().iter().filter(|s| s.threshold.is_finite()) {
        *asked.entry(split.column).or_default() += 1;
    }
    let total: u32 = asked.values().sum();
    let mut asked: Vec<(u16, u32)> = asked.into_iter().collect();
    asked.sort_by_key(|(column, n)| (std::cmp::Reverse(*n), *column));
    let name = |column: u16| classifier.columns().get(usize::from(column)).map(|c| set.columns()[c.index]);
    asked
        .into_iter()
        .take(8)
        .filter_map(|(column, n)| Some((name(column)?, f64::from(n) / f64::from(total.max(1)))))
        .collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
