//! Challenges: made without a trace, read when a session comes with one, answered once.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::challenge::{Challenge, Signer, TokenFault};
use crate::domain::id::SessionKey;
use crate::domain::result::Decision;
use crate::store::challenges::{Redemption, UsedChallenge};
use crate::store::{Store, StoreError, StoredSession};

/// How long a challenge holds where nobody says otherwise.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(5 * 60);
/// The longest that one can hold.
pub const MAX_LIFE: Duration = Duration::from_secs(60 * 60);
/// The shortest that one can hold.
pub const MIN_LIFE: Duration = Duration::from_secs(1);

/// A challenge to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The deployment of its session; `""` for none.
    pub deployment: String,
    /// Whose session it will be.
    pub user_id: Option<String>,
    /// What the visitor does.
    pub action: Option<String>,
    /// How long it holds.
    pub life: Duration,
    /// Whether a server asks for it, which vouches for the user.
    pub vouched: bool,
    /// What the test key that asks for it decides.
    pub forced: Option<Decision>,
}

/// The one answer to a question about a challenge.
#[derive(Clone, Debug)]
pub struct Redeemed {
    /// The challenge.
    pub challenge: Challenge,
    /// The session that came with it.
    pub session: Box<StoredSession>,
    /// The host of the page that sent it, in the browser's words.
    pub hostname: Option<String>,
}

/// Why a question about a challenge got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedeemError {
    /// The token is not taken.
    #[error("the token is not taken")]
    Token(TokenFault),
    /// The question was answered before.
    #[error("the token was verified before")]
    Used,
    /// No session came with it yet.
    #[error("no session came with the token")]
    NoSession,
    /// Its session was erased.
    #[error("the session was erased")]
    Erased,
    /// The store is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes challenges and knows them again, on every node of a store.
pub struct Challenges {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    signer: Signer,
}

/// The key of a challenge's session. One that a page asked for is among those of pages.
#[must_use]
pub fn session_key(challenge: &Challenge) -> SessionKey {
    let key = SessionKey { deployment: challenge.deployment.clone(), id: challenge.session_id() };
    if challenge.vouched { key } else { key.of_page() }
}

impl Challenges {
    /// Those of the nodes of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let signer = Signer::new(&store.challenge_key());
        Self { store, clock, signer }
    }

    /// A new challenge and its token. The store learns nothing of it.
    #[must_use]
    pub fn issue(&self, wanted: Wanted) -> (Challenge, String) {
        let Wanted { deployment, user_id, action, life, vouched, forced } = wanted;
        let issued_at = self.clock.now().wall;
        let challenge = Challenge {
            number: rand::random(),
            issued_at,
            expires_at: issued_at.plus(life),
            deployment,
            user_id,
            action,
            vouched,
            forced,
        };
        let token = self.signer.token(&challenge);
        (challenge, token)
    }

    /// What a token says, if it holds.
    ///
    /// # Errors
    /// [`TokenFault`]
    pub fn read(&self, token: &str) -> Result<Challenge, TokenFault> {
        self.signer.read(token, self.clock.now().wall)
    }

    /// What is kept of a challenge with its session, sent by a page of `hostname`.
    #[must_use]
    pub fn used(challenge: &Challenge, hostname: Option<String>) -> UsedChallenge {
        UsedChallenge { number: challenge.number, expires_at: challenge.expires_at, hostname }
    }

    /// The one answer about a token, to somebody who may see `deployment` alone, or all.
    ///
    /// # Errors
    /// [`RedeemError`]; with any but [`RedeemError::Used`] it is not used up.
    pub async fn redeem(&self, token: &str, deployment: Option<&str>) -> Result<Redeemed, RedeemError> {
        let challenge = self.read(token).map_err(RedeemError::Token)?;
        if deployment.is_some_and(|own| own != challenge.deployment) {
            return Err(RedeemError::Token(TokenFault::Foreign));
        }
        match self.store.redeem(challenge.number, session_key(&challenge), self.clock.now().wall).await? {
            Redemption::First { hostname, session } => Ok(Redeemed { challenge, session, hostname }),
            Redemption::Repeated => Err(RedeemError::Used),
            Redemption::Unused => Err(RedeemError::NoSession),
            Redemption::Erased => Err(RedeemError::Erased),
        }
    }
}
