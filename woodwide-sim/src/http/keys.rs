//! Managing API keys, with the user's token. A secret is shown once, when it is made.

use serde_json::{Value, json};

use super::call::{Call, Refusal, Reply, text};
use crate::clock::iso;
use crate::simulator::Sim;
use crate::world::{Key, World};

fn user(call: &Call) -> Result<(), Refusal> {
    let is_user = call.caller.as_ref().is_some_and(|caller| caller.is_user);
    if is_user { Ok(()) } else { Err(Refusal::new(403, "API keys are managed with a user token")) }
}

fn find<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Key, Refusal> {
    user(call)?;
    let key = world.keys.iter_mut().find(|key| !key.is_user && key.id == call.param("id"));
    key.ok_or_else(|| Refusal::not_found("API key"))
}

fn show(key: &Key) -> Value {
    json!({
        "id": key.id,
        "name": key.label,
        "scopes": key.scopes,
        "created_at": iso(key.created),
        "expires_at": key.expires.map(iso),
        "is_revoked": key.refused.is_some(),
    })
}

fn show_with_secret(key: &Key) -> Value {
    let mut object = show(key);
    object["key"] = json!(key.secret);
    object
}

fn scopes(body: &serde_json::Map<String, Value>) -> Option<Vec<String>> {
    let scopes = body.get("scopes")?.as_array()?;
    Some(scopes.iter().filter_map(|scope| scope.as_str().map(str::to_owned)).collect())
}

fn expiry(body: &serde_json::Map<String, Value>) -> Result<Option<i64>, Refusal> {
    let wrong = |_| Refusal::invalid(&["body", "expires_at"], "Input should be a valid datetime", "datetime_parsing");
    let time = text(body, "expires_at")?.map(|text| text.parse::<jiff::Timestamp>().map_err(wrong)).transpose()?;
    Ok(time.map(jiff::Timestamp::as_millisecond))
}

/// `GET /api-keys`
pub(crate) fn list(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    user(call)?;
    let world = sim.world();
    let items: Vec<Value> = world.keys.iter().filter(|key| !key.is_user).map(show).collect();
    Ok(Reply::json(&json!({"items": items, "next_cursor": null})))
}

/// `POST /api-keys`
pub(crate) fn create(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    user(call)?;
    let body = call.json()?;
    let (name, expires) = (text(&body, "name")?, expiry(&body)?);
    let mut world = sim.world();
    if world.keys.len() >= 1_000 {
        return Err(Refusal::new(409, "too many keys"));
    }
    let (id, secret) = (world.id("key"), world.secret());
    let key = Key {
        label: name.unwrap_or_else(|| id.clone()),
        id,
        secret,
        is_user: false,
        scopes: scopes(&body).unwrap_or_default(),
        created: call.now,
        expires,
        refused: None,
    };
    let answer = show_with_secret(&key);
    world.keys.push(key);
    Ok(Reply::json(&answer))
}

/// `GET /api-keys/{id}`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    Ok(Reply::json(&show(find(&mut sim.world(), call)?)))
}

/// `PATCH /api-keys/{id}`
pub(crate) fn update(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let (name, expires) = (text(&body, "name")?, expiry(&body)?);
    let mut world = sim.world();
    let key = find(&mut world, call)?;
    if let Some(name) = name {
        key.label = name;
    }
    if let Some(scopes) = scopes(&body) {
        key.scopes = scopes;
    }
    if expires.is_some() {
        key.expires = expires;
    }
    Ok(Reply::json(&show(key)))
}

/// `DELETE /api-keys/{id}`
pub(crate) fn delete(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let id = find(&mut world, call)?.id.clone();
    world.keys.retain(|key| key.id != id);
    Ok(Reply::nothing())
}

/// `POST /api-keys/{id}/revoke`
pub(crate) fn revoke(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let key = find(&mut world, call)?;
    key.refused = Some(401);
    Ok(Reply::json(&show(key)))
}

/// `POST /api-keys/{id}/rotate`: the same key with a new secret.
pub(crate) fn rotate(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let secret = world.secret();
    let key = find(&mut world, call)?;
    key.secret = secret;
    key.refused = None;
    Ok(Reply::json(&show_with_secret(key)))
}
