//! Erasure down to the bytes: what was erased is in no file of the data folder.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use futures_util::future::join_all;

use super::tests::open_in;
use super::*;
use crate::contract::{at, key, request, scored, session, settlement};
use crate::{MemberOutcome, NewSession};
use playproof_domain::batch::Trigger;

/// Of every identifier here.
const LENGTH: usize = 22;

/// Telemetry with a run of bytes that nothing else has.
fn marked(id: &str) -> NewSession {
    let record = format!("<telemetry of {id}>").bytes().cycle().take(2_400).collect();
    NewSession { record, user_id: Some(format!("<user of {id}>")), ..session(id, at(0)) }
}

/// How often each session's identifier is in the folder's files, be it as key, in its user or in its telemetry.
fn traces(folder: &Path) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let bytes = fs::read(file.path()).unwrap();
        for place in 0..bytes.len().saturating_sub(LENGTH - 1) {
            if bytes[place] == b's' && bytes[place..].starts_with(b"session-") {
                let id = String::from_utf8_lossy(&bytes[place..place + LENGTH]).into_owned();
                *found.entry(id).or_default() += 1;
            }
        }
    }
    found
}

/// How often each session's user is in the database.
fn users(folder: &Path) -> HashMap<String, usize> {
    let bytes = fs::read(folder.join(DATABASE)).unwrap();
    let start = b"<user of ";
    let mut found = HashMap::new();
    for place in 0..bytes.len() - LENGTH - start.len() {
        if bytes[place] == b'<' && bytes[place..].starts_with(start) {
            let id = &bytes[place + start.len()..place + start.len() + LENGTH];
            *found.entry(String::from_utf8_lossy(id).into_owned()).or_default() += 1;
        }
    }
    found
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|i| format!("session-{i:05}-{:08x}", i.wrapping_mul(0x9e37_79b9))).collect()
}

/// Whether what should be in no file is in none.
fn assert_untraced<'a>(folder: &Path, erased: impl IntoIterator<Item = &'a String>) {
    let traces = traces(folder);
    let left: Vec<_> = erased.into_iter().filter_map(|id| Some((id, traces.get(id)?))).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Puts every waiting session through batches whose errors differ in length, so that rows grow and pages move.
async fn churn(store: &SqliteStore, rounds: u64) {
    let mut place = 0;
    for round in 0..rounds {
        let mut batches = Vec::new();
        for trigger in [Trigger::Manual, Trigger::Retry] {
            while let Some(batch) = store.claim(request(trigger, 37), at(10 * round + 9)).await.unwrap() {
                batches.push(batch);
            }
        }
        for batch in batches {
            let outcomes = batch.members.iter().map(|member| {
                place += 1;
                let error = "e".repeat(place * 7919 % 3_000);
                let not_before = at(10 * round + 10).wall;
                let again = MemberOutcome::Retry { not_before, counts: true, max_attempts: 9, error };
                (member.seq, if place % 5 == 0 { scored(1.0) } else { again })
            });
            store.settle(batch.lease, settlement(outcomes.collect()), at(10 * round + 9)).await.unwrap();
        }
    }
}

async fn lived_in(store: &SqliteStore, count: u32, record: usize) -> Vec<String> {
    let ids = names(count);
    let new = |id: &String| {
        let mut new = marked(id);
        new.record.truncate(record);
        new
    };
    let accepted = join_all(ids.iter().map(|id| store.accept(new(id)))).await;
    assert!(accepted.iter().all(Result::is_ok));
    churn(store, 4).await;
    ids
}

#[tokio::test]
async fn an_erased_session_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 1_000, 2_400).await;
    assert!(traces(folder.path()).len() >= ids.len(), "the search finds what is there");
    let erased: Vec<&String> = ids.iter().step_by(97).collect();
    for id in &erased {
        assert!(store.erase_session(key(id), at(99)).await.unwrap());
    }
    assert_untraced(folder.path(), erased);
}

#[tokio::test]
async fn moved_rows_leave_no_trace_of_what_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 2_000, 300).await;
    store.writer.outside(WriterState::empty_log).await.unwrap();
    // A user is in the session's row; what is there more often was left behind by a row that moved.
    let users = users(folder.path());
    let erased: Vec<&String> = ids.iter().filter(|id| users[*id] > 1).take(60).collect();
    assert!(!erased.is_empty(), "no row has moved, so this test shows nothing");
    for id in &erased {
        assert_eq!(store.erase_user(None, format!("<user of {id}>"), at(99)).await.unwrap(), 1);
    }
    assert_untraced(folder.path(), erased.iter().copied());
    let left = traces(folder.path());
    for id in ids.iter().filter(|id| !erased.contains(id)) {
        crate::contract::found(&store, id).await;
        assert!(left.contains_key(id), "{id} is still there");
    }
    drop(store);
    let connection = connect(&folder.path().join(DATABASE), WRITER_CACHE_KIB).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn clearing_leaves_no_session_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 300, 2_400).await;
    store.clear(at(99)).await.unwrap();
    assert_untraced(folder.path(), &ids);
}
