//! The secrets that sign deliveries. None is stored: a webhook's follows from its identifier and a key, that of
//! `PLAYPROOF_SECRET_KEY`, or one that the store makes for itself.
//!
//! Who reads the webhooks' rows, or a dump of them, learns no secret. Who has the whole database learns them where no
//! `PLAYPROOF_SECRET_KEY` is set, as the store's own key lies in it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::controls::Webhook;
use crate::domain::hex;
use crate::secret::Secret;

/// Bytes of a secret.
const SECRET_BYTES: usize = 24;
/// Bytes by which a key is told from another one.
const MARK_BYTES: usize = 4;

/// Makes the secrets of webhooks.
#[derive(Clone, Debug)]
pub struct WebhookSecrets(Secret);

/// The key that made a webhook's secret is not the one that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "PLAYPROOF_SECRET_KEY is not what it was when this webhook was made, so nothing can be signed for it; set it as it was, \
     or make the webhook anew"
)]
pub struct AnotherKey;

impl WebhookSecrets {
    /// Secrets that follow from the setting, or from the store's own key without one.
    #[must_use]
    pub fn new(setting: Option<&Secret>, of_store: &[u8; 32]) -> Self {
        Self(setting.cloned().unwrap_or_else(|| Secret::new(hex::encode(of_store))))
    }

    /// The secret of a new webhook.
    #[must_use]
    pub fn make(&self, id: &str) -> String {
        format!("whsec_{}", hex::encode(&self.code("secret", id)[..SECRET_BYTES]))
    }

    /// What tells this key from another one and tells nothing else of it.
    #[must_use]
    pub fn mark(&self) -> String {
        hex::encode(&self.code("mark", "")[..MARK_BYTES])
    }

    /// The secret of a webhook that was made before.
    ///
    /// # Errors
    /// [`AnotherKey`]
    pub fn of(&self, id: &str, webhook: &Webhook) -> Result<String, AnotherKey> {
        match &webhook.secret {
            Some(stored) => Ok(stored.clone()),
            None if webhook.key_mark == self.mark() => Ok(self.make(id)),
            None => Err(AnotherKey),
        }
    }

    fn code(&self, purpose: &str, id: &str) -> [u8; 32] {
        // Keys of HMAC may have any length.
        let Ok(mut code) = Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes()) else { return [0; 32] };
        for part in ["playproof webhook 1", purpose, id] {
            code.update(part.as_bytes());
            code.update(&[0]);
        }
        code.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_follows_from_key_and_webhook_alone() {
        let of =
            |setting: Option<&str>, store: u8| WebhookSecrets::new(setting.map(Secret::new).as_ref(), &[store; 32]);
        let key = "a key of thirty-two letters or more";
        assert_eq!(of(Some(key), 1).make("wh_1"), of(Some(key), 2).make("wh_1"), "the store's key does not matter");
        let all = [of(None, 1), of(None, 2), of(Some(key), 1)];
        let made: std::collections::BTreeSet<String> =
            all.iter().flat_map(|secrets| [secrets.make("wh_1"), secrets.make("wh_2"), secrets.mark()]).collect();
        assert_eq!(made.len(), 9);
        let one = of(None, 1).make("wh_1");
        assert!(one.starts_with("whsec_") && one.len() == 6 + 2 * SECRET_BYTES, "{one}");
        assert!(!one.contains(&of(None, 1).mark()));
    }
}
