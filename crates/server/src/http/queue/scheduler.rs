//! The scheduler's switch and state.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::caller::GlobalAdmin;
use crate::http::queue::stats::{QueueCounts, SchedulerState, last_processed};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::StoreAway;
use crate::http::respond::shapes::Done;
use crate::scheduler::Status;

/// How the scheduler stands and what waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusAnswer {
    #[serde(flatten)]
    state: SchedulerState,
    stats: QueueCounts,
}

/// The scheduler after it was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SchedulerStarted {
    /// Always true.
    success: bool,
    /// For people.
    message: &'static str,
    status: StatusAnswer,
}

impl From<Status> for StatusAnswer {
    fn from(status: Status) -> Self {
        let state = SchedulerState {
            running: status.running,
            is_processing: status.is_processing,
            last_processed: last_processed(status.last_processed),
        };
        Self { state, stats: (&status.counts).into() }
    }
}

/// Lets batches run by themselves; outlives restarts.
#[utoipa::path(
    post, path = "/api/v1/batch/scheduler/start", operation_id = "startScheduler", tag = "scheduler",
    responses((status = 200, description = "It runs", body = SchedulerStarted), GlobalAdmin, StoreAway)
)]
pub(crate) async fn start(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    service
        .operations
        .perform(&access.actor, "scheduler.start", "", serde_json::json!({}), service.scheduler.start())
        .await?;
    let status = service.scheduler.status().await?.into();
    Ok(answer::json(&SchedulerStarted { success: true, message: "Batch scheduler started", status }))
}

/// Lets batches in flight finish and starts no more; outlives restarts.
#[utoipa::path(
    post, path = "/api/v1/batch/scheduler/stop", operation_id = "stopScheduler", tag = "scheduler",
    responses((status = 200, description = "It is stopped", body = Done), GlobalAdmin, StoreAway)
)]
pub(crate) async fn stop(GlobalAdmin { service, access }: GlobalAdmin) -> Answer {
    service
        .operations
        .perform(&access.actor, "scheduler.stop", "", serde_json::json!({}), service.scheduler.stop())
        .await?;
    Ok(answer::json(&Done { success: true, message: "Batch scheduler stopped".to_owned() }))
}

/// Says how it stands.
#[utoipa::path(
    get, path = "/api/v1/batch/scheduler/status", operation_id = "readScheduler", tag = "scheduler",
    responses((status = 200, description = "Its state", body = StatusAnswer), GlobalAdmin, StoreAway)
)]
pub(crate) async fn status(GlobalAdmin { service, .. }: GlobalAdmin) -> Answer {
    Ok(answer::json(&StatusAnswer::from(service.scheduler.status().await?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, send};

    #[tokio::test]
    async fn it_starts_and_stops_and_says_so() {
        let app = TestApp::start().await;
        let started = send(app.request("POST", "/api/v1/batch/scheduler/start")).await.json();
        assert_eq!((&started["success"], &started["status"]["running"]), (&json!(true), &json!(true)));
        assert_eq!(started["status"]["stats"]["total"], 0);
        let status = app.get("/api/v1/batch/scheduler/status").await.json();
        assert_eq!((&status["running"], &status["isProcessing"]), (&json!(true), &json!(false)));
        assert_eq!((&status["lastProcessed"], &status["stats"]["unprocessed"]), (&json!(null), &json!(0)));
        let stopped = send(app.request("POST", "/api/v1/batch/scheduler/stop")).await.json();
        assert_eq!(stopped, json!({"success": true, "message": "Batch scheduler stopped"}));
        assert_eq!(app.get("/api/v1/batch/scheduler/status").await.json()["running"], false);
    }
}
