//! What a simulator can be started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::fault::Spec;

/// How answers refer to the things they made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Flat fields and nested reference together; every known client reads it.
    Both,
    /// `{"id", "version_id"}`, as the current service.
    Flat,
    /// `{"dataset": {"id", "version_id"}}`, as the older service.
    Nested,
}

/// What a simulator can be started with. The default listens on a free port of loopback, knows the key `sk_sim` and
/// finishes every job at once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The API keys. The first is labelled `key-1`, and so on; `LABEL:KEY` gives another label.
    pub api_keys: Vec<String>,
    /// The token that may manage keys.
    pub user_token: String,
    /// The faults to start with.
    pub faults: Vec<Spec>,
    /// Decides ids, signatures and the strikes of faults.
    pub seed: u64,
    /// How answers refer to the things they made.
    pub shape: Shape,
    /// Added to every answer of the API.
    pub latency: Duration,
    /// How long an ingest takes.
    pub ingest_time: Duration,
    /// How long a training takes.
    pub training_time: Duration,
    /// How long an inference job takes; the synchronous call waits it out.
    pub inference_time: Duration,
    /// How long a signed address holds.
    pub url_lifetime: Duration,
    /// Scores depend on the other rows of the call.
    pub context_dependent: bool,
    /// The address to put into signed URLs; without one it is taken from the `Host` header.
    pub public_url: Option<String>,
    /// Bytes of datasets and results that are kept.
    pub memory: u64,
    /// Requests that the log remembers.
    pub log_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_keys: vec!["sk_sim".to_owned()],
            user_token: "user_sim".to_owned(),
            faults: Vec::new(),
            seed: 0,
            shape: Shape::Both,
            latency: Duration::ZERO,
            ingest_time: Duration::ZERO,
            training_time: Duration::ZERO,
            inference_time: Duration::ZERO,
            url_lifetime: Duration::from_secs(900),
            context_dependent: false,
            public_url: None,
            memory: 1 << 30,
            log_limit: 10_000,
        }
    }
}
