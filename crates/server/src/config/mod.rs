//! Settings, read once and turned into what they mean. Flag over environment over file over default; every fault is
//! reported at once. Nothing outside the commands and the composition root sees a [`Config`].

mod build;

pub mod catalogue;

mod check;

mod flags;

mod load;

mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::intake::FirstBy;
pub use crate::logging::LogFormat;
pub use crate::secret::Secret;
pub use crate::woodwide::{Generation, Timing, WoodwideSettings};
pub use flags::Flags;
pub use load::Faults;

use crate::access::rates::RateLimit;
use crate::domain::backoff::Backoff;
use crate::domain::batch::Policy;
use crate::domain::evidence::Evidence;
use crate::domain::result::Thresholds;
use crate::domain::session::Bounds;
use crate::store::Retention;

/// Every setting, valid on its own and with the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What to log, as [`crate::logging::init`] reads it.
    pub log: String,
    /// In which form.
    pub log_format: LogFormat,
    /// Where traces go, without a slash at its end.
    pub otlp_endpoint: Option<String>,
    /// From the first signal to the end.
    pub shutdown_grace: Duration,
    /// From the first signal until no more requests are accepted.
    pub drain_delay: Duration,
    /// Of the HTTP API.
    pub http: HttpSettings,
    /// Of the store.
    pub store: StoreSettings,
    /// Of the scheduler.
    pub scheduler: SchedulerSettings,
    /// Of the detector.
    pub detector: DetectorSettings,
    /// Of the remote detector.
    pub woodwide: WoodwideSettings,
    /// What is allowed but probably not meant; to be logged as warnings.
    pub notes: Vec<String>,
}

/// What the HTTP API is told.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// Keys that submit, each `KEY` or `KEY@DEPLOYMENT`.
    pub submit_keys: Vec<Secret>,
    /// Keys that submit and read, each `KEY` or `KEY@DEPLOYMENT`.
    pub ingest_keys: Vec<Secret>,
    /// Keys that review and label, each `KEY` or `KEY@DEPLOYMENT`.
    pub analyst_keys: Vec<Secret>,
    /// Keys that may do everything, each `KEY` or `KEY@DEPLOYMENT`.
    pub admin_keys: Vec<Secret>,
    /// Keys that may read the metrics.
    pub metrics_keys: Vec<Secret>,
    /// Prefix of every route: empty, or `/name` without a slash at its end.
    pub base_path: String,
    /// Origins that browsers may call from: `*` or `scheme://host[:port]` in lower case.
    pub cors_origins: Vec<String>,
    /// Requests allowed to each key.
    pub rate_limit: Option<RateLimit>,
    /// Requests allowed to each client address.
    pub rate_limit_address: Option<RateLimit>,
    /// Attempts to log in allowed to each client address.
    pub rate_limit_login: Option<RateLimit>,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Longest `?wait=`.
    pub longpoll_max: Duration,
    /// Largest body that is one session, bytes.
    pub max_body: usize,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// Bounds of a session.
    pub bounds: Bounds,
    /// Whether webhooks may lead to private addresses.
    pub webhook_private: bool,
    /// Whether there is a page to play on.
    pub play: bool,
    /// What the secrets of webhooks follow from; the store's own key without it.
    pub secret_key: Option<Secret>,
}

impl HttpSettings {
    /// Whether requests must carry a key.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        let all = [&self.submit_keys, &self.ingest_keys, &self.analyst_keys, &self.admin_keys, &self.metrics_keys];
        all.iter().any(|keys| !keys.is_empty())
    }
}

/// What the store is told.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreSettings {
    /// Which store.
    pub url: StoreUrl,
    /// The replica that lists are read from; the address may hold a password.
    pub read: Option<Secret>,
    /// Size it may reach, bytes.
    pub limit: Option<u64>,
    /// Disk space to leave free, bytes.
    pub min_free_disk: u64,
    /// Connections of this node to a shared store.
    pub connections: usize,
    /// Unprocessed sessions it may hold.
    pub queue_limit: u64,
    /// How long things are kept.
    pub retention: Retention,
    /// How long decisions stay counted by time.
    pub retention_counts: Duration,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// Inside this process, in a folder.
    Embedded(PathBuf),
    /// A PostgreSQL database; the address may hold a password.
    Postgres(Secret),
}

/// What the scheduler is told.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerSettings {
    /// Whether a new store starts with it running.
    pub autostart: bool,
    /// When a batch runs.
    pub policy: Policy,
    /// Batches in flight on this node.
    pub concurrency: usize,
    /// When sessions are looked at side by side.
    pub evidence: Evidence,
    /// Retries.
    pub backoff: Backoff,
    /// Length of a lease.
    pub lease: Duration,
    /// How long the detector may be away before the embedded model answers.
    pub fallback_after: Duration,
    /// Time between probes of a detector that is away.
    pub circuit_probe: Duration,
}

/// What the detector is told.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorSettings {
    /// Who scores batches.
    pub kind: DetectorKind,
    /// The embedded detector's model file; `None` for the bundled one.
    pub model: Option<PathBuf>,
    /// Who gives the first verdict on a session that waits for its batch.
    pub first_by: FirstBy,
    /// From score to decision.
    pub thresholds: Thresholds,
}

/// Who scores batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorKind {
    /// The model inside this program.
    Embedded,
    /// The Woodwide service.
    Woodwide,
}

impl Config {
    /// Reads the settings of `flags`, of the environment given as `env`, and of the file one of them names.
    ///
    /// # Errors
    /// [`Faults`] with everything that is wrong.
    pub fn load(flags: &Flags, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Faults> {
        build::config(flags, env)
    }
}
