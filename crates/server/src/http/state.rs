//! What all requests share: the parts that the API stands on, and what it keeps count of.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Semaphore, watch};

use super::dashboard::feed::Events;
use super::extract::body::{BodyLimits, LARGE_BODIES, PageShare};
use super::settings::HttpSettings;
use super::transport::attempts::AttemptGuard;
use super::transport::fairness::Fairness;
use super::transport::request_ids::RequestIds;
use crate::access::address::ClientAddress;
use crate::access::keys::Keys;
use crate::access::rates::Limits;
use crate::access::rights::{Access, Role};
use crate::access::shares::Shares;
use crate::challenges::Challenges;
use crate::clock::Clock;
use crate::controls::OperatorState;
use crate::detector::Detector;
use crate::detector::embedded::EmbeddedDetector;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::operations::readiness::Readiness;
use crate::registry::Registry;
use crate::result_notifier::ResultNotifier;
use crate::scheduler::Handle;
use crate::spool::Budget;
use crate::store::{Lists, Store};
use crate::woodwide::Training;

/// Most that follow verdicts at a time.
pub(crate) const MAX_FOLLOWERS: usize = 64;
/// Most tables of a training in memory at a time.
pub(crate) const MAX_TABLES: usize = 2;

/// What the API stands on; the composition root puts it together.
pub struct Parts {
    /// Where results and the queue are read.
    pub store: Arc<dyn Store>,
    /// What is listed.
    pub lists: Arc<Lists>,
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
    /// What operators do.
    pub operations: Arc<Operations>,
    /// Instruments.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the operator set.
    pub settings: HttpSettings,
}

/// The API's state, shared by all requests.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lists: Arc<Lists>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) scheduler: Handle,
    pub(crate) settled: Arc<ResultNotifier>,
    pub(crate) embedded: EmbeddedDetector,
    pub(crate) training: Option<Training>,
    pub(crate) controls: Arc<OperatorState>,
    pub(crate) operations: Arc<Operations>,
    pub(crate) challenges: Challenges,
    pub(crate) registry: Arc<Registry>,
    pub(crate) keys: RwLock<(i64, Arc<Keys>)>,
    pub(crate) followers: Arc<Semaphore>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: HttpSettings,
    pub(crate) limits: Limits,
    pub(crate) attempts: AttemptGuard,
    pub(crate) request_ids: RequestIds,
    pub(crate) large_bodies: Semaphore,
    pub(crate) page_bodies: Semaphore,
    pub(crate) bodies_by_address: Shares<ClientAddress>,
    pub(crate) fairness: Fairness,
    pub(crate) bulk_by_key: Shares<u64>,
    pub(crate) followers_by_key: Shares<u64>,
    pub(crate) tables: Semaphore,
    pub(crate) waits: Arc<Semaphore>,
    pub(crate) bulk: Arc<Semaphore>,
    pub(crate) spool: Arc<Budget>,
    pub(crate) readiness: Readiness,
    pub(crate) events: Events,
    /// Whether requests are still taken, but soon no more.
    pub(crate) leaving: AtomicBool,
    pub(crate) draining: watch::Sender<bool>,
}

/// The state as handlers take it.
pub(crate) type Shared = Arc<Service>;

impl Service {
    /// The service of `parts`, not draining.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            store,
            lists,
            intake,
            scheduler,
            settled,
            detector,
            embedded,
            training,
            controls,
            operations,
            registry,
            metrics,
            clock,
            settings,
        } = parts;
        Arc::new(Self {
            limits: Limits::new(settings.rate_limit, settings.rate_limit_address, settings.rate_limit_login),
            attempts: AttemptGuard::new(
                settings.free_attempts,
                Arc::clone(&store),
                Arc::clone(&clock),
                Arc::clone(&metrics),
            ),
            request_ids: RequestIds::new(),
            large_bodies: Semaphore::new(LARGE_BODIES),
            challenges: Challenges::new(Arc::clone(&store), Arc::clone(&clock)),
            page_bodies: Semaphore::new(LARGE_BODIES / 2),
            bodies_by_address: Shares::new(LARGE_BODIES / 8),
            fairness: Fairness::default(),
            bulk_by_key: Shares::new(settings.max_bulk / 2),
            followers_by_key: Shares::new(MAX_FOLLOWERS / 2),
            tables: Semaphore::new(MAX_TABLES),
            waits: Arc::new(Semaphore::new(settings.max_connections / 2)),
            bulk: Arc::new(Semaphore::new(settings.max_bulk)),
            spool: Budget::new(settings.spool_limit, settings.spool_folder.clone()),
            readiness: Readiness::new(Arc::clone(&store), detector, settings.queue_limit),
            events: Events::default(),
            leaving: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            store,
            lists,
            intake,
            scheduler,
            settled,
            embedded,
            training,
            keys: RwLock::new((-1, Arc::default())),
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            controls,
            operations,
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
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || *self.draining.borrow()
    }

    /// From now on the service is not ready, waits end, bulk intakes take no more. [`serve`](super::serve) calls it on
    /// shutdown.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// The keys of the settings and those made since.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        let version = self.controls.version();
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        if known.0 == version {
            return known.1;
        }
        let keys = Arc::new(self.settings.keys.with(&self.controls.current().keys));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = (version, Arc::clone(&keys));
        keys
    }

    /// The bounds of a body that is a session; a page's, with a submit key or with a token, share fewer places.
    pub(crate) fn session_body(&self, access: Option<&Access>, client: ClientAddress) -> BodyLimits<'_> {
        let page = access.is_none_or(|access| access.role == Role::Submit).then_some(PageShare {
            places: &self.page_bodies,
            by_address: &self.bodies_by_address,
            client,
        });
        BodyLimits { page, ..self.body_limits(self.settings.body_limit) }
    }

    /// The bounds of a body of at most `bytes`: what its route needs.
    pub(crate) fn body_limits(&self, bytes: usize) -> BodyLimits<'_> {
        BodyLimits {
            bytes: bytes.min(self.settings.body_limit),
            time: self.settings.body_timeout,
            large: &self.large_bodies,
            page: None,
            draining: self.draining(),
        }
    }
}
