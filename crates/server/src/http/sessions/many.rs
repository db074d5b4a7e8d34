//! Many sessions at once: labels as JSON or CSV, and erasure of a selection.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::rights::Access;
use crate::domain::id::{SESSION_ID_RULE, SessionId, SessionKey};
use crate::domain::session::MAX_STRING;
use crate::domain::time::Timestamp;
use crate::http::extract::body;
use crate::http::extract::caller::{DeploymentAdmin, Reviewer};
use crate::http::extract::json::{Form, Json};
use crate::http::extract::query;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, ImpossibleLabel, ImpossibleSession, Malformed, StoreAway};
use crate::operations::bulk::{Labelled, Said, SaidOutcome};
use crate::store::labels::Truth;

/// Most labels of one request.
const MAX_LABELS: usize = 5_000;
/// Most users of one request: each may have some thousand sessions.
const MAX_USERS: usize = 100;
/// Most sessions that are erased by one request: each is overwritten on disk.
const MAX_ERASED: usize = 500;
/// Most bytes of a note.
const MAX_NOTE: usize = 2_000;
/// Outcomes that are told one by one.
const MAX_TOLD: usize = 100;

/// A label for a session, or for all sessions of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SaidRequest {
    /// The session; either this or `userId`.
    #[schema(max_length = 256)]
    session_id: Option<String>,
    /// The user, all of whose sessions get it.
    #[schema(max_length = 256)]
    user_id: Option<String>,
    /// Of a session its deployment, else none; of a user the only deployment, else all.
    deployment_id: Option<String>,
    /// human or bot; none takes the label back.
    #[schema(example = "bot", pattern = "^(human|bot|none)$")]
    label: String,
    /// Why; at most 2,000 bytes.
    #[serde(default)]
    #[schema(max_length = 2000)]
    note: String,
    /// When that was found out: ISO 8601, or milliseconds since 1970. Sessions of a user that were scored later are left
    /// alone.
    at: Option<String>,
}

/// Labels for many sessions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsRequest {
    #[schema(min_items = 1, max_items = 5000)]
    labels: Vec<SaidRequest>,
}

/// A label that changed nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaidProblem {
    /// Its place in the list, or its line of the table, from 1.
    line: usize,
    /// unknown, undecided or erased.
    outcome: &'static str,
}

/// What became of the labels.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LabelledAnswer {
    /// Sessions that were changed.
    labelled: u64,
    /// Labels of sessions or users that are unknown here.
    unknown: usize,
    /// Labels of sessions without a result.
    undecided: usize,
    /// Labels of sessions that were erased.
    erased: usize,
    /// The first hundred labels that changed nothing.
    problems: Vec<SaidProblem>,
}

/// Labels many sessions, or all sessions of users: what a person found out elsewhere, such as chargebacks. As JSON, or as
/// CSV with the columns `sessionId` or `userId`, `label`, and where they are wanted `deploymentId`, `at` and `note`. Nothing
/// is changed where one of them cannot be; at most 5,000 at a time, of which 100 may name users.
#[utoipa::path(
    post, path = "/api/v1/labels", operation_id = "labelMany", tag = "review",
    request_body(content((LabelsRequest = "application/json"), (String = "text/csv"))),
    responses(
        (status = 200, description = "What became of them", body = LabelledAnswer),
        Reviewer, Malformed, BodyRefused, ImpossibleLabel, StoreAway,
    )
)]
pub(crate) async fn label(Reviewer { service, access }: Reviewer, headers: HeaderMap, body: Body) -> Answer {
    let is_csv = |essence: &str| essence == "text/csv";
    body::check_type(&headers, |e| body::is_json(e) || is_csv(e), "application/json or text/csv")?;
    let bytes = body::read(&headers, body, service.body_limits(body::LIST)).await?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let asked = if is_csv(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str()) {
        from_csv(&bytes)?
    } else {
        let request = body::json::<LabelsRequest>(&bytes)?;
        request
            .ok_or_else(|| ApiError::malformed("body", r#"send {"labels": [{"sessionId": "...", "label": "bot"}]}"#))?
            .labels
    };
    if asked.len() > MAX_LABELS {
        let message = format!("labels must hold at most {MAX_LABELS} items; send the rest apart");
        return Err(ApiError::at(Code::OutOfBounds, "labels", message));
    }
    if asked.iter().filter(|one| one.user_id.is_some()).count() > MAX_USERS {
        let message = format!("labels must name at most {MAX_USERS} users; send the rest apart");
        return Err(ApiError::at(Code::OutOfBounds, "labels", message));
    }
    let now = service.clock.now().wall;
    let said =
        asked.into_iter().enumerate().map(|(i, one)| said(&access, i, one, now)).collect::<Result<Vec<_>, _>>()?;
    // What the audit log says is done, also where nobody waits for the answer any more.
    let (operations, actor) = (Arc::clone(&service.operations), Arc::clone(&access.actor));
    let run = tokio::spawn(async move { operations.label_many(&actor, said).await });
    let outcomes = run.await.map_err(|e| ApiError::internal(format!("labelling ended early: {e}")))??;
    Ok(answer::json(&told(&outcomes)))
}

fn told(outcomes: &[SaidOutcome]) -> LabelledAnswer {
    let count = |outcome: SaidOutcome| outcomes.iter().filter(|one| **one == outcome).count();
    let problem = |(i, outcome): (usize, &SaidOutcome)| {
        let outcome = match outcome {
            SaidOutcome::Changed(_) => return None,
            SaidOutcome::Unknown => "unknown",
            SaidOutcome::Undecided => "undecided",
            SaidOutcome::Erased => "erased",
        };
        Some(SaidProblem { line: i + 1, outcome })
    };
    LabelledAnswer {
        labelled: outcomes.iter().map(|one| if let SaidOutcome::Changed(n) = one { *n } else { 0 }).sum(),
        unknown: count(SaidOutcome::Unknown),
        undecided: count(SaidOutcome::Undecided),
        erased: count(SaidOutcome::Erased),
        problems: outcomes.iter().enumerate().filter_map(problem).take(MAX_TOLD).collect(),
    }
}

fn from_csv(bytes: &[u8]) -> Result<Vec<SaidRequest>, ApiError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(bytes);
    let wrong = |error: csv::Error| ApiError::malformed("body", format!("the table cannot be read: {error}"));
    let columns = reader.headers().map_err(wrong)?.clone();
    let known = ["sessionId", "userId", "deploymentId", "label", "note", "at"];
    if let Some(odd) = columns.iter().find(|column| !known.contains(column)) {
        let message = format!("the column {odd:?} is unknown; name the columns {}", known.join(", "));
        return Err(ApiError::malformed("body", message));
    }
    if !columns.iter().any(|column| column == "label") || !columns.iter().any(|c| c == "sessionId" || c == "userId") {
        let message = "the first line must name the columns label and sessionId or userId";
        return Err(ApiError::malformed("body", message));
    }
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.map_err(wrong)?;
        let cell = |name: &str| {
            let place = columns.iter().position(|column| column == name)?;
            record.get(place).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Ok(SaidRequest {
            session_id: cell("sessionId"),
            user_id: cell("userId"),
            deployment_id: cell("deploymentId"),
            label: cell("label").unwrap_or_default(),
            note: cell("note").unwrap_or_default(),
            at: cell("at"),
        })
    };
    reader.records().map(row).collect()
}

fn said(access: &Access, i: usize, asked: SaidRequest, now: Timestamp) -> Result<Said, ApiError> {
    let at = |name: &str| format!("labels[{i}].{name}");
    let out = |name: &str, rule: String| {
        let path = at(name);
        ApiError::at(Code::OutOfBounds, &path, format!("{path} {rule}"))
    };
    let of = match (asked.session_id, asked.user_id) {
        (Some(id), None) => {
            let id = SessionId::from_unique(&id).ok_or_else(|| out("sessionId", SESSION_ID_RULE.to_owned()))?;
            Labelled::Session(access.session(id, asked.deployment_id)?)
        }
        (None, Some(user)) if user.is_empty() || user.len() > MAX_STRING => {
            return Err(out("userId", format!("must be 1 to {MAX_STRING} bytes long")));
        }
        (None, Some(user)) => Labelled::User { user, deployment: access.deployment(asked.deployment_id)? },
        _ => return Err(out("sessionId", "or userId must be there, and not both".to_owned())),
    };
    let truth = match asked.label.as_str() {
        "none" => None,
        label => Some(Truth::parse(label).ok_or_else(|| out("label", "must be human, bot or none".to_owned()))?),
    };
    if asked.note.len() > MAX_NOTE {
        return Err(out("note", format!("must be at most {MAX_NOTE} bytes long")));
    }
    let found_out = query::time(&at("at"), asked.at.as_deref())?;
    if found_out.is_some_and(|at| at > now) {
        return Err(out("at", "must not be in the future".to_owned()));
    }
    Ok(Said { of, truth, note: asked.note, at: found_out })
}

/// A session of a selection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChosenSession {
    #[schema(max_length = 256)]
    session_id: String,
    /// Its deployment, else none.
    deployment_id: Option<String>,
}

/// Sessions that are to be erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseRequest {
    #[schema(min_items = 1, max_items = 500)]
    sessions: Vec<ChosenSession>,
}

impl Form for EraseRequest {
    const MISSING: &'static str = r#"send {"sessions": [{"sessionId": "..."}]}"#;
    const BYTES: usize = body::LIST;
}

/// How many of a selection were erased.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErasedManyAnswer {
    /// Sessions erased by this call; the others are unknown, or were erased before.
    erased: u64,
}

/// Erases a selection of sessions: telemetry, features and results. Their ids stay used up. At most 500 at a time.
#[utoipa::path(
    post, path = "/api/v1/sessions/erase", operation_id = "eraseSessions", tag = "erasure", request_body = EraseRequest,
    responses(
        (status = 200, description = "Erased", body = ErasedManyAnswer),
        DeploymentAdmin, Malformed, BodyRefused, ImpossibleSession, StoreAway,
    )
)]
pub(crate) async fn erase(
    DeploymentAdmin { service, access }: DeploymentAdmin,
    Json(asked): Json<EraseRequest>,
) -> Answer {
    if asked.sessions.len() > MAX_ERASED {
        let message = format!("sessions must hold at most {MAX_ERASED} items; send the rest apart");
        return Err(ApiError::at(Code::OutOfBounds, "sessions", message));
    }
    let key = |(i, one): (usize, ChosenSession)| -> Result<SessionKey, ApiError> {
        let wrong = || {
            let path = format!("sessions[{i}].sessionId");
            ApiError::at(Code::OutOfBounds, &path, format!("{path} {SESSION_ID_RULE}"))
        };
        let id = SessionId::from_unique(&one.session_id).ok_or_else(wrong)?;
        Ok(access.session(id, one.deployment_id)?)
    };
    let keys = asked.sessions.into_iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
    let (operations, actor) = (Arc::clone(&service.operations), Arc::clone(&access.actor));
    let run = tokio::spawn(async move { operations.erase_many(&actor, keys).await });
    let erased = run.await.map_err(|e| ApiError::internal(format!("erasing ended early: {e}")))??;
    Ok(answer::json(&ErasedManyAnswer { erased }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::http::testing::{TestApp, lines, send, session};

    async fn filled() -> TestApp {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 4)).await;
        for (id, user) in [("m1", "mira"), ("m2", "mira"), ("t1", "tom")] {
            let mut one = session(id);
            one["userId"] = json!(user);
            app.post("/api/v1/score", &one).await;
        }
        send(app.request("POST", "/api/v1/batch/process")).await;
        app.post("/api/v1/score", &session("waits")).await;
        app
    }

    async fn label_of(app: &TestApp, id: &str) -> Value {
        app.get(&format!("/api/v1/sessions/{id}/history")).await.json()["label"]["label"].clone()
    }

    #[tokio::test]
    async fn many_are_labelled_at_once_and_what_cannot_be_is_told() {
        let app = filled().await;
        let labels = json!([
            {"sessionId": "s1", "label": "bot", "note": "chargeback"}, {"userId": "mira", "label": "human"},
            {"sessionId": "nobody", "label": "bot"}, {"sessionId": "waits", "label": "bot"},
            {"userId": "nobody", "label": "bot"},
        ]);
        let told = app.post("/api/v1/labels", &json!({ "labels": labels })).await.json();
        assert_eq!(
            (&told["labelled"], &told["unknown"], &told["undecided"]),
            (&json!(3), &json!(2), &json!(1)),
            "{told}"
        );
        assert_eq!(told["problems"][0], json!({"line": 3, "outcome": "unknown"}));
        let human = json!("human");
        assert_eq!((label_of(&app, "s1").await, label_of(&app, "m2").await), (json!("bot"), human.clone()));
        assert_eq!(app.get("/api/v1/batch/result/s1").await.json()["result"]["decision"], "fail");
        let again = json!({"labels": [{"sessionId": "s1", "label": "none"}, {"sessionId": "s2", "label": "none"}, {"sessionId": "m1", "label": "bot"}]});
        assert_eq!(app.post("/api/v1/labels", &again).await.json()["labelled"], 2, "nobody had labelled s2");
        assert_eq!((label_of(&app, "s1").await, label_of(&app, "m1").await), (json!(null), json!("bot")));
        let log = app.get("/api/v1/audit").await.json();
        assert_eq!(log["entries"][0]["action"], "sessions.label");
        assert_eq!(
            log["entries"][1]["detail"],
            json!({"human": 1, "bot": 4, "takenBack": 0}),
            "one entry for all of them"
        );
    }

    #[tokio::test]
    async fn the_last_label_of_a_session_stands_with_its_decision() {
        let app = filled().await;
        let mut labels: Vec<Value> =
            (0..40).map(|i| json!({"sessionId": "s1", "label": if i % 2 == 0 { "bot" } else { "human" }})).collect();
        labels.extend([json!({"userId": "mira", "label": "bot"}), json!({"sessionId": "m1", "label": "human"})]);
        app.post("/api/v1/labels", &json!({ "labels": labels })).await;
        for id in ["s1", "m1"] {
            assert_eq!(label_of(&app, id).await, "human");
            let result = app.get(&format!("/api/v1/batch/result/{id}")).await.json();
            assert_eq!(result["result"]["decision"], "pass", "{id}");
        }
    }

    #[tokio::test]
    async fn a_table_of_chargebacks_is_taken() {
        let app = filled().await;
        app.clock.advance(std::time::Duration::from_secs(86_400));
        let send = async |table: &str| {
            let request = app.request("POST", "/api/v1/labels").header("content-type", "text/csv; charset=utf-8");
            super::super::super::testing::send(request.body(table.to_owned())).await
        };
        let told =
            send("userId,label,at,note\nmira,bot,2026-01-31T18:00:00Z,\"card, stolen\"\ntom,human,,\n").await.json();
        assert_eq!(told["labelled"], 3, "{told}");
        let label = app.get("/api/v1/sessions/m1/history").await.json()["label"].clone();
        assert_eq!((&label["note"], &label["at"]), (&json!("card, stolen"), &json!("2026-01-31T18:00:00.000Z")));
        let before = send("userId,label,at\nmira,human,2020-01-01T00:00:00Z\n").await.json();
        assert_eq!((&before["labelled"], &before["unknown"]), (&json!(0), &json!(1)), "no session is that old");
        for (table, field) in [
            ("sessionId,label\ns1,robot\n", "labels[0].label"),
            ("sessionId,label\ns1,\n", "labels[0].label"),
            ("sessionId,label,at\ns1,bot,2999-01-01T00:00:00Z\n", "labels[0].at"),
            ("sessionId,label\n\"a/b\",bot\n", "labels[0].sessionId"),
            ("label\nbot\n", "body"),
            ("sessionId,label,colour\ns1,bot,red\n", "body"),
            ("sessionId,userId,label\ns1,tom,bot\n", "labels[0].sessionId"),
            ("sessionId,label\ns1,bot,more\n", "body"),
        ] {
            let refused = send(table).await;
            assert!([400, 422].contains(&refused.status), "{table}");
            assert!(refused.text.contains(field), "{table}: {}", refused.text);
        }
        assert_eq!(label_of(&app, "s1").await, json!(null), "nothing of a refused table is kept");
    }

    #[tokio::test]
    async fn a_selection_is_erased_with_one_entry_of_the_log() {
        let app = filled().await;
        let chosen = json!({"sessions": [{"sessionId": "s1"}, {"sessionId": "s2"}, {"sessionId": "nobody"}]});
        assert_eq!(app.post("/api/v1/sessions/erase", &chosen).await.json(), json!({"erased": 2}));
        app.get("/api/v1/batch/result/s1").await.is_error(410, "session_erased");
        let log = app.get("/api/v1/audit").await.json();
        assert_eq!(log["entries"][0]["detail"]["sessions"].as_array().unwrap().len(), 2);
        assert!(!log.to_string().contains("\"s1\""), "no identifier stays in the log");
        let wrong = json!({"sessions": [{"sessionId": "a/b"}]});
        app.post("/api/v1/sessions/erase", &wrong).await.is_error(422, "out_of_bounds");
    }
}
