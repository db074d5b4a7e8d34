//! `POST /api/v1/score`: one session in, its first verdict out. The hot path.

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::access::address::ClientAddress;
use crate::access::rights::{Access, Role};
use crate::challenges::Challenges;
use crate::domain::heuristic::Heuristic;
use crate::domain::reason::Reason;
use crate::domain::result::{Thresholds, Verdict};
use crate::domain::session::{MAX_STRING, Session};
use crate::http::auth::bearer::token;
use crate::http::extract::caller::Submitter;
use crate::http::extract::{body, encoding};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{Malformed, RateLimited, SessionRefused};
use crate::http::respond::shapes::{self, AnomalyBody, FeatureSummary, NoteBody, ReasonBody};
use crate::http::state::Service;
use crate::intake::{Receipt, Sender, Submission, SubmitError};
use crate::metrics::Received;

/// The first verdict on a session; a repeated submission gets it again with the current status.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScoreAnswer<'a> {
    session_id: &'a str,
    /// pass, review or fail.
    #[schema(example = "pass")]
    decision: &'static str,
    /// 0.5 to 1.
    confidence: f64,
    anomaly: AnomalyBody,
    feature_summary: FeatureSummary,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    scored_at: String,
    /// How long the verdict took.
    latency_ms: f64,
    /// queued, processed or failed.
    #[schema(example = "queued")]
    status: &'static str,
    /// heuristic, embedded or woodwide.
    #[schema(example = "embedded")]
    source: &'static str,
    reasons: Vec<ReasonBody>,
    heuristic: HeuristicBody,
    /// What was done so that the session could be taken; absent where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    notes: Vec<NoteBody>,
}

/// What the fixed rules alone say, whoever gave the verdict; for sites that come from them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeuristicBody {
    /// 0 to 5 and 0.3 for each rule that holds.
    score: f64,
    /// pass, review or fail, by the thresholds in force.
    #[schema(example = "pass")]
    decision: &'static str,
    /// The rules that hold.
    reasons: Vec<ReasonBody>,
}

/// What a page learns, by a submit key or a challenge's token: no score to learn from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubmitAnswer<'a> {
    session_id: &'a str,
    /// queued, processed or failed.
    #[schema(example = "queued")]
    status: &'static str,
    /// What was done so that the session could be taken; absent where nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    notes: Vec<NoteBody>,
}

/// What a submission is answered with: the verdict, or less of it. Never made; its schema is that of both.
pub(crate) enum SubmissionAnswer {}

impl PartialSchema for SubmissionAnswer {
    fn schema() -> RefOr<Schema> {
        let of = Ref::from_schema_name;
        // Not one of them: the shorter one is a part of the longer one.
        Schema::AnyOf(AnyOfBuilder::new().item(of("ScoreAnswer")).item(of("SubmitAnswer")).build()).into()
    }
}

impl ToSchema for SubmissionAnswer {
    fn schemas(all: &mut Vec<(String, RefOr<Schema>)>) {
        all.extend(
            [("ScoreAnswer", ScoreAnswer::schema()), ("SubmitAnswer", SubmitAnswer::schema())]
                .map(|(name, schema)| (name.to_owned(), schema)),
        );
        ScoreAnswer::schemas(all);
        SubmitAnswer::schemas(all);
    }
}

/// A session. Unknown fields are ignored, a repeated known one is refused, `null` stands for an absent optional one.
#[derive(ToSchema)]
#[schema(as = Session, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(crate) struct SessionSchema {
    /// Unique per deployment; at most 256 bytes in UTF-8. With a challenge's token it is the challenge's; with a submit key
    /// it is unique among those of pages alone.
    #[schema(
        pattern = "^(?!\\.{1,2}$)[^\\s/\\x00-\\x1f\\x7f-\\x9f]([^/\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]{0,254}[^\\s/\\x00-\\x1f\\x7f-\\x9f])?$",
        example = "s-1"
    )]
    session_id: String,
    /// For erasure; never a feature. With a challenge's token it is what the token says. A submit key vouches for nobody: no
    /// override applies.
    #[schema(max_length = 256)]
    user_id: Option<String>,
    /// Ids are unique per deployment; a key bound to a deployment sets it.
    #[schema(max_length = 256)]
    deployment_id: Option<String>,
    /// `unknown` by default.
    #[schema(max_length = 256, example = "bubble-pop")]
    game_type: Option<String>,
    /// mouse, touch, trackpad, stylus; `unknown` by default.
    #[schema(max_length = 256, example = "mouse")]
    device_type: Option<String>,
    /// The client's own measure.
    #[schema(minimum = -1e15, maximum = 1e15)]
    duration_ms: Option<f64>,
    /// Pointer samples in arrival order. None at all is a session, too: of somebody who used a keyboard or a screen reader. Of
    /// more than 20,000 an even selection is kept, and a note says so.
    movements: Vec<MovementSchema>,
    /// Button presses and taps.
    #[schema(max_items = 2000)]
    clicks: Option<Vec<ClickSchema>>,
    /// Targets hit; left out, none is claimed.
    #[schema(maximum = 1_000_000)]
    hits: Option<u32>,
    /// Targets missed; left out, none is claimed.
    #[schema(maximum = 1_000_000)]
    misses: Option<u32>,
    /// True: queue for a batch verdict, answer at once. False, the default: score now. What a page sends always waits for
    /// its batch.
    use_batch: Option<bool>,
    /// The token of a challenge, in the place of a key. The body may then be sent as text/plain, which needs no preflight.
    #[schema(max_length = 2048, example = "pc_AQEA...")]
    token: Option<String>,
    /// What happened besides the movements: up to 64 counts, lists of counts and short texts, such as the recorder's name.
    /// Checked and not kept.
    #[schema(value_type = Option<Object>)]
    context: Option<()>,
}

/// A pointer sample.
#[derive(ToSchema)]
#[schema(as = Movement, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(crate) struct MovementSchema {
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    x: f64,
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    y: f64,
    /// Milliseconds from any origin.
    #[schema(minimum = -1e15, maximum = 1e15)]
    timestamp: f64,
    /// As the browser's event said.
    is_trusted: Option<bool>,
}

/// A button press or tap.
#[derive(ToSchema)]
#[schema(as = Click, rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what the session parser reads")]
pub(crate) struct ClickSchema {
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    x: f64,
    /// Pixels.
    #[schema(minimum = -1e7, maximum = 1e7)]
    y: f64,
    /// Milliseconds from the movements' origin.
    #[schema(minimum = -1e15, maximum = 1e15)]
    timestamp: f64,
    /// Whether a target was hit; left out, no hit is claimed.
    target_hit: Option<bool>,
}

/// Judges one session.
///
/// With `useBatch: true` the session is durable on disk and `queued` for a batch verdict before the answer leaves; with
/// `false` it is `processed`. The embedded model gives the verdict, or, where the service is set so, the fixed rules give
/// that of a queued session; what they say is in `heuristic` either way. Which traits of the movement are unlike people's is
/// told with the batch verdict. The same session sent again gets the first answer again.
///
/// A page sends its session with the token of a challenge, as `Authorization: Bearer TOKEN` or in the field `token`, or with
/// a submit key. It gets `{sessionId, status}` only. A token is good for one session, whose id, user and deployment it sets. The body may be gzip or zstd, named by
/// `Content-Encoding` or by its first bytes.
#[utoipa::path(
    post, path = "/api/v1/score", operation_id = "submitSession", tag = "sessions",
    request_body(content((SessionSchema = "application/json"), (SessionSchema = "text/plain"))),
    responses(
        (status = 200, description = "The first verdict (roles ingest and admin), or the status alone (role submit, or a token)",
            content((inline(SubmissionAnswer) = "application/json"))),
        Submitter, Malformed, RateLimited, SessionRefused,
    )
)]
pub(crate) async fn submit(
    Submitter { service, access }: Submitter,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let taken = take(&service, access.as_ref(), client, &headers, body).await;
    let Taken { receipt, by_page, notes } = taken.inspect_err(|_| service.metrics.received(Received::Refused))?;
    service.metrics.received(if receipt.duplicate { Received::Duplicate } else { Received::Accepted });
    let thresholds = service.intake.thresholds().of(&receipt.key.deployment);
    Ok(answer(&receipt, &thresholds, by_page, notes))
}

/// A session that was taken.
struct Taken {
    receipt: Receipt,
    /// Whether a page sent it.
    by_page: bool,
    notes: Vec<NoteBody>,
}

/// Takes the session of a body.
async fn take(
    service: &Service,
    access: Option<&Access>,
    client: ClientAddress,
    headers: &HeaderMap,
    body: Body,
) -> Result<Taken, ApiError> {
    let received = service.clock.now();
    body::check_kind(headers, body::is_json_or_text, "application/json")?;
    encoding::check(headers)?;
    let body = body::read(headers, body, service.session_body(access, client)).await?;
    let body = encoding::decoded(body, service.settings.body_limit)?;
    let bearer = token(headers).map(str::to_owned);
    if access.is_none() && bearer.is_none() && !names_token(&body) {
        let message = "send a key as `Authorization: Bearer KEY`, or the token of a challenge in its place or as the \
                       field token";
        return Err(ApiError::new(Code::Unauthorized, message));
    }
    let mut session = parse(service, &body)?;
    drop(body);
    let token = session.token.take();
    let (forced, sender) = match (bearer.or(token), access) {
        (Some(token), _) => by_token(service, &token, headers, &mut session)?,
        (None, Some(access)) => {
            // A page of any origin may send text without asking first.
            body::check_kind(headers, body::is_json, "application/json, or text/plain with a token,")?;
            access.submit_to(&mut session.deployment_id)?;
            (access.forced, if access.role == Role::Submit { Sender::Page } else { Sender::Server })
        }
        (None, None) => return Err(ApiError::malformed("token", "token is empty; send the token of a challenge")),
    };
    // What a page sends waits for its batch, whatever it asks for.
    if session.use_batch || sender != Sender::Server {
        service.fairness.look(service.store.as_ref(), service.settings.queue_limit, &service.keys()).await;
        service.fairness.check(&session.deployment_id, !sender.vouches(), &service.keys())?;
    }
    let (by_page, by_token) = (sender != Sender::Server, matches!(sender, Sender::Challenged { .. }));
    let notes = shapes::notes(&session);
    match service.intake.submit(session, Submission { received, forced, sender }).await {
        Ok(receipt) => Ok(Taken { receipt, by_page, notes }),
        Err(SubmitError::Conflict) if by_token => {
            let message = "another session came with this token; ask for a challenge for each session";
            Err(ApiError::at(Code::UsedToken, "token", message))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a body may hold a token: one that does not is not worth reading for a caller without a key.
fn names_token(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"token\"";
    body.windows(NAME.len()).any(|window| window == NAME)
}

/// Makes `session` the one of a challenge; what its test key says of it, and where it is from.
fn by_token(
    service: &Service,
    token: &str,
    headers: &HeaderMap,
    session: &mut Session,
) -> Result<(Option<Reason>, Sender), ApiError> {
    let challenge = service.challenges.read(token)?;
    let foreign = |field: &str| {
        let message = format!("{field} must be the one of the challenge that the token is of, or left out");
        ApiError::at(Code::ForeignToken, field, message)
    };
    if session.id != challenge.session_id() {
        return Err(foreign("sessionId"));
    }
    if !session.deployment_id.is_empty() && session.deployment_id != challenge.deployment {
        return Err(foreign("deploymentId"));
    }
    session.deployment_id.clone_from(&challenge.deployment);
    session.user_id.clone_from(&challenge.user_id);
    let used = Challenges::used(&challenge, hostname(headers));
    Ok((challenge.forced.map(Reason::of_test), Sender::Challenged { vouched: challenge.vouched, used }))
}

/// The host of the page that sends a request, in its browser's words.
fn hostname(headers: &HeaderMap) -> Option<String> {
    let origin: Uri = headers.get(header::ORIGIN)?.to_str().ok()?.parse().ok()?;
    origin.host().filter(|host| host.len() <= MAX_STRING).map(str::to_owned)
}

fn parse(service: &Service, body: &Bytes) -> Result<Session, ApiError> {
    if body.is_empty() {
        return Err(ApiError::malformed("body", "the body is empty; send a session as JSON"));
    }
    Ok(service.intake.parse(body, &service.settings.bounds)?)
}

fn answer(receipt: &Receipt, thresholds: &Thresholds, by_page: bool, notes: Vec<NoteBody>) -> Response {
    let session_id = receipt.key.id.as_str();
    let status = shapes::status(receipt.state);
    if by_page {
        return answer::json(&SubmitAnswer { session_id, status, notes });
    }
    let verdict = &receipt.first.verdict;
    let rules = Verdict::heuristic(&Heuristic::judge(&receipt.features), thresholds);
    answer::json(&ScoreAnswer {
        session_id,
        decision: verdict.decision.name(),
        confidence: verdict.confidence,
        anomaly: verdict.into(),
        feature_summary: (&receipt.features).into(),
        scored_at: shapes::iso(receipt.first.scored_at),
        latency_ms: receipt.first.latency_ms,
        status,
        source: verdict.source.name(),
        reasons: shapes::reasons(verdict.reasons),
        heuristic: HeuristicBody {
            score: rules.anomaly_score.unwrap_or(0.0),
            decision: rules.decision.name(),
            reasons: shapes::reasons(rules.reasons),
        },
        notes,
    })
}

#[cfg(test)]
mod tests;
