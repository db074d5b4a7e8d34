//! Keys made while the service runs. They are kept as digests.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Operations, random_hex};
use crate::controls::StoredKey;
use crate::domain::hex;
use crate::store::StoreResult;

/// Most keys; every one is looked at with every request.
pub const MAX_KEYS: usize = 1000;

/// A key to be made.
#[derive(Debug)]
pub struct NewKey {
    /// What it allows.
    pub role: &'static str,
    /// The only deployment that it may see.
    pub deployment_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Of a test key: the decision about every session that is sent with it.
    pub verdict: Option<String>,
}

/// A key that was made.
#[derive(Debug)]
pub struct MadeKey {
    /// Its identifier.
    pub id: String,
    /// The key itself, which is not kept.
    pub key: String,
    /// What is kept.
    pub stored: StoredKey,
}

impl Operations {
    /// Makes a key; `None` where there are [`MAX_KEYS`].
    ///
    /// # Errors
    /// When the store is away.
    pub async fn create_key(&self, actor: &str, new: NewKey) -> StoreResult<Option<MadeKey>> {
        if self.controls.current().keys.len() >= MAX_KEYS {
            return Ok(None);
        }
        let kind = if new.verdict.is_some() { "test" } else { new.role };
        let (id, key) = (format!("key_{}", random_hex::<6>()), format!("pp_{kind}_{}", random_hex::<24>()));
        let stored = StoredKey {
            digest: hex::encode(&Sha256::digest(key.as_bytes())),
            role: new.role.to_owned(),
            deployment_id: new.deployment_id,
            name: new.name,
            verdict: new.verdict,
            created_at: self.clock.now().wall.0,
        };
        let detail = json!({"role": stored.role, "deploymentId": stored.deployment_id, "testVerdict": stored.verdict});
        self.put(actor, "key.create", &id, detail, (&id, &stored)).await?;
        Ok(Some(MadeKey { id, key, stored }))
    }

    /// Revokes a key: this node refuses it at once, others soon after. `None` where there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn revoke_key(&self, actor: &str, id: &str) -> StoreResult<Option<StoredKey>> {
        let Some(key) = self.controls.current().keys.get(id).cloned() else { return Ok(None) };
        let detail = json!({"role": key.role, "deploymentId": key.deployment_id});
        self.remove::<StoredKey>(actor, "key.revoke", id, detail, id).await?;
        Ok(Some(key))
    }
}
