//! The fault matrix: every failure mode of the service that a client can meet, a thousand sessions each, over real
//! sockets. Whatever the service does, nobody is lost, nobody gets another's score, and no score is invented.
//!
//! `cargo test --test it woodwide::matrix -- --nocapture` prints the table of `docs/reliability.md`.

mod cast;
mod modes;
mod node;

use std::sync::Arc;
use std::time::Duration;

use playproof_batch::config::Generation;
use playproof_batch::detector::Detector;
use tokio::sync::Semaphore;
use woodwide_sim::Entry;

use self::cast::{Cast, SESSIONS};
use self::modes::{Expect, Mode, Until};
pub(crate) use self::node::timing;
use self::node::{Node, Outcome};
use super::rig;

/// Modes at the same time: most of a mode is waiting.
const AT_ONCE: usize = 8;
/// Sessions in a full batch.
const BATCH: u64 = 50;
/// Batches more than if each were full: what came due apart from the others, and what failed on the way.
const SPARE_BATCHES: u64 = 12;
/// Requests that the client may have under way.
const IN_FLIGHT: usize = 2;
/// Within this every session must be final; most take a second.
const BOUND: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_ends_with_every_session_final_and_every_score_its_own() {
    let cast = Arc::new(Cast::new().await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let runs = modes::all().into_iter().map(|mode| {
        let (cast, places, mode) = (Arc::clone(&cast), Arc::clone(&places), Arc::new(mode));
        let running = Arc::clone(&mode);
        let run = tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            run(&cast, &running).await
        });
        (mode, run)
    });
    let runs: Vec<_> = runs.collect();
    println!(
        "| mode | | sessions | Woodwide | fallback | failed | struck | retried | lost | wrong | twice | what the client does |"
    );
    println!("|{}", " --- |".repeat(12));
    let mut faults = Vec::new();
    for (mode, run) in runs {
        match run.await {
            Ok((outcome, unmet)) => {
                println!("{}", line(&mode, &outcome));
                faults.extend(unmet.into_iter().map(|unmet| format!("{} {:?}: {unmet}", mode.id, mode.generation)));
            }
            Err(panicked) => {
                let text = panicked.into_panic().downcast::<String>().map_or_else(|_| "panicked".into(), |text| *text);
                faults.push(format!("{} {:?}: {text}", mode.id, mode.generation));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A line of the table.
fn line(mode: &Mode, outcome: &Outcome) -> String {
    let Outcome { woodwide, fallback, failed, lost, wrong, twice, failed_calls, struck, .. } = outcome;
    let (id, words, failed) = (mode.id, mode.words, failed.len());
    let generation = if mode.generation == Generation::Ga { "GA" } else { "beta" };
    format!(
        "| {id} | {generation} | {SESSIONS} | {woodwide} | {fallback} | {failed} | {struck} | {failed_calls} | {lost} | {wrong} | {twice} | {words} |"
    )
}

/// Most requests that the service had to do with at the same moment.
fn most_at_once<'e>(requests: impl Iterator<Item = &'e Entry>) -> usize {
    let times = requests.map(|entry| {
        let began = entry.at.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        began..began + i64::try_from(entry.millis).unwrap()
    });
    let times: Vec<_> = times.collect();
    times.iter().map(|one| times.iter().filter(|other| other.contains(&one.start)).count()).max().unwrap_or(0)
}

/// One mode from start to end: what became of the sessions, and what of it is not as it must be.
async fn run(cast: &Cast, mode: &Mode) -> (Outcome, Vec<String>) {
    let setup = mode.setup();
    let node = Node::start(cast, mode.generation, &setup, &mode.faults).await;
    let version = node.rig.version.clone();
    let mut unmet = Vec::new();
    let struck = |node: &Node| node.rig.sim.faults().iter().map(|fault| fault.struck).max().unwrap_or(0);
    match mode.until {
        Until::End => {}
        Until::Struck(count) => node.until("the fault strikes", BOUND, |node, _| struck(node) >= count).await,
        Until::Open => {
            node.until("the circuit opens", BOUND, |node, counts| node.circuit_is_open() && counts.leased == 0).await;
        }
    }
    if mode.expect == Expect::Kept {
        // It is left alone but for probes, and goes on failing them.
        let seen = struck(&node);
        node.until("it is probed", BOUND, |node, _| struck(node) >= seen + 3).await;
        let attempts = node.attempts_of_waiting(cast).await;
        if attempts > 0 {
            unmet.push(format!("{attempts} attempts were spent while nobody was to blame"));
        }
        if node.counts().await.failed > 0 {
            unmet.push("sessions failed".to_owned());
        }
    }
    let before = node.rig.sim.requests().last().map_or(0, |entry| entry.number);
    let (waiting, ran) = (node.counts().await.unprocessed(), node.batches().await);
    if mode.until != Until::End {
        node.rig.sim.disarm_all();
    }
    node.until("every session is final", BOUND, |_, counts| counts.unprocessed() == 0).await;
    if mode.expect == Expect::Kept {
        let requests = node.rig.sim.requests();
        let at_once = most_at_once(requests.iter().filter(|entry| entry.number > before));
        if at_once > IN_FLIGHT {
            unmet.push(format!("{at_once} requests at the same time once it was back"));
        }
        // In batches as full as they can be, not session by session.
        let (ran, fewest) = (node.batches().await - ran, waiting.div_ceil(BATCH));
        if ran > fewest + SPARE_BATCHES {
            unmet.push(format!("{ran} batches for {waiting} sessions once it was back"));
        }
    }
    let outcome = node.outcome(cast, mode.generation, &version).await;
    unmet.extend(mode.unmet(&outcome));
    if setup.mendable() {
        // One more good batch, and nothing of ours is left on the service.
        node.rig.sim.disarm_all();
        let mut scored = node.detector.score(&rig::rows(10)).await;
        for _ in 0..2 {
            // What was learned of a service that lied takes another look or two.
            if scored.is_err() {
                scored = node.detector.score(&rig::rows(10)).await;
            }
        }
        let ours = || -> Vec<_> {
            node.rig.sim.dataset_names().into_iter().filter(|name| name.starts_with("playproof-")).collect()
        };
        let mut left = ours();
        let begun = std::time::Instant::now();
        // A probe that the node makes of a service that it takes to be away has its own meanwhile.
        while !left.is_empty() && begun.elapsed() < BOUND {
            tokio::time::sleep(Duration::from_millis(20)).await;
            left = ours();
        }
        if scored.is_err() || !left.is_empty() {
            unmet.push(format!("left behind: {left:?}; the next batch: {:?}", scored.map(|_| ())));
        }
    }
    node.stop().await;
    (outcome, unmet)
}
