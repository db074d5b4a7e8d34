//! Identifiers: what a client may call a session, and what the store calls its rows.

use std::fmt;

/// Most bytes of a session's identifier.
pub const MAX_SESSION_ID: usize = 256;

/// A session's identifier as the client chose it: 1 to [`MAX_SESSION_ID`] bytes of printable Unicode, with no blank at
/// either end, but not `.` or `..`, and without `/` (they would change the meaning of a URL path).
///
/// Sessions that came by a submit key alone have identifiers of their own ([`SessionId::of_page`]): a page takes none away
/// from a server. A client is told the text that it chose, either way.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

/// The characters and length that [`SessionId::parse`] accepts, in words for error messages.
pub const SESSION_ID_RULE: &str = "must be 1 to 256 bytes of printable Unicode without / (use base64url, not base64), \
     without control characters, without blanks at its ends, and neither . nor ..";

/// Before the identifiers of sessions that came by a submit key alone, in stores and paths. No client can choose a `/`.
const PAGE: &str = "page/";

impl SessionId {
    /// Checks `text`; `None` when it breaks [`SESSION_ID_RULE`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'/';
        let fits = (1..=MAX_SESSION_ID).contains(&text.len())
            && (text.bytes().all(plain) || text.chars().all(is_printable) && text.trim() == text);
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

    /// How the unique texts begin of identifiers that begin so: those that servers send, and those that pages send.
    #[must_use]
    pub fn unique_prefixes(prefix: &str) -> [String; 2] {
        [prefix.to_owned(), format!("{PAGE}{prefix}")]
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

/// Neither a control character, nor one that breaks lines or turns the direction of text, nor the `/` of paths.
fn is_printable(c: char) -> bool {
    let unseen = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !unseen && c != '/'
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
        let of_bytes = |c: &str, bytes: usize| c.repeat(bytes / c.len());
        for good in [
            "a",
            "A-z_0.9:x",
            "...",
            "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
            "mira+test@shop.example",
            "bWlyYQ==",
            "a b",
            "Zażółć 東京 🦀",
            "50%?#&",
            &of_bytes("x", 256),
            &of_bytes("é", 256),
        ] {
            assert!(SessionId::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "page/a",
            " a",
            "a ",
            "\u{a0}a",
            "a\n",
            "a\u{1b}[31m",
            "a\u{0}",
            "\u{85}",
            "a\u{202e}b",
            "\u{feff}a",
            &of_bytes("x", 257),
            &of_bytes("é", 258),
        ] {
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
