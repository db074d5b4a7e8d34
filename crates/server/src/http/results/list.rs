//! `GET /api/v1/batch/results`: results newest first, page by page, as JSON or CSV.

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::id::{SESSION_ID_RULE, SessionId, SessionKey};
use crate::domain::printable::printable;
use crate::domain::reason::Reason;
use crate::domain::result::{Decision, Source};
use crate::domain::time::Timestamp;
use crate::http::extract::caller::Reader;
use crate::http::extract::page;
use crate::http::extract::query::{self, Params};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{LimitOutOfBounds, StoreAway, WrongQuery};
use crate::http::respond::shapes::ResultBody;
use crate::http::state::Shared;
use crate::store::campaigns::CampaignId;
use crate::store::labels::Truth;
use crate::store::{Cursor, Lookup, Page, ResultQuery, ResultRow, StoredResult, StoredSession};

const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;
/// Most results looked at for a page.
const MAX_WINDOW: u32 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResultsParams {
    /// pass, review or fail.
    decision: Option<String>,
    /// heuristic, embedded or woodwide.
    source: Option<String>,
    /// At or after: ISO 8601, or milliseconds since 1970.
    since: Option<String>,
    /// Before: ISO 8601, or milliseconds since 1970.
    until: Option<String>,
    /// Only this deployment; a bound key sees its own only.
    deployment_id: Option<String>,
    /// Only results with this reason code.
    reason: Option<String>,
    /// Only sessions that claim this device, such as mouse.
    device_type: Option<String>,
    /// Only members of this campaign.
    #[param(minimum = 1)]
    campaign: Option<i64>,
    /// Only sessions of this user, of the newest 2,000 that the user has.
    user_id: Option<String>,
    /// Only sessions with this label, human or bot, of the 2,000 that got it last.
    label: Option<String>,
    /// Only sessions whose id begins so.
    id_prefix: Option<String>,
    /// `time`, or `score`: the highest of the newest 10,000 that fit, without a next page.
    #[param(example = "score", default = "time")]
    sort: Option<String>,
    /// Only this session, in the deployment named, or in none.
    session_id: Option<String>,
    /// 1 to 1000.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9a-f]{1,15}-[0-9a-f]{1,15}$")]
    cursor: Option<String>,
}

/// A page of results, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultsAnswer {
    results: Vec<ResultItem>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

/// A result with its session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultItem {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// What the client claims: mouse, touch or another.
    #[schema(example = "mouse")]
    device_type: String,
    /// As the session names the user; `null` where it names none.
    user_id: Option<String>,
    /// human or bot, where somebody said so.
    label: Option<&'static str>,
    #[serde(flatten)]
    result: ResultBody,
}

/// Lists results.
///
/// Where a filter has no index of its own, a page may hold fewer than `limit`, or none, and still have a next one: at most
/// 10,000 results are looked at for a page.
///
/// `Accept: text/csv` gives CSV; the cursor of the next page is in the header `X-Next-Cursor` then. A deployment's or
/// device's name that a spreadsheet would take for a formula gets a `'` before it in CSV.
#[utoipa::path(
    get, path = "/api/v1/batch/results", operation_id = "listResults", tag = "results", params(ResultsParams),
    responses(
        (status = 200, description = "A page", content((ResultsAnswer = "application/json"), (String = "text/csv"))),
        Reader, WrongQuery, LimitOutOfBounds, StoreAway,
    )
)]
pub(crate) async fn list(
    Reader { service, access }: Reader,
    Params(params): Params<ResultsParams>,
    headers: HeaderMap,
) -> Answer {
    let query = ResultQuery {
        decision: named("decision", params.decision.as_deref(), Decision::parse, "pass, review or fail")?,
        source: named("source", params.source.as_deref(), Source::parse, "heuristic, embedded or woodwide")?,
        since: query::time("since", params.since.as_deref())?,
        until: query::time("until", params.until.as_deref())?,
        deployment: access.deployment(params.deployment_id.clone())?,
        reason: named("reason", params.reason.as_deref(), Reason::parse, "a reason code; the README lists them")?,
        device: params.device_type,
        campaign: params.campaign.map(CampaignId),
        user: params.user_id,
        label: named("label", params.label.as_deref(), Truth::parse, "human or bot")?,
        id_prefix: params.id_prefix,
        by_score: named("sort", params.sort.as_deref(), sorts_by_score, "time or score")?.unwrap_or(false),
        after: params.cursor.as_deref().map(read_cursor).transpose()?,
        limit: page::page_size(params.limit, PAGE, MAX_PAGE)?,
        window: Some(MAX_WINDOW),
    };
    let page = match params.session_id {
        Some(id) => {
            let wrong = || ApiError::at(Code::OutOfBounds, "sessionId", format!("sessionId {SESSION_ID_RULE}"));
            let id = SessionId::from_unique(&id).ok_or_else(wrong)?;
            one(&service, access.session(id, params.deployment_id)?, &query).await?
        }
        None => service.lists.results(query).await?,
    };
    if answer::wants_csv(&headers) { csv(&page) } else { Ok(answer::json(&answer(&page))) }
}

fn sorts_by_score(name: &str) -> Option<bool> {
    match name {
        "time" => Some(false),
        "score" => Some(true),
        _ => None,
    }
}

/// The page of one session: its result, when it has one and no filter leaves it out.
async fn one(service: &Shared, key: SessionKey, query: &ResultQuery) -> Result<Page<ResultRow>, ApiError> {
    let Lookup::Found(session) = service.operations.find(key).await?.1 else {
        return Ok(Page { rows: vec![], next: None });
    };
    let StoredSession { seq, key, device_type, user_id, result, campaign, .. } = *session;
    let label = service.store.label_of(seq).await?.map(|label| label.truth);
    let fits = |row: &ResultRow| {
        let StoredResult { verdict, scored_at, .. } = &row.result;
        query.decision.is_none_or(|decision| decision == verdict.decision)
            && query.source.is_none_or(|source| source == verdict.source)
            && query.since.is_none_or(|since| since <= *scored_at)
            && query.until.is_none_or(|until| *scored_at < until)
            && query.reason.is_none_or(|reason| verdict.reasons.contains(reason))
            && query.campaign.is_none_or(|asked| Some(asked) == campaign)
            && query.device.as_ref().is_none_or(|device| *device == row.device_type)
            && query.user.as_ref().is_none_or(|user| row.user_id.as_ref() == Some(user))
            && query.label.is_none_or(|label| row.label == Some(label))
            && query.id_prefix.as_ref().is_none_or(|prefix| row.key.id.to_string().starts_with(prefix))
    };
    let row = result.map(|result| ResultRow { key, device_type, user_id, label, campaign, result });
    Ok(Page { rows: row.into_iter().filter(fits).collect(), next: None })
}

fn named<T>(
    path: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    names: &str,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| ApiError::malformed(path, format!("{path} must be {names}")))
}

pub(crate) fn item(row: &ResultRow) -> ResultItem {
    ResultItem {
        session_id: row.key.id.to_string(),
        deployment_id: row.key.deployment.clone(),
        device_type: row.device_type.clone(),
        user_id: row.user_id.clone(),
        label: row.label.map(Truth::name),
        result: ResultBody { campaign_id: row.campaign.map(|id| id.0), ..(&row.result).into() },
    }
}

fn answer(page: &Page<ResultRow>) -> ResultsAnswer {
    ResultsAnswer { results: page.rows.iter().map(item).collect(), next_cursor: page.next.map(write_cursor) }
}

const COLUMNS: [&str; 21] = [
    "sessionId",
    "deploymentId",
    "anomalyScore",
    "rawScore",
    "isAnomaly",
    "decision",
    "confidence",
    "source",
    "modelId",
    "modelVersion",
    "reasons",
    "batchId",
    "scoredAt",
    "attempts",
    "fallback",
    "scoreKind",
    "extrapolated",
    "calibrationClass",
    "deviceType",
    "userId",
    "label",
];

fn csv(page: &Page<ResultRow>) -> Answer {
    answer::csv(COLUMNS, page.rows.iter().map(csv_row), page.next.map(write_cursor))
}

fn csv_row(row: &ResultRow) -> [String; 21] {
    let number = |n: Option<f64>| n.map(|n| n.to_string()).unwrap_or_default();
    let ResultItem { session_id, deployment_id, device_type, user_id, label, result } = item(row);
    let codes: Vec<_> = result.reasons.iter().map(|r| r.code).collect();
    [
        inert(&session_id),
        inert(&deployment_id),
        number(result.anomaly_score),
        number(result.raw_score),
        result.is_anomaly.to_string(),
        result.decision.to_owned(),
        result.confidence.to_string(),
        result.source.to_owned(),
        result.model_id,
        result.model_version,
        codes.join(";"),
        result.batch_id.map(|b| b.to_string()).unwrap_or_default(),
        result.scored_at,
        result.attempts.to_string(),
        result.fallback.to_string(),
        result.score_kind.to_owned(),
        result.extrapolated.to_string(),
        result.calibration_class,
        inert(&device_type),
        inert(&user_id.unwrap_or_default()),
        label.unwrap_or_default().to_owned(),
    ]
}

/// Text of a client that neither a spreadsheet nor a terminal must run.
fn inert(text: &str) -> String {
    let text = printable(text).into_owned();
    if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text }
}

/// Opaque to clients.
fn write_cursor(cursor: Cursor) -> String {
    format!("{:x}-{:x}", cursor.scored_at.0, cursor.row)
}

fn read_cursor(text: &str) -> Result<Cursor, ApiError> {
    let place = text.split_once('-').and_then(|(at, row)| {
        let number = |text| u64::from_str_radix(text, 16).ok().map(u64::cast_signed);
        Some(Cursor { scored_at: Timestamp(number(at)?), row: number(row)? })
    });
    place.ok_or_else(page::wrong_cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, lines, send, session};
    use axum::http::header;
    use serde_json::{Value, json};

    #[test]
    fn cursors_survive_the_round_trip_and_others_are_refused() {
        for (at, row) in [(0, 1), (1_769_860_800_000, 17), (-1, i64::MAX), (i64::MIN, -1)] {
            let cursor = Cursor { scored_at: Timestamp(at), row };
            assert_eq!(read_cursor(&write_cursor(cursor)).unwrap(), cursor);
        }
        for bad in ["", "-", "x-1", "1", "1-1-1", "ffffffffffffffffff-1"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spreadsheets_run_nothing() {
        assert_eq!(inert("=1+1"), "'=1+1");
        assert_eq!((inert("eu-1").as_str(), inert("eu\u{1b}[2J").as_str()), ("eu-1", "eu\u{fffd}[2J"));
    }

    #[test]
    fn csv_is_given_to_those_who_ask() {
        let wants = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            answer::wants_csv(&headers)
        };
        assert!(wants("text/csv") && wants("application/xml, text/CSV; q=0.9"));
        assert!(!wants("*/*") && !wants("application/json") && !answer::wants_csv(&HeaderMap::new()));
    }

    /// An identifier as it stands in a path.
    fn in_path(id: &str) -> String {
        let write = |mut path: String, byte: u8| {
            path.extend([
                '%',
                char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]),
                char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]),
            ]);
            path
        };
        id.bytes().fold(String::new(), write)
    }

    #[tokio::test]
    async fn identifiers_of_every_kind_come_back_as_they_were() {
        let app = TestApp::start().await;
        let ids = ["{3F2504E0-4F89}", "mira+test@shop.example", "=1+1", "東京 1, \"2\"", "50%?#&"];
        for id in ids {
            app.post("/api/v1/score", &session(id)).await;
            let path = in_path(id);
            let found = app.get(&format!("/api/v1/batch/result/{path}")).await.json();
            assert_eq!((&found["sessionId"], &found["status"]), (&json!(id), &json!("queued")));
        }
        send(app.request("POST", "/api/v1/batch/process")).await;
        for id in ids {
            let path = in_path(id);
            app.post(&format!("/api/v1/sessions/{path}/label"), &json!({"label": "bot"})).await;
        }
        let read = |text: String| -> Vec<String> {
            let mut rows = csv::Reader::from_reader(text.as_bytes());
            rows.records().map(|row| row.unwrap()[0].to_owned()).collect()
        };
        let labels = send(app.request("GET", "/api/v1/labels").header("accept", "text/csv")).await;
        assert_eq!(read(labels.text), ids);
        let results = send(app.request("GET", "/api/v1/batch/results").header("accept", "text/csv")).await;
        assert!(read(results.text).contains(&"'=1+1".to_owned()), "no spreadsheet runs it");
        app.post("/api/v1/score", &session("a/b")).await.is_error(422, "out_of_bounds");
    }

    async fn filled() -> TestApp {
        let app = TestApp::start().await;
        app.bulk("", lines("s", 5)).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        app.clock.advance(std::time::Duration::from_secs(60));
        let mut other = session("eu1");
        other["deploymentId"] = json!("=eu");
        app.post("/api/v1/score", &other).await;
        send(app.request("POST", "/api/v1/batch/process")).await;
        app
    }

    fn ids(answer: &Value) -> Vec<&str> {
        answer["results"].as_array().unwrap().iter().map(|r| r["sessionId"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn pages_hold_every_result_once_newest_first() {
        let app = filled().await;
        let all = app.get("/api/v1/batch/results").await.json();
        assert_eq!((ids(&all).len(), ids(&all)[0], &all["nextCursor"]), (6, "eu1", &json!(null)));
        assert_eq!(all["results"][0]["deploymentId"], "=eu");
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.get(&format!("/api/v1/batch/results?limit=2{cursor}")).await.json();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ids(&all));
    }

    #[tokio::test]
    async fn filters_narrow_and_wrong_ones_are_refused() {
        let app = filled().await;
        let count = async |query: &str| {
            let answer = app.get(&format!("/api/v1/batch/results?{query}")).await.json();
            ids(&answer).len()
        };
        assert_eq!(count("source=embedded").await, 6);
        assert_eq!(count("source=woodwide").await, 0);
        assert_eq!(count("since=2026-01-31T12:00:30Z").await, 1);
        assert_eq!(count("until=2026-01-31T12:00:30Z").await, 5);
        assert_eq!(count("deploymentId=%3Deu").await, 1);
        assert_eq!(count("deviceType=mouse").await, 6);
        assert_eq!(count("deviceType=pen").await, 0);
        assert_eq!(count("reason=flagged").await, 0);
        assert_eq!((count("sessionId=s1").await, count("sessionId=eu1").await), (1, 0));
        assert_eq!(count("sessionId=eu1&deploymentId=%3Deu").await, 1);
        assert_eq!(count("sessionId=s1&deviceType=pen").await, 0);
        let by_decision = [count("decision=pass").await, count("decision=review").await, count("decision=fail").await];
        assert_eq!(by_decision.iter().sum::<usize>(), 6);
        for wrong in ["decision=maybe", "source=x", "since=x", "until=x", "cursor=x", "limit=x", "reason=x"] {
            app.get(&format!("/api/v1/batch/results?{wrong}")).await.is_error(400, "malformed");
        }
        app.get("/api/v1/batch/results?limit=1001").await.is_error(422, "out_of_bounds");
    }

    #[tokio::test]
    async fn csv_has_the_same_rows() {
        let app = filled().await;
        let reply = send(app.request("GET", "/api/v1/batch/results?limit=4").header("accept", "text/csv")).await;
        assert!(
            reply.header("content-type").unwrap().starts_with("text/csv") && reply.header("x-next-cursor").is_some()
        );
        let mut rows = reply.text.lines();
        assert_eq!(rows.next().unwrap(), COLUMNS.join(","));
        assert!(rows.next().unwrap().starts_with("eu1,'=eu,"));
        assert_eq!(rows.count(), 3);
    }
}
