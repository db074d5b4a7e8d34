//! The dataset that stays: what it answers is what a fresh one would, across restarts, trimming and lost answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use playproof_batch::config::Generation;
use playproof_batch::detector::{Detector, DetectorState as _, Outcome, Row};
use playproof_batch::domain::id::Seq;
use playproof_batch::woodwide::WoodwideDetector;
use serde_json::Value;
use woodwide_sim::Settings;

use super::rig::{Rig, rows};

const NAME: &str = "movement_live_inference";
const BOTH: [Generation; 2] = [Generation::Ga, Generation::Beta];

async fn persistent(rig: &Rig) -> WoodwideDetector {
    rig.detector_with(|settings| settings.persistent_dataset = Some(NAME.to_owned())).await
}

/// What a detector says of each row.
async fn outcomes(detector: &WoodwideDetector, rows: &[Row]) -> BTreeMap<Seq, Outcome> {
    let answer = detector.score(rows).await.unwrap();
    assert_eq!(answer.outcomes.len(), rows.len());
    answer.outcomes.into_iter().collect()
}

/// Rows of which some are far out, at places that differ by `turn`.
fn mixed(turn: usize, count: usize) -> Vec<Row> {
    let mut rows = rows(count);
    for (i, row) in rows.iter_mut().enumerate() {
        row.id = Seq(row.id.0 + 100_000 * i64::try_from(turn).unwrap());
        if (i + turn).is_multiple_of(7) {
            row.features.fill(1e9);
        }
    }
    rows
}

async fn ledger(rig: &Rig) -> Value {
    let bytes = rig.memory.get(&format!("woodwide/persistent/{NAME}")).await.unwrap().unwrap();
    assert!(bytes.len() < 4 << 20);
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn the_dataset_that_stays_answers_as_a_fresh_one_would_and_is_the_only_one() {
    for generation in BOTH {
        let rig = Rig::new(generation, Settings::default()).await;
        let (fresh, staying) = (rig.detector().await, persistent(&rig).await);
        for turn in 0..4 {
            let rows = mixed(turn, 50);
            assert_eq!(outcomes(&staying, &rows).await, outcomes(&fresh, &rows).await, "{generation:?} {turn}");
        }
        let names = rig.sim.dataset_names();
        assert_eq!(names.iter().filter(|name| name.as_str() == NAME).count(), 1);
        assert_eq!(names.len(), 2, "{names:?}");
        // It was never small, and the batches before are in it.
        assert_eq!(ledger(&rig).await["kept"].as_array().unwrap().len(), 1150);
    }
}

#[tokio::test]
async fn old_rows_give_way_and_the_batches_rows_are_still_found() {
    for generation in BOTH {
        let rig = Rig::new(generation, Settings::default()).await;
        let (fresh, staying) = (rig.detector().await, persistent(&rig).await);
        let mut sizes = Vec::new();
        for turn in 0..5 {
            let rows = mixed(turn, 400);
            assert_eq!(outcomes(&staying, &rows).await, outcomes(&fresh, &rows).await, "{generation:?} {turn}");
            let ledger = ledger(&rig).await;
            let size = ledger["kept"].as_array().unwrap().len() + ledger["map"].as_array().unwrap().len();
            assert!(size <= 2000, "{size}");
            sizes.push(size);
        }
        assert_eq!(sizes.last(), Some(&1995), "full, and of another size than the upload before: {sizes:?}");
    }
}

#[tokio::test]
async fn versions_do_not_pile_up_on_the_account() {
    let rig = Rig::new(Generation::Ga, Settings::default()).await;
    let (fresh, staying) = (rig.detector().await, persistent(&rig).await);
    for turn in 0..45 {
        // Even where the first try to remove them fails half way.
        if turn == 18 {
            rig.sim.arm("status-before=503@delete-dataset;n=3").unwrap();
        }
        let rows = mixed(turn, 5);
        assert_eq!(outcomes(&staying, &rows).await, outcomes(&fresh, &rows).await, "{turn}");
        let state = rig.sim.state();
        let live: Vec<&Value> =
            state["datasets"].as_array().unwrap().iter().filter(|dataset| dataset["archived"] == false).collect();
        let versions = |dataset: &&Value| dataset["versions"].as_array().unwrap().len();
        assert!(live.iter().all(|dataset| versions(dataset) <= 20), "{turn}: {live:?}");
    }
    assert_eq!(rig.sim.dataset_names(), ["people", NAME]);
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_leaves_nothing_that_is_read_wrongly() {
    for (generation, upload, infer) in
        [(Generation::Ga, "create-dataset", "infer-batch"), (Generation::Beta, "beta-upload", "beta-infer")]
    {
        for route in [upload, infer] {
            let rig = Rig::new(generation, Settings::default()).await;
            let fresh = rig.detector().await;
            outcomes(&fresh, &mixed(0, 30)).await;
            let first = persistent(&rig).await;
            outcomes(&first, &mixed(1, 30)).await;
            let before = ledger(&rig).await["upload"].as_u64().unwrap();
            rig.sim.arm(&format!("hang@{route};n=1")).unwrap();
            let lost = mixed(2, 30);
            let hung = tokio::time::timeout(Duration::from_secs(2), first.score(&lost)).await;
            assert!(hung.is_err(), "{generation:?} {route}");
            drop(first);
            // Another batch comes first after the restart, and the lost one again after it.
            let second = persistent(&rig).await;
            for rows in [mixed(3, 40), lost] {
                assert_eq!(outcomes(&second, &rows).await, outcomes(&fresh, &rows).await, "{generation:?} {route}");
            }
            assert_eq!(ledger(&rig).await["upload"].as_u64(), Some(before + 3), "no number is used twice");
        }
    }
}

#[tokio::test]
async fn an_answer_about_an_older_upload_is_not_believed() {
    for generation in BOTH {
        let rig = Rig::new(generation, Settings::default()).await;
        let (one, other) = (Arc::new(persistent(&rig).await), persistent(&rig).await);
        outcomes(&other, &mixed(0, 30)).await;
        let route = if generation == Generation::Ga { "infer-batch" } else { "beta-infer" };
        // While this one waits for its answer, another process puts its own rows there.
        rig.sim.arm(&format!("slow=3s@{route};n=1")).unwrap();
        rig.sim.clear_requests();
        let slow = tokio::spawn({
            let one = Arc::clone(&one);
            async move { one.score(&mixed(1, 30)).await }
        });
        let asked = || rig.calls().iter().any(|call| ["create-dataset", "beta-upload"].contains(call));
        while !asked() {
            tokio::task::yield_now().await;
        }
        outcomes(&other, &mixed(2, 30)).await;
        assert!(slow.await.unwrap().is_err(), "{generation:?}");
        let rows = mixed(3, 30);
        assert_eq!(outcomes(&one, &rows).await.len(), 30);
    }
}
