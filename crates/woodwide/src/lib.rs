//! The Woodwide service as a detector: a batch goes out as a table, its scores come back checked and calibrated.
//!
//! [`service`] speaks [`ga`] or [`beta`] over [`transport`], [`answer`] reads what they say; [`layout`] adds known rows
//! ([`reference`](mod@reference)) to the batch, and [`profile`] knows what these must answer; [`retry_ladder`] goes on until there is an answer.
//! [`persistent`] keeps one dataset there in place of one per batch. [`training`] puts tables checked by [`dataset`]
//! there and has models made of them; [`progress`] says how far they are.

#![cfg_attr(
    test,
    expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "tests compare small counts"
    )
)]

mod answer;
mod beta;
mod dataset;
mod failure;
mod ga;
mod layout;
mod order;
mod persistent;
mod profile;
mod progress;
mod reference;
mod retry_ladder;
mod service;
mod settings;
mod table;
mod training;
mod transport;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use self::failure::Failure;
use self::layout::{Layout, Slot};
pub use self::order::{Dataset, Fault, Order, Started, TrainingError};
use self::persistent::Persistent;
use self::profile::{CALIBRATION_ROWS, FEW_ROWS, IntegrityError, Profile, in_company, nature, people_alone};
pub use self::progress::{Progress, Stage};
pub use self::reference::DamagedReference;
use self::reference::Reference;
use self::retry_ladder::{Answered, Start, ask};
use self::service::Service;
pub use self::settings::{Generation, Timing, WoodwideSettings};
pub use self::training::Training;
use self::transport::Transport;
use playproof_clock::Clock;
use playproof_detector::{Answer, Detector, DetectorError, DetectorState, Limits, Outcome, Row};
use playproof_domain::features::FeatureSet;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{ModelIdentity, Source};

/// Answers about other rows, one after the other, after which the model is taken to have changed.
const SUSPICIONS: u32 = 2;
/// Fewest known people that are asked about where the service takes no larger tables.
const MIN_CALIBRATION_ROWS: usize = 50;
/// Most rows of a batch.
const MAX_ROWS: usize = 5000;
/// Calibration class named in results.
const CLASS: &str = "reference";

/// Why the detector cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No model is named.
    #[error(
        "ANOMALY_MODEL_ID is not set; set it to the id of a trained Woodwide model, such as training/start answers"
    )]
    NoModel,
    /// TLS or the like.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// A broken build.
    #[error(transparent)]
    Reference(#[from] DamagedReference),
    /// The store.
    #[error("what was learned about Woodwide cannot be read: {0}")]
    Memory(String),
}

/// Scores by the Woodwide service.
pub struct WoodwideDetector {
    service: Service,
    reference: Arc<Reference>,
    memory: Arc<dyn DetectorState>,
    /// The one dataset that grows, where one is named.
    persistent: Option<Persistent>,
    clock: Arc<dyn Clock>,
    min_rows: usize,
    in_flight: usize,
    known: std::sync::Mutex<Option<Arc<Profile>>>,
    /// Held by whoever looks at the model: one at a time.
    looking: Mutex<()>,
    suspicions: AtomicU32,
    /// Whether the model was of use when it was last looked at.
    useful: AtomicBool,
}

impl WoodwideDetector {
    /// The detector behind `settings`. Nothing is asked yet.
    ///
    /// `shared` says whether other processes use the same memory.
    ///
    /// # Errors
    /// [`SetupError`], with the mend.
    pub async fn new(
        settings: &WoodwideSettings,
        memory: Arc<dyn DetectorState>,
        clock: Arc<dyn Clock>,
        shared: bool,
    ) -> Result<Self, SetupError> {
        let model = settings.model_id.clone().ok_or(SetupError::NoModel)?;
        let transport = Transport::new(&settings.base_url, settings.keys.clone(), settings.in_flight, settings.timing)?;
        let installation = installation(memory.as_ref()).await.map_err(SetupError::Memory)?;
        let service = Service::new(transport, settings.generation, model, &installation, shared);
        let persistent = settings.persistent_dataset.clone();
        let reference = Reference::bundled()?;
        Ok(Self {
            service,
            persistent: persistent.map(|name| Persistent::new(name, Arc::clone(&memory), Arc::clone(&reference))),
            reference,
            memory,
            clock,
            min_rows: settings.min_rows,
            in_flight: settings.in_flight,
            known: std::sync::Mutex::default(),
            looking: Mutex::default(),
            suspicions: AtomicU32::new(0),
            useful: AtomicBool::new(false),
        })
    }

    /// What is known of the model version in use; found out at first use.
    async fn profile(&self, deadline: Instant) -> Result<Arc<Profile>, DetectorError> {
        if let Some(profile) = self.known() {
            return Ok(profile);
        }
        let busy = |_| DetectorError::Unavailable {
            message: "Woodwide: what the model is like is still being found out".to_owned(),
            retry_after: None,
        };
        let _looking = timeout_at(deadline, self.looking.lock()).await.map_err(busy)?;
        if let Some(profile) = self.known() {
            return Ok(profile);
        }
        let version = self.service.resolve(deadline).await.map_err(|failure| self.unblamed(failure))?;
        let kept = self.memory.get(&self.key(&version)).await.unwrap_or_default();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Profile>(&bytes).ok());
        let profile = match kept.filter(|kept| kept.version == version && kept.reference == self.reference.digest) {
            Some(profile) => profile,
            None => self.explore(version, deadline).await?,
        };
        tracing::info!(model = self.service.model, version = profile.version, "Woodwide {}", profile.kind());
        self.useful.store(true, Ordering::Relaxed);
        let profile = Arc::new(profile);
        self.know(Some(Arc::clone(&profile)));
        Ok(profile)
    }

    fn known(&self) -> Option<Arc<Profile>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known from now on; gives what was known before.
    fn know(&self, profile: Option<Arc<Profile>>) -> Option<Arc<Profile>> {
        std::mem::replace(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner), profile)
    }

    /// Scores known rows twice in different company; fewer of them where the service takes no more.
    async fn explore(&self, version: String, deadline: Instant) -> Result<Profile, DetectorError> {
        let mut rows = CALIBRATION_ROWS.min(self.reference.len());
        let (alone, company) = loop {
            match self.tried(rows, &version, deadline).await {
                Err(Failure::TooLarge(_)) if rows >= 2 * MIN_CALIBRATION_ROWS => rows /= 2,
                answered => break answered.map_err(|failure| self.unblamed(failure))?,
            }
        };
        let nature = nature((&alone.layout, &alone.scores), (&company.layout, &company.scores));
        let nature = nature.map_err(|suspicion| match suspicion {
            IntegrityError::Useless | IntegrityError::Alike => {
                // It was good for something a moment ago: that may come back soon.
                let before = self.useful.swap(false, Ordering::Relaxed);
                let retry_after = (!before).then_some(self.timing().useless);
                DetectorError::Unavailable { message: format!("Woodwide: {suspicion}"), retry_after }
            }
            other => DetectorError::Unusable { message: other.to_string() },
        })?;
        let profile = Profile {
            version,
            reference: self.reference.digest.clone(),
            nature,
            // The second call was of a batch's size.
            top_up: company.top_up,
            as_dataset: company.as_dataset,
            warm_up_ms: 0,
        };
        self.keep(&profile).await;
        Ok(profile)
    }

    /// [`people_alone`], so many of them, and [`in_company`] as few as the service answers.
    async fn tried(&self, rows: usize, version: &str, deadline: Instant) -> Result<(Answered, Answered), Failure> {
        let large = Start { top_up: 1000, ..Start::default() };
        let put = |layout: Layout| {
            let table = layout.table(self.name(), &[], &self.reference);
            (layout, table)
        };
        // Both to their end, whatever becomes of the other: each has something to put away.
        let (alone, company) = tokio::join!(
            ask(&self.service, version, large, deadline, |_| put(people_alone(rows))),
            ask(&self.service, version, Start::default(), deadline, |top_up| {
                put(in_company(rows.min(FEW_ROWS + top_up)))
            }),
        );
        Ok((alone?, company?))
    }

    fn timing(&self) -> &Timing {
        &self.service.transport.timing
    }

    /// What a failure with nothing but known rows means: no session is to blame for it.
    fn unblamed(&self, failure: Failure) -> DetectorError {
        match failure.into_error(self.timing()) {
            DetectorError::Permanent { message } => DetectorError::Unavailable { message, retry_after: None },
            other => other,
        }
    }

    /// Finds out which model answers and what its scores are like, and says so.
    ///
    /// # Errors
    /// [`DetectorError`], with what to do where the model cannot be used.
    pub async fn describe(&self) -> Result<String, DetectorError> {
        let deadline = Instant::now() + self.timing().batch;
        self.service.ping(deadline).await.map_err(|failure| self.unblamed(failure))?;
        let profile = self.profile(deadline).await?;
        Ok(format!(
            "woodwide answers with model {} version {}, which {}",
            self.service.model,
            profile.version,
            profile.kind()
        ))
    }

    fn key(&self, version: &str) -> String {
        format!("woodwide/profile/{}/{version}", self.service.model)
    }

    async fn keep(&self, profile: &Profile) {
        let Ok(bytes) = serde_json::to_vec(profile) else { return };
        // Without it the next start asks again; that costs two calls.
        if let Err(error) = self.memory.put(&self.key(&profile.version), Some(bytes)).await {
            tracing::warn!(error, "what was learned about the Woodwide model could not be kept");
        }
    }

    /// Keeps the size and the time that worked, if they differ from what was known.
    async fn learn(&self, profile: &Profile, answered: &Answered) {
        let took = u64::try_from(answered.took.as_millis()).unwrap_or(u64::MAX);
        // Only a wait that was one: an ordinary answer's seconds say nothing of a fresh dataset.
        let warm_up_ms = if took > 5_000 { took } else { 0 };
        let slower = warm_up_ms > profile.warm_up_ms.saturating_mul(2);
        let Answered { top_up, as_dataset, .. } = *answered;
        if (top_up, as_dataset) == (profile.top_up, profile.as_dataset) && !slower {
            return;
        }
        let learned = Profile { top_up, as_dataset, warm_up_ms, ..profile.clone() };
        self.keep(&learned).await;
        self.know(Some(Arc::new(learned)));
    }

    /// Another answer that cannot be about our rows: after some of them the model is looked at anew.
    async fn suspect(&self, suspicion: &IntegrityError) -> DetectorError {
        if self.suspicions.fetch_add(1, Ordering::Relaxed) + 1 >= SUSPICIONS {
            self.suspicions.store(0, Ordering::Relaxed);
            self.unlearn().await;
        }
        DetectorError::Unusable { message: format!("Woodwide: {suspicion}") }
    }

    /// The model is looked at anew by the next call.
    async fn unlearn(&self) {
        if let Some(profile) = self.know(None) {
            // What is kept by mistake is found out again.
            let _ = self.memory.put(&self.key(&profile.version), None).await;
        }
    }

    /// Whether known rows are scored now.
    async fn takes_known_rows(&self, profile: &Profile) -> bool {
        self.ask_known(&profile.version, profile.start(), Instant::now() + self.timing().probe).await.is_ok()
    }

    /// Has a few known rows scored.
    async fn ask_known(&self, version: &str, start: Start, deadline: Instant) -> Result<(), Failure> {
        let make = |top_up: usize| {
            let rows = self.min_rows.max(top_up).max(1);
            let layout = Layout::fixed((0..rows).map(Slot::Known).collect());
            let table = layout.table(self.name(), &[], &self.reference);
            (layout, table)
        };
        ask(&self.service, version, start, deadline, make).await.map(|_| ())
    }

    /// A new name for something on the service.
    fn name(&self) -> String {
        self.service.name(self.clock.now().wall)
    }

    fn identity_of(&self, profile: &Profile) -> ModelIdentity {
        ModelIdentity { id: self.service.model.clone(), version: profile.version.clone() }
    }
}

#[async_trait]
impl Detector for WoodwideDetector {
    fn source(&self) -> Source {
        Source::Woodwide
    }

    fn feature_set(&self) -> FeatureSet {
        FeatureSet::V1
    }

    fn limits(&self) -> Limits {
        let rows = if self.persistent.is_some() { persistent::MAX_SESSIONS } else { MAX_ROWS };
        Limits { rows, in_flight: self.in_flight }
    }

    async fn score(&self, rows: &[Row]) -> Result<Answer, DetectorError> {
        let deadline = Instant::now() + self.timing().batch;
        self.service.clean_up(self.clock.now().wall, deadline).await;
        let profile = self.profile(deadline).await?;
        let layout = |least: usize| profile.layout(rows.len(), least, &mut rand::rng());
        let asked = if let Some(persistent) = &self.persistent {
            let layout = layout(0);
            let now = self.clock.now().wall;
            let asked = persistent.ask(&self.service, &profile.version, &layout, rows, now, deadline);
            let Profile { top_up, as_dataset, .. } = *profile;
            asked.await.map(|scores| Answered { layout, scores, top_up, as_dataset, took: Duration::ZERO })
        } else {
            let make = |top_up: usize| {
                let layout = layout(self.min_rows.max(if top_up == 0 { 0 } else { rows.len() + top_up }));
                let table = layout.table(self.name(), rows, &self.reference);
                (layout, table)
            };
            ask(&self.service, &profile.version, profile.start(), deadline, make).await
        };
        let answered = match asked {
            Ok(answered) => answered,
            Err(failure) => {
                if matches!(failure, Failure::Away { ambiguous: true, retry_after: None, .. })
                    && self.takes_known_rows(&profile).await
                {
                    // It works for others: what is in these rows breaks it.
                    return Err(Failure::Refused(failure.to_string()).into_error(self.timing()));
                }
                if matches!(failure, Failure::Missing(_)) {
                    // The version may be gone; the next call looks for it anew.
                    self.know(None);
                }
                return Err(failure.into_error(self.timing()));
            }
        };
        let calibration = match profile.check(&answered.layout, &answered.scores) {
            Ok(calibration) => calibration,
            Err(suspicion) => return Err(self.suspect(&suspicion).await),
        };
        self.suspicions.store(0, Ordering::Relaxed);
        self.learn(&profile, &answered).await;
        if profile.is_misjudged(&answered.layout, &answered.scores) {
            self.unlearn().await;
        }
        let outcomes = answered.layout.sessions(&answered.scores).filter_map(|(place, score, flag)| {
            let row = rows.get(place)?;
            let outcome = match (&calibration, score) {
                (Some(people), Some(raw)) => Outcome::Calibrated {
                    raw,
                    calibrated: people.assess(raw),
                    class: CLASS.to_owned(),
                    notes: Reasons::default(),
                },
                _ => Outcome::Flagged(flag),
            };
            Some((row.id, outcome))
        });
        Ok(Answer { models: self.identity_of(&profile).into(), outcomes: outcomes.collect() })
    }

    /// Knocks with one request, then has a known person scored.
    async fn health(&self) -> Result<ModelIdentity, DetectorError> {
        let deadline = Instant::now() + self.timing().probe;
        self.service.ping(deadline).await.map_err(|failure| self.unblamed(failure))?;
        let (version, start) = match self.known() {
            Some(profile) => (profile.version.clone(), profile.start()),
            None => (self.service.resolve(deadline).await.map_err(|failure| self.unblamed(failure))?, Start::default()),
        };
        self.ask_known(&version, start, deadline).await.map_err(|failure| self.unblamed(failure))?;
        Ok(ModelIdentity { id: self.service.model.clone(), version })
    }
}

/// The random name of this installation, made once.
async fn installation(memory: &dyn DetectorState) -> Result<String, String> {
    const KEY: &str = "woodwide/installation";
    if let Some(name) = memory.get(KEY).await?.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return Ok(name);
    }
    let name = format!("{:08x}", rand::random::<u32>());
    memory.put(KEY, Some(name.clone().into_bytes())).await?;
    Ok(name)
}
