//! `GET /api/v1/events`: the service as it stands, once a second, to everybody who listens. What is told is put together
//! once, however many listen; when nobody does, only the counts are looked at, now and then.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::MissedTickBehavior;
use utoipa::ToSchema;

use super::feed::MAX_LISTENERS;
use crate::access::rights::Access;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::queue::nodes::NodeBody;
use crate::http::queue::stats::{DriftState, QueueCounts, SchedulerState, last_processed};
use crate::http::respond::answer::Answer;
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::TooManyListen;
use crate::http::respond::{raw, shapes};
use crate::http::results::list::{ResultItem, item};
use crate::http::state::{Service, Shared};
use crate::operations::overview::{STEP_MS, Trouble, troubles};
use crate::store::{ResultQuery, StoreResult};

const TICK: Duration = Duration::from_secs(1);
/// A listener hears something at least this often, so that a dead connection is noticed.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// What is told when there is nothing to tell; a comment to the reader.
const HEARTBEAT: &str = ": still here\n\n";
/// Newest verdicts told.
const MAX_VERDICTS: u32 = 12;
/// Newest errors told.
const MAX_ERRORS: usize = 5;

/// Arrivals and verdicts of the last half hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryBody {
    /// When the newest step ended; ISO 8601, UTC.
    until: Option<String>,
    /// Length of a step.
    step_seconds: f64,
    /// Sessions accepted in each step, the oldest first.
    arrivals: Vec<u64>,
    /// Sessions that were settled in each step.
    verdicts: Vec<u64>,
}

/// Something that went wrong lately.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TroubleBody {
    /// ISO 8601, UTC.
    at: String,
    /// The batch, where it was one.
    batch_id: Option<i64>,
    /// The session that failed for it, where it was one.
    session_id: Option<String>,
    /// Its deployment; empty when none.
    deployment_id: Option<String>,
    /// What became of it: the batch's outcome, or failed.
    outcome: &'static str,
    /// In words.
    message: String,
}

impl From<Trouble> for TroubleBody {
    fn from(trouble: Trouble) -> Self {
        let (session_id, deployment_id) = trouble.session.map(|key| (key.id.to_string(), key.deployment)).unzip();
        let (at, batch_id) = (shapes::iso(trouble.at), trouble.batch.map(|id| id.0));
        Self { at, batch_id, session_id, deployment_id, outcome: trouble.outcome, message: trouble.message }
    }
}

/// The service at one moment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Moment {
    /// ISO 8601, UTC.
    at: String,
    queue: QueueCounts,
    scheduler: SchedulerState,
    /// Age of the oldest ready session; `null` when none is ready.
    oldest_ready_seconds: Option<f64>,
    /// Batches of this node in flight.
    batches_in_flight: usize,
    /// Whether this node leaves the detector alone after an outage.
    circuit_open: bool,
    history: HistoryBody,
    /// The newest verdicts.
    verdicts: Vec<ResultItem>,
    /// What went wrong lately, the newest first.
    errors: Vec<TroubleBody>,
    nodes: Vec<NodeBody>,
    /// `null` until this node has scored 200 sessions with the embedded model.
    drift: Option<DriftState>,
}

impl Service {
    /// Begins to watch the counts, until the service drains or is gone; does nothing when it does already.
    pub(crate) fn watch(self: &Arc<Self>) {
        if self.events.watching.swap(true, Ordering::Relaxed) {
            return;
        }
        let (service, mut draining) = (Arc::downgrade(self), self.draining());
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = draining.wait_for(|draining| *draining) => return,
                    _ = ticks.tick() => {}
                }
                let Some(service) = service.upgrade() else { return };
                service.look().await;
            }
        });
    }

    async fn look(&self) {
        let events = &self.events;
        let listened = events.told.receiver_count() > 0;
        let due = events.history.lock().unwrap_or_else(PoisonError::into_inner).is_due(self.clock.now().wall);
        if !listened && !events.told.borrow().is_empty() {
            // Whoever comes next is not told of the past.
            events.told.send_replace(Bytes::new());
        }
        if !listened && !due {
            return;
        }
        let told = match self.moment(listened).await {
            Ok(Some(moment)) => match serde_json::to_string(&moment) {
                Ok(text) => format!("event: moment\ndata: {text}\n\n"),
                Err(error) => {
                    tracing::error!(%error, "a moment could not be encoded");
                    return;
                }
            },
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "nothing to tell the listeners");
                let message = "The store does not answer at the moment; what is shown is not up to date.";
                format!("event: trouble\ndata: {{\"message\":\"{message}\"}}\n\n")
            }
        };
        if listened {
            events.told.send_replace(told.into());
        }
    }

    /// Looks at the counts, and at everything else when somebody listens.
    async fn moment(&self, listened: bool) -> StoreResult<Option<Moment>> {
        let snapshot = self.store.snapshot().await?;
        let now = self.clock.now().wall;
        let history = {
            let mut history = self.events.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.note(now, &snapshot.counts);
            HistoryBody {
                until: history.began.map(|(began, ..)| shapes::iso(began)),
                step_seconds: Duration::from_millis(STEP_MS.unsigned_abs()).as_secs_f64(),
                arrivals: history.steps.iter().map(|(arrivals, _)| *arrivals).collect(),
                verdicts: history.steps.iter().map(|(_, verdicts)| *verdicts).collect(),
            }
        };
        if !listened {
            return Ok(None);
        }
        let newest = ResultQuery { limit: MAX_VERDICTS, ..ResultQuery::default() };
        let verdicts = self.lists.results(newest).await?.rows.iter().map(item).collect();
        let in_flight = self.scheduler.in_flight();
        Ok(Some(Moment {
            at: shapes::iso(now),
            queue: (&snapshot.counts).into(),
            scheduler: SchedulerState {
                running: snapshot.running,
                is_processing: in_flight > 0,
                last_processed: last_processed(snapshot.last_batch),
            },
            oldest_ready_seconds: snapshot.queue.oldest_ready.map(|since| now.since(since).as_secs_f64()),
            batches_in_flight: in_flight,
            circuit_open: self.scheduler.circuit_is_open(),
            history,
            verdicts,
            errors: troubles(&self.lists, MAX_ERRORS).await?.into_iter().map(TroubleBody::from).collect(),
            nodes: self.store.nodes().await?.into_iter().map(NodeBody::from).collect(),
            drift: self.embedded.drift().report().map(Into::into),
        }))
    }
}

/// Tells how the service stands, once a second, as server-sent events.
///
/// `moment` has the queue, the newest verdicts and the rest as JSON; `trouble` says in words why there is none. The stream
/// ends when the service shuts down; clients connect again by themselves. At most 64 listen at a time.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "listen", tag = "operation",
    responses(
        (status = 200, description = "Events; the data of `moment`", content_type = "text/event-stream", body = Moment),
        GlobalAdmin, TooManyListen,
    )
)]
pub(crate) async fn listen(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    let busy =
        |_| ApiError::new(Code::Busy, format!("{MAX_LISTENERS} listen already; close a page, or come back later"));
    let place = Arc::clone(&service.events.places).try_acquire_owned().map_err(busy)?;
    let draining = service.draining();
    if *draining.borrow() {
        return Err(ApiError::new(Code::ShuttingDown, "the service shuts down; listen to another node"));
    }
    let mut told = service.events.told.subscribe();
    service.watch();
    // Those who come while others listen need not wait for the next second.
    told.mark_changed();
    let listener = Listener { service, access, told, draining, _place: place };
    let pieces = stream::unfold(listener, |mut listener| async {
        let piece = listener.next().await?;
        Some((Ok::<_, Infallible>(piece), listener))
    });
    Ok(raw::events(pieces))
}

struct Listener {
    service: Shared,
    access: Access,
    told: watch::Receiver<Bytes>,
    draining: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.service.revoked(&self.access) => None,
            _ = self.draining.wait_for(|draining| *draining) => None,
            changed = self.told.changed() => {
                changed.ok()?;
                let told = self.told.borrow_and_update().clone();
                Some(if told.is_empty() { Bytes::from_static(HEARTBEAT.as_bytes()) } else { told })
            }
            () = tokio::time::sleep(HEARTBEAT_INTERVAL) => Some(Bytes::from_static(HEARTBEAT.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests;
