//! How answers refer to things, and the objects that several routes show.

use serde_json::{Map, Value, json};

use super::call::{Call, Refusal};
use crate::clock::iso;
use crate::fault::{AnswerShape, Fault};
use crate::job::Reference;
use crate::settings::Shape;
use crate::simulator::Sim;
use crate::world::{Dataset, DatasetVersion, Model, ModelVersion, World};

/// The runtime that trains and scores, as answers name it.
pub(crate) const RUNTIME: &str = "0.1.0";

/// The shape of an answer about datasets, models or jobs.
pub(crate) fn shape(sim: &Sim, call: &Call, about_datasets: bool) -> Shape {
    let forced = call.fault(|fault| match fault {
        Fault::Shape(AnswerShape::One(shape)) => Some(*shape),
        Fault::Shape(AnswerShape::Mixed) => Some(if about_datasets { Shape::Nested } else { Shape::Flat }),
        _ => None,
    });
    forced.unwrap_or(sim.settings.shape)
}

/// An object that starts with its own id: `id`, `<thing>_id`, or both.
pub(crate) fn with_id(shape: Shape, thing: &str, id: &str, rest: Value) -> Value {
    let mut object = Map::new();
    if shape != Shape::Nested {
        object.insert("id".to_owned(), json!(id));
    }
    if shape != Shape::Flat {
        object.insert(format!("{thing}_id"), json!(id));
    }
    join(object, rest)
}

/// An answer that refers to a new version: flat fields, a nested reference, or both.
pub(crate) fn with_reference(shape: Shape, thing: &str, to: &Reference, rest: Value) -> Value {
    let mut object = Map::new();
    if shape != Shape::Nested {
        object.insert("id".to_owned(), json!(to.id));
        object.insert("version_id".to_owned(), json!(to.version_id));
    }
    if shape != Shape::Flat {
        object.insert(thing.to_owned(), nested(to));
    }
    join(object, rest)
}

/// `{"id", "version_id", "version_number"}`
pub(crate) fn nested(to: &Reference) -> Value {
    json!({"id": to.id, "version_id": to.version_id, "version_number": to.number})
}

fn join(mut object: Map<String, Value>, rest: Value) -> Value {
    if let Value::Object(rest) = rest {
        // What the object says of itself comes first.
        for (name, value) in rest {
            object.entry(name).or_insert(value);
        }
    }
    Value::Object(object)
}

/// A page of things and where the next one starts. A cursor names the last thing of a page.
pub(crate) fn page<'a, T>(
    call: &Call,
    things: impl Iterator<Item = &'a T>,
    id: impl Fn(&T) -> &str,
    limit: usize,
) -> Result<(Vec<&'a T>, Value), Refusal> {
    let mut things = things.peekable();
    if let Some(cursor) = call.query("cursor") {
        let last = cursor.strip_prefix("c_").unwrap_or_default();
        if !things.by_ref().any(|thing| id(thing) == last) {
            return Err(Refusal::invalid(&["query", "cursor"], "Invalid cursor", "value_error"));
        }
    }
    let page: Vec<&T> = things.by_ref().take(limit).collect();
    let more = things.peek().is_some();
    let next = page.last().filter(|_| more).map_or(Value::Null, |last| json!(format!("c_{}", id(last))));
    Ok((page, next))
}

/// A dataset.
pub(crate) fn dataset(world: &World, dataset: &Dataset, now: i64, shape: Shape) -> Value {
    let current = dataset.versions.last().map(|version| {
        let mut object = dataset_version(world, dataset, version, now, shape);
        if let Value::Object(object) = &mut object {
            object.remove("is_archived");
            object.remove("dataset_id");
        }
        object
    });
    let rest = json!({
        "name": dataset.name,
        "description": dataset.description,
        "created_at": iso(dataset.created),
        "updated_at": iso(dataset.updated),
        "is_archived": dataset.archived,
        "current_version": current,
    });
    with_id(shape, "dataset", &dataset.id, rest)
}

/// A version of a dataset.
pub(crate) fn dataset_version(
    world: &World,
    dataset: &Dataset,
    version: &DatasetVersion,
    now: i64,
    shape: Shape,
) -> Value {
    let status = world.version_status(&version.job_id, now);
    let ready = status == "ready";
    let ready_at = world.job(&version.job_id).and_then(|job| job.finished(now)).filter(|_| ready).map(iso);
    let rest = json!({
        "dataset_id": dataset.id,
        "version": version.number,
        "status": status,
        "created_at": iso(version.created),
        "byte_size": version.content.as_ref().map(bytes::Bytes::len),
        "row_count": ready.then_some(version.rows),
        "schema_json": ready.then_some(&version.schema),
        "ingest_job_id": version.job_id,
        "ready_at": ready_at,
        "is_archived": dataset.archived,
        "source_type": "upload",
        "source_label": version.filename,
        "source_provider": null,
        "source_connection_id": null,
        "source_snapshot": null,
    });
    with_id(shape, "dataset_version", &version.id, rest)
}

/// A model; its status is that of its newest version.
pub(crate) fn model(world: &World, model: &Model, now: i64, shape: Shape) -> Value {
    let current = model.versions.last();
    let status = current.map(|version| world.version_status(&version.job_id, now));
    let rest = json!({
        "model_type": "anomaly",
        "created_at": iso(model.created),
        "updated_at": iso(model.updated),
        "status": status,
        "current_version": current.map(|version| json!({
            "version_id": version.id, "version": version.number, "status": status, "metrics": null,
        })),
        "current_metrics": null,
        "label_column": null,
        "training_dataset_id": current.map(|version| &version.dataset.id),
        "training_dataset_name": model.dataset_name,
        "name": model.name,
        "description": model.description,
    });
    with_id(shape, "model", &model.id, rest)
}

/// A version of a model.
pub(crate) fn model_version(world: &World, model: &Model, version: &ModelVersion, now: i64, shape: Shape) -> Value {
    let status = world.version_status(&version.job_id, now);
    let ready_at = world.job(&version.job_id).and_then(|job| job.finished(now)).filter(|_| status == "ready");
    let rest = json!({
        "model_id": model.id,
        "version": version.number,
        "status": status,
        "created_at": iso(version.created),
        "dataset_id": version.dataset.id,
        "dataset_version_id": version.dataset.version_id,
        "metrics": null,
        "performance": null,
        "ready_at": ready_at.map(iso),
        "training_job_id": version.job_id,
    });
    with_id(shape, "model_version", &version.id, rest)
}
