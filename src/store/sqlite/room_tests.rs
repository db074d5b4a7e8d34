//! Too little room: nothing is acknowledged that is not kept, everyone is told, and intake resumes by itself.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;

use super::tests::{ROOMY, crash, open_in, settings};
use super::*;
use crate::domain::result::Decision;
use crate::store::contract::{at, claim, counts, final_session, found, key, session, settle_all, submit, verdict};
use crate::store::{Acceptance, Lookup, NewSession};

const TELEMETRY_BYTES: usize = 2_400;

fn large(id: &str) -> NewSession {
    NewSession { record: id.bytes().cycle().take(TELEMETRY_BYTES).collect(), ..session(id, at(0)) }
}

/// Offers sessions at the same time; the identifiers that were acknowledged, and what the others were told.
async fn offer(store: &SqliteStore, names: &[String]) -> (BTreeSet<String>, Vec<StoreError>) {
    let answers = join_all(names.iter().map(|id| store.accept(large(id)))).await;
    let mut accepted = BTreeSet::new();
    let mut refused = Vec::new();
    for (id, answer) in names.iter().zip(answers) {
        match answer {
            Ok(Acceptance::New(_)) => drop(accepted.insert(id.clone())),
            Ok(other) => panic!("{id}: {other:?}"),
            Err(error) => refused.push(error),
        }
    }
    (accepted, refused)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{prefix}{i}")).collect()
}

/// Exactly the acknowledged sessions are there, also for whoever opens the store after a crash.
async fn keeps_exactly(store: &SqliteStore, folder: &Path, accepted: &BTreeSet<String>, offered: &[String]) {
    let left = crash(folder);
    let survivor = open_in(left.path());
    for store in [store, &survivor] {
        assert_eq!(counts(store).await.accepted, accepted.len() as u64);
        for id in offered {
            let lookup = store.session(key(id)).await.unwrap();
            assert_eq!(matches!(lookup, Lookup::Found(_)), accepted.contains(id), "{id}");
        }
    }
}

/// Lets the file have so many more pages; SQLite then says "disk full" in the middle of a group, as it does where the
/// disk ends.
async fn pages_left(store: &SqliteStore, pages: i64) {
    let limit = move |state: &mut WriterState| {
        let used: i64 = state.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let limit = used.saturating_add(pages);
        let sql = format!("PRAGMA max_page_count = {limit}");
        Ok(state.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(drop)?)
    };
    store.writer.outside(limit).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let mut offered = names("before", 60);
    let (mut accepted, refused) = offer(&store, &offered).await;
    assert!(refused.is_empty());

    pages_left(&store, 10).await;
    for round in 0..4 {
        let more = names(&format!("full{round}-"), 100);
        let (taken, refused) = offer(&store, &more).await;
        assert_eq!(taken.len() + refused.len(), 100);
        assert!(round == 0 || !refused.is_empty());
        for error in refused {
            assert!(matches!(&error, StoreError::Full(why) if why.contains("resumes by itself")), "{error:?}");
        }
        offered.extend(more);
        accepted.extend(taken);
    }
    keeps_exactly(&store, folder.path(), &accepted, &offered).await;
    let all = claim(&store, u32::MAX, at(1)).await;
    assert_eq!(all.members.len(), accepted.len(), "what was acknowledged can still be claimed");

    pages_left(&store, 1_000_000).await;
    let (taken, refused) = offer(&store, &names("after", 100)).await;
    assert_eq!((taken.len(), refused.len()), (100, 0), "without being opened again");
    store.health().await.unwrap();
}

#[tokio::test]
async fn the_stores_own_limit_holds_and_recovers_when_something_goes() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 6 << 18;
    let room = CapacityLimits { store_limit: Some(limit), ..ROOMY };
    let store = SqliteStore::open(&settings(folder.path(), room), at(0).wall).unwrap();
    let (mut offered, mut accepted) = (Vec::new(), BTreeSet::new());
    // The limit is looked at now and then, so that a burst may pass it by what fits into the interval.
    let refused = loop {
        let more = names(&format!("r{}-", offered.len()), 50);
        let (taken, refused) = offer(&store, &more).await;
        offered.extend(more);
        accepted.extend(taken);
        if !refused.is_empty() {
            break refused;
        }
        let recheck = |state: &mut WriterState| {
            state.recheck_room();
            Ok(())
        };
        store.writer.outside(recheck).await.unwrap();
        assert!(offered.len() < 10_000, "the limit was never felt");
    };
    for error in refused {
        assert!(matches!(&error, StoreError::Full(why) if why.contains("PLAYPROOF_STORE_LIMIT")), "{error:?}");
    }
    assert!(matches!(store.health().await, Err(StoreError::Full(_))));
    keeps_exactly(&store, folder.path(), &accepted, &offered).await;
    assert!(matches!(store.accept(large(&offered[0])).await.unwrap(), Acceptance::Duplicate(_)), "known all the same");

    // Work goes on, and the oldest finished telemetry makes room whatever its age.
    let batch = claim(&store, 200, at(1)).await;
    settle_all(&store, &batch, crate::store::contract::scored(1.0), at(2)).await.unwrap();
    let year = Duration::from_secs(365 * 86_400);
    let retention = Retention { results: year, telemetry: year, telemetry_flagged: year };
    assert!(store.prune(retention, at(3).wall).await.unwrap().telemetry >= 200);
    store.health().await.unwrap();
    submit(&store, large("room-again")).await;
    assert!(found(&store, &offered[0]).await.result.is_some(), "results stay");
}

#[tokio::test]
async fn a_disk_with_too_little_free_refuses_intake() {
    let folder = tempfile::tempdir().unwrap();
    let room = CapacityLimits { min_free_disk: u64::MAX, ..ROOMY };
    let store = SqliteStore::open(&settings(folder.path(), room), at(0).wall).unwrap();
    let refused = store.accept(session("a", at(0))).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Full(why) if why.contains("PLAYPROOF_MIN_FREE_DISK")), "{refused:?}");
    assert_eq!(counts(&store).await.accepted, 0);
}

#[tokio::test]
async fn one_piece_of_work_that_cannot_be_done_does_not_sink_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let mut impossible = final_session("impossible", verdict(Decision::Pass, 1.0), at(0));
    // The engine refuses it in the middle of its transaction, after the session's own row was written.
    impossible.first.verdict.confidence = f64::NAN;
    let good = names("good", 100);
    let before = good[..50].iter().map(|id| store.accept(session(id, at(0))));
    let after = good[50..].iter().map(|id| store.accept(session(id, at(0))));
    let (before, bad, after) = tokio::join!(join_all(before), store.accept(impossible), join_all(after));
    assert!(matches!(bad, Err(StoreError::Unavailable(_))), "{bad:?}");
    assert!(before.iter().chain(&after).all(|answer| matches!(answer, Ok(Acceptance::New(_)))));
    assert_eq!(counts(&store).await.ready, 100);
    assert_eq!(store.session(key("impossible")).await.unwrap(), Lookup::Unknown);
}

#[tokio::test]
async fn waiters_hear_of_a_neighbour_of_work_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let mut impossible = session("impossible", at(0));
    impossible.first.latency_ms = f64::NAN;
    let told = store.ready().notified();
    let (good, bad) = tokio::join!(store.accept(session("good", at(0))), store.accept(impossible));
    assert!(good.is_ok() && bad.is_err());
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("told of the good one");
}
