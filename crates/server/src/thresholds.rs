//! The thresholds that decide now: those of the settings, or what operators applied in their place.
//!
//! What was applied is kept by the store and holds for every node on it; see [`crate::controls`].

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::result::{NoPointer, Thresholds};
use crate::store::controls::{Control, THRESHOLDS};
use crate::store::{Store, StoreResult};

/// How long a change made on another node may go unnoticed.
pub const REFRESH: Duration = Duration::from_secs(1);

/// Thresholds that an operator applied.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Up to here a score passes.
    pub pass: f64,
    /// Up to here it is reviewed.
    pub review: f64,
    /// Whether a session without movement passes; else it is reviewed.
    #[serde(default)]
    pub no_pointer_passes: bool,
    /// When, in Unix milliseconds.
    pub at: i64,
}

impl From<Applied> for Thresholds {
    fn from(applied: Applied) -> Self {
        let no_pointer = if applied.no_pointer_passes { NoPointer::Pass } else { NoPointer::Review };
        Self { pass: applied.pass, review: applied.review, no_pointer }
    }
}

/// Which thresholds hold for which deployment.
#[derive(Debug)]
pub struct ThresholdTable {
    setting: Thresholds,
    applied: RwLock<Arc<BTreeMap<String, Applied>>>,
}

impl ThresholdTable {
    /// Nothing is applied in place of `setting` yet.
    #[must_use]
    pub fn new(setting: Thresholds) -> Arc<Self> {
        Arc::new(Self { setting, applied: RwLock::default() })
    }

    /// Those of the settings.
    #[must_use]
    pub fn setting(&self) -> Thresholds {
        self.setting
    }

    /// What was applied, by deployment; under the empty name for every deployment without its own.
    #[must_use]
    pub fn applied(&self) -> Arc<BTreeMap<String, Applied>> {
        Arc::clone(&self.applied.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that hold for a deployment.
    #[must_use]
    pub fn of(&self, deployment: &str) -> Thresholds {
        let applied = self.applied.read().unwrap_or_else(PoisonError::into_inner);
        applied.get(deployment).or_else(|| applied.get("")).map_or(self.setting, |applied| (*applied).into())
    }

    /// Reads them from the store.
    ///
    /// # Errors
    /// When the store is away; then those before hold on.
    pub async fn refresh(&self, store: &dyn Store) -> StoreResult<i64> {
        let (version, controls) = store.controls().await?;
        self.take(&controls);
        Ok(version)
    }

    /// Goes by what the store was read to hold.
    pub fn take(&self, controls: &[Control]) {
        let read = |control: &Control| match serde_json::from_str::<Applied>(&control.value) {
            Ok(applied) if applied.pass < applied.review => Some((control.name.clone(), applied)),
            _ => {
                tracing::error!("the store holds thresholds that are none; those of the settings hold");
                None
            }
        };
        let applied = controls.iter().filter(|control| control.kind == THRESHOLDS).filter_map(read).collect();
        *self.applied.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(applied);
    }
}
