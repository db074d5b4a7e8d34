//! The model registry: models made from labels, and the way of one into service. A new one is kept, may score beside the
//! active one as its shadow, is tested on what is stored, and scores once it is promoted, if it is no worse on labelled
//! sessions that it has not learned from. The step can be taken back. Every node on the store follows.

mod backtest;
pub(crate) mod touchstone;

pub use self::backtest::{Backtest, Changed, Errors, Moves};

use self::touchstone::Touchstone;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::controls::{Made, OperatorState, Stages};
use crate::detector::embedded::train::{self, Example, Material, Recipe, TrainError};
use crate::detector::embedded::{EmbeddedDetector, Model};
use crate::domain::id::{Seq, SessionKey};
use crate::domain::record;
use crate::domain::session::Session;
use crate::shutdown::Shutdown;
use crate::store::labels::{LabelRow, Truth};
use crate::store::{Store, StoreError};
use crate::thresholds::REFRESH;

/// One labelled session in so many is never learned from: it judges the models that are.
const HELD_OUT: u64 = 4;
/// Labels and records read at once.
const STEP: u32 = 500;
/// Most labels learned from.
const MAX_LABELS: usize = 50_000;
/// Most models that can be rolled back to, one after the other.
const MAX_PREVIOUS: usize = 10;
/// Where a training on this node stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Training {
    /// None was begun.
    #[default]
    None,
    /// It runs.
    Runs,
    /// It made this version.
    Done(String),
    /// It made none, and this is why.
    Failed(String),
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no such model.
    #[error("there is no model of this version")]
    Unknown,
    /// One runs already.
    #[error("a training runs; wait for its end")]
    Running,
    /// It is worse than the active one.
    #[error("{0}")]
    Worse(String),
    /// There was none before.
    #[error("no model was promoted, so there is none to roll back to")]
    NoPrevious,
    /// It cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The store is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registry of a node.
pub struct Registry {
    store: Arc<dyn Store>,
    controls: Arc<OperatorState>,
    clock: Arc<dyn Clock>,
    embedded: EmbeddedDetector,
    /// Where models are trained, whoever asks for it.
    home: Handle,
    base: Arc<Model>,
    /// For which deployment the latest training was, `None` for all, and where it stands.
    training: Mutex<(Option<String>, Training)>,
    /// Held while models are tested: one test at a time, as each takes both memory and processors.
    testing: tokio::sync::Mutex<()>,
    /// Held while this node goes by what is stored: an older look must not undo a newer one.
    reconciling: tokio::sync::Mutex<()>,
}

/// Whether a session judges and is not learned from; FNV-1a over its key, so that every node agrees.
fn is_held_out(key: &SessionKey) -> bool {
    let bytes = key.deployment.bytes().chain([0]).chain(key.id.unique().bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash % HELD_OUT == 0
}

impl Registry {
    /// The registry of `store`, with `embedded` as the detector that follows it; it goes by what is stored already.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn open(
        store: Arc<dyn Store>,
        controls: Arc<OperatorState>,
        clock: Arc<dyn Clock>,
        embedded: EmbeddedDetector,
        home: Handle,
    ) -> Result<Arc<Self>, StoreError> {
        let base = embedded.model();
        let registry = Self {
            store,
            controls,
            clock,
            embedded,
            home,
            base,
            training: Mutex::default(),
            testing: tokio::sync::Mutex::default(),
            reconciling: tokio::sync::Mutex::default(),
        };
        registry.reconcile().await?;
        Ok(Arc::new(registry))
    }

    /// Follows the store until the process ends.
    pub async fn follow(self: Arc<Self>, shutdown: Shutdown) {
        let mut every = tokio::time::interval(REFRESH);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = shutdown.soft() => return,
            }
            // A store that is away is told of elsewhere.
            let _ = self.reconcile().await;
        }
    }

    /// Goes by what is stored.
    async fn reconcile(&self) -> Result<(), StoreError> {
        let _alone = self.reconciling.lock().await;
        let stages = self.stages(None);
        if let Some(active) = self.wanted(stages.active.as_deref(), &self.embedded.model()).await? {
            tracing::info!(version = active.identity().version, "another model scores from now on");
            self.embedded.replace(active);
        }
        self.reconcile_own().await?;
        let shadow = self.embedded.shadow().map(|shadow| shadow.model());
        match (stages.shadow.as_deref(), shadow) {
            (None, None) => {}
            (None, Some(_)) => self.embedded.set_shadow(None),
            (Some(version), Some(held)) if held.identity().version == version => {}
            (Some(version), _) => {
                if let Some(model) = self.load(version).await? {
                    self.embedded.set_shadow(Some((model, self.controls.thresholds().setting())));
                }
            }
        }
        Ok(())
    }

    /// Goes by what is stored of deployments with a model of their own.
    async fn reconcile_own(&self) -> Result<(), StoreError> {
        let snapshot = self.controls.current();
        let mut own = BTreeMap::new();
        for (deployment, stages) in &snapshot.own_stages {
            let Some(version) = &stages.active else { continue };
            let held = self.embedded.model_of(deployment);
            let model = if held.identity().version == *version { Some(held) } else { self.load(version).await? };
            own.extend(model.map(|model| (deployment.clone(), model)));
        }
        self.embedded.replace_own(own);
        Ok(())
    }

    /// The model that should take the place of `held`; `None` where it is the one.
    async fn wanted(&self, version: Option<&str>, held: &Model) -> Result<Option<Arc<Model>>, StoreError> {
        let base = self.base.identity().version;
        let wanted = version.unwrap_or(&base);
        if held.identity().version == wanted {
            return Ok(None);
        }
        self.load(wanted).await
    }

    /// The model of a version; `None` where it is not there or not to be used, which is logged.
    async fn load(&self, version: &str) -> Result<Option<Arc<Model>>, StoreError> {
        if version == self.base.identity().version {
            return Ok(Some(Arc::clone(&self.base)));
        }
        let Some(bytes) = self.store.get_state(memory(version)).await? else {
            tracing::error!(version, "a model that is to score is not in the store and is not used");
            return Ok(None);
        };
        match Model::load(&bytes) {
            // Rows on their way were made for the features of the model before.
            Ok(model) if model.feature_set() == self.base.feature_set() => Ok(Some(Arc::new(model))),
            Ok(_) => {
                tracing::error!(version, "a stored model has other features than the settings' model and is not used");
                Ok(None)
            }
            Err(error) => {
                tracing::error!(version, %error, "a stored model cannot be read and is not used");
                Ok(None)
            }
        }
    }

    fn training_state(&self) -> MutexGuard<'_, (Option<String>, Training)> {
        self.training.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a training on this node stands; who sees one deployment only learns nothing of another's.
    #[must_use]
    pub fn training(&self, seen: Option<&str>) -> Training {
        let state = self.training_state();
        if seen.is_none() || state.0.as_deref() == seen { state.1.clone() } else { Training::None }
    }

    /// The settings' model.
    #[must_use]
    pub fn base(&self) -> &Model {
        &self.base
    }

    /// The models made here, by version; of a deployment's own, only those that may be used in `deployment`, where one is
    /// named.
    #[must_use]
    pub fn made(&self, deployment: Option<&str>) -> BTreeMap<String, Made> {
        let mut made = self.controls.current().models.clone();
        made.retain(|version, made| self.is_usable(version, made, deployment));
        made
    }

    /// Which model does what: in a deployment, or in all that have no stages of their own.
    #[must_use]
    pub fn stages(&self, deployment: Option<&str>) -> Stages {
        let current = self.controls.current();
        match deployment {
            Some(deployment) => current.own_stages.get(deployment).cloned().unwrap_or_default(),
            None => current.stages.clone(),
        }
    }

    /// Deployments with a model of their own, by its version.
    #[must_use]
    pub fn own(&self) -> BTreeMap<String, String> {
        let current = self.controls.current();
        let own = current.own_stages.iter().filter_map(|(of, stages)| Some((of.clone(), stages.active.clone()?)));
        own.collect()
    }

    fn active(&self, deployment: Option<&str>) -> Arc<Model> {
        deployment.map_or_else(|| self.embedded.model(), |deployment| self.embedded.model_of(deployment))
    }

    /// Begins to make a model of the active one and the labels, those of a deployment or all; [`Self::training`] tells what
    /// became of it.
    ///
    /// # Errors
    /// [`RegistryError::Running`]
    pub fn train(self: &Arc<Self>, deployment: Option<String>) -> Result<(), RegistryError> {
        {
            let mut training = self.training_state();
            if training.1 == Training::Runs {
                return Err(RegistryError::Running);
            }
            *training = (deployment.clone(), Training::Runs);
        }
        let registry = Arc::clone(self);
        self.home.spawn(async move {
            let done = match registry.make(deployment).await {
                Ok(version) => Training::Done(version),
                Err(error) => Training::Failed(error.to_string()),
            };
            registry.training_state().1 = done;
        });
        Ok(())
    }

    async fn make(&self, deployment: Option<String>) -> Result<String, RegistryError> {
        let (mut people, mut bots) = (Vec::new(), Vec::new());
        for (row, session) in self.labelled(false, deployment.as_deref()).await? {
            if row.label.truth == Truth::Bot {
                bots.push(session);
            } else {
                people.push(Example { user: session.user_id.clone(), source: row.key.deployment, session });
            }
        }
        let active = self.active(deployment.as_deref());
        let (base, told) = (active.identity().version, (people.len(), bots.len()));
        // Else two deployments' models of the same labels would be one.
        let of = deployment.clone();
        let made = tokio::task::spawn_blocking(move || {
            let (fit, calibration) = {
                let share = train::site_share(people.len());
                train::split(people, share, 1)
            };
            let recipe = Recipe { set: active.feature_set(), seed: 1, ..Recipe::default() };
            let provenance = format!(
                "Adapted from {} to {} labelled people and {} labelled bots of {}.",
                active.identity().version,
                fit.len() + calibration.len(),
                bots.len(),
                of.as_deref().map_or_else(|| "this service".to_owned(), |of| format!("the deployment {of}"))
            );
            let material = Material { fit: &fit, calibration: &calibration, bots: &bots };
            train::adapt(active.contents(), &material, &recipe, &provenance, &mut |_| ()).map(|(made, _)| made.encode())
        });
        let unusable = |error: TrainError| RegistryError::Unusable(format!("labelled sessions: {error}"));
        let died = |error: tokio::task::JoinError| RegistryError::Unusable(format!("the training died: {error}"));
        let bytes = made.await.map_err(died)?.map_err(unusable)?;
        let model = Model::load(&bytes).map_err(|error| RegistryError::Unusable(error.to_string()))?;
        let version = model.identity().version;
        self.store.put_state(memory(&version), Some(bytes)).await?;
        let (created_at, (people, bots)) = (self.clock.now().wall.0, told);
        let made = Made { created_at, base, people, bots, deployment_id: deployment };
        self.controls.put(&version, &made).await?;
        Ok(version)
    }

    /// Labelled sessions, of a deployment or all, whose telemetry is kept: those that judge, or the others.
    async fn labelled(&self, held_out: bool, deployment: Option<&str>) -> Result<Vec<(LabelRow, Session)>, StoreError> {
        let (mut after, mut found) = (Seq(0), Vec::new());
        loop {
            let rows = self.store.labels(after, STEP, deployment.map(str::to_owned)).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = last.seq;
            let rows: Vec<LabelRow> = rows.into_iter().filter(|row| is_held_out(&row.key) == held_out).collect();
            let records = self.store.telemetry(rows.iter().map(|row| row.seq).collect()).await?;
            for (row, record) in rows.into_iter().zip(records) {
                if let Some(mut session) = record.and_then(|record| record::decode(&record).ok()) {
                    session.id = row.key.id.clone();
                    found.push((row, session));
                }
            }
            if found.len() >= MAX_LABELS {
                return Ok(found);
            }
        }
    }

    async fn stage(&self, deployment: Option<&str>, stages: &Stages) -> Result<(), RegistryError> {
        self.controls.put(deployment.unwrap_or_default(), stages).await?;
        Ok(self.reconcile().await?)
    }

    /// Whether a model may be used in a deployment, or by who sees all: one made from a deployment's labels is nobody else's,
    /// unless it scores for all.
    fn is_usable(&self, version: &str, made: &Made, deployment: Option<&str>) -> bool {
        let is_of_all = || self.controls.current().stages.active.as_deref() == Some(version);
        deployment.is_none()
            || made.deployment_id.is_none()
            || made.deployment_id.as_deref() == deployment
            || is_of_all()
    }

    /// Whether there is a model of this version that may be used in a deployment, or in all.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`]
    pub fn check(&self, version: &str, deployment: Option<&str>) -> Result<(), RegistryError> {
        let current = self.controls.current();
        let made = || current.models.get(version).is_some_and(|made| self.is_usable(version, made, deployment));
        if version == self.base.identity().version || made() { Ok(()) } else { Err(RegistryError::Unknown) }
    }

    /// Lets a model score beside the active one, or none.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`], [`RegistryError::Store`]
    pub async fn set_shadow(&self, version: Option<String>) -> Result<(), RegistryError> {
        version.as_deref().map_or(Ok(()), |version| self.check(version, None))?;
        self.stage(None, &Stages { shadow: version, ..self.stages(None) }).await
    }

    /// Lets a model score, in a deployment or in all that have none of their own, if it is no worse than the active one on
    /// labelled sessions that it has not learned from.
    ///
    /// # Errors
    /// [`RegistryError::Worse`] with the figures; [`RegistryError::Unknown`], [`RegistryError::Store`]
    pub async fn promote(&self, version: &str, deployment: Option<&str>) -> Result<Backtest, RegistryError> {
        let told = self.backtest(version, 0, deployment).await?;
        if told.other.wrong() > told.active.wrong() {
            let words = |errors: &Errors| {
                let Errors { people, people_failed, bots, bots_passed, .. } = errors;
                format!("fails {people_failed} of {people} people and passes {bots_passed} of {bots} bots")
            };
            return Err(RegistryError::Worse(format!(
                "on labelled sessions that it has not learned from, this model {}; the active one {}",
                words(&told.other),
                words(&told.active)
            )));
        }
        let other = self.load(version).await?.ok_or(RegistryError::Unknown)?;
        let (active, thresholds) =
            (self.active(deployment), self.controls.thresholds().of(deployment.unwrap_or_default()));
        let (base, setting) = (Arc::clone(&self.base), self.controls.thresholds().setting());
        let alone = self.testing.lock().await;
        let held_to = tokio::task::spawn_blocking(move || {
            let ours = Touchstone::new();
            // The settings' model too: steps that are each no worse than the last could lead anywhere.
            let beside_active = ours.fault(&other, (&active, "the active one"), &thresholds);
            beside_active.or_else(|| ours.fault(&other, (&base, "the settings' model"), &setting))
        });
        let fault = held_to.await.map_err(|error| RegistryError::Unusable(format!("the test died: {error}")))?;
        drop(alone);
        if let Some(fault) = fault {
            return Err(RegistryError::Worse(fault));
        }
        let mut stages = self.stages(deployment);
        // Without a name the settings' model is whatever the settings name, also after a restart with another.
        let is_named = deployment.is_some() || version != self.base.identity().version;
        let next = is_named.then(|| version.to_owned());
        if deployment.is_some() && version == self.base.identity().version {
            // It stays this one when the settings name another.
            self.store.put_state(memory(version), Some(self.base.contents().encode())).await?;
        }
        if stages.active != next {
            stages.previous.push(stages.active.take());
            let most = stages.previous.len().saturating_sub(MAX_PREVIOUS);
            stages.previous.drain(..most);
            stages.active = next;
        }
        if stages.shadow.as_deref() == Some(version) {
            stages.shadow = None;
        }
        self.stage(deployment, &stages).await?;
        Ok(told)
    }

    /// Lets the model score that did before the active one, in a deployment or in all that have none of their own; its
    /// version.
    ///
    /// # Errors
    /// [`RegistryError::NoPrevious`], [`RegistryError::Store`]
    pub async fn roll_back(&self, deployment: Option<&str>) -> Result<String, RegistryError> {
        let mut stages = self.stages(deployment);
        stages.active = stages.previous.pop().ok_or(RegistryError::NoPrevious)?;
        self.stage(deployment, &stages).await?;
        Ok(self.active(deployment).identity().version)
    }
}

/// What the store remembers a model under.
fn memory(version: &str) -> String {
    format!("model/{version}")
}
