//! Webhooks: whoever wants to know is told of every verdict, at least once and in order for each session, however long
//! they were away, up to three days.
//!
//! What is to be told stands in the store since the transaction that decided it. Each node takes what is due, a lease at a
//! time; deliveries leased by a node that died are sent by another once the lease expires. A receiver that fails is sent one
//! delivery at a time until it answers again. One that answers 410 Gone ends its webhook: what waits is given up, nothing
//! more is queued, and a test that it takes resumes it.

pub mod address;
pub mod secrets;
pub mod signature;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::header::CONTENT_TYPE;
use tokio::task::JoinHandle;

use self::secrets::WebhookSecrets;
use crate::clock::Clock;
use crate::controls::{OperatorState, Webhook};
use crate::domain::backoff::Backoff;
use crate::domain::time::Timestamp;
use crate::metrics::{DeliveryOutcome, Metrics};
use crate::shutdown::Shutdown;
use crate::store::audit::NewEntry;
use crate::store::deliveries::{Attempt, Delivery, DeliveryState, EventKind};
use crate::store::{Store, StoreResult};

/// How long a receiver may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long others leave alone what a node took; longer than [`PATIENCE`].
const LEASE: Duration = Duration::from_secs(60);
/// Deliveries of a webhook at the same time.
const MAX_CONCURRENT: u32 = 16;
/// A delivery is given up when it is older than this and was tried [`MIN_ATTEMPTS`] times.
const GIVE_UP: Duration = Duration::from_secs(72 * 3600);
/// What was sent again by hand is tried this often, however old it is.
const MIN_ATTEMPTS: u32 = 10;
/// Between two tries of a delivery, and of a receiver that is away.
const BACKOFF: Backoff =
    Backoff { base: Duration::from_secs(4), max: Duration::from_secs(300), max_attempts: u32::MAX };
/// How often a line is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// The answer of a receiver that wants no more events.
const GONE: u16 = 410;
/// Who ends a webhook, in the audit log.
const RECEIVER: &str = "receiver";
/// Most of a receiver's answer that is read, so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// What deliverers stand on.
pub struct Parts {
    /// Where deliveries wait.
    pub store: Arc<dyn Store>,
    /// Which webhooks there are.
    pub controls: Arc<OperatorState>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Instruments.
    pub metrics: Arc<Metrics>,
    /// What signs.
    pub secrets: Arc<WebhookSecrets>,
    /// Whether they may lead to private addresses.
    pub private: bool,
    /// How long a receiver may take; see [`PATIENCE`].
    pub patience: Duration,
}

/// Tells receivers.
pub struct Deliverer {
    parts: Parts,
    client: reqwest::Client,
}

/// What became of one look at a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Deliveries that were tried.
    pub tried: usize,
    /// Those that failed.
    pub failed: usize,
}

impl Deliverer {
    /// A deliverer that has told nobody yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(parts: Parts) -> reqwest::Result<Arc<Self>> {
        let client = address::client(parts.private, parts.patience)?;
        Ok(Arc::new(Self { parts, client }))
    }

    /// Runs until the process ends; what is on its way then is finished, or told again by whoever comes next.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut lines: HashMap<String, JoinHandle<()>> = HashMap::new();
        while !shutdown.is_soft() {
            lines.retain(|_, line| !line.is_finished());
            for id in self.parts.controls.current().webhooks.keys() {
                if !lines.contains_key(id) {
                    let line = Arc::clone(&self).line(id.clone(), shutdown.clone());
                    lines.insert(id.clone(), tokio::spawn(line));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = shutdown.soft() => {}
            }
        }
        for (_, line) in lines {
            let _ = line.await;
        }
    }

    /// One webhook's line, until it is taken away.
    async fn line(self: Arc<Self>, id: String, shutdown: Shutdown) {
        let failures = AtomicU32::new(0);
        while !shutdown.is_soft() {
            let Some(webhook) = self.parts.controls.current().webhooks.get(&id).cloned() else { return };
            let pass = self.pass(&id, &webhook, &failures).await.unwrap_or_default();
            let pause = match failures.load(Ordering::Relaxed) {
                0 if pass.tried > 0 => continue,
                0 => POLL_INTERVAL,
                failures => BACKOFF.delay(failures, rand::random()).max(POLL_INTERVAL),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.soft() => return,
            }
        }
    }

    /// Tries what is due of a webhook's line: all of it at once, or one delivery where the last ones failed. `failures`
    /// counts tries in a row of a receiver that seems to be away.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn pass(&self, id: &str, webhook: &Webhook, failures: &AtomicU32) -> StoreResult<Pass> {
        let limit = if failures.load(Ordering::Relaxed) > 0 { 1 } else { MAX_CONCURRENT };
        let store = &self.parts.store;
        let due = store.take_deliveries(id.to_owned(), limit, self.now(), LEASE).await?;
        let mut pass = Pass { tried: due.len(), failed: 0 };
        let (mut is_gone, mut is_back) = (false, false);
        let mut under_way: FuturesUnordered<_> =
            due.iter().map(|delivery| self.deliver(id, webhook, delivery)).collect();
        while let Some(attempt) = under_way.next().await {
            if attempt.error.is_some() {
                pass.failed += 1;
            }
            is_gone |= attempt.status == Some(GONE);
            is_back |= attempt.state == DeliveryState::Delivered;
            let told = match attempt.state {
                DeliveryState::Delivered => DeliveryOutcome::Delivered,
                DeliveryState::GivenUp => DeliveryOutcome::GivenUp,
                DeliveryState::Waiting | DeliveryState::Erased => DeliveryOutcome::Failed,
            };
            self.parts.metrics.told(told);
            store.record_deliveries(vec![attempt], self.now()).await?;
        }
        match webhook.ended {
            None if is_gone => self.note(id, "webhook.end", &webhook.clone().ended(self.now())).await?,
            Some(_) if is_back => self.note(id, "webhook.resume", &webhook.clone().resumed()).await?,
            _ => {}
        }
        if pass.failed < pass.tried || webhook.ended.is_some() {
            failures.store(0, Ordering::Relaxed);
        } else if pass.failed > 0 {
            failures.fetch_add(1, Ordering::Relaxed);
        }
        Ok(pass)
    }

    /// Stores what a receiver's answer made of its webhook, after an entry in the audit log. One that was removed while the
    /// receiver was asked, on whichever node, stays removed.
    async fn note(&self, id: &str, action: &str, webhook: &Webhook) -> StoreResult<()> {
        if !self.parts.controls.current().webhooks.contains_key(id) {
            return Ok(());
        }
        let (actor, action) = (RECEIVER.to_owned(), action.to_owned());
        let detail = serde_json::json!({"url": webhook.url}).to_string();
        self.parts.store.record(NewEntry { at: self.now(), actor, action, target: id.to_owned(), detail }).await?;
        self.parts.controls.replace(id, webhook).await.map(drop)
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now().wall
    }

    /// Sends a delivery. A receiver that answered 410 Gone is sent tests alone.
    async fn deliver(&self, id: &str, webhook: &Webhook, delivery: &Delivery) -> Attempt {
        if webhook.ended.is_some() && delivery.kind != EventKind::Test {
            let error = Some("not sent: the receiver answered 410 Gone before".to_owned());
            let not_before = self.now();
            return Attempt { id: delivery.id, state: DeliveryState::GivenUp, not_before, status: None, error };
        }
        let (status, error) = match self.send(id, webhook, delivery).await {
            Ok(status) if (200..300).contains(&status) => (Some(status), None),
            Ok(status @ 300..400) => (Some(status), Some(format!("answered {status}; redirects are not followed"))),
            Ok(GONE) => (Some(GONE), Some("answered 410 Gone: it wants no more events".to_owned())),
            Ok(status) => (Some(status), Some(format!("answered {status}"))),
            Err(error) => (None, Some(error)),
        };
        let now = self.now();
        let old = now.since(delivery.created_at) > GIVE_UP && delivery.attempts >= MIN_ATTEMPTS;
        let state = match &error {
            None => DeliveryState::Delivered,
            Some(_) if old || status == Some(GONE) => DeliveryState::GivenUp,
            Some(_) => DeliveryState::Waiting,
        };
        let not_before = now.plus(BACKOFF.delay(delivery.attempts, rand::random()));
        Attempt { id: delivery.id, state, not_before, status, error }
    }

    /// Sends one; the status answered, or why there is none.
    async fn send(&self, id: &str, webhook: &Webhook, delivery: &Delivery) -> Result<u16, String> {
        let secret = self.parts.secrets.of(id, webhook).map_err(|another| another.to_string())?;
        // What is written in figures never comes by the guard that resolves names.
        let url =
            address::parse(&webhook.url, self.parts.private).map_err(|refused| format!("its address {refused}"))?;
        let body = body(delivery);
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("playproof-event-id", event_id(delivery.id))
            .header("playproof-event-type", delivery.kind.name())
            .header(signature::HEADER, signature::sign(&secret, self.now(), &body))
            .body(body);
        let mut answer = request.send().await.map_err(|error| self.describe(&error))?;
        let status = answer.status().as_u16();
        // The status decides, whatever becomes of the rest.
        let mut read = 0;
        while let Ok(Some(piece)) = answer.chunk().await {
            read += piece.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(status)
    }

    /// What went wrong, down to its cause, without the address, which may hold a token.
    fn describe(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("did not answer within {:?}", self.parts.patience);
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let what = if error.is_connect() { "could not be reached" } else { "did not answer" };
        format!("{what}: {cause}")
    }
}

/// The identifier of an event; the same however often it is sent.
#[must_use]
pub fn event_id(delivery: i64) -> String {
    format!("evt_{delivery}")
}

/// What is sent: the event around what the store says of it.
fn body(delivery: &Delivery) -> String {
    let mut data: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&delivery.body).unwrap_or_default();
    if let Some(key) = &delivery.key {
        data.insert("sessionId".to_owned(), key.id.as_str().into());
        data.insert("deploymentId".to_owned(), key.deployment.as_str().into());
    }
    serde_json::json!({
        "id": event_id(delivery.id),
        "type": delivery.kind.name(),
        "createdAt": jiff::Timestamp::from_millisecond(delivery.created_at.0).unwrap_or_default().to_string(),
        "data": data,
    })
    .to_string()
}

#[cfg(test)]
mod tests;
