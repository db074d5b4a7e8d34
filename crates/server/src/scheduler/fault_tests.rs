//! Whose fault a failure is: one session's, a batch's, or the detector's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::tests::*;
use crate::detector::scripted::{Scripted, answer, outcome_of};
use crate::detector::{DetectorError, Outcome, Row};
use crate::domain::queue::State;
use crate::store::Store as _;

/// Refuses whatever holds one of these sessions.
fn poisoned(poison: &'static [i64]) -> Scripted {
    Scripted::new(move |rows: &[Row]| {
        if rows.iter().any(|row| poison.contains(&row.id.0)) {
            return Err(refusal());
        }
        Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
    })
}

async fn failed(bench: &Bench) -> Vec<i64> {
    let mut failed: Vec<i64> = bench.store.dead(None, 100).await.unwrap().iter().map(|row| row.seq.0).collect();
    failed.sort_unstable();
    failed
}

async fn attempts(bench: &Bench, sessions: usize) -> u32 {
    let mut sum = 0;
    for n in 0..sessions {
        sum += bench.stored(n).await.entry.attempts;
    }
    sum
}

#[tokio::test]
async fn at_most_three_are_found_in_one_run_and_the_rest_waits_at_no_cost() {
    let bench = bench(poisoned(&[5, 15, 25, 35, 45]), true);
    bench.submit(0, 50).await;
    let counts = bench.until(|c| c.leased + c.ready == 0).await;
    assert_eq!((failed(&bench).await, counts.failed), (vec![5, 15, 25], 3));
    assert!(counts.delayed > 0);
    for n in 0..50 {
        let entry = bench.stored(n).await.entry;
        assert!(entry.state != State::Delayed || entry.attempts == 0);
    }
    bench.advance(Duration::from_secs(600));
    bench.until(|c| c.processed == 45 && c.failed == 5).await;
    assert_eq!(failed(&bench).await, [5, 15, 25, 35, 45]);
}

#[tokio::test]
async fn several_at_the_head_of_a_batch_are_not_taken_for_a_detector_at_fault() {
    let bench = bench(poisoned(&[1, 2, 3, 4]), true);
    bench.submit(0, 50).await;
    bench.until(|c| c.leased + c.ready == 0).await;
    assert!(!bench.scheduler.handle().circuit_is_open());
    assert_eq!(failed(&bench).await, [1, 2, 3]);
    bench.advance(Duration::from_secs(600));
    bench.until(|c| c.processed == 46 && c.failed == 4).await;
}

#[tokio::test]
async fn both_halves_refused_alike_is_the_detectors_fault_and_those_behind_get_their_turn() {
    // It takes its known-good row and whatever comes after the first fifty.
    let bench = bench(
        Scripted::new(|rows: &[Row]| {
            if rows.iter().any(|row| row.id.0 <= 50) {
                return Err(refusal());
            }
            Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
        }),
        true,
    );
    bench.submit(0, 50).await;
    bench.until_open().await;
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.failed, attempts(&bench, 50).await), (0, 0));
    bench.submit(50, 50).await;
    bench.advance(Duration::from_secs(30));
    let counts = bench.until(|c| c.processed == 50).await;
    assert_eq!(counts.failed, 0);
}

#[tokio::test]
async fn several_left_together_end_once_the_detector_has_scored_another() {
    let bench = bench(poisoned(&[1, 2]), true);
    bench.submit(0, 2).await;
    bench.advance(Duration::from_secs(300));
    bench.until_open().await;
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.failed, counts.delayed), (0, 2), "nothing tells them from a detector that takes none");
    bench.submit(2, 50).await;
    bench.advance(Duration::from_secs(30));
    bench.until(|c| c.processed == 50).await;
    bench.advance(Duration::from_secs(600));
    bench.until(|c| c.failed == 2).await;
    assert_eq!(failed(&bench).await, [1, 2]);
    assert!(!bench.scheduler.handle().circuit_is_open());
}

#[tokio::test]
async fn those_of_two_deployments_left_together_end_too() {
    let bench = bench(poisoned(&[101, 102]), true);
    for (deployment, from) in [("eu", 0), ("us", 50)] {
        bench.submit_to(deployment, from, 50).await;
        bench.until(|c| c.leased + c.ready == 0).await;
    }
    bench.submit_to("eu", 100, 1).await;
    bench.submit_to("us", 101, 1).await;
    bench.advance(Duration::from_secs(300));
    bench.until(|c| c.failed == 2).await;
    assert_eq!(failed(&bench).await, [101, 102]);
    assert!(!bench.scheduler.handle().circuit_is_open());
}

#[tokio::test]
async fn a_session_alone_does_not_fail_for_a_detector_that_refuses_what_it_scored_before() {
    let refuses = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&refuses);
    let bench = bench(
        Scripted::new(move |rows: &[Row]| {
            if state.load(Ordering::SeqCst) {
                return Err(refusal());
            }
            Ok(answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect()))
        }),
        true,
    );
    bench.submit(0, 50).await;
    bench.until(|c| c.processed == 50).await;
    refuses.store(true, Ordering::SeqCst);
    bench.submit(50, 1).await;
    bench.advance(Duration::from_secs(300));
    bench.until_open().await;
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.failed, counts.delayed, attempts(&bench, 51).await), (0, 1, 0));
    refuses.store(false, Ordering::SeqCst);
    bench.advance(Duration::from_secs(600));
    bench.until(|c| c.processed == 51).await;
}

#[tokio::test]
async fn an_answer_that_refuses_every_row_fails_nobody() {
    let refuse = |rows: &[Row]| Ok(answer(rows.iter().map(|r| (r.id, Outcome::Rejected("no".to_owned()))).collect()));
    let bench = bench(Scripted::new(refuse), true);
    bench.submit(0, 50).await;
    bench.until_open().await;
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.failed, counts.processed, attempts(&bench, 50).await), (0, 0, 0));
}

#[tokio::test]
async fn a_detector_that_goes_away_while_a_poison_session_is_sought_blames_nobody() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let bench = bench(
        Scripted::new(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
            0..=3 => Err(refusal()),
            _ => Err(DetectorError::Unavailable { message: "gone".to_owned(), retry_after: None }),
        }),
        true,
    );
    bench.submit(0, 50).await;
    bench.until_open().await;
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.ready, counts.failed, attempts(&bench, 50).await), (50, 0, 0));
}

#[tokio::test]
async fn three_unusable_answers_in_a_row_are_the_detectors_fault_and_cost_no_more_attempts() {
    let odd = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&odd);
    let bench = bench(
        Scripted::new(move |rows: &[Row]| {
            let left_out = usize::from(state.load(Ordering::SeqCst));
            Ok(answer(rows[left_out..].iter().map(|row| (row.id, outcome_of(row.id))).collect()))
        }),
        true,
    );
    bench.submit(0, 150).await;
    bench.until_open().await;
    bench.until(|c| c.leased == 0).await;
    assert_eq!(attempts(&bench, 150).await, 100, "the first two batches paid");
    for _ in 0..40 {
        // Healthy when probed, so the circuit closes; and the next batch shows that nothing changed.
        let before = bench.detector.call_count();
        bench.advance(Duration::from_secs(30));
        eventually(|| bench.detector.call_count() != before && bench.scheduler.handle().circuit_is_open()).await;
    }
    let counts = bench.until(|c| c.leased == 0).await;
    assert_eq!((counts.failed, attempts(&bench, 150).await), (0, 100));
    odd.store(false, Ordering::SeqCst);
    bench.advance(Duration::from_secs(600));
    bench.until(|c| c.processed == 150).await;
}
