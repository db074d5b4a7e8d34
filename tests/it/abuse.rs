//! Neither a backlog, nor a restart, nor a bulk upload switches the comparison of sessions off.

use playproof_batch::generator::{self, Family, Shape};
use serde_json::Value;

use crate::clients::{all_results, bulk, compared, finish, get};
use crate::process::{Place, Process, on_both_stores};

const STOPPED: [(&str, &str); 1] = [("PLAYPROOF_SCHEDULER_AUTOSTART", "false")];

on_both_stores!(replays_behind_a_backlog_are_found);

/// A line with the movement number `n` under the identifier `name`.
fn line(n: usize, name: &str) -> String {
    let movement = generator::generate(Family::WindMouse, n as u64, Shape { movements: Some(300) });
    let mut session: Value = serde_json::from_slice(&generator::to_json(&movement, true)).unwrap();
    session["sessionId"] = name.into();
    session["userId"] = format!("user-of-{name}").into();
    format!("{session}\n")
}

fn lines(count: usize, name: &str) -> String {
    (0..count).map(|n| line(n, &format!("{name}-{n}"))).collect()
}

/// How many of the copies are told to be replays.
async fn found(url: &str, copies: usize) -> usize {
    finish(url).await;
    compared(url).await;
    let results = all_results(url).await;
    let is_found = |n: &usize| {
        let result = results.get(&format!("copy-{n}"));
        result.is_some_and(|result| result["reasons"].to_string().contains("replayed_movement"))
    };
    (0..copies).filter(is_found).count()
}

async fn replays_behind_a_backlog_are_found(place: Place) {
    let node = Process::on(&place.url, &STOPPED);
    bulk(&node.url, "?report=refused", lines(180, "original")).await;
    bulk(&node.url, "?report=refused", lines(20, "copy")).await;
    assert_eq!(get(&node.url, "/api/v1/batch/stats").await["queue"]["unprocessed"], 200);
    assert_eq!(found(&node.url, 20).await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_in_a_bulk_upload_are_found_after_a_kill_with_all_of_it_queued() {
    const ORIGINALS: usize = 12_100;
    const COPIES: usize = 900;
    let place = Place::embedded();
    let node = Process::on(&place.url, &STOPPED);
    let answers = bulk(&node.url, "?report=refused", lines(ORIGINALS, "original") + &lines(COPIES, "copy")).await;
    assert_eq!(answers.last().unwrap()["summary"]["accepted"], ORIGINALS + COPIES);
    node.kill();
    let node = Process::on(&place.url, &STOPPED);
    let found = found(&node.url, COPIES).await;
    assert!(found >= COPIES * 95 / 100, "{found} of {COPIES}");
}
