//! JSON bodies as an extractor.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::body;
use crate::http::respond::error::ApiError;
use crate::http::state::Shared;

/// What a route reads as JSON.
pub(crate) trait Form: DeserializeOwned {
    /// What to say where there is no body.
    const MISSING: &'static str;
    /// Most bytes of it.
    const BYTES: usize = body::FORM;
}

/// A JSON body that must be there.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Form> FromRequest<Shared> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, service: &Shared) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        body::check_type(&parts.headers, body::is_json, "application/json")?;
        let body = body::read(&parts.headers, body, service.body_limits(T::BYTES)).await?;
        body::json(&body)?.map(Self).ok_or_else(|| ApiError::malformed("body", T::MISSING))
    }
}
