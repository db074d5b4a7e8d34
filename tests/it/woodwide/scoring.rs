//! Scoring when nothing goes wrong: how many calls, which scores, what stays behind.

use std::collections::BTreeSet;
use std::time::Duration;

use playproof_batch::config::{Generation, WoodwideSettings};
use playproof_batch::detector::{Detector, DetectorError, DetectorState as _, Outcome};
use playproof_batch::domain::features::v1;
use serde_json::Value;
use woodwide_sim::Settings;

use super::matrix::timing;
use super::rig::{KEY, Rig, people, raw_scores, rows};

#[tokio::test]
async fn a_batch_is_one_call_whatever_its_size() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let detector = rig.detector().await;
    detector.score(&rows(1)).await.unwrap();
    for size in [50, 500, 5000] {
        rig.sim.clear_requests();
        let answer = detector.score(&rows(size)).await.unwrap();
        assert_eq!(answer.outcomes.len(), size);
        assert_eq!(rig.calls(), ["infer"]);
    }
    // A restart does not ask about the model's nature again.
    let again = rig.detector().await;
    rig.sim.clear_requests();
    again.score(&rows(50)).await.unwrap();
    assert_eq!(rig.calls(), ["list-datasets", "get-model", "infer"]);
}

#[tokio::test]
async fn a_beta_batch_is_upload_and_question_and_leaves_nothing_behind() {
    let rig = Rig::new(Generation::Beta, Settings::default()).await;
    let detector = rig.detector().await;
    detector.score(&rows(1)).await.unwrap();
    for size in [50, 500, 5000] {
        rig.sim.clear_requests();
        let answer = detector.score(&rows(size)).await.unwrap();
        assert!(answer.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Flagged(_))));
        assert_eq!(rig.calls(), ["beta-upload", "beta-infer", "beta-delete-dataset"]);
    }
    assert_eq!(rig.sim.dataset_names(), ["people"]);
}

#[tokio::test]
async fn a_service_that_answers_datasets_only_is_asked_that_way_at_once_the_next_time() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    rig.sim.arm("empty-body@infer").unwrap();
    let hasty = |settings: &mut WoodwideSettings| settings.timing = timing();
    let detector = rig.detector_with(hasty).await;
    let first = raw_scores(&detector, &rows(20)).await.unwrap();
    assert!(rig.calls().contains(&"infer"));
    for detector in [detector, rig.detector_with(hasty).await] {
        rig.sim.clear_requests();
        assert_eq!(raw_scores(&detector, &rows(20)).await.unwrap(), first);
        assert!(!rig.calls().contains(&"infer"), "{:?}", rig.calls());
    }
    assert_eq!(rig.sim.dataset_names(), ["people"]);
}

#[tokio::test]
async fn a_call_that_took_all_its_time_is_not_repeated_but_put_as_a_job() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let detector = rig.detector_with(|settings| settings.timing.inference = Duration::from_millis(400)).await;
    let first = raw_scores(&detector, &rows(20)).await.unwrap();
    rig.sim.arm("hang@infer").unwrap();
    rig.sim.clear_requests();
    assert_eq!(raw_scores(&detector, &rows(20)).await.unwrap(), first);
    assert_eq!(rig.calls()[..2], ["infer", "infer-async"]);
}

#[tokio::test]
async fn scores_that_tremble_with_the_size_of_the_table_are_still_each_rows_own() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let rows = rows(900);
    let calm = raw_scores(&rig.detector().await, &rows).await.unwrap();
    for size in ["1e-6", "1e-5", "1e-4"] {
        rig.memory.put(&format!("woodwide/profile/{}/{}", rig.model, rig.version), None).await.unwrap();
        rig.sim.disarm_all();
        rig.sim.arm(&format!("score-jitter={size}")).unwrap();
        let detector = rig.detector().await;
        assert!(detector.describe().await.unwrap().contains("scores each row by itself"), "{size}");
        for count in [1, 10, 50, 100, 300, 900] {
            rig.sim.clear_requests();
            let raw = raw_scores(&detector, &rows[..count]).await.unwrap();
            assert_eq!(rig.calls().iter().filter(|call| **call == "infer").count(), 1, "{size} {count}");
            assert!(raw.iter().zip(&calm).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-3), "{size} {count}");
        }
    }
}

#[tokio::test]
async fn a_leftover_that_cannot_be_removed_keeps_no_other_and_costs_later_batches_nothing() {
    let rig = Rig::new(Generation::Beta, Settings::default()).await;
    rig.detector().await.score(&rows(10)).await.unwrap();
    let installation = rig.memory.get("woodwide/installation").await.unwrap().unwrap();
    let installation = String::from_utf8(installation).unwrap();
    let client = playproof_batch::tls::http_client().build().unwrap();
    for n in 0..3 {
        let file = reqwest::multipart::Part::bytes(people()).file_name("left.csv");
        let form = reqwest::multipart::Form::new().text("name", format!("playproof-{installation}-dead-1-{n}"));
        let upload = client.post(format!("{}/api/datasets", rig.sim.url())).bearer_auth(KEY);
        upload.multipart(form.part("file", file)).send().await.unwrap().error_for_status().unwrap();
    }
    // All tries of the first removal.
    rig.sim.arm("status-before=500@beta-delete-dataset;n=3").unwrap();
    let detector = rig.detector().await;
    detector.score(&rows(10)).await.unwrap();
    assert_eq!(rig.sim.dataset_names().len(), 2, "{:?}", rig.sim.dataset_names());
    rig.sim.clear_requests();
    detector.score(&rows(10)).await.unwrap();
    assert_eq!(rig.calls(), ["beta-upload", "beta-infer", "beta-delete-dataset"]);
    // Whoever starts anew looks at once.
    rig.detector().await.score(&rows(10)).await.unwrap();
    assert_eq!(rig.sim.dataset_names(), ["people"]);
}

#[tokio::test]
async fn a_model_that_was_of_use_a_moment_ago_is_not_left_alone_for_long() {
    let rig = Rig::new(Generation::Beta, Settings::default()).await;
    let detector = rig.detector().await;
    detector.score(&rows(10)).await.unwrap();
    rig.sim.arm("flags=none@beta-infer").unwrap();
    for _ in 0..2 {
        assert!(matches!(detector.score(&rows(10)).await, Err(DetectorError::Unusable { .. })));
    }
    for pause in [None, Some(Duration::from_secs(300))] {
        match detector.score(&rows(10)).await {
            Err(DetectorError::Unavailable { retry_after, .. }) => assert_eq!(retry_after, pause),
            other => panic!("{other:?}"),
        }
    }
    rig.sim.disarm_all();
    detector.score(&rows(10)).await.unwrap();
}

#[tokio::test]
async fn a_rows_score_is_its_own_and_neither_its_place_nor_its_company_matters() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let detector = rig.detector().await;
    let rows = rows(40);
    let together = raw_scores(&detector, &rows).await.unwrap();
    assert!(together.iter().map(|(_, raw)| raw.to_bits()).collect::<BTreeSet<_>>().len() > 20, "scores differ");
    for (row, (id, raw)) in rows.iter().zip(together) {
        assert_eq!(raw_scores(&detector, std::slice::from_ref(row)).await.unwrap(), [(row.id, raw)]);
        assert_eq!(id, row.id);
    }
}

#[tokio::test]
async fn a_model_that_ranks_within_the_call_is_calibrated_within_the_call() {
    let settings = Settings { context_dependent: true, ..Settings::default() };
    let rig = Rig::new(Generation::Ga, settings).await;
    let detector = rig.detector().await;
    let mut rows = rows(50);
    for value in &mut rows[17].features {
        *value = 1e9;
    }
    let answer = detector.score(&rows).await.unwrap();
    assert_eq!(answer.outcomes.len(), 50);
    let score = |outcome: &Outcome| match outcome {
        Outcome::Calibrated { calibrated, .. } => calibrated.supported_score,
        other => panic!("{other:?}"),
    };
    let (odd, others): (Vec<_>, Vec<_>) = answer.outcomes.iter().partition(|(id, _)| *id == rows[17].id);
    let odd = score(&odd[0].1);
    assert!(odd > 1.5, "far out among people: {odd}");
    assert!(others.iter().all(|(_, outcome)| score(outcome) <= odd));
}

#[tokio::test]
async fn no_identifier_and_no_key_goes_where_it_must_not() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    rig.sim.arm("status-before=503@infer").unwrap();
    let detector = rig.detector().await;
    // Every synchronous call fails, so the batch goes the long way with its signed address.
    detector.score(&rows(20)).await.unwrap();
    let requests = rig.sim.requests();
    let signed: Vec<_> = requests.iter().filter(|entry| entry.route == Some("get-object")).collect();
    assert!(!signed.is_empty());
    assert!(signed.iter().all(|entry| !entry.authorization), "a signed address gets no key");
    assert!(requests.iter().filter(|entry| entry.route == Some("infer")).all(|entry| entry.authorization));
    // A dataset that stays there shows which columns arrive.
    let staying = rig.detector_with(|settings| settings.persistent_dataset = Some("staying".to_owned())).await;
    staying.score(&rows(20)).await.unwrap();
    let state = rig.sim.state();
    let named = |dataset: &&Value| dataset["name"] == "staying";
    let id = state["datasets"].as_array().unwrap().iter().find(named).unwrap()["id"].as_str().unwrap().to_owned();
    let preview = format!("{}/datasets/{id}/preview", rig.sim.url());
    let client = playproof_batch::tls::http_client().build().unwrap();
    let preview: Value = client.get(preview).bearer_auth(KEY).send().await.unwrap().json().await.unwrap();
    let sent: Vec<&str> = preview["headers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // The first is the service's own count of rows.
    assert_eq!(sent[..3], ["id", "gameType", "deviceType"]);
    assert_eq!(sent[3..], v1::COLUMNS, "features and claimed classes, no identifier");
}
