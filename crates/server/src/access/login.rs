//! What a login's cookie and token say, and the codes that prove it.
//!
//! The cookie holds an end, a random number, and a code over both that is made with the key's digest: every node with
//! the same keys takes it, and it dies with its key.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::hex;
use crate::domain::time::Timestamp;

/// How long a login holds.
pub(crate) const HOLDS: Duration = Duration::from_secs(12 * 3600);

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) end: Timestamp,
    pub(crate) number: u128,
}

/// The use of a code; one made for one is of no use for another.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Cookie,
    Token,
}

impl Login {
    /// When somebody logged in.
    pub(crate) fn begun(self) -> Timestamp {
        self.end.minus(HOLDS)
    }

    pub(crate) fn code(self, digest: &[u8; 32], made_for: Use) -> Option<Hmac<Sha256>> {
        let mut code: Hmac<Sha256> = Hmac::new_from_slice(digest).ok()?;
        code.update(match made_for {
            Use::Cookie => b"playproof-batch cookie 1",
            Use::Token => b"playproof-batch token 1\0",
        });
        code.update(&self.end.0.to_le_bytes());
        code.update(&self.number.to_le_bytes());
        Some(code)
    }

    pub(crate) fn cookie(self, digest: &[u8; 32]) -> Option<String> {
        let code = self.code(digest, Use::Cookie)?.finalize().into_bytes();
        Some(format!("{:x}.{:032x}.{}", self.end.0, self.number, hex::encode(&code)))
    }

    pub(crate) fn token(self, digest: &[u8; 32]) -> Option<String> {
        Some(hex::encode(&self.code(digest, Use::Token)?.finalize().into_bytes()))
    }

    /// What a cookie says, and the code that is to prove it.
    pub(crate) fn read(cookie: &str) -> Option<(Self, Vec<u8>)> {
        let mut parts = cookie.split('.');
        let end = i64::from_str_radix(parts.next()?, 16).ok().map(Timestamp)?;
        let number = u128::from_str_radix(parts.next()?, 16).ok()?;
        let code = hex::decode(parts.next()?)?;
        parts.next().is_none().then_some((Self { end, number }, code))
    }
}
