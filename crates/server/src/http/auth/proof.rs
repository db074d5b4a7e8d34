//! What a request proves: a key, or a login by its cookie. Requests that change something also carry a token that only a
//! page of this service can know.

use axum::http::{HeaderMap, Method, header};
use hmac::Mac as _;

use crate::access::login::{Login, Use};
use crate::access::rights::Access;
use crate::domain::hex;
use crate::http::auth::bearer::{self, CSRF, cookie};
use crate::http::auth::revocation::login_of;
use crate::http::respond::error::{ApiError, Code};
use crate::http::state::Service;

/// A login that holds, and the key behind it.
pub(crate) struct Proven {
    pub(crate) login: Login,
    pub(crate) digest: [u8; 32],
    pub(crate) access: Access,
}

/// The login of a request's cookie; `None` when there is no cookie, or it proves nothing any more.
pub(crate) fn proven(service: &Service, headers: &HeaderMap) -> Option<Proven> {
    let (login, code) = cookie(headers).and_then(Login::read)?;
    let holds = |digest: &[u8; 32]| login.code(digest, Use::Cookie).is_some_and(|own| own.verify_slice(&code).is_ok());
    let keys = service.keys();
    let (digest, access) = keys.for_which(holds)?;
    let access = Access { login: Some(login), ..access.clone() };
    let over = service.operations.is_login_over(login_of(&access, login));
    if over { None } else { Some(Proven { login, digest: *digest, access }) }
}

impl Proven {
    /// Refuses a request that changes something and does not carry the token.
    pub(crate) fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let sent = headers.get(CSRF).and_then(|token| hex::decode(token.to_str().ok()?));
        let own = self.login.code(&self.digest, Use::Token);
        if sent.zip(own).is_some_and(|(sent, own)| own.verify_slice(&sent).is_ok()) {
            return Ok(());
        }
        let message = "with a cookie, send the csrfToken of GET /api/v1/session as X-CSRF-Token; or send a key";
        Err(ApiError::new(Code::CsrfToken, message))
    }
}

/// The access that a request has: by its key, or else by its cookie.
pub(crate) fn access(service: &Service, method: &Method, headers: &HeaderMap) -> Result<Access, ApiError> {
    let required = !service.settings.keys.is_empty();
    if !required || headers.contains_key(header::AUTHORIZATION) || cookie(headers).is_none() {
        return bearer::access(&service.keys(), headers, required);
    }
    let over = || ApiError::new(Code::Unauthorized, "this login is over; log in again");
    let proven = proven(service, headers).ok_or_else(over)?;
    proven.check(method, headers)?;
    Ok(proven.access)
}
