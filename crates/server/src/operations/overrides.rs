//! Overrides: users who pass, or fail, whatever their movement.

use serde_json::json;

use super::{Operations, random_hex};
use crate::controls::Override;
use crate::store::StoreResult;

/// Most overrides.
pub const MAX_OVERRIDES: usize = 10_000;

/// An override to be made.
#[derive(Debug)]
pub struct NewOverride {
    /// As sessions name the user; kept as a keyed hash alone.
    pub user_id: String,
    /// Only in this deployment.
    pub deployment_id: Option<String>,
    /// Whether they pass; else they fail.
    pub allow: bool,
    /// Why.
    pub note: String,
}

impl Operations {
    /// Makes an override; `None` where there are [`MAX_OVERRIDES`].
    ///
    /// # Errors
    /// When the store is away.
    pub async fn create_override(&self, actor: &str, new: NewOverride) -> StoreResult<Option<(String, Override)>> {
        if self.controls.current().overrides.len() >= MAX_OVERRIDES {
            return Ok(None);
        }
        let rule = Override {
            user: self.store.user_pseudonym(&new.user_id),
            deployment_id: new.deployment_id,
            allow: new.allow,
            note: new.note,
            created_at: self.clock.now().wall.0,
        };
        let id = format!("ov_{}", random_hex::<6>());
        let action = if rule.allow { "allow" } else { "deny" };
        let detail = json!({"id": id, "action": action, "deploymentId": rule.deployment_id});
        self.put(actor, "override.create", &rule.user, detail, (&id, &rule)).await?;
        Ok(Some((id, rule)))
    }

    /// Removes an override; `None` where there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn remove_override(&self, actor: &str, id: &str) -> StoreResult<Option<Override>> {
        let Some(rule) = self.controls.current().overrides.get(id).cloned() else { return Ok(None) };
        self.remove::<Override>(actor, "override.remove", &rule.user, json!({"id": id}), id).await?;
        Ok(Some(rule))
    }
}
