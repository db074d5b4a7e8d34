//! Challenges that were used: a challenge is signed and kept nowhere until a session comes with it, and that it was used
//! is written with the session. Its answer is given once.

use async_trait::async_trait;

use super::{StoreResult, StoredSession};
use playproof_domain::id::SessionKey;
use playproof_domain::time::Timestamp;

/// What tells a challenge from every other: the random number in its token.
pub type ChallengeNumber = [u8; 16];

/// A challenge that a session came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedChallenge {
    /// Which one.
    pub number: ChallengeNumber,
    /// No session and no question about it is taken from then on.
    pub expires_at: Timestamp,
    /// The host of the page that sent the session, in the browser's words.
    pub hostname: Option<String>,
}

/// A used challenge as kept, for moving a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptChallenge {
    /// The challenge.
    pub used: UsedChallenge,
    /// When its answer was given.
    pub redeemed_at: Option<Timestamp>,
}

/// What became of a question about a challenge.
#[derive(Clone, Debug, PartialEq)]
pub enum Redemption {
    /// It is the first one, and the only one that gets an answer.
    First {
        /// The host of the page that sent the session.
        hostname: Option<String>,
        /// The session that came with it, as it stood when the answer was given.
        session: Box<StoredSession>,
    },
    /// It was answered before.
    Repeated,
    /// No session came with it. It is not used up.
    Unused,
    /// Its session was erased. It is not used up.
    Erased,
}

/// How long after its end a used challenge is remembered: clocks of nodes may be apart by this much.
pub(super) const MARGIN: std::time::Duration = std::time::Duration::from_secs(3600);

/// Where used challenges are kept until they could not be used any more. They outlive clearing and erasure, or a token could
/// be used again.
#[async_trait]
pub trait ChallengeStore {
    /// What signs challenges: the same on all nodes of this store, and of no other store.
    fn challenge_key(&self) -> [u8; 32];

    /// Gives the one answer about a challenge and its session `key` away: of all that ask, on whichever node, one gets
    /// [`Redemption::First`].
    async fn redeem(&self, number: ChallengeNumber, key: SessionKey, now: Timestamp) -> StoreResult<Redemption>;
}
