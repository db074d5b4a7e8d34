//! SIGKILL in the middle of remote batches: nothing is lost or scored twice or wrongly, and nothing stays on the account.
//! `scripts/crash-test` runs the long form.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use playproof_batch::config::Generation;
use playproof_batch::detector::{Detector, Outcome, Row};
use playproof_batch::domain::features::{Extractor, FeatureSet};
use playproof_batch::domain::id::Seq;
use playproof_batch::domain::session::{Bounds, Session};
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use woodwide_sim::Settings;

use super::rig::{KEY, Rig};
use crate::clients::{Told, all_results, fill, finish, get, id, post, session};
use crate::process::Process;

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn kills() -> usize {
    std::env::var("WOODWIDE_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ga_batch_survives_sigkill_at_any_moment() {
    survive(Generation::Ga, Way::Usual).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ga_batch_that_is_a_dataset_survives_sigkill_at_any_moment() {
    survive(Generation::Ga, Way::Dataset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ga_batch_of_the_dataset_that_stays_survives_sigkill_at_any_moment() {
    survive(Generation::Ga, Way::Persistent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beta_batch_survives_sigkill_at_any_moment() {
    survive(Generation::Beta, Way::Usual).await;
}

/// How the rows reach the service.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Usual,
    /// Nothing is answered about rows that come with the question.
    Dataset,
    Persistent,
}

/// Name of the dataset that stays.
const STAYS: &str = "movement_live_inference";

async fn survive(generation: Generation, way: Way) {
    // Every request takes a while, so that kills fall between any two of them.
    let settings = Settings { latency: Duration::from_millis(15), ..Settings::default() };
    let rig = Rig::new(generation, settings).await;
    let mut stays = rig.sim.dataset_names();
    let folder = tempfile::tempdir().unwrap();
    let url = rig.sim.url();
    let api = if generation == Generation::Ga { "ga" } else { "beta" };
    let mut settings = vec![
        ("PLAYPROOF_SCHEDULER_INTERVAL", "1s"),
        ("PLAYPROOF_DETECTOR", "woodwide"),
        ("PLAYPROOF_CIRCUIT_PROBE", "1s"),
        ("WOODWIDE_API", api),
        ("WOODWIDE_API_KEY", KEY),
        ("WOODWIDE_BASE_URL", url.trim_end_matches('/')),
        ("ANOMALY_MODEL_ID", &rig.model),
    ];
    match way {
        Way::Usual => {}
        Way::Dataset => {
            // Found out before anybody is killed: that takes its time.
            rig.sim.arm("empty-body@infer").unwrap();
        }
        Way::Persistent => {
            settings.push(("WOODWIDE_PERSISTENT_DATASET", STAYS));
            stays.push(STAYS.to_owned());
        }
    }
    let told = Told::default();
    if way == Way::Dataset {
        let node = Process::start(folder.path(), &settings);
        fill(&node.url, &told, 10).await;
        finish(&node.url).await;
        node.terminate();
    }
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut node = Process::start(folder.path(), &settings);
    // The last request before each kill.
    let mut moments = BTreeMap::<_, usize>::new();
    for _ in 0..kills() {
        fill(&node.url, &told, 150).await;
        // The moment of the kill is the experiment, not a wait for something.
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..120))).await;
        node.kill();
        let last = rig.sim.requests().last().map(|entry| (entry.route.unwrap_or("?"), entry.status.is_some()));
        *moments.entry(last).or_default() += 1;
        node = Process::start(folder.path(), &settings);
    }
    println!("{generation:?} {way:?}: the last request before a kill, and whether it was answered: {moments:?}");
    // What was left behind goes with the first batches of the last process.
    fill(&node.url, &told, 50).await;
    finish(&node.url).await;
    // Whoever was in the batch at every kill is set aside as a session that kills the process; it may come back.
    let dead = get(&node.url, "/api/v1/batch/dead?limit=1000").await;
    let dead = dead["sessions"].as_array().unwrap();
    println!("{generation:?} {way:?}: {} of {} set aside as crashed_worker", dead.len(), told.acknowledged().len());
    for row in dead {
        assert!(row.to_string().contains("crashed_worker"), "{row}");
    }
    post(&node.url, "/api/v1/batch/dead/requeue").await;
    finish(&node.url).await;
    let results = all_results(&node.url).await;
    rig.sim.disarm_all();
    assert_eq!(told.lost(&results), 0);
    let expected = expected(&rig, results.len()).await;
    for (name, row) in &results {
        let outcome = &expected[name];
        match outcome {
            Outcome::Calibrated { raw, .. } => assert_eq!(row["rawScore"].as_f64(), Some(*raw), "{name}"),
            Outcome::Flagged(flagged) => {
                assert_eq!((&row["rawScore"], &row["anomalyScore"]), (&Value::Null, &Value::Null));
                // What looks like another session fails whatever the service says of it.
                let is_replay = row["reasons"].to_string().contains("replayed_movement");
                let may_not_pass = *flagged || is_replay || row["decision"] == "review";
                assert_eq!(row["decision"] != "pass", may_not_pass, "{name}: {row}");
            }
            Outcome::Rejected(why) => panic!("{why}"),
        }
        assert_eq!(row["source"], "woodwide");
    }
    let (status, _) = node.terminate();
    assert!(status.success());
    let mut left = rig.sim.dataset_names();
    left.sort();
    stays.sort();
    assert_eq!(left, stays, "nothing of ours stays on the account");
}

/// What the service says about each session when nothing goes wrong.
async fn expected(rig: &Rig, sessions: usize) -> HashMap<String, Outcome> {
    let detector = rig.detector().await;
    let mut extractor = Extractor::default();
    let rows: Vec<Row> = (0..sessions)
        .map(|n| {
            let mut parsed = Session::default();
            parsed.parse_into(session(n, true).as_bytes(), &Bounds::default()).unwrap();
            let mut features = Vec::new();
            extractor.extract(FeatureSet::V1, &parsed, &mut features);
            let id = Seq(i64::try_from(n).unwrap());
            Row {
                id,
                deployment: String::new(),
                game_type: parsed.game_type,
                device_type: parsed.device_type,
                features,
            }
        })
        .collect();
    let mut expected = HashMap::new();
    for rows in rows.chunks(5000) {
        for (seq, outcome) in detector.score(rows).await.unwrap().outcomes {
            expected.insert(id(usize::try_from(seq.0).unwrap()), outcome);
        }
    }
    expected
}
