//! `GET /api/v1/verdicts`: verdicts as they come, as server-sent events, from where the caller left off.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::Access;
use crate::access::shares::Share;
use crate::domain::result::Decision;
use crate::http::extract::caller::Reader;
use crate::http::extract::query::Params;
use crate::http::respond::answer::Answer;
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::TooManyFollow;
use crate::http::respond::{raw, shapes};
use crate::http::state::{MAX_FOLLOWERS, Shared};
use crate::store::StoreResult;
use crate::store::deliveries::{Event, EventKind, Place};

/// Events looked up at once.
const PAGE_SIZE: u32 = 500;
const POLL_INTERVAL: Duration = Duration::from_millis(500);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// What is younger is told later: a transaction that began earlier may still be committed.
const SETTLE: Duration = Duration::from_secs(2);

/// A verdict, or the change of one.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerdictEvent {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// pass, review or fail.
    #[schema(example = "fail")]
    decision: &'static str,
    is_anomaly: bool,
    /// The decision before; `null` for a first one.
    previous_decision: Option<&'static str>,
    /// thresholds, model, label, override or replay; `null` for a first one.
    cause: Option<&'static str>,
    anomaly_score: Option<f64>,
    reasons: Vec<shapes::ReasonBody>,
    /// ISO 8601, UTC.
    at: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FollowParams {
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// As the header `Last-Event-ID`, for clients that cannot send it: the id of the last event seen, or `0` for
    /// everything that is stored.
    after: Option<String>,
}

/// An event's id.
fn id(place: Place) -> String {
    format!("{}-{}-{}", place.at, place.kind, place.number)
}

fn place(id: &str) -> Option<Place> {
    if id == "0" {
        return Some(Place::default());
    }
    let mut parts = id.split('-').map(|part| part.parse::<i64>().ok().filter(|number| *number >= 0));
    let place = Place { at: parts.next()??, kind: parts.next()??, number: parts.next()?? };
    parts.next().is_none().then_some(place)
}

fn told(event: &Event) -> String {
    let kind = if event.change.is_some() { EventKind::Changed } else { EventKind::Final };
    let body = VerdictEvent {
        session_id: event.key.id.to_string(),
        deployment_id: event.key.deployment.clone(),
        decision: event.decision.name(),
        is_anomaly: event.decision == Decision::Fail,
        previous_decision: event.change.map(|(earlier, _)| earlier.name()),
        cause: event.change.map(|(_, cause)| cause.name()),
        anomaly_score: event.score,
        reasons: shapes::reasons(event.reasons),
        at: shapes::iso(crate::domain::time::Timestamp(event.place.at)),
    };
    let data = serde_json::to_string(&body).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", id(event.place), kind.name())
}

/// Follows verdicts: `verdict.final` for each result, `verdict.changed` for each change of one, in their order and some
/// two seconds late, with an id to go on from. A webhook is told by us; here the caller asks.
#[utoipa::path(
    get, path = "/api/v1/verdicts", operation_id = "followVerdicts", tag = "results",
    params(FollowParams, ("Last-Event-ID" = Option<String>, Header, description = "The last event seen")),
    responses(
        (status = 200, description = "Events; the data of each", content_type = "text/event-stream", body = VerdictEvent),
        Reader, TooManyFollow,
    )
)]
pub(crate) async fn follow(
    Reader { service, access }: Reader,
    Params(params): Params<FollowParams>,
    headers: HeaderMap,
) -> Answer {
    let deployment = access.deployment(params.deployment_id)?;
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?").to_owned()).or(params.after);
    let wrong = || ApiError::malformed("after", "Last-Event-ID, or after, must be the id of an event, or 0");
    let after = match last {
        Some(last) => place(&last).ok_or_else(wrong)?,
        None => Place { at: service.clock.now().wall.0, ..Place::default() },
    };
    let share = access.key.map(|key| {
        service
            .followers_by_key
            .take(key)
            .ok_or_else(|| ApiError::new(Code::Busy, "too many follow with this key; end one, or come back later"))
    });
    let share = share.transpose()?;
    let busy = |_| ApiError::new(Code::Busy, format!("{MAX_FOLLOWERS} follow already; come back later"));
    let seat = std::sync::Arc::clone(&service.followers).try_acquire_owned().map_err(busy)?;
    let draining = service.draining();
    if *draining.borrow() {
        return Err(ApiError::new(Code::ShuttingDown, "the service shuts down; follow another node"));
    }
    let follower = Follower { service, access, after, deployment, draining, _seat: (seat, share) };
    let pieces = stream::unfold(follower, |mut follower| async {
        let piece = follower.next().await?;
        Some((Ok::<_, Infallible>(piece), follower))
    });
    // Something at once, so that the caller knows that it is heard.
    let begin = stream::once(async { Ok::<_, Infallible>(": following\n\n".to_owned()) });
    Ok(raw::events(futures_util::StreamExt::chain(begin, pieces)))
}

struct Follower {
    service: Shared,
    access: Access,
    after: Place,
    deployment: Option<String>,
    draining: watch::Receiver<bool>,
    _seat: (OwnedSemaphorePermit, Option<Share<u64>>),
}

impl Follower {
    async fn next(&mut self) -> Option<String> {
        let silent = tokio::time::sleep(HEARTBEAT_INTERVAL);
        tokio::pin!(silent);
        loop {
            if !self.service.holds(&self.access) {
                return None;
            }
            // A store that is away is waited for; nothing is missed, the place is kept.
            if let Ok(events) = self.look().await
                && let Some(last) = events.last()
            {
                self.after = last.place;
                return Some(events.iter().map(told).collect());
            }
            tokio::select! {
                _ = self.draining.wait_for(|draining| *draining) => return None,
                () = &mut silent => return Some(": still here\n\n".to_owned()),
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    async fn look(&self) -> StoreResult<Vec<Event>> {
        let until = self.service.clock.now().wall.minus(SETTLE);
        self.service.store.events(self.after, until, PAGE_SIZE, self.deployment.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::testing::{TestApp, session};

    /// Reads `count` events: id, kind and data.
    async fn read(app: &TestApp, after: &str, count: usize) -> Vec<(String, String, Value)> {
        let request = app.request("GET", "/api/v1/verdicts").header("last-event-id", after);
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        while text.matches("\ndata: ").count() < count || !text.ends_with("\n\n") {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
        let events = text.split("\n\n").filter(|event| event.starts_with("id: "));
        let event = |event: &str| {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            (field("id: "), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
        };
        events.map(event).collect()
    }

    #[tokio::test]
    async fn verdicts_and_changes_are_told_in_order_from_where_one_left_off() {
        let app = TestApp::start().await;
        let mut now = session("a");
        now["useBatch"] = json!(false);
        let decision = app.post("/api/v1/score", &now).await.json()["decision"].clone();
        app.clock.advance(Duration::from_secs(1));
        let other = if decision == "fail" { "human" } else { "bot" };
        app.post("/api/v1/sessions/a/label", &json!({"label": other})).await;
        app.clock.advance(Duration::from_secs(5));
        let all = read(&app, "0", 2).await;
        assert_eq!((all[0].1.as_str(), all[1].1.as_str()), ("verdict.final", "verdict.changed"));
        assert_eq!((&all[0].2["decision"], &all[0].2["sessionId"]), (&decision, &json!("a")), "as it was first");
        assert_eq!((&all[1].2["previousDecision"], &all[1].2["cause"]), (&decision, &json!("label")));
        assert_eq!(read(&app, &all[0].0, 1).await, all[1..]);
        app.request("GET", "/api/v1/verdicts?after=x").send().await.map(|r| assert_eq!(r.status(), 400)).unwrap();
    }
}
