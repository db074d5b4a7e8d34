//! Decisions counted by time equal a recount, as they age too. That every other test's counts do is checked at its end.

use std::time::Duration;

use futures_util::future::join_all;

use crate::buckets::{BucketQuery, ReviewBacklog};
use crate::decisions::{Cause, Revision};
use crate::labels::{Label, Truth};
use crate::testing::*;
use crate::{NewSession, Store};
use playproof_domain::id::Seq;
use playproof_domain::reason::{Reason, Reasons};
use playproof_domain::result::{Decided, Decision};
use playproof_domain::time::{Now, Timestamp};
use playproof_domain::trend::{DeviceClass, Facet, Tally};

const HOUR: u64 = 3_600;
const MS: i64 = 1_000;

/// Begin of the hour of the tests' beginning.
fn hour(after: i64) -> Timestamp {
    let begin = at(0).wall.0;
    Timestamp(begin - begin % 3_600_000 + after * 3_600_000)
}

fn hours(since: i64, until: i64, step_ms: i64) -> BucketQuery {
    BucketQuery { since: hour(since), until: hour(until), step_ms, deployment: None }
}

fn pass(pass: u64) -> Tally {
    Tally { pass, ..Tally::default() }
}

fn to(seq: Seq, earlier: Decision, later: Decision, cause: Cause) -> Revision {
    let decided = Decided { decision: later, confidence: 0.625, reasons: Reasons::from_iter([Reason::OutsidePeople]) };
    Revision { seq, earlier, decided, cause, detail: "{}".to_owned() }
}

fn in_eu(id: &str, now: Now) -> NewSession {
    NewSession { key: key_in("eu", id), device_type: "touch".to_owned(), ..session(id, now) }
}

pub(crate) async fn what_is_decided_is_counted_by_time_and_by_what_it_has_in_common(store: &dyn Store) {
    let one = process(store, session("one", at(0)), verdict(Decision::Pass, 1.0), at(0)).await;
    process(store, in_eu("two", at(0)), verdict(Decision::Fail, 9.5), at(HOUR)).await;
    let odd = NewSession {
        device_type: "Theremin".to_owned(),
        ..final_session("odd", verdict(Decision::Review, 2.0), at(HOUR))
    };
    submit(store, odd).await;
    submit(store, session("waits", at(HOUR))).await;

    let told = store.buckets(hours(1, 2, 3_600_000)).await.unwrap();
    assert_eq!((told.now, told.before), (Tally { review: 1, fail: 1, pass: 0 }, pass(1)));
    let step = |deployment: &str, tally| (hour(1), deployment.to_owned(), tally);
    let (review, fail) = (Tally { review: 1, ..Tally::default() }, Tally { fail: 1, ..Tally::default() });
    assert_eq!(told.steps, [step("", review), step("eu", fail)]);
    let of = |facet: Facet| {
        let found = told.facets.iter().find(|one| one.facet == facet);
        found.map(|one| (one.now, one.before)).unwrap_or_default()
    };
    assert_eq!(of(Facet::Device(DeviceClass::Mouse)), (Tally::default(), pass(1)));
    assert_eq!(of(Facet::Device(DeviceClass::Touch)), (fail, Tally::default()));
    assert_eq!(of(Facet::Device(DeviceClass::Other)), (review, Tally::default()));
    assert_eq!(of(Facet::Reason(Reason::UnlikeHumans)), (told.now, pass(1)));
    assert_eq!(of(Facet::Model(verdict(Decision::Pass, 1.0).model)), (told.now, pass(1)));

    store.revise(vec![to(one, Decision::Pass, Decision::Fail, Cause::Thresholds)], at(9 * HOUR).wall).await.unwrap();
    let told = store.buckets(hours(1, 2, 3_600_000)).await.unwrap();
    assert_eq!(told.before, fail, "a decision is counted when it was made, as it stands");
    let reasons: Vec<&Facet> = told.facets.iter().filter(|one| one.before == fail).map(|one| &one.facet).collect();
    assert!(reasons.contains(&&Facet::Reason(Reason::OutsidePeople)), "{reasons:?}");
    store.erase_session(key("one"), at(9 * HOUR)).await.unwrap();
    assert_eq!(store.buckets(hours(1, 2, 3_600_000)).await.unwrap().before, Tally::default());
}

pub(crate) async fn a_deployment_sees_its_own_counts(store: &dyn Store) {
    process(store, session("one", at(0)), verdict(Decision::Pass, 1.0), at(0)).await;
    process(store, in_eu("two", at(0)), verdict(Decision::Fail, 9.5), at(1)).await;
    let own = BucketQuery { deployment: Some("eu".to_owned()), ..hours(0, 1, 300_000) };
    let told = store.buckets(own).await.unwrap();
    assert_eq!((told.now.total(), told.now.fail), (1, 1));
    assert!(told.facets.iter().all(|one| one.now.pass == 0), "{told:?}");
    let none = BucketQuery { deployment: Some("none".to_owned()), ..hours(0, 1, 300_000) };
    assert_eq!(store.buckets(none).await.unwrap(), crate::buckets::Buckets::default());
}

pub(crate) async fn old_buckets_are_added_up_and_forgotten(store: &dyn Store) {
    let mut seqs = Vec::new();
    for step in 0..40 {
        let now = at(step * 7 * HOUR);
        let decision = Decision::ALL[usize::try_from(step % 3).unwrap()];
        seqs.push(process(store, session(&format!("s{step}"), now), verdict(decision, 1.0), now).await);
    }
    let day = 24 * HOUR;
    let keep = Duration::from_secs(400 * day);
    let (week, all) = (hours(48, 72, 3_600_000), counted(store).await);
    let before = store.buckets(week.clone()).await.unwrap();
    let fold = async |now: Now| while store.fold_buckets(keep, now.wall).await.unwrap() {};
    fold(at(12 * day)).await;
    assert_eq!(store.buckets(week.clone()).await.unwrap(), before, "hours are told as they were");
    // What is revised and erased late is counted in its own bucket, and added up later.
    store.revise(vec![to(seqs[7], Decision::Review, Decision::Fail, Cause::Model)], at(13 * day).wall).await.unwrap();
    store.erase_session(key("s8"), at(13 * day)).await.unwrap();
    let changed = store.buckets(week.clone()).await.unwrap();
    assert_eq!(changed.now.total() + 1, before.now.total());
    counts(store).await;
    fold(at(14 * day)).await;
    assert_eq!(store.buckets(week).await.unwrap(), changed);
    fold(at(60 * day)).await;
    counts(store).await;
    assert_eq!(counted(store).await["all"].total() + 1, all["all"].total());
    fold(at(500 * day)).await;
    assert_eq!(counted(store).await["all"], Tally::default(), "their retention is over");
    store.revise(vec![to(seqs[1], Decision::Review, Decision::Fail, Cause::Model)], at(500 * day).wall).await.unwrap();
    store.clear(at(500 * day)).await.unwrap();
    let left = counted(store).await;
    assert!(left.values().all(|tally| tally.total() == 0), "nothing is counted below zero: {left:?}");
}

pub(crate) async fn many_at_once_are_counted_exactly(store: &dyn Store) {
    let work = async |part: u64| {
        for i in 0..12 {
            let id = format!("{part}-{i}");
            let decision = Decision::ALL[usize::try_from((part + i) % 3).unwrap()];
            let seq = submit(store, final_session(&id, verdict(decision, 1.0), at(i * 100))).await;
            match i % 4 {
                0 => drop(store.erase_session(key(&id), at(2_000)).await.unwrap()),
                1 => {
                    let later = to(seq, decision, Decision::Fail, Cause::Thresholds);
                    store.revise(vec![later], at(2_000).wall).await.unwrap();
                }
                2 => {
                    let (note, actor, at) = (String::new(), "key".to_owned(), at(2_000).wall);
                    let label = Label { truth: Truth::Bot, note, actor, at, campaign: None };
                    let revision = to(seq, decision, Decision::Fail, Cause::Label);
                    store.label(seq, Some(label), Some(revision), at).await.unwrap();
                }
                _ => drop(
                    store.fold_buckets(Duration::from_secs(400 * 24 * HOUR), at(60 * 24 * HOUR).wall).await.unwrap(),
                ),
            }
        }
    };
    join_all((0..8).map(work)).await;
    assert_eq!(counts(store).await.processed, 8 * 9);
}

pub(crate) async fn the_backlog_of_reviews_and_labelled_results_are_told(store: &dyn Store) {
    assert_eq!(store.review_backlog(None, 9).await.unwrap(), ReviewBacklog::default());
    for (i, id) in ["a", "b", "c"].into_iter().enumerate() {
        let now = at(i as u64);
        process(store, session(id, now), verdict(Decision::Review, 2.0), now).await;
    }
    process(store, in_eu("d", at(9)), verdict(Decision::Review, 2.0), at(9)).await;
    let backlog = |waiting, is_more, oldest| ReviewBacklog { waiting, is_more, oldest: Some(at(oldest).wall) };
    let of =
        async |deployment: Option<&str>, most| store.review_backlog(deployment.map(str::to_owned), most).await.unwrap();
    assert_eq!(of(None, 9).await, backlog(4, false, 0));
    assert_eq!(of(None, 2).await, backlog(2, true, 0), "no more than asked are looked at");
    assert_eq!(of(Some("eu"), 9).await, backlog(1, false, 9));

    let recent =
        async |deployment: Option<&str>, most| store.recent_scores(deployment.map(str::to_owned), most).await.unwrap();
    assert_eq!(recent(None, 2).await, [(at(9).wall, Some(1.0)), (at(2).wall, Some(1.0))], "the newest first");
    assert_eq!(recent(Some("eu"), 9).await, [(at(9).wall, Some(1.0))]);
    assert_eq!(recent(Some(""), 9).await.len(), 3);

    let seq = found(store, "b").await.seq;
    let (note, actor) = (String::new(), "key".to_owned());
    let label = Label { truth: Truth::Human, note, actor, at: at(20).wall, campaign: None };
    let revision = to(seq, Decision::Review, Decision::Pass, Cause::Label);
    store.label(seq, Some(label), Some(revision), at(20).wall).await.unwrap();
    assert_eq!(of(None, 9).await.waiting, 3);
    let labelled = store.labelled(at(20).wall, None).await.unwrap();
    assert_eq!(labelled.len(), 1);
    let one = &labelled[0];
    assert_eq!((one.truth, one.decided, one.device), (Truth::Human, Decision::Review, DeviceClass::Mouse));
    assert_eq!((one.score, one.labelled_at), (Some(1.0), at(20).wall));
    assert!(store.labelled(Timestamp(at(20).wall.0 + MS), None).await.unwrap().is_empty());
    assert!(store.labelled(at(0).wall, Some("eu".to_owned())).await.unwrap().is_empty());
}
