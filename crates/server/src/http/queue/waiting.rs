//! `GET /api/v1/sessions`: sessions without a result, by state.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::queue::State;
use crate::domain::time::Timestamp;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::page;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::ApiError;
use crate::http::respond::refusals::{LimitOutOfBounds, StoreAway, WrongQuery};
use crate::http::respond::shapes;
use crate::store::{Cursor, QueueQuery, QueuedRow};

const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;
/// Most sessions looked at for a page.
const MAX_WINDOW: u32 = 10_000;
const STATES: [(&str, State); 3] = [("ready", State::Ready), ("delayed", State::Delayed), ("failed", State::Failed)];

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SessionsParams {
    /// ready: in line; delayed: waits for a retry; failed: given up.
    #[param(example = "failed", pattern = "^(ready|delayed|failed)$")]
    state: String,
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^-?[0-9]{1,19}_[0-9]{1,19}$")]
    cursor: Option<String>,
}

/// A session without a result.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueuedBody {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// As the session names the user; `null` where it names none.
    user_id: Option<String>,
    device_type: String,
    /// ready, delayed or failed.
    state: &'static str,
    /// ISO 8601, UTC.
    accepted_at: String,
    /// When it is tried again, where it waits for that.
    retry_at: Option<String>,
    /// Detector answers without a score.
    attempts: u32,
    /// What went wrong last.
    last_error: Option<String>,
}

/// Sessions without a result.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionsAnswer {
    sessions: Vec<QueuedBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

fn body(state: &'static str, row: QueuedRow) -> QueuedBody {
    QueuedBody {
        session_id: row.key.id.to_string(),
        deployment_id: row.key.deployment,
        user_id: row.user_id,
        device_type: row.device_type,
        state,
        accepted_at: shapes::iso(row.accepted_at),
        retry_at: (row.entry.state == State::Delayed).then(|| shapes::iso(row.entry.not_before)),
        attempts: row.entry.attempts,
        last_error: row.error,
    }
}

fn read_cursor(text: &str) -> Result<Cursor, ApiError> {
    let place = text.split_once('_');
    let place =
        place.and_then(|(at, row)| Some(Cursor { scored_at: Timestamp(at.parse().ok()?), row: row.parse().ok()? }));
    place.ok_or_else(page::wrong_cursor)
}

/// Lists sessions without a result: those in line and those that failed, the newest first, and those that wait for a retry,
/// the first due first. With a deployment a page may hold fewer than `limit` and still have a next one.
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "listSessions", tag = "queue", params(SessionsParams),
    responses((status = 200, description = "A page", body = SessionsAnswer), Reviewer, WrongQuery, LimitOutOfBounds, StoreAway)
)]
pub(crate) async fn list(Reviewer { service, access }: Reviewer, Params(params): Params<SessionsParams>) -> Answer {
    let wrong = || ApiError::malformed("state", "state must be ready, delayed or failed");
    let (name, state) = STATES.into_iter().find(|(name, _)| *name == params.state).ok_or_else(wrong)?;
    let query = QueueQuery {
        state,
        deployment: access.deployment(params.deployment_id)?,
        after: params.cursor.as_deref().map(read_cursor).transpose()?,
        limit: page::page_size(params.limit, PAGE, MAX_PAGE)?,
        window: MAX_WINDOW,
    };
    let page = service.lists.queued(query).await?;
    let next_cursor = page.next.map(|next| format!("{}_{}", next.scored_at.0, next.row));
    Ok(answer::json(&SessionsAnswer {
        sessions: page.rows.into_iter().map(|row| body(name, row)).collect(),
        next_cursor,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, lines};

    #[tokio::test]
    async fn sessions_in_line_are_listed_page_by_page() {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 5)).await;
        let first = app.get("/api/v1/sessions?state=ready&limit=3").await.json();
        assert_eq!(first["sessions"].as_array().unwrap().len(), 3);
        assert_eq!((&first["sessions"][0]["state"], &first["sessions"][0]["retryAt"]), (&json!("ready"), &json!(null)));
        let next = first["nextCursor"].as_str().unwrap();
        let second = app.get(&format!("/api/v1/sessions?state=ready&limit=3&cursor={next}")).await.json();
        assert_eq!((second["sessions"].as_array().unwrap().len(), &second["nextCursor"]), (2, &json!(null)));
        assert_eq!(app.get("/api/v1/sessions?state=failed").await.json()["sessions"], json!([]));
        for wrong in ["state=leased", "", "state=ready&cursor=x", "state=ready&colour=red"] {
            app.get(&format!("/api/v1/sessions?{wrong}")).await.is_error(400, "malformed");
        }
    }
}
