//! `GET /api/v1/sessions/:sessionId/evidence`: everything that a verdict rests on, signed; and the key it is signed with.

use serde::Serialize;
use utoipa::ToSchema;

use crate::evidence_bundle::SignedEvidence;
use crate::evidence_bundle::signature::ALGORITHM;
use crate::http::extract::caller::Reviewer;
use crate::http::extract::deployment::DeploymentParams;
use crate::http::extract::path::SessionPath;
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{EvidenceGone, ImpossibleSession, StoreAway};
use crate::operations::evidence::Found;

/// What evidence of this service is checked with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvidenceKeyAnswer {
    /// Always Ed25519.
    #[schema(example = "Ed25519")]
    algorithm: &'static str,
    /// 64 hexadecimal digits, as `verify --public-key` takes them.
    public_key: String,
    /// The first half line of its SHA-256, for people who compare keys.
    fingerprint: String,
}

/// Gives everything that a verdict rests on as one signed document, as long as the session's telemetry is kept. It holds the
/// record, and so the user as the session named it.
#[utoipa::path(
    get, path = "/api/v1/sessions/{sessionId}/evidence", operation_id = "readEvidence", tag = "results",
    params(("sessionId" = String, Path, description = "The session"), DeploymentParams),
    responses(
        (status = 200, description = "The evidence, one line of JSON", body = SignedEvidence),
        Reviewer, ImpossibleSession, EvidenceGone, StoreAway,
    )
)]
pub(crate) async fn read(
    Reviewer { service, access }: Reviewer,
    SessionPath(id): SessionPath,
    Params(params): Params<DeploymentParams>,
) -> Answer {
    let key = access.session(id, params.deployment_id)?;
    let model = service.embedded.model_of(&key.deployment);
    let kept = match service.operations.kept_evidence(key).await? {
        Found::Kept(kept) => kept,
        Found::Undecided => {
            return Err(ApiError::new(Code::UnknownSession, "this session has no result yet; ask again when it has"));
        }
        Found::TelemetryGone => {
            return Err(ApiError::new(
                Code::TelemetryGone,
                "the session's telemetry is gone, and nothing can be computed without it; \
                 PLAYPROOF_RETENTION_TELEMETRY and PLAYPROOF_RETENTION_TELEMETRY_FLAGGED say how long it is kept",
            ));
        }
        Found::Erased => return Err(ApiError::new(Code::SessionErased, "the session with this id was erased")),
        Found::Unknown => return Err(ApiError::new(Code::UnknownSession, "there is no such session")),
    };
    // Off the async workers: a long session takes a while.
    let signed = tokio::task::spawn_blocking(move || service.operations.sign_evidence(*kept, &model)).await;
    let signed = signed
        .map_err(|e| ApiError::internal(format!("the evidence could not be made: {e}")))?
        .map_err(|damaged| ApiError::internal(damaged.to_string()))?;
    Ok(answer::json(&signed))
}

/// Tells the public key of this service's evidence: keep it, and name it to `verify --public-key`.
#[utoipa::path(
    get, path = "/api/v1/evidence-key", operation_id = "evidenceKey", tag = "results",
    responses((status = 200, description = "The key", body = EvidenceKeyAnswer), Reviewer)
)]
pub(crate) async fn key(Reviewer { service, .. }: Reviewer) -> Answer {
    let key = service.operations.evidence_key();
    let (public_key, fingerprint) = (key.to_string(), key.fingerprint());
    Ok(answer::json(&EvidenceKeyAnswer { algorithm: ALGORITHM, public_key, fingerprint }))
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "evidence/tampering_tests.rs"]
mod tampering_tests;
