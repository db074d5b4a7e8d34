//! `POST /api/v1/siteverify`: a site's server asks once about the token that its page handed on, in the form that other
//! services of the kind have.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::address::ClientAddress;
use crate::access::rights::Access;
use crate::challenges::{RedeemError, Redeemed};
use crate::domain::challenge::TokenFault;
use crate::domain::result::{Decision, Verdict};
use crate::http::auth::bearer;
use crate::http::extract::body;
use crate::http::respond::answer;
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::shapes::{self, AnomalyBody, ReasonBody};
use crate::http::state::Shared;
use crate::metrics::Login;

/// A question is a key and a token.
const MAX_BODY: usize = 16 << 10;

/// A question about a token, as JSON or as a form. Other fields, such as `remoteip`, are ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SiteverifyRequest {
    /// A key with the role ingest; it may stand in the header `Authorization` instead.
    secret: Option<String>,
    /// The token, as other services call it.
    response: Option<String>,
    /// The token.
    token: Option<String>,
}

/// What is known of a token's session.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteverifyAnswer {
    /// Whether the token holds and this is the first question about it. What the session is, `decision` says.
    success: bool,
    /// 0 to 1: from 0.7 for a pass, 0.25 to 0.45 for a review, below that for a fail.
    #[schema(example = 0.93)]
    score: f64,
    /// What the challenge was asked for.
    action: Option<String>,
    /// When the challenge was made; ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:00:00.000Z")]
    challenge_ts: String,
    /// The host of the page that sent the session, in the browser's words; `null` where it did not say.
    hostname: Option<String>,
    /// Empty.
    #[serde(rename = "error-codes")]
    error_codes: [&'static str; 0],
    /// For `GET /api/v1/batch/result/{sessionId}`, where the batch's verdict will stand.
    #[serde(rename = "sessionId")]
    session_id: String,
    /// pass, review or fail: that of the batch when the status is processed, else the first one.
    #[schema(example = "pass")]
    decision: &'static str,
    /// queued, processed or failed.
    #[schema(example = "queued")]
    status: &'static str,
    reasons: Vec<ReasonBody>,
    anomaly: AnomalyBody,
}

/// Why a question got no answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SiteverifyRefusal {
    /// Always false.
    success: bool,
    /// One of missing-input-secret, invalid-input-secret, missing-input-response, invalid-input-response, bad-request,
    /// timeout-or-duplicate and internal-error.
    #[serde(rename = "error-codes")]
    error_codes: [&'static str; 1],
    /// The same more closely, such as `expired_token` or `used_token`.
    #[schema(example = "used_token")]
    code: &'static str,
    /// A sentence that names the cause and the mend.
    message: &'static str,
}

/// What a question is answered with.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "documents what is answered")]
pub(crate) enum SiteverifyReply {
    Known(SiteverifyAnswer),
    Refused(SiteverifyRefusal),
}

/// A refusal's place among the error codes of other services, the code of ours, and the mend.
struct Refused(&'static str, Code, &'static str);

/// Answers once about a token: shaped as siteverify of other services.
///
/// The key is `secret`, or stands in the header. The answer is 200 whatever it says; 503 alone, when the store is away, asks
/// for another attempt. A token about which no answer was given can be asked about again.
#[utoipa::path(
    post, path = "/api/v1/siteverify", operation_id = "siteverify", tag = "challenges", security(("bearer" = []), ()),
    request_body(content((SiteverifyRequest = "application/json"), (SiteverifyRequest = "application/x-www-form-urlencoded"))),
    responses(
        (status = 200, description = "The answer, or a refusal with its error code",
            content((inline(SiteverifyReply) = "application/json"))),
        (status = 503, description = "The store is away; the token is not used up", body = SiteverifyRefusal),
    )
)]
pub(crate) async fn verify(
    State(service): State<Shared>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match answered(&service, client, &headers, body).await {
        Ok(redeemed) => answer::json(&answer(redeemed)),
        Err(Refused(theirs, code, message)) => {
            let status = if code == Code::StoreUnavailable { code.status() } else { StatusCode::OK };
            let refusal = SiteverifyRefusal { success: false, error_codes: [theirs], code: code.name(), message };
            answer::json_with(status, &refusal)
        }
    }
}

async fn answered(
    service: &Shared,
    client: ClientAddress,
    headers: &HeaderMap,
    body: Body,
) -> Result<Redeemed, Refused> {
    let bad = || Refused("bad-request", Code::Malformed, "send secret and response, as a form or as JSON");
    let limits = service.body_limits(MAX_BODY);
    let body = body::read(headers, body, limits).await.map_err(|_| bad())?;
    let asked = read(headers, &body).ok_or_else(bad)?;
    let access = allowed(service, client, headers, asked.secret.as_deref())?;
    let missing =
        || Refused("missing-input-response", Code::Malformed, "send the token of the page as response or token");
    let token = asked.response.or(asked.token).filter(|token| !token.is_empty()).ok_or_else(missing)?;
    let redeemed = service.challenges.redeem(&token, access.deployment.as_deref()).await;
    redeemed.map_err(refused)
}

/// The question in a body of either form.
fn read(headers: &HeaderMap, body: &[u8]) -> Option<SiteverifyRequest> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let is_json = match essence.as_deref() {
        Some("application/x-www-form-urlencoded") => false,
        Some(essence) if body::is_json(essence) => true,
        None => body.trim_ascii_start().starts_with(b"{"),
        Some(_) => return None,
    };
    if is_json {
        return body::json(body).ok().map(Option::unwrap_or_default);
    }
    let mut asked = SiteverifyRequest::default();
    for (name, value) in form_urlencoded::parse(body) {
        let field = match &*name {
            "secret" => &mut asked.secret,
            "response" => &mut asked.response,
            "token" => &mut asked.token,
            _ => continue,
        };
        *field = Some(value.into_owned());
    }
    Some(asked)
}

/// The access of a server that may ask: by `secret`, or else by the header.
fn allowed(
    service: &Shared,
    client: ClientAddress,
    headers: &HeaderMap,
    secret: Option<&str>,
) -> Result<Access, Refused> {
    let required = !service.settings.keys.is_empty();
    let secret = secret.filter(|secret| !secret.is_empty());
    if secret.is_none() && required && !headers.contains_key(header::AUTHORIZATION) {
        let message = "send a key with the role ingest as secret, or as Authorization: Bearer KEY";
        return Err(Refused("missing-input-secret", Code::Unauthorized, message));
    }
    let wrong = |code| Refused("invalid-input-secret", code, "secret must be a known key with the role ingest");
    let keys = service.keys();
    let access = match secret {
        Some(secret) => keys.access_of(secret.as_bytes(), required),
        None => bearer::access(&keys, headers, required).ok(),
    };
    // Who guesses here is slowed as who guesses in the header is.
    let Some(access) = access else {
        let sent = secret.map(str::as_bytes).or_else(|| Some(headers.get(header::AUTHORIZATION)?.as_bytes()));
        let refusal = ApiError::new(Code::Unauthorized, "unknown key");
        let code = sent.map_or(Code::Unauthorized, |sent| {
            service.attempts.refuse_key(sent, client, Login::RefusedKey, refusal).code
        });
        return Err(wrong(code));
    };
    service.attempts.accept_key(access.key, client).map_err(|slowed| wrong(slowed.code))?;
    if access.may_verify() { Ok(access) } else { Err(wrong(Code::Forbidden)) }
}

fn refused(error: RedeemError) -> Refused {
    const UNKNOWN: &str = "invalid-input-response";
    const OVER: &str = "timeout-or-duplicate";
    match error {
        RedeemError::Token(TokenFault::Unknown) => {
            Refused(UNKNOWN, Code::UnknownToken, "this is no token of ours, or it was changed")
        }
        RedeemError::Token(TokenFault::Foreign) => {
            Refused(UNKNOWN, Code::ForeignToken, "the token is of another deployment or of another store")
        }
        RedeemError::Token(TokenFault::Expired) => {
            Refused(OVER, Code::ExpiredToken, "the token's time is over; the page needs a new challenge")
        }
        RedeemError::Used => Refused(OVER, Code::UsedToken, "the token was verified before; an answer is given once"),
        RedeemError::NoSession => Refused(
            UNKNOWN,
            Code::UnknownSession,
            "no session came with the token yet; ask again when the page sent it",
        ),
        RedeemError::Erased => Refused(UNKNOWN, Code::SessionErased, "the token's session was erased"),
        RedeemError::Store(error) => {
            tracing::warn!(%error, "a token could not be verified");
            Refused(
                "internal-error",
                Code::StoreUnavailable,
                "the store does not answer at the moment; ask again later",
            )
        }
    }
}

fn answer(redeemed: Redeemed) -> SiteverifyAnswer {
    let Redeemed { challenge, session, hostname } = redeemed;
    let verdict = session.result.as_ref().map_or(&session.first.verdict, |result| &result.verdict);
    SiteverifyAnswer {
        success: true,
        score: likeness(verdict),
        action: challenge.action,
        challenge_ts: shapes::iso(challenge.issued_at),
        hostname,
        error_codes: [],
        session_id: session.key.id.to_string(),
        decision: verdict.decision.name(),
        status: shapes::status(session.entry.state),
        reasons: shapes::reasons(verdict.reasons),
        anomaly: verdict.into(),
    }
}

/// How like a person, 0 to 1, in the order of decision and confidence: a site that refuses below a half refuses what is
/// reviewed or fails.
fn likeness(verdict: &Verdict) -> f64 {
    let likeness = match verdict.decision {
        Decision::Pass => verdict.confidence.max(0.7),
        Decision::Review => verdict.confidence.clamp(0.5, 0.7) - 0.25,
        Decision::Fail => 0.8 * (1.0 - verdict.confidence.clamp(0.7, 1.0)),
    };
    (likeness * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests;
