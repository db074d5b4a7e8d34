//! Erasing: one session, all of a user, everything. Whoever waits for an erased session is told.

use serde_json::json;

use super::Operations;
use crate::domain::id::SessionKey;
use crate::store::{Lookup, StoreResult};

impl Operations {
    /// Erases a session; how many were erased, `None` where there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn erase_session(&self, actor: &str, key: SessionKey) -> StoreResult<Option<u64>> {
        let (key, found) = self.find(key).await?;
        let target = self.store.session_pseudonym(&key);
        let erase = self.store.erase_session(key.clone(), self.clock.now());
        if self.perform(actor, "session.erase", target, json!({}), erase).await? {
            self.settled.notify(&[key]);
            return Ok(Some(1));
        }
        Ok(matches!(found, Lookup::Erased).then_some(0))
    }

    /// Erases every session of a user, in one deployment or in all; how many.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn erase_user(&self, actor: &str, deployment: Option<String>, user: String) -> StoreResult<u64> {
        let (target, detail) = (self.store.user_pseudonym(&user), json!({"deploymentId": deployment}));
        let erase = self.store.erase_user(deployment, user, self.clock.now());
        let count = self.perform(actor, "user.erase", target, detail, erase).await?;
        if count > 0 {
            self.settled.notify_all();
        }
        Ok(count)
    }

    /// Erases every session; how many.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn erase_all(&self, actor: &str) -> StoreResult<u64> {
        let erase = self.store.clear(self.clock.now());
        let count = self.perform(actor, "sessions.clear", "", json!({}), erase).await?;
        self.settled.notify_all();
        Ok(count)
    }
}
