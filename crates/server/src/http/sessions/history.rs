//! `GET /api/v1/sessions/{sessionId}/history`: how the decision about a session came to be what it is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::keys;
use crate::http::extract::caller::Reader;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{Erased, ImpossibleSession, StoreAway, UnknownSession};
use crate::http::respond::shapes::{self, First, ResultBody};
use crate::http::state::Service;
use crate::store::Lookup;
use crate::store::decisions::Revised;
use crate::store::labels::Label;

/// A decision that was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevisionBody {
    /// ISO 8601, UTC.
    at: String,
    /// thresholds, model, label, override or replay.
    #[schema(example = "thresholds")]
    cause: &'static str,
    /// The decision before: pass, review or fail.
    from: &'static str,
    /// The decision after.
    to: &'static str,
    /// More about the cause.
    detail: serde_json::Value,
}

/// What somebody said of a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SaidBody {
    /// human or bot.
    #[schema(example = "bot")]
    label: &'static str,
    note: String,
    /// Digest of the key that said it; `local` where the service has no keys.
    actor: String,
    /// What the key is called, where it was made through the API with a name and is not revoked.
    actor_name: Option<String>,
    /// ISO 8601, UTC.
    at: String,
}

fn said(label: Label, service: &Service) -> SaidBody {
    let actor_name = keys::names(&service.controls.current().keys).remove(&label.actor);
    SaidBody { label: label.truth.name(), note: label.note, actor: label.actor, actor_name, at: shapes::iso(label.at) }
}

/// The history of a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryAnswer {
    session_id: String,
    /// Empty when none.
    deployment_id: String,
    /// As the session names the user; `null` where it names none.
    user_id: Option<String>,
    first: First,
    /// The result as it stands; `null` before there is one.
    result: Option<ResultBody>,
    /// What it was when it was scored: pass, review or fail; `null` before that.
    scored_as: Option<&'static str>,
    /// The changes since, the first one first.
    revisions: Vec<RevisionBody>,
    /// What somebody said of it; `null` where nobody did.
    label: Option<SaidBody>,
}

impl From<Revised> for RevisionBody {
    fn from(revised: Revised) -> Self {
        Self {
            at: shapes::iso(revised.at),
            cause: revised.cause.name(),
            from: revised.earlier.name(),
            to: revised.later.name(),
            detail: serde_json::from_str(&revised.detail).unwrap_or_default(),
        }
    }
}

/// First verdict, result, and every change of the decision with its cause.
#[utoipa::path(
    get, path = "/api/v1/sessions/{sessionId}/history", operation_id = "sessionHistory", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "The history", body = HistoryAnswer),
        Reader, ImpossibleSession, UnknownSession, Erased, StoreAway,
    )
)]
pub(crate) async fn read(
    Reader { service, access }: Reader,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let session = match service.operations.find(access.session(id, params.deployment_id)?).await?.1 {
        Lookup::Found(session) => session,
        Lookup::Erased => return Err(ApiError::new(Code::SessionErased, "this session was erased")),
        Lookup::Unknown => return Err(ApiError::new(Code::UnknownSession, "there is no such session")),
    };
    let revisions = service.store.revisions(session.seq).await?;
    let now = session.result.as_ref().map(|result| result.verdict.decision);
    let scored_as = revisions.first().map(|first| first.earlier).or(now);
    Ok(answer::json(&HistoryAnswer {
        session_id: session.key.id.to_string(),
        deployment_id: session.key.deployment.clone(),
        user_id: session.user_id.clone(),
        first: (&session.first).into(),
        result: session.result.as_ref().map(Into::into),
        scored_as: scored_as.map(crate::domain::result::Decision::name),
        label: service.store.label_of(session.seq).await?.map(|label| said(label, &service)),
        revisions: revisions.into_iter().map(Into::into).collect(),
    }))
}
