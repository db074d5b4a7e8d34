//! What operators and analysts do, without HTTP. Every change goes through [`Operations::perform`].

pub mod bulk;
pub mod campaigns;
pub mod erasure;
pub mod evaluation;
pub mod evidence;
pub mod explanation;
pub mod keys;
pub mod labels;
pub mod logins;
pub mod matches;
pub mod overrides;
pub mod overview;
pub mod readiness;
pub mod requeue;
pub mod retention;
pub mod review;
pub mod thresholds;
pub mod trends;
pub mod users;
pub mod webhooks;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::clock::Clock;
use crate::controls::{Document, OperatorState};
use crate::domain::hex;
use crate::domain::id::SessionKey;
use crate::evidence_bundle::EvidenceKey;
use crate::result_notifier::ResultNotifier;
use crate::store::audit::NewEntry;
use crate::store::{Lists, Lookup, Store, StoreError, StoreResult};
use crate::webhooks::secrets::WebhookSecrets;

/// What operators and analysts do.
pub struct Operations {
    store: Arc<dyn Store>,
    /// What is only shown is read here; what is decided by, from the store.
    lists: Arc<Lists>,
    controls: Arc<OperatorState>,
    settled: Arc<ResultNotifier>,
    clock: Arc<dyn Clock>,
    webhook_secrets: Arc<WebhookSecrets>,
    evidence_key: EvidenceKey,
    /// The second passes that this node began; see [`thresholds`].
    own_redecisions: Mutex<BTreeSet<String>>,
}

impl Operations {
    /// The operations on a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        lists: Arc<Lists>,
        controls: Arc<OperatorState>,
        settled: Arc<ResultNotifier>,
        clock: Arc<dyn Clock>,
        webhook_secrets: Arc<WebhookSecrets>,
        evidence_key: EvidenceKey,
    ) -> Arc<Self> {
        let own_redecisions = Mutex::default();
        Arc::new(Self { store, lists, controls, settled, clock, webhook_secrets, evidence_key, own_redecisions })
    }

    /// Writes what `actor` is about to do into the audit log, then does it: what is not written is not done.
    ///
    /// # Errors
    /// When the store is away, and those of `change`.
    pub async fn perform<T, E: From<StoreError>>(
        &self,
        actor: &str,
        action: &str,
        target: impl Into<String>,
        detail: serde_json::Value,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let entry = NewEntry {
            at: self.clock.now().wall,
            actor: actor.to_owned(),
            action: action.to_owned(),
            target: target.into(),
            detail: detail.to_string(),
        };
        self.store.record(entry).await?;
        change.await
    }

    /// What is known of a session: of the one that a server sent under this identifier or, where there is none, of the one
    /// that a page sent. With its key.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn find(&self, key: SessionKey) -> StoreResult<(SessionKey, Lookup)> {
        match self.store.session(key.clone()).await? {
            Lookup::Unknown if !key.id.is_of_page() => {
                let of_page = key.of_page();
                match self.store.session(of_page.clone()).await? {
                    Lookup::Unknown => Ok((key, Lookup::Unknown)),
                    known => Ok((of_page, known)),
                }
            }
            known => Ok((key, known)),
        }
    }

    /// Keeps a document, written down first.
    async fn put<D: Document + Sync>(
        &self,
        actor: &str,
        action: &str,
        target: &str,
        detail: serde_json::Value,
        (name, document): (&str, &D),
    ) -> StoreResult<()> {
        self.perform(actor, action, target, detail, self.controls.put(name, document)).await
    }

    /// Removes a document, written down first.
    async fn remove<D: Document>(
        &self,
        actor: &str,
        action: &str,
        target: &str,
        detail: serde_json::Value,
        name: &str,
    ) -> StoreResult<()> {
        self.perform(actor, action, target, detail, self.controls.remove::<D>(name)).await
    }
}

/// Random bytes as hexadecimal digits.
fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes);
    hex::encode(&bytes)
}
