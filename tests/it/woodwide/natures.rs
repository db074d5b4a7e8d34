//! Every nature of a model from end to end with the real binary: what `check` says of it, and what becomes of sessions.

use std::collections::HashMap;
use std::process::Output;

use playproof_batch::config::Generation;
use serde_json::Value;
use woodwide_sim::Settings;

use super::rig::{KEY, Rig, people_under_other_names};
use crate::clients::{Told, all_results, fill, get};
use crate::process::{Process, binary};

const SESSIONS: usize = 60;

/// What the binary is told so that this service scores.
fn settings(rig: &Rig) -> Vec<(&'static str, String)> {
    let api = if rig.generation == Generation::Ga { "ga" } else { "beta" };
    vec![
        ("PLAYPROOF_DETECTOR", "woodwide".to_owned()),
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s".to_owned()),
        ("PLAYPROOF_CIRCUIT_PROBE", "1s".to_owned()),
        ("PLAYPROOF_FALLBACK_AFTER", "1s".to_owned()),
        ("WOODWIDE_API", api.to_owned()),
        ("WOODWIDE_API_KEY", KEY.to_owned()),
        ("WOODWIDE_BASE_URL", rig.sim.url().trim_end_matches('/').to_owned()),
        ("ANOMALY_MODEL_ID", rig.model.clone()),
    ]
}

fn check(rig: &Rig) -> Output {
    check_with(&settings(rig))
}

fn check_with(settings: &[(&'static str, String)]) -> Output {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("embedded:{}", folder.path().display());
    binary(&settings).env("PLAYPROOF_STORE", store).arg("check").output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_the_setting_that_mends_a_service_or_model_that_is_not_there() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let beta = Rig::new(Generation::Beta, Settings::default()).await;
    let secure = rig.sim.url().trim_end_matches('/').replace("http:", "https:");
    let cases: [(&Rig, &str, &str, &[&str]); 4] = [
        (&rig, "ANOMALY_MODEL_ID", "nobodys", &["nobodys", "set ANOMALY_MODEL_ID", "WOODWIDE_API, now ga"]),
        (&beta, "ANOMALY_MODEL_ID", "nobodys", &["nobodys", "set ANOMALY_MODEL_ID", "WOODWIDE_API, now beta"]),
        (
            &rig,
            "WOODWIDE_BASE_URL",
            "http://127.0.0.1:1",
            &["cannot connect", "http://127.0.0.1:1", "WOODWIDE_BASE_URL"],
        ),
        (&rig, "WOODWIDE_BASE_URL", &secure, &["the TLS handshake failed", &secure, "WOODWIDE_BASE_URL"]),
    ];
    for (rig, name, value, words) in cases {
        let mut settings = settings(rig);
        settings.iter_mut().filter(|(set, _)| *set == name).for_each(|(_, set)| value.clone_into(set));
        let checked = check_with(&settings);
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

/// What a node answers about some sessions, and that it leaves nothing on the account.
async fn results(rig: &Rig) -> HashMap<String, Value> {
    let settings = settings(rig);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let folder = tempfile::tempdir().unwrap();
    let node = Process::start(folder.path(), &settings);
    let told = Told::default();
    fill(&node.url, &told, SESSIONS).await;
    let mut found = HashMap::new();
    for n in told.acknowledged() {
        // Long polls: whoever has no result yet gets one while this waits.
        let path = format!("/api/v1/batch/result/{}?wait=30s", crate::clients::id(n));
        let answer = get(&node.url, &path).await;
        assert_eq!(answer["status"], "processed", "{answer}");
        found.insert(crate::clients::id(n), answer["result"].clone());
    }
    assert_eq!(all_results(&node.url).await.len(), SESSIONS);
    assert!(node.terminate().0.success());
    assert_eq!(rig.sim.dataset_names(), ["people"]);
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_with_scores_gives_scores_whether_it_looks_at_rows_alone_or_together() {
    for (context_dependent, words) in [(false, "scores each row by itself"), (true, "scores rows among each other")] {
        let rig = Rig::new(Generation::Ga, Settings { context_dependent, ..Settings::default() }).await;
        let checked = check(&rig);
        let said = String::from_utf8(checked.stdout).unwrap();
        assert!(checked.status.success() && said.contains(words), "{said}");
        for (id, result) in results(&rig).await {
            assert_eq!((&result["source"], &result["fallback"]), (&"woodwide".into(), &false.into()), "{id} {result}");
            assert_eq!(result["modelVersion"], rig.version.as_str());
            let score = result["anomalyScore"].as_f64().unwrap();
            assert!((0.0..=6.0).contains(&score) && result["rawScore"].is_number(), "{id} {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_only_flags_gives_flags_and_no_arithmetic() {
    let rig = Rig::new(Generation::Beta, Settings::default()).await;
    let checked = check(&rig);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success() && said.contains("flags rows and gives no scores"), "{said}");
    assert_eq!(rig.sim.dataset_names(), ["people"], "check leaves nothing behind");
    let mut decisions = HashMap::<String, usize>::new();
    for (id, result) in results(&rig).await {
        assert_eq!((&result["source"], &result["scoreKind"]), (&"woodwide".into(), &"flag".into()), "{id} {result}");
        assert_eq!((&result["anomalyScore"], &result["rawScore"]), (&Value::Null, &Value::Null), "{id}");
        *decisions.entry(result["decision"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(decisions.values().sum::<usize>(), SESSIONS, "{decisions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_takes_an_outlier_for_a_person_is_named_and_scores_nobody() {
    let useless = |generation| async move {
        if generation == Generation::Ga {
            return Rig::trained(generation, Settings::default(), &people_under_other_names()).await;
        }
        let rig = Rig::new(generation, Settings::default()).await;
        rig.sim.arm("flags=none@beta-infer").unwrap();
        rig
    };
    for generation in [Generation::Ga, Generation::Beta] {
        let rig = useless(generation).await;
        let checked = check(&rig);
        let said = String::from_utf8(checked.stderr).unwrap();
        assert_eq!(checked.status.code(), Some(1), "{said}");
        assert!(said.contains("the model is unusable") && said.contains("ANOMALY_MODEL_ID"), "{said}");
        for (id, result) in results(&rig).await {
            assert_eq!((&result["source"], &result["fallback"]), (&"embedded".into(), &true.into()), "{id} {result}");
        }
    }
}
