//! What a node says of itself at its start: where it listens, its store, its model, which roles have keys, and what is off.
//! It names no key, and of the store's address no password.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use tracing::Level;

use crate::access::rights::Role;
use crate::config::{Config, DetectorKind, Secret, StoreSettings, StoreUrl};
use crate::controls::OperatorSnapshot;
use crate::domain::evidence::Evidence;
use crate::domain::printable::printable;
use crate::domain::result::ModelIdentity;
use crate::logging;
use crate::store::postgres;
use crate::traces;

/// What is said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    listen: String,
    dashboard: String,
    store: String,
    detector: String,
    model: String,
    keys: String,
    off: Vec<&'static str>,
}

impl Summary {
    /// Of a node that listens on `address`; `model` is the embedded one.
    pub(super) fn new(
        config: &Config,
        address: SocketAddr,
        model: &ModelIdentity,
        made: &OperatorSnapshot,
        running: bool,
    ) -> Self {
        let from = match &config.detector.model {
            Some(path) => printable(&path.display().to_string()).into_owned(),
            None => "bundled".to_owned(),
        };
        let remote = format!("woodwide at {}; embedded is its shadow and fallback", config.woodwide.base_url);
        Self {
            listen: format!("http://{address}{}", config.http.base_path),
            dashboard: format!("http://{address}{}/", config.http.base_path),
            store: store(&config.store),
            detector: match config.detector.kind {
                DetectorKind::Embedded => "embedded".to_owned(),
                DetectorKind::Woodwide => remote,
            },
            model: format!("{} version {} ({from})", model.id, model.version),
            keys: keys(config, made),
            off: off(config, made, running),
        }
    }

    /// Tells it: lines for people, or one line of JSON; nothing where the log holds no `info`.
    pub(super) fn tell(&self, config: &Config) {
        if !tracing::enabled!(Level::INFO) {
            return;
        }
        if logging::for_people(config.log_format) {
            // Nobody is left to tell when this cannot be printed.
            let _ = std::io::stderr().lock().write_all(self.lines().as_bytes());
            return;
        }
        let Self { listen, dashboard, store, detector, model, keys, off } = self;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            listen,
            dashboard,
            store,
            detector,
            model,
            keys,
            off = off.join("; "),
            "the node starts"
        );
    }

    fn lines(&self) -> String {
        let mut text = format!("PlayProof Batch {}\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<10} {value}");
        };
        line("listens", &self.listen);
        line("dashboard", &self.dashboard);
        line("store", &self.store);
        line("detector", &self.detector);
        line("model", &self.model);
        line("keys", &self.keys);
        for (place, off) in self.off.iter().enumerate() {
            line(if place == 0 { "off" } else { "" }, off);
        }
        text
    }
}

/// The store, and its replica, without passwords.
fn store(settings: &StoreSettings) -> String {
    let named = |url: &Secret| match postgres::describe(url.expose()) {
        Ok((name, mode)) => format!("PostgreSQL at {} (sslmode={mode})", printable(&name)),
        Err(_) => "PostgreSQL".to_owned(),
    };
    match (&settings.url, &settings.read) {
        (StoreUrl::Embedded(folder), _) => format!("embedded in {}", printable(&folder.display().to_string())),
        (StoreUrl::Postgres(url), None) => named(url),
        (StoreUrl::Postgres(url), Some(read)) => format!("{}; lists from {}", named(url), named(read)),
    }
}

/// How many keys each role has.
fn keys(config: &Config, made: &OperatorSnapshot) -> String {
    let http = &config.http;
    let set = [
        (Role::Submit, http.submit_keys.len()),
        (Role::Ingest, http.ingest_keys.len()),
        (Role::Analyst, http.analyst_keys.len()),
        (Role::Admin, http.admin_keys.len()),
        (Role::Metrics, http.metrics_keys.len()),
    ];
    let counts = set.into_iter().filter_map(|(role, set)| {
        let created = made.keys.values().filter(|key| key.role == role.name()).count();
        (set + created > 0).then(|| format!("{} {}", role.name(), set + created))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

/// What a newcomer may miss, each with the setting that turns it on.
fn off(config: &Config, made: &OperatorSnapshot, running: bool) -> Vec<&'static str> {
    let (http, remote) = (&config.http, !config.woodwide.keys.is_empty());
    let keyless = !http.has_keys() && made.keys.is_empty();
    let asks = |role: Role| made.keys.values().any(|key| key.role == role.name());
    let asked = !http.ingest_keys.is_empty() || !http.admin_keys.is_empty() || asks(Role::Ingest) || asks(Role::Admin);
    let mode = match &config.store.url {
        StoreUrl::Postgres(url) => postgres::describe(url.expose()).ok().map(|(_, mode)| mode),
        StoreUrl::Embedded(_) => None,
    };
    let all = [
        (keyless, "keys: everybody on this machine may do everything (PLAYPROOF_ADMIN_KEYS)"),
        (!keyless && !asked, "challenges: no key may ask for one (PLAYPROOF_INGEST_KEYS)"),
        (!running, "the scheduler: an operator stopped it, or PLAYPROOF_SCHEDULER_AUTOSTART is false"),
        (mode == Some("disable"), "TLS to the store (sslmode=verify-full in PLAYPROOF_STORE)"),
        (
            matches!(mode, Some("prefer" | "require")),
            "the check of the store's certificate (sslmode=verify-full in PLAYPROOF_STORE)",
        ),
        (!remote, "Woodwide: no key (WOODWIDE_API_KEY)"),
        (
            remote && config.detector.kind == DetectorKind::Embedded,
            "scores by Woodwide: its key serves training alone (PLAYPROOF_DETECTOR)",
        ),
        (config.scheduler.evidence == Evidence::Never, "comparison of sessions (PLAYPROOF_BATCH_EVIDENCE)"),
        (made.webhooks.is_empty(), "webhooks: none is registered (POST /api/v1/webhooks)"),
        (http.cors_origins.is_empty(), "calls from pages of other origins (API_CORS_ORIGINS)"),
        (http.rate_limit.is_none() && http.rate_limit_address.is_none(), "rate limits (PLAYPROOF_RATE_LIMIT)"),
        (traces::can_be_sent() && config.otlp_endpoint.is_none(), "traces (PLAYPROOF_OTLP_ENDPOINT)"),
        (!http.play, "the page to play on (PLAYPROOF_PLAY)"),
    ];
    all.into_iter().filter_map(|(off, what)| off.then_some(what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn summary(settings: &[(&str, &str)]) -> Summary {
        let set = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::load(&Flags::default(), set).unwrap();
        let model = ModelIdentity { id: "embedded".to_owned(), version: "1".to_owned() };
        Summary::new(&config, "127.0.0.1:3000".parse().unwrap(), &model, &OperatorSnapshot::default(), true)
    }

    #[test]
    fn a_node_as_it_comes_says_what_is_off() {
        let told = summary(&[]);
        assert_eq!((told.keys.as_str(), told.store.as_str()), ("none", "embedded in ./playproof-data"));
        let lines = told.lines();
        for off in ["everybody on this machine", "Woodwide", "webhooks", "page to play", "rate limits"] {
            assert!(lines.contains(off), "{off} in {lines}");
        }
        assert!(!lines.contains("scheduler"), "{lines}");
    }

    #[test]
    fn roles_are_counted_and_neither_key_nor_password_is_told() {
        let told = summary(&[
            ("PLAYPROOF_ADMIN_KEYS", "admin-secret-1,admin-secret-2@shop"),
            ("PLAYPROOF_METRICS_KEYS", "metrics-secret"),
            ("PLAYPROOF_STORE", "postgres://user:hidden@db.example.org/playproof"),
            ("PLAYPROOF_STORE_READ", "postgres://user:hidden@db2.example.org/playproof"),
            ("WOODWIDE_API_KEY", "sk_secret"),
        ]);
        assert_eq!(told.keys, "admin 2, metrics 1");
        let store = "PostgreSQL at db.example.org/playproof (sslmode=prefer); \
                     lists from PostgreSQL at db2.example.org/playproof (sslmode=prefer)";
        assert_eq!(told.store, store);
        let lines = told.lines();
        assert!(lines.contains("certificate") && lines.contains("training alone"), "{lines}");
        for hidden in ["secret-1", "secret-2", "metrics-secret", "hidden", "sk_secret", "user:"] {
            assert!(!lines.contains(hidden), "{hidden} in {lines}");
        }
    }
}
