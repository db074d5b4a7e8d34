//! `GET /api/v1/audit`: what was managed, and by whom.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::keys;
use crate::domain::hex;
use crate::http::extract::caller::GlobalAdmin;
use crate::http::extract::page::{self, PageParams};
use crate::http::extract::query::Params;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::{LimitOutOfBounds, StoreAway};
use crate::http::respond::shapes;
use crate::store::audit::Entry;

/// Something that was managed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryBody {
    /// Entries are numbered without a gap.
    id: i64,
    /// ISO 8601, UTC.
    at: String,
    /// Digest of the key; `local` where the service has no keys.
    actor: String,
    /// What the key is called, where it was made through the API with a name and is not revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_name: Option<String>,
    #[schema(example = "session.erase")]
    action: String,
    /// A keyed hash where it is a session or a user.
    target: String,
    detail: serde_json::Value,
    /// SHA-256 over the entry before and this one.
    hash: String,
}

/// The audit log, the newest entry first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditAnswer {
    entries: Vec<EntryBody>,
    /// Send it as `cursor` for the next page; `null` at the end.
    next_cursor: Option<String>,
}

fn shown(entry: Entry, names: &BTreeMap<String, String>) -> EntryBody {
    let Entry { id, entry, link } = entry;
    EntryBody {
        id,
        at: shapes::iso(entry.at),
        actor_name: names.get(&entry.actor).cloned(),
        actor: entry.actor,
        action: entry.action,
        target: entry.target,
        detail: serde_json::from_str(&entry.detail).unwrap_or_default(),
        hash: hex::encode(&link),
    }
}

/// Lists what was managed. `playproof-batch audit verify` checks that nothing of it was changed since.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "listAudit", tag = "audit", params(PageParams),
    responses((status = 200, description = "A page", body = AuditAnswer), GlobalAdmin, LimitOutOfBounds, StoreAway)
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin, Params(params): Params<PageParams>) -> Answer {
    let (limit, before) = params.place()?;
    let entries = service.store.audit(before, limit).await?;
    let next_cursor = page::next(&entries, limit, |last| last.id);
    let names = keys::names(&service.controls.current().keys);
    let entries = entries.into_iter().map(|entry| shown(entry, &names)).collect();
    Ok(answer::json(&AuditAnswer { entries, next_cursor }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::http::testing::{TestApp, send, session};

    #[tokio::test]
    async fn an_entry_says_what_the_key_is_called_that_did_it() {
        let app = TestApp::with_keys().await;
        let made = app.post_as("admin", "/api/v1/keys", &json!({"role": "admin", "name": "Mira's key"})).await.json();
        let key = made["key"].as_str().unwrap();
        send(app.request("POST", "/api/v1/batch/scheduler/stop").bearer_auth(key)).await;
        let log = app.get_as("admin", "/api/v1/audit").await.json();
        assert_eq!(log["entries"][0]["action"], "scheduler.stop");
        assert_eq!(log["entries"][0]["actorName"], "Mira's key");
        assert_eq!(log["entries"][1]["actorName"], json!(null), "keys of the settings have no name");
        send(app.request("DELETE", &format!("/api/v1/keys/{}", made["id"].as_str().unwrap())).bearer_auth("admin"))
            .await;
        let log = app.get_as("admin", "/api/v1/audit").await.json();
        assert_eq!(log["entries"][1]["actorName"], json!(null), "a revoked key is known by its digest alone");
    }

    #[tokio::test]
    async fn what_is_managed_is_written_down_without_naming_anybody() {
        let app = TestApp::with_keys().await;
        let mut now = session("secret-session");
        now["useBatch"] = json!(false);
        now["userId"] = json!("secret-user");
        app.post_as("admin", "/api/v1/score", &now).await;
        app.post_as("admin", "/api/v1/sessions/secret-session/label", &json!({"label": "bot", "note": "x"})).await;
        app.post_as("admin", "/api/v1/thresholds", &json!({"pass": 0.5, "review": 2.0})).await;
        for path in ["/api/v1/sessions/secret-session/label", "/api/v1/thresholds", "/api/v1/sessions/secret-session"] {
            send(app.request("DELETE", path).bearer_auth("admin")).await;
        }
        send(app.request("DELETE", "/api/v1/users/secret-user").bearer_auth("admin")).await;
        for path in ["scheduler/start", "scheduler/stop", "dead/requeue"] {
            app.post_as("admin", &format!("/api/v1/batch/{path}"), &json!({})).await;
        }
        app.post_as("admin", "/api/v1/batch/clear", &json!({"confirm": "clear"})).await;
        let log = app.get_as("admin", "/api/v1/audit").await;
        let entries = log.json()["entries"].as_array().unwrap().clone();
        let actions: Vec<_> = entries.iter().rev().map(|entry| entry["action"].as_str().unwrap()).collect();
        assert_eq!(
            actions,
            [
                "session.label",
                "thresholds.apply",
                "session.unlabel",
                "thresholds.reset",
                "session.erase",
                "user.erase",
                "scheduler.start",
                "scheduler.stop",
                "sessions.requeue",
                "sessions.clear"
            ]
        );
        assert!(!log.text.contains("secret"), "{}", log.text);
        assert_eq!(entries[9]["target"], entries[5]["target"], "the same session is the same hash");
        assert!(entries.iter().all(|entry| entry["actor"] == entries[0]["actor"] && entry["actor"] != "admin"));
        let page = app.get_as("admin", "/api/v1/audit?limit=4").await.json();
        let next = page["nextCursor"].as_str().unwrap();
        let rest = app.get_as("admin", &format!("/api/v1/audit?cursor={next}")).await.json();
        assert_eq!(rest["entries"].as_array().unwrap().len(), 6);
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_not_done() {
        let app = TestApp::start().await;
        app.store.fail(Some(crate::store::StoreError::Unavailable("away".to_owned())));
        app.post("/api/v1/keys", &json!({"role": "admin"})).await.is_error(503, "store_unavailable");
        app.store.fail(None);
        assert_eq!(app.get("/api/v1/keys").await.json()["keys"], json!([]));
    }
}
