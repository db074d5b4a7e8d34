//! What operators set is kept with a version; decisions change where the earlier one stands, and their history says so.

use crate::controls::Control;
use crate::decisions::{Cause, Revised, Revision};
use crate::testing::*;
use crate::{ResultQuery, Store};
use playproof_domain::id::Seq;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decided, Decision};

pub(crate) fn to(seq: Seq, earlier: Decision, later: Decision, cause: Cause) -> Revision {
    let reasons = Reasons::from_iter([Reason::UnlikeHumans]);
    let decided = Decided { decision: later, confidence: 0.625, reasons };
    Revision { seq, earlier, decided, cause, detail: r#"{"pass":0.5}"#.to_owned() }
}

async fn of(store: &dyn Store, decision: Decision) -> usize {
    let query = ResultQuery { decision: Some(decision), limit: 9, ..ResultQuery::default() };
    store.results(query).await.unwrap().rows.len()
}

pub(crate) async fn controls_are_kept_and_every_change_is_a_version(store: &dyn Store) {
    let set = |name: &str, value: Option<&str>| {
        store.set_control("thresholds".to_owned(), name.to_owned(), value.map(str::to_owned))
    };
    let (first, none) = store.controls().await.unwrap();
    assert!(none.is_empty());
    set("b\0\u{fffd}", Some("{}")).await.unwrap();
    set("", Some("[1]")).await.unwrap();
    set("", Some("[2]")).await.unwrap();
    submit_all(store, &["a"], at(0)).await;
    store.clear(at(1)).await.unwrap();
    let (version, all) = store.controls().await.unwrap();
    let control = |name: &str, value: &str| Control {
        kind: "thresholds".to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(all, [control("", "[2]"), control("b\0\u{fffd}", "{}")]);
    assert_eq!((version, store.controls_version().await.unwrap()), (first + 3, first + 3));
    set("", None).await.unwrap();
    assert_eq!(store.controls().await.unwrap(), (first + 4, vec![control("b\0\u{fffd}", "{}")]));
    let replace = |name: &str| store.replace_control("thresholds".to_owned(), name.to_owned(), "[3]".to_owned());
    assert!(!replace("").await.unwrap(), "it was removed");
    assert!(replace("b\0\u{fffd}").await.unwrap());
    assert_eq!(store.controls().await.unwrap(), (first + 5, vec![control("b\0\u{fffd}", "[3]")]));
}

pub(crate) async fn results_stand_as_they_were_decided(store: &dyn Store) {
    let one = process(store, session("one", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    let elsewhere = crate::NewSession { key: key_in("eu", "two"), ..session("two", at(2)) };
    let two = submit(
        store,
        crate::NewSession {
            first: crate::FirstVerdict { verdict: verdict(Decision::Fail, 9.5), ..elsewhere.first.clone() },
            is_final: true,
            ..elsewhere
        },
    )
    .await;
    submit(store, session("waits", at(3))).await;
    let all = store.standings(Seq(0), 9, None).await.unwrap();
    assert_eq!(all.iter().map(|s| s.seq).collect::<Vec<_>>(), [one, two], "only those that have a result");
    assert_eq!((all[0].basis, all[0].score), (verdict(Decision::Pass, 1.0).basis, Some(0.5)));
    assert!(all[1].basis.unwrap().surely_replayed && all[1].decision == Decision::Fail && !all[1].labelled);
    assert_eq!(all[1].key, key_in("eu", "two"));
    assert_eq!(store.standings(one, 9, None).await.unwrap(), all[1..]);
    assert_eq!(store.standings(Seq(0), 1, None).await.unwrap(), all[..1]);
    assert_eq!(store.standings(Seq(0), 9, Some("eu".to_owned())).await.unwrap(), all[1..]);
}

pub(crate) async fn a_decision_changes_once_and_says_why(store: &dyn Store) {
    let seq = process(store, session("a", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    let revision = to(seq, Decision::Pass, Decision::Review, Cause::Thresholds);
    assert_eq!(store.revise(vec![revision.clone()], at(2).wall).await.unwrap(), 1);
    assert_eq!(store.revise(vec![revision], at(3).wall).await.unwrap(), 0, "another decision stands by now");
    let next = to(seq, Decision::Review, Decision::Fail, Cause::Model);
    let unknown = to(Seq(seq.0 + 1000), Decision::Pass, Decision::Fail, Cause::Model);
    assert_eq!(store.revise(vec![next, unknown], at(4).wall).await.unwrap(), 1);
    assert_eq!(store.revise(vec![], at(4).wall).await.unwrap(), 0);
    let result = found(store, "a").await.result.unwrap();
    let before = verdict(Decision::Pass, 1.0);
    assert_eq!((result.verdict.decision, result.verdict.confidence), (Decision::Fail, 0.625));
    assert_eq!((result.verdict.anomaly_score, result.verdict.basis), (before.anomaly_score, before.basis));
    assert_eq!((of(store, Decision::Fail).await, of(store, Decision::Pass).await), (1, 0), "lists follow");
    let change =
        |at, cause, earlier, later| Revised { at, cause, earlier, later, detail: r#"{"pass":0.5}"#.to_owned() };
    assert_eq!(
        store.revisions(seq).await.unwrap(),
        [
            change(at(2).wall, Cause::Thresholds, Decision::Pass, Decision::Review),
            change(at(4).wall, Cause::Model, Decision::Review, Decision::Fail),
        ]
    );
}

pub(crate) async fn the_first_verdict_outlives_a_revision(store: &dyn Store) {
    let first = verdict(Decision::Pass, 1.0);
    let seq = submit(store, final_session("a", first.clone(), at(0))).await;
    store.revise(vec![to(seq, Decision::Pass, Decision::Fail, Cause::Thresholds)], at(1).wall).await.unwrap();
    let stored = found(store, "a").await;
    assert_eq!(stored.result.unwrap().verdict.decision, Decision::Fail);
    let told = stored.first.verdict;
    assert_eq!((told.decision, told.confidence, told.reasons), (first.decision, first.confidence, first.reasons));
}

pub(crate) async fn a_revised_session_leaves_no_history_behind(store: &dyn Store) {
    let seq = process(store, session("a", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    store.revise(vec![to(seq, Decision::Pass, Decision::Fail, Cause::Thresholds)], at(2).wall).await.unwrap();
    assert!(store.erase_session(key("a"), at(3)).await.unwrap());
    assert!(store.revisions(seq).await.unwrap().is_empty());
    let again = to(seq, Decision::Fail, Decision::Pass, Cause::Thresholds);
    assert_eq!(store.revise(vec![again], at(4).wall).await.unwrap(), 0);
    assert!(store.revisions(seq).await.unwrap().is_empty());
}
