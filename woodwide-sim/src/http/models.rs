//! Models: training, retraining, listing, removing.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::{Call, Refusal, Reply, required_text, text};
use super::refer;
use super::uploads::{full, new_job};
use crate::detector::Detector;
use crate::fault::Fault;
use crate::job::{JobKind, Outcome, Reference};
use crate::route::Generation;
use crate::simulator::Sim;
use crate::table::Table;
use crate::world::{MAX_THINGS, Model, ModelVersion, World};

const TYPES: [&str; 6] = ["prediction", "anomaly", "embedding", "clustering", "factors", "search"];

fn find<'a>(world: &'a World, call: &Call) -> Result<&'a Model, Refusal> {
    world.model(Generation::Ga, call.param("id")).ok_or_else(|| Refusal::not_found("Model"))
}

/// A table to work on, and where it is from.
pub(crate) struct Source {
    pub(crate) dataset: Reference,
    pub(crate) name: String,
    pub(crate) content: bytes::Bytes,
}

/// The dataset version that a JSON body names, by itself or as the newest one that is ready.
pub(crate) fn source(world: &mut World, call: &Call, body: &Map<String, Value>) -> Result<Source, Refusal> {
    let not_ready = || Refusal::new(409, "No ready dataset version found");
    let (dataset, version) = if let Some(id) = text(body, "dataset_version_id")? {
        let (dataset, version) = world.dataset_version(&id).ok_or_else(|| Refusal::not_found("Dataset version"))?;
        if world.version_status(&version.job_id, call.now) != "ready" {
            return Err(not_ready());
        }
        (dataset, version)
    } else {
        let id = text(body, "dataset_id")?.ok_or_else(|| Refusal::missing(&["body", "dataset_id"]))?;
        let dataset = world.dataset(Generation::Ga, &id).filter(|dataset| !dataset.archived);
        let dataset = dataset.ok_or_else(|| Refusal::not_found("Dataset"))?;
        (dataset, world.ready_dataset_version(dataset, call.now).ok_or_else(not_ready)?)
    };
    let content = version.content.clone().ok_or_else(|| Refusal::not_found("Dataset"))?;
    let source = Source {
        dataset: Reference { id: dataset.id.clone(), version_id: version.id.clone(), number: version.number },
        name: dataset.name.clone(),
        content,
    };
    conflict(world, call, &source.dataset.version_id)?;
    Ok(source)
}

/// The 409 of a fault, as often for this version as the fault says.
fn conflict(world: &mut World, call: &Call, version_id: &str) -> Result<(), Refusal> {
    let Some(times) = call.fault(|f| if let Fault::ConflictNotReady(times) = f { Some(*times) } else { None }) else {
        return Ok(());
    };
    let given = world.conflicts.entry(version_id.to_owned()).or_default();
    if times.is_some_and(|times| *given >= times) {
        return Ok(());
    }
    *given += 1;
    Err(Refusal::new(409, "No ready dataset version found"))
}

/// `POST /models/train`
pub(crate) fn train(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let model_type = required_text(&body, "model_type")?;
    if !TYPES.contains(&model_type.as_str()) {
        return Err(Refusal::one_of(&["body", "model_type"], &TYPES));
    }
    if model_type != "anomaly" {
        return Err(Refusal::new(422, &format!("this simulator trains anomaly models only, not {model_type}")));
    }
    if text(&body, "label_column")?.is_some() {
        return Err(Refusal::new(422, "label_column is only valid for prediction models"));
    }
    let retrained = text(&body, "model_id")?;
    start(sim, call, &body, retrained)
}

/// `POST /models/{id}/retrain`, of the older service.
pub(crate) fn retrain(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut body = call.json()?;
    let id = call.param("id").to_owned();
    if !body.contains_key("dataset_id") && !body.contains_key("dataset_version_id") {
        let world = sim.world();
        let last = find(&world, call)?.versions.last().map(|version| version.dataset.id.clone());
        body.insert("dataset_id".to_owned(), json!(last));
    }
    start(sim, call, &body, Some(id))
}

fn start(sim: &Sim, call: &Call, body: &Map<String, Value>, retrained: Option<String>) -> Result<Reply, Refusal> {
    let columns = columns(body)?;
    let name = text(body, "model_name")?;
    let (source, columns, recipe) = {
        let mut world = sim.world();
        let source = source(&mut world, call, body)?;
        let old =
            retrained.as_deref().map(|id| world.model(Generation::Ga, id).ok_or_else(|| Refusal::not_found("Model")));
        let (columns, recipe) = match old.transpose()? {
            Some(model) => (model.columns.clone(), model.recipe.clone()),
            None => (
                columns.clone(),
                json!({"columns": columns, "mode": body.get("training_mode"), "params": body.get("params")}),
            ),
        };
        let forced = body.get("force_retrain").and_then(Value::as_bool).unwrap_or(false);
        let equal = world.models.iter().find_map(|model| {
            let same = model.generation == Generation::Ga
                && model.recipe == recipe
                && name.as_ref().is_none_or(|n| *n == model.name);
            let version = model.versions.iter().rfind(|v| v.dataset.version_id == source.dataset.version_id)?;
            let usable = world.version_status(&version.job_id, call.now) != "failed";
            (same && usable).then(|| (reference(model, version), version.job_id.clone()))
        });
        if let Some((to, job_id)) = equal.filter(|_| !forced && retrained.is_none()) {
            let status = world.job(&job_id).map_or_else(|| "succeeded".to_owned(), |job| job.status(call.now));
            return Ok(Reply::json(&answer(sim, call, &to, &job_id, &status)));
        }
        let taken = world.models.iter().any(|m| m.generation == Generation::Ga && Some(&m.name) == name.as_ref());
        if taken && retrained.is_none() {
            return Err(Refusal::new(409, &format!("Model with name '{}' already exists", name.unwrap_or_default())));
        }
        (source, columns, recipe)
    };
    let table = Table::read(&source.content);
    let rows = table.as_ref().map_or(0, |table| table.rows.len());
    let fitted = table.and_then(|table| {
        let detector = Detector::fit(&table, columns.as_deref(), sim.settings.context_dependent)?;
        Ok((detector, table.schema()))
    });
    let wanted = Trained {
        generation: Generation::Ga,
        model_id: retrained,
        name,
        description: text(body, "model_description")?,
        columns,
        recipe,
    };
    let (to, job_id) = finish(sim, call, wanted, &source, fitted)?;
    Ok(Reply::json(&answer(sim, call, &to, &job_id, "queued")).rows(rows))
}

fn answer(sim: &Sim, call: &Call, to: &Reference, job_id: &str, status: &str) -> Value {
    let rest = json!({"job_id": job_id, "status": status, "woodwide_runtime_version": refer::RUNTIME});
    refer::with_reference(refer::shape(sim, call, false), "model", to, rest)
}

fn columns(body: &Map<String, Value>) -> Result<Option<Vec<String>>, Refusal> {
    let wrong = || Refusal::invalid(&["body", "input_columns"], "Input should be a valid list of strings", "list_type");
    match body.get("input_columns") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(names)) => {
            let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            names.map(|names| Some(names).filter(|names| !names.is_empty())).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn reference(model: &Model, version: &ModelVersion) -> Reference {
    Reference { id: model.id.clone(), version_id: version.id.clone(), number: version.number }
}

/// A model to remember.
pub(crate) struct Trained {
    pub(crate) generation: Generation,
    /// The model that gets a new version.
    pub(crate) model_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) recipe: Value,
}

/// Remembers a training with its job.
pub(crate) fn finish(
    sim: &Sim,
    call: &Call,
    wanted: Trained,
    source: &Source,
    fitted: Result<(Detector, Value), String>,
) -> Result<(Reference, String), Refusal> {
    let now = call.now;
    let beta = wanted.generation == Generation::Beta;
    let mut world = sim.world();
    if world.models.len() >= MAX_THINGS {
        return Err(full());
    }
    let job_id = world.id("job");
    let version_id = world.id("mdlv");
    let new_id = if beta { world.beta_id() } else { world.id("mdl") };
    let (fitted, worked) = match fitted {
        Ok(fitted) => (Some(fitted), Ok(())),
        Err(why) => (None, Err(why)),
    };
    let (detector, schema) = fitted.map_or((None, json!({"columns": []})), |(d, schema)| (Some(Arc::new(d)), schema));
    let mut version = ModelVersion {
        id: version_id.clone(),
        number: 1,
        created: now,
        dataset: source.dataset.clone(),
        job_id: job_id.clone(),
        detector,
        schema,
    };
    let old = wanted.model_id.and_then(|id| world.models.iter_mut().find(|model| model.id == id));
    let to = if let Some(model) = old {
        version.number = model.versions.last().map_or(1, |last| last.number + 1);
        model.updated = now;
        model.dataset_name.clone_from(&source.name);
        let to = reference(model, &version);
        model.versions.push(version);
        to
    } else {
        let model = Model {
            name: wanted.name.unwrap_or_else(|| new_id.clone()),
            id: new_id,
            generation: wanted.generation,
            description: wanted.description,
            created: now,
            updated: now,
            dataset_name: source.name.clone(),
            columns: wanted.columns,
            recipe: wanted.recipe,
            versions: vec![version.clone()],
        };
        let to = reference(&model, &version);
        world.models.push(model);
        to
    };
    let mut job = new_job(JobKind::Train, wanted.generation, call, job_id.clone());
    job.takes_ms = sim.millis(sim.settings.training_time);
    job.outcome = Outcome::decide(JobKind::Train, &call.struck, worked);
    job.dataset = Some(source.dataset.clone());
    job.dataset_name = Some(source.name.clone());
    job.model = Some(to.clone());
    world.add_job(job, now);
    Ok((to, job_id))
}

/// `GET /models`, newest first.
pub(crate) fn list(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let limit = call.query_number("limit", 50, 100)?.max(1);
    let world = sim.world();
    let wanted = call.query("q").unwrap_or_default();
    let things = world.models.iter().rev().filter(|model| {
        model.generation == Generation::Ga
            && (model.id.contains(wanted) || model.versions.iter().any(|version| version.id.contains(wanted)))
    });
    let (page, next) = refer::page(call, things, |model| &model.id, limit)?;
    let shape = refer::shape(sim, call, false);
    let items: Vec<Value> = page.into_iter().map(|m| refer::model(&world, m, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items, "next_cursor": next})))
}

/// `GET /models/{id}`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    Ok(Reply::json(&refer::model(&world, find(&world, call)?, call.now, refer::shape(sim, call, false))))
}

/// `PATCH /models/{id}`, of the older service.
pub(crate) fn update(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let (name, description) = (text(&body, "name")?, text(&body, "description")?);
    let mut world = sim.world();
    let id = find(&world, call)?.id.clone();
    if let Some(model) = world.models.iter_mut().find(|model| model.id == id) {
        model.updated = call.now;
        if let Some(name) = name {
            model.name = name;
        }
        if description.is_some() {
            model.description = description;
        }
    }
    Ok(Reply::json(&refer::model(&world, find(&world, call)?, call.now, refer::shape(sim, call, false))))
}

/// `DELETE /models/{id}`, with all versions.
pub(crate) fn delete(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let id = find(&world, call)?.id.clone();
    world.models.retain(|model| model.id != id);
    Ok(Reply::nothing())
}

/// `GET /models/{id}/versions`, newest first.
pub(crate) fn versions(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let model = find(&world, call)?;
    let shape = refer::shape(sim, call, false);
    let versions = model.versions.iter().rev();
    let items: Vec<Value> = versions.map(|v| refer::model_version(&world, model, v, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items})))
}

/// `GET /models/{id}/versions/{version_id}`
pub(crate) fn version(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let model = find(&world, call)?;
    let version = model.versions.iter().find(|version| version.id == call.param("version_id"));
    let version = version.ok_or_else(|| Refusal::not_found("Model version"))?;
    Ok(Reply::json(&refer::model_version(&world, model, version, call.now, refer::shape(sim, call, false))))
}
