//! The embedded detector: a model that ships with the program and learns from human sessions alone.
//!
//! A [`judge`] combines two measures: a [`classifier`] asks the [`boosting`] trees how much a row resembles counterexamples
//! made from human sessions, and the [`support`] says how far it is from people at all. Both are placed among calibration
//! people, source by source ([`by_source`]), by how well the recorder is known ([`familiarity`]). [`file`](mod@file) is how a
//! model is kept, [`train`] how it comes to be.

pub mod quantiles;

pub mod boosting;

pub mod by_source;

pub mod classifier;

pub mod drift;

pub mod familiarity;

pub mod file;

pub mod judge;

pub mod kept;

pub mod shadow;

pub mod sighting;

pub mod support;

pub mod train;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use rayon::prelude::*;

use self::classifier::{Column, Contribution};
use self::drift::Drift;
use self::file::{Contents, ModelError};
use self::judge::Judgement;
use self::kept::{Kept, RecentRows};
pub use self::shadow::{Shadow, Tally};
use self::support::Share;
use super::{Answer, Detector, DetectorError, Limits, Models, Outcome, Row};
use playproof_domain::calibration::Calibrated;
use playproof_domain::features::FeatureSet;
use playproof_domain::id::Seq;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{ModelIdentity, Source, Thresholds, Verdict};

/// `modelId` of every embedded model.
pub const MODEL_ID: &str = "embedded";
/// The class of verdicts that rest on all calibration people.
pub const POOLED: &str = "pooled";
/// One person in two hundred looks at least as odd as a row without enough motion counts: a score of 2.3, beyond pass and
/// short of fail.
const UNJUDGED_P: f64 = 0.005;
/// A recorder that is less known than this fails nobody.
const KNOWN: f64 = 0.6;
/// Rows in one call; as many take some ten milliseconds.
const MAX_ROWS: usize = 2000;
/// Rows that one thread takes at a time.
const ROWS_PER_TASK: usize = 128;

static BUNDLED: &[u8] = include_bytes!("../../../../models/bundled.model");

/// A trained model with its calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    contents: Contents,
    /// Raw score of rows without enough motion to be judged.
    unjudged: f64,
    identity: ModelIdentity,
}

/// What the model says of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment<'m> {
    /// Uncalibrated, fine-grained, larger is odder.
    pub raw: f64,
    /// p-value and score.
    pub calibrated: Calibrated,
    /// The calibration class used.
    pub class: &'m str,
    /// The traits of the movement that raised the score most, and whether its recorder is unlike any known one.
    pub notes: Reasons,
}

/// Traits that a verdict names at most.
const TRAITS: usize = 3;
/// Scores up to this one are not explained: more than half of all people have them.
const EXPLAINED: f64 = 0.3;

impl Model {
    /// The model that ships with the program.
    ///
    /// # Errors
    /// [`ModelError`] when the program was built with a damaged model.
    pub fn bundled() -> Result<Self, ModelError> {
        Self::load(BUNDLED)
    }

    /// A model from the bytes of its file.
    ///
    /// # Errors
    /// [`ModelError`]: one sentence with the mend.
    pub fn load(bytes: &[u8]) -> Result<Self, ModelError> {
        let (contents, digest) = Contents::decode(bytes)?;
        let version = digest.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let home = contents.judge.calibration.home();
        let mut raw: Vec<f64> = home.iter().flat_map(|source| source.raw.values()).copied().collect();
        raw.sort_by(f64::total_cmp);
        let unjudged = quantiles::quantile(&raw, 1.0 - UNJUDGED_P);
        Ok(Self { contents, unjudged, identity: ModelIdentity { id: MODEL_ID.to_owned(), version } })
    }

    /// What its file holds.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Its name and version; the version follows from the file's content.
    #[must_use]
    pub fn identity(&self) -> ModelIdentity {
        self.identity.clone()
    }

    /// The feature set its rows must hold.
    #[must_use]
    pub fn feature_set(&self) -> FeatureSet {
        self.contents.set
    }

    /// What it was fitted and calibrated on.
    #[must_use]
    pub fn provenance(&self) -> &str {
        &self.contents.provenance
    }

    /// How many sessions of people calibrate it.
    #[must_use]
    pub fn calibrated_on(&self) -> usize {
        self.contents.judge.calibration.people()
    }

    /// Assesses one row of [`Model::feature_set`].
    ///
    /// The device type is a client's word and is not asked. Heuristic reasons were measured and add nothing to this model's
    /// raw score, so they do not enter it. A row without enough motion ([`FeatureSet::evidence`]) is not
    /// taken for ordinary: it gets a score that one person in two hundred reaches, and a raw score that is a little more the
    /// less there is. A row of another width counts as one without motion.
    #[must_use]
    pub fn assess(&self, features: &[f64]) -> Assessment<'static> {
        let assessment = self.assess_briefly(features);
        let traits = self.traits(features, &assessment.calibrated);
        Assessment { notes: assessment.notes.union(traits), ..assessment }
    }

    /// [`Model::assess`] without the traits of the movement, which cost more than everything else.
    fn assess_briefly(&self, features: &[f64]) -> Assessment<'static> {
        let (evidence, least) = self.evidence(features);
        if evidence < least {
            let score = -UNJUDGED_P.log10();
            let calibrated = Calibrated { p: UNJUDGED_P, score, supported_score: score, extrapolated: false };
            let raw = self.unjudged + 1e-6 * (least - evidence.min(least));
            return Assessment { raw, calibrated, class: POOLED, notes: Reasons::default() };
        }
        let Judgement { raw, calibrated, known, outside, .. } = self.contents.judge.assess(features);
        let mut notes = Reasons::default();
        if known < KNOWN {
            notes.insert(Reason::UnfamiliarRecorder);
        }
        if outside {
            notes.insert(Reason::OutsidePeople);
        }
        Assessment { raw, calibrated, class: POOLED, notes }
    }

    /// What the judge says of a row; `None` for a row without enough motion to be judged.
    #[must_use]
    pub fn judgement(&self, features: &[f64]) -> Option<Judgement> {
        let (evidence, least) = self.evidence(features);
        (evidence >= least).then(|| self.contents.judge.assess(features))
    }

    /// The raw score of a row of [`Model::feature_set`] that has enough motion; log-odds, finite.
    #[must_use]
    pub fn raw(&self, features: &[f64]) -> f64 {
        let raw = self.contents.judge.classifier.raw(features);
        if raw.is_nan() { f64::MAX } else { raw.clamp(f64::MIN, f64::MAX) }
    }

    /// How much motion a row was computed from, and how much is needed to judge it.
    fn evidence(&self, features: &[f64]) -> (f64, f64) {
        let (column, least) = self.contents.set.evidence();
        let fits = features.len() == self.contents.set.columns().len();
        // NaN is no evidence either.
        let evidence = features.get(column).copied().filter(|v| fits && !v.is_nan());
        (evidence.unwrap_or(0.0).max(0.0), least)
    }

    /// The verdict on one row of [`Model::feature_set`], given the heuristic's reasons.
    #[must_use]
    pub fn verdict(&self, features: &[f64], heuristic: Reasons, thresholds: &Thresholds) -> Verdict {
        let Assessment { raw, calibrated, class, notes } = self.assess(features);
        let reasons = heuristic.union(notes);
        Verdict::calibrated(raw, &calibrated, class, reasons, Source::Embedded, self.identity(), thresholds)
    }

    /// The columns that the trees ask, by their place in the feature set.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.contents.judge.classifier.columns()
    }

    /// What each column of a row of [`Model::feature_set`] did for its raw score, the largest first: log-odds added to
    /// [`Model::base`], with what nine people in ten have there. The sum of all and the base is the raw score. Empty for
    /// a row without enough motion to be judged.
    #[must_use]
    pub fn explain(&self, features: &[f64]) -> Vec<Contribution> {
        let (evidence, least) = self.evidence(features);
        let judge = &self.contents.judge;
        if evidence >= least { judge.classifier.contributions(features) } else { Vec::new() }
    }

    /// What each column of a row did for its distance from people, the largest first; the sum is the distance. Empty for a
    /// row without enough motion to be judged.
    #[must_use]
    pub fn explain_support(&self, features: &[f64]) -> Vec<Share> {
        let (evidence, least) = self.evidence(features);
        let judge = &self.contents.judge;
        if evidence >= least { judge.support.shares(features) } else { Vec::new() }
    }

    /// The raw score of the median person.
    #[must_use]
    pub fn base(&self) -> f64 {
        self.contents.judge.classifier.base()
    }

    /// The traits of the movement that raised this score most.
    fn traits(&self, features: &[f64], calibrated: &Calibrated) -> Reasons {
        if self.is_explained(features, calibrated) { self.traits_of(&self.asked(features)) } else { Reasons::default() }
    }

    fn is_explained(&self, features: &[f64], calibrated: &Calibrated) -> bool {
        let (evidence, least) = self.evidence(features);
        evidence >= least && calibrated.score > EXPLAINED
    }

    fn asked(&self, features: &[f64]) -> Box<[f32]> {
        self.contents.judge.classifier.asked(features)
    }

    /// The same from what the trees ask of a row, of one that has them.
    fn traits_of(&self, asked: &[f32]) -> Reasons {
        let set = self.contents.set;
        let mut traits: Vec<(Reason, f64)> = Vec::new();
        for Contribution { index, added, .. } in self.contents.judge.classifier.contributions_of(asked) {
            let of = set.describes(index);
            match traits.iter_mut().find(|(reason, _)| *reason == of) {
                Some((_, sum)) => *sum += added,
                None => traits.push((of, added)),
            }
        }
        traits.sort_by(|a, b| b.1.total_cmp(&a.1));
        traits.iter().take(TRAITS).filter(|(_, sum)| *sum > 0.0).map(|(reason, _)| *reason).collect()
    }
}

/// What a detector goes by.
#[derive(Clone, Debug)]
struct ActiveModel {
    model: Arc<Model>,
    drift: Arc<Drift>,
    shadow: Option<Arc<Shadow>>,
    lately: Arc<RecentRows>,
}

/// The models in service.
#[derive(Clone, Debug)]
struct InService {
    /// Of every deployment but those below.
    general: ActiveModel,
    /// Of deployments with a model of their own.
    own: Arc<HashMap<String, ActiveModel>>,
}

/// The embedded model as a detector; it is always there. Clones share the models, which may be replaced while they score.
#[derive(Clone, Debug)]
pub struct EmbeddedDetector(Arc<RwLock<InService>>);

impl EmbeddedDetector {
    /// A detector that asks `model`.
    #[must_use]
    pub fn new(model: Arc<Model>) -> Self {
        Self(Arc::new(RwLock::new(InService { general: ActiveModel::new(model), own: Arc::default() })))
    }

    fn in_service(&self) -> InService {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn going(&self) -> ActiveModel {
        self.in_service().general
    }

    /// Asks another model from now on. It must have the features of the one before: rows may be on their way.
    pub fn replace(&self, model: Arc<Model>) {
        let drift = Arc::new(Drift::new(&model));
        let going = &mut self.0.write().unwrap_or_else(PoisonError::into_inner).general;
        (going.model, going.drift, going.lately) = (model, drift, Arc::default());
    }

    /// Asks these models about the sessions of these deployments from now on, and the general one about all others. Each
    /// must have the features of the general one.
    pub fn replace_own(&self, models: BTreeMap<String, Arc<Model>>) {
        let mut in_service = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let held = Arc::clone(&in_service.own);
        let next = models.into_iter().map(|(deployment, model)| {
            let stays = held.get(&deployment).filter(|held| held.model.identity == model.identity);
            (deployment, stays.cloned().unwrap_or_else(|| ActiveModel::new(model)))
        });
        in_service.own = Arc::new(next.collect());
    }

    /// The model it asks about a deployment's sessions.
    #[must_use]
    pub fn model_of(&self, deployment: &str) -> Arc<Model> {
        Arc::clone(&self.in_service().of(deployment).model)
    }

    /// Asks another model beside, with the thresholds by which the two are compared, or none.
    pub fn set_shadow(&self, shadow: Option<(Arc<Model>, Thresholds)>) {
        let new = |(model, thresholds)| Arc::new(Shadow::new(model, thresholds));
        self.0.write().unwrap_or_else(PoisonError::into_inner).general.shadow = shadow.map(new);
    }

    /// What scores beside.
    #[must_use]
    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        self.going().shadow
    }

    /// The model it asks.
    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        self.going().model
    }

    /// What watches the sessions that it scores.
    #[must_use]
    pub fn drift(&self) -> Arc<Drift> {
        self.going().drift
    }
}

impl InService {
    fn of(&self, deployment: &str) -> &ActiveModel {
        self.own.get(deployment).unwrap_or(&self.general)
    }
}

impl ActiveModel {
    fn new(model: Arc<Model>) -> Self {
        let drift = Arc::new(Drift::new(&model));
        Self { model, drift, shadow: None, lately: Arc::default() }
    }

    /// Why the model cannot score a row; `None` for one that it can.
    fn refusal(&self, features: &[f64]) -> Option<String> {
        let columns = self.model.feature_set().columns();
        if features.len() != columns.len() {
            return Some(format!("the row has {} features, the model wants {}", features.len(), columns.len()));
        }
        let at = features.iter().position(|v| !v.is_finite())?;
        Some(format!("the feature {} is not a finite number", columns[at]))
    }

    fn outcome(&self, row: &Row) -> (Seq, Outcome) {
        if let Some(refusal) = self.refusal(&row.features) {
            return (row.id, Outcome::Rejected(refusal));
        }
        let Assessment { raw, calibrated, class, notes } = self.model.assess(&row.features);
        (row.id, Outcome::Calibrated { raw, calibrated, class: class.to_owned(), notes })
    }
}

#[async_trait]
impl Detector for EmbeddedDetector {
    fn source(&self) -> Source {
        Source::Embedded
    }

    fn feature_set(&self) -> FeatureSet {
        self.model().feature_set()
    }

    fn limits(&self) -> Limits {
        Limits { rows: MAX_ROWS, in_flight: 2 }
    }

    fn kept(&self) -> Option<Kept> {
        Some(Kept(self.in_service()))
    }

    async fn score(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        let in_service = self.in_service();
        // An ordinary batch takes less than handing it to another thread would.
        let outcomes: Vec<(Seq, Outcome)> = if rows.len() <= 2 * ROWS_PER_TASK {
            rows.iter().map(|row| in_service.of(&row.deployment).outcome(row)).collect()
        } else {
            rows.par_iter().with_min_len(ROWS_PER_TASK).map(|row| in_service.of(&row.deployment).outcome(row)).collect()
        };
        let InService { general, own } = in_service;
        let by_general = || {
            let scored = rows.iter().zip(&outcomes).filter(|(row, _)| !own.contains_key(&row.deployment));
            scored.filter_map(|(row, (_, outcome))| match outcome {
                Outcome::Calibrated { calibrated, .. } => Some((row, calibrated)),
                _ => None,
            })
        };
        general.drift.observe(by_general().map(|(row, calibrated)| (&row.features[..], calibrated.p)));
        if let Some(shadow) = &general.shadow {
            shadow.observe(by_general());
        }
        let by_own = rows.iter().filter_map(|row| Some((row.id, own.get(&row.deployment)?.model.identity())));
        Ok(Answer { models: Models { general: general.model.identity(), own: by_own.collect() }, outcomes })
    }

    async fn health(&self) -> Result<ModelIdentity, DetectorError> {
        Ok(self.model().identity())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
