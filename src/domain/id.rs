//! Identifiers: what a client may call a session, and what the store calls its rows.

use std::fmt;

/// A session's identifier as the client chose it: 1 to 128 characters of `[A-Za-z0-9_.:-]`, but not `.` or `..`
/// (they would change the meaning of a URL path).
///
/// Sessions that came by a submit key alone have identifiers of their own ([`SessionId::of_page`]): a page takes none away
/// from a server. A client is told the text that it chose, either way.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

/// The characters and length that [`SessionId::parse`] accepts, in words for error messages.
pub const SESSION_ID_RULE: &str = "must be 1 to 128 characters of A-Z a-z 0-9 _ . : - and neither . nor ..";

/// Before the identifiers of sessions that came by a submit key alone, in stores and paths. No client can choose a `/`.
const PAGE: &str = "page/";

impl SessionId {
    /// Checks `text`; `None` when it breaks [`SESSION_ID_RULE`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        (fits && text != "." && text != "..").then(|| Self(text.to_owned()))
    }

    /// The identifier as the client chose it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.strip_prefix(PAGE).unwrap_or(&self.0)
    }

    /// This identifier, chosen by a page with a submit key.
    #[must_use]
    pub fn of_page(&self) -> Self {
        if self.is_of_page() { self.clone() } else { Self(format!("{PAGE}{}", self.0)) }
    }

    /// Whether a page with a submit key chose it.
    #[must_use]
    pub fn is_of_page(&self) -> bool {
        self.0.starts_with(PAGE)
    }

    /// The text that is unique within a deployment, and [`SessionId::from_unique`] reads.
    #[must_use]
    pub fn unique(&self) -> &str {
        &self.0
    }

    /// The identifier with this [`unique`](SessionId::unique) text; `None` when there is none.
    #[must_use]
    pub fn from_unique(text: &str) -> Option<Self> {
        match text.strip_prefix(PAGE) {
            Some(chosen) => Self::parse(chosen).map(|id| id.of_page()),
            None => Self::parse(text),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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

impl SessionKey {
    /// The key of a session that a page with a submit key sent under this identifier.
    #[must_use]
    pub fn of_page(&self) -> Self {
        Self { deployment: self.deployment.clone(), id: self.id.of_page() }
    }
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
        for bad in ["", ".", "..", "a/b", "page/a", "a b", "é", "a\n", &"x".repeat(129)] {
            assert!(SessionId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn pages_choose_among_identifiers_of_their_own() {
        let (server, page) = (SessionId::parse("a").unwrap(), SessionId::parse("a").unwrap().of_page());
        assert_ne!(server, page);
        assert_eq!((page.as_str(), page.to_string().as_str(), page.unique()), ("a", "a", "page/a"));
        assert!(page.is_of_page() && !server.is_of_page() && page.of_page() == page);
        for id in [server, page] {
            assert_eq!(SessionId::from_unique(id.unique()), Some(id));
        }
        for bad in ["page/", "page/page/a", "page/..", "other/a"] {
            assert_eq!(SessionId::from_unique(bad), None, "{bad}");
        }
    }
}
