//! The deployment that a request names.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::session::MAX_STRING;
use crate::http::respond::error::{ApiError, Code};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DeploymentParams {
    /// The deployment; a bound key has its own.
    pub(crate) deployment_id: Option<String>,
}

/// Refuses a deployment that no session can have.
pub(crate) fn check(deployment: Option<&str>) -> Result<(), ApiError> {
    let fits = deployment.is_none_or(|name| (1..=MAX_STRING).contains(&name.len()) && !name.contains('\0'));
    let message = || format!("deploymentId must have 1 to {MAX_STRING} bytes; leave it out for all");
    if fits { Ok(()) } else { Err(ApiError::at(Code::OutOfBounds, "deploymentId", message())) }
}
