//! Sketches: kept with the results they belong to, found by their keys, gone with their sessions.

use std::time::Duration;

use super::*;
use crate::domain::id::{Seq, SessionId};
use crate::domain::reason::Reason;
use crate::domain::result::Decision;
use crate::domain::sketch::Sketch;
use crate::store::{Lease, Lookup, MemberOutcome, NewSketch, Retention, Settlement, Store, StoreError};

/// Two keys of its own for every session, and one that all share; one of them needs all 32 bits.
const SHARED: u32 = u32::MAX;

fn own(seq: Seq) -> [u32; 2] {
    let seq = u32::try_from(seq.0).unwrap();
    [1_000 + seq, 2_000 + seq]
}

fn sketch(seq: Seq, matches: &[Seq]) -> NewSketch {
    let keys = [own(seq).as_slice(), &[SHARED]].concat();
    NewSketch { seq, sketch: Sketch::with_keys(&keys), matches: matches.to_vec() }
}

fn replay() -> MemberOutcome {
    let mut verdict = verdict(Decision::Fail, 4.0);
    verdict.reasons.insert(Reason::ReplayedMovement);
    MemberOutcome::Scored(Box::new(verdict))
}

async fn settle(store: &dyn Store, lease: Lease, sketches: Vec<NewSketch>, when: u64) -> Result<(), StoreError> {
    let outcomes = sketches.iter().map(|sketch| (sketch.seq, replay())).collect();
    store.settle(lease, Settlement { sketches, ..settlement(outcomes) }, at(when)).await.map(|_| ())
}

/// Sessions `a`, `b` and `c`, settled with sketches; `b` and `c` are like those before them.
async fn three(store: &dyn Store) -> Vec<Seq> {
    let seqs = submit_all(store, &["a", "b", "c"], at(0)).await;
    let lease = claim(store, 9, at(1)).await.lease;
    let sketches = (0..3).map(|i| sketch(seqs[i], &seqs[..i])).collect();
    settle(store, lease, sketches, 2).await.unwrap();
    seqs
}

async fn found(store: &dyn Store, key: u32) -> Vec<i64> {
    let candidates = store.alike(vec![vec![key]]).await.unwrap().remove(0);
    let mut seqs: Vec<i64> = candidates.iter().map(|c| c.seq.0).collect();
    seqs.sort_unstable();
    seqs
}

async fn named(store: &dyn Store, id: &str) -> Vec<String> {
    let Lookup::Found(session) = store.session(key(id)).await.unwrap() else { panic!("{id} is gone") };
    session.matches.iter().map(SessionId::to_string).collect()
}

pub(crate) async fn a_kept_sketch_is_found_by_its_keys(store: &dyn Store) {
    let seqs = three(store).await;
    let [one, two] = own(seqs[1]);
    let asked = vec![vec![one], vec![], vec![9], vec![SHARED], vec![one, two, 9, SHARED]];
    let answers = store.alike(asked).await.unwrap();
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0, 3, 3]);
    for candidate in [&answers[0][0], &answers[4][0]] {
        assert_eq!((candidate.seq, candidate.user_id.as_deref()), (seqs[1], Some("user-of-b")));
        assert_eq!(candidate.sketch, sketch(seqs[1], &[]).sketch);
    }
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
    assert_eq!(found(store, SHARED).await, [seqs[1].0, seqs[2].0]);
    store.erase_user(None, "user-of-b".to_owned(), at(3)).await.unwrap();
    assert_eq!(found(store, SHARED).await, [seqs[2].0]);
    store.clear(at(4)).await.unwrap();
    assert_eq!(found(store, SHARED).await, [0; 0]);
}

pub(crate) async fn retention_drops_sketches(store: &dyn Store) {
    three(store).await;
    let hour = Duration::from_secs(3600);
    let kept = Retention { results: hour, telemetry: hour, telemetry_flagged: hour };
    store.prune(kept, at(100).wall).await.unwrap();
    assert_eq!(found(store, SHARED).await.len(), 3);
    store.prune(kept, at(2 * 3600).wall).await.unwrap();
    assert_eq!(found(store, SHARED).await.len(), 0);
}

pub(crate) async fn a_stale_settlement_keeps_no_sketch(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let lease = claim(store, 1, at(1)).await.lease;
    let other = claim(store, 1, at(1)).await.lease;
    let outside = Settlement { sketches: vec![sketch(seqs[1], &[])], ..settlement(vec![(seqs[0], replay())]) };
    assert!(matches!(store.settle(lease, outside, at(2)).await, Err(StoreError::LeaseLost(_))));
    let stale = Lease { token: lease.token, ..other };
    assert!(matches!(settle(store, stale, vec![sketch(seqs[1], &[])], 2).await, Err(StoreError::LeaseLost(_))));
    assert_eq!(found(store, SHARED).await, [0; 0]);
    settle(store, lease, vec![sketch(seqs[0], &[])], 3).await.unwrap();
    assert_eq!(found(store, SHARED).await, [seqs[0].0]);
}

pub(crate) async fn a_session_erased_while_leased_leaves_no_sketch(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b"], at(0)).await;
    let lease = claim(store, 2, at(1)).await.lease;
    store.erase_session(key("a"), at(2)).await.unwrap();
    settle(store, lease, vec![sketch(seqs[0], &[]), sketch(seqs[1], &[seqs[0]])], 3).await.unwrap();
    assert_eq!(found(store, SHARED).await, [seqs[1].0]);
    assert_eq!(named(store, "b").await, [""; 0]);
}
