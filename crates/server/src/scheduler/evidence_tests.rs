//! Sessions side by side, from the record to the result: what is found, whom it falls upon, and what it leaves alone.

use std::time::Duration;

use super::tests::*;
use super::*;
use crate::clock::Clock as _;
use crate::detector::scripted::{Scripted, answer};
use crate::detector::{Outcome, Row};
use crate::domain::batch::Policy;
use crate::domain::calibration::Calibration;
use crate::domain::evidence::Evidence;
use crate::domain::features::Extractor;
use crate::domain::heuristic::Heuristic;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::reason::{Reason, Reasons};
use crate::domain::record::{self, SessionDigest};
use crate::domain::result::{Decision, Thresholds, Verdict};
use crate::domain::session::Session;
use crate::domain::sketch::tests::wandering;
use crate::store::decisions::{Cause, DecisionStore as _};
use crate::store::{FirstVerdict, Lookup, NewSession, Store, StoredSession};

/// A detector to which everybody is human.
fn trusting() -> Scripted {
    let calibration = Calibration::new((0..1000).map(f64::from).collect());
    let calibrated = calibration.assess(0.0);
    Scripted::new(move |rows: &[Row]| {
        let passed =
            || Outcome::Calibrated { raw: 0.0, calibrated, class: "pooled".to_owned(), notes: Reasons::default() };
        Ok(answer(rows.iter().map(|row| (row.id, passed())).collect()))
    })
}

fn drawn(seed: u64, change: impl Fn(f64, f64) -> (f64, f64)) -> Session {
    let mut session = wandering(seed, 14);
    for (x, y) in session.movements.x.iter_mut().zip(&mut session.movements.y) {
        (*x, *y) = change(*x, *y);
    }
    session
}

fn same(x: f64, y: f64) -> (f64, f64) {
    (x, y)
}

/// Turned by a right angle and doubled.
fn turned(x: f64, y: f64) -> (f64, f64) {
    (-2.0 * y, 2.0 * x)
}

fn key(id: &str) -> SessionKey {
    SessionKey { deployment: String::new(), id: SessionId::from_unique(id).unwrap() }
}

async fn submit(bench: &Bench, id: &str, user: &str, session: Session) {
    accept(bench, id, user, session, false).await;
}

async fn accept(bench: &Bench, id: &str, user: &str, mut session: Session, is_final: bool) {
    session.id = key(id).id;
    session.user_id = Some(user.to_owned());
    let mut record = Vec::new();
    record::encode(&session, &mut Vec::new(), &mut record);
    let features = Extractor::default().v1(&session);
    let verdict = Verdict::heuristic(&Heuristic::judge(&features), &Thresholds::default());
    let new = NewSession {
        key: key(id),
        user_id: session.user_id,
        game_type: session.game_type,
        device_type: session.device_type,
        digest: SessionDigest::of(&record),
        record,
        features,
        reasons: verdict.reasons,
        first: FirstVerdict { verdict, scored_at: bench.clock.now().wall, latency_ms: 0.1 },
        is_final,
        challenge: None,
    };
    bench.store.accept(new).await.unwrap();
}

/// Waits until everything that was left to be compared was.
async fn compared(bench: &Bench) {
    let all = async {
        while bench.store.comparison_backlog().await.unwrap().sessions > 0 {
            tokio::task::yield_now().await;
        }
    };
    within(all).await;
}

async fn run(bench: &Bench) {
    within(bench.scheduler.handle().run_now()).await.unwrap();
}

async fn stored(bench: &Bench, id: &str) -> StoredSession {
    match bench.store.session(key(id)).await.unwrap() {
        Lookup::Found(session) => *session,
        other => panic!("session {id}: {other:?}"),
    }
}

/// Decision, whether it is a replay, whether it is of a campaign, and who is named.
async fn found(bench: &Bench, id: &str) -> (Decision, bool, bool, Vec<String>) {
    let session = stored(bench, id).await;
    let verdict = session.result.unwrap().verdict;
    let has = |reason| verdict.reasons.contains(reason);
    assert!(verdict.anomaly_score.unwrap() < 0.01, "evidence never changes a score");
    let named = session.matches.iter().map(SessionId::to_string).collect();
    (verdict.decision, has(Reason::ReplayedMovement), has(Reason::Campaign), named)
}

#[tokio::test]
async fn of_two_sessions_alike_the_later_one_is_the_replay_within_a_batch_and_across() {
    let bench = bench(trusting(), false);
    for seed in 0..8 {
        submit(&bench, &format!("other{seed}"), "o", drawn(100 + seed, same)).await;
    }
    submit(&bench, "first", "a", drawn(1, same)).await;
    submit(&bench, "second", "b", drawn(1, turned)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "first").await, (Decision::Pass, false, false, vec![]));
    assert_eq!(found(&bench, "second").await, (Decision::Fail, true, false, vec!["first".to_owned()]));
    for seed in 0..8 {
        assert_eq!(found(&bench, &format!("other{seed}")).await.0, Decision::Pass);
    }
    submit(&bench, "third", "c", drawn(1, |x, y| (x / 2.0, y / 2.0))).await;
    run(&bench).await;
    let (decision, replay, campaign, mut named) = found(&bench, "third").await;
    named.sort();
    assert_eq!((decision, replay, campaign), (Decision::Fail, true, true));
    assert_eq!(named, ["first", "second"]);
    assert_eq!(found(&bench, "first").await.0, Decision::Pass, "the earlier session is not touched");
    let kinds = ["sketch", "replay", "campaign"].map(|kind| format!("playproof_evidence_total{{kind=\"{kind}\"}}"));
    assert_eq!(kinds.map(|name| bench.metric(&name)), [11.0, 2.0, 1.0]);
}

#[tokio::test]
async fn a_client_that_sends_its_own_session_again_is_reviewed_at_worst() {
    let bench = bench(trusting(), false);
    submit(&bench, "first", "a", drawn(1, same)).await;
    run(&bench).await;
    submit(&bench, "again", "a", drawn(1, same)).await;
    run(&bench).await;
    submit(&bench, "once-more", "a", drawn(1, same)).await;
    submit(&bench, "stolen", "b", drawn(1, same)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "again").await.0, Decision::Review);
    assert_eq!(found(&bench, "once-more").await.0, Decision::Review);
    assert_eq!(found(&bench, "stolen").await.0, Decision::Fail);
}

#[tokio::test]
async fn a_movement_that_a_page_sent_first_fails_nobody_whom_a_server_vouches_for() {
    let bench = bench(trusting(), false);
    submit(&bench, "page/captured", "a", drawn(1, same)).await;
    run(&bench).await;
    submit(&bench, "real", "a", drawn(1, turned)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "real").await, (Decision::Review, true, false, vec!["captured".to_owned()]));
    // The other way round a page that claims the same user is one that replays.
    submit(&bench, "page/replayed", "a", drawn(1, turned)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "page/replayed").await.0, Decision::Fail);
}

#[tokio::test]
async fn what_was_erased_is_neither_found_nor_named() {
    let bench = bench(trusting(), false);
    submit(&bench, "first", "a", drawn(1, same)).await;
    run(&bench).await;
    submit(&bench, "second", "b", drawn(1, turned)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "second").await.3, ["first"]);
    for id in ["first", "second"] {
        bench.store.erase_session(key(id), bench.clock.now()).await.unwrap();
    }
    submit(&bench, "third", "c", drawn(1, same)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "third").await, (Decision::Pass, false, false, vec![]));
}

#[tokio::test]
async fn switched_off_each_session_is_judged_by_itself() {
    let bench = bench_with(trusting(), false, Settings { evidence: Evidence::Never, ..settings() });
    submit(&bench, "first", "a", drawn(1, same)).await;
    submit(&bench, "second", "b", drawn(1, same)).await;
    run(&bench).await;
    assert_eq!(found(&bench, "second").await, (Decision::Pass, false, false, vec![]));
    assert!(bench.metric("playproof_evidence_total{kind=\"sketch\"}").abs() < 0.5);
}

#[tokio::test]
async fn a_node_that_is_behind_compares_after_the_verdict_and_a_match_revises_it() {
    let policy = Policy { batch_size: 2, ..settings().policy };
    let bench = bench_with(trusting(), false, Settings { evidence: Evidence::Auto, policy, ..settings() });
    submit(&bench, "first", "a", drawn(1, same)).await;
    submit(&bench, "second", "b", drawn(1, same)).await;
    bench.clock.advance(Duration::from_secs(2));
    bench.scheduler.handle().set_running(true).await.unwrap();
    bench.until(|counts| counts.processed == 2).await;
    compared(&bench).await;
    assert_eq!(found(&bench, "first").await, (Decision::Pass, false, false, vec![]));
    assert_eq!(found(&bench, "second").await, (Decision::Fail, true, false, vec!["first".to_owned()]));
    let second = stored(&bench, "second").await;
    let history = bench.store.revisions(second.seq).await.unwrap();
    assert_eq!(
        history.iter().map(|change| (change.cause, change.earlier)).collect::<Vec<_>>(),
        [(Cause::Replay, Decision::Pass)]
    );
    let kinds = ["none", "later", "sketch"].map(|kind| format!("playproof_evidence_total{{kind=\"{kind}\"}}"));
    assert_eq!(kinds.clone().map(|name| bench.metric(&name)), [0.0, 2.0, 2.0]);
    submit(&bench, "third", "c", drawn(2, same)).await;
    submit(&bench, "fourth", "d", drawn(2, same)).await;
    bench.until(|counts| counts.processed == 4).await;
    assert_eq!(found(&bench, "fourth").await, (Decision::Fail, true, false, vec!["third".to_owned()]));
    assert_eq!(kinds.map(|name| bench.metric(&name)), [0.0, 2.0, 4.0], "before the verdict again");
}

#[tokio::test]
async fn two_batches_that_run_at_once_see_each_other() {
    let policy = Policy { batch_size: 1, ..settings().policy };
    let bench = bench_with(trusting(), true, Settings { policy, concurrency: 8, ..settings() });
    for copy in 0..24 {
        submit(&bench, &format!("copy{copy}"), &format!("u{copy}"), drawn(1, same)).await;
    }
    bench.until(|counts| counts.processed == 24).await;
    compared(&bench).await;
    let mut failed = 0;
    for copy in 0..24 {
        failed += usize::from(found(&bench, &format!("copy{copy}")).await.0 == Decision::Fail);
    }
    assert_eq!(failed, 23, "all but the one that spoke first");
}

#[tokio::test]
async fn sessions_scored_at_once_are_compared_like_any_other() {
    let bench = bench(trusting(), false);
    accept(&bench, "first", "a", drawn(1, same), true).await;
    compared(&bench).await;
    accept(&bench, "at-once", "b", drawn(1, turned), true).await;
    accept(&bench, "another", "c", drawn(2, same), true).await;
    compared(&bench).await;
    let named = |session: StoredSession| session.matches.iter().map(SessionId::to_string).collect::<Vec<_>>();
    assert_eq!(named(stored(&bench, "at-once").await), ["first"]);
    assert_eq!(named(stored(&bench, "another").await), [""; 0]);
    submit(&bench, "queued", "d", drawn(1, |x, y| (-x, y))).await;
    run(&bench).await;
    assert_eq!(found(&bench, "queued").await.0, Decision::Fail, "and a mirrored copy of it in the queue is found");
}

#[tokio::test]
async fn the_later_of_two_alike_is_judged_though_it_was_compared_first() {
    let policy = Policy { batch_size: 2, ..settings().policy };
    let bench = bench_with(trusting(), false, Settings { policy, ..settings() });
    submit(&bench, "queued", "a", drawn(1, same)).await;
    accept(&bench, "at-once", "b", drawn(1, same), true).await;
    compared(&bench).await;
    assert!(stored(&bench, "at-once").await.matches.is_empty(), "nothing was kept before it");
    run(&bench).await;
    compared(&bench).await;
    assert_eq!(found(&bench, "queued").await, (Decision::Pass, false, false, vec![]));
    let at_once = stored(&bench, "at-once").await;
    assert_eq!(at_once.matches.iter().map(SessionId::to_string).collect::<Vec<_>>(), ["queued"]);
    assert_ne!(at_once.result.unwrap().verdict.decision, Decision::Pass);
}

#[tokio::test]
async fn an_operators_never_leaves_nothing_waiting() {
    let bench = bench_with(trusting(), false, Settings { evidence: Evidence::Never, ..settings() });
    accept(&bench, "first", "a", drawn(1, same), true).await;
    accept(&bench, "second", "b", drawn(1, same), true).await;
    compared(&bench).await;
    assert!(stored(&bench, "second").await.matches.is_empty());
}
