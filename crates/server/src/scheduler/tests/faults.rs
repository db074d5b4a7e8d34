//! Detectors that lie, refuse or go away, and leases that end: what it costs the sessions, which is nothing.

use super::*;
use crate::detector::Outcome;
use crate::domain::calibration::Calibrated;
use crate::domain::time::Now;

fn honest(rows: &[Row]) -> Answer {
    answer(rows.iter().map(|row| (row.id, outcome_of(row.id))).collect())
}

fn away() -> DetectorError {
    DetectorError::Unavailable { message: "no route".to_owned(), retry_after: None }
}

/// The sum of a metric's lines.
fn metric(bench: &Bench, name: &str) -> f64 {
    let text = bench.metrics.render(None, START).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// Waits until the detector is known to be away and its sessions are back.
async fn circuit_opens(bench: &Bench) -> Counts {
    bench.until_open().await;
    bench.until(|c| c.leased == 0).await
}

#[tokio::test]
async fn a_score_out_of_its_range_is_no_answer() {
    type Spoil = fn(&mut f64, &mut Calibrated);
    let spoils: [Spoil; 12] = [
        |raw, _| *raw = f64::NAN,
        |raw, _| *raw = f64::INFINITY,
        |_, c| c.p = f64::NAN,
        |_, c| c.p = -0.1,
        |_, c| c.p = 1.1,
        |_, c| c.score = f64::NAN,
        |_, c| c.score = f64::NEG_INFINITY,
        |_, c| c.score = -0.1,
        |_, c| c.score = 6.1,
        |_, c| c.supported_score = f64::NAN,
        |_, c| c.supported_score = -0.1,
        |_, c| c.supported_score = 6.1,
    ];
    for (place, spoil) in spoils.into_iter().enumerate() {
        let detector = Scripted::new(move |rows| {
            let mut answer = honest(rows);
            if let Outcome::Calibrated { raw, calibrated, .. } = &mut answer.outcomes[7].1 {
                spoil(raw, calibrated);
            }
            Ok(answer)
        });
        let bench = bench(detector, true);
        bench.submit(0, 50).await;
        let counts = bench.until(|c| c.ready + c.leased == 0).await;
        assert_eq!((counts.delayed, counts.processed), (50, 0), "{place}");
        assert!(bench.stored(7).await.last_error.unwrap().contains("does not fit"), "{place}");
    }
}

#[tokio::test]
async fn more_poison_than_one_run_finds_costs_the_neighbours_nothing() {
    let poison = |seq: Seq| seq.0 % 5 == 0;
    let detector = Scripted::new(
        move |rows| {
            if rows.iter().any(|row| poison(row.id)) { Err(refusal()) } else { Ok(honest(rows)) }
        },
    );
    let bench = bench(detector, true);
    bench.submit(0, 50).await;
    assert_eq!(bench.until(|c| c.ready + c.leased == 0).await.failed, 3, "a run is not spent on poison alone");
    let mut runs = 0;
    while bench.until(|c| c.ready + c.leased == 0).await.delayed > 0 {
        runs += 1;
        assert!(runs < 10, "it never ends");
        bench.advance(Duration::from_secs(600));
        let calls = bench.detector.call_count();
        eventually(|| bench.detector.call_count() != calls).await;
    }
    let counts = bench.counts().await;
    assert_eq!((counts.processed, counts.failed), (40, 10));
    for n in 0..50 {
        let session = bench.stored(n).await;
        assert_eq!(session.entry.state == State::Failed, poison(session.seq), "{n}");
        if let Some(result) = session.result {
            assert_eq!(result.attempts, 1, "{n} paid for its neighbours");
        }
    }
}

#[tokio::test]
async fn a_detector_that_goes_away_while_a_poison_session_is_looked_for_costs_no_attempt() {
    let calls = AtomicUsize::new(0);
    let detector =
        Scripted::new(move |_| Err(if calls.fetch_add(1, Ordering::SeqCst) == 0 { refusal() } else { away() }));
    let bench = bench(detector, true);
    bench.submit(0, 50).await;
    let counts = circuit_opens(&bench).await;
    assert_eq!(counts.ready, 50);
    assert_eq!(bench.stored(0).await.entry.attempts, 0);
}

#[tokio::test]
async fn an_open_circuit_is_probed_once_an_interval_and_lets_no_run_through() {
    let detector = Scripted::new(|_| Err(away()));
    detector.set_healthy(false);
    let bench = bench(detector, true);
    bench.submit(0, 120).await;
    circuit_opens(&bench).await;
    let calls = bench.detector.call_count();
    let probed = async |times: usize| {
        eventually(|| bench.detector.probe_count() >= times).await;
    };
    bench.advance(Duration::from_secs(30));
    probed(1).await;
    for _ in 0..290 {
        bench.advance(Duration::from_millis(100));
        bench.counts().await;
    }
    assert_eq!(bench.detector.probe_count(), 1, "29 s after the first");
    bench.advance(Duration::from_secs(1));
    probed(2).await;
    let run = within(bench.scheduler.handle().run_now()).await.unwrap();
    assert_eq!((run.batches.len(), run.remaining), (0, 120), "a manual run leaves it alone too");
    assert_eq!((bench.detector.call_count(), bench.detector.probe_count()), (calls, 2));
}

#[tokio::test]
async fn a_probe_may_take_longer_than_the_time_between_two_and_stays_the_only_one() {
    let calls = AtomicUsize::new(0);
    let first =
        move |rows: &[Row]| if calls.fetch_add(1, Ordering::SeqCst) == 0 { Err(away()) } else { Ok(honest(rows)) };
    let bench = bench(Scripted::new(first), true);
    bench.submit(0, 50).await;
    circuit_opens(&bench).await;
    let slow = bench.detector.probe_gate.write().await;
    bench.advance(Duration::from_secs(30));
    eventually(|| bench.detector.probe_count() != 0).await;
    for _ in 0..80 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
        bench.advance(Duration::from_secs(1));
        bench.counts().await;
    }
    assert!(bench.scheduler.handle().circuit_is_open());
    assert_eq!(bench.detector.probe_count(), 1, "80 s after it began");
    drop(slow);
    bench.until(|c| c.processed == 50).await;
}

#[tokio::test]
async fn a_manual_run_that_has_no_time_left_lets_its_probe_go_on() {
    let calls = AtomicUsize::new(0);
    let first =
        move |rows: &[Row]| if calls.fetch_add(1, Ordering::SeqCst) == 0 { Err(away()) } else { Ok(honest(rows)) };
    let bench = bench(Scripted::new(first), true);
    bench.submit(0, 50).await;
    circuit_opens(&bench).await;
    let handle = bench.scheduler.handle();
    handle.stop().await.unwrap();
    let slow = bench.detector.probe_gate.write().await;
    bench.clock.advance(Duration::from_secs(30));
    let run = tokio::spawn({
        let handle = handle.clone();
        async move { handle.run_now().await }
    });
    eventually(|| bench.detector.probe_count() != 0).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(26)).await;
    tokio::time::resume();
    assert_eq!(within(run).await.unwrap().unwrap().remaining, 50);
    drop(slow);
    eventually(|| !handle.circuit_is_open()).await;
    assert_eq!(handle.run_now().await.unwrap().success, 50);
}

#[tokio::test]
async fn a_detector_that_names_a_time_is_not_asked_before() {
    let hour = Duration::from_secs(3600);
    let busy = move |_: &[Row]| Err(DetectorError::Transient { message: "busy".to_owned(), retry_after: Some(hour) });
    let bench = bench(Scripted::new(busy), true);
    bench.submit(0, 50).await;
    bench.until(|c| c.delayed == 50).await;
    assert!(bench.stored(0).await.entry.not_before >= START.plus(hour));
}

#[tokio::test]
async fn a_stopped_scheduler_still_takes_back_what_a_hung_batch_held() {
    let bench = bench(Scripted::honest(), true);
    bench.detector.hold();
    bench.submit(0, 50).await;
    bench.until(|c| c.leased == 50).await;
    bench.scheduler.handle().stop().await.unwrap();
    bench.advance(Duration::from_secs(61));
    bench.until(|c| c.ready == 50).await;
    assert_eq!(bench.stored(0).await.entry.lost_leases, 1);
    bench.detector.release();
}

#[tokio::test]
async fn a_batch_that_takes_longer_than_its_lease_keeps_it() {
    let lease = Duration::from_millis(60);
    let bench = bench_with(Scripted::honest(), true, Settings { lease, ..settings() });
    bench.detector.hold();
    bench.submit(0, 50).await;
    bench.until(|c| c.leased == 50).await;
    for _ in 0..10 {
        bench.clock.advance(lease / 2);
        // Not a guess at how long a renewal takes: its timer is due before this one, and its order to the store is
        // given before ours.
        tokio::time::sleep(lease).await;
        assert_eq!(bench.store.expire(bench.clock.now()).await.unwrap(), 0, "the lease ran out");
    }
    let now = bench.clock.now();
    let over = Now { monotonic: now.monotonic + lease, ..now };
    assert_eq!(bench.store.expire(over).await.unwrap(), 50, "and it is a lease all the same");
}

#[tokio::test]
async fn a_session_alone_does_not_fail_for_a_detector_that_refuses_everything() {
    let detector = Scripted::new(|_| Err(refusal()));
    detector.set_healthy(false);
    let bench = bench(detector, false);
    bench.submit(0, 1).await;
    let run = within(bench.scheduler.handle().run_now()).await.unwrap();
    assert_eq!((run.batches.len(), run.success, run.remaining), (1, 0, 1));
    assert!(bench.scheduler.handle().circuit_is_open());
    let entry = bench.stored(0).await.entry;
    assert_eq!((entry.state, entry.attempts), (State::Ready, 0));
}

#[tokio::test]
async fn a_row_that_the_detector_rejects_fails_alone() {
    let rejecting = Scripted::new(|rows| {
        let mut answer = honest(rows);
        answer.outcomes[7].1 = Outcome::Rejected("no motion".to_owned());
        Ok(answer)
    });
    let bench = bench(rejecting, true);
    bench.submit(0, 50).await;
    let counts = bench.until(|c| c.ready + c.leased == 0).await;
    assert_eq!((counts.processed, counts.failed, bench.detector.call_count()), (49, 1, 1));
    assert_eq!(bench.stored(7).await.last_error.as_deref(), Some("no motion"));
}

#[tokio::test]
async fn a_batch_whose_lease_ran_out_is_run_again_and_the_late_answer_counts_nowhere() {
    let mut bench = bench(Scripted::honest(), true);
    bench.detector.hold();
    bench.submit(0, 50).await;
    bench.until(|c| c.leased == 50).await;
    // The process was frozen past its lease; the loop notices first.
    bench.advance(Duration::from_secs(61));
    eventually(|| bench.detector.call_count() >= 2).await;
    bench.detector.release();
    bench.until(|c| c.processed == 50).await;
    bench.shutdown.trigger();
    assert!(within(bench.scheduler.ended()).await, "both batches are over");
    assert_eq!(bench.detector.call_count(), 2);
    assert_eq!(metric(&bench, "playproof_decisions_total{"), 50.0);
    assert_eq!(metric(&bench, "playproof_anomaly_score_count"), 50.0);
    let batches = bench.store.batches(None, 10).await.unwrap();
    let outcomes: Vec<_> = batches.iter().filter_map(|b| b.end.as_ref().map(|e| e.outcome)).collect();
    assert!(outcomes.contains(&BatchOutcome::Abandoned) && outcomes.contains(&BatchOutcome::Scored));
}

#[tokio::test]
async fn a_service_that_ends_starts_no_manual_batch() {
    let bench = bench(Scripted::honest(), false);
    bench.submit(0, 50).await;
    bench.shutdown.trigger();
    let run = within(bench.scheduler.handle().run_now()).await.unwrap();
    assert_eq!((run.batches.len(), run.remaining), (0, 50));
    assert_eq!(bench.counts().await.ready, 50);
}
