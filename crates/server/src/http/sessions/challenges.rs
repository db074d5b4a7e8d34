//! `POST /api/v1/challenges`: a single-use token for one session of a page.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::rights::{Access, Role};
use crate::challenges::{DEFAULT_LIFE, MAX_LIFE, MIN_LIFE, Wanted};
use crate::domain::reason::Reason;
use crate::domain::session::MAX_STRING;
use crate::http::extract::caller::Asker;
use crate::http::extract::{body, query};
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, OutOfBounds};
use crate::http::respond::shapes;
use crate::http::state::Service;

/// How long a challenge is to hold.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Life {
    Seconds(u32),
    Span(String),
}

/// A challenge to be made; every field may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChallengeRequest {
    /// Whose session it will be. Not with a submit key, which vouches for nobody. The page can read it in the token.
    #[schema(max_length = 256)]
    user_id: Option<String>,
    /// What the visitor does, such as `login`; siteverify tells it.
    #[schema(max_length = 256, example = "login")]
    action: Option<String>,
    /// The deployment of its session; a key bound to a deployment sets it.
    #[schema(max_length = 256)]
    deployment_id: Option<String>,
    /// How long it holds: `90s`, `10m`, or seconds; from a second to an hour, five minutes when left out.
    #[schema(value_type = Option<String>, example = "5m")]
    ttl: Option<Life>,
}

/// A challenge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChallengeAnswer {
    /// The page sends its session with it, and the form to its server.
    #[schema(example = "pc_AQEA...")]
    token: String,
    /// The id that the session must have.
    session_id: String,
    /// ISO 8601, UTC.
    #[schema(example = "2026-01-31T12:05:00.000Z")]
    expires_at: String,
    /// Seconds until then.
    #[schema(example = 300)]
    expires_in: u64,
}

/// Makes a challenge: a single-use token for one session of a page.
///
/// A server asks with an ingest key, says whose session it will be, and hands the answer to its page. A page of a listed
/// origin may ask for itself with a submit key; nobody then vouches for the session. Nothing is stored until a session comes
/// with the token.
#[utoipa::path(
    post, path = "/api/v1/challenges", operation_id = "createChallenge", tag = "challenges",
    request_body(content = Option<ChallengeRequest>, content_type = "application/json"),
    responses((status = 200, description = "A challenge", body = ChallengeAnswer), Asker, BodyRefused, OutOfBounds)
)]
pub(crate) async fn create(Asker { service, access }: Asker, headers: HeaderMap, body: Body) -> Answer {
    body::check_type(&headers, body::is_json_or_text, "application/json")?;
    let body = body::read(&headers, body, service.body_limits(body::FORM)).await?;
    let asked = body::json::<ChallengeRequest>(&body)?.unwrap_or_default();
    if access.role == Role::Submit {
        check_page(&service, &headers, &asked)?;
    }
    let wanted = wanted(asked, &access)?;
    let expires_in = wanted.life.as_secs();
    let (challenge, token) = service.challenges.issue(wanted);
    Ok(answer::json(&ChallengeAnswer {
        token,
        session_id: challenge.session_id().to_string(),
        expires_at: shapes::iso(challenge.expires_at),
        expires_in,
    }))
}

/// Refuses a page that asks for what a server alone may have, or that no operator listed.
fn check_page(service: &Service, headers: &HeaderMap, asked: &ChallengeRequest) -> Result<(), ApiError> {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if !origin.is_some_and(|origin| service.settings.allows_origin(origin) || is_of_host(origin, headers)) {
        let message = "a submit key asks from a page of a listed origin; list it in API_CORS_ORIGINS, or ask from a \
                       server with an ingest key";
        return Err(ApiError::new(Code::ForeignOrigin, message));
    }
    if asked.user_id.is_some() {
        let message = "userId needs an ingest key: a page cannot say whose session it is; ask from a server";
        return Err(ApiError::at(Code::Forbidden, "userId", message));
    }
    Ok(())
}

/// Whether a page of `origin` was loaded from this service's own address.
fn is_of_host(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, authority)| authority == host))
}

fn wanted(asked: ChallengeRequest, access: &Access) -> Result<Wanted, ApiError> {
    let ChallengeRequest { user_id, action, deployment_id, ttl } = asked;
    for (field, text) in [("userId", &user_id), ("action", &action), ("deploymentId", &deployment_id)] {
        if text.as_ref().is_some_and(|text| text.len() > MAX_STRING) {
            let message = format!("{field} must be at most {MAX_STRING} bytes long");
            return Err(ApiError::at(Code::OutOfBounds, field, message));
        }
    }
    let mut deployment = deployment_id.unwrap_or_default();
    access.submit_to(&mut deployment)?;
    let life = match ttl {
        None => DEFAULT_LIFE,
        Some(Life::Seconds(seconds)) => std::time::Duration::from_secs(u64::from(seconds)),
        Some(Life::Span(text)) => query::span("ttl", &text)?,
    };
    if !(MIN_LIFE..=MAX_LIFE).contains(&life) {
        let message = "ttl must be from 1s to 60m; a session that takes longer needs a new challenge";
        return Err(ApiError::at(Code::OutOfBounds, "ttl", message));
    }
    let vouched = access.role != Role::Submit;
    Ok(Wanted { deployment, user_id, action, life, vouched, forced: access.forced.and_then(Reason::forces) })
}

#[cfg(test)]
mod tests;
