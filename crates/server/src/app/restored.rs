//! What comes back with a copy that is put in a store's place: keys that were revoked since it was made are valid again,
//! so they are named, and revoked again where the log of the store that is replaced knows of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::controls::{KEY, StoredKey};
use crate::domain::time::Timestamp;
use crate::store::audit::{AuditStore as _, NewEntry};
use crate::store::controls::ControlStore as _;
use crate::store::sqlite::{self, SqliteStore};

/// Who acts in the audit log.
const ACTOR: &str = "restore";

/// Names the keys that `store` revives, and revokes those that the audit log in `replaced` says were revoked.
///
/// # Errors
/// When the store or the log cannot be read or written.
pub(super) async fn keys(store: &SqliteStore, replaced: Option<&Path>, now: Timestamp) -> anyhow::Result<String> {
    let mut revoked = BTreeSet::new();
    if let Some(folder) = replaced {
        sqlite::each_audit_entry(folder, |entry| {
            if entry.entry.action == "key.revoke" {
                revoked.insert(entry.entry.target);
            }
            Ok(())
        })?;
    }
    let (_, controls) = store.controls().await?;
    let keys = controls.into_iter().filter(|control| control.kind == KEY);
    let (mut revived, mut ended) = (String::new(), String::new());
    for key in keys {
        let shown = shown(&key.name, &key.value);
        if revoked.contains(&key.name) {
            let entry = NewEntry {
                at: now,
                actor: ACTOR.to_owned(),
                action: "key.revoke".to_owned(),
                target: key.name.clone(),
                detail: "{}".to_owned(),
            };
            store.record(entry).await?;
            store.set_control(KEY.to_owned(), key.name, None).await?;
            let _ = write!(ended, "\n  {shown}");
        } else {
            let _ = write!(revived, "\n  {shown}");
        }
    }
    let mut told = String::new();
    if !ended.is_empty() {
        let _ = write!(told, "\nrevoked again, as the log of the replaced store says:{ended}");
    }
    if !revived.is_empty() {
        let _ = write!(told, "\nkeys of the copy that are valid again:{revived}");
        if replaced.is_none() {
            told.push_str(
                "\nrevoke what was revoked since the copy was made; with --audit FOLDER, the folder that the copy stands \
                 in for, it is done here",
            );
        }
    }
    Ok(told)
}

/// A key without the key.
fn shown(id: &str, value: &str) -> String {
    let Ok(key) = serde_json::from_str::<StoredKey>(value) else { return format!("{id} (cannot be read)") };
    let whose = key.deployment_id.map_or_else(String::new, |deployment| format!(", deployment {deployment}"));
    let name = if key.name.is_empty() { String::new() } else { format!(", {}", key.name) };
    format!("{id} ({}{whose}{name})", key.role)
}
