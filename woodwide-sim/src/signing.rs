//! Signed addresses: whoever holds one may read or write one object until it expires, without a key.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Signs and checks addresses.
pub(crate) struct Signer {
    secret: [u8; 64],
}

impl Signer {
    pub(crate) fn new(secret: [u8; 64]) -> Self {
        Self { secret }
    }

    /// The query of an address at which `method` may be used on `object` until `expires` (Unix milliseconds).
    pub(crate) fn query(&self, method: &str, object: &str, expires: i64) -> String {
        format!("expires={expires}&signature={}", hex(&self.mac(method, object, expires).finalize().into_bytes()))
    }

    /// Whether a signature is right; when it is not, nothing is said about how.
    pub(crate) fn holds(&self, method: &str, object: &str, expires: i64, signature: &str) -> bool {
        unhex(signature).is_some_and(|given| self.mac(method, object, expires).verify_slice(&given).is_ok())
    }

    fn mac(&self, method: &str, object: &str, expires: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.secret.into());
        mac.update(format!("{method}\n{object}\n{expires}").as_bytes());
        mac
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_for_one_method_object_and_time() {
        let signer = Signer::new([7; 64]);
        let query = signer.query("GET", "a", 100);
        let signature = query.rsplit('=').next().unwrap();
        assert!(signer.holds("GET", "a", 100, signature));
        assert!(!signer.holds("PUT", "a", 100, signature));
        assert!(!signer.holds("GET", "b", 100, signature));
        assert!(!signer.holds("GET", "a", 101, signature));
        assert!(!signer.holds("GET", "a", 100, "zz"));
        assert!(!Signer::new([8; 64]).holds("GET", "a", 100, signature));
    }
}
