//! The audit log keeps what was managed, in order, whoever writes.

use crate::Store;
use crate::audit::{Chain, Entry, NewEntry};
use crate::testing::*;
use playproof_domain::time::Timestamp;

fn entry(n: i64) -> NewEntry {
    NewEntry {
        at: Timestamp(n),
        actor: "cafe".to_owned(),
        action: format!("thing.{n}"),
        target: String::new(),
        detail: r#"{"n":1}"#.to_owned(),
    }
}

fn whole(newest_first: &[Entry]) {
    let mut chain = Chain::default();
    newest_first.iter().rev().for_each(|entry| chain.follow(entry).unwrap());
}

pub(crate) async fn entries_are_chained_in_the_order_of_writing(store: &dyn Store) {
    for n in 0..5 {
        store.record(entry(n)).await.unwrap();
    }
    let all = store.audit(None, 10).await.unwrap();
    assert_eq!(all.iter().map(|e| (e.id, e.entry.clone())).collect::<Vec<_>>()[0], (5, entry(4)));
    whole(&all);
    assert_eq!(store.audit(Some(4), 2).await.unwrap(), all[2..4]);
}

pub(crate) async fn entries_written_at_once_make_one_chain(store: &dyn Store) {
    let writes = (0..20).map(|n| store.record(entry(n)));
    futures_util::future::join_all(writes).await.into_iter().for_each(|written| written.unwrap());
    let all = store.audit(None, 100).await.unwrap();
    assert_eq!(all.len(), 20);
    whole(&all);
}

pub(crate) async fn the_log_outlives_clearing(store: &dyn Store) {
    store.record(entry(0)).await.unwrap();
    submit(store, session("a", at(0))).await;
    store.clear(at(1)).await.unwrap();
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn pseudonyms_are_stable_and_name_nobody(store: &dyn Store) {
    let of = |id: &str| store.session_pseudonym(&key(id));
    assert_eq!(of("a"), of("a"));
    assert!(of("a") != of("b") && of("alice") != store.user_pseudonym("alice"));
    assert!(of("alice").len() == 32 && !store.user_pseudonym("alice").contains("alice"));
}
