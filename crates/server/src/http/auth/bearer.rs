//! What a request carries to prove who sends it: a key or a challenge's token in a header, or a login's cookie.

use axum::http::{HeaderMap, header};

use crate::access::keys::Keys;
use crate::access::rights::Access;
use crate::domain::challenge;
use crate::http::respond::error::{ApiError, Code};

pub(crate) const COOKIE: &str = "playproof_session";
/// Carries the token.
pub(crate) const CSRF: &str = "x-csrf-token";

/// Says that a request came without a key and may bring a challenge's token; the gate puts it there.
#[derive(Clone, Copy)]
pub(crate) struct ByToken;

/// The token of a challenge in the place of a key.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_at_checked(7)?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer ") && token.starts_with(challenge::PREFIX)).then_some(token)
}

/// The login cookie of a request.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// The access that a request has by its `Authorization` header; without `required`, everybody who sends no known key
/// may do everything.
pub(crate) fn access(keys: &Keys, headers: &HeaderMap, required: bool) -> Result<Access, ApiError> {
    let sent = sent(keys, headers);
    if required || sent.is_ok() { sent } else { Ok(Access::local()) }
}

fn sent(keys: &Keys, headers: &HeaderMap) -> Result<Access, ApiError> {
    let missing = || ApiError::new(Code::Unauthorized, "send a key as `Authorization: Bearer KEY`");
    let header = headers.get(header::AUTHORIZATION).ok_or_else(missing)?.as_bytes();
    let (scheme, key) = header.split_at_checked(7).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(missing());
    }
    keys.find(key.trim_ascii())
        .cloned()
        .ok_or_else(|| ApiError::new(Code::Unauthorized, "this key is not known; check it for typing errors"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::access::rights::Role;

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.add(Role::Submit, "page").unwrap();
        keys.add(Role::Ingest, "shop@eu").unwrap();
        keys.add(Role::Admin, "root").unwrap();
        keys
    }

    fn access(authorization: &str) -> Result<Access, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        super::access(&keys(), &headers, true)
    }

    #[test]
    fn keys_are_found_whole_and_by_scheme() {
        assert_eq!(access("Bearer root").unwrap().role, Role::Admin);
        assert_eq!(access("bearer  page ").unwrap().role, Role::Submit);
        assert_eq!(access("Bearer shop").unwrap().deployment.as_deref(), Some("eu"));
        for bad in ["Bearer roo", "Bearer roots", "Bearer shop@eu", "Basic root", "root", "Bearer ", ""] {
            assert_eq!(access(bad).unwrap_err().code, Code::Unauthorized, "{bad}");
        }
        assert_eq!(super::access(&keys(), &HeaderMap::new(), true).unwrap_err().code, Code::Unauthorized);
        assert_eq!(super::access(&Keys::default(), &HeaderMap::new(), false).unwrap().role, Role::Admin);
    }

    #[test]
    fn a_bound_key_stays_in_its_deployment() {
        let bound = access("Bearer shop").unwrap();
        let mut named = String::new();
        bound.submit_to(&mut named).unwrap();
        assert_eq!(named, "eu");
        bound.submit_to(&mut named).unwrap();
        assert_eq!(ApiError::from(bound.submit_to(&mut "us".to_owned()).unwrap_err()).code, Code::WrongDeployment);
        assert_eq!(bound.deployment(None).unwrap().as_deref(), Some("eu"));
        assert_eq!(ApiError::from(bound.deployment(Some("us".into())).unwrap_err()).code, Code::WrongDeployment);
        assert!(bound.require_unbound().is_err());
        let free = access("Bearer root").unwrap();
        assert_eq!(free.deployment(None).unwrap(), None);
        assert_eq!(free.deployment(Some("us".into())).unwrap().as_deref(), Some("us"));
    }
}
