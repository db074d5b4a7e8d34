//! The HTTP API: one file per group of endpoints with its requests, answers, OpenAPI text, handlers and tests; the
//! `gate` that every request passes; the `server` below them.
//!
//! Statuses are chosen in `error` alone, shapes in `wire`. Nothing here knows a detector beyond its health and
//! its training, and nothing decides about sessions.

mod attempts;
mod audit;
mod auth;
mod base_path;
mod batches;
mod bodies;
#[cfg(test)]
mod bounds_tests;
mod bulk;
mod campaigns;
mod challenges;
mod client_script;
mod dashboard;
mod encoding;
mod erasure;
mod error;
mod events;
mod explanation;
mod fairness;
#[cfg(test)]
mod first_tests;
mod gate;
mod health;
mod history;
mod keys;
mod labels;
mod limits;
mod login;
mod matches;
mod models;
mod newcomers;
mod nodes;
pub mod openapi;
mod overrides;
mod queue;
mod request;
mod result;
mod results;
mod retention;
mod review;
mod revocation;
mod scheduler;
mod score;
mod server;
mod settings;
mod shares;
mod siteverify;
mod spool;
mod telemetry;
#[cfg(test)]
mod testing;
mod thresholds;
mod training;
mod verdicts;
mod webhooks;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use tokio::sync::{Semaphore, watch};

pub use auth::{KeyError, Keys, Role};
pub use server::serve;
pub use settings::{HttpSettings, RateLimit, parse_network};

use crate::challenges::Challenges;
use crate::clock::Clock;
use crate::controls::OperatorState;
use crate::detector::Detector;
use crate::detector::embedded::EmbeddedDetector;
use crate::domain::id::SessionKey;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::result_notifier::ResultNotifier;
use crate::scheduler::Handle;
use crate::store::audit::NewEntry;
use crate::store::{Lookup, Store};
use crate::woodwide::Training;
use auth::Access;
use error::{ApiError, Code};
use limits::ClientAddress;
use shares::Shares;

/// What the API stands on; the composition root puts it together.
pub struct Parts {
    /// Where results and the queue are read.
    pub store: Arc<dyn Store>,
    /// Where sessions go.
    pub intake: Arc<Intake>,
    /// What runs batches.
    pub scheduler: Handle,
    /// Who is told when a session is settled.
    pub settled: Arc<ResultNotifier>,
    /// The detector whose health makes the service ready.
    pub detector: Arc<dyn Detector>,
    /// The embedded detector that is active: its model, and what watches the sessions it scores.
    pub embedded: EmbeddedDetector,
    /// Training at Woodwide, where that is configured.
    pub training: Option<Training>,
    /// The embedded models.
    pub registry: Arc<Registry>,
    /// What operators made.
    pub controls: Arc<OperatorState>,
    /// Instruments.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the operator set.
    pub settings: HttpSettings,
}

/// The API's state, shared by all requests.
pub struct Service {
    store: Arc<dyn Store>,
    intake: Arc<Intake>,
    scheduler: Handle,
    settled: Arc<ResultNotifier>,
    detector: Arc<dyn Detector>,
    embedded: EmbeddedDetector,
    training: Option<Training>,
    controls: Arc<OperatorState>,
    challenges: Challenges,
    registry: Arc<Registry>,
    keys: RwLock<(i64, Arc<Keys>)>,
    followers: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    settings: HttpSettings,
    limits: limits::Limits,
    attempts: attempts::Attempts,
    request_ids: gate::RequestIds,
    large_bodies: Semaphore,
    page_bodies: Semaphore,
    bodies_by_address: Shares<ClientAddress>,
    fairness: fairness::Fairness,
    bulk_by_key: Shares<u64>,
    followers_by_key: Shares<u64>,
    tables: Semaphore,
    waits: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    spool: Arc<spool::Budget>,
    readiness: health::Readiness,
    events: events::Events,
    /// Whether requests are still taken, but soon no more.
    leaving: AtomicBool,
    draining: watch::Sender<bool>,
}

impl Service {
    /// The service of `parts`, not draining.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            store,
            intake,
            scheduler,
            settled,
            detector,
            embedded,
            training,
            controls,
            registry,
            metrics,
            clock,
            settings,
        } = parts;
        for (route, method) in openapi::operations() {
            metrics.expect_route(&route, method);
        }
        Arc::new(Self {
            limits: limits::Limits::new(&settings),
            attempts: attempts::Attempts::new(settings.free_attempts),
            request_ids: gate::RequestIds::new(),
            large_bodies: Semaphore::new(request::LARGE_BODIES),
            challenges: Challenges::new(Arc::clone(&store), Arc::clone(&clock)),
            page_bodies: Semaphore::new(request::LARGE_BODIES / 2),
            bodies_by_address: Shares::new(request::LARGE_BODIES / 8),
            fairness: fairness::Fairness::default(),
            bulk_by_key: Shares::new(settings.max_bulk / 2),
            followers_by_key: Shares::new(verdicts::FOLLOWERS / 2),
            tables: Semaphore::new(training::TABLES),
            waits: Arc::new(Semaphore::new(settings.max_connections / 2)),
            bulk: Arc::new(Semaphore::new(settings.max_bulk)),
            spool: spool::Budget::new(settings.spool_limit, settings.spool_folder.clone()),
            readiness: health::Readiness::default(),
            events: events::Events::default(),
            leaving: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            store,
            intake,
            scheduler,
            settled,
            detector,
            embedded,
            training,
            keys: RwLock::new((-1, Arc::default())),
            followers: Arc::new(Semaphore::new(verdicts::FOLLOWERS)),
            controls,
            registry,
            metrics,
            clock,
            settings,
        })
    }

    /// From now on the service says that it is not ready, and asks clients to come back on another connection; requests
    /// are answered as before.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether the service is about to end, or ends.
    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || *self.draining.borrow()
    }

    /// From now on the service is not ready, waits end, bulk intakes take no more. [`serve`] calls it on shutdown.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// The keys of the settings and those made since.
    fn keys(&self) -> Arc<Keys> {
        let version = self.controls.version();
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.0 == version {
            return known.1;
        }
        let keys = Arc::new(self.settings.keys.with(&self.controls.current().keys));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = (version, Arc::clone(&keys));
        keys
    }

    /// Writes into the audit log what `access` is about to do, before it is done: what is not written is not done.
    async fn note(
        &self,
        access: &Access,
        action: &str,
        target: impl Into<String> + Send,
        detail: serde_json::Value,
    ) -> Result<(), ApiError> {
        let entry = NewEntry {
            at: self.clock.now().wall,
            actor: access.actor.to_string(),
            action: action.to_owned(),
            target: target.into(),
            detail: detail.to_string(),
        };
        Ok(self.store.record(entry).await?)
    }

    /// The bounds of a body that is a session; a page's, with a submit key or with a token, share fewer places.
    fn session_body(&self, access: Option<&Access>, client: ClientAddress) -> request::BodyLimits<'_> {
        let page = access.is_none_or(|access| access.role == Role::Submit).then_some(request::PageShare {
            places: &self.page_bodies,
            by_address: &self.bodies_by_address,
            client,
        });
        request::BodyLimits { page, ..self.body_limits(self.settings.body_limit) }
    }

    /// The bounds of a body of at most `bytes`: what its route needs.
    fn body_limits(&self, bytes: usize) -> request::BodyLimits<'_> {
        request::BodyLimits {
            bytes: bytes.min(self.settings.body_limit),
            time: self.settings.body_timeout,
            large: &self.large_bodies,
            page: None,
            draining: self.draining(),
        }
    }
}

impl Service {
    /// What is known of a session: of the one that a server sent under this identifier or, where there is none, of the one
    /// that a page sent. With its key.
    async fn find(&self, key: SessionKey) -> Result<(SessionKey, Lookup), ApiError> {
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
}

type Shared = Arc<Service>;

/// Every route.
pub fn router(service: Arc<Service>) -> Router {
    let routes = Router::new()
        .route("/", get(dashboard::page))
        .route("/dashboard/{*file}", get(dashboard::file))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::serve))
        .route("/api/v1/session", get(login::read).post(login::begin).delete(login::end))
        .route("/api/v1/events", get(events::listen))
        .route("/client.js", get(client_script::script))
        .route("/client.js.map", get(client_script::map))
        .route(score::ROUTE, post(score::submit))
        .route("/api/v1/challenges", post(challenges::create))
        .route("/api/v1/siteverify", post(siteverify::verify))
        .route("/api/v1/batch/sessions", post(bulk::submit))
        .route("/api/v1/batch/result/{sessionId}", get(result::read))
        .route("/api/v1/batch/results", get(results::list))
        .route("/api/v1/batch/batches", get(batches::list))
        .route("/api/v1/batch/batches/{batch_id}", get(batches::read))
        .route("/api/v1/batch/process", post(batches::process))
        .route("/api/v1/batch/stats", get(queue::stats))
        .route("/api/v1/batch/dead", get(queue::dead))
        .route("/api/v1/batch/dead/requeue", post(queue::requeue))
        .route("/api/v1/batch/clear", post(erasure::clear))
        .route("/api/v1/batch/nodes", get(nodes::list))
        .route("/api/v1/batch/scheduler/start", post(scheduler::start))
        .route("/api/v1/batch/scheduler/stop", post(scheduler::stop))
        .route("/api/v1/batch/scheduler/status", get(scheduler::status))
        .route("/api/v1/sessions/{sessionId}", delete(erasure::session))
        .route("/api/v1/sessions/{sessionId}/explanation", get(explanation::read))
        .route("/api/v1/sessions/{sessionId}/telemetry", get(telemetry::read))
        .route("/api/v1/sessions/{sessionId}/matches", get(matches::read))
        .route("/api/v1/sessions/{sessionId}/history", get(history::read))
        .route("/api/v1/sessions/{sessionId}/label", post(labels::put).delete(labels::take_back))
        .route("/api/v1/campaigns", get(campaigns::list))
        .route("/api/v1/campaigns/{campaignId}", get(campaigns::read))
        .route("/api/v1/campaigns/{campaignId}/label", post(campaigns::label).delete(campaigns::unlabel))
        .route("/api/v1/labels", get(labels::list))
        .route("/api/v1/review", get(review::list))
        .route("/api/v1/verdicts", get(verdicts::follow))
        .route("/api/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/api/v1/webhooks/{webhookId}", delete(webhooks::remove))
        .route("/api/v1/webhooks/{webhookId}/deliveries", get(webhooks::deliveries))
        .route("/api/v1/webhooks/{webhookId}/test", post(webhooks::test))
        .route("/api/v1/webhooks/{webhookId}/redeliver", post(webhooks::redeliver))
        .route("/api/v1/keys", get(keys::list).post(keys::create))
        .route("/api/v1/keys/{keyId}", delete(keys::revoke))
        .route("/api/v1/overrides", get(overrides::list).post(overrides::create))
        .route("/api/v1/overrides/{overrideId}", delete(overrides::remove))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/retention", get(retention::list).post(retention::set).delete(retention::reset))
        .route("/api/v1/retention/resume", post(retention::resume))
        .route("/api/v1/thresholds", get(thresholds::read).post(thresholds::apply).delete(thresholds::reset))
        .route("/api/v1/thresholds/simulate", post(thresholds::simulate))
        .route("/api/v1/users/{userId}", delete(erasure::user))
        .route("/api/v1/models", get(models::list))
        .route("/api/v1/models/train", post(models::train))
        .route("/api/v1/models/rollback", post(models::roll_back))
        .route("/api/v1/models/{modelVersion}/shadow", post(models::shadow).delete(models::unshadow))
        .route("/api/v1/models/{modelVersion}/backtest", post(models::backtest))
        .route("/api/v1/models/{modelVersion}/promote", post(models::promote))
        .route("/api/v1/datasets/upload", post(training::upload))
        .route("/api/v1/training/start", post(training::start))
        .route("/api/v1/training/{modelId}", get(training::read));
    guarded(routes, service)
}

/// `routes` behind the gate, with our errors for what they don't match.
fn guarded(routes: Router<Shared>, service: Shared) -> Router {
    routes
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&service), gate::gate))
        .with_state(service)
}

async fn unknown_route(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(Code::UnknownRoute, format!("there is no route {path}; /openapi.json lists them"))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this route has other methods; the Allow header names them")
}
