//! Who asks, and what they may do: keys, roles, deployments, and the guard of a service without keys.
//!
//! A key is written `KEY`, or `KEY@deployment` when it is bound to a deployment. Only digests of keys are kept, and all
//! of them are compared on every look-up, so that time tells nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use sha2::{Digest as _, Sha256};

use super::error::{ApiError, Code};
use super::settings::HttpSettings;
use crate::controls::StoredKey;
use crate::domain::challenge;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::reason::Reason;

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `POST /api/v1/score` with an answer that holds no score; the key may sit in a web page.
    Submit,
    /// Submit one or many, and read results.
    Ingest,
    /// Read everything about sessions, review and label them; no settings, no submissions.
    Analyst,
    /// Everything.
    Admin,
    /// Read `/metrics`, and nothing else.
    Metrics,
}

/// What a route asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Submit,
    SubmitMany,
    Read,
    Review,
    Manage,
    Measure,
}

impl Need {
    const fn roles(self) -> &'static [Role] {
        match self {
            Self::Submit => &[Role::Submit, Role::Ingest, Role::Admin],
            Self::SubmitMany => &[Role::Ingest, Role::Admin],
            Self::Read => &[Role::Ingest, Role::Analyst, Role::Admin],
            Self::Review => &[Role::Analyst, Role::Admin],
            Self::Manage => &[Role::Admin],
            Self::Measure => &[Role::Metrics, Role::Admin],
        }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Ingest, Self::Analyst, Self::Admin, Self::Metrics];

    /// The role called `name`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Ingest => "ingest",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

/// Why a key was not taken into the set; never holds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing before the `@`, or nothing at all.
    #[error("a key is empty")]
    Empty,
    /// A header could not carry it.
    #[error("a key holds characters other than visible ASCII")]
    NotVisible,
    /// More than 256 bytes, or nothing, after the `@`.
    #[error("the deployment after a key's @ must have 1 to 256 bytes")]
    Deployment,
    /// The same key twice.
    #[error("the same key is given twice; every key has one role and one deployment")]
    Repeated,
}

/// The keys of the service.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    digest: [u8; 32],
    access: Access,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    /// Adds `KEY` or `KEY@deployment` for `role`.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn add(&mut self, role: Role, text: &str) -> Result<(), KeyError> {
        let (key, deployment) = match text.split_once('@') {
            Some((key, deployment)) => (key, Some(deployment)),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::NotVisible);
        }
        if deployment.is_some_and(|d| d.is_empty() || d.len() > crate::domain::session::MAX_STRING) {
            return Err(KeyError::Deployment);
        }
        if self.find(key.as_bytes()).is_some() {
            return Err(KeyError::Repeated);
        }
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let access = Access::of_key(&digest, role, deployment);
        self.0.push(Key { digest, access });
        Ok(())
    }

    /// These, and those that were made through the API; one that is no key, or is there already, is left out.
    pub(super) fn with(&self, stored: &BTreeMap<String, StoredKey>) -> Self {
        let mut all = self.clone();
        for key in stored.values() {
            let digest = super::login::unhex(&key.digest).and_then(|digest| <[u8; 32]>::try_from(digest).ok());
            let (Some(digest), Some(role)) = (digest, Role::parse(&key.role)) else { continue };
            if all.0.iter().any(|other| other.digest == digest) {
                continue;
            }
            let mut access = Access::of_key(&digest, role, key.deployment_id.as_deref());
            access.forced = key.forced();
            all.0.push(Key { digest, access });
        }
        all
    }

    /// Whether there is none, so that everybody on this machine may do everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The access that a key gives; without `required`, everybody with no known key may do everything.
    pub(super) fn access_of(&self, presented: &[u8], required: bool) -> Option<Access> {
        self.find(presented).cloned().or_else(|| (!required).then(Access::local))
    }

    fn find(&self, presented: &[u8]) -> Option<&Access> {
        self.of(presented).map(|(_, access)| access)
    }

    /// The digest of a key, and what it allows.
    pub(super) fn of(&self, presented: &[u8]) -> Option<(&[u8; 32], &Access)> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let mut found = None;
        for key in &self.0 {
            let difference = key.digest.iter().zip(&digest).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
            if difference == 0 {
                found = Some((&key.digest, &key.access));
            }
        }
        found
    }

    /// The deployments that keys are bound to.
    pub(super) fn deployments(&self) -> impl Iterator<Item = &str> {
        let bound: BTreeSet<&str> = self.0.iter().filter_map(|key| key.access.deployment.as_deref()).collect();
        bound.into_iter()
    }

    /// Whether a key is still among these.
    pub(super) fn hold(&self, key: u64) -> bool {
        self.0.iter().any(|one| one.access.key == Some(key))
    }

    /// The key for whose digest `holds`; every key is looked at.
    pub(super) fn for_which(&self, holds: impl Fn(&[u8; 32]) -> bool) -> Option<(&[u8; 32], &Access)> {
        self.0.iter().fold(None, |found, key| if holds(&key.digest) { Some((&key.digest, &key.access)) } else { found })
    }

    /// The access that a request has by its `Authorization` header; without `required`, everybody who sends no known key
    /// may do everything.
    pub(super) fn access(&self, headers: &HeaderMap, required: bool) -> Result<Access, ApiError> {
        let sent = self.sent(headers);
        if required || sent.is_ok() { sent } else { Ok(Access::local()) }
    }

    fn sent(&self, headers: &HeaderMap) -> Result<Access, ApiError> {
        let missing = || ApiError::new(Code::Unauthorized, "send a key as `Authorization: Bearer KEY`");
        let header = headers.get(header::AUTHORIZATION).ok_or_else(missing)?.as_bytes();
        let (scheme, key) = header.split_at_checked(7).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(missing());
        }
        self.find(key.trim_ascii())
            .cloned()
            .ok_or_else(|| ApiError::new(Code::Unauthorized, "this key is not known; check it for typing errors"))
    }
}

/// What the caller of a request may do.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) role: Role,
    /// The only deployment that the caller may see.
    pub(super) deployment: Option<Arc<str>>,
    /// Which key it is; `None` when the service has none.
    pub(super) key: Option<u64>,
    /// Who it is in the audit log: part of a digest of the key's digest.
    pub(super) actor: Arc<str>,
    /// The login that stands for the key, where one does.
    pub(super) login: Option<super::login::Login>,
    /// Of a test key, what decides about the sessions sent with it.
    pub(super) forced: Option<Reason>,
}

impl Access {
    fn of_key(digest: &[u8; 32], role: Role, deployment: Option<&str>) -> Self {
        let again: [u8; 32] = Sha256::digest(digest).into();
        let mut number = [0; 8];
        number.copy_from_slice(&again[..8]);
        Self {
            role,
            deployment: deployment.map(Arc::from),
            key: Some(u64::from_le_bytes(number)),
            actor: super::login::hex(&again[..6]).into(),
            login: None,
            forced: None,
        }
    }

    /// Somebody on this machine, where the service has no keys.
    fn local() -> Self {
        Self { role: Role::Admin, deployment: None, key: None, actor: "local".into(), login: None, forced: None }
    }

    /// Whether it may use the dashboard.
    pub(super) fn may_look(&self) -> bool {
        self.require(Need::Review).is_ok()
    }

    /// Whether it may ask about tokens.
    pub(super) fn may_verify(&self) -> bool {
        self.require(Need::SubmitMany).is_ok()
    }

    fn require(&self, need: Need) -> Result<(), ApiError> {
        if need.roles().contains(&self.role) {
            return Ok(());
        }
        let roles: Vec<&str> = need.roles().iter().map(|role| role.name()).collect();
        let (wanted, sent) = (roles.join(" or "), self.role.name());
        Err(ApiError::new(Code::Forbidden, format!("this needs a key with the role {wanted}; the one sent has {sent}")))
    }

    /// The deployment of a submission that names `named` (`""`: none): a bound key's own, and no other.
    pub(super) fn submit_to(&self, named: &mut String) -> Result<(), ApiError> {
        match &self.deployment {
            None => Ok(()),
            Some(own) if named.is_empty() => {
                (**own).clone_into(named);
                Ok(())
            }
            Some(own) if **own == *named.as_str() => Ok(()),
            Some(_) => Err(foreign_deployment()),
        }
    }

    /// The deployment to which a question is limited; `None` for all.
    pub(super) fn deployment(&self, asked: Option<String>) -> Result<Option<String>, ApiError> {
        match (&self.deployment, asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => Ok(Some(own.to_string())),
            (Some(own), Some(asked)) if **own == *asked.as_str() => Ok(Some(asked)),
            (Some(_), Some(_)) => Err(foreign_deployment()),
        }
    }

    /// The key of one session, in the deployment asked for, the caller's own, or none.
    pub(super) fn session(&self, id: SessionId, asked: Option<String>) -> Result<SessionKey, ApiError> {
        Ok(SessionKey { deployment: self.deployment(asked)?.unwrap_or_default(), id })
    }

    /// Refuses a key bound to a deployment what concerns all of them.
    fn require_unbound(&self) -> Result<(), ApiError> {
        match self.deployment {
            None => Ok(()),
            Some(_) => {
                Err(ApiError::new(Code::WrongDeployment, "this concerns every deployment; use a key bound to none"))
            }
        }
    }
}

fn foreign_deployment() -> ApiError {
    ApiError::at(Code::WrongDeployment, "deploymentId", "deploymentId must be the one that the key is bound to")
}

/// A caller that may submit sessions; `None` for one without a key, who needs a challenge's token.
pub(super) struct Submitter(pub(super) Option<Access>);
/// A caller that may ask for challenges.
pub(super) struct Asker(pub(super) Access);
/// A caller that may submit in bulk.
pub(super) struct Ingester(pub(super) Access);
/// A caller that may read results.
pub(super) struct Reader(pub(super) Access);
/// A caller that may read everything about sessions, and label them.
pub(super) struct Reviewer(pub(super) Access);
/// A caller that may do everything, perhaps in one deployment only.
pub(super) struct Admin(pub(super) Access);
/// A caller that may do everything to all deployments.
pub(super) struct Operator(pub(super) Access);
/// A caller that may read the metrics, which are of all deployments.
pub(super) struct Measurer;

fn access(parts: &Parts, need: Need) -> Result<Access, ApiError> {
    // The gate put it there; without it nobody may do anything.
    let access = parts.extensions.get::<Access>().ok_or_else(|| ApiError::internal("a route is outside the gate"))?;
    access.require(need)?;
    Ok(access.clone())
}

impl<S: Sync> FromRequestParts<S> for Submitter {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<ByToken>().is_some() {
            return Ok(Self(None));
        }
        access(parts, Need::Submit).map(|access| Self(Some(access)))
    }
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::Submit).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Ingester {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::SubmitMany).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::Read).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Reviewer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::Review).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::Manage).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let access = access(parts, Need::Manage)?;
        access.require_unbound()?;
        Ok(Self(access))
    }
}

/// Says that a request came without a key and may bring a challenge's token; the gate puts it there.
#[derive(Clone, Copy)]
pub(super) struct ByToken;

/// The token of a challenge in the place of a key.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_at_checked(7)?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer ") && token.starts_with(challenge::PREFIX)).then_some(token)
}

impl<S: Sync> FromRequestParts<S> for Measurer {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        access(parts, Need::Measure)?.require_unbound()?;
        Ok(Self)
    }
}

/// The guard of a service without keys: a page of another site, or a name that somebody pointed at this machine, must
/// not reach it through a browser.
///
/// A request without a host, or with several, is refused whether there are keys or not: whoever stands in front may have
/// looked at another one.
pub(super) fn guard_local(settings: &HttpSettings, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(ApiError::at(Code::Malformed, "Host", "send one Host header, not several")),
        (Some(authority), ..) => authority.as_str(),
        (None, Some(host), None) => host,
        (None, None, None) => {
            return Err(ApiError::at(Code::Malformed, "Host", "send a Host header, such as localhost"));
        }
    };
    if !settings.keys.is_empty() {
        return Ok(());
    }
    let listen = settings.listen.ip();
    if !is_local(host, listen) {
        let message = "without keys the service answers to localhost only; call it by that name, or set keys";
        return Err(ApiError::new(Code::ForeignHost, message));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    let local = origin.split_once("://").is_some_and(|(_, host)| is_local(host, listen));
    if local || settings.allows_origin(origin) {
        return Ok(());
    }
    let message = "without keys pages of other sites may not call; set keys, and list the origin in API_CORS_ORIGINS";
    Err(ApiError::new(Code::ForeignOrigin, message))
}

/// Whether `authority` (`host`, `host:port`) is this machine or the address listened at.
fn is_local(authority: &str, listen: std::net::IpAddr) -> bool {
    let (bare, rest) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => (v6, rest),
        Some(_) => return false,
        None => authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon)),
    };
    // Nothing but a port may follow.
    let is_port =
        |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !rest.is_empty() && !rest.strip_prefix(':').is_some_and(is_port) {
        return false;
    }
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| {
            ip == std::net::IpAddr::from([127, 0, 0, 1]) || ip == std::net::Ipv6Addr::LOCALHOST || ip == listen
        })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

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
        keys().access(&headers, true)
    }

    #[test]
    fn keys_are_found_whole_and_by_scheme() {
        assert_eq!(access("Bearer root").unwrap().role, Role::Admin);
        assert_eq!(access("bearer  page ").unwrap().role, Role::Submit);
        assert_eq!(access("Bearer shop").unwrap().deployment.as_deref(), Some("eu"));
        for bad in ["Bearer roo", "Bearer roots", "Bearer shop@eu", "Basic root", "root", "Bearer ", ""] {
            assert_eq!(access(bad).unwrap_err().code, Code::Unauthorized, "{bad}");
        }
        assert_eq!(keys().access(&HeaderMap::new(), true).unwrap_err().code, Code::Unauthorized);
        assert_eq!(Keys::default().access(&HeaderMap::new(), false).unwrap().role, Role::Admin);
    }

    #[test]
    fn bad_keys_are_refused_and_none_is_shown() {
        let mut keys = keys();
        assert_eq!(keys.add(Role::Admin, ""), Err(KeyError::Empty));
        assert_eq!(keys.add(Role::Admin, "@eu"), Err(KeyError::Empty));
        assert_eq!(keys.add(Role::Admin, "a b"), Err(KeyError::NotVisible));
        assert_eq!(keys.add(Role::Admin, "a@"), Err(KeyError::Deployment));
        assert_eq!(keys.add(Role::Admin, "page@eu"), Err(KeyError::Repeated));
        assert_eq!(format!("{keys:?}"), "Keys(3)");
    }

    #[test]
    fn a_bound_key_stays_in_its_deployment() {
        let bound = access("Bearer shop").unwrap();
        let mut named = String::new();
        bound.submit_to(&mut named).unwrap();
        assert_eq!(named, "eu");
        bound.submit_to(&mut named).unwrap();
        assert_eq!(bound.submit_to(&mut "us".to_owned()).unwrap_err().code, Code::WrongDeployment);
        assert_eq!(bound.deployment(None).unwrap().as_deref(), Some("eu"));
        assert_eq!(bound.deployment(Some("us".into())).unwrap_err().code, Code::WrongDeployment);
        assert!(bound.require_unbound().is_err());
        let free = access("Bearer root").unwrap();
        assert_eq!(free.deployment(None).unwrap(), None);
        assert_eq!(free.deployment(Some("us".into())).unwrap().as_deref(), Some("us"));
    }

    #[test]
    fn only_this_machine_is_local() {
        let listen = std::net::IpAddr::from([127, 0, 0, 9]);
        for local in ["localhost", "LOCALHOST:80", "127.0.0.1:3000", "[::1]:3000", "[::1]", "127.0.0.9"] {
            assert!(is_local(local, listen), "{local}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "localhost@evil",
            "[::1]evil.com",
            "[::1].evil.com:80",
            "[::1]:80evil.com",
            "127.0.0.1:80@evil.com",
            "localhost:",
            "::1",
            "[127.0.0.1]",
            "10.0.0.1",
            "",
            "null",
            "?",
        ] {
            assert!(!is_local(foreign, listen), "{foreign}");
        }
    }
}
