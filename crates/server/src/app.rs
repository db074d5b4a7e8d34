//! The composition root: from a [`Config`] to the parts of the service. Nothing else knows which store and which
//! detector there are.

mod restored;
mod summary;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::summary::Summary;
use crate::access::keys::Keys;
use crate::access::rights::Role;
use crate::background::{self, Background};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DetectorKind, StoreUrl};
use crate::controls::OperatorState;
use crate::detector::embedded::{EmbeddedDetector, Model};
use crate::detector::{Detector, DetectorState, Notebook};
use crate::domain::time::Timestamp;
use crate::evidence_bundle::EvidenceKey;
use crate::http::{self, HttpSettings, Service};
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::registry::Registry;
use crate::result_notifier::ResultNotifier;
use crate::scheduler::{self, Randomness, Scheduler};
use crate::shutdown::{Shutdown, Signals};
use crate::store::audit::Entry;
use crate::store::postgres::{self, PostgresSettings, PostgresStore, ReplicaSettings, Time};
use crate::store::sqlite::{self, CapacityLimits, SqliteSettings, SqliteStore};
use crate::store::{Heartbeat, Lists, NodeRow, ReadReplica, Store};
use crate::traces::Traces;
use crate::webhooks::secrets::WebhookSecrets;
use crate::webhooks::{self, Deliverer};
use crate::woodwide::{Training, WoodwideDetector};

/// How long a node waits at its start for a database that is away.
const DATABASE_AT_START: Duration = Duration::from_secs(30);

/// How far behind the store a replica may be that lists are read from.
const MAX_LAG: Duration = Duration::from_secs(5 * 60);

/// One running node.
pub struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    summary: Summary,
    server: JoinHandle<std::io::Result<()>>,
    scheduler: Scheduler,
    shutdown: Shutdown,
    life: Life,
    telling: JoinHandle<()>,
    redeciding: JoinHandle<()>,
    /// Dropped last: what runs there ends with the parts above.
    background: Background,
}

impl Node {
    /// Puts the parts together and starts them; returns once requests are answered.
    ///
    /// # Errors
    /// When the store, the model or the address cannot be used.
    pub async fn start(config: &Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        let model = Arc::new(load_model(config)?);
        let background = Background::start().context("cannot start the threads that work in the background")?;
        let Opened { store, lists, clock } = open_store(config).await?;
        let memory = Arc::new(StoreDetectorState(Arc::clone(&store)));
        let training = training(config, Arc::clone(&memory) as Arc<dyn DetectorState>)?;
        let embedded = EmbeddedDetector::new(Arc::clone(&model));
        let detector = detector(config, &embedded, memory, &clock).await?;
        let metrics = Arc::new(Metrics::new()?);
        let settled = ResultNotifier::new();
        let listener = listen(config)?;
        let address = listener.local_addr()?;

        let controls = OperatorState::open(Arc::clone(&store), config.detector.thresholds).await?;
        tokio::spawn(Arc::clone(&controls).follow(shutdown.clone()));
        let evidence_key = EvidenceKey::new(config.http.secret_key.as_ref(), &store.evidence_key());
        let webhook_secrets = WebhookSecrets::new(config.http.secret_key.as_ref(), &store.webhook_key());
        let webhook_secrets = Arc::new(webhook_secrets);
        let deliverer = Deliverer::new(webhooks::Parts {
            store: Arc::clone(&store),
            controls: Arc::clone(&controls),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            secrets: Arc::clone(&webhook_secrets),
            private: config.http.webhook_private,
            patience: webhooks::PATIENCE,
        })?;
        let telling = background.handle().spawn(deliverer.run(shutdown.clone()));
        let registry = Registry::open(
            Arc::clone(&store),
            Arc::clone(&controls),
            Arc::clone(&clock),
            embedded.clone(),
            background.handle().clone(),
        )
        .await?;
        background.handle().spawn(Arc::clone(&registry).follow(shutdown.clone()));
        let running = store.snapshot().await.is_ok_and(|snapshot| snapshot.running);
        let summary = Summary::new(config, address, &embedded.model().identity(), &controls.current(), running);
        let parts = scheduler::Parts {
            store: Arc::clone(&store),
            detector: Arc::clone(&detector),
            local: local_detector(config, &embedded),
            clock: Arc::clone(&clock),
            randomness: Randomness::system(),
            metrics: Arc::clone(&metrics),
            thresholds: Arc::clone(controls.thresholds()),
            settled: Arc::clone(&settled),
        };
        let settings = scheduler_settings(config);
        let life = Life::start(&settings.node, address, Arc::clone(&store), clock.as_ref(), shutdown.clone()).await;
        let entered = background.enter();
        let scheduler = Scheduler::start(parts, settings, shutdown.clone());
        drop(entered);
        let intake = Intake::new(
            Arc::clone(&store),
            embedded.clone(),
            config.detector.first_by,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            Arc::clone(&controls),
        );
        let operations = Operations::new(
            Arc::clone(&store),
            Arc::clone(&lists),
            Arc::clone(&controls),
            Arc::clone(&settled),
            Arc::clone(&clock),
            webhook_secrets,
            evidence_key,
        );
        let redeciding = background.handle().spawn(Arc::clone(&operations).follow_thresholds(shutdown.clone()));
        let service = Service::new(http::Parts {
            store,
            lists,
            intake: Arc::new(intake),
            scheduler: scheduler.handle(),
            settled,
            // A remote that is away must not take intake away: sessions wait, and this one judges them in the end.
            detector: Arc::new(embedded.clone()),
            embedded,
            training,
            controls,
            operations,
            registry,
            metrics,
            clock,
            settings: http_settings(config, address)?,
        });
        let stop = shutdown.clone();
        let grace = config.shutdown_grace.saturating_sub(config.drain_delay);
        let server = tokio::spawn(async move {
            let leaving = Arc::clone(&service);
            let ends = async move {
                stop.leaving().await;
                leaving.leave();
                stop.soft().await;
            };
            http::serve(listener, service, ends, grace).await
        });
        Ok(Self { address, summary, server, scheduler, shutdown, life, telling, redeciding, background })
    }

    /// Waits until every part has ended; `false` when one of them died by itself.
    pub async fn ended(mut self) -> bool {
        // Whatever ends first by a fault of its own ends the node: half a service helps nobody.
        let scheduled = async {
            let well = self.scheduler.ended().await;
            self.shutdown.trigger();
            well
        };
        let served = async {
            let outcome = self.server.await.map_err(std::io::Error::other).flatten();
            if let Err(error) = &outcome {
                tracing::error!(%error, "the HTTP server died");
            }
            self.shutdown.trigger();
            outcome.is_ok()
        };
        let (scheduled, served) = tokio::join!(scheduled, served);
        if tokio::time::timeout(webhooks::PATIENCE, &mut self.telling).await.is_err() {
            self.telling.abort();
        }
        let _ = self.redeciding.await;
        self.life.end().await;
        drop(self.background);
        scheduled && served
    }
}

/// Runs the service until it is told to end.
///
/// # Errors
/// When it cannot start, or a part of it died.
pub fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    background::spread_computations_give_way();
    // Ends last, with what it has not sent yet.
    let _traces = Traces::start(config.otlp_endpoint.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let well = runtime.block_on(async {
        let signals = Signals::listen()?;
        let shutdown = Shutdown::new();
        let node = Node::start(config, shutdown.clone()).await?;
        let mut out = std::io::stdout();
        writeln!(out, "listening on http://{}", node.address).and_then(|()| out.flush())?;
        if config.http.play {
            writeln!(out, "play at http://{}{}/play", node.address, config.http.base_path)
                .and_then(|()| out.flush())?;
        }
        node.summary.tell(config);
        let (delay, grace) = (config.drain_delay, config.shutdown_grace);
        let listening = tokio::spawn(async move { shutdown.on_signals(signals, delay, grace).await });
        let well = node.ended().await;
        listening.abort();
        anyhow::Ok(well)
    })?;
    // Blocking reads may still run; the store is closed when they are done or abandoned.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The embedded model of the settings.
///
/// # Errors
/// When its file cannot be read or is none.
pub fn load_model(config: &Config) -> anyhow::Result<Model> {
    let Some(path) = &config.detector.model else { return Ok(Model::bundled()?) };
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the model {}; set PLAYPROOF_MODEL to a model file", path.display()))?;
    Model::load(&bytes).with_context(|| format!("{} is no usable model; train it again", path.display()))
}

fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    http::listen(config.listen)
        .with_context(|| format!("cannot listen on {}; stop what listens there or set PLAYPROOF_LISTEN", config.listen))
}

async fn detector(
    config: &Config,
    embedded: &EmbeddedDetector,
    memory: Arc<dyn DetectorState>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Detector>> {
    Ok(match config.detector.kind {
        DetectorKind::Embedded => Arc::new(embedded.clone()),
        DetectorKind::Woodwide => Arc::new(woodwide(config, memory, clock).await?),
    })
}

async fn woodwide(
    config: &Config,
    memory: Arc<dyn DetectorState>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<WoodwideDetector> {
    let shared = matches!(config.store.url, StoreUrl::Postgres(_));
    Ok(WoodwideDetector::new(&config.woodwide, memory, Arc::clone(clock), shared).await?)
}

/// Training at Woodwide needs a key, and no model yet: whichever detector scores.
fn training(config: &Config, memory: Arc<dyn DetectorState>) -> anyhow::Result<Option<Training>> {
    if config.woodwide.keys.is_empty() {
        return Ok(None);
    }
    Ok(Some(Training::new(&config.woodwide, memory)?))
}

/// The store as the place where a detector keeps what it learned.
struct StoreDetectorState(Arc<dyn Store>);

#[async_trait]
impl DetectorState for StoreDetectorState {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.0.get_state(key.to_owned()).await.map_err(|e| e.to_string())
    }

    async fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), String> {
        self.0.put_state(key.to_owned(), value).await.map_err(|e| e.to_string())
    }
}

/// The embedded detector beside a remote one, as shadow and fallback; `None` where it is the detector itself.
fn local_detector(config: &Config, embedded: &EmbeddedDetector) -> Option<Arc<dyn Detector>> {
    match config.detector.kind {
        DetectorKind::Embedded => None,
        DetectorKind::Woodwide => Some(Arc::new(embedded.clone())),
    }
}

fn http_settings(config: &Config, address: SocketAddr) -> anyhow::Result<HttpSettings> {
    let mut keys = Keys::default();
    let lists = [
        (Role::Submit, &config.http.submit_keys),
        (Role::Ingest, &config.http.ingest_keys),
        (Role::Analyst, &config.http.analyst_keys),
        (Role::Admin, &config.http.admin_keys),
        (Role::Metrics, &config.http.metrics_keys),
    ];
    for (role, list) in lists {
        for key in list {
            keys.add(role, key.expose())?;
        }
    }
    let spool_folder = match &config.store.url {
        StoreUrl::Embedded(folder) => Some(folder.clone()),
        StoreUrl::Postgres(_) => None,
    };
    Ok(HttpSettings {
        keys,
        cors_origins: config.http.cors_origins.clone(),
        base_path: config.http.base_path.clone(),
        rate_limit: config.http.rate_limit,
        rate_limit_address: config.http.rate_limit_address,
        rate_limit_login: config.http.rate_limit_login,
        trusted_proxies: config.http.trusted_proxies.clone(),
        longpoll_max: config.http.longpoll_max,
        body_limit: config.http.max_body,
        max_connections: config.http.max_connections,
        bounds: config.http.bounds,
        spool_folder,
        queue_limit: config.store.queue_limit,
        webhook_private: config.http.webhook_private,
        play: config.http.play,
        ..HttpSettings::new(address)
    })
}

fn sqlite_settings(config: &Config) -> anyhow::Result<SqliteSettings> {
    let StoreUrl::Embedded(folder) = &config.store.url else {
        anyhow::bail!("the store is a PostgreSQL database; copy it with pg_dump, and put it back with pg_restore")
    };
    let room = CapacityLimits {
        queue_limit: config.store.queue_limit,
        store_limit: config.store.limit,
        min_free_disk: config.store.min_free_disk,
    };
    Ok(SqliteSettings { folder: folder.clone(), room, autostart: config.scheduler.autostart })
}

/// The store and what goes with it: its lists, and its clock. A shared store's database is everybody's clock.
struct Opened {
    store: Arc<dyn Store>,
    lists: Arc<Lists>,
    clock: Arc<dyn Clock>,
}

async fn open_store(config: &Config) -> anyhow::Result<Opened> {
    let StoreUrl::Postgres(url) = &config.store.url else {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&sqlite_settings(config)?, clock.now().wall)?);
        return Ok(Opened { lists: Lists::new(Arc::clone(&store), None), store, clock });
    };
    let settings = PostgresSettings {
        url: url.expose().to_owned(),
        connections: config.store.connections,
        queue_limit: config.store.queue_limit,
        store_limit: config.store.limit,
        autostart: config.scheduler.autostart,
        time: Time::Database,
        patience: DATABASE_AT_START,
    };
    let store = PostgresStore::open(&settings, Timestamp(0)).await?;
    let clock = store.clock();
    let replica: Option<Arc<dyn ReadReplica>> = match &config.store.read {
        Some(url) => {
            let connections = config.store.connections;
            let settings = ReplicaSettings { url: url.expose().to_owned(), connections, max_lag: MAX_LAG };
            Some(Arc::new(store.replica(&settings).await?))
        }
        None => None,
    };
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(Opened { lists: Lists::new(Arc::clone(&store), replica), store, clock })
}

/// A node's signs of life in the store.
struct Life {
    store: Arc<dyn Store>,
    beat: Heartbeat,
    /// Dropped to end `beating`.
    going: oneshot::Sender<()>,
    beating: JoinHandle<()>,
}

impl Life {
    async fn start(
        node: &str,
        address: SocketAddr,
        store: Arc<dyn Store>,
        clock: &dyn Clock,
        shutdown: Shutdown,
    ) -> Self {
        let beat = Heartbeat {
            id: node.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.to_string(),
            started_at: clock.now().wall,
            draining: false,
            leaving: false,
        };
        // Whoever asks the node that just started finds it in the list.
        let first = store.beat(beat.clone()).await;
        if let Err(error) = first {
            tracing::warn!(%error, "the node could not say that it lives");
        }
        let (beats, told) = (Arc::clone(&store), beat.clone());
        let (going, mut gone) = oneshot::channel();
        let beating = tokio::spawn(async move {
            loop {
                let draining = shutdown.is_soft();
                tokio::select! {
                    () = tokio::time::sleep(NodeRow::BEAT) => {}
                    () = shutdown.soft(), if !draining => {}
                    _ = &mut gone => return,
                }
                let _ = beats.beat(Heartbeat { draining: shutdown.is_soft(), ..told.clone() }).await;
            }
        });
        Self { store, beat, going, beating }
    }

    /// Takes the node out of the list. A beat that is under way ends first: on another connection it could come after.
    async fn end(self) {
        let Self { store, beat, going, beating } = self;
        drop(going);
        let leaving = async {
            let _ = beating.await;
            store.beat(Heartbeat { leaving: true, ..beat }).await
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), leaving).await;
    }
}

fn scheduler_settings(config: &Config) -> scheduler::Settings {
    scheduler::Settings {
        policy: config.scheduler.policy,
        concurrency: config.scheduler.concurrency,
        backoff: config.scheduler.backoff,
        lease: config.scheduler.lease,
        circuit_probe: config.scheduler.circuit_probe,
        fallback_after: config.scheduler.fallback_after,
        retention: config.store.retention,
        retention_counts: config.store.retention_counts,
        evidence: config.scheduler.evidence,
        node: format!("{}-{:08x}", std::process::id(), rand::random::<u32>()),
    }
}

/// Runs a future of a command that has no runtime yet.
fn waiting<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future))
}

/// Opens the store as `serve` would, changes nothing, and says what it found.
///
/// # Errors
/// When `serve` could not use it.
pub fn probe_store(config: &Config) -> anyhow::Result<String> {
    if let StoreUrl::Postgres(url) = &config.store.url {
        return Ok(waiting(postgres::probe(url.expose()))??);
    }
    Ok(sqlite::probe(&sqlite_settings(config)?.folder)?)
}

/// Looks at the replica of the store, changes nothing, and says how it stands.
///
/// # Errors
/// When lists could not be read from it.
pub fn probe_replica(config: &Config) -> anyhow::Result<String> {
    match (&config.store.url, &config.store.read) {
        (StoreUrl::Postgres(url), Some(read)) => {
            Ok(waiting(postgres::probe_replica(url.expose(), read.expose(), MAX_LAG))??)
        }
        _ => Ok("not used".to_owned()),
    }
}

/// Loads the detector as `serve` would and says which model it has; of a remote one also what its scores are like.
///
/// # Errors
/// When `serve` could not use it.
pub fn probe_detector(config: &Config) -> anyhow::Result<String> {
    let model = Arc::new(load_model(config)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    runtime.block_on(async {
        match config.detector.kind {
            DetectorKind::Embedded => {
                let identity = EmbeddedDetector::new(model).health().await?;
                Ok(format!("embedded answers with model {} version {}", identity.id, identity.version))
            }
            DetectorKind::Woodwide => {
                Ok(woodwide(config, Arc::new(Notebook::default()), &clock).await?.describe().await?)
            }
        }
    })
}

/// Gives every entry of the audit log, the oldest first; a node may run meanwhile.
///
/// # Errors
/// When there is no store of this version, or where `each` fails.
pub fn each_audit_entry(config: &Config, each: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<()> {
    match &config.store.url {
        StoreUrl::Postgres(url) => waiting(postgres::each_audit_entry(url.expose(), each))?,
        StoreUrl::Embedded(folder) => sqlite::each_audit_entry(folder, each),
    }
}

/// Brings the store's schema up to date and says what was done.
///
/// # Errors
/// When the store cannot be opened or migrated.
pub fn migrate(config: &Config) -> anyhow::Result<String> {
    if let StoreUrl::Postgres(url) = &config.store.url {
        let (before, after, name) = waiting(postgres::migrate(url.expose(), config.scheduler.autostart))??;
        return Ok(if before < after {
            format!("the store in {name} was brought from schema version {before} to {after}")
        } else {
            format!("the store in {name} is up to date")
        });
    }
    let settings = sqlite_settings(config)?;
    drop(SqliteStore::open(&settings, SystemClock::new().now().wall)?);
    Ok(format!("the store in {} is up to date", settings.folder.display()))
}

/// Copies the store into `folder` while it runs and says what was written.
///
/// # Errors
/// When there is no store, or the folder cannot be written.
pub fn backup(config: &Config, folder: &Path) -> anyhow::Result<String> {
    let data = sqlite_settings(config)?.folder;
    sqlite::backup(&data, folder)?;
    Ok(format!("copied {} to {}", data.display(), folder.display()))
}

/// Puts the copy in `folder` in the store's place and says what was written, and which keys it revives. `replaced` is the
/// folder that the copy stands in for; keys that its audit log says were revoked are revoked again.
///
/// # Errors
/// When the store is in use, or the copy is none.
pub fn restore(config: &Config, folder: &Path, replaced: Option<&Path>) -> anyhow::Result<String> {
    let settings = sqlite_settings(config)?;
    sqlite::restore(folder, &settings.folder)?;
    let now = SystemClock::new().now().wall;
    let store = SqliteStore::open(&settings, now)?;
    let keys = waiting(restored::keys(&store, replaced, now))??;
    Ok(format!("restored {} from {}{keys}", settings.folder.display(), folder.display()))
}

/// The OpenAPI document.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi() -> anyhow::Result<String> {
    Ok(http::document())
}
