//! Who calls, as extractors: each admits the roles that a route is for, and brings the service along.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::access::rights::{Access, Need};
use crate::http::auth::bearer::ByToken;
use crate::http::respond::error::ApiError;
use crate::http::state::Shared;

/// A caller that may submit sessions; `access` is `None` for one without a key, who needs a challenge's token.
pub(crate) struct Submitter {
    pub(crate) service: Shared,
    pub(crate) access: Option<Access>,
}

macro_rules! callers {
    ($($(#[$doc:meta])+ $name:ident: $need:ident $(, $unbound:ident)?;)+) => {$(
        $(#[$doc])+
        pub(crate) struct $name {
            pub(crate) service: Shared,
            pub(crate) access: Access,
        }

        impl FromRequestParts<Shared> for $name {
            type Rejection = ApiError;
            async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, ApiError> {
                let access = access(parts, Need::$need)?;
                $(access.$unbound()?;)?
                Ok(Self { service: Shared::clone(service), access })
            }
        }
    )+};
}

callers! {
    /// A caller that may ask for challenges.
    Asker: Submit;
    /// A caller that may submit in bulk.
    Ingester: SubmitMany;
    /// A caller that may read results.
    Reader: Read;
    /// A caller that may read everything about sessions, and label them.
    Reviewer: Review;
    /// A caller that may do everything, perhaps in one deployment only.
    DeploymentAdmin: Manage;
    /// A caller that may do everything to all deployments.
    GlobalAdmin: Manage, require_unbound;
}

/// A caller that may read the metrics, which are of all deployments.
pub(crate) struct Measurer {
    pub(crate) service: Shared,
}

impl FromRequestParts<Shared> for Measurer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, ApiError> {
        access(parts, Need::Measure)?.require_unbound()?;
        Ok(Self { service: Shared::clone(service) })
    }
}

fn access(parts: &Parts, need: Need) -> Result<Access, ApiError> {
    // The gate put it there; without it nobody may do anything.
    let access = parts.extensions.get::<Access>().ok_or_else(|| ApiError::internal("a route is outside the gate"))?;
    access.require(need)?;
    Ok(access.clone())
}

impl FromRequestParts<Shared> for Submitter {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, service: &Shared) -> Result<Self, ApiError> {
        let by_token = parts.extensions.get::<ByToken>().is_some();
        let access = if by_token { None } else { Some(access(parts, Need::Submit)?) };
        Ok(Self { service: Shared::clone(service), access })
    }
}
