//! The keys of the service: those of the settings, and those made through the API.
//!
//! A key is written `KEY`, or `KEY@deployment` when it is bound to a deployment. Only digests of keys are kept, and all
//! of them are compared on every look-up, so that time tells nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hint::black_box;

use sha2::{Digest as _, Sha256};

use super::rights::{Access, Role};
use crate::controls::StoredKey;
use crate::domain::hex;

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

/// What people call the keys that were made through the API, by who each is in the audit log. A key without a name is left
/// out.
pub(crate) fn names(stored: &BTreeMap<String, StoredKey>) -> BTreeMap<String, String> {
    let named = stored.values().filter(|key| !key.name.is_empty());
    named.filter_map(|key| Some((Access::actor_of(&hex::decode(&key.digest)?), key.name.clone()))).collect()
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
    pub(crate) fn with(&self, stored: &BTreeMap<String, StoredKey>) -> Self {
        let mut all = self.clone();
        for key in stored.values() {
            let digest = hex::decode(&key.digest).and_then(|digest| <[u8; 32]>::try_from(digest).ok());
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
    pub(crate) fn access_of(&self, presented: &[u8], required: bool) -> Option<Access> {
        self.find(presented).cloned().or_else(|| (!required).then(Access::local))
    }

    pub(crate) fn find(&self, presented: &[u8]) -> Option<&Access> {
        self.of(presented).map(|(_, access)| access)
    }

    /// The digest of a key, and what it allows.
    pub(crate) fn of(&self, presented: &[u8]) -> Option<(&[u8; 32], &Access)> {
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

    /// Who may want to send sessions with these keys: each deployment that keys are bound to, or the nameless one for keys for
    /// sending that are bound to none, and whether it is its pages rather than its servers.
    pub(crate) fn senders(&self) -> BTreeSet<(&str, bool)> {
        let senders = self.0.iter().filter_map(|Key { access, .. }| {
            let deployment = access.deployment.as_deref();
            let is_pages = match access.role {
                Role::Submit => true,
                Role::Ingest => false,
                Role::Admin if deployment.is_some() => false,
                Role::Admin | Role::Analyst | Role::Metrics => return None,
            };
            Some((deployment.unwrap_or_default(), is_pages))
        });
        senders.collect()
    }

    /// Whether a key is still among these.
    pub(crate) fn hold(&self, key: u64) -> bool {
        self.0.iter().any(|one| one.access.key == Some(key))
    }

    /// The key for whose digest `holds`; every key is looked at.
    pub(crate) fn for_which(&self, holds: impl Fn(&[u8; 32]) -> bool) -> Option<(&[u8; 32], &Access)> {
        self.0.iter().fold(None, |found, key| if holds(&key.digest) { Some((&key.digest, &key.access)) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.add(Role::Submit, "page").unwrap();
        keys.add(Role::Ingest, "shop@eu").unwrap();
        keys.add(Role::Admin, "root").unwrap();
        keys
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
}
