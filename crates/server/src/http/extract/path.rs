//! What stands in a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::domain::id::{SESSION_ID_RULE, SessionId};
use crate::domain::session::MAX_STRING;
use crate::http::respond::error::{ApiError, Code};

/// The session identifier in the path.
pub(crate) struct SessionPath(pub(crate) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let TextPath(text) = TextPath::from_request_parts(parts, state).await?;
        let message = || format!("the sessionId in the path {SESSION_ID_RULE}");
        SessionId::from_unique(&text).map(Self).ok_or_else(|| ApiError::at(Code::OutOfBounds, "sessionId", message()))
    }
}

/// The user in the path.
pub(crate) struct UserPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for UserPath {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let TextPath(user) = TextPath::from_request_parts(parts, state).await?;
        if user.len() > MAX_STRING {
            let message = format!("the userId in the path must be at most {MAX_STRING} bytes long");
            return Err(ApiError::at(Code::OutOfBounds, "userId", message));
        }
        Ok(Self(user))
    }
}

/// The one parameter in the path, percent-decoded.
pub(crate) struct TextPath(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for TextPath {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(ApiError::malformed("path", "the path is not valid percent-encoded UTF-8")),
        }
    }
}
