//! Sketches: kept once, read in the order in which they became visible, gone with their sessions; and what is still to be
//! compared, remembered until it was.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::decisions::Cause;
use crate::labels::{Label, Truth};
use crate::{
    Compared, FoundAlike, Lease, Lookup, Matches, MemberOutcome, NewSketch, Retention, Settlement, SketchCursor, Store,
    StoreError,
};
use playproof_domain::evidence::NAMED;
use playproof_domain::id::{Seq, SessionId};
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decided, Decision, DecisionInputs, Thresholds};
use playproof_domain::sketch::Sketch;

fn sketch(seq: Seq) -> NewSketch {
    NewSketch { seq, sketch: Sketch::from_bytes(vec![2, u8::try_from(seq.0 % 200).unwrap(), 0, 255]) }
}

fn replay() -> MemberOutcome {
    let mut verdict = verdict(Decision::Fail, 4.0);
    verdict.reasons.insert(Reason::ReplayedMovement);
    MemberOutcome::Scored(Box::new(verdict))
}

async fn settle(store: &dyn Store, lease: Lease, matches: Vec<Matches>, when: u64) -> Result<(), StoreError> {
    let outcomes = matches.iter().map(|one| (one.seq, replay())).collect();
    store.settle(lease, Settlement { matches, ..settlement(outcomes) }, at(when)).await.map(|_| ())
}

/// Sessions `a`, `b` and `c`, settled with sketches; `b` and `c` are like those before them.
async fn three(store: &dyn Store) -> Vec<Seq> {
    let seqs = submit_all(store, &["a", "b", "c"], at(0)).await;
    let lease = claim(store, 9, at(1)).await.lease;
    store.keep_sketches(seqs.iter().map(|seq| sketch(*seq)).collect()).await.unwrap();
    let matches = (0..3).map(|i| Matches { seq: seqs[i], others: seqs[..i].to_vec() }).collect();
    settle(store, lease, matches, 2).await.unwrap();
    seqs
}

async fn kept(store: &dyn Store) -> BTreeSet<i64> {
    let (mut cursor, mut seqs) = (SketchCursor::default(), BTreeSet::new());
    loop {
        let page = store.sketched(cursor, 2).await.unwrap();
        seqs.extend(page.seqs.iter().map(|seq| seq.0));
        cursor = page.next;
        if !page.more {
            return seqs;
        }
    }
}

fn set(seqs: &[Seq]) -> BTreeSet<i64> {
    seqs.iter().map(|seq| seq.0).collect()
}

async fn named(store: &dyn Store, id: &str) -> Vec<String> {
    let Lookup::Found(session) = store.session(key(id)).await.unwrap() else { panic!("{id} is gone") };
    session.matches.iter().map(SessionId::to_string).collect()
}

pub(crate) async fn kept_sketches_are_read_with_their_users_and_by_page(store: &dyn Store) {
    let seqs = three(store).await;
    assert_eq!(kept(store).await, set(&seqs));
    store.keep_sketches(vec![sketch(seqs[0]), sketch(Seq(seqs[2].0 + 9))]).await.unwrap();
    assert_eq!(kept(store).await, set(&seqs), "each once, and none of nobody");
    let read = store.sketches(vec![seqs[1], Seq(seqs[2].0 + 9)]).await.unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].seq, read[0].user_id.as_deref()), (seqs[1], Some("user-of-b")));
    assert_eq!(read[0].sketch, sketch(seqs[1]).sketch);
    assert!(store.sketches(Vec::new()).await.unwrap().is_empty());
}

pub(crate) async fn who_follows_sketches_misses_none(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c", "d"], at(0)).await;
    store.keep_sketches(vec![sketch(seqs[0])]).await.unwrap();
    let first = store.sketched(SketchCursor::default(), 9).await.unwrap();
    assert_eq!((set(&first.seqs), first.more), (set(&seqs[..1]), false));
    store.keep_sketches(vec![sketch(seqs[2]), sketch(seqs[1])]).await.unwrap();
    let mut seen = set(&first.seqs);
    let mut cursor = first.next;
    for seq in [seqs[3]] {
        let page = store.sketched(cursor, 9).await.unwrap();
        seen.extend(page.seqs.iter().map(|seq| seq.0));
        cursor = page.next;
        store.keep_sketches(vec![sketch(seq)]).await.unwrap();
    }
    seen.extend(store.sketched(cursor, 9).await.unwrap().seqs.iter().map(|seq| seq.0));
    assert_eq!(seen, set(&seqs));
}

pub(crate) async fn a_session_that_names_as_many_as_it_may_is_one_more_copy(store: &dyn Store) {
    let ids: Vec<String> = (0..=NAMED).map(|i| format!("s{i}")).collect();
    let seqs = submit_all(store, &ids.iter().map(String::as_str).collect::<Vec<_>>(), at(0)).await;
    let lease = claim(store, 99, at(1)).await.lease;
    store.keep_sketches(seqs.iter().map(|seq| sketch(*seq)).collect()).await.unwrap();
    let matches = (0..seqs.len()).map(|i| Matches { seq: seqs[i], others: seqs[..i].to_vec() }).collect();
    settle(store, lease, matches, 2).await.unwrap();
    let mut read = store.sketches(seqs.clone()).await.unwrap();
    read.sort_by_key(|candidate| candidate.seq);
    let copies: Vec<bool> = read.iter().map(|candidate| candidate.is_copy).collect();
    assert_eq!(copies, (0..=NAMED).map(|i| i == NAMED).collect::<Vec<_>>());
}

pub(crate) async fn matches_are_named_until_those_are_erased(store: &dyn Store) {
    three(store).await;
    assert_eq!(named(store, "a").await, [""; 0]);
    assert_eq!(named(store, "c").await, ["a", "b"]);
    store.erase_session(key("a"), at(3)).await.unwrap();
    assert_eq!(named(store, "b").await, [""; 0]);
    assert_eq!(named(store, "c").await, ["b"]);
}

pub(crate) async fn erasing_and_clearing_leave_no_sketch(store: &dyn Store) {
    let seqs = three(store).await;
    store.erase_session(key("a"), at(3)).await.unwrap();
    assert_eq!(kept(store).await, set(&seqs[1..]));
    store.erase_user(None, "user-of-b".to_owned(), at(3)).await.unwrap();
    assert_eq!(kept(store).await, set(&seqs[2..]));
    store.clear(at(4)).await.unwrap();
    assert_eq!(kept(store).await, set(&[]));
    assert!(store.sketches(seqs).await.unwrap().is_empty());
}

pub(crate) async fn retention_drops_sketches(store: &dyn Store) {
    three(store).await;
    let hour = Duration::from_secs(3600);
    let retention = Retention { results: hour, telemetry: hour, telemetry_flagged: hour };
    store.prune(retention, at(100).wall).await.unwrap();
    assert_eq!(kept(store).await.len(), 3);
    store.prune(retention, at(2 * 3600).wall).await.unwrap();
    assert_eq!(kept(store).await.len(), 0);
}

pub(crate) async fn telemetry_outlives_its_time_until_it_was_compared(store: &dyn Store) {
    let seqs = submit_all(store, &["owed", "compared"], at(0)).await;
    let lease = claim(store, 2, at(1)).await.lease;
    let outcomes = vec![(seqs[0], scored(1.0)), (seqs[1], scored(1.0))];
    let later = Settlement { uncompared: vec![seqs[0]], ..settlement(outcomes) };
    store.settle(lease, later, at(2)).await.unwrap();
    let (minute, day) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
    let retention = Retention { results: day, telemetry: minute, telemetry_flagged: minute };
    store.prune(retention, at(4 * 3600).wall).await.unwrap();
    let kept = store.telemetry(seqs.clone()).await.unwrap();
    assert!(kept[0].is_some(), "what it is compared by stays");
    assert!(store.uncompared(9, at(4 * 3600)).await.unwrap()[0].record.is_some());
    store.compared(vec![nothing(seqs[0])], Vec::new(), at(4 * 3600)).await.unwrap();
    store.prune(retention, at(4 * 3600 + 1).wall).await.unwrap();
    assert_eq!(store.telemetry(seqs).await.unwrap(), [None, None]);
}

pub(crate) async fn a_stale_settlement_names_nobody(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let lease = claim(store, 1, at(1)).await.lease;
    let other = claim(store, 1, at(1)).await.lease;
    let matches = |of: usize| vec![Matches { seq: seqs[of], others: vec![seqs[1 - of]] }];
    let outside = Settlement { matches: matches(1), ..settlement(vec![(seqs[0], replay())]) };
    assert!(matches!(store.settle(lease, outside, at(2)).await, Err(StoreError::LeaseLost(_))));
    let outside = Settlement { uncompared: vec![seqs[1]], ..settlement(vec![(seqs[0], replay())]) };
    assert!(matches!(store.settle(lease, outside, at(2)).await, Err(StoreError::LeaseLost(_))));
    let stale = Lease { token: lease.token, ..other };
    assert!(matches!(settle(store, stale, matches(1), 2).await, Err(StoreError::LeaseLost(_))));
    assert_eq!(named(store, "b").await, [""; 0]);
    settle(store, lease, matches(0), 3).await.unwrap();
    assert_eq!(named(store, "a").await, ["b"]);
    assert_eq!(store.comparison_backlog().await.unwrap().sessions, 0);
}

pub(crate) async fn a_session_erased_while_leased_leaves_no_sketch(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let lease = claim(store, 2, at(1)).await.lease;
    store.keep_sketches(seqs.iter().map(|seq| sketch(*seq)).collect()).await.unwrap();
    store.erase_session(key("a"), at(2)).await.unwrap();
    let matches = vec![Matches { seq: seqs[0], others: Vec::new() }, Matches { seq: seqs[1], others: vec![seqs[0]] }];
    let outcomes = seqs.iter().map(|seq| (*seq, replay())).collect();
    let later = Settlement { matches, uncompared: seqs.clone(), ..settlement(outcomes) };
    store.settle(lease, later, at(3)).await.unwrap();
    assert_eq!(kept(store).await, set(&seqs[1..]));
    assert_eq!(named(store, "b").await, [""; 0]);
    assert_eq!(store.comparison_backlog().await.unwrap().sessions, 1, "and is not to be compared either");
}

async fn waiting(store: &dyn Store, when: u64) -> Vec<i64> {
    store.uncompared(9, at(when)).await.unwrap().iter().map(|one| one.standing.seq.0).collect()
}

fn nothing(seq: Seq) -> Compared {
    Compared { seq, matches: Vec::new(), found: None }
}

/// What follows once a session is known for a replay.
pub(crate) fn found_replay() -> FoundAlike {
    let known_reasons = Reasons::from_iter([Reason::NoJitter, Reason::ReplayedMovement]);
    let basis = DecisionInputs { supported_score: Some(0.5), known_reasons, surely_replayed: true };
    let decided = Decided { decision: Decision::Fail, confidence: 0.625, reasons: known_reasons };
    FoundAlike { basis, decided, thresholds: Thresholds { pass: 0.25, ..Thresholds::default() } }
}

pub(crate) async fn what_is_to_be_compared_is_remembered_until_it_was(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "waits"], at(0)).await;
    let lease = claim(store, 2, at(1)).await.lease;
    let outcomes = vec![(seqs[0], scored(1.0)), (seqs[1], scored(1.0))];
    let settlement = Settlement { uncompared: seqs[..2].to_vec(), ..settlement(outcomes) };
    store.settle(lease, settlement, at(2)).await.unwrap();
    let at_once = submit(store, final_session("at-once", verdict(Decision::Pass, 1.0), at(3))).await;
    let backlog = store.comparison_backlog().await.unwrap();
    assert_eq!((backlog.sessions, backlog.oldest.is_some()), (3, true));
    assert!(backlog.oldest.unwrap() <= at(3).wall || store.is_shared());
    let all = store.uncompared(9, at(4)).await.unwrap();
    assert_eq!(all.iter().map(|one| one.standing.seq).collect::<Vec<_>>(), [seqs[0], seqs[1], at_once]);
    let first = &all[0];
    assert_eq!(first.standing.key, key("a"));
    assert_eq!((first.standing.decision, first.user_id.as_deref()), (Decision::Pass, Some("user-of-a")));
    assert_eq!(first.standing.basis, verdict(Decision::Pass, 1.0).basis);
    assert_eq!((first.record.as_deref(), first.only_sketch), (Some(session("a", at(0)).record.as_slice()), false));
    store.compared(vec![nothing(seqs[0]), nothing(at_once)], Vec::new(), at(5)).await.unwrap();
    assert_eq!(store.comparison_backlog().await.unwrap().sessions, 1);
    // Sessions that a node took and did not finish are somebody's again after a minute.
    assert_eq!(waiting(store, 120).await, [seqs[1].0]);
    store.erase_session(key("b"), at(121)).await.unwrap();
    let backlog = store.comparison_backlog().await.unwrap();
    assert_eq!((backlog.sessions, backlog.oldest), (0, None));
}

pub(crate) async fn a_match_found_after_the_verdict_revises_it_with_its_cause(store: &dyn Store) {
    let first = submit(store, final_session("first", verdict(Decision::Pass, 1.0), at(0))).await;
    let second = submit(store, final_session("second", verdict(Decision::Pass, 1.0), at(0))).await;
    let labelled = submit(store, final_session("labelled", verdict(Decision::Pass, 1.0), at(0))).await;
    let label = Label {
        truth: Truth::Human,
        note: String::new(),
        actor: "somebody".to_owned(),
        at: at(1).wall,
        campaign: None,
    };
    store.label(labelled, Some(label), None, at(1).wall).await.unwrap();
    let of = |seq| Compared { seq, matches: vec![first], found: Some(found_replay()) };
    let changed = store.compared(vec![nothing(first), of(second), of(labelled)], Vec::new(), at(2)).await.unwrap();
    assert_eq!(changed, 1);
    let result = found(store, "second").await.result.unwrap().verdict;
    assert_eq!((result.decision, result.basis), (Decision::Fail, Some(found_replay().basis)));
    assert!(result.reasons.contains(Reason::ReplayedMovement));
    assert_eq!(named(store, "second").await, ["first"]);
    let history = store.revisions(second).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].cause, history[0].earlier, history[0].later),
        (Cause::Replay, Decision::Pass, Decision::Fail)
    );
    let result = found(store, "labelled").await.result.unwrap().verdict;
    assert_eq!(result.decision, Decision::Pass, "what somebody said stands");
    assert_eq!(found(store, "first").await.result.unwrap().verdict.decision, Decision::Pass);
    // Once more changes nothing: it is no longer to be compared.
    assert_eq!(store.compared(vec![of(second)], Vec::new(), at(3)).await.unwrap(), 0);
    assert_eq!(store.revisions(second).await.unwrap().len(), 1);
}

pub(crate) async fn a_session_is_compared_again_when_that_is_asked_for(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    store.compared(Vec::new(), seqs.clone(), at(1)).await.unwrap();
    assert_eq!(waiting(store, 2).await, [0; 0], "it has no verdict yet");
    let claim = claim(store, 2, at(3)).await;
    settle_all(store, &claim, scored(1.0), at(4)).await.unwrap();
    assert_eq!(waiting(store, 5).await, set(&seqs).into_iter().collect::<Vec<_>>());
    store.compared(seqs.iter().map(|seq| nothing(*seq)).collect(), vec![seqs[1]], at(6)).await.unwrap();
    assert_eq!(waiting(store, 7).await, [seqs[1].0]);
    store.clear(at(8)).await.unwrap();
    assert_eq!(waiting(store, 200).await, [0; 0]);
}
