//! Retention by deployment: how long the sessions of one are kept, where that is less than the settings say.

use serde_json::{Value, json};

use super::Operations;
use crate::domain::time::Timestamp;
use crate::scheduler::retention as clock;
use crate::store::StoreResult;
use crate::store::controls::RetentionRule;

/// Most deployments with a rule; each is looked after in turn.
pub const MAX_RULES: usize = 1000;

impl Operations {
    /// Sets a deployment's rule in place of one before; `false` where [`MAX_RULES`] others have one. `detail` is the rule as
    /// the audit log tells it.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn set_retention(
        &self,
        actor: &str,
        deployment: &str,
        rule: &RetentionRule,
        detail: Value,
    ) -> StoreResult<bool> {
        let held = self.controls.current();
        if held.retention.len() >= MAX_RULES && !held.retention.contains_key(deployment) {
            return Ok(false);
        }
        self.put(actor, "retention.set", "", detail, (deployment, rule)).await?;
        Ok(true)
    }

    /// Removes a deployment's rule: the settings hold for it again. `None` where it has none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn reset_retention(&self, actor: &str, deployment: &str) -> StoreResult<Option<RetentionRule>> {
        let Some(rule) = self.controls.current().retention.get(deployment).copied() else { return Ok(None) };
        let detail = json!({"deploymentId": deployment});
        self.remove::<RetentionRule>(actor, "retention.reset", "", detail, deployment).await?;
        Ok(Some(rule))
    }

    /// Since when nothing is pruned because the clock is far ahead of the last look at it.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn retention_paused(&self) -> StoreResult<Option<Timestamp>> {
        clock::paused(self.store.as_ref(), self.clock.now().wall).await
    }

    /// Takes the clock for right, so that what is past its time is pruned again. The clock, and since when pruning was
    /// paused; `shown` writes times as the audit log tells them.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn resume_retention(
        &self,
        actor: &str,
        shown: impl Fn(Timestamp) -> String,
    ) -> StoreResult<(Timestamp, Option<Timestamp>)> {
        let now = self.clock.now().wall;
        let paused = clock::paused(self.store.as_ref(), now).await?;
        let detail = json!({"clock": shown(now), "pausedSince": paused.map(shown)});
        self.perform(actor, "retention.resume", "", detail, clock::resume(self.store.as_ref(), now)).await?;
        Ok((now, paused))
    }
}
