//! What people said of sessions decides, outlasts thresholds, and goes with the session.

use std::time::Duration;

use crate::decisions::{Cause, Revision};
use crate::labels::{Label, LabelRow, Truth};
use crate::testing::*;
use crate::{Retention, Store};
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decided, Decision};
use playproof_domain::time::Timestamp;

fn said(truth: Truth, at: Timestamp) -> Label {
    Label { truth, note: "a \0 note".to_owned(), actor: "cafe".to_owned(), at, campaign: None }
}

fn to(seq: Seq, earlier: Decision, later: Decision, cause: Cause) -> Revision {
    let decided = Decided { decision: later, confidence: 1.0, reasons: Reasons::default() };
    Revision { seq, earlier, decided, cause, detail: "{}".to_owned() }
}

async fn decision(store: &dyn Store, id: &str) -> Decision {
    found(store, id).await.result.unwrap().verdict.decision
}

pub(crate) async fn a_label_decides_and_can_be_taken_back(store: &dyn Store) {
    let seq = process(store, session("a", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    let other = process(store, session("b", at(2)), verdict(Decision::Pass, 1.0), at(3)).await;
    let human = said(Truth::Human, at(4).wall);
    let change = to(seq, Decision::Fail, Decision::Pass, Cause::Label);
    assert!(store.label(seq, Some(human.clone()), Some(change), at(4).wall).await.unwrap());
    assert_eq!(store.label_of(seq).await.unwrap(), Some(human.clone()));
    assert_eq!(decision(store, "a").await, Decision::Pass);
    assert_eq!(store.revisions(seq).await.unwrap()[0].cause, Cause::Label);
    assert!(store.standings(Seq(0), 9, None).await.unwrap()[0].labelled);

    let by_thresholds = to(seq, Decision::Pass, Decision::Review, Cause::Thresholds);
    assert_eq!(store.revise(vec![by_thresholds], at(5).wall).await.unwrap(), 0, "a label outlasts thresholds");
    let bot = said(Truth::Bot, at(6).wall);
    assert!(store.label(other, Some(bot.clone()), None, at(6).wall).await.unwrap());
    let rows = store.labels(Seq(0), 9, None).await.unwrap();
    let row = |seq, id: &str, label| LabelRow { seq, key: key(id), label };
    assert_eq!(rows, [row(seq, "a", human), row(other, "b", bot)]);
    assert_eq!(store.labels(seq, 9, None).await.unwrap(), rows[1..]);
    assert!(store.labels(Seq(0), 9, Some("eu".to_owned())).await.unwrap().is_empty());

    let back = to(seq, Decision::Pass, Decision::Fail, Cause::Label);
    assert!(store.label(seq, None, Some(back), at(7).wall).await.unwrap());
    assert_eq!((store.label_of(seq).await.unwrap(), decision(store, "a").await), (None, Decision::Fail));
}

pub(crate) async fn what_nobody_labelled_is_reviewed(store: &dyn Store) {
    for (id, decision) in [("a", Decision::Pass), ("b", Decision::Fail), ("c", Decision::Review)] {
        process(store, session(id, at(0)), verdict(decision, 1.0), at(1)).await;
    }
    let seq = found(store, "b").await.seq;
    store.label(seq, Some(said(Truth::Bot, at(2).wall)), None, at(2).wall).await.unwrap();
    submit(store, session("waits", at(3))).await;
    let (rows, labels) = store.to_review(None).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.key.id.as_str(), row.candidate.decision)).collect();
    assert_eq!(told, [("a", Decision::Pass), ("c", Decision::Review)]);
    let stored = found(store, "a").await;
    assert_eq!(rows[0].candidate.features, stored.features.values());
    assert_eq!((rows[0].candidate.score, rows[0].scored_at), (Some(0.5), at(1).wall));
    assert_eq!(labels.iter().map(|label| label.bot).collect::<Vec<_>>(), [true]);
    let (rows, labels) = store.to_review(Some("eu".to_owned())).await.unwrap();
    assert!(rows.is_empty() && labels.is_empty());
}

pub(crate) async fn only_sessions_with_a_result_are_labelled(store: &dyn Store) {
    let waits = submit(store, session("a", at(0))).await;
    for seq in [waits, Seq(waits.0 + 1000)] {
        assert!(!store.label(seq, Some(said(Truth::Bot, at(1).wall)), None, at(1).wall).await.unwrap());
        assert_eq!(store.label_of(seq).await.unwrap(), None);
    }
}

pub(crate) async fn a_label_goes_with_its_session(store: &dyn Store) {
    let seq = process(store, session("a", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    store.label(seq, Some(said(Truth::Bot, at(2).wall)), None, at(2).wall).await.unwrap();
    assert!(store.erase_session(key("a"), at(3)).await.unwrap());
    assert_eq!(store.label_of(seq).await.unwrap(), None);
    assert!(store.labels(Seq(0), 9, None).await.unwrap().is_empty());
}

pub(crate) async fn labelled_sessions_keep_their_telemetry_longer(store: &dyn Store) {
    let plain = process(store, session("plain", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    let labelled = process(store, session("labelled", at(0)), verdict(Decision::Pass, 1.0), at(1)).await;
    store.label(labelled, Some(said(Truth::Human, at(2).wall)), None, at(2).wall).await.unwrap();
    let kept = Retention {
        results: Duration::from_secs(1000),
        telemetry: Duration::from_secs(100),
        telemetry_flagged: Duration::from_secs(300),
    };
    store.prune(kept, at(200).wall).await.unwrap();
    let records = store.telemetry(vec![plain, labelled]).await.unwrap();
    assert_eq!(records.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
}
