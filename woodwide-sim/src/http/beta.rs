//! The beta generation: flat datasets, form bodies, a model that is polled, flags without scores.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{Call, Refusal, Reply};
use super::form::{BodyType, body_type};
use super::infer::{cold, score};
use super::models::{Source, Trained, finish};
use super::organization::credits_left;
use super::refer::RUNTIME;
use super::uploads::{Wanted, fill, full, new_job, open};
use crate::clock::iso;
use crate::detector::Detector;
use crate::fault::{Fault, Ids};
use crate::job::{JobKind, Output, Reference, Scored};
use crate::output::flagged;
use crate::route::Generation;
use crate::simulator::Sim;
use crate::table::Table;
use crate::tamper::{Cell, rows};
use crate::world::{Dataset, Model, World};

/// Wider tables make a training fail.
const MAX_COLUMNS: usize = 500;

/// `GET /auth/me`
#[expect(clippy::unnecessary_wraps, reason = "every handler has one type")]
pub(crate) fn me(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let credits = credits_left(sim);
    let world = sim.world();
    let datasets: Vec<&str> = datasets(&world).map(|dataset| dataset.id.as_str()).collect();
    let models: Vec<&str> = models(&world).map(|model| model.id.as_str()).collect();
    let caller = call.caller.as_ref();
    let is_user = caller.is_some_and(|caller| caller.is_user);
    let mut answer = json!({
        "identity_type": if is_user { "user" } else { "api" },
        "username": caller.map(|caller| &caller.label),
        "dataset_ids": datasets,
        "model_ids": models,
        "created_at": iso(0),
        // Documented for users only, yet clients read it with a key.
        "wwai_credits": credits,
    });
    if is_user {
        answer["email"] = json!("user@example.com");
        answer["full_name"] = json!("Simulated User");
        answer["storage_used_bytes"] = json!(world.kept_bytes());
        answer["in_flight_requests"] = json!(0);
        answer["api_key_generated"] = json!(true);
    }
    Ok(Reply::json(&answer))
}

fn datasets(world: &World) -> impl Iterator<Item = &Dataset> {
    world.datasets.iter().filter(|dataset| dataset.generation == Generation::Beta)
}

fn models(world: &World) -> impl Iterator<Item = &Model> {
    world.models.iter().filter(|model| model.generation == Generation::Beta)
}

/// The thing that an id, or else a name, names.
fn dataset<'a>(world: &'a World, id: Option<&str>, name: Option<&str>) -> Result<&'a Dataset, Refusal> {
    let by = |wanted: Option<&str>| wanted.and_then(|w| datasets(world).find(|d| d.id == w || d.name == w));
    by(id).or_else(|| by(name)).ok_or_else(|| Refusal::not_found("Dataset"))
}

fn model<'a>(world: &'a World, id: &str, name: Option<&str>) -> Result<&'a Model, Refusal> {
    let by = |wanted: &str| models(world).find(|model| model.id == wanted || model.name == wanted);
    by(id).or_else(|| name.and_then(by)).ok_or_else(|| Refusal::not_found("Model"))
}

fn show_dataset(dataset: &Dataset) -> Value {
    let version = dataset.versions.last();
    let mut schema = version.map_or(Value::Null, |version| version.schema.clone());
    if schema.is_null() {
        schema = json!({"columns": []});
    }
    json!({
        "id": dataset.id,
        "name": dataset.name,
        "num_rows": version.map_or(0, |version| version.rows),
        "file_size_bytes": version.and_then(|version| version.content.as_ref()).map_or(0, Bytes::len),
        "dataset_schema": schema,
    })
}

fn show_model(world: &World, model: &Model, now: i64) -> Value {
    let version = model.versions.last();
    let job = version.and_then(|version| world.job(&version.job_id));
    let status = match job.map(|job| job.status(now)).as_deref() {
        None | Some("succeeded") => "COMPLETE".to_owned(),
        Some("queued") => "PENDING".to_owned(),
        Some("running") => "TRAINING".to_owned(),
        Some("failed" | "canceled" | "rejected") => "FAILED".to_owned(),
        Some(other) => other.to_uppercase(),
    };
    json!({
        "id": model.id,
        "type": "anomaly",
        "name": model.name,
        "training_status": status,
        "created_at": iso(model.created),
        "updated_at": iso(model.updated),
        "err_msg": job.and_then(|job| job.error(now)),
        "input_schema": version.map(|version| &version.schema),
        "label_schema": null,
        "woodwide_runtime_version": RUNTIME,
    })
}

/// `POST /api/datasets`
pub(crate) fn upload(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let file = call.file()?;
    let name = call.field("name").ok_or_else(|| Refusal::missing(&["body", "name"]))?;
    let read = Table::read(&file.content);
    let count = read.as_ref().map_or(0, |table| table.rows.len());
    let mut world = sim.world();
    if !world.make_room(file.content.len(), sim.settings.memory) {
        return Err(full());
    }
    let old = datasets(&world).find(|dataset| dataset.name == name).map(|dataset| dataset.id.clone());
    if old.is_some() && !call.field_flag("overwrite") {
        return Err(Refusal::new(400, &format!("Dataset with name '{name}' already exists")));
    }
    let wanted = Wanted {
        generation: Generation::Beta,
        replace: old.is_some(),
        dataset_id: old,
        name: Some(name),
        description: None,
        filename: file.filename.clone().unwrap_or_default(),
    };
    let to = open(&mut world, call, wanted)?;
    // The age of an overwritten dataset is that of its content.
    if let Some(dataset) = world.datasets.iter_mut().find(|dataset| dataset.id == to.id) {
        dataset.updated = call.now;
    }
    fill(sim, &mut world, call, &to.version_id, file.content.clone(), read);
    let dataset = dataset(&world, Some(&to.id), None)?;
    Ok(Reply::json(&show_dataset(dataset)).rows(count))
}

/// `GET /api/datasets`
#[expect(clippy::unnecessary_wraps, reason = "every handler has one type")]
pub(crate) fn list_datasets(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let fits = |dataset: &&Dataset| call.query("name").is_none_or(|name| name == dataset.name);
    let list: Vec<Value> = datasets(&world).filter(fits).map(show_dataset).collect();
    Ok(Reply::json(&json!(list)))
}

/// `GET /api/datasets/{id}`
pub(crate) fn get_dataset(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    Ok(Reply::json(&show_dataset(dataset(&world, Some(call.param("id")), call.query("dataset_name"))?)))
}

/// `DELETE /api/datasets/{id}`
pub(crate) fn delete_dataset(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let id = dataset(&world, Some(call.param("id")), call.query("dataset_name"))?.id.clone();
    world.datasets.retain(|dataset| dataset.id != id);
    Ok(Reply::json(&json!({"message": "Dataset deleted"})))
}

/// `GET /api/models`
#[expect(clippy::unnecessary_wraps, reason = "every handler has one type")]
pub(crate) fn list_models(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let list: Vec<Value> = models(&world).map(|model| show_model(&world, model, call.now)).collect();
    Ok(Reply::json(&json!(list)))
}

/// `GET /api/models/{id}`
pub(crate) fn get_model(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let model = model(&world, call.param("id"), call.query("model_name"))?;
    Ok(Reply::json(&show_model(&world, model, call.now)))
}

/// The dataset that the query names.
fn source(world: &World, call: &Call) -> Result<(Source, i64), Refusal> {
    let (id, name) = (call.query("dataset_id"), call.query("dataset_name"));
    if id.is_none() && name.is_none() {
        return Err(Refusal::missing(&["query", "dataset_id"]));
    }
    let dataset = dataset(world, id, name)?;
    let version = dataset.versions.last().ok_or_else(|| Refusal::not_found("Dataset"))?;
    let content = version.content.clone().ok_or_else(|| Refusal::not_found("Dataset"))?;
    let reference = Reference { id: dataset.id.clone(), version_id: version.id.clone(), number: version.number };
    Ok((Source { dataset: reference, name: dataset.name.clone(), content }, call.now - dataset.updated))
}

/// `POST /api/models/anomaly/train`
pub(crate) fn train(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let is_form = matches!(body_type(&call.headers), BodyType::UrlEncoded | BodyType::Multipart);
    let name = call.field("model_name").filter(|_| is_form).ok_or_else(|| Refusal::missing(&["body", "model_name"]))?;
    let listed = call.form.iter().filter(|part| part.name == "input_columns");
    let columns: Vec<String> = listed.flat_map(|part| column_names(&String::from_utf8_lossy(&part.content))).collect();
    let columns = Some(columns).filter(|columns| !columns.is_empty());
    let (source, old) = {
        let world = sim.world();
        let (source, _) = source(&world, call)?;
        let old = models(&world).find(|model| model.name == name).map(|model| model.id.clone());
        (source, old)
    };
    if old.is_some() && !call.field_flag("overwrite") {
        return Err(Refusal::new(400, &format!("Model with name '{name}' already exists")));
    }
    let table = Table::read(&source.content);
    let count = table.as_ref().map_or(0, |table| table.rows.len());
    let fitted = table.and_then(|table| {
        if table.headers.len() > MAX_COLUMNS {
            return Err("loss is nan: the table is too wide".to_owned());
        }
        let detector = Detector::fit(&table, columns.as_deref(), sim.settings.context_dependent)?;
        Ok((detector, table.schema()))
    });
    let wanted = Trained {
        generation: Generation::Beta,
        model_id: old,
        name: Some(name),
        description: None,
        columns,
        recipe: Value::Null,
    };
    let (to, _) = finish(sim, call, wanted, &source, fitted)?;
    let world = sim.world();
    let mut answer = show_model(&world, model(&world, &to.id, None)?, call.now);
    answer["training_status"] = json!("PENDING");
    answer["err_msg"] = Value::Null;
    Ok(Reply::json(&answer).rows(count))
}

/// Repeated names, or one JSON list: users write both.
fn column_names(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

/// `POST /api/models/anomaly/{id}/infer`
pub(crate) fn infer(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let json_fields = matches!(body_type(&call.headers), BodyType::Json).then(|| call.json()).transpose()?;
    if json_fields.is_some_and(|fields| !fields.is_empty()) {
        return Err(Refusal::invalid(&["body"], "Input should be a valid form", "form_type"));
    }
    let (source, age, detector, reference, status) = {
        let world = sim.world();
        let (source, age) = source(&world, call)?;
        let model = model(&world, call.param("id"), call.query("model_name"))?;
        let version = model.versions.last().ok_or_else(|| Refusal::not_found("Model"))?;
        if world.version_status(&version.job_id, call.now) != "ready" {
            return Err(Refusal::new(400, "Model is not trained yet"));
        }
        let ingest = world.dataset_version(&source.dataset.version_id).map(|(_, version)| version.job_id.clone());
        let status = ingest.map_or("ready", |job| world.version_status(&job, call.now));
        let reference = Reference { id: model.id.clone(), version_id: version.id.clone(), number: version.number };
        let detector = version.detector.clone().ok_or_else(|| Refusal::new(400, "Model is not trained yet"))?;
        (source, age, detector, reference, status)
    };
    if status == "failed" {
        return Err(Refusal::new(422, "the dataset could not be read"));
    }
    let (table, verdicts) = score(call, &detector, &source.content)?;
    let strict = call.field("coerce_schema").is_some_and(|text| text.eq_ignore_ascii_case("false"));
    if let Some(missing) = detector.columns().find(|name| strict && table.column(name).is_none()) {
        return Err(Refusal::new(422, &format!("the dataset has no column {missing}")));
    }
    let count = table.rows.len();
    // A dataset that is not ready yet is met with an empty answer, not with an error.
    if cold(call, count, || age) || status == "processing" {
        return Ok(Reply::bytes("application/json", Bytes::new()).rows(count));
    }
    let scored = Scored {
        input: Bytes::new(),
        verdicts: Arc::new(verdicts),
        output: Output::Json,
        per_row: false,
        struck: call.struck.clone(),
    };
    let numbers = call.fault(|fault| (*fault == Fault::Ids(Ids::Numbers)).then_some(())).is_some();
    let ids: Vec<Value> = flagged(&rows(&scored))
        .map(|row| match &row.id {
            Cell::Count(id) if numbers => json!(id),
            Cell::Count(id) => json!(id.to_string()),
            Cell::Text(id) => json!(id),
            Cell::Missing | Cell::Real(_) => Value::Null,
        })
        .collect();
    let mut world = sim.world();
    let id = world.id("job");
    let mut job = new_job(JobKind::InferSync, Generation::Beta, call, id);
    job.model = Some(reference);
    world.add_job(job, call.now);
    Ok(Reply::json(&json!({"anomalous_ids": ids})).rows(count))
}
