//! What an operator relies on: the defaults, who beats whom, and being told of every fault at once.

use std::path::PathBuf;
use std::time::Duration;

use playproof_batch::access::rates::RateLimit;
use playproof_batch::config::{Config, DetectorKind, Faults, FirstBy, Flags, Generation, Secret, StoreUrl, catalogue};
use playproof_batch::domain::evidence::Evidence;
use playproof_batch::logging::LogFormat;

fn flags(given: &[(&str, &str)]) -> Flags {
    Flags { config: None, values: given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect() }
}

fn load(env: &[(&str, &str)]) -> Result<Config, Faults> {
    load_with(&Flags::default(), env)
}

fn load_with(flags: &Flags, env: &[(&str, &str)]) -> Result<Config, Faults> {
    Config::load(flags, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn faults(env: &[(&str, &str)]) -> Vec<String> {
    load(env).expect_err("these settings are wrong").0
}

/// A settings file with `text`; it lives as long as the handle.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

fn secrets(keys: &[&str]) -> Vec<Secret> {
    keys.iter().map(|k| Secret::new(*k)).collect()
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_defaults_are_the_promised_ones() {
    let c = load(&[]).unwrap();
    assert_eq!(c.listen.to_string(), "127.0.0.1:3000");
    assert_eq!((c.log.as_str(), c.shutdown_grace), ("info", 25 * SECOND));
    assert_eq!(c.notes, Vec::<String>::new());

    assert!(!c.http.has_keys());
    assert_eq!((c.http.rate_limit, c.http.trusted_proxies, c.http.cors_origins), (None, vec![], vec![]));
    let ten_a_minute = RateLimit { requests: 10, per: 60 * SECOND };
    assert_eq!((c.http.rate_limit_address, c.http.rate_limit_login), (None, Some(ten_a_minute)));
    assert_eq!((c.http.metrics_keys, c.http.base_path.as_str(), c.drain_delay), (vec![], "", Duration::ZERO));
    assert_eq!((c.log_format, c.otlp_endpoint), (LogFormat::Auto, None));
    assert_eq!((c.http.longpoll_max, c.http.max_body), (60 * SECOND, 2 << 20));
    assert_eq!((c.http.bounds.movements, c.http.bounds.clicks, c.http.max_connections), (20_000, 2_000, 4096));

    assert_eq!(c.store.url, StoreUrl::Embedded(PathBuf::from("./playproof-data")));
    assert_eq!(c.store.read, None);
    assert_eq!((c.store.limit, c.store.min_free_disk, c.store.queue_limit), (None, 1 << 30, 1_000_000));
    let kept = c.store.retention;
    assert_eq!((kept.results, kept.telemetry, kept.telemetry_flagged), (24 * 90 * HOUR, 24 * HOUR, 24 * 30 * HOUR));

    let s = c.scheduler;
    assert!(s.autostart && s.evidence == Evidence::Auto);
    assert_eq!((s.policy.interval, s.policy.min_batch, s.policy.max_wait), (30 * SECOND, 10, 300 * SECOND));
    assert_eq!((s.policy.batch_size, s.concurrency, s.lease), (50, 2, 60 * SECOND));
    assert_eq!((s.backoff.max_attempts, s.backoff.base, s.backoff.max), (8, 2 * SECOND, 600 * SECOND));
    assert_eq!((s.fallback_after, s.circuit_probe), (900 * SECOND, 30 * SECOND));

    assert_eq!((c.detector.kind, c.detector.model), (DetectorKind::Embedded, None));
    assert_eq!(c.detector.first_by, FirstBy::Model);
    assert_eq!(c.detector.thresholds, playproof_batch::domain::result::Thresholds::default());

    let w = c.woodwide;
    assert_eq!((w.generation, w.base_url.as_str(), w.keys), (Generation::Ga, "https://api.woodwide.ai", vec![]));
    assert_eq!((w.model_id, w.persistent_dataset, w.min_rows, w.in_flight), (None, None, 10, 2));
    assert_eq!(load(&[("WOODWIDE_API", "beta")]).unwrap().woodwide.base_url, "https://beta.woodwide.ai");
}

#[test]
fn every_promised_variable_exists() {
    let promised = "LISTEN STORE STORE_LIMIT MIN_FREE_DISK DETECTOR MODEL FIRST_VERDICT SCHEDULER_AUTOSTART SCHEDULER_INTERVAL \
                    SCHEDULER_MIN_BATCH SCHEDULER_MAX_WAIT BATCH_SIZE BATCH_CONCURRENCY BATCH_EVIDENCE QUEUE_LIMIT \
                    RETRY_MAX_ATTEMPTS RETRY_BASE RETRY_MAX LEASE SHUTDOWN_GRACE FALLBACK_AFTER CIRCUIT_PROBE \
                    LONGPOLL_MAX RETENTION_RESULTS RETENTION_TELEMETRY RETENTION_TELEMETRY_FLAGGED RETENTION_COUNTS SUBMIT_KEYS \
                    SUBMIT_KEYS_FILE INGEST_KEYS INGEST_KEYS_FILE ANALYST_KEYS ANALYST_KEYS_FILE ADMIN_KEYS ADMIN_KEYS_FILE METRICS_KEYS METRICS_KEYS_FILE \
                    WEBHOOK_PRIVATE PLAY SECRET_KEY RATE_LIMIT RATE_LIMIT_ADDRESS RATE_LIMIT_LOGIN DRAIN_DELAY BASE_PATH LOG_FORMAT OTLP_ENDPOINT \
                    TRUSTED_PROXIES LOG MAX_BODY MAX_MOVEMENTS MAX_CLICKS MAX_CONNECTIONS STORE_CONNECTIONS STORE_READ";
    let bare = "ANOMALY_THRESHOLD_PASS ANOMALY_THRESHOLD_REVIEW ANOMALY_MODEL_ID WOODWIDE_API_KEYS WOODWIDE_API_KEY \
                WOODWIDE_API_KEYS_FILE WOODWIDE_API_KEY_FILE WOODWIDE_BASE_URL WOODWIDE_API \
                WOODWIDE_PERSISTENT_DATASET WOODWIDE_MIN_ROWS WOODWIDE_IN_FLIGHT API_HOST API_PORT API_CORS_ORIGINS";
    let mut promised: Vec<String> = promised.split_whitespace().map(|name| format!("PLAYPROOF_{name}")).collect();
    promised.extend(bare.split_whitespace().map(str::to_owned));
    promised.sort();
    let mut known: Vec<String> = catalogue::settings().iter().map(|s| s.env.clone()).collect();
    known.sort();
    assert_eq!(known, promised);
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let (_file, path) = file("batch_size = 20\nqueue_limit = 200\nlease = \"20s\"\n");
    let env = [("PLAYPROOF_CONFIG", path.as_str()), ("PLAYPROOF_BATCH_SIZE", "30"), ("PLAYPROOF_QUEUE_LIMIT", "300")];
    let c = load_with(&flags(&[("batch_size", "40")]), &env).unwrap();
    assert_eq!((c.scheduler.policy.batch_size, c.store.queue_limit, c.scheduler.lease), (40, 300, 20 * SECOND));
    let emptied = load(&[("PLAYPROOF_BATCH_SIZE", "")]).unwrap();
    assert_eq!(emptied.scheduler.policy.batch_size, 50, "an empty variable is as good as none");
}

#[test]
fn the_reference_page_works_as_a_settings_file() {
    let (_file, path) = file(catalogue::DEFAULTS);
    assert_eq!(load(&[("PLAYPROOF_CONFIG", &path)]).unwrap().scheduler, load(&[]).unwrap().scheduler);
}

#[test]
fn a_file_may_write_lists_numbers_and_truth_values_plainly() {
    let (_file, path) = file(
        "admin_keys = [\"admin-key-0123456789\"]\nscheduler_autostart = false\nanomaly_threshold_pass = 1\n\
         trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nrate_limit = \"100/s\"\n",
    );
    let c = load(&[("PLAYPROOF_CONFIG", &path)]).unwrap();
    assert_eq!(c.http.admin_keys, secrets(&["admin-key-0123456789"]));
    assert_eq!(c.http.trusted_proxies.len(), 2);
    assert_eq!(c.http.rate_limit, Some(RateLimit { requests: 100, per: SECOND }));
    assert!(!c.scheduler.autostart);
}

#[test]
fn unknown_keys_of_the_file_are_refused_with_the_nearest_known_one() {
    let (_file, path) = file("batchsize = 20\n[scheduler]\ninterval = \"3s\"\n[zzz]\nqqq = 1\n");
    let wrong = faults(&[("PLAYPROOF_CONFIG", &path)]);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].contains("batchsize") && wrong[0].contains("did you mean batch_size?"), "{wrong:?}");
    assert!(wrong[1].contains("did you mean scheduler_interval?"), "{wrong:?}");
    assert!(wrong[2].ends_with("remove it"), "{wrong:?}");
}

#[test]
fn a_misspelt_variable_is_noted_but_a_platform_may_set_its_own() {
    let c = load(&[("PLAYPROOF_LISTN", "0.0.0.0:1"), ("HOME", "/")]).unwrap();
    assert_eq!(c.notes.len(), 1);
    assert!(c.notes[0].contains("did you mean PLAYPROOF_LISTEN?"), "{:?}", c.notes);
}

#[test]
fn all_faults_are_told_at_once_under_the_name_the_person_used() {
    let (_file, path) = file("queue_limit = \"many\"\n");
    let env = [
        ("PLAYPROOF_CONFIG", path.as_str()),
        ("PLAYPROOF_LEASE", "60"),
        ("ANOMALY_THRESHOLD_PASS", "3"),
        ("PLAYPROOF_SCHEDULER_MIN_BATCH", "60"),
    ];
    let all = load_with(&flags(&[("batch_concurrency", "0")]), &env).unwrap_err();
    let text = all.to_string();
    assert!(text.starts_with("5 settings are wrong\n"), "{text}");
    for part in [
        "queue_limit in ",
        "PLAYPROOF_LEASE: is \"60\"; write a whole number and a unit",
        "--batch-concurrency: is 0; write a whole number from 1",
        "ANOMALY_THRESHOLD_REVIEW: 2.5 is not above ANOMALY_THRESHOLD_PASS, 3",
        "PLAYPROOF_SCHEDULER_MIN_BATCH: 60 is above PLAYPROOF_BATCH_SIZE, 50",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_not_also_judged_against_others() {
    let wrong = faults(&[("ANOMALY_THRESHOLD_PASS", "x"), ("ANOMALY_THRESHOLD_REVIEW", "0.5")]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[test]
fn rules_between_settings_name_the_mend() {
    let one = |env: &[(&str, &str)]| {
        let all = faults(env);
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    };
    let open = one(&[("PLAYPROOF_LISTEN", "0.0.0.0:3000")]);
    assert!(open.contains("set PLAYPROOF_ADMIN_KEYS, or bind to loopback such as 127.0.0.1:3000"), "{open}");
    assert!(load(&[("PLAYPROOF_LISTEN", "0.0.0.0:3000"), ("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789")]).is_ok());
    for origins in ["*", "https://play.example.org"] {
        let open = one(&[("API_CORS_ORIGINS", origins)]);
        assert!(open.starts_with("API_CORS_ORIGINS: ") && open.contains("set PLAYPROOF_SUBMIT_KEYS"), "{open}");
        let keyed = [("API_CORS_ORIGINS", origins), ("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789")];
        assert!(load(&keyed).is_ok());
    }
    assert!(load(&[("PLAYPROOF_PLAY", "true")]).unwrap().http.play);
    let open = one(&[("PLAYPROOF_PLAY", "true"), ("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789")]);
    assert!(open.starts_with("PLAYPROOF_PLAY: ") && open.contains("leave out the keys"), "{open}");
    let long = one(&[("PLAYPROOF_DRAIN_DELAY", "25s")]);
    assert!(long.contains("PLAYPROOF_SHUTDOWN_GRACE"), "{long}");
    let bound = one(&[("PLAYPROOF_METRICS_KEYS", "metrics-key-0123456789@eu")]);
    assert!(bound.contains("PLAYPROOF_METRICS_KEYS: entry 1 is bound"), "{bound}");
    assert!(one(&[("PLAYPROOF_LOG_FORMAT", "xml")]).contains("write auto, json or text"));
    let traced = load(&[("PLAYPROOF_OTLP_ENDPOINT", "http://localhost:4318/")]);
    if playproof_batch::traces::can_be_sent() {
        assert_eq!(traced.unwrap().otlp_endpoint.as_deref(), Some("http://localhost:4318"));
    } else {
        assert!(one(&[("PLAYPROOF_OTLP_ENDPOINT", "http://localhost:4318")]).contains("--features otlp"));
    }
    assert!(one(&[("PLAYPROOF_BASE_PATH", "playproof")]).contains("write a path such as /playproof"));
    assert!(one(&[("PLAYPROOF_RETRY_BASE", "11m")]).contains("PLAYPROOF_RETRY_MAX"));
    assert!(one(&[("PLAYPROOF_DETECTOR", "woodwide")]).contains("WOODWIDE_API_KEYS"));
    assert!(load(&[("PLAYPROOF_DETECTOR", "woodwide"), ("WOODWIDE_API_KEY", "sk_sim")]).is_ok());
    let shared = load(&[("PLAYPROOF_STORE", "postgres://user:word@host/db")]).unwrap();
    assert!(!format!("{shared:?}").contains("word"));
    let neither = one(&[("PLAYPROOF_STORE", "mysql://user:word@host/db")]);
    assert!(neither.contains("PLAYPROOF_STORE") && !neither.contains("word"), "{neither}");
    assert!(one(&[("PLAYPROOF_SCHEDULER_INTERVAL", "0s")]).contains("PLAYPROOF_SCHEDULER_INTERVAL"));
}

#[test]
fn small_batches_and_short_delays_need_one_setting_only() {
    let c = load(&[("PLAYPROOF_BATCH_SIZE", "1"), ("PLAYPROOF_RETRY_MAX", "100ms")]).unwrap().scheduler;
    assert_eq!((c.policy.batch_size, c.policy.min_batch), (1, 1));
    assert_eq!(c.backoff.base, c.backoff.max);
}

#[test]
fn a_key_has_one_role_and_is_never_printed() {
    let twice =
        faults(&[("PLAYPROOF_SUBMIT_KEYS", "left-key,shared-key"), ("PLAYPROOF_ADMIN_KEYS", "shared-key@shop")]);
    assert_eq!(twice.len(), 1);
    assert!(twice[0].contains("PLAYPROOF_ADMIN_KEYS: entry 1") && twice[0].contains("PLAYPROOF_SUBMIT_KEYS"));
    assert!(!twice[0].contains("shared-key"));
    for keys in ["a,,b", "a,", ",", "@shop", "key@", "two words"] {
        let wrong = faults(&[("PLAYPROOF_ADMIN_KEYS", keys)]);
        assert!(wrong[0].starts_with("PLAYPROOF_ADMIN_KEYS: "), "{keys}: {wrong:?}");
    }
    let c = load(&[("PLAYPROOF_ADMIN_KEYS", "hidden-0123456789"), ("WOODWIDE_API_KEYS", "hidden-too")]).unwrap();
    assert!(!format!("{c:?}").contains("hidden"));
    let (_file, path) = file("admin_keys = \"hidden\nlisten = 1");
    let broken = faults(&[("PLAYPROOF_CONFIG", &path)]).join(" ");
    assert!(broken.contains("line 1") && !broken.contains("hidden"), "{broken}");
}

#[test]
fn keys_come_from_files_too_and_the_stronger_place_wins() {
    let (_file, path) = file("admin-key-0123456789\nadmin-key-9876543210@shop\n\n");
    let from_file = secrets(&["admin-key-0123456789", "admin-key-9876543210@shop"]);
    assert_eq!(load(&[("PLAYPROOF_ADMIN_KEYS_FILE", &path)]).unwrap().http.admin_keys, from_file);
    let (_file, commented) = file("# who: ops\nadmin-key-0123456789\n\n  # the shop's\nadmin-key-9876543210@shop\n");
    assert_eq!(load(&[("PLAYPROOF_ADMIN_KEYS_FILE", &commented)]).unwrap().http.admin_keys, from_file);
    let both = faults(&[("PLAYPROOF_ADMIN_KEYS_FILE", &path), ("PLAYPROOF_ADMIN_KEYS", "x")]);
    assert!(both[0].contains("set one of them"), "{both:?}");
    let flag = load_with(&flags(&[("admin_keys", "from-flag-0123456789")]), &[("PLAYPROOF_ADMIN_KEYS_FILE", &path)]);
    assert_eq!(flag.unwrap().http.admin_keys, secrets(&["from-flag-0123456789"]));
    let gone = faults(&[("PLAYPROOF_ADMIN_KEYS_FILE", "/nowhere/keys")]);
    assert!(gone[0].contains("/nowhere/keys, which cannot be read"), "{gone:?}");
    let (_file, path) = file("sk_one, sk_two\n");
    let woodwide = load(&[("WOODWIDE_API_KEYS_FILE", &path), ("WOODWIDE_API_KEY", "sk_two")]).unwrap().woodwide.keys;
    assert_eq!(woodwide, secrets(&["sk_one", "sk_two"]));
}

#[test]
fn the_original_names_of_host_and_port_work_until_listen_is_set() {
    let listen = |env: &[(&str, &str)]| load(env).unwrap().listen.to_string();
    assert_eq!(listen(&[("API_PORT", "8080")]), "127.0.0.1:8080");
    assert_eq!(listen(&[("API_HOST", "localhost"), ("API_PORT", "0")]), "127.0.0.1:0");
    assert_eq!(listen(&[("API_PORT", "8080"), ("PLAYPROOF_LISTEN", "127.0.0.1:9")]), "127.0.0.1:9");
    assert!(faults(&[("API_HOST", "0.0.0.0")])[0].contains("PLAYPROOF_ADMIN_KEYS"));
}

#[test]
fn a_missing_or_broken_file_is_one_clear_sentence() {
    let missing = faults(&[("PLAYPROOF_CONFIG", "/nowhere/playproof.toml")]);
    assert!(missing[0].contains("/nowhere/playproof.toml: cannot be read"), "{missing:?}");
    let (_file, path) = file("lease = \"9s\"\nbatch_size = = 3\n");
    let broken = faults(&[("PLAYPROOF_CONFIG", &path)]);
    assert!(broken[0].contains("line 2 is not valid TOML"), "{broken:?}");
}
