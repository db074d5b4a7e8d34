//! Challenges: what a site's server lets one page do once, as a signed token. Nothing is kept of one until it is used.
//!
//! A token is readable by whoever has it, so it holds nothing that the visitor may not know, and nobody can change it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::decision::Decision;
use super::id::SessionId;
use super::time::Timestamp;

/// What every token begins with; no key does.
pub const PREFIX: &str = "pc_";
/// The longest token.
pub const MAX_TOKEN: usize = 2_048;

/// First byte of every token; a later form gets another number.
const FORM: u8 = 1;
const STORE: usize = 4;
const CODE: usize = 32;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Random; tells it from every other.
    pub number: [u8; 16],
    /// When it was made.
    pub issued_at: Timestamp,
    /// No session and no question is taken from then on.
    pub expires_at: Timestamp,
    /// The deployment of its session; `""` for none.
    pub deployment: String,
    /// Whose session it is, where a server said so.
    pub user_id: Option<String>,
    /// What the visitor does, such as `login`.
    pub action: Option<String>,
    /// Whether a server asked for it; else a page did, with a submit key.
    pub vouched: bool,
    /// What the test key that asked for it decides.
    pub forced: Option<Decision>,
}

impl Challenge {
    /// The identifier that its session must have.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        let digits = self.number.iter().fold(String::from("pc-"), |text, byte| format!("{text}{byte:02x}"));
        SessionId::parse(&digits).unwrap_or_default()
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no token, or was changed.
    Unknown,
    /// Another store made it.
    Foreign,
    /// Its time is over.
    Expired,
}

/// Signs challenges with a store's key and reads them back.
#[derive(Clone)]
pub struct Signer {
    code: Hmac<Sha256>,
    /// Tells the store's tokens from those of others, for the words of a refusal alone.
    store: [u8; STORE],
}

impl Signer {
    /// A signer with a key that only the nodes of one store know.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // A shorter key is one filled up with zeros.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(key);
        let code: Hmac<Sha256> = Hmac::new(&block.into());
        let mut named = code.clone();
        named.update(b"which store");
        let mut store = [0; STORE];
        store.copy_from_slice(&named.finalize().into_bytes()[..STORE]);
        Self { code, store }
    }

    /// The token of a challenge.
    #[must_use]
    pub fn token(&self, challenge: &Challenge) -> String {
        let mut bytes = Vec::with_capacity(128);
        let forced = challenge.forced.and_then(|one| Decision::ALL.iter().position(|other| *other == one));
        bytes.extend([
            FORM,
            u8::from(challenge.vouched),
            forced.map_or(0, |place| u8::try_from(place + 1).unwrap_or(0)),
        ]);
        bytes.extend(self.store);
        bytes.extend(challenge.number);
        bytes.extend(challenge.issued_at.0.to_le_bytes());
        bytes.extend(challenge.expires_at.0.to_le_bytes());
        for text in [Some(&challenge.deployment), challenge.user_id.as_ref(), challenge.action.as_ref()] {
            // One more than the length, so that an empty text is not an absent one.
            let length = text.map_or(0, |text| u16::try_from(text.len() + 1).unwrap_or(u16::MAX));
            bytes.extend(length.to_le_bytes());
            bytes.extend(text.map_or(&[][..], |text| text.as_bytes()));
        }
        bytes.extend(self.sign(&bytes).finalize().into_bytes());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What a token says at `now`.
    ///
    /// # Errors
    /// [`TokenFault`]
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Challenge, TokenFault> {
        let text = token.strip_prefix(PREFIX).filter(|_| token.len() <= MAX_TOKEN).ok_or(TokenFault::Unknown)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenFault::Unknown)?;
        let split = bytes.len().checked_sub(CODE).ok_or(TokenFault::Unknown)?;
        let (signed, code) = bytes.split_at(split);
        if self.sign(signed).verify_slice(code).is_err() {
            let elsewhere = signed.get(3..3 + STORE).is_some_and(|store| store != self.store);
            return Err(if elsewhere { TokenFault::Foreign } else { TokenFault::Unknown });
        }
        let challenge = decode(signed).ok_or(TokenFault::Unknown)?;
        if challenge.expires_at <= now { Err(TokenFault::Expired) } else { Ok(challenge) }
    }

    fn sign(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut code = self.code.clone();
        code.update(b"challenge");
        code.update(bytes);
        code
    }
}

fn decode(signed: &[u8]) -> Option<Challenge> {
    let mut rest = signed;
    let mut take = |length: usize| {
        let (head, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(head)
    };
    let head = take(3)?;
    if head[0] != FORM {
        return None;
    }
    let forced = match usize::from(head[2]) {
        0 => None,
        place => Some(*Decision::ALL.get(place - 1)?),
    };
    take(STORE)?;
    let number = take(16)?.try_into().ok()?;
    let mut time = || Some(Timestamp(i64::from_le_bytes(take(8)?.try_into().ok()?)));
    let (issued_at, expires_at) = (time()?, time()?);
    let mut text = || {
        let length = usize::from(u16::from_le_bytes(take(2)?.try_into().ok()?));
        match length.checked_sub(1) {
            None => Some(None),
            Some(length) => Some(Some(String::from_utf8(take(length)?.to_vec()).ok()?)),
        }
    };
    let (deployment, user_id, action) = (text()?.unwrap_or_default(), text()?, text()?);
    Some(Challenge { number, issued_at, expires_at, deployment, user_id, action, vouched: head[1] == 1, forced })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge() -> Challenge {
        Challenge {
            number: [7; 16],
            issued_at: Timestamp(1_000),
            expires_at: Timestamp(2_000),
            deployment: "eu".to_owned(),
            user_id: Some(String::new()),
            action: None,
            vouched: true,
            forced: Some(Decision::Fail),
        }
    }

    #[test]
    fn a_token_says_what_the_challenge_said_until_it_ends() {
        let signer = Signer::new(&[1; 32]);
        let plain =
            Challenge { user_id: None, action: Some("login".to_owned()), forced: None, vouched: false, ..challenge() };
        for challenge in [challenge(), plain] {
            let token = signer.token(&challenge);
            assert_eq!(signer.read(&token, Timestamp(1_999)), Ok(challenge));
            assert_eq!(signer.read(&token, Timestamp(2_000)), Err(TokenFault::Expired));
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");
        }
        assert_eq!(challenge().session_id().as_str(), format!("pc-{}", "07".repeat(16)));
    }

    #[test]
    fn the_largest_challenge_fits_into_a_token() {
        let long = || "é".repeat(128);
        let large = Challenge { deployment: long(), user_id: Some(long()), action: Some(long()), ..challenge() };
        let signer = Signer::new(&[1; 32]);
        assert_eq!(signer.read(&signer.token(&large), Timestamp(0)), Ok(large));
    }

    #[test]
    fn what_was_changed_is_unknown_and_what_another_store_made_is_foreign() {
        let (signer, other) = (Signer::new(&[1; 32]), Signer::new(&[2; 32]));
        let token = signer.token(&challenge());
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX).unwrap()).unwrap();
        for place in (0..bytes.len()).filter(|place| !(3..7).contains(place)) {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            let changed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(changed));
            assert_eq!(signer.read(&changed, Timestamp(0)), Err(TokenFault::Unknown), "byte {place}");
        }
        for end in 0..token.len() {
            assert!(signer.read(&token[..end], Timestamp(0)).is_err(), "{end}");
        }
        assert_eq!(other.read(&token, Timestamp(0)), Err(TokenFault::Foreign));
        let long = format!("{PREFIX}{}", "A".repeat(MAX_TOKEN));
        for bad in ["", "pc_", "pc_é", "sk_abc", &long] {
            assert_eq!(signer.read(bad, Timestamp(0)), Err(TokenFault::Unknown), "{bad}");
        }
    }
}
