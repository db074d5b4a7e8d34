//! From values to a [`Config`]: one line per setting, with its type and its bounds.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::load::{Layers, Origin, Reader};
use super::value::{self, Parsed};
use super::{
    Config, DetectorKind, DetectorSettings, Faults, FirstBy, Flags, Generation, HttpSettings, LogFormat,
    SchedulerSettings, Secret, StoreSettings, StoreUrl, Timing, WoodwideSettings, check,
};
use crate::domain::backoff::Backoff;
use crate::domain::batch::Policy;
use crate::domain::evidence::Evidence;
use crate::domain::result::Thresholds;
use crate::domain::session::Bounds;
use crate::store::Retention;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// Short forms for the kinds of settings.
impl Reader {
    fn text<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> T {
        self.read(key, |raw| parse(raw.text()?))
    }

    fn optional<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        self.read(key, |raw| raw.optional()?.map(&parse).transpose())
    }

    fn list<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Vec<T> {
        self.read(key, |raw| raw.list()?.iter().map(|entry| parse(entry)).collect())
    }

    fn duration(&mut self, key: &'static str, least: Duration) -> Duration {
        self.text(key, |text| value::duration(text, least))
    }

    fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        self.text(key, |text| value::size(text, &range))
    }

    fn count<T: TryFrom<u64>>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> T {
        self.text(key, |text| {
            let number = value::count(text, &range)?;
            T::try_from(number).map_err(|_| format!("is {number}, which this machine cannot count to; write less"))
        })
    }
}

pub(super) fn config(flags: &Flags, env: impl IntoIterator<Item = (String, String)>) -> Result<Config, Faults> {
    let (config, reader) = read(flags, env);
    let mut faults = reader.faults;
    faults.extend(check::faults(&config, &reader.broken));
    if faults.is_empty() { Ok(config) } else { Err(Faults(faults)) }
}

fn read(flags: &Flags, env: impl IntoIterator<Item = (String, String)>) -> (Config, Reader) {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    let layers = Layers::gather(flags, env, &mut faults, &mut notes);
    let mut r = Reader::new(layers, faults);
    let mut config = Config {
        listen: listen(&mut r),
        log: r.text("log", |text| crate::logging::filter(text).map(|_| text.to_owned())),
        log_format: r.text("log_format", |text| match text {
            "auto" => Ok(LogFormat::Auto),
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err(format!("is {text:?}; write auto, json or text")),
        }),
        otlp_endpoint: r.optional("otlp_endpoint", |text| {
            if !crate::traces::can_be_sent() {
                return Err(
                    "is set, and this build sends no traces; build it with --features otlp, or leave it out".to_owned()
                );
            }
            value::base_url(text)
        }),
        shutdown_grace: r.duration("shutdown_grace", MILLISECOND),
        drain_delay: r.duration("drain_delay", Duration::ZERO),
        http: http(&mut r),
        store: store(&mut r),
        scheduler: scheduler(&mut r),
        detector: detector(&mut r),
        woodwide: woodwide(&mut r),
        notes,
    };
    config.notes.extend(check::notes(&config));
    (config, r)
}

fn listen(r: &mut Reader) -> SocketAddr {
    let whole = r.text("listen", value::listen);
    let host = r.optional("api_host", value::host);
    let port = r.optional("api_port", |text| value::count(text, &(0..=65_535)).map(|n| u16::try_from(n).unwrap_or(0)));
    if r.origin("listen") > Origin::Default {
        return whole;
    }
    SocketAddr::new(host.unwrap_or(whole.ip()), port.unwrap_or(whole.port()))
}

fn http(r: &mut Reader) -> HttpSettings {
    HttpSettings {
        submit_keys: r.keys("submit_keys", "submit_keys_file"),
        ingest_keys: r.keys("ingest_keys", "ingest_keys_file"),
        analyst_keys: r.keys("analyst_keys", "analyst_keys_file"),
        admin_keys: r.keys("admin_keys", "admin_keys_file"),
        metrics_keys: r.keys("metrics_keys", "metrics_keys_file"),
        base_path: r.optional("base_path", value::base_path).unwrap_or_default(),
        cors_origins: r.list("api_cors_origins", value::origin),
        rate_limit: r.optional("rate_limit", value::rate),
        rate_limit_address: r.optional("rate_limit_address", value::rate),
        rate_limit_login: r.optional("rate_limit_login", value::rate),
        trusted_proxies: r.list("trusted_proxies", value::network),
        longpoll_max: r.duration("longpoll_max", Duration::ZERO),
        max_body: usize::try_from(r.size("max_body", 1024..=256 * MIB)).unwrap_or(usize::MAX),
        max_connections: r.count("max_connections", 1..=1_000_000),
        bounds: Bounds {
            movements: r.count("max_movements", 1..=1_000_000),
            clicks: r.count("max_clicks", 0..=1_000_000),
        },
        webhook_private: r.text("webhook_private", value::boolean),
        play: r.text("play", value::boolean),
        secret_key: r.optional("secret_key", value::secret_key),
    }
}

fn store(r: &mut Reader) -> StoreSettings {
    StoreSettings {
        url: r.text("store", store_url),
        read: r.optional("store_read", |text| match store_url(text) {
            Ok(StoreUrl::Postgres(url)) => Ok(url),
            _ => Err("names no replica; write postgres://USER:PASSWORD@HOST/DATABASE".to_owned()),
        }),
        limit: r.optional("store_limit", |text| value::size(text, &(16 * MIB..=u64::MAX))),
        min_free_disk: r.size("min_free_disk", 0..=u64::MAX),
        connections: r.count("store_connections", 2..=1_000),
        queue_limit: r.count("queue_limit", 1..=1_000_000_000),
        retention: Retention {
            results: r.duration("retention_results", SECOND),
            telemetry: r.duration("retention_telemetry", Duration::ZERO),
            telemetry_flagged: r.duration("retention_telemetry_flagged", Duration::ZERO),
        },
        retention_counts: r.duration("retention_counts", SECOND),
    }
}

fn store_url(text: &str) -> Parsed<StoreUrl> {
    match text.split_once(':') {
        Some(("embedded", folder)) if !folder.is_empty() => Ok(StoreUrl::Embedded(PathBuf::from(folder))),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(StoreUrl::Postgres(Secret::new(text))),
        // What was written may hold a password and is not repeated.
        _ => Err("names no store; write embedded:DIR or postgres://USER:PASSWORD@HOST/DATABASE".to_owned()),
    }
}

fn scheduler(r: &mut Reader) -> SchedulerSettings {
    let mut settings = scheduler_as_given(r);
    // Who makes batches or delays small should not have to lower the defaults of their companions too.
    if r.origin("scheduler_min_batch") == Origin::Default {
        settings.policy.min_batch = settings.policy.min_batch.min(settings.policy.batch_size);
    }
    if r.origin("retry_base") == Origin::Default {
        settings.backoff.base = settings.backoff.base.min(settings.backoff.max);
    }
    settings
}

fn scheduler_as_given(r: &mut Reader) -> SchedulerSettings {
    SchedulerSettings {
        autostart: r.text("scheduler_autostart", value::boolean),
        policy: Policy {
            batch_size: r.count("batch_size", 1..=100_000),
            min_batch: r.count("scheduler_min_batch", 1..=100_000),
            max_wait: r.duration("scheduler_max_wait", MILLISECOND),
            interval: r.duration("scheduler_interval", MILLISECOND),
        },
        concurrency: r.count("batch_concurrency", 1..=1_000),
        evidence: r.text("batch_evidence", |text| match text {
            "auto" => Ok(Evidence::Auto),
            "always" => Ok(Evidence::Always),
            "never" => Ok(Evidence::Never),
            _ => Err(format!("is {text:?}; write auto, always or never")),
        }),
        backoff: Backoff {
            base: r.duration("retry_base", MILLISECOND),
            max: r.duration("retry_max", MILLISECOND),
            max_attempts: r.count("retry_max_attempts", 1..=1_000),
        },
        lease: r.duration("lease", SECOND),
        fallback_after: r.duration("fallback_after", Duration::ZERO),
        circuit_probe: r.duration("circuit_probe", MILLISECOND),
    }
}

fn detector(r: &mut Reader) -> DetectorSettings {
    DetectorSettings {
        kind: r.text("detector", |text| match text {
            "embedded" => Ok(DetectorKind::Embedded),
            "woodwide" => Ok(DetectorKind::Woodwide),
            _ => Err(format!("is {text:?}; write embedded or woodwide")),
        }),
        model: r.text("model", |text| Ok((text != "bundled").then(|| PathBuf::from(text)))),
        first_by: r.text("first_verdict", |text| match text {
            "model" => Ok(FirstBy::Model),
            "rules" => Ok(FirstBy::Rules),
            _ => Err(format!("is {text:?}; write model or rules")),
        }),
        thresholds: Thresholds {
            pass: r.text("anomaly_threshold_pass", |text| value::decimal(text, &(0.0..=100.0))),
            review: r.text("anomaly_threshold_review", |text| value::decimal(text, &(0.0..=100.0))),
            ..Thresholds::default()
        },
    }
}

fn woodwide(r: &mut Reader) -> WoodwideSettings {
    let mut keys = r.keys("woodwide_api_keys", "woodwide_api_keys_file");
    keys.extend(r.keys("woodwide_api_key", "woodwide_api_key_file"));
    let mut seen = BTreeSet::new();
    keys.retain(|key| seen.insert(key.expose().to_owned()));
    let generation = r.text("woodwide_api", |text| match text {
        "ga" => Ok(Generation::Ga),
        "beta" => Ok(Generation::Beta),
        _ => Err(format!("is {text:?}; write ga or beta")),
    });
    let public = match generation {
        Generation::Ga => "https://api.woodwide.ai",
        Generation::Beta => "https://beta.woodwide.ai",
    };
    // They stand in addresses.
    let remote_name = |text: &str| {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
            && !text.starts_with('.');
        if fits { Ok(text.to_owned()) } else { Err(format!("is {text:?}; write up to 128 letters, digits, _, - or .")) }
    };
    WoodwideSettings {
        keys,
        base_url: r.optional("woodwide_base_url", value::base_url).unwrap_or_else(|| public.to_owned()),
        generation,
        model_id: r.optional("anomaly_model_id", remote_name),
        persistent_dataset: r.optional("woodwide_persistent_dataset", remote_name),
        min_rows: r.count("woodwide_min_rows", 1..=100_000),
        in_flight: r.count("woodwide_in_flight", 1..=1_000),
        timing: Timing::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::catalogue::settings;

    #[test]
    fn the_code_reads_exactly_the_settings_of_the_defaults_file_and_each_is_explained() {
        let (_, reader) = read(&Flags::default(), []);
        assert_eq!(reader.faults, Vec::<String>::new());
        let listed: BTreeSet<&str> = settings().iter().map(|s| s.key.as_str()).collect();
        assert_eq!(reader.asked, listed);
        for setting in settings() {
            assert!(setting.doc.ends_with('.') && !setting.heading.is_empty(), "{} has no explanation", setting.key);
        }
    }
}
