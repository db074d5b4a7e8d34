//! Webhooks: who is told of verdicts, and sending again what they were told.

use serde_json::json;

use super::{Operations, random_hex};
use crate::controls::Webhook;
use crate::store::StoreResult;

/// Most webhooks.
pub const MAX_WEBHOOKS: usize = 100;

/// A webhook to be made.
#[derive(Debug)]
pub struct NewWebhook {
    /// Where to; checked before.
    pub url: String,
    /// Only of this deployment.
    pub deployment_id: Option<String>,
    /// Whether `verdict.final` is told.
    pub is_final: bool,
    /// Whether `verdict.changed` is told.
    pub changed: bool,
    /// Whether `campaign.opened` and `campaign.grown` are told.
    pub campaigns: bool,
}

/// A webhook that was made.
#[derive(Debug)]
pub struct NewlyMade {
    /// Its identifier.
    pub id: String,
    /// What is stored of it.
    pub webhook: Webhook,
    /// What signs its deliveries; it is not stored.
    pub secret: String,
}

impl Operations {
    /// Whether there is room for a further webhook.
    #[must_use]
    pub fn has_room_for_webhook(&self) -> bool {
        self.controls.current().webhooks.len() < MAX_WEBHOOKS
    }

    /// A webhook; `None` where there is none.
    #[must_use]
    pub fn webhook(&self, id: &str) -> Option<Webhook> {
        self.controls.current().webhooks.get(id).cloned()
    }

    /// Makes a webhook with a secret of its own.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn create_webhook(&self, actor: &str, new: NewWebhook) -> StoreResult<NewlyMade> {
        let NewWebhook { url, deployment_id, is_final, changed, campaigns } = new;
        let id = format!("wh_{}", random_hex::<6>());
        let (secret, key_mark) = (self.webhook_secrets.make(&id), self.webhook_secrets.mark());
        let created_at = self.clock.now().wall.0;
        let webhook = Webhook {
            url,
            secret: None,
            key_mark,
            deployment_id,
            is_final,
            changed,
            campaigns,
            created_at,
            ended: None,
        };
        let detail = json!({"url": webhook.url, "deploymentId": webhook.deployment_id});
        self.put(actor, "webhook.create", &id, detail, (&id, &webhook)).await?;
        Ok(NewlyMade { id, webhook, secret })
    }

    /// Removes a webhook and what it was not told yet; `None` where there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn remove_webhook(&self, actor: &str, id: &str) -> StoreResult<Option<Webhook>> {
        let Some(webhook) = self.webhook(id) else { return Ok(None) };
        self.remove::<Webhook>(actor, "webhook.remove", id, json!({"url": webhook.url}), id).await?;
        self.store.forget_deliveries(id.to_owned()).await?;
        Ok(Some(webhook))
    }

    /// Queues a test event for a webhook.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn test_webhook(&self, actor: &str, id: &str) -> StoreResult<()> {
        let body = json!({"message": "This is a test; no session was decided."}).to_string();
        let test = self.store.test_delivery(id.to_owned(), body, self.clock.now().wall);
        self.perform(actor, "webhook.test", id, json!({}), test).await.map(|_| ())
    }

    /// Queues one delivery of a webhook again, or all that were given up; how many.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn redeliver(&self, actor: &str, id: &str, delivery: Option<i64>) -> StoreResult<u64> {
        let again = self.store.redeliver(id.to_owned(), delivery, self.clock.now().wall);
        self.perform(actor, "webhook.redeliver", id, json!({"deliveryId": delivery}), again).await
    }
}
