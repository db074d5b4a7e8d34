//! How often an answer about other rows is believed: batches of 50 over real sockets, each answered wrongly, each to a
//! detector that knows the model. `WOODWIDE_WRONG` sets their number per kind; the figures of `docs/reliability.md` are the
//! long form's.

use std::sync::Arc;

use playproof_batch::clock::SystemClock;
use playproof_batch::config::Generation;
use playproof_batch::detector::{Detector, DetectorError, Notebook, Row};
use playproof_batch::woodwide::WoodwideDetector;
use woodwide_sim::Settings;

use super::rig::{Rig, rows};

/// Wrong in what is said about right-looking rows.
const CONTENT: [&str; 2] = ["ids=permuted", "ids=shifted"];
/// Wrong in which rows, or how many, it speaks of.
const FORM: [&str; 8] = [
    "rows=truncated",
    "rows=fewer",
    "rows=more",
    "rows=duplicated",
    "rows=null-filled",
    "ids=missing",
    "ids=duplicated",
    "ids=out-of-range",
];

#[expect(clippy::disallowed_methods, reason = "the long form is asked for by the environment")]
fn batches() -> usize {
    std::env::var("WOODWIDE_WRONG").ok().and_then(|v| v.parse().ok()).unwrap_or(40)
}

/// Rows like those of a real batch: many kinds, some of them far out.
fn batch(n: usize) -> Vec<Row> {
    let mut rows = rows(50);
    let mut times = 20.0;
    for row in rows.iter_mut().skip(n % 3).step_by(3) {
        times += 1.5;
        row.features.iter_mut().for_each(|value| *value *= times);
    }
    rows
}

/// How many wrong answers of each kind were believed; `known`: whether the detector has met the model.
async fn believed(generation: Generation, settings: Settings, kinds: &[&str], known: bool) -> Vec<usize> {
    let rig = Rig::new(generation, settings).await;
    if known {
        rig.detector().await.score(&batch(0)).await.unwrap();
    }
    let mut believed = Vec::new();
    for kind in kinds {
        rig.sim.disarm_all();
        let mut count = 0;
        for n in 0..batches() {
            // A detector of its own for each: none that has grown suspicious.
            let memory = Arc::new(Notebook::clone(&rig.memory));
            let clock = Arc::new(SystemClock::new());
            let detector = WoodwideDetector::new(&rig.settings(), memory, clock, false).await.unwrap();
            let batch = batch(n);
            rig.sim.arm(kind).unwrap();
            let answered = detector.score(&batch).await;
            rig.sim.disarm_all();
            match answered {
                Ok(_) => count += 1,
                Err(DetectorError::Unusable { .. }) => {}
                // A model met for the first time, which then seems to be of no use.
                Err(DetectorError::Unavailable { .. }) if !known => {}
                Err(other) => panic!("{kind}: {other}"),
            }
        }
        println!("{generation:?} {kind}, model known {known}: {count} of {} believed", batches());
        believed.push(count);
    }
    believed
}

/// Honest answers, each to a batch with other company: all are believed.
async fn all_believed(generation: Generation, context_dependent: bool) {
    let rig = Rig::new(generation, Settings { context_dependent, ..Settings::default() }).await;
    let detector = rig.detector().await;
    for n in 0..batches().min(200) {
        let size = [50, 12, 1, 33][n % 4];
        let answered = detector.score(&batch(n)[..size]).await;
        assert!(answered.is_ok(), "{generation:?} {n}: {answered:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_answers_are_believed_whatever_the_company() {
    for context_dependent in [false, true] {
        all_believed(Generation::Ga, context_dependent).await;
        all_believed(Generation::Beta, context_dependent).await;
    }
}

/// At most this share of a thousand, and chance.
fn at_most(per_mille: usize, counts: &[usize]) {
    let most = (batches() * per_mille).div_ceil(1000);
    assert!(counts.iter().all(|count| *count <= most), "{counts:?} of {}", batches());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_model_that_looks_at_rows_alone() {
    let counts = believed(Generation::Ga, Settings::default(), &CONTENT, true).await;
    at_most(1, &counts);
    assert_eq!(believed(Generation::Ga, Settings::default(), &FORM, true).await, [0; 8]);
    at_most(1, &believed(Generation::Ga, Settings::default(), &CONTENT, false).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_model_that_looks_at_rows_together() {
    let settings = || Settings { context_dependent: true, ..Settings::default() };
    at_most(1, &believed(Generation::Ga, settings(), &CONTENT, true).await);
    assert_eq!(believed(Generation::Ga, settings(), &FORM, true).await, [0; 8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_model_that_only_flags() {
    at_most(1, &believed(Generation::Beta, Settings::default(), &CONTENT, true).await);
    // A list of flagged rows has no length that could be wrong: only what names a row it must not betrays itself.
    at_most(1, &believed(Generation::Beta, Settings::default(), &["rows=truncated", "rows=null-filled"], true).await);
    let betrayed = ["rows=duplicated", "ids=duplicated", "ids=out-of-range"];
    assert_eq!(believed(Generation::Beta, Settings::default(), &betrayed, true).await, [0; 3]);
    let together = Settings { context_dependent: true, ..Settings::default() };
    at_most(1, &believed(Generation::Beta, together, &CONTENT, true).await);
}
