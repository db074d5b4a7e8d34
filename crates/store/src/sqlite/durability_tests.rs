//! An answer means "on disk": when it leaves, what a commit syncs, and what becomes of a commit that fails.

use std::pin::pin;
use std::sync::mpsc::channel;

use futures_util::FutureExt as _;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tokio::sync::mpsc::unbounded_channel;

use super::tests::{crash, open_in};
use super::*;
use crate::contract::{at, claim, final_session, found, key, scored, session, settlement, submit, verdict};
use crate::{Lookup, StoreError};
use playproof_domain::result::Decision;

#[tokio::test]
async fn every_commit_is_synced_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let settings = |state: &mut WriterState| {
        let read = |name: &str| state.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let journal: String = state.connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
        let mut options = state.connection.prepare("PRAGMA compile_options")?;
        let options: Result<Vec<String>, _> = options.query_map([], |row| row.get(0))?.collect();
        let synced = (read("synchronous")?, read("fullfsync")?, read("checkpoint_fullfsync")?);
        Ok((journal, synced, options?))
    };
    let (journal, synced, options) = store.writer.outside(settings).await.unwrap();
    // 2 is FULL: the log is synced at each commit. NORMAL leaves that to the next checkpoint, OFF to the system.
    assert_eq!((journal.as_str(), synced), ("wal", (2, 1, 1)));
    assert!(!options.iter().any(|option| option == "NO_SYNC" || option == "DISABLE_DIRSYNC"), "{options:?}");
}

/// Runs `work` and holds its commit: nobody has been answered by then, and nothing can be seen of it.
async fn is_answered_after_its_commit<T: std::fmt::Debug>(
    store: &SqliteStore,
    id: &str,
    work: impl Future<Output = StoreResult<T>>,
) {
    let before = store.session(key(id)).await.unwrap();
    let (reached, mut at_commit) = unbounded_channel();
    let (go, wait) = channel::<()>();
    let hold = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(statement, _) = event
            && statement.sql() == "COMMIT"
        {
            let _ = reached.send(());
            let _ = wait.recv();
        }
    };
    let listen =
        |state: &mut WriterState| Ok(state.connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(hold))?);
    store.writer.outside(listen).await.unwrap();
    let mut work = pin!(work);
    tokio::select! {
        biased;
        answer = &mut work => panic!("answered before its commit: {answer:?}"),
        Some(()) = at_commit.recv() => {}
    }
    assert_eq!(store.session(key(id)).await.unwrap(), before);
    assert!((&mut work).now_or_never().is_none(), "answered before its commit");
    drop(go);
    work.await.unwrap();
    assert_ne!(store.session(key(id)).await.unwrap(), before);
    let silence = |state: &mut WriterState| {
        Ok(state.connection.trace_v2::<fn(TraceEvent<'_>)>(TraceEventCodes::empty(), None)?)
    };
    store.writer.outside(silence).await.unwrap();
}

#[tokio::test]
async fn an_answer_leaves_when_its_commit_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    is_answered_after_its_commit(&store, "queued", store.accept(session("queued", at(0)))).await;
    let at_once = final_session("at-once", verdict(Decision::Pass, 1.0), at(0));
    is_answered_after_its_commit(&store, "at-once", store.accept(at_once)).await;
    let batch = claim(&store, 1, at(1)).await;
    let outcomes = settlement(vec![(batch.members[0].seq, scored(1.0))]);
    is_answered_after_its_commit(&store, "queued", store.settle(batch.lease, outcomes, at(2))).await;
    is_answered_after_its_commit(&store, "queued", store.erase_session(key("queued"), at(3))).await;
}

#[tokio::test]
async fn a_commit_that_fails_acknowledges_nobody_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    // A deferred constraint is looked at by COMMIT itself, as a disk's error would be met there.
    let deferred = "PRAGMA foreign_keys = ON; CREATE TABLE parents (id INTEGER PRIMARY KEY); \
                    CREATE TABLE children (parent REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
    store.writer.outside(|state| Ok(state.connection.execute_batch(deferred)?)).await.unwrap();
    let (go, wait) = channel::<()>();
    let hold = move |_: &mut WriterState| {
        let _ = wait.recv();
        Ok(())
    };
    let spoil = |state: &mut WriterState| Ok(state.connection.execute("INSERT INTO children VALUES (7)", [])?);
    // In the writer's queue in this order, so that the two pieces of work are one group.
    let (held, good, spoilt, ()) = tokio::join!(
        store.writer.outside(hold),
        store.accept(session("good", at(0))),
        store.writer.execute(spoil),
        async { drop(go) }
    );
    held.unwrap();
    for answer in [good.map(drop), spoilt.map(drop)] {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    let left = crash(folder.path());
    for store in [&store, &open_in(left.path())] {
        assert_eq!(store.session(key("good")).await.unwrap(), Lookup::Unknown);
        assert_eq!(store.snapshot().await.unwrap().counts.accepted, 0);
    }
    submit(&store, session("good", at(1))).await;
    found(&store, "good").await;
}
