//! What is told of keys and logins that were refused: they are written down without naming anybody, and slowed.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::json;

use crate::access::address::ClientAddress;
use crate::access::attempts::Attempts;
use crate::access::rights::Access;
use crate::clock::Clock;
use crate::http::auth::bearer::cookie;
use crate::http::respond::error::{ApiError, Code};
use crate::metrics::{Login, Metrics};
use crate::store::Store;
use crate::store::audit::NewEntry;

/// The key or cookie that a request carries.
fn sent(headers: &HeaderMap) -> Option<&[u8]> {
    let header = headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
    header.or_else(|| cookie(headers).map(str::as_bytes))
}

/// The attempts of all addresses, and what is told of them.
pub(crate) struct AttemptGuard {
    attempts: Attempts,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl AttemptGuard {
    /// `free` different wrong keys cost an address nothing.
    pub(crate) fn new(free: u32, store: Arc<dyn Store>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { attempts: Attempts::new(free), store, clock, metrics }
    }

    /// What `found` is worth from this address: a refused key slows it, a known one is taken where it is in use.
    pub(crate) fn judge(
        &self,
        headers: &HeaderMap,
        client: ClientAddress,
        found: Result<Access, ApiError>,
    ) -> Result<Access, ApiError> {
        match (found, sent(headers)) {
            (Ok(access), _) => {
                self.accept_key(access.key, client)?;
                Ok(access)
            }
            (Err(refusal), Some(sent)) if refusal.code == Code::Unauthorized => {
                Err(self.refuse_key(sent, client, Login::RefusedKey, refusal))
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Refuses a known key where the address tried many others and never used this one.
    pub(crate) fn accept_key(&self, key: Option<u64>, client: ClientAddress) -> Result<(), ApiError> {
        let known = key.map_or(Ok(()), |key| self.attempts.accept(key, client, self.monotonic()));
        known.map_err(|wait| self.slowed(wait))
    }

    /// Notes that a key was refused; the answer.
    pub(crate) fn refuse_key(&self, sent: &[u8], client: ClientAddress, kind: Login, refusal: ApiError) -> ApiError {
        let (wait, to_write) = self.attempts.refuse(sent, client, self.monotonic());
        if let Some(refusals) = to_write {
            let action = if kind == Login::RefusedKey { "key.refused" } else { "login.refused" };
            let actor = self.address_name(client);
            tracing::warn!(address = actor, action, refusals, "keys were refused");
            let entry = NewEntry {
                at: self.clock.now().wall,
                actor,
                action: action.to_owned(),
                target: String::new(),
                detail: json!({ "refusals": refusals }).to_string(),
            };
            let store = Arc::clone(&self.store);
            // The caller need not wait for it, and learns nothing from the time it takes.
            tokio::spawn(async move {
                if let Err(error) = store.record(entry).await {
                    tracing::warn!(%error, "refused keys could not be written down");
                }
            });
        }
        if let Some(wait) = wait {
            return self.slowed(wait);
        }
        self.metrics.login(kind);
        refusal
    }

    fn slowed(&self, wait: Duration) -> ApiError {
        self.metrics.login(Login::Slowed);
        let message = "too many different keys from this address were refused; wait as long as Retry-After says";
        ApiError::new(Code::RateLimited, message).retry_after(Some(wait))
    }

    /// What an address is called in log and audit log: a keyed hash.
    pub(crate) fn address_name(&self, client: ClientAddress) -> String {
        format!("address:{}", self.store.address_pseudonym(client.0))
    }

    fn monotonic(&self) -> Duration {
        self.clock.now().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, add_keys, send};

    #[tokio::test]
    async fn who_tries_many_keys_is_slowed_and_who_uses_one_goes_on() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.free_attempts = 3;
            choice.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        })
        .await;
        let from = |client: &str, key: &str| {
            let request = app.request("GET", "/api/v1/models").header("x-forwarded-for", client);
            send(request.bearer_auth(key))
        };
        assert_eq!(from("192.0.2.1", "admin").await.status, 200);
        for n in 0..4 {
            from("192.0.2.1", &format!("guess-{n}")).await.is_error(401, "unauthorized");
        }
        let slowed = from("192.0.2.1", "guess-4").await;
        slowed.is_error(429, "rate_limited");
        assert_eq!(slowed.header("retry-after"), Some("1"));
        from("192.0.2.1", "analyst").await.is_error(429, "rate_limited");
        let who = app.request("GET", "/api/v1/session").header("x-forwarded-for", "192.0.2.1").bearer_auth("analyst");
        send(who).await.is_error(429, "rate_limited");
        assert_eq!(from("192.0.2.1", "admin").await.status, 200, "in use here before");
        assert_eq!(from("192.0.2.2", "analyst").await.status, 200, "another address");
        app.clock.advance(Duration::from_secs(1));
        assert_eq!(from("192.0.2.1", "analyst").await.status, 200, "the pause is over");
        assert_eq!(app.metric_as("admin", "playproof_logins_total{outcome=\"refused_key\"}").await, 4.0);
        assert_eq!(app.metric_as("admin", "playproof_logins_total{outcome=\"slowed\"}").await, 3.0);
    }

    #[tokio::test]
    async fn log_ins_and_refusals_are_written_down_without_the_address() {
        let app = TestApp::with_keys().await;
        let log_in = async |key: &str| app.post("/api/v1/session", &json!({ "key": key })).await.status;
        let answers = (log_in("wrong").await, log_in("ingest").await, log_in("admin").await);
        assert_eq!(answers, (401, 403, 200));
        let entries = loop {
            let log = app.get_as("admin", "/api/v1/audit").await;
            assert!(!log.text.contains("127.0.0.1"), "{}", log.text);
            let entries = log.json()["entries"].as_array().unwrap().clone();
            if entries.len() >= 2 {
                break entries;
            }
            tokio::task::yield_now().await;
        };
        let of = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
        let refused = of("login.refused")["actor"].as_str().unwrap();
        assert!(refused.starts_with("address:"), "{refused}");
        assert_eq!(of("login")["target"], refused, "the same address has the same name");
        for (outcome, count) in [("succeeded", 1.0), ("unknown_key", 1.0), ("wrong_role", 1.0)] {
            let name = format!("playproof_logins_total{{outcome=\"{outcome}\"}}");
            assert_eq!(app.metric_as("admin", &name).await, count, "{outcome}");
        }
    }
}
