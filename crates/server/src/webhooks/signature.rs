//! What proves to a receiver that a delivery is ours and fresh: an HMAC-SHA-256 over the time and the body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::time::Timestamp;

/// The header that carries it.
pub const HEADER: &str = "playproof-signature";

/// `t=SECONDS,v1=HEX`, where `HEX` is the HMAC-SHA-256 of `SECONDS.BODY` under the secret's bytes as they are written.
/// Receivers refuse a time that is long past, so that what was overheard is of no use later.
#[must_use]
pub fn sign(secret: &str, at: Timestamp, body: &str) -> String {
    let seconds = at.0.div_euclid(1000);
    // Keys of HMAC may have any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let code = mac.finalize().into_bytes();
    let mut text = format!("t={seconds},v1=");
    for byte in code {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_says_it_is() {
        // printf '1769860800.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let made = sign("whsec_test", Timestamp(1_769_860_800_999), r#"{"a":1}"#);
        let expected = "29aaca3ccf8b763451bcb9c84f1560f2913c3e66ebc68a3d19a230785ec51697";
        assert_eq!(made, format!("t=1769860800,v1={expected}"));
    }
}
