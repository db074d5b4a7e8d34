//! Whoever watches the node: asks `/health` and `/metrics` at a fixed pace, each time over a new connection.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::histogram::Histogram;
use super::super::load::Target;

/// Between two questions.
const INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait for an answer; it then counts as missing, and as so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// What came of the questions to one path.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) latency: Histogram,
    pub(super) slowest: Duration,
    pub(super) unanswered: u64,
}

/// Asks `path` for `lasting`; a slow answer delays no other question. Runs in a [`tokio::task::LocalSet`].
pub(super) async fn watch(target: Target, path: &'static str, lasting: Duration) -> Watched {
    let target = Rc::new(target);
    let unanswered = Rc::new(Cell::new(0));
    let deadline = Instant::now() + lasting;
    let mut tick = tokio::time::interval(INTERVAL);
    let mut questions = Vec::new();
    while Instant::now() < deadline {
        tick.tick().await;
        let (target, unanswered) = (Rc::clone(&target), Rc::clone(&unanswered));
        questions.push(tokio::task::spawn_local(async move {
            let asked = Instant::now();
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, target.get_text(path)).await;
            if !matches!(answer, Ok(Ok(_))) {
                unanswered.set(unanswered.get() + 1);
            }
            asked.elapsed()
        }));
    }
    let mut watched = Watched::default();
    for question in questions {
        if let Ok(latency) = question.await {
            watched.latency.record(latency);
            watched.slowest = watched.slowest.max(latency);
        }
    }
    watched.unanswered = unanswered.get();
    watched
}
