//! The local detector beside a remote one: its shadow while it works, its fallback while it is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::tests::*;
use crate::detector::scripted::{Scripted, answer, outcome_of, score_of};
use crate::detector::{Answer, DetectorError, Outcome, Row};
use crate::domain::agreement::Agreement;
use crate::domain::id::Seq;
use crate::domain::queue::State;
use crate::domain::result::Source;
use crate::store::{BatchOutcome, Store as _};

const MINUTE: Duration = Duration::from_secs(60);

fn honest(rows: &[Row]) -> Answer {
    answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect())
}

fn away() -> DetectorError {
    DetectorError::Unavailable { message: "no route".to_owned(), retry_after: None }
}

/// A detector that is away while the switch is on.
fn switched(down: &Arc<AtomicBool>) -> Scripted {
    let down = Arc::clone(down);
    let detector = Scripted::new(move |rows| if down.load(Ordering::SeqCst) { Err(away()) } else { Ok(honest(rows)) });
    detector.set_healthy(false);
    detector
}

#[tokio::test]
async fn five_hours_away_fail_nobody_and_those_that_waited_long_enough_get_a_fallback() {
    const STEPS: usize = 300;
    let down = Arc::new(AtomicBool::new(true));
    let bench = remote_bench(switched(&down), Scripted::honest());
    for step in 0..STEPS {
        bench.submit(step * 3, 3).await;
        bench.advance(MINUTE);
        // After step n, n + 1 minutes have passed, and those of 15 minutes ago are of age.
        let of_age = (step + 1).saturating_sub(14) as u64 * 3;
        bench.until(|c| c.processed == of_age && c.leased == 0).await;
    }
    let calls = bench.detector.call_count();
    assert!(calls <= 2, "{calls} calls through an open circuit");
    // A minute a step: one probe each at most.
    let probes = bench.detector.probe_count();
    assert!((STEPS / 2..=STEPS + 1).contains(&probes), "{probes} probes");
    let counts = bench.counts().await;
    assert_eq!((counts.failed, counts.delayed, counts.ready), (0, 0, 42));
    let fallbacks = (STEPS - 14) * 3;
    assert_eq!(bench.local.as_ref().unwrap().calls.lock().unwrap().iter().map(Vec::len).sum::<usize>(), fallbacks);

    down.store(false, Ordering::SeqCst);
    bench.detector.set_healthy(true);
    bench.advance(MINUTE / 2);
    bench.until(|c| c.processed == STEPS as u64 * 3).await;
    for n in 0..STEPS * 3 {
        let session = bench.stored(n).await;
        let result = session.result.unwrap();
        let expected = if n < fallbacks { (Source::Embedded, true) } else { (Source::Woodwide, false) };
        assert_eq!((result.verdict.source, result.verdict.fallback), expected, "session {n}");
        assert_eq!((session.entry.attempts, result.attempts), (0, 1), "the outage spent no attempt");
        assert_eq!(result.verdict.anomaly_score, Some(score_of(session.seq).score));
    }
    let counted = bench.metric("playproof_fallbacks_total{reason=\"circuit_open\"}");
    assert_eq!(counted.to_string(), fallbacks.to_string());
    let batches = bench.store.batches(None, 500).await.unwrap();
    let replaced = batches.iter().filter(|batch| batch.source == Source::Embedded);
    assert!(replaced.clone().count() > 0);
    for batch in replaced {
        let end = batch.end.as_ref().unwrap();
        assert_eq!((batch.trigger.name(), end.outcome, end.agreement), ("max_wait", BatchOutcome::Scored, None));
    }
}

#[tokio::test]
async fn retries_that_come_due_while_it_is_away_are_replaced_too_once_they_waited_long_enough() {
    let calls = AtomicUsize::new(0);
    let detector = Scripted::new(move |_| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(DetectorError::Transient { message: "busy".to_owned(), retry_after: Some(20 * MINUTE) }),
        _ => Err(away()),
    });
    detector.set_healthy(false);
    let bench = remote_bench(detector, Scripted::honest());
    bench.submit(0, 50).await;
    bench.until(|c| c.delayed == 50).await;
    bench.submit(50, 50).await;
    bench.until_open().await;
    bench.advance(16 * MINUTE);
    let counts = bench.until(|c| c.processed == 50).await;
    assert_eq!((counts.delayed, counts.failed), (50, 0), "a retry that is not due waits on");
    bench.advance(5 * MINUTE);
    bench.until(|c| c.processed == 100).await;
    let retried = bench.stored(0).await;
    assert_eq!((retried.entry.attempts, retried.result.unwrap().verdict.fallback), (1, true));
    assert_eq!(bench.store.batches(None, 1).await.unwrap()[0].trigger.name(), "retry");
}

#[tokio::test]
async fn what_the_fallback_cannot_score_waits_for_the_detector() {
    let down = Arc::new(AtomicBool::new(true));
    let first = Seq(1);
    let local = Scripted::new(move |rows: &[Row]| {
        if rows.len() > 1 {
            return Err(refusal());
        }
        Ok(answer(rows.iter().map(|row| (row.id, Outcome::Rejected("no telemetry".to_owned()))).collect()))
    });
    let bench = remote_bench(switched(&down), local);
    bench.submit(0, 1).await;
    bench.advance(6 * MINUTE);
    bench.until_open().await;
    bench.submit(1, 49).await;
    bench.advance(10 * MINUTE);
    bench.until(|c| c.delayed == 1).await;
    assert_eq!(bench.stored(0).await.seq, first);
    bench.advance(6 * MINUTE);
    bench.until(|c| c.delayed == 50).await;
    assert_eq!((bench.counts().await.failed, bench.stored(1).await.entry.attempts), (0, 0));
    down.store(false, Ordering::SeqCst);
    bench.detector.set_healthy(true);
    bench.advance(MINUTE / 2);
    eventually(|| !bench.scheduler.handle().circuit_is_open()).await;
    bench.advance(11 * MINUTE);
    bench.until(|c| c.processed == 50).await;
    assert!(!bench.stored(0).await.result.unwrap().verdict.fallback);
}

#[tokio::test]
async fn a_manual_run_leaves_a_detector_that_is_away_alone_and_says_what_remains() {
    let down = Arc::new(AtomicBool::new(true));
    let bench = remote_bench(switched(&down), Scripted::honest());
    bench.submit(0, 50).await;
    bench.until_open().await;
    bench.until(|c| c.leased == 0).await;
    let handle = bench.scheduler.handle();
    handle.stop().await.unwrap();
    let run = within(handle.run_now()).await.unwrap();
    assert_eq!((run.processed, run.batches.len(), run.remaining), (0, 0, 50));
    // Stopped, nobody probes but the run itself.
    down.store(false, Ordering::SeqCst);
    bench.detector.set_healthy(true);
    bench.clock.advance(MINUTE);
    let run = within(handle.run_now()).await.unwrap();
    assert_eq!((run.success, run.remaining), (50, 0));
    assert_eq!(bench.stored(0).await.result.unwrap().verdict.source, Source::Woodwide);
}

async fn agreement_with(local: Scripted) -> (Bench, Option<Agreement>) {
    let bench = remote_bench(Scripted::honest(), local);
    bench.submit(0, 50).await;
    bench.until(|c| c.processed == 50).await;
    let row = bench.store.batches(None, 1).await.unwrap().remove(0);
    let end = row.end.unwrap();
    assert_eq!((row.source, end.outcome, end.attempts), (Source::Woodwide, BatchOutcome::Scored, 1));
    (bench, end.agreement)
}

/// Metrics follow the settlement: waits until they have one comparison.
async fn compared(bench: &Bench) {
    eventually(|| bench.metric("playproof_shadow_agreement_count") >= 1.0).await;
    assert_eq!(bench.metric("playproof_shadow_agreement_count"), 1.0);
}

#[tokio::test]
async fn a_shadow_says_how_far_it_agrees() {
    let (bench, agreement) = agreement_with(Scripted::honest()).await;
    assert_eq!(agreement, Some(Agreement { rows: 50, rank_correlation: Some(1.0), flips: 0 }));
    compared(&bench).await;
    assert_eq!(bench.metric("playproof_shadow_flips_total"), 0.0);
    let result = bench.stored(7).await.result.unwrap();
    assert_eq!((result.verdict.source, result.verdict.fallback), (Source::Woodwide, false));

    // Places 1 to 50 of a hundred pass; the shadow puts them at 99 to 50, of which those from 90 on do not.
    let turned = Scripted::new(|rows: &[Row]| {
        Ok(answer(rows.iter().map(|row| (row.id, outcome_of(Seq(100 - row.id.0)))).collect()))
    });
    let (bench, agreement) = agreement_with(turned).await;
    let agreement = agreement.unwrap();
    assert_eq!((agreement.rows, agreement.rank_correlation), (50, Some(-1.0)));
    assert!(agreement.flips > 0 && agreement.flips < 15, "{agreement:?}");
    compared(&bench).await;
    assert_eq!(bench.metric("playproof_shadow_flips_total"), f64::from(agreement.flips));

    let flags = Scripted::new(|rows: &[Row]| Ok(answer(rows.iter().map(|r| (r.id, Outcome::Flagged(true))).collect())));
    let (_, agreement) = agreement_with(flags).await;
    assert_eq!(agreement, Some(Agreement { rows: 50, rank_correlation: None, flips: 50 }));
}

#[tokio::test]
async fn whatever_happens_to_the_shadow_the_batch_is_scored() {
    let hanging = Scripted::honest();
    hanging.hold();
    let short = Scripted::new(|rows: &[Row]| Ok(honest(&rows[1..])));
    let dying = Scripted::new(|_| panic!("the shadow's own fault"));
    for local in [Scripted::new(|_| Err(refusal())), short, dying, hanging] {
        let (bench, agreement) = agreement_with(local).await;
        assert_eq!(agreement, None);
        assert_eq!(bench.metric("playproof_shadow_agreement_count"), 0.0);
        assert!(!bench.scheduler.handle().circuit_is_open());
    }
}

#[tokio::test]
async fn a_source_that_only_flags_gives_verdicts_without_a_score() {
    let flags = |rows: &[Row]| Ok(answer(rows.iter().map(|r| (r.id, Outcome::Flagged(r.id.0 % 2 == 0))).collect()));
    let bench = bench(Scripted::new(flags), true);
    bench.submit(0, 50).await;
    bench.until(|c| c.processed == 50).await;
    for (n, decision) in [(0, "pass"), (1, "review")] {
        let session = bench.stored(n).await;
        assert_eq!(session.entry.state, State::Processed);
        let verdict = session.result.unwrap().verdict;
        assert_eq!((verdict.decision.name(), verdict.kind.name()), (decision, "flag"));
        assert_eq!((verdict.anomaly_score, verdict.raw_score), (None, None));
    }
    assert_eq!(bench.metric("playproof_anomaly_score_count"), 0.0);
}
