//! Erasure down to the bytes: what was erased is in no file of the data folder.

use std::fs;
use std::path::Path;

use super::tests::open_in;
use super::*;
use crate::store::NewSession;
use crate::store::contract::{at, claim, claim_retry, key, retry, scored, session, settlement, submit};

/// Telemetry with a run of bytes that nothing else has.
fn marked(id: &str) -> NewSession {
    let record = format!("<telemetry of {id}>").bytes().cycle().take(2_400).collect();
    NewSession { record, user_id: Some(format!("<user of {id}>")), ..session(id, at(0)) }
}

/// The files that hold `text`, and how often.
fn holding(folder: &Path, text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let bytes = fs::read(file.path()).unwrap();
        let times = bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
        if times > 0 {
            found.push((file.file_name().to_string_lossy().into_owned(), times));
        }
    }
    found
}

/// Sessions in every state, whose rows grew and whose pages moved while they went through batches.
async fn lived_in(store: &SqliteStore, count: usize) -> Vec<String> {
    let ids: Vec<String> = (0..count).map(|i| format!("session-{i:05}-{:08x}", i.wrapping_mul(0x9e37_79b9))).collect();
    for (i, id) in ids.iter().enumerate() {
        submit(store, marked(id)).await;
        if i % 50 == 49 {
            let batch = claim(store, 40, at(1)).await;
            let outcomes =
                batch.members.iter().enumerate().map(|(place, member)| {
                    (member.seq, if place % 3 == 0 { retry(at(2), true, 9) } else { scored(1.0) })
                });
            store.settle(batch.lease, settlement(outcomes.collect()), at(2)).await.unwrap();
        }
    }
    let retried = claim_retry(store, u32::MAX, at(3)).await.unwrap();
    let outcomes = retried.members.iter().map(|member| (member.seq, scored(2.0))).collect();
    store.settle(retried.lease, settlement(outcomes), at(4)).await.unwrap();
    ids
}

fn traces(folder: &Path, ids: &[&String]) -> Vec<String> {
    let mut traces = Vec::new();
    for id in ids {
        for text in [(*id).clone(), format!("<user of {id}>"), format!("<telemetry of {id}>")] {
            for (file, times) in holding(folder, &text) {
                traces.push(format!("{text} is {times} times in {file}"));
            }
        }
    }
    traces
}

#[tokio::test]
async fn an_erased_session_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 600).await;
    assert!(!traces(folder.path(), &[&ids[77]]).is_empty(), "the search finds what is there");
    let erased: Vec<&String> = ids.iter().step_by(7).collect();
    for id in &erased {
        assert!(store.erase_session(key(id), at(9)).await.unwrap());
    }
    assert_eq!(traces(folder.path(), &erased), [""; 0]);
}

#[tokio::test]
async fn an_erased_user_is_in_no_file_and_the_rest_is_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 300).await;
    let erased: Vec<&String> = ids.iter().skip(40).take(40).collect();
    for id in &erased {
        assert_eq!(store.erase_user(None, format!("<user of {id}>"), at(9)).await.unwrap(), 1);
    }
    assert_eq!(traces(folder.path(), &erased), [""; 0]);
    for id in ids.iter().filter(|id| !erased.contains(id)) {
        crate::store::contract::found(&store, id).await;
        assert!(!holding(folder.path(), &format!("<telemetry of {id}>")).is_empty());
    }
}

#[tokio::test]
async fn clearing_leaves_no_session_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path());
    let ids = lived_in(&store, 200).await;
    store.clear(at(9)).await.unwrap();
    assert_eq!(traces(folder.path(), &ids.iter().collect::<Vec<_>>()), [""; 0]);
}
