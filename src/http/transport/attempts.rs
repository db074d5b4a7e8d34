//! Keys and logins that were refused: counted, written down without naming anybody, and slowed per client address with
//! backoff, so that nobody can try many. Whoever used a key from an address before goes on there, whatever others try.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde_json::json;

use crate::clock::Clock;
use crate::http::auth::access::Access;
use crate::http::auth::login::cookie;
use crate::http::respond::error::{ApiError, Code};
use crate::http::transport::peer::ClientAddress;
use crate::metrics::{Login, Metrics};
use crate::store::Store;
use crate::store::audit::NewEntry;

/// First pause after the free attempts; it doubles with each further key, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// An address that tried nothing wrong for so long starts anew.
const FORGIVEN: Duration = Duration::from_secs(900);
/// Most addresses, and most pairs of a key and an address, remembered at a time.
const REMEMBERED: usize = 65_536;
/// Different refused keys told apart per address; an old key that a server goes on sending is one attempt.
const TOLD_APART: usize = 8;
/// Refusals are written down once per address in this time, with their number.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Most entries about refusals in that time, of all addresses together.
const MOST_WRITTEN: u32 = 60;

/// What an address tried.
#[derive(Default)]
struct Tries {
    /// Different keys that were refused.
    keys: u32,
    recent: [u64; TOLD_APART],
    last: Duration,
    /// Until when no further key is looked at.
    paused_until: Duration,
    /// Refusals that no entry tells of yet.
    unwritten: u64,
    written_at: Option<Duration>,
}

/// How many entries were written since when.
#[derive(Default)]
struct Written {
    since: Duration,
    entries: u32,
}

/// What all addresses tried.
struct Attempts {
    /// Different wrong keys that cost an address nothing.
    free: u32,
    hasher: RandomState,
    tries: Mutex<(HashMap<ClientAddress, Tries>, Written)>,
    /// Keys that were used, each with where from.
    used: RwLock<HashSet<(u64, ClientAddress)>>,
}

impl Attempts {
    fn new(free: u32) -> Self {
        Self { free, hasher: RandomState::new(), tries: Mutex::default(), used: RwLock::default() }
    }

    /// How long an address must wait before another key of it is looked at.
    fn paused(&self, client: ClientAddress, now: Duration) -> Option<Duration> {
        let tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.0.get(&client).map(|tries| tries.paused_until.saturating_sub(now)).filter(|wait| !wait.is_zero())
    }

    /// Takes a key that is known; else how long to wait, where the address tried many and never used this one.
    fn accept(&self, key: u64, client: ClientAddress, now: Duration) -> Result<(), Duration> {
        if self.used.read().unwrap_or_else(PoisonError::into_inner).contains(&(key, client)) {
            return Ok(());
        }
        if let Some(wait) = self.paused(client, now) {
            return Err(wait);
        }
        let mut used = self.used.write().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= REMEMBERED {
            used.clear();
        }
        used.insert((key, client));
        Ok(())
    }

    /// Notes a key that is not known. How long the address must wait, and how many refusals are to be written down now.
    fn refuse(&self, sent: &[u8], client: ClientAddress, now: Duration) -> (Option<Duration>, Option<u64>) {
        let mut both = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, written) = &mut *both;
        if all.len() >= REMEMBERED && !all.contains_key(&client) {
            all.retain(|_, tries| tries.last + FORGIVEN > now);
            if all.len() >= REMEMBERED {
                all.clear();
            }
        }
        let tries = all.entry(client).or_default();
        if tries.last + FORGIVEN <= now {
            let (unwritten, written_at) = (tries.unwritten, tries.written_at);
            *tries = Tries { unwritten, written_at, ..Tries::default() };
        }
        tries.last = now;
        tries.unwritten += 1;
        let wait = tries.paused_until.saturating_sub(now);
        // Zero is an empty place.
        let sent = self.hasher.hash_one(sent).max(1);
        if wait.is_zero() && !tries.recent.contains(&sent) {
            tries.recent[tries.keys as usize % TOLD_APART] = sent;
            tries.keys = tries.keys.saturating_add(1);
            if let Some(beyond) = tries.keys.checked_sub(self.free).filter(|beyond| *beyond > 0) {
                let pause = PAUSE.saturating_mul(1 << (beyond - 1).min(6)).min(LONGEST_PAUSE);
                tries.paused_until = now + pause;
            }
        }
        if written.since + WRITTEN_EVERY <= now {
            *written = Written { since: now, entries: 0 };
        }
        let due = tries.written_at.is_none_or(|at| at + WRITTEN_EVERY <= now) && written.entries < MOST_WRITTEN;
        let to_write = due.then(|| {
            written.entries += 1;
            tries.written_at = Some(now);
            std::mem::take(&mut tries.unwritten)
        });
        (Some(wait).filter(|wait| !wait.is_zero()), to_write)
    }
}

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

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn client(last: u8) -> ClientAddress {
        ClientAddress([192, 0, 2, last].into())
    }

    #[test]
    fn pauses_double_are_bounded_and_end() {
        let attempts = Attempts::new(2);
        let refuse = |key: &str, now| attempts.refuse(key.as_bytes(), client(1), now).0;
        for _ in 0..100 {
            assert_eq!(refuse("old", at(0)), None, "one old key is one attempt");
        }
        assert_eq!((refuse("b", at(0)), refuse("c", at(0))), (None, None));
        assert_eq!((refuse("d", at(0)), attempts.paused(client(2), at(0))), (Some(at(1)), None));
        let (mut now, mut pauses) = (at(1), Vec::new());
        for n in 0..10 {
            refuse(&format!("key {n}"), now);
            let wait = attempts.paused(client(1), now).unwrap();
            pauses.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
        assert_eq!(refuse("later", now + FORGIVEN), None);
        assert_eq!(attempts.paused(client(1), now + FORGIVEN), None, "forgiven");
    }

    #[test]
    fn memory_and_entries_stay_bounded_however_many_addresses_try() {
        let attempts = Attempts::new(0);
        let mut entries = 0;
        for n in 0..100_000_u32 {
            let from = ClientAddress(std::net::IpAddr::V4(n.into()));
            entries += u32::from(attempts.refuse(b"guess", from, at(1)).1.is_some());
            let _ = attempts.accept(u64::from(n), client(1), at(1));
        }
        assert_eq!(entries, MOST_WRITTEN);
        assert!(attempts.tries.lock().unwrap().0.len() <= REMEMBERED);
        assert!(attempts.used.read().unwrap().len() <= REMEMBERED);
    }

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
