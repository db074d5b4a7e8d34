//! What the simulator shows of its state, and what may be changed from outside.

use serde_json::{Value, json};

use crate::clock::iso;
use crate::http::organization::credits_left;
use crate::simulator::{Sim, add_key};

/// Everything at a glance; keys by label, contents by size.
pub(crate) fn show(sim: &Sim) -> Value {
    let now = sim.clock.now();
    let credits = credits_left(sim);
    let world = sim.world();
    let datasets: Vec<Value> = world
        .datasets
        .iter()
        .map(|dataset| {
            let versions = dataset.versions.iter();
            let versions: Vec<Value> = versions
                .map(|version| {
                    json!({
                        "id": version.id,
                        "version": version.number,
                        "status": world.version_status(&version.job_id, now),
                        "rows": version.rows,
                        "bytes": version.content.as_ref().map(bytes::Bytes::len),
                    })
                })
                .collect();
            json!({
                "id": dataset.id,
                "generation": dataset.generation,
                "name": dataset.name,
                "archived": dataset.archived,
                "versions": versions,
            })
        })
        .collect();
    let models: Vec<Value> = world
        .models
        .iter()
        .map(|model| {
            let versions = model.versions.iter();
            let versions: Vec<Value> = versions
                .map(|v| json!({"id": v.id, "version": v.number, "status": world.version_status(&v.job_id, now)}))
                .collect();
            json!({"id": model.id, "generation": model.generation, "name": model.name, "versions": versions})
        })
        .collect();
    let jobs: Vec<Value> = world
        .jobs
        .iter()
        .map(|job| {
            json!({"id": job.id, "generation": job.generation, "type": job.kind.name(), "status": job.status(now)})
        })
        .collect();
    let keys: Vec<Value> = world
        .keys
        .iter()
        .map(|key| json!({"id": key.id, "label": key.label, "user": key.is_user, "refused": key.refused}))
        .collect();
    json!({
        "now": iso(now),
        "kept_bytes": world.kept_bytes(),
        "credits": credits,
        "datasets": datasets,
        "models": models,
        "jobs": jobs,
        "keys": keys,
    })
}

/// Makes a key good: a new one, or one of that label with another secret.
pub(crate) fn put_key(sim: &Sim, label: &str, secret: &str) {
    let now = sim.clock.now();
    let mut world = sim.world();
    world.keys.retain(|key| key.is_user || (key.label != label && key.secret != secret));
    add_key(&mut world, label.to_owned(), secret.to_owned(), false, now);
}

/// Has the key of this label or secret refused with a status, or good again; false when there is none.
pub(crate) fn refuse_key(sim: &Sim, which: &str, status: Option<u16>) -> bool {
    let mut world = sim.world();
    let key = world.keys.iter_mut().find(|key| key.label == which || key.secret == which);
    key.is_some_and(|key| {
        key.refused = status;
        true
    })
}
