//! Small things that operators make through the API and every node goes by.

use async_trait::async_trait;

use super::StoreResult;

/// Kind of a [`Control`] that holds thresholds; its name is the deployment, empty for all without their own.
pub const THRESHOLDS: &str = "thresholds";

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

/// Where they are kept; they outlive clearing, and are part of a backup.
#[async_trait]
pub trait ControlStore {
    /// All of them by kind and name, and the version of the whole, which grows with every change.
    async fn controls(&self) -> StoreResult<(i64, Vec<Control>)>;

    /// The version alone.
    async fn controls_version(&self) -> StoreResult<i64>;

    /// Keeps one in place of what was there; `None` takes it away.
    async fn set_control(&self, kind: String, name: String, value: Option<String>) -> StoreResult<()>;
}
