//! Training: from human sessions to a model file. The same sessions, recipe and seed give the same bytes, whatever the
//! order of the sessions and the number of threads.
//!
//! Every fitted session is also taken as other recorders would have recorded it ([`recorders`]); each of these has
//! counterexamples ([`playproof_bots::adversary`]) through the same recorder, and the trees learn to tell the two apart
//! ([`samples`]). People who were not fitted on calibrate the model, and beside them, where sources are named, the people
//! of each source seen by a model fitted without it ([`fitting`]).

mod adapting;

pub mod boosting;

mod fitting;

pub mod recorders;

mod samples;

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

pub use self::adapting::{MIN_SITE, adapt, site_share};
use self::samples::Samples;
use super::classifier::Classifier;
use super::file::Contents;
use super::judge::Judge;
use playproof_bots::adversary::{Family, Kind};
use playproof_domain::features::{Extractor, FeatureSet};
use playproof_domain::session::Session;

/// Fewest sessions with motion that a model is fitted on.
pub const MIN_FIT: usize = 200;
/// Fewest sessions with motion that calibrate one.
pub const MIN_CALIBRATION: usize = 50;
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
    /// The families of counterexamples to people with mice and how often each is drawn.
    pub families: [(Family, u32); Family::ALL.len()],
    /// The same to people who touch a screen.
    pub touch_families: [(Family, u32); Family::ALL.len()],
    /// How often each fitted session is taken through another recorder.
    pub recorders: u64,
    /// Counterexamples for each session and recorder.
    pub counterexamples: u64,
    /// Share of the counterexamples' weight that labelled bots have, where there are any.
    pub labelled: f64,
    /// Whether the people of each source, seen by a model that does not know it, calibrate unknown recorders.
    pub foreign: bool,
    /// The trees.
    pub boosting: boosting::Settings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            set: FeatureSet::V3,
            seed: 1,
            families: Family::ALL.map(|family| (family, weight(family))),
            touch_families: Family::ALL.map(|family| (family, touch_weight(family))),
            recorders: 6,
            counterexamples: 4,
            labelled: 0.3,
            foreign: true,
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
        Family::Wind | Family::MinimumJerk | Family::Lognormal | Family::PacedBot => 20,
        Family::Jumps => 40,
        Family::Keyframes => 15,
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

/// How often a family is drawn against people who touch a screen: half fingers' bots, half mice's that claim to be one.
fn touch_weight(family: Family) -> u32 {
    match family {
        Family::TouchReplayNoise => 10,
        _ if family.kind() == Kind::Touch => 60,
        _ => weight(family),
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
    /// The columns that the trees ask most, with their share of all questions.
    pub telling: Vec<(&'static str, f64)>,
}

impl Report {
    /// Of a judge that was fitted on some of these people and calibrated on others.
    fn of(fit: &[&Example], people: &People<'_>, samples: &Samples, judge: &Judge, set: FeatureSet) -> Self {
        let People { calibration, shared, motionless, .. } = people;
        Self {
            fitted: fit.len(),
            fitted_people: persons(fit),
            counterexamples: samples.counterexamples.len(),
            bots: samples.bots.len(),
            foreign: judge.calibration.foreign().len(),
            calibrated: calibration.len(),
            calibrated_people: persons(calibration),
            motionless: *motionless,
            shared: *shared,
            telling: telling(&judge.classifier, set),
        }
    }
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
    let people = People::of(material, recipe.set);
    if people.fit.len() < MIN_FIT {
        return Err(TrainError::TooFewToFit { found: people.fit.len() });
    }
    if people.calibration.len() < MIN_CALIBRATION {
        return Err(TrainError::TooFewToCalibrate { found: people.calibration.len() });
    }
    let bots: Vec<&Session> = material.bots.iter().collect();
    let (judge, report) = learn(&people, &bots, recipe, on_stage)?;
    Ok((Contents { set: recipe.set, provenance, judge }, report))
}

/// The people who move enough, and how many are left out.
struct People<'a> {
    fit: Vec<&'a Example>,
    calibration: Vec<&'a Example>,
    shared: usize,
    motionless: usize,
}

impl<'a> People<'a> {
    fn of(material: &Material<'a>, set: FeatureSet) -> Self {
        let fitted: BTreeSet<&str> = material.fit.iter().map(Example::person).collect();
        let apart: Vec<&Example> = material.calibration.iter().filter(|e| !fitted.contains(e.person())).collect();
        let shared = material.calibration.len() - apart.len();
        let (fit, fit_still) = moving(material.fit.iter().collect(), set);
        let (calibration, apart_still) = moving(apart, set);
        Self { fit, calibration, shared, motionless: fit_still + apart_still }
    }
}

/// Fits and calibrates a judge.
fn learn(
    people: &People<'_>,
    bots: &[&Session],
    recipe: &Recipe,
    on_stage: &mut dyn FnMut(Stage),
) -> Result<(Judge, Report), TrainError> {
    let People { fit, calibration, .. } = people;
    let samples = Samples::of(fit, bots, recipe);
    if samples.counterexamples.is_empty() {
        return Err(TrainError::Alike);
    }
    on_stage(Stage::Trees);
    let measures = fitting::measures(fit, &samples, |_| true, None, recipe).ok_or(TrainError::Alike)?;
    on_stage(Stage::Foreign);
    let foreign = fitting::foreign(fit, &samples, recipe);
    on_stage(Stage::Calibration);
    let originals = samples.humans.iter().filter(|sample| sample.original);
    let fitted: Vec<Vec<f64>> = originals.map(|sample| sample.row.clone()).collect();
    let sources = calibration.iter().map(|example| example.source.as_str());
    let calibrating: Vec<_> = sources.zip(fitting::rows(calibration, recipe.set)).collect();
    let judge = fitting::judge(measures, &fitted, &calibrating, foreign, recipe.set).ok_or(TrainError::Alike)?;
    let report = Report::of(fit, people, &samples, &judge, recipe.set);
    Ok((judge, report))
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

fn persons(examples: &[&Example]) -> usize {
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
