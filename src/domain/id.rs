//! Identifiers: what a client may call a session, and what the store calls its rows.

use std::fmt;

/// A session's identifier as the client chose it: 1 to 128 characters of `[A-Za-z0-9_.:-]`, but not `.` or `..`
/// (they would change the meaning of a URL path).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

/// The characters and length that [`SessionId::parse`] accepts, in words for error messages.
pub const SESSION_ID_RULE: &str = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : - and neither . nor ..";

impl SessionId {
    /// Checks `text`; `None` when it breaks [`SESSION_ID_RULE`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        (fits && text != "." && text != "..").then(|| Self(text.to_owned()))
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a session across deployments: the deployment (`""` when none) and the session's identifier in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The deployment, `""` when the session names none.
    pub deployment: String,
    /// The session's identifier, unique within the deployment.
    pub id: SessionId,
}

/// The store's own number of an accepted session, in order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// The store's number of a batch, in order of claiming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub i64);

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A random number that fences a lease: whoever settles a batch must present the token it was claimed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_follow_the_rule() {
        for good in ["a", "A-z_0.9:x", "...", &"x".repeat(128)] {
            assert!(SessionId::parse(good).is_some(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "a\n", &"x".repeat(129)] {
            assert!(SessionId::parse(bad).is_none(), "{bad}");
        }
    }
}
