//! What a result was when its session was scored, and everything that is kept of one session.

use super::decisions::to;
use super::sketches::found_replay;
use super::*;
use crate::decisions::Cause;
use crate::labels::{Label, Truth};
use crate::{Compared, Lookup, Matches, Settlement};
use playproof_domain::id::Seq;
use playproof_domain::record::SessionDigest;
use playproof_domain::result::{Decision, DecisionInputs};

/// Two sessions with results; the second is to be compared.
async fn two(store: &dyn Store) -> [Seq; 2] {
    let seqs = submit_all(store, &["first", "second"], at(0)).await;
    let lease = claim(store, 2, at(1)).await.lease;
    let outcomes = vec![(seqs[0], scored(1.0)), (seqs[1], scored(2.0))];
    let settlement = Settlement { uncompared: vec![seqs[1]], ..settlement(outcomes) };
    store.settle(lease, settlement, at(1)).await.unwrap();
    [seqs[0], seqs[1]]
}

pub(crate) async fn a_result_keeps_what_it_was_when_its_session_was_scored(store: &dyn Store) {
    let [_, second] = two(store).await;
    let first = found(store, "second").await.result.unwrap();
    let as_scored = verdict(Decision::Pass, 2.0).as_scored();
    assert!(as_scored.is_some());
    assert_eq!((first.scored, first.compared_under), (as_scored, None));
    store.revise(vec![to(second, Decision::Pass, Decision::Review, Cause::Thresholds)], at(2).wall).await.unwrap();
    let alike = found_replay();
    let compared = Compared { seq: second, matches: Vec::new(), found: Some(alike) };
    store.compared(vec![compared], Vec::new(), at(3)).await.unwrap();
    let revised = found(store, "second").await.result.unwrap();
    let basis = DecisionInputs { supported_score: Some(1.0), ..alike.basis };
    assert_eq!((revised.verdict.decision, revised.verdict.basis), (Decision::Fail, Some(basis)), "the score stays");
    assert_eq!((revised.scored, revised.compared_under), (as_scored, Some(alike.thresholds)));
    let revisions = store.revisions(second).await.unwrap();
    assert!(revisions[1].detail.contains("\"pass\":0.25"), "{}", revisions[1].detail);

    let at_once = final_session("at-once", verdict(Decision::Fail, 3.0), at(4));
    store.accept(at_once).await.unwrap();
    assert_eq!(found(store, "at-once").await.result.unwrap().scored, verdict(Decision::Fail, 3.0).as_scored());
}

pub(crate) async fn evidence_is_read_whole(store: &dyn Store) {
    let seqs = submit_all(store, &["a", "b", "c"], at(0)).await;
    let lease = claim(store, 3, at(1)).await.lease;
    let outcomes = seqs.iter().map(|seq| (*seq, scored(1.0))).collect();
    let matches = vec![Matches { seq: seqs[2], others: vec![seqs[1], seqs[0]] }];
    store.settle(lease, Settlement { matches, ..settlement(outcomes) }, at(1)).await.unwrap();
    store.revise(vec![to(seqs[2], Decision::Pass, Decision::Fail, Cause::Model)], at(2).wall).await.unwrap();
    let label =
        Label { truth: Truth::Bot, note: "n".to_owned(), actor: "x".to_owned(), at: at(3).wall, campaign: None };
    store.label(seqs[2], Some(label.clone()), None, at(3).wall).await.unwrap();
    let kept = store.evidence(seqs[2]).await.unwrap().unwrap();
    let digest = |id: &str| SessionDigest::of(&session(id, at(0)).record);
    assert_eq!(kept.matches, [digest("b"), digest("a")], "the closest first");
    assert_eq!(kept.session.digest, digest("c"));
    assert_eq!(kept.session.record, Some(session("c", at(0)).record));
    assert_eq!(kept.session.user_id.as_deref(), Some("user-of-c"));
    let Lookup::Found(looked_up) = store.session(key("c")).await.unwrap() else { panic!("it is there") };
    assert_eq!(kept.session.session.result, looked_up.result);
    assert_eq!(kept.session.label, Some(label));
    assert_eq!(kept.session.revisions.iter().map(|(_, one)| one.cause).collect::<Vec<_>>(), [Cause::Model]);

    store.erase_session(key("a"), at(4)).await.unwrap();
    let kept = store.evidence(seqs[2]).await.unwrap().unwrap();
    assert_eq!(kept.matches, [digest("b")], "who was erased is named no more");
    store.erase_session(key("c"), at(4)).await.unwrap();
    assert_eq!(store.evidence(seqs[2]).await.unwrap(), None);
    assert_eq!(store.evidence(Seq(seqs[2].0 + 1000)).await.unwrap(), None);
}

pub(crate) async fn a_store_signs_evidence_with_a_key_of_its_own(store: &dyn Store) {
    let key = store.evidence_key();
    assert_eq!(key, store.evidence_key());
    assert!(key != store.challenge_key() && key != store.webhook_key() && key != [0; 32]);
}
