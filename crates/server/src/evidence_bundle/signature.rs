//! How evidence is signed: Ed25519 (RFC 8032) over the very bytes of the text in `payload`, so that whoever checks it needs no
//! rule for how JSON is written.
//!
//! The key is kept nowhere: it follows from `PLAYPROOF_SECRET_KEY`, or from a key of the store where none is set.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::statement::{FORMAT, FORMAT_VERSION};
use crate::domain::hex;
use crate::secret::Secret;

/// `algorithm` of every signature.
pub const ALGORITHM: &str = "Ed25519";
/// Bytes of a public key.
const KEY_BYTES: usize = 32;
/// Bytes of a key's fingerprint.
const FINGERPRINT_BYTES: usize = 8;

/// What tells who signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key of 64 hexadecimal digits; `None` where they are none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text)?.try_into().ok().map(Self)
    }

    /// Half a line by which people tell it from others.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(&Sha256::digest(self.0)[..FINGERPRINT_BYTES])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// Who signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// Always Ed25519.
    #[schema(example = "Ed25519")]
    pub algorithm: String,
    /// 64 hexadecimal digits.
    pub public_key: String,
    /// Over the bytes of `payload`, 128 hexadecimal digits.
    pub value: String,
}

/// A statement with its signature, as it is given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedEvidence {
    /// Always playproof-evidence.
    #[schema(example = "playproof-evidence")]
    pub format: String,
    /// Of the payload, too.
    pub format_version: u32,
    /// The statement as JSON text: its bytes are signed as they are.
    pub payload: String,
    /// Who stands for it.
    pub signature: Signature,
}

/// Why a document's signature is not one of its key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// Another algorithm, or a key or signature of another length.
    #[error("it has no Ed25519 key and signature")]
    Malformed,
    /// The payload or the signature was changed.
    #[error("the payload is not what was signed with its key")]
    Invalid,
}

impl SignedEvidence {
    /// The key that signed it.
    ///
    /// # Errors
    /// [`Unsigned`] where none did.
    pub fn signer(&self) -> Result<PublicKey, Unsigned> {
        let Signature { algorithm, public_key, value } = &self.signature;
        // Digits in their one form, so that no two documents say the same.
        let key = PublicKey::parse(public_key).filter(|key| algorithm == ALGORITHM && key.to_string() == *public_key);
        let key = key.ok_or(Unsigned::Malformed)?;
        let value = hex::decode(value).filter(|bytes| hex::encode(bytes) == *value).ok_or(Unsigned::Malformed)?;
        let checked = UnparsedPublicKey::new(&ED25519, key.0).verify(self.payload.as_bytes(), &value);
        checked.map_err(|_| Unsigned::Invalid)?;
        Ok(key)
    }
}

/// What signs evidence.
pub struct EvidenceKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EvidenceKey").field(&self.public.fingerprint()).finish()
    }
}

impl EvidenceKey {
    /// The key that follows from the setting, or from the store's own key without one.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length, and a seed is what SHA-256 gives.
    #[must_use]
    #[expect(clippy::expect_used, reason = "neither depends on what is given")]
    pub fn new(setting: Option<&Secret>, of_store: &[u8; 32]) -> Self {
        let secret = setting.cloned().unwrap_or_else(|| Secret::new(hex::encode(of_store)));
        let mut code =
            Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
        code.update(b"playproof evidence 1");
        let seed = code.finalize().into_bytes();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of Ed25519 has 32 bytes");
        let mut public = [0; KEY_BYTES];
        public.copy_from_slice(pair.public_key().as_ref());
        Self { pair, public: PublicKey(public) }
    }

    /// What others check signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The statement with this key's signature.
    #[must_use]
    pub fn sign(&self, payload: String) -> SignedEvidence {
        let value = hex::encode(self.pair.sign(payload.as_bytes()).as_ref());
        let signature = Signature { algorithm: ALGORITHM.to_owned(), public_key: self.public.to_string(), value };
        SignedEvidence { format: FORMAT.to_owned(), format_version: FORMAT_VERSION, payload, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_follows_from_the_setting_or_the_store_and_from_nothing_else() {
        let of = |setting: Option<&str>, store: u8| {
            EvidenceKey::new(setting.map(Secret::new).as_ref(), &[store; 32]).public().to_string()
        };
        let key = "a key of thirty-two letters or more";
        assert_eq!(of(Some(key), 1), of(Some(key), 2), "the store's key does not matter");
        let all: std::collections::BTreeSet<String> = [of(None, 1), of(None, 2), of(Some(key), 1)].into();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn what_was_signed_is_told_from_anything_else() {
        let key = EvidenceKey::new(None, &[7; 32]);
        let signed = key.sign("{\"a\":1}".to_owned());
        assert_eq!(signed.signer(), Ok(key.public()));
        let other = SignedEvidence { payload: "{\"a\":2}".to_owned(), ..signed.clone() };
        assert_eq!(other.signer(), Err(Unsigned::Invalid));
        let by = |change: fn(&mut Signature)| {
            let mut changed = signed.clone();
            change(&mut changed.signature);
            changed.signer()
        };
        assert_eq!(by(|s| s.algorithm = "none".to_owned()), Err(Unsigned::Malformed));
        assert_eq!(by(|s| s.public_key.truncate(62)), Err(Unsigned::Malformed));
        assert_eq!(by(|s| s.value.clear()), Err(Unsigned::Invalid));
        assert_eq!(
            by(|s| s.value.replace_range(0..1, if s.value.starts_with('0') { "1" } else { "0" })),
            Err(Unsigned::Invalid)
        );
        let another = EvidenceKey::new(None, &[8; 32]).public();
        let swapped = SignedEvidence {
            signature: Signature { public_key: another.to_string(), ..signed.signature.clone() },
            ..signed
        };
        assert_eq!(swapped.signer(), Err(Unsigned::Invalid));
        assert_eq!(PublicKey::parse(&another.to_string()), Some(another));
        assert_eq!(another.fingerprint().len(), 16);
    }
}
