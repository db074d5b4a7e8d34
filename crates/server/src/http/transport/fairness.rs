//! Fair shares of a queue that is short of room: a deployment that fills it leaves the last quarter to the others, and its
//! pages leave theirs to its servers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::access::keys::Keys;
use crate::http::respond::error::{ApiError, Code};
use crate::store::{Party, Store};

/// How long a look at the queue holds.
const HOLDS: Duration = Duration::from_millis(500);

/// What the last look found: who waits, where the queue is short of room.
#[derive(Default)]
pub(crate) struct Fairness {
    waiting: RwLock<BTreeMap<Party, u64>>,
    looked: Mutex<Option<Instant>>,
}

impl Fairness {
    /// Whether `party` has more than its share among `others` that may want some.
    fn is_over(&self, party: &Party, others: &BTreeSet<Party>) -> bool {
        let waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.get(party).copied().unwrap_or(0);
        if own == 0 {
            return false;
        }
        let all: u64 = waiting.values().sum();
        // Who has a key for any deployment is there already where a deployment is named.
        let is_there = |other: &Party| {
            waiting.contains_key(other)
                || other.deployment.is_empty() && waiting.keys().any(|one| one.is_pages == other.is_pages)
        };
        let absent = others.iter().filter(|other| *other != party && !is_there(other)).count();
        own * (waiting.len() + absent) as u64 > all
    }

    /// Refuses a session that needs a place in the queue where the servers of its deployment, or its pages, have more than
    /// their share of one that is three quarters full.
    ///
    /// It goes by the last look, so that sessions keep their order; see [`Self::look`].
    pub(crate) fn check(&self, deployment: &str, is_pages: bool, keys: &Keys) -> Result<(), ApiError> {
        if self.waiting.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        let party = named(Party { deployment: deployment.to_owned(), is_pages }, keys);
        let senders = keys.senders().into_iter();
        let others = senders.map(|(deployment, is_pages)| Party { deployment: deployment.to_owned(), is_pages });
        if !self.is_over(&party, &others.collect()) {
            return Ok(());
        }
        let message = "the queue is short of room and this deployment has its share of it; nothing was stored, send the \
                       session again later";
        Err(ApiError::new(Code::QueueFull, message))
    }

    /// Looks again where the last look is old; one caller looks, the others go by what was found.
    pub(crate) async fn look(&self, store: &dyn Store, queue_limit: u64, keys: &Keys) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.is_some_and(|at| at.elapsed() < HOLDS) {
            return;
        }
        // A store that is away refuses the session by itself.
        let unprocessed = store.snapshot().await.map_or(0, |snapshot| snapshot.counts.unprocessed());
        let short = unprocessed >= queue_limit - queue_limit / 4;
        let found = if short { store.waiting_parties().await.unwrap_or_default() } else { BTreeMap::new() };
        let mut waiting = BTreeMap::new();
        for (party, count) in found {
            *waiting.entry(named(party, keys)).or_default() += count;
        }
        *self.waiting.write().unwrap_or_else(PoisonError::into_inner) = waiting;
        *looked = Some(Instant::now());
    }
}

/// The party that a party counts as. A page with a key for any deployment can make names up, and each would have a share of
/// its own: all pages of deployments that no such key is bound to are one.
fn named(party: Party, keys: &Keys) -> Party {
    let is_made_up = party.is_pages && !keys.senders().contains(&(party.deployment.as_str(), true));
    if is_made_up { Party { deployment: String::new(), ..party } } else { party }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::rights::Role;
    use crate::http::testing::{TestApp, add_keys, send, session};

    #[test]
    fn a_share_is_one_of_all_who_may_want_some() {
        let fairness = Fairness::default();
        let servers = |name: &str| Party { deployment: name.to_owned(), is_pages: false };
        let over = |counts: &[(&str, u64)], deployment: &str, others: &[&str]| {
            let counts = counts.iter().map(|(name, count)| (servers(name), *count));
            *fairness.waiting.write().unwrap() = counts.collect();
            fairness.is_over(&servers(deployment), &others.iter().map(|name| servers(name)).collect())
        };
        assert!(!over(&[], "eu", &["eu", "us"]), "there is room");
        assert!(!over(&[("eu", 100)], "eu", &["eu"]), "nobody else is there");
        assert!(over(&[("eu", 100)], "eu", &["eu", "us"]));
        assert!(!over(&[("eu", 100)], "us", &["eu", "us"]));
        assert!(over(&[("eu", 60), ("us", 40)], "eu", &[]) && !over(&[("eu", 60), ("us", 40)], "us", &[]));
        assert!(!over(&[("eu", 50), ("us", 50)], "eu", &["us"]), "both have theirs");
    }

    #[tokio::test]
    async fn a_page_leaves_the_servers_of_its_own_deployment_room_in_the_queue() {
        for bound in ["", "@shop"] {
            let app = TestApp::with(|choice| {
                choice.http.keys.add(Role::Submit, &format!("page{bound}")).unwrap();
                choice.http.keys.add(Role::Ingest, &format!("server{bound}")).unwrap();
                choice.queue_limit = 40;
            })
            .await;
            let mut taken = 0;
            while app.post_as("page", "/api/v1/score", &session(&format!("page-{taken}"))).await.status == 200 {
                taken += 1;
                // A look holds for a moment; the queue must not be filled within it.
                *app.service.fairness.looked.lock().await = None;
            }
            assert_eq!(taken, 30, "three quarters");
            for n in 0..9 {
                *app.service.fairness.looked.lock().await = None;
                let reply = app.post_as("server", "/api/v1/score", &session(&format!("server-{n}"))).await;
                assert_eq!(reply.status, 200, "{bound} {n}: {}", reply.text);
            }
        }
    }

    #[tokio::test]
    async fn names_that_a_page_makes_up_have_no_shares_of_their_own() {
        let app = TestApp::with(|choice| {
            choice.http.keys.add(Role::Submit, "page").unwrap();
            choice.http.keys.add(Role::Ingest, "server").unwrap();
            choice.queue_limit = 40;
        })
        .await;
        let of = |deployment: &str, n: usize| {
            let mut session = session(&format!("{deployment}-{n}"));
            session["deploymentId"] = deployment.into();
            session
        };
        for n in 0..2 {
            app.post_as("server", "/api/v1/score", &of("shop", n)).await;
        }
        let mut taken = 0;
        for n in 0..60 {
            *app.service.fairness.looked.lock().await = None;
            let reply = app.post_as("page", "/api/v1/score", &of(&format!("made-up-{n}"), n)).await;
            taken += usize::from(reply.status == 200);
        }
        assert_eq!(taken, 28, "three quarters of the queue are full then");
        for n in 2..10 {
            *app.service.fairness.looked.lock().await = None;
            let reply = app.post_as("server", "/api/v1/score", &of("shop", n)).await;
            assert_eq!(reply.status, 200, "{n}: {}", reply.text);
        }
    }

    #[tokio::test]
    async fn a_server_that_names_its_deployment_fills_a_queue_that_nobody_else_wants() {
        let app = TestApp::with(|choice| {
            choice.http.keys.add(Role::Ingest, "server").unwrap();
            choice.queue_limit = 40;
        })
        .await;
        for n in 0..40 {
            *app.service.fairness.looked.lock().await = None;
            let mut session = session(&format!("s-{n}"));
            session["deploymentId"] = "shop".into();
            assert_eq!(app.post_as("server", "/api/v1/score", &session).await.status, 200, "{n}");
        }
    }

    #[tokio::test]
    async fn one_deployment_leaves_the_others_room_in_the_queue() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.keys.add(Role::Ingest, "ingest-us@us").unwrap();
            choice.queue_limit = 40;
        })
        .await;
        let mut refused = None;
        for n in 0..60 {
            let reply = app.post_as("ingest-eu", "/api/v1/score", &session(&format!("eu-{n}"))).await;
            if reply.status != 200 {
                reply.is_error(503, "queue_full");
                refused = Some(n);
                break;
            }
            // A look holds for a moment; the queue must not be filled within it.
            *app.service.fairness.looked.lock().await = None;
        }
        assert_eq!(refused, Some(30), "three quarters");
        assert_eq!(app.post_as("ingest-us", "/api/v1/score", &session("us")).await.status, 200);
        let lines = format!("{}\n", session("line"));
        let bulk = app.request("POST", "/api/v1/batch/sessions").header("content-type", "application/x-ndjson");
        let told = send(bulk.bearer_auth("ingest-eu").body(lines)).await;
        assert!(told.text.contains("queue_full"), "{}", told.text);
        let mut at_once = session("at-once");
        at_once["useBatch"] = json!(false);
        assert_eq!(app.post_as("ingest-eu", "/api/v1/score", &at_once).await.status, 200, "it needs no place");
    }
}
