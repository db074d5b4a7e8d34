//! How values are kept whatever the engine: enums by number, features as bytes, keys as keyed hashes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{MAX_MEMORY, MAX_MEMORY_KEY, StoreError, StoreResult};
use crate::BatchOutcome;
use crate::buckets::KeptFacet;
use crate::decisions::Cause;
use crate::deliveries::{DeliveryState, EventKind};
use crate::labels::Truth;
use playproof_domain::batch::Trigger;
use playproof_domain::features::v1;
use playproof_domain::hex;
use playproof_domain::id::SessionKey;
use playproof_domain::queue::State;
use playproof_domain::reason::Reason;
use playproof_domain::result::{Decision, ScoreKind, Source};
use playproof_domain::trend::DeviceClass;

/// An enum that is stored as its place in a fixed list.
pub(super) trait Numbered: Copy + PartialEq + Sized + 'static {
    /// The list.
    const LIST: &'static [Self];

    /// Its number.
    fn number(self) -> i64 {
        let place = Self::LIST.iter().position(|v| *v == self);
        place.and_then(|i| i64::try_from(i).ok()).unwrap_or(-1)
    }

    /// The value numbered so.
    fn from_number(number: i64) -> StoreResult<Self> {
        let place = usize::try_from(number).ok();
        let value = place.and_then(|i| Self::LIST.get(i)).copied();
        value.ok_or_else(|| StoreError::Corrupt(format!("{number} is no {}", std::any::type_name::<Self>())))
    }
}

macro_rules! numbered {
    ($($kind:ty),*) => { $(impl Numbered for $kind { const LIST: &'static [Self] = &Self::ALL; })* };
}
numbered!(
    State,
    Decision,
    Source,
    ScoreKind,
    Trigger,
    BatchOutcome,
    Cause,
    Truth,
    EventKind,
    DeliveryState,
    DeviceClass,
    Reason,
    KeptFacet
);

/// Feature set v1 as bytes: little-endian `f64`.
pub(super) fn features_to_blob(features: &v1::Features) -> [u8; 224] {
    let mut blob = [0; 224];
    for (place, value) in blob.chunks_exact_mut(8).zip(features.values()) {
        place.copy_from_slice(&value.to_bits().to_le_bytes());
    }
    blob
}

/// Features from what [`features_to_blob`] made of them.
pub(super) fn features_from_blob(blob: &[u8]) -> StoreResult<v1::Features> {
    let mut values = [0.0; 28];
    if blob.len() != values.len() * 8 {
        return Err(StoreError::Corrupt(format!("a feature row of {} bytes", blob.len())));
    }
    for (value, bytes) in values.iter_mut().zip(blob.chunks_exact(8)) {
        *value = f64::from_bits(u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    }
    Ok(v1::Features::from_values(values))
}

/// Refuses a detector's memory that is too large to be kept.
pub(super) fn check_memory(key: &str, value: Option<&[u8]>) -> StoreResult<()> {
    let size = value.map_or(0, <[u8]>::len);
    if size > MAX_MEMORY {
        let message = format!("a detector's memory of {size} bytes; {MAX_MEMORY} are the most");
        return Err(StoreError::TooLarge(message));
    }
    if key.len() > MAX_MEMORY_KEY {
        let message = format!("a detector's key of {} bytes; {MAX_MEMORY_KEY} are the most", key.len());
        return Err(StoreError::TooLarge(message));
    }
    Ok(())
}

/// A keyed hash of a session's key: 128 bits for tombstones, of which the first 64 index live sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyHash {
    pub(super) mac: [u8; 16],
    pub(super) short: i64,
}

/// Hashes keys with a secret of the store, so that clients can't choose colliding identifiers and a tombstone does
/// not tell which identifier was erased.
#[derive(Clone)]
pub(super) struct KeyHasher(Hmac<Sha256>);

impl KeyHasher {
    pub(super) fn new(secret: &[u8]) -> StoreResult<Self> {
        Ok(Self(Hmac::new_from_slice(secret).map_err(|e| StoreError::Corrupt(e.to_string()))?))
    }

    pub(super) fn hash(&self, key: &SessionKey) -> KeyHash {
        let mut keyed = self.0.clone();
        // A length before the deployment keeps ("a", "bc") and ("ab", "c") apart.
        keyed.update(&(key.deployment.len() as u64).to_le_bytes());
        keyed.update(key.deployment.as_bytes());
        keyed.update(key.id.unique().as_bytes());
        let full = keyed.finalize().into_bytes();
        let (mut mac, mut short) = ([0; 16], [0; 8]);
        mac.copy_from_slice(&full[..16]);
        short.copy_from_slice(&full[..8]);
        KeyHash { mac, short: i64::from_le_bytes(short) }
    }

    /// A keyed hash of a user, under which all of the user's sessions are found.
    pub(super) fn hash_user(&self, user: &str) -> i64 {
        let mut keyed = self.0.clone();
        // A length that no deployment has keeps users and keys apart.
        keyed.update(&u64::MAX.to_le_bytes());
        keyed.update(user.as_bytes());
        let full = keyed.finalize().into_bytes();
        let mut short = [0; 8];
        short.copy_from_slice(&full[..8]);
        i64::from_le_bytes(short)
    }

    /// A key for a purpose of its own, from which nobody learns the secret or the key for another purpose.
    pub(super) fn derived(&self, purpose: &str) -> [u8; 32] {
        let mut keyed = self.0.clone();
        keyed.update(&(u64::MAX - 2).to_le_bytes());
        keyed.update(purpose.as_bytes());
        keyed.finalize().into_bytes().into()
    }

    /// What stands for a session where its key must not.
    pub(super) fn session_pseudonym(&self, key: &SessionKey) -> String {
        hex::encode(&self.hash(key).mac)
    }

    /// What stands for a user where the identifier must not.
    pub(super) fn user_pseudonym(&self, user: &str) -> String {
        let mut keyed = self.0.clone();
        keyed.update(&(u64::MAX - 1).to_le_bytes());
        keyed.update(user.as_bytes());
        hex::encode(&keyed.finalize().into_bytes()[..16])
    }
}
