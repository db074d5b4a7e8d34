//! Sending failed sessions back to the queue.

use serde_json::json;

use super::Operations;
use crate::domain::id::SessionKey;
use crate::store::StoreResult;

impl Operations {
    /// Sends failed sessions back: those named, or all; how many.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn requeue(&self, actor: &str, keys: Option<Vec<SessionKey>>) -> StoreResult<u64> {
        let detail = json!({"sessions": keys.as_ref().map(Vec::len)});
        let requeue = self.store.requeue(keys, self.clock.now());
        self.perform(actor, "sessions.requeue", "", detail, requeue).await
    }
}
