//! Rules between settings. Each fault is one sentence that names the setting and the mend; a rule about a setting that
//! could not be read is left out, since it would complain about a default.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, DetectorKind, Secret, StoreUrl};
use crate::domain::session::MAX_STRING;

/// Every rule that does not hold.
pub(super) fn faults(config: &Config, broken: &BTreeSet<&'static str>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rule = |about: &[&str], holds: bool, sentence: &dyn Fn() -> String| {
        if !holds && !about.iter().any(|key| broken.contains(key)) {
            faults.push(sentence());
        }
    };
    let (scheduler, policy, thresholds) = (&config.scheduler, &config.scheduler.policy, &config.detector.thresholds);
    rule(&["anomaly_threshold_pass", "anomaly_threshold_review"], thresholds.pass < thresholds.review, &|| {
        format!(
            "ANOMALY_THRESHOLD_REVIEW: {} is not above ANOMALY_THRESHOLD_PASS, {}; raise the one or lower the other",
            thresholds.review, thresholds.pass
        )
    });
    rule(&["scheduler_min_batch", "batch_size"], policy.min_batch <= policy.batch_size, &|| {
        format!(
            "PLAYPROOF_SCHEDULER_MIN_BATCH: {} is above PLAYPROOF_BATCH_SIZE, {}; lower the one or raise the other",
            policy.min_batch, policy.batch_size
        )
    });
    let is_shared = matches!(config.store.url, StoreUrl::Postgres(_));
    rule(&["store", "store_read"], config.store.read.is_none() || is_shared, &|| {
        "PLAYPROOF_STORE_READ: the embedded store has no replica; leave it out, or set PLAYPROOF_STORE to postgres://..."
            .to_owned()
    });
    rule(&["retry_base", "retry_max"], scheduler.backoff.base <= scheduler.backoff.max, &|| {
        format!(
            "PLAYPROOF_RETRY_BASE: {:?} is above PLAYPROOF_RETRY_MAX, {:?}; lower the one or raise the other",
            scheduler.backoff.base, scheduler.backoff.max
        )
    });
    let key_settings = |first: &'static [&'static str]| {
        [first, &["submit_keys", "ingest_keys", "analyst_keys", "admin_keys", "metrics_keys"]].concat()
    };
    rule(&key_settings(&["listen", "api_host"]), config.http.has_keys() || config.listen.ip().is_loopback(), &|| {
        format!(
            "PLAYPROOF_LISTEN: {} is reachable from other machines and no keys are set; set PLAYPROOF_ADMIN_KEYS, \
                 or bind to loopback such as 127.0.0.1:{}",
            config.listen,
            config.listen.port()
        )
    });
    rule(&key_settings(&["api_cors_origins"]), config.http.has_keys() || config.http.cors_origins.is_empty(), &|| {
        "API_CORS_ORIGINS: pages of other sites would need no key; set PLAYPROOF_SUBMIT_KEYS and PLAYPROOF_ADMIN_KEYS, \
         or leave it out"
            .to_owned()
    });
    rule(&key_settings(&["play"]), !config.http.play || !config.http.has_keys(), &|| {
        "PLAYPROOF_PLAY: the page to play on sends sessions and reads verdicts without a key; leave out the keys, or it"
            .to_owned()
    });
    rule(
        &["drain_delay", "shutdown_grace"],
        config.drain_delay.is_zero() || config.drain_delay < config.shutdown_grace,
        &|| {
            format!(
                "PLAYPROOF_DRAIN_DELAY: {:?} leaves nothing of PLAYPROOF_SHUTDOWN_GRACE, {:?}; lower the one or raise \
                 the other",
                config.drain_delay, config.shutdown_grace
            )
        },
    );
    let woodwide = config.detector.kind == DetectorKind::Woodwide;
    rule(
        &["detector", "woodwide_api_keys", "woodwide_api_keys_file", "woodwide_api_key", "woodwide_api_key_file"],
        !woodwide || !config.woodwide.keys.is_empty(),
        &|| {
            "PLAYPROOF_DETECTOR: woodwide needs a key; set WOODWIDE_API_KEYS, or PLAYPROOF_DETECTOR to embedded"
                .to_owned()
        },
    );
    faults.extend(keys(config));
    faults
}

/// A key says one thing about who holds it: one role, one deployment.
fn keys(config: &Config) -> Vec<String> {
    let roles: [(&str, &[Secret]); 5] = [
        ("PLAYPROOF_SUBMIT_KEYS", &config.http.submit_keys),
        ("PLAYPROOF_INGEST_KEYS", &config.http.ingest_keys),
        ("PLAYPROOF_ANALYST_KEYS", &config.http.analyst_keys),
        ("PLAYPROOF_ADMIN_KEYS", &config.http.admin_keys),
        ("PLAYPROOF_METRICS_KEYS", &config.http.metrics_keys),
    ];
    let mut faults = Vec::new();
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (role, keys) in roles {
        for (n, entry) in keys.iter().enumerate() {
            let (key, deployment) = match entry.expose().split_once('@') {
                Some((key, deployment)) => (key, Some(deployment)),
                None => (entry.expose(), None),
            };
            let n = n + 1;
            if deployment.is_some_and(|d| d.len() > MAX_STRING) {
                faults
                    .push(format!("{role}: entry {n} names a deployment of more than {MAX_STRING} bytes; shorten it"));
            } else if role == "PLAYPROOF_METRICS_KEYS" && deployment.is_some() {
                faults.push(format!(
                    "{role}: entry {n} is bound to a deployment, and metrics are of all; write KEY without @DEPLOYMENT"
                ));
            } else if key.is_empty() || deployment == Some("") {
                faults.push(format!("{role}: entry {n} is incomplete; write KEY or KEY@DEPLOYMENT"));
            } else if let Some(first) = seen.insert(key, role) {
                faults.push(format!(
                    "{role}: entry {n} is a key that {first} has already; give each role and deployment its own"
                ));
            }
        }
    }
    faults
}

/// What is allowed but probably not meant.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |holds: bool, sentence: &str| {
        if holds {
            notes.push(sentence.to_owned());
        }
    };
    note(
        config.http.has_keys() && config.http.admin_keys.is_empty(),
        "PLAYPROOF_ADMIN_KEYS is not set while other keys are; nobody can use the dashboard, metrics or the scheduler",
    );
    let http = &config.http;
    let keys = [&http.submit_keys, &http.ingest_keys, &http.analyst_keys, &http.admin_keys, &http.metrics_keys];
    note(
        keys.into_iter().flatten().any(|key| key.expose().split('@').next().is_some_and(|key| key.len() < 16)),
        "a key is shorter than 16 characters and may be guessed; use longer random ones",
    );
    let retention = &config.store.retention;
    note(
        retention.telemetry.max(retention.telemetry_flagged) > retention.results,
        "telemetry would be kept longer than results, but goes with them after PLAYPROOF_RETENTION_RESULTS",
    );
    note(
        config.store.retention_counts < retention.results,
        "PLAYPROOF_RETENTION_COUNTS is shorter than PLAYPROOF_RETENTION_RESULTS; the overview forgets results that are kept",
    );
    let woodwide = config.detector.kind == DetectorKind::Woodwide;
    note(
        woodwide && config.woodwide.model_id.is_none(),
        "ANOMALY_MODEL_ID is not set; woodwide cannot score before it is",
    );
    let base = &config.woodwide.base_url;
    let local = ["http://127.", "http://localhost", "http://[::1]"].iter().any(|local| base.starts_with(local));
    note(
        woodwide && base.starts_with("http:") && !local,
        "WOODWIDE_BASE_URL is not https; keys and feature rows travel in the clear",
    );
    notes
}
