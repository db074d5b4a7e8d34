//! What webhooks are told is written with what is decided, goes out in order, and goes with its session.

use std::time::Duration;

use crate::decisions::{Cause, Revision};
use crate::deliveries::{Attempt, DeliveryState, EventKind, Place, WEBHOOK};
use crate::labels::{Label, Truth};
use crate::testing::*;
use crate::{Retention, Store};
use playproof_domain::id::Seq;
use playproof_domain::reason::Reasons;
use playproof_domain::result::{Decided, Decision};

const LEASE: Duration = Duration::from_secs(60);

async fn webhook(store: &dyn Store, name: &str, deployment: Option<&str>, is_final: bool, changed: bool) {
    let value = serde_json::json!({"deploymentId": deployment, "final": is_final, "changed": changed});
    store.set_control(WEBHOOK.to_owned(), name.to_owned(), Some(value.to_string())).await.unwrap();
}

fn to(seq: Seq, earlier: Decision, later: Decision) -> Revision {
    let decided = Decided { decision: later, confidence: 1.0, reasons: Reasons::default() };
    Revision { seq, earlier, decided, cause: Cause::Thresholds, detail: "{}".to_owned() }
}

async fn kinds(store: &dyn Store, name: &str) -> Vec<EventKind> {
    let log = store.deliveries(name.to_owned(), None, 100).await.unwrap();
    log.iter().rev().map(|row| row.kind).collect()
}

fn done(id: i64, state: DeliveryState) -> Attempt {
    Attempt { id, state, not_before: at(0).wall, status: Some(200), error: None }
}

pub(crate) async fn every_verdict_and_change_is_put_into_the_lines_that_want_it(store: &dyn Store) {
    process(store, session("before", at(0)), verdict(Decision::Pass, 1.0), at(0)).await;
    webhook(store, "all", None, true, true).await;
    webhook(store, "changes", None, false, true).await;
    webhook(store, "eu", Some("eu"), true, true).await;
    let seq = process(store, session("batch", at(1)), verdict(Decision::Fail, 1.0), at(2)).await;
    let mut at_once = session("once", at(3));
    at_once.is_final = true;
    submit(store, at_once).await;
    assert_eq!(store.revise(vec![to(seq, Decision::Fail, Decision::Pass)], at(4).wall).await.unwrap(), 1);
    assert_eq!(store.revise(vec![to(seq, Decision::Fail, Decision::Pass)], at(4).wall).await.unwrap(), 0);
    let label = Label { truth: Truth::Bot, note: String::new(), actor: String::new(), at: at(5).wall, campaign: None };
    let by_label = Revision { cause: Cause::Label, ..to(seq, Decision::Pass, Decision::Fail) };
    store.label(seq, Some(label), Some(by_label), at(5).wall).await.unwrap();
    let [is_final, changed] = [EventKind::Final, EventKind::Changed];
    assert_eq!(kinds(store, "all").await, [is_final, is_final, changed, changed]);
    assert_eq!(kinds(store, "changes").await, [changed, changed]);
    assert_eq!(kinds(store, "eu").await, []);
    let taken = store.take_deliveries("all".to_owned(), 9, at(6).wall, LEASE).await.unwrap();
    assert_eq!(taken.len(), 2, "one of each session");
    assert_eq!((taken[0].key.clone(), taken[1].key.clone()), (Some(key("batch")), Some(key("once"))));
    let body: serde_json::Value = serde_json::from_str(&taken[0].body).unwrap();
    assert_eq!((&body["decision"], &body["modelId"]), (&"fail".into(), &"forest".into()));
}

pub(crate) async fn a_session_is_told_of_in_order_and_what_is_taken_is_left_alone(store: &dyn Store) {
    webhook(store, "w", None, true, true).await;
    let seq = process(store, session("a", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    store.revise(vec![to(seq, Decision::Fail, Decision::Pass)], at(2).wall).await.unwrap();
    let take = async |now| store.take_deliveries("w".to_owned(), 9, at(now).wall, LEASE).await.unwrap();
    let first = take(3).await;
    assert_eq!((first.len(), first[0].kind, first[0].attempts), (1, EventKind::Final, 1));
    assert!(take(4).await.is_empty(), "the second waits for the first");
    let again = take(64).await;
    assert_eq!((again[0].id, again[0].attempts), (first[0].id, 2), "the lease is over");
    let later = Attempt { not_before: at(100).wall, ..done(first[0].id, DeliveryState::Waiting) };
    store.record_deliveries(vec![later], at(65).wall).await.unwrap();
    assert!(take(99).await.is_empty());
    assert_eq!(take(100).await[0].id, first[0].id);
    store.record_deliveries(vec![done(first[0].id, DeliveryState::Delivered)], at(101).wall).await.unwrap();
    let second = take(102).await;
    assert_eq!(second[0].kind, EventKind::Changed);
    store.record_deliveries(vec![done(second[0].id, DeliveryState::GivenUp)], at(103).wall).await.unwrap();
    assert!(take(500).await.is_empty());
    let log = store.deliveries("w".to_owned(), None, 9).await.unwrap();
    assert_eq!((log[0].state, log[1].state), (DeliveryState::GivenUp, DeliveryState::Delivered));
    assert_eq!((log[1].target.clone(), log[1].finished_at), (store.session_pseudonym(&key("a")), Some(at(101).wall)));
    assert_eq!(store.redeliver("w".to_owned(), None, at(600).wall).await.unwrap(), 1);
    assert_eq!(take(600).await[0].kind, EventKind::Changed);
    assert_eq!(store.redeliver("w".to_owned(), Some(first[0].id), at(600).wall).await.unwrap(), 1);
    assert_eq!(take(601).await[0].id, first[0].id);
    store.test_delivery("w".to_owned(), "{}".to_owned(), at(602).wall).await.unwrap();
    assert_eq!(take(602).await[0].key, None);
    store.forget_deliveries("w".to_owned()).await.unwrap();
    assert!(store.deliveries("w".to_owned(), None, 9).await.unwrap().is_empty());
}

pub(crate) async fn an_erased_session_is_told_of_no_more_and_its_log_names_a_hash(store: &dyn Store) {
    webhook(store, "w", None, true, true).await;
    process(store, session("a", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    let told = process(store, session("b", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    let taken = store.take_deliveries("w".to_owned(), 9, at(2).wall, LEASE).await.unwrap();
    store.record_deliveries(vec![done(taken[1].id, DeliveryState::Delivered)], at(3).wall).await.unwrap();
    store.revise(vec![to(told, Decision::Fail, Decision::Pass)], at(3).wall).await.unwrap();
    for id in ["a", "b"] {
        assert!(store.erase_session(key(id), at(4)).await.unwrap());
    }
    // What was on its way while it was erased stays erased.
    store.record_deliveries(vec![done(taken[0].id, DeliveryState::Delivered)], at(5).wall).await.unwrap();
    assert!(store.take_deliveries("w".to_owned(), 9, at(500).wall, LEASE).await.unwrap().is_empty());
    let log = store.deliveries("w".to_owned(), None, 9).await.unwrap();
    let states: Vec<_> = log.iter().map(|row| row.state).collect();
    assert_eq!(states, [DeliveryState::Erased, DeliveryState::Delivered, DeliveryState::Erased]);
    assert_eq!(log[2].target, store.session_pseudonym(&key("a")));
    for row in log {
        assert_eq!(store.redeliver("w".to_owned(), Some(row.id), at(6).wall).await.unwrap(), 0);
    }
    process(store, session("c", at(7)), verdict(Decision::Pass, 1.0), at(8)).await;
    store.clear(at(9)).await.unwrap();
    assert_eq!(store.deliveries("w".to_owned(), None, 9).await.unwrap().len(), 3);
    let kept =
        Retention { results: LEASE, telemetry: Duration::from_secs(1), telemetry_flagged: Duration::from_secs(1) };
    store.prune(kept, at(1000).wall).await.unwrap();
    assert!(store.deliveries("w".to_owned(), None, 9).await.unwrap().is_empty(), "the log goes by age");
}

pub(crate) async fn events_come_in_order_from_any_place(store: &dyn Store) {
    let a = process(store, session("a", at(0)), verdict(Decision::Fail, 1.0), at(1)).await;
    process(store, session("b", at(0)), verdict(Decision::Pass, 2.0), at(2)).await;
    store.revise(vec![to(a, Decision::Fail, Decision::Pass)], at(3).wall).await.unwrap();
    store.revise(vec![to(a, Decision::Pass, Decision::Review)], at(3).wall).await.unwrap();
    let all = store.events(Place::default(), at(10).wall, 9, None).await.unwrap();
    let told: Vec<_> = all.iter().map(|e| (e.key.id.as_str().to_owned(), e.decision, e.change.map(|c| c.0))).collect();
    let expected = [
        ("a".to_owned(), Decision::Fail, None),
        ("b".to_owned(), Decision::Pass, None),
        ("a".to_owned(), Decision::Pass, Some(Decision::Fail)),
        ("a".to_owned(), Decision::Review, Some(Decision::Pass)),
    ];
    assert_eq!(told, expected);
    for (n, event) in all.iter().enumerate() {
        assert_eq!(store.events(event.place, at(10).wall, 9, None).await.unwrap(), all[n + 1..]);
    }
    assert_eq!(store.events(Place::default(), at(2).wall, 9, None).await.unwrap(), all[..2]);
    assert_eq!(store.events(Place::default(), at(10).wall, 3, None).await.unwrap(), all[..3]);
    assert!(store.events(Place::default(), at(10).wall, 9, Some("eu".to_owned())).await.unwrap().is_empty());
}
