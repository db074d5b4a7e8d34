//! Deliveries to receivers that take them, refuse them, hang, redirect, or are away for an hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;
use crate::clock::ManualClock;
use crate::domain::reason::Reasons;
use crate::domain::result::{Decided, Decision, Thresholds};
use crate::store::decisions::{Cause, Revision};
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::testing::{at, process, session, verdict};

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Refuses,
    Hangs,
    Redirects,
    IsGone,
}

struct Receiver {
    mood: Mutex<Mood>,
    got: Mutex<Vec<(HeaderMap, String)>>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: String) -> Response {
    let mood = *receiver.mood.lock().unwrap();
    match mood {
        Mood::Takes => {
            receiver.got.lock().unwrap().push((headers, body));
            StatusCode::NO_CONTENT.into_response()
        }
        Mood::Refuses => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::IsGone => StatusCode::GONE.into_response(),
        Mood::Hangs => std::future::pending().await,
        Mood::Redirects => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
    }
}

struct Bench {
    deliverer: Arc<Deliverer>,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    receiver: Arc<Receiver>,
    webhook: Webhook,
    failures: AtomicU32,
    _folder: tempfile::TempDir,
}

fn secrets() -> WebhookSecrets {
    WebhookSecrets::new(None, &[7; 32])
}

impl Bench {
    async fn start(mood: Mood, private: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let room = CapacityLimits { queue_limit: 10_000, store_limit: None, min_free_disk: 0 };
        let open = SqliteSettings { folder: folder.path().to_owned(), room, autostart: false };
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&open, at(0).wall).unwrap());
        let receiver = Arc::new(Receiver { mood: Mutex::new(mood), got: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let webhook = Webhook {
            url,
            secret: None,
            key_mark: secrets().mark(),
            deployment_id: None,
            is_final: true,
            changed: true,
            campaigns: false,
            created_at: 0,
            ended: None,
        };
        let controls = OperatorState::open(Arc::clone(&store), Thresholds::default()).await.unwrap();
        controls.put("w", &webhook).await.unwrap();
        let clock = Arc::new(ManualClock::new(at(100).wall));
        let parts = Parts {
            store: Arc::clone(&store),
            controls,
            clock: clock.clone(),
            metrics: Arc::new(Metrics::new().unwrap()),
            secrets: Arc::new(secrets()),
            private,
            patience: Duration::from_millis(500),
        };
        let deliverer = Deliverer::new(parts).unwrap();
        let failures = AtomicU32::new(0);
        Self { deliverer, store, clock, receiver, webhook, failures, _folder: folder }
    }

    /// A session that gets a result and is changed twice.
    async fn decide(&self, id: &str) {
        let seq = process(&*self.store, session(id, at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
        for (earlier, later) in [(Decision::Fail, Decision::Pass), (Decision::Pass, Decision::Review)] {
            let decided = Decided { decision: later, confidence: 1.0, reasons: Reasons::default() };
            let cause = Cause::Thresholds;
            let revision = Revision { seq, earlier, decided, cause, detail: "{}".to_owned() };
            assert_eq!(self.store.revise(vec![revision], at(2).wall).await.unwrap(), 1);
        }
    }

    async fn pass(&self) -> Pass {
        self.deliverer.pass("w", &self.webhook, &self.failures).await.unwrap()
    }

    fn mood(&self, mood: Mood) {
        *self.receiver.mood.lock().unwrap() = mood;
    }

    /// Passes, with the clock going on, until the line is empty.
    async fn drain(&self) {
        for _ in 0..10_000 {
            let waiting = self.store.deliveries("w".to_owned(), None, 1_000).await.unwrap();
            if waiting.iter().all(|row| row.state != DeliveryState::Waiting) {
                return;
            }
            if self.pass().await.tried == 0 {
                self.clock.advance(Duration::from_secs(30));
            }
        }
        panic!("the line does not end");
    }

    /// Checks every signature; the decisions told of each session, in the order in which they came.
    fn told(&self) -> BTreeMap<String, Vec<String>> {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        for (headers, body) in &*self.receiver.got.lock().unwrap() {
            let header = |name: &str| headers[name].to_str().unwrap();
            let seconds: i64 = header("playproof-signature")[2..].split_once(',').unwrap().0.parse().unwrap();
            assert_eq!(
                header("playproof-signature"),
                signature::sign(&secrets().make("w"), Timestamp(seconds * 1000), body)
            );
            assert!((self.clock.now().wall.0 / 1000 - seconds).abs() < 3600, "signed when it is sent");
            let event: Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&event["id"], &event["type"]),
                (&Value::from(header("playproof-event-id")), &Value::from(header("playproof-event-type")))
            );
            // Again is allowed, and then it is the same.
            if let Some(earlier) = ids.insert(header("playproof-event-id").to_owned(), body.clone()) {
                assert_eq!(&earlier, body);
                continue;
            }
            let text = |field: &str| event["data"][field].as_str().unwrap().to_owned();
            told.entry(text("sessionId")).or_default().push(text("decision"));
        }
        told
    }
}

fn everything(count: usize) -> BTreeMap<String, Vec<String>> {
    let decisions = ["fail", "pass", "review"].map(str::to_owned).to_vec();
    (0..count).map(|n| (format!("s{n}"), decisions.clone())).collect()
}

#[tokio::test]
async fn every_event_is_told_in_order_after_an_hour_of_outage() {
    for mood in [Mood::Refuses, Mood::Redirects] {
        let bench = Bench::start(mood, true).await;
        for n in 0..20 {
            bench.decide(&format!("s{n}")).await;
        }
        let began = bench.clock.now().wall;
        while bench.clock.now().wall.since(began) < Duration::from_secs(3600) {
            bench.pass().await;
            bench.clock.advance(Duration::from_secs(20));
        }
        assert!(bench.told().is_empty());
        let log = bench.store.deliveries("w".to_owned(), None, 1_000).await.unwrap();
        assert_eq!(log.len(), 60);
        let tried = log.iter().find(|row| row.attempts > 0).unwrap();
        assert!(tried.error.as_deref().unwrap().starts_with("answered "), "{tried:?}");
        bench.mood(Mood::Takes);
        bench.drain().await;
        assert_eq!(bench.told(), everything(20));
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_told_when_it_comes() {
    let mut bench = Bench::start(Mood::Takes, true).await;
    bench.decide("s0").await;
    let there = bench.webhook.url.clone();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    bench.webhook.url = format!("http://{free}/");
    assert_eq!(bench.pass().await, Pass { tried: 1, failed: 1 });
    let log = bench.store.deliveries("w".to_owned(), None, 9).await.unwrap();
    assert!(log[2].error.as_deref().unwrap().starts_with("could not be reached"), "{log:?}");
    bench.webhook.url = there;
    bench.drain().await;
    assert_eq!(bench.told(), everything(1));
}

#[tokio::test]
async fn a_receiver_that_hangs_is_left_and_told_later() {
    let bench = Bench::start(Mood::Hangs, true).await;
    bench.decide("s0").await;
    assert_eq!(bench.pass().await, Pass { tried: 1, failed: 1 });
    let log = bench.store.deliveries("w".to_owned(), None, 9).await.unwrap();
    assert_eq!(log[2].error.as_deref(), Some("did not answer within 500ms"));
    bench.mood(Mood::Takes);
    bench.drain().await;
    assert_eq!(bench.told(), everything(1));
}

#[tokio::test]
async fn what_a_dead_node_took_is_told_by_another() {
    let bench = Bench::start(Mood::Takes, true).await;
    bench.decide("s0").await;
    let taken = bench.store.take_deliveries("w".to_owned(), 9, bench.clock.now().wall, LEASE).await.unwrap();
    assert_eq!(taken.len(), 1, "the first of each session");
    assert_eq!(bench.pass().await.tried, 0, "another has it");
    bench.clock.advance(LEASE);
    bench.drain().await;
    assert_eq!(bench.told(), everything(1));
}

#[tokio::test]
async fn private_addresses_are_refused_when_something_is_sent() {
    let mut bench = Bench::start(Mood::Takes, false).await;
    bench.decide("s0").await;
    assert_eq!(bench.pass().await, Pass { tried: 1, failed: 1 });
    bench.webhook.url = bench.webhook.url.replace("127.0.0.1", "localhost");
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(bench.pass().await, Pass { tried: 1, failed: 1 });
    let log = bench.store.deliveries("w".to_owned(), None, 9).await.unwrap();
    assert!(log[2].error.as_deref().unwrap().contains("private, loopback or link-local"), "{log:?}");
    assert!(bench.receiver.got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_given_up_can_be_sent_again() {
    let bench = Bench::start(Mood::Refuses, true).await;
    bench.decide("s0").await;
    for _ in 0..2 * MIN_ATTEMPTS {
        bench.pass().await;
        bench.clock.advance(Duration::from_secs(8 * 3600));
    }
    let log = bench.store.deliveries("w".to_owned(), None, 9).await.unwrap();
    assert_eq!(log[2].state, DeliveryState::GivenUp);
    bench.mood(Mood::Takes);
    bench.drain().await;
    assert!(bench.store.redeliver("w".to_owned(), None, bench.clock.now().wall).await.unwrap() > 0);
    bench.drain().await;
    let mut told = bench.told();
    told.get_mut("s0").unwrap().sort();
    assert_eq!(told["s0"], ["fail", "pass", "review"]);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_sent_nothing_until_it_takes_a_test() {
    let mut bench = Bench::start(Mood::IsGone, true).await;
    for id in ["s0", "s1"] {
        bench.decide(id).await;
    }
    let stored = |bench: &Bench| bench.deliverer.parts.controls.current().webhooks["w"].clone();
    let asked = bench.webhook.clone();
    bench.pass().await;
    bench.webhook = stored(&bench);
    assert_eq!(bench.webhook.ended.as_ref().map(|ended| ended.at), Some(at(100).wall.0));
    // What waited is given up unsent, and nothing new is queued.
    bench.mood(Mood::Takes);
    bench.drain().await;
    bench.decide("s2").await;
    let log = bench.store.deliveries("w".to_owned(), None, 99).await.unwrap();
    assert_eq!(log.len(), 6);
    assert!(log.iter().all(|row| row.state == DeliveryState::GivenUp), "{log:?}");
    assert!(log.iter().any(|row| row.status == Some(410)) && bench.receiver.got.lock().unwrap().is_empty());
    // A test that it refuses changes nothing, one that it takes resumes the webhook as it was.
    for (mood, is_ended) in [(Mood::Refuses, true), (Mood::Takes, false)] {
        bench.mood(mood);
        bench.store.test_delivery("w".to_owned(), "{}".to_owned(), bench.clock.now().wall).await.unwrap();
        bench.pass().await;
        bench.clock.advance(Duration::from_secs(600));
        assert_eq!(stored(&bench).ended.is_some(), is_ended, "{mood:?}");
    }
    assert_eq!(stored(&bench), asked);
    bench.webhook = stored(&bench);
    bench.receiver.got.lock().unwrap().clear();
    bench.store.redeliver("w".to_owned(), None, bench.clock.now().wall).await.unwrap();
    bench.drain().await;
    assert!(bench.receiver.got.lock().unwrap().len() >= 6);
    let log = bench.store.audit(None, 9).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|entry| entry.entry.action.as_str()).collect();
    assert_eq!(actions, ["webhook.resume", "webhook.end"]);
}

#[tokio::test]
async fn a_webhook_that_is_removed_while_its_receiver_says_it_is_gone_stays_removed() {
    let bench = Bench::start(Mood::IsGone, true).await;
    bench.decide("s0").await;
    bench.deliverer.parts.controls.remove::<Webhook>("w").await.unwrap();
    bench.pass().await;
    assert!(!bench.deliverer.parts.controls.current().webhooks.contains_key("w"));
}

#[tokio::test]
async fn under_another_key_nothing_is_sent_and_the_log_says_what_to_set() {
    let mut bench = Bench::start(Mood::Takes, true).await;
    bench.webhook.key_mark = WebhookSecrets::new(None, &[8; 32]).mark();
    bench.decide("s0").await;
    let pass = bench.pass().await;
    assert!(pass.tried > 0 && pass.failed == pass.tried, "{pass:?}");
    assert!(bench.receiver.got.lock().unwrap().is_empty());
    let log = bench.store.deliveries("w".to_owned(), None, 10).await.unwrap();
    assert!(log.iter().any(|row| row.error.as_deref().is_some_and(|e| e.contains("PLAYPROOF_SECRET_KEY"))), "{log:?}");
    // What waits is sent once the key is as it was.
    bench.webhook.key_mark = secrets().mark();
    bench.drain().await;
    assert_eq!(bench.told(), everything(1));
}

#[tokio::test]
async fn a_webhook_with_a_secret_of_its_own_is_signed_with_that() {
    let mut bench = Bench::start(Mood::Takes, true).await;
    (bench.webhook.secret, bench.webhook.key_mark) = (Some("whsec_old".to_owned()), String::new());
    bench.decide("s0").await;
    bench.pass().await;
    let got = bench.receiver.got.lock().unwrap();
    let (headers, body) = &got[0];
    let sent = headers["playproof-signature"].to_str().unwrap();
    let seconds: i64 = sent[2..].split_once(',').unwrap().0.parse().unwrap();
    assert_eq!(sent, signature::sign("whsec_old", Timestamp(seconds * 1000), body));
}
