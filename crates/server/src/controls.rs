//! What operators made through the API and every node goes by: thresholds, keys, overrides, webhooks. The store keeps it;
//! each node holds it read, and looks for changes every two seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::reason::Reason;
use crate::domain::result::{Decision, Thresholds};
use crate::domain::time::Timestamp;
use crate::shutdown::Shutdown;
use crate::store::controls::{Control, RETENTION, RetentionRule, THRESHOLDS};
use crate::store::deliveries::WEBHOOK;
use crate::store::{Store, StoreError, StoreResult};
use crate::thresholds::{Applied, REFRESH, ThresholdTable};

/// Kind of a [`Control`] that is a [`StoredKey`].
pub const KEY: &str = "key";
/// Kind of a [`Control`] that is an [`Override`].
pub const OVERRIDE: &str = "override";
/// Kind of a [`Control`] that is a login which somebody ended, until its time is over; Unix milliseconds.
pub const ENDED_LOGIN: &str = "ended-login";
/// Kind of a [`Control`] that is a [`Made`] model; its name is the version.
pub const MODEL: &str = "model";
/// Kind of a [`Control`] that says which model does what in a deployment, or in all without a name: [`Stages`].
pub const MODEL_STAGE: &str = "model-stage";
/// Kind of a [`Control`] that is a [`PendingRedecision`].
pub const REDECISION: &str = "redecision";

/// A key that was made through the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredKey {
    /// SHA-256 of the key, as hexadecimal digits.
    pub digest: String,
    /// submit, ingest, analyst, admin or metrics.
    pub role: String,
    /// The only deployment that it may see.
    pub deployment_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Of a test key: the decision about every session that is sent with it.
    pub verdict: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// What is to be decided about a user's sessions, whatever their movement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Keyed hash of the user, never the identifier.
    pub user: String,
    /// Only in this deployment.
    pub deployment_id: Option<String>,
    /// Whether they pass; else they fail.
    pub allow: bool,
    /// Why, in somebody's words.
    pub note: String,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// Somebody to be told of verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What signs, of a webhook that was made before secrets followed from a key; see
    /// [`crate::webhooks::secrets`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Tells the key that its secret follows from.
    #[serde(default)]
    pub key_mark: String,
    /// Only of this deployment; all of them when `None`.
    pub deployment_id: Option<String>,
    /// Whether `verdict.final` is told.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Whether `verdict.changed` is told.
    pub changed: bool,
    /// Whether `campaign.opened` and `campaign.grown` are told.
    #[serde(default)]
    pub campaigns: bool,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Set once the receiver answered 410 Gone. The three above are then false, so that nothing is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// That a receiver wants no more events, and which ones it had asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Unix milliseconds.
    pub at: i64,
    /// Whether `verdict.final` was sent.
    pub is_final: bool,
    /// Whether `verdict.changed` was sent.
    pub changed: bool,
    /// Whether `campaign.opened` and `campaign.grown` were sent.
    pub campaigns: bool,
}

impl Webhook {
    /// The webhook after its receiver answered 410 Gone at `at`.
    #[must_use]
    pub fn ended(self, at: Timestamp) -> Self {
        let Self { is_final, changed, campaigns, .. } = self;
        let ended = self.ended.unwrap_or(Ended { at: at.0, is_final, changed, campaigns });
        Self { is_final: false, changed: false, campaigns: false, ended: Some(ended), ..self }
    }

    /// The webhook with the events that it had before it ended.
    #[must_use]
    pub fn resumed(self) -> Self {
        let Some(Ended { is_final, changed, campaigns, .. }) = self.ended else { return self };
        Self { is_final, changed, campaigns, ended: None, ..self }
    }
}

/// What is kept of a model that was made here, beside the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Unix milliseconds.
    pub created_at: i64,
    /// The version it was adapted from.
    pub base: String,
    /// Labelled people it learned from or was calibrated on.
    pub people: usize,
    /// Labelled bots it learned from.
    pub bots: usize,
    /// The only deployment whose labels it learned from.
    #[serde(default)]
    pub deployment_id: Option<String>,
}

/// Which model does what; `None` is the one of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stages {
    /// Scores.
    pub active: Option<String>,
    /// Scores beside it, without effect.
    pub shadow: Option<String>,
    /// Were active before, the last one last.
    pub previous: Vec<Option<String>>,
}

/// A second pass over stored sessions that changed thresholds still need; see [`crate::operations::thresholds`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingRedecision {
    /// Whose thresholds changed; empty for those of all deployments.
    pub deployment_id: String,
    /// When, in Unix milliseconds.
    pub since: i64,
}

/// When a login that somebody ended would have ended by itself, or up to when all of its key are over; Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndedLogin(pub i64);

/// What the store keeps as a [`Control`] of its kind.
pub trait Document: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: &'static str;
}

macro_rules! documents {
    ($($type:ty: $kind:expr),+ $(,)?) => {
        $(impl Document for $type {
            const KIND: &'static str = $kind;
        })+
    };
}

documents! {
    StoredKey: KEY,
    Override: OVERRIDE,
    Webhook: WEBHOOK,
    RetentionRule: RETENTION,
    Applied: THRESHOLDS,
    EndedLogin: ENDED_LOGIN,
    Made: MODEL,
    Stages: MODEL_STAGE,
    PendingRedecision: REDECISION,
}

/// All of it, as it was read.
#[derive(Debug, Default)]
pub struct OperatorSnapshot {
    /// By identifier.
    pub keys: BTreeMap<String, StoredKey>,
    /// By identifier.
    pub overrides: BTreeMap<String, Override>,
    /// By identifier.
    pub webhooks: BTreeMap<String, Webhook>,
    /// By deployment.
    pub retention: BTreeMap<String, RetentionRule>,
    /// When each would have ended, by key and number; without a number, up to when all of the key's are over.
    pub ended_logins: BTreeMap<String, i64>,
    /// By version.
    pub models: BTreeMap<String, Made>,
    /// Which of them does what in deployments without stages of their own.
    pub stages: Stages,
    /// The same by deployment; there `active: None` is the one of all others.
    pub own_stages: BTreeMap<String, Stages>,
    /// By when and whose.
    pub redecisions: BTreeMap<String, PendingRedecision>,
    /// The overrides by user, the bound ones first.
    by_user: HashMap<String, Vec<(Option<String>, bool)>>,
}

impl OperatorSnapshot {
    fn read(controls: &[Control]) -> Self {
        fn parse<T: DeserializeOwned>(control: &Control) -> Option<(String, T)> {
            let read = serde_json::from_str(&control.value);
            read.inspect_err(|_| tracing::error!(kind = control.kind, "the store holds a control that is none"))
                .ok()
                .map(|value| (control.name.clone(), value))
        }
        let of = |kind: &'static str| controls.iter().filter(move |control| control.kind == kind);
        let mut held = Self {
            keys: of(KEY).filter_map(parse).collect(),
            overrides: of(OVERRIDE).filter_map(parse).collect(),
            webhooks: of(WEBHOOK).filter_map(parse).collect(),
            retention: of(RETENTION).filter_map(parse).collect(),
            ended_logins: of(ENDED_LOGIN).filter_map(parse).collect(),
            models: of(MODEL).filter_map(parse).collect(),
            stages: Stages::default(),
            own_stages: of(MODEL_STAGE).filter_map(parse).collect(),
            redecisions: of(REDECISION).filter_map(parse).collect(),
            by_user: HashMap::new(),
        };
        held.stages = held.own_stages.remove("").unwrap_or_default();
        for rule in held.overrides.values() {
            let rules = held.by_user.entry(rule.user.clone()).or_default();
            rules.push((rule.deployment_id.clone(), rule.allow));
            rules.sort_by_key(|(deployment, allow)| (deployment.is_none(), *allow));
        }
        held
    }

    /// What is to be decided about a user: a rule for the deployment comes before one for all, denying before allowing.
    fn override_for(&self, user: &str, deployment: &str) -> Option<Reason> {
        let rules = self.by_user.get(user)?;
        let applies = |(of, _): &&(Option<String>, bool)| of.as_deref().is_none_or(|of| of == deployment);
        let (_, allow) = rules.iter().find(applies)?;
        Some(if *allow { Reason::Allowed } else { Reason::Denied })
    }
}

/// The node's copy.
pub struct OperatorState {
    store: Arc<dyn Store>,
    thresholds: Arc<ThresholdTable>,
    held: RwLock<Arc<OperatorSnapshot>>,
    version: AtomicI64,
}

impl OperatorState {
    /// Reads what the store holds; `setting` are the thresholds where none were applied.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn open(store: Arc<dyn Store>, setting: Thresholds) -> StoreResult<Arc<Self>> {
        let controls = Self {
            store,
            thresholds: ThresholdTable::new(setting),
            held: RwLock::default(),
            version: AtomicI64::new(-1),
        };
        controls.refresh().await?;
        Ok(Arc::new(controls))
    }

    /// The thresholds.
    #[must_use]
    pub fn thresholds(&self) -> &Arc<ThresholdTable> {
        &self.thresholds
    }

    /// Everything else.
    #[must_use]
    pub fn current(&self) -> Arc<OperatorSnapshot> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version.load(Ordering::Acquire)
    }

    /// What overrides say of a session.
    #[must_use]
    pub fn override_for(&self, user: Option<&str>, deployment: &str) -> Option<Reason> {
        let held = self.current();
        if held.by_user.is_empty() {
            return None;
        }
        held.override_for(&self.store.user_pseudonym(user?), deployment)
    }

    /// Reads them anew.
    ///
    /// # Errors
    /// When the store is away; then those before hold on.
    pub async fn refresh(&self) -> StoreResult<()> {
        let (version, controls) = self.store.controls().await?;
        self.thresholds.take(&controls);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(OperatorSnapshot::read(&controls));
        self.version.store(version, Ordering::Release);
        Ok(())
    }

    async fn set(&self, kind: &str, name: &str, value: Option<String>) -> StoreResult<()> {
        self.store.set_control(kind.to_owned(), name.to_owned(), value).await?;
        self.refresh().await
    }

    /// Keeps a document under its name, in place of one that is there. This node goes by it on return, others within
    /// [`REFRESH`].
    ///
    /// # Errors
    /// When the store is away.
    pub async fn put<D: Document>(&self, name: &str, document: &D) -> StoreResult<()> {
        self.set(D::KIND, name, Some(text(document)?)).await
    }

    /// Puts a document in place of the one that is there; `false` where none is, which then stays so.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn replace<D: Document>(&self, name: &str, document: &D) -> StoreResult<bool> {
        let text = text(document)?;
        let replaced = self.store.replace_control(D::KIND.to_owned(), name.to_owned(), text).await?;
        self.refresh().await?;
        Ok(replaced)
    }

    /// Removes a document.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn remove<D: Document>(&self, name: &str) -> StoreResult<()> {
        self.set(D::KIND, name, None).await
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
            if self.store.controls_version().await.is_ok_and(|version| version != self.version()) {
                let _ = self.refresh().await;
            }
        }
    }
}

fn text<D: Document>(document: &D) -> StoreResult<String> {
    serde_json::to_string(document).map_err(|error| StoreError::Corrupt(error.to_string()))
}

impl StoredKey {
    /// The decision of a test key, as the reason that forces it.
    #[must_use]
    pub fn forced(&self) -> Option<Reason> {
        Decision::parse(self.verdict.as_deref()?).map(Reason::of_test)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, user: &str, deployment: Option<&str>, allow: bool) -> Control {
        let rule = Override {
            user: user.to_owned(),
            deployment_id: deployment.map(str::to_owned),
            allow,
            note: String::new(),
            created_at: 0,
        };
        let value = serde_json::to_string(&rule).unwrap();
        Control { kind: OVERRIDE.to_owned(), name: name.to_owned(), value }
    }

    #[test]
    fn the_nearest_override_decides_and_denying_comes_first() {
        let held = OperatorSnapshot::read(&[
            rule("1", "u", None, true),
            rule("2", "u", Some("eu"), false),
            rule("3", "v", None, true),
            rule("4", "v", None, false),
            Control { kind: OVERRIDE.to_owned(), name: "broken".to_owned(), value: "{".to_owned() },
        ]);
        assert_eq!(held.override_for("u", "us"), Some(Reason::Allowed));
        assert_eq!(held.override_for("u", "eu"), Some(Reason::Denied));
        assert_eq!(held.override_for("v", ""), Some(Reason::Denied));
        assert_eq!(held.override_for("w", ""), None);
    }
}
