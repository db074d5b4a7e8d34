//! Asking until there is an answer: fresh and small datasets answer nothing for a while, which never means "no anomalies".
//!
//! The ladder: the batch as it is; where that stays empty, again with 10, 100 and 1,000 known rows more, beside the
//! earlier ones, which go on being asked, since the reason may be age as well as size. The first answer wins, and the
//! size, time and way that worked are where the next batch starts.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::Scores;
use super::failure::Failure;
use super::layout::Layout;
use super::service::{Question, Service};

/// Known rows added at each rung.
pub(super) const RUNGS: [usize; 4] = [0, 10, 100, 1000];

/// An answer and how it came about.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) layout: Layout,
    pub(super) scores: Scores,
    /// Known rows that were added for size.
    pub(super) top_up: usize,
    /// Whether a service that takes rows with the question answered about a dataset only.
    pub(super) as_dataset: bool,
    /// From the question to its answer.
    pub(super) took: Duration,
}

/// Where to begin, by what worked the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Start {
    pub(super) top_up: usize,
    pub(super) as_dataset: bool,
    pub(super) warm_up: Duration,
}

struct Asked {
    layout: Layout,
    question: Question,
    top_up: usize,
    at: Instant,
}

/// Puts the question, at growing sizes, until one of them is answered or `deadline` comes.
pub(super) async fn ask(
    service: &Service,
    version: &str,
    start: Start,
    deadline: Instant,
    mut make: impl FnMut(usize) -> (Layout, super::table::Table),
) -> Result<Answered, Failure> {
    let mut asked: Vec<Asked> = Vec::new();
    let outcome = climb(service, version, start, deadline, &mut make, &mut asked).await;
    for rung in asked {
        service.forget(rung.question, deadline).await;
    }
    outcome
}

async fn climb(
    service: &Service,
    version: &str,
    start: Start,
    deadline: Instant,
    make: &mut impl FnMut(usize) -> (Layout, super::table::Table),
    asked: &mut Vec<Asked>,
) -> Result<Answered, Failure> {
    let mut rungs = service.rungs(start).into_iter();
    let timing = service.transport.timing;
    let patience = timing.rung.max(start.warm_up * 2);
    let mut pause = timing.ask.0;
    let mut next_rung = Instant::now();
    let mut last = Failure::NotReady("nothing was asked".to_owned());
    loop {
        if Instant::now() >= next_rung
            && let Some((top_up, place)) = rungs.next()
        {
            let (layout, table) = make(top_up);
            let at = Instant::now();
            let question = service.put(table, place, deadline).await?;
            asked.push(Asked { layout, question, top_up, at });
            next_rung = Instant::now() + if asked.len() == 1 { patience } else { timing.rung };
        }
        for rung in asked.iter() {
            match service.poll(&rung.question, version, deadline).await {
                Ok(scores) => {
                    let (layout, took) = (rung.layout.clone(), rung.at.elapsed());
                    let as_dataset = matches!(rung.question, Question::Ga(..));
                    return Ok(Answered { layout, scores, top_up: rung.top_up, as_dataset, took });
                }
                Err(failure @ Failure::NotReady(_)) => last = failure,
                Err(failure) => return Err(failure),
            }
        }
        if Instant::now() + pause >= deadline {
            return Err(last);
        }
        sleep(pause).await;
        pause = (pause * 2).min(timing.ask.1);
    }
}
