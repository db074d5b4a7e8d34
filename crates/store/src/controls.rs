//! Small things that operators make through the API and every node goes by.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreResult;

/// Kind of a [`Control`] that holds thresholds; its name is the deployment, empty for all without their own.
pub const THRESHOLDS: &str = "thresholds";

/// Kind of a [`Control`] that is a [`RetentionRule`]; its name is the deployment.
pub const RETENTION: &str = "retention";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// What it is, such as [`THRESHOLDS`].
    pub kind: String,
    /// Its name, unique among those of the kind.
    pub name: String,
    /// JSON.
    pub value: String,
}

/// How long a deployment's sessions are kept, in hours; nothing is kept longer than the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionRule {
    /// Results, and everything else.
    pub results_hours: Option<u64>,
    /// Telemetry, whatever the decision.
    pub telemetry_hours: Option<u64>,
}

impl RetentionRule {
    /// The spans of the rule: results, telemetry.
    #[must_use]
    pub fn spans(&self) -> (Option<Duration>, Option<Duration>) {
        let hours = |hours: u64| Duration::from_secs(hours.saturating_mul(3600));
        (self.results_hours.map(hours), self.telemetry_hours.map(hours))
    }
}

/// Where they are kept; they outlive clearing, and are part of a backup.
#[async_trait]
pub trait ControlStore {
    /// All of them by kind and name, and the version of the whole, which grows with every change.
    async fn controls(&self) -> StoreResult<(i64, Vec<Control>)>;

    /// The version alone.
    async fn controls_version(&self) -> StoreResult<i64>;

    /// Keeps one in place of what was there; `None` takes it away.
    async fn set_control(&self, kind: String, name: String, value: Option<String>) -> StoreResult<()>;

    /// Gives one that is there another value; `false`, and nothing changes, where it is not, on whichever node it was
    /// removed.
    async fn replace_control(&self, kind: String, name: String, value: String) -> StoreResult<bool>;
}
