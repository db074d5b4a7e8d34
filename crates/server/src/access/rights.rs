//! What a caller may do: its role, its deployment, and what a route needs of both.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::login::Login;
use crate::domain::hex;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::reason::Reason;

/// Why a caller may not do what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The key has another role.
    #[error("this needs a key with the role {wanted}; the one sent has {sent}")]
    Role {
        /// The roles that may.
        wanted: String,
        /// The key's.
        sent: &'static str,
    },
    /// The key is bound to a deployment, and this concerns another one.
    #[error("deploymentId must be the one that the key is bound to")]
    OtherDeployment,
    /// The key is bound to a deployment, and this concerns all of them.
    #[error("this concerns every deployment; use a key bound to none")]
    Bound,
}

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
pub(crate) enum Need {
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
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Ingest => "ingest",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

/// What the caller of a request may do.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) role: Role,
    /// The only deployment that the caller may see.
    pub(crate) deployment: Option<Arc<str>>,
    /// Which key it is; `None` when the service has none.
    pub(crate) key: Option<u64>,
    /// Who it is in the audit log: part of a digest of the key's digest.
    pub(crate) actor: Arc<str>,
    /// The login that stands for the key, where one does.
    pub(crate) login: Option<Login>,
    /// Of a test key, what decides about the sessions sent with it.
    pub(crate) forced: Option<Reason>,
}

impl Access {
    /// Who the key with this digest is in the audit log.
    pub(crate) fn actor_of(digest: &[u8]) -> String {
        hex::encode(&Sha256::digest(digest)[..6])
    }

    pub(crate) fn of_key(digest: &[u8; 32], role: Role, deployment: Option<&str>) -> Self {
        let again: [u8; 32] = Sha256::digest(digest).into();
        let mut number = [0; 8];
        number.copy_from_slice(&again[..8]);
        Self {
            role,
            deployment: deployment.map(Arc::from),
            key: Some(u64::from_le_bytes(number)),
            actor: Self::actor_of(digest).into(),
            login: None,
            forced: None,
        }
    }

    /// Somebody on this machine, where the service has no keys.
    pub(crate) fn local() -> Self {
        Self { role: Role::Admin, deployment: None, key: None, actor: "local".into(), login: None, forced: None }
    }

    /// Whether it may use the dashboard.
    pub(crate) fn may_look(&self) -> bool {
        self.require(Need::Review).is_ok()
    }

    /// Whether it may ask about tokens.
    pub(crate) fn may_verify(&self) -> bool {
        self.require(Need::SubmitMany).is_ok()
    }

    pub(crate) fn require(&self, need: Need) -> Result<(), AccessError> {
        if need.roles().contains(&self.role) {
            return Ok(());
        }
        let roles: Vec<&str> = need.roles().iter().map(|role| role.name()).collect();
        let (wanted, sent) = (roles.join(" or "), self.role.name());
        Err(AccessError::Role { wanted, sent })
    }

    /// The deployment of a submission that names `named` (`""`: none): a bound key's own, and no other.
    pub(crate) fn submit_to(&self, named: &mut String) -> Result<(), AccessError> {
        match &self.deployment {
            None => Ok(()),
            Some(own) if named.is_empty() => {
                (**own).clone_into(named);
                Ok(())
            }
            Some(own) if **own == *named.as_str() => Ok(()),
            Some(_) => Err(AccessError::OtherDeployment),
        }
    }

    /// The deployment to which a question is limited; `None` for all.
    pub(crate) fn deployment(&self, asked: Option<String>) -> Result<Option<String>, AccessError> {
        match (&self.deployment, asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => Ok(Some(own.to_string())),
            (Some(own), Some(asked)) if **own == *asked.as_str() => Ok(Some(asked)),
            (Some(_), Some(_)) => Err(AccessError::OtherDeployment),
        }
    }

    /// The key of one session, in the deployment asked for, the caller's own, or none.
    pub(crate) fn session(&self, id: SessionId, asked: Option<String>) -> Result<SessionKey, AccessError> {
        Ok(SessionKey { deployment: self.deployment(asked)?.unwrap_or_default(), id })
    }

    /// Refuses a key bound to a deployment what concerns all of them.
    pub(crate) fn require_unbound(&self) -> Result<(), AccessError> {
        match self.deployment {
            None => Ok(()),
            Some(_) => Err(AccessError::Bound),
        }
    }
}
