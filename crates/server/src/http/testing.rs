//! The service on a real socket with a real store on disk, for the tests beside the handlers: a store that can be made
//! to fail, a detector that answers by script, a clock that is moved by hand where a test needs it.

mod faulty;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use faulty::Faulty;

use crate::access::rights::Role;
use crate::clock::{Clock as _, ManualClock};
use crate::controls::OperatorState;
use crate::detector::Detector;
use crate::detector::embedded::{EmbeddedDetector, Model};
use crate::detector::scripted::Scripted;
use crate::domain::backoff::Backoff;
use crate::domain::batch::Policy;
use crate::domain::result::Thresholds;
use crate::domain::time::{Now, Timestamp};
use crate::evidence_bundle::EvidenceKey;
use crate::http::router;
use crate::http::settings::HttpSettings;
use crate::http::state::{Parts, Service};
use crate::http::transport::gate::Admission;
use crate::http::transport::server;
use crate::intake::{FirstBy, Intake};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::registry::Registry;
use crate::result_notifier::ResultNotifier;
use crate::scheduler::{self, Randomness, Scheduler};
use crate::shutdown::Shutdown;
use crate::store::deliveries::DeliveryStore as _;
use crate::store::evidence::EvidenceStore as _;
use crate::store::sqlite::{CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{Lists, Retention};
use crate::webhooks::secrets::WebhookSecrets;
use crate::woodwide::Training;

pub(crate) const START: Timestamp = Timestamp(1_769_860_800_000);

/// A running service.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) service: Arc<Service>,
    pub(crate) store: Arc<Faulty>,
    pub(crate) detector: Arc<Scripted>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) settled: Arc<ResultNotifier>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<std::io::Result<()>>,
    shutdown: Shutdown,
    _scheduler: Scheduler,
    _folder: tempfile::TempDir,
}

/// What a test may choose.
pub(crate) struct Choice {
    pub(crate) http: HttpSettings,
    pub(crate) queue_limit: u64,
    pub(crate) detector: Scripted,
    /// The scheduler asks the service's own model in place of `detector`.
    pub(crate) by_embedded: bool,
    /// Routes of the test's own, behind the same gate.
    pub(crate) routes: Option<Router<Arc<Service>>>,
    pub(crate) training: Option<Training>,
    pub(crate) first_by: FirstBy,
}

impl TestApp {
    /// A service without keys, as it comes.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A service with the keys `submit`, `ingest`, `ingest-eu` (bound to `eu`), `admin-eu` (bound) and `admin`.
    pub(crate) async fn with_keys() -> Self {
        Self::with(|choice| add_keys(&mut choice.http)).await
    }

    pub(crate) async fn with(choose: impl FnOnce(&mut Choice)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut choice = Choice {
            http: HttpSettings::new(address),
            queue_limit: 100_000,
            detector: Scripted::honest(),
            by_embedded: false,
            routes: None,
            training: None,
            first_by: FirstBy::Model,
        };
        choose(&mut choice);
        choice.http.queue_limit = choice.queue_limit;
        let folder = tempfile::tempdir().unwrap();
        let room = CapacityLimits { queue_limit: choice.queue_limit, store_limit: None, min_free_disk: 0 };
        let open = SqliteSettings { folder: folder.path().to_owned(), room, autostart: false };
        let inner = SqliteStore::open(&open, START).unwrap();
        let store = Arc::new(Faulty { inner: Arc::new(inner), interceptor: faulty::Switch::default() });
        let (detector, clock) = (Arc::new(choice.detector), Arc::new(ManualClock::new(START)));
        let (settled, metrics) = (ResultNotifier::new(), Arc::new(Metrics::new().unwrap()));
        let shutdown = Shutdown::new();
        let controls = OperatorState::open(store.clone(), Thresholds::default()).await.unwrap();
        // The routes' own tests need no trained model.
        let model = Arc::new(Model::bundled().unwrap());
        let embedded = EmbeddedDetector::new(model);
        let asked: Arc<dyn Detector> = if choice.by_embedded { Arc::new(embedded.clone()) } else { detector.clone() };
        let parts = scheduler::Parts {
            store: store.clone(),
            detector: asked,
            local: None,
            clock: clock.clone(),
            randomness: Randomness::system(),
            metrics: metrics.clone(),
            thresholds: Arc::clone(controls.thresholds()),
            settled: settled.clone(),
        };
        let scheduler = Scheduler::start(parts, scheduler_settings(), shutdown.clone());
        let registry = Registry::open(
            store.clone(),
            controls.clone(),
            clock.clone(),
            embedded.clone(),
            tokio::runtime::Handle::current(),
        )
        .await
        .unwrap();
        let intake = Arc::new(Intake::new(
            store.clone(),
            embedded.clone(),
            choice.first_by,
            clock.clone(),
            metrics.clone(),
            controls.clone(),
        ));
        let service = Service::new(Parts {
            store: store.clone(),
            lists: Lists::new(store.clone(), None),
            intake,
            scheduler: scheduler.handle(),
            settled: settled.clone(),
            detector: detector.clone(),
            embedded,
            registry,
            training: choice.training,
            controls: controls.clone(),
            operations: operations(&store, controls, &settled, &clock),
            metrics,
            clock: clock.clone(),
            settings: choice.http,
        });
        let router = match choice.routes {
            Some(routes) => router::guarded([(Admission::KEY, routes)], &service),
            None => router::router(&service),
        };
        let (stop, stopped) = oneshot::channel();
        let wait = async { drop(stopped.await) };
        let serving = tokio::spawn(server::run(listener, router, service.clone(), wait, Duration::from_secs(5)));
        Self {
            address,
            service,
            store,
            detector,
            clock,
            settled,
            client: crate::tls::http_client().no_proxy().build().unwrap(),
            stop: Some(stop),
            serving,
            shutdown,
            _scheduler: scheduler,
            _folder: folder,
        }
    }

    /// Asks the server to shut down.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has shut down.
    pub(crate) async fn stopped(&mut self) {
        (&mut self.serving).await.unwrap().unwrap();
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.request("GET", path)).await
    }

    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Reply {
        send(self.request("GET", path).bearer_auth(key)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request("POST", path).json(body)).await
    }

    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Reply {
        send(self.request("POST", path).bearer_auth(key).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        send(self.request("DELETE", path)).await
    }

    /// Sends text as JSON.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        send(self.request("POST", path).header("content-type", "application/json").body(body)).await
    }

    /// Sends lines and gives the answers' lines.
    pub(crate) async fn bulk(&self, query: &str, lines: String) -> Vec<Value> {
        let path = format!("/api/v1/batch/sessions{query}");
        let request = self.request("POST", &path).header("content-type", "application/x-ndjson").body(lines);
        let reply = send(request).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The value of a metric, by its name and labels as exposed.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        self.metric_as("", name).await
    }

    /// The same of a service with keys.
    pub(crate) async fn metric_as(&self, key: &str, name: &str) -> f64 {
        let text = self.get_as(key, "/metrics").await.text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in:\n{text}")).parse().unwrap()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.trigger_hard();
        self.serving.abort();
    }
}

fn operations(
    store: &Arc<Faulty>,
    controls: Arc<OperatorState>,
    settled: &Arc<ResultNotifier>,
    clock: &Arc<ManualClock>,
) -> Arc<Operations> {
    let webhook_secrets = Arc::new(WebhookSecrets::new(None, &store.webhook_key()));
    let evidence_key = EvidenceKey::new(None, &store.evidence_key());
    let lists = Lists::new(store.clone(), None);
    Operations::new(store.clone(), lists, controls, settled.clone(), clock.clone(), webhook_secrets, evidence_key)
}

pub(crate) fn add_keys(http: &mut HttpSettings) {
    for (role, key) in [
        (Role::Submit, "submit"),
        (Role::Ingest, "ingest"),
        (Role::Ingest, "ingest-eu@eu"),
        (Role::Analyst, "analyst"),
        (Role::Admin, "admin-eu@eu"),
        (Role::Admin, "admin"),
        (Role::Metrics, "metrics"),
    ] {
        http.keys.add(role, key).unwrap();
    }
}

fn scheduler_settings() -> scheduler::Settings {
    let day = Duration::from_secs(86_400);
    scheduler::Settings {
        policy: Policy {
            batch_size: 50,
            min_batch: 10,
            max_wait: Duration::from_secs(300),
            interval: Duration::from_secs(3600),
        },
        concurrency: 2,
        backoff: Backoff { base: Duration::from_secs(2), max: Duration::from_secs(600), max_attempts: 1 },
        lease: Duration::from_secs(60),
        circuit_probe: Duration::from_secs(30),
        fallback_after: Duration::from_secs(900),
        retention: Retention { results: day * 90, telemetry: day, telemetry_flagged: day * 30 },
        retention_counts: day * 400,
        evidence: crate::domain::evidence::Evidence::Always,
        node: "test".to_owned(),
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {}", self.text))
    }

    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        for field in ["error", "message", "code"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
        }
        (self.status, body["code"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) {
        assert_eq!(self.error(), (status, code.to_owned()), "{}", self.text);
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply { status, headers, text: response.text().await.unwrap() }
}

pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end here.
    let end = tokio::time::timeout(Duration::from_secs(25), stream.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the connection stays open after {}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

/// A session for the queue.
pub(crate) fn session(id: &str) -> Value {
    let movements: Vec<_> = (0..30)
        .map(|i| {
            let t = f64::from(i);
            json!({"x": 10.0 + t * 7.0, "y": 20.0 + (t * 0.7).sin() * 30.0, "timestamp": t * 16.0 + f64::from(i % 3)})
        })
        .collect();
    json!({"sessionId": id, "gameType": "osu", "deviceType": "mouse", "durationMs": 480, "movements": movements,
           "clicks": [{"x": 5, "y": 6, "timestamp": 100, "targetHit": true}], "hits": 3, "misses": 1, "useBatch": true})
}

/// `count` sessions as lines.
pub(crate) fn lines(prefix: &str, count: usize) -> String {
    (1..=count).flat_map(|n| [session(&format!("{prefix}{n}")).to_string(), "\n".to_owned()]).collect()
}
