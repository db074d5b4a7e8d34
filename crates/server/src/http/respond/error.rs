//! Every error of the API: its code, its status, its words. The only file that knows which fault is which status.
//!
//! Inner text of a store or detector is kept for the log and never sent.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::raw::bytes;
use crate::access::rights::AccessError;
use crate::domain::challenge::TokenFault;
use crate::domain::refusal::{FieldPath, Refusal, RefusalKind};
use crate::intake::SubmitError;
use crate::store::StoreError;

/// The stable codes. Clients branch on them; add, never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Malformed,
    Unauthorized,
    Forbidden,
    CsrfToken,
    WrongDeployment,
    ForeignHost,
    ForeignOrigin,
    UnknownRoute,
    UnknownSession,
    UnknownUser,
    UnknownBatch,
    UnknownDataset,
    UnknownModel,
    UnknownWebhook,
    /// No campaign of this number.
    UnknownCampaign,
    TrainingRuns,
    ModelWorse,
    NoPreviousModel,
    UnknownKey,
    UnknownOverride,
    UnknownRule,
    TelemetryGone,
    UnknownToken,
    ForeignToken,
    ExpiredToken,
    UsedToken,
    MethodNotAllowed,
    RequestTimeout,
    SessionConflict,
    WoodwideNotConfigured,
    DatasetConflict,
    SessionErased,
    BodyTooLarge,
    UnsupportedMediaType,
    UnsupportedEncoding,
    OutOfBounds,
    TimestampUnit,
    ConfirmationRequired,
    RateLimited,
    QueueFull,
    StoreFull,
    StoreUnavailable,
    Busy,
    ShuttingDown,
    AnswersUnread,
    WoodwideRefused,
    WoodwideUnusableAnswer,
    WoodwideUnavailable,
    WoodwideNoCredits,
    Internal,
}

impl Code {
    /// Status, code and title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Malformed => (S::BAD_REQUEST, "malformed", "Malformed request"),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "No valid key"),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "Not allowed with this key"),
            Self::CsrfToken => (S::FORBIDDEN, "csrf_token", "No valid CSRF token"),
            Self::WrongDeployment => (S::FORBIDDEN, "wrong_deployment", "Not this key's deployment"),
            Self::ForeignHost => (S::FORBIDDEN, "foreign_host", "Foreign host"),
            Self::ForeignOrigin => (S::FORBIDDEN, "foreign_origin", "Foreign origin"),
            Self::UnknownRoute => (S::NOT_FOUND, "unknown_route", "Unknown route"),
            Self::UnknownSession => (S::NOT_FOUND, "unknown_session", "Unknown session"),
            Self::UnknownUser => (S::NOT_FOUND, "unknown_user", "Unknown user"),
            Self::UnknownBatch => (S::NOT_FOUND, "unknown_batch", "Unknown batch"),
            Self::UnknownDataset => (S::NOT_FOUND, "unknown_dataset", "Unknown dataset"),
            Self::UnknownModel => (S::NOT_FOUND, "unknown_model", "Unknown model"),
            Self::TrainingRuns => (S::CONFLICT, "training_runs", "A training runs"),
            Self::ModelWorse => (S::CONFLICT, "model_worse", "The model is worse"),
            Self::NoPreviousModel => (S::CONFLICT, "no_previous_model", "No model before this one"),
            Self::UnknownWebhook => (S::NOT_FOUND, "unknown_webhook", "Unknown webhook"),
            Self::UnknownCampaign => (S::NOT_FOUND, "unknown_campaign", "Unknown campaign"),
            Self::UnknownKey => (S::NOT_FOUND, "unknown_key", "Unknown key"),
            Self::UnknownOverride => (S::NOT_FOUND, "unknown_override", "Unknown override"),
            Self::UnknownRule => (S::NOT_FOUND, "unknown_rule", "Unknown rule"),
            Self::TelemetryGone => (S::NOT_FOUND, "telemetry_gone", "Telemetry is gone"),
            Self::UnknownToken => (S::UNAUTHORIZED, "unknown_token", "Unknown token"),
            Self::ForeignToken => (S::FORBIDDEN, "foreign_token", "Token of another session"),
            Self::ExpiredToken => (S::FORBIDDEN, "expired_token", "Token expired"),
            Self::UsedToken => (S::CONFLICT, "used_token", "Token was used"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request_timeout", "Request timed out"),
            Self::SessionConflict => (S::CONFLICT, "session_conflict", "Session exists with other content"),
            Self::WoodwideNotConfigured => (S::CONFLICT, "woodwide_not_configured", "Woodwide is not configured"),
            Self::DatasetConflict => (S::CONFLICT, "dataset_conflict", "Dataset exists with other content"),
            Self::SessionErased => (S::GONE, "session_erased", "Session was erased"),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::UnsupportedMediaType => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported content type")
            }
            Self::UnsupportedEncoding => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "Unsupported content encoding")
            }
            Self::OutOfBounds => (S::UNPROCESSABLE_ENTITY, "out_of_bounds", "Value out of bounds"),
            Self::TimestampUnit => (S::UNPROCESSABLE_ENTITY, "timestamp_unit", "Times are not milliseconds"),
            Self::ConfirmationRequired => (S::UNPROCESSABLE_ENTITY, "confirmation_required", "Confirmation required"),
            Self::RateLimited => (S::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
            Self::QueueFull => (S::SERVICE_UNAVAILABLE, "queue_full", "Queue full"),
            Self::StoreFull => (S::SERVICE_UNAVAILABLE, "store_full", "Store full"),
            Self::StoreUnavailable => (S::SERVICE_UNAVAILABLE, "store_unavailable", "Store unavailable"),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Busy"),
            Self::ShuttingDown => (S::SERVICE_UNAVAILABLE, "shutting_down", "Shutting down"),
            Self::AnswersUnread => (S::SERVICE_UNAVAILABLE, "answers_unread", "Too many unread answers"),
            Self::WoodwideRefused => (S::BAD_GATEWAY, "woodwide_refused", "Woodwide refuses"),
            Self::WoodwideUnusableAnswer => {
                (S::BAD_GATEWAY, "woodwide_unusable_answer", "Woodwide's answer is of no use")
            }
            Self::WoodwideUnavailable => (S::SERVICE_UNAVAILABLE, "woodwide_unavailable", "Woodwide is away"),
            Self::WoodwideNoCredits => (S::SERVICE_UNAVAILABLE, "woodwide_no_credits", "No Woodwide credits left"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.parts().0
    }

    pub(crate) const fn name(self) -> &'static str {
        self.parts().1
    }

    const fn title(self) -> &'static str {
        self.parts().2
    }

    /// When to try again, for faults that pass.
    const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::QueueFull | Self::StoreFull => Some(Duration::from_secs(10)),
            Self::StoreUnavailable | Self::AnswersUnread => Some(Duration::from_secs(5)),
            Self::WoodwideUnavailable => Some(Duration::from_secs(30)),
            Self::WoodwideNoCredits => Some(Duration::from_secs(600)),
            Self::Busy | Self::RateLimited | Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong in a few words.
    pub(crate) error: &'static str,
    /// A sentence that names the cause and the mend.
    pub(crate) message: String,
    /// Stable; branch on this.
    #[schema(example = "out_of_bounds")]
    pub(crate) code: &'static str,
    /// Where the fault lies, when it has a place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Details>,
}

/// Where the fault lies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Details {
    /// The field's path, such as `movements[17].x`; `body` for the document as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "movements[17].x")]
    pub(crate) path: Option<String>,
    /// The bound that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
}

/// A fault on its way to the client.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) details: Option<Details>,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

/// What the log says of an error answer and the client does not learn; travels in the response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Cause(pub(crate) &'static str, pub(crate) Option<String>);

impl ApiError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retry_after: code.retry_after(), cause: None }
    }

    /// A fault of one field, query parameter or header.
    pub(crate) fn at(code: Code, path: &str, message: impl Into<String>) -> Self {
        let details = Details { path: Some(path.to_owned()), limit: None };
        Self { details: Some(details), ..Self::new(code, message) }
    }

    pub(crate) fn malformed(path: &str, message: impl Into<String>) -> Self {
        Self::at(Code::Malformed, path, message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let details = Details { path: Some("body".to_owned()), limit: u64::try_from(limit).ok() };
        let message = format!("the body must be at most {limit} bytes long; send less at once");
        Self { details: Some(details), ..Self::new(Code::BodyTooLarge, message) }
    }

    pub(crate) fn timeout() -> Self {
        Self::new(Code::RequestTimeout, "the body did not arrive in time; send it again without pauses")
    }

    pub(crate) fn rate_limited(after: Duration) -> Self {
        let message = "the rate limit of this key or address is used up; wait as long as Retry-After says";
        Self { retry_after: Some(after), ..Self::new(Code::RateLimited, message) }
    }

    /// Says when to try again, in the place of what the code says.
    pub(crate) fn retry_after(self, after: Option<Duration>) -> Self {
        Self { retry_after: after.or(self.retry_after), ..self }
    }

    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let message = "the request could not be answered; the log of the service has the reason under its request id";
        Self { cause: Some(cause.into()), ..Self::new(Code::Internal, message) }
    }

    pub(crate) fn body(self) -> ErrorBody {
        ErrorBody { error: self.code.title(), message: self.message, code: self.code.name(), details: self.details }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind {
            RefusalKind::Malformed => Code::Malformed,
            RefusalKind::OutOfBounds => Code::OutOfBounds,
            RefusalKind::TimestampUnit => Code::TimestampUnit,
        };
        let path = refusal.path.to_string();
        let message = match refusal.path {
            FieldPath::Body => format!("the body {}", refusal.message),
            _ => format!("{path} {}", refusal.message),
        };
        Self::at(code, &path, message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (code, message) = match &error {
            StoreError::Full(_) => (
                Code::StoreFull,
                "the store has no room left and nothing was changed; send it again when there is room",
            ),
            StoreError::Corrupt(_) | StoreError::TooLarge(_) => {
                return Self::internal(error.to_string());
            }
            StoreError::Unavailable(_)
            | StoreError::LeaseLost(_)
            | StoreError::Newer { .. }
            | StoreError::InUse(_)
            | StoreError::Unusable(_) => {
                (Code::StoreUnavailable, "the store does not answer at the moment; send the request again later")
            }
        };
        Self { cause: Some(error.to_string()), ..Self::new(code, message) }
    }
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        let message = error.to_string();
        match error {
            AccessError::Role { .. } => Self::new(Code::Forbidden, message),
            AccessError::OtherDeployment => Self::at(Code::WrongDeployment, "deploymentId", message),
            AccessError::Bound => Self::new(Code::WrongDeployment, message),
        }
    }
}

impl From<TokenFault> for ApiError {
    fn from(fault: TokenFault) -> Self {
        let (code, message) = match fault {
            TokenFault::Unknown => (Code::UnknownToken, "this is no token of ours, or it was changed"),
            TokenFault::Foreign => {
                (Code::ForeignToken, "the token is of another store; send it to the service it is from")
            }
            TokenFault::Expired => (Code::ExpiredToken, "the token's time is over; ask for a new challenge"),
        };
        Self::at(code, "token", message)
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Conflict => Self::at(
                Code::SessionConflict,
                "sessionId",
                "a session with this id and other content was accepted before; give every session its own id",
            ),
            SubmitError::Erased => {
                Self::at(Code::SessionErased, "sessionId", "the session with this id was erased; its id stays used up")
            }
            SubmitError::QueueFull => {
                Self::new(Code::QueueFull, "the queue is full; nothing was stored, send the session again later")
            }
            SubmitError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        let (code, retry_after) = (self.code, self.retry_after);
        let cause = Cause(code.name(), self.cause.take());
        // Plain text in plain fields serialises.
        let text = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = bytes(code.status(), "application/json", text);
        response.extensions_mut().insert(cause);
        let headers = response.headers_mut();
        if let Some(after) = retry_after {
            let seconds = (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        match code {
            Code::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of such a body is not worth keeping the connection for.
            Code::RequestTimeout | Code::BodyTooLarge => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_text_of_a_store_stays_inside() {
        for error in [
            StoreError::Full("/secret/path".into()),
            StoreError::Unavailable("/secret/path".into()),
            StoreError::Corrupt("/secret/path".into()),
            StoreError::InUse("/secret/path".into()),
            StoreError::Unusable("/secret/path".into()),
        ] {
            let error = ApiError::from(error);
            assert!(!error.message.contains("secret") && error.cause.as_deref().unwrap().contains("secret"));
        }
    }

    #[test]
    fn passing_faults_say_when_to_come_back() {
        let full = ApiError::from(SubmitError::QueueFull).into_response();
        assert_eq!((full.status().as_u16(), full.headers()["retry-after"].to_str().unwrap()), (503, "10"));
        let limited = ApiError::rate_limited(Duration::from_millis(1200)).into_response();
        assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "2"));
    }

    #[test]
    fn refusals_name_the_field() {
        let refusal = Refusal::out_of_bounds(FieldPath::ItemField("movements", 17, "x"), "must be finite");
        let error = ApiError::from(refusal);
        assert_eq!(error.code.status().as_u16(), 422);
        assert_eq!(error.message, "movements[17].x must be finite");
        assert_eq!(error.details.unwrap().path.unwrap(), "movements[17].x");
    }
}
