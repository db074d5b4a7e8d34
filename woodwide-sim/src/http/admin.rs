//! Routes to steer and to watch the simulator. They need no key and appear in no log: whoever reaches the simulator may
//! use them.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::duration;
use crate::fault::Spec;
use crate::requests::Entry;
use crate::simulator::Sim;
use crate::state;

type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(crate) fn router(sim: Arc<Sim>) -> Router {
    Router::new()
        .route("/_sim/requests", get(requests).delete(forget_requests))
        .route("/_sim/faults", get(faults).post(arm).delete(disarm))
        .route("/_sim/state", get(show))
        .route("/_sim/keys", post(keys))
        .route("/_sim/clock", post(clock))
        .route("/_sim/reset", post(reset))
        .with_state(sim)
}

fn wrong(why: &str) -> (StatusCode, Json<Value>) {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"detail": why})))
}

/// Which requests to show.
#[derive(Debug, Deserialize)]
struct Wanted {
    route: Option<String>,
    path: Option<String>,
    since: Option<u64>,
}

async fn requests(State(sim): State<Arc<Sim>>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let fits = |entry: &Entry| {
        wanted.route.as_ref().is_none_or(|route| entry.route == Some(route))
            && wanted.path.as_ref().is_none_or(|path| entry.path.contains(path))
            && wanted.since.is_none_or(|since| entry.number > since)
    };
    let entries: Vec<Entry> = sim.log.entries().into_iter().filter(fits).collect();
    Json(json!({"requests": entries}))
}

async fn forget_requests(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.log.clear();
    StatusCode::NO_CONTENT
}

async fn faults(State(sim): State<Arc<Sim>>) -> Json<Value> {
    Json(json!({"faults": sim.faults.list()}))
}

/// `{"fault": SPEC}` or `{"faults": [SPEC, ...]}`: all are switched on, or none.
async fn arm(State(sim): State<Arc<Sim>>, Json(body): Json<Value>) -> Answer {
    let list = body.get("faults").and_then(Value::as_array).cloned();
    let list = list.or_else(|| body.get("fault").map(|one| vec![one.clone()]));
    let list = list.ok_or_else(|| wrong("the body is {\"fault\": SPEC} or {\"faults\": [SPEC, ...]}"))?;
    let parse = |spec: &Value| spec.as_str().unwrap_or_default().parse::<Spec>();
    let specs: Vec<Spec> = list.iter().map(parse).collect::<Result<_, _>>().map_err(|e| wrong(&e.to_string()))?;
    let ids: Vec<u64> = specs.into_iter().map(|spec| sim.faults.arm(spec)).collect();
    Ok(Json(json!({"ids": ids})))
}

/// Which faults to switch off.
#[derive(Debug, Deserialize)]
struct Which {
    fault: Option<String>,
}

/// With `?fault=NUMBER` or `?fault=KIND` those, else all.
async fn disarm(State(sim): State<Arc<Sim>>, Query(which): Query<Which>) -> Json<Value> {
    let before = sim.faults.list().len();
    let count = if let Some(which) = which.fault {
        sim.faults.disarm(&which)
    } else {
        sim.faults.clear();
        before
    };
    Json(json!({"disarmed": count}))
}

async fn show(State(sim): State<Arc<Sim>>) -> Json<Value> {
    Json(state::show(&sim))
}

/// A change of a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
struct KeyChange {
    /// The key to make good, with its secret.
    add: Option<String>,
    key: Option<String>,
    /// The label or secret of the key to refuse, and with which status.
    revoke: Option<String>,
    status: Option<u16>,
    /// The label or secret of the key to make good again.
    restore: Option<String>,
}

async fn keys(State(sim): State<Arc<Sim>>, Json(change): Json<KeyChange>) -> Answer {
    let done = match change {
        KeyChange { add: Some(label), key: Some(secret), .. } => {
            state::put_key(&sim, &label, &secret);
            true
        }
        KeyChange { revoke: Some(which), status, .. } => state::refuse_key(&sim, &which, Some(status.unwrap_or(401))),
        KeyChange { restore: Some(which), .. } => state::refuse_key(&sim, &which, None),
        _ => {
            return Err(wrong(
                "the body is {\"add\": LABEL, \"key\": KEY}, {\"revoke\": LABEL, \"status\": 401} or {\"restore\": LABEL}",
            ));
        }
    };
    if done {
        Ok(Json(json!({"ok": true})))
    } else {
        Err((StatusCode::NOT_FOUND, Json(json!({"detail": "no such key"}))))
    }
}

/// How far to move the time.
#[derive(Debug, Deserialize)]
struct Advance {
    advance: String,
}

async fn clock(State(sim): State<Arc<Sim>>, Json(body): Json<Advance>) -> Answer {
    let by = duration::parse(&body.advance).map_err(|why| wrong(&why))?;
    sim.clock.advance(by);
    Ok(Json(json!({"now": iso(sim.clock.now())})))
}

async fn reset(State(sim): State<Arc<Sim>>) -> StatusCode {
    sim.reset();
    StatusCode::NO_CONTENT
}
