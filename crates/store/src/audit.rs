//! The audit log: what was managed, by whom, each entry bound to the one before, so that none can be changed, taken out
//! or put in without the chain showing it.

use std::net::IpAddr;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::StoreResult;
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

/// SHA-256 over the entry before and this one.
pub type Link = [u8; 32];

/// What the first entry is bound to.
pub const ROOT: Link = [0; 32];

/// Something that was managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// When.
    pub at: Timestamp,
    /// Who: a digest of the key, never the key; `local` where the service has no keys.
    pub actor: String,
    /// What, such as `session.erase`.
    pub action: String,
    /// What it was done to; a keyed hash where that is a session or a user.
    pub target: String,
    /// More about it, as JSON, without identifiers of sessions or users.
    pub detail: String,
}

/// An entry as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; they are without a gap, from 1.
    pub id: i64,
    /// What happened.
    pub entry: NewEntry,
    /// Binds it to the one before.
    pub link: Link,
}

impl NewEntry {
    /// The link of this entry when it follows one with the link `previous` as number `id`. Texts are preceded by their
    /// lengths, so that no two entries are the same bytes.
    #[must_use]
    pub fn link(&self, previous: &Link, id: i64) -> Link {
        let mut hash = Sha256::new();
        hash.update(previous);
        hash.update(id.to_le_bytes());
        hash.update(self.at.0.to_le_bytes());
        for text in [&self.actor, &self.action, &self.target, &self.detail] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// A log that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing before this one.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// An entry was changed, or one before it.
    #[error("entry {0} is not what was written, or does not follow the one before it")]
    Changed(i64),
}

/// Follows a chain entry by entry.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Number of the last entry; 0 before the first.
    pub last: i64,
    /// Link of the last entry.
    pub head: Link,
}

impl Default for Chain {
    fn default() -> Self {
        Self { last: 0, head: ROOT }
    }
}

impl Chain {
    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Broken`] where it does not follow.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Broken> {
        if entry.id != self.last + 1 {
            return Err(Broken::Missing(self.last + 1));
        }
        if entry.entry.link(&self.head, entry.id) != entry.link {
            return Err(Broken::Changed(entry.id));
        }
        (self.last, self.head) = (entry.id, entry.link);
        Ok(())
    }
}

/// Where the log is kept; it outlives clearing and retention.
#[async_trait]
pub trait AuditStore {
    /// Appends an entry.
    async fn record(&self, entry: NewEntry) -> StoreResult<()>;

    /// Entries, newest first, before the number `before`.
    async fn audit(&self, before: Option<i64>, limit: u32) -> StoreResult<Vec<Entry>>;

    /// A keyed hash of a session's key.
    fn session_pseudonym(&self, key: &SessionKey) -> String;

    /// A keyed hash of a user.
    fn user_pseudonym(&self, user: &str) -> String;

    /// A keyed hash of a client's address; no user is called so.
    fn address_pseudonym(&self, address: IpAddr) -> String {
        self.user_pseudonym(&format!("\0address\0{address}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> NewEntry {
        NewEntry {
            at: Timestamp(1),
            actor: "a".into(),
            action: action.into(),
            target: String::new(),
            detail: "{}".into(),
        }
    }

    fn chain() -> Vec<Entry> {
        let mut previous = ROOT;
        (1..=3)
            .map(|id| {
                let entry = entry(&format!("action {id}"));
                previous = entry.link(&previous, id);
                Entry { id, entry, link: previous }
            })
            .collect()
    }

    fn verify(entries: &[Entry]) -> Result<(), Broken> {
        let mut chain = Chain::default();
        entries.iter().try_for_each(|entry| chain.follow(entry))
    }

    #[test]
    fn a_chain_shows_what_was_changed_taken_out_or_put_in() {
        assert_eq!(verify(&chain()), Ok(()));
        let mut changed = chain();
        changed[1].entry.actor = "b".into();
        assert_eq!(verify(&changed), Err(Broken::Changed(2)));
        let mut missing = chain();
        missing.remove(1);
        assert_eq!(verify(&missing), Err(Broken::Missing(2)));
        let mut forged = chain();
        forged[1].entry.action = "another".into();
        forged[1].link = forged[1].entry.link(&forged[0].link, 2);
        assert_eq!(verify(&forged), Err(Broken::Changed(3)), "the next one does not follow");
        let mut moved = chain();
        (moved[0].entry.actor, moved[0].entry.action) = ("aa".into(), "ction 1".into());
        assert_eq!(verify(&moved), Err(Broken::Changed(1)), "texts do not flow into each other");
    }
}
