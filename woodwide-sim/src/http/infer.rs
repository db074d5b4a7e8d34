//! Scoring: in the request, later on a file, later on a dataset.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::call::{Call, Refusal, Reply, text};
use super::models::source;
use super::refer;
use super::uploads::{full, new_job};
use crate::detector::{Detector, Verdict};
use crate::fault::Fault;
use crate::job::{Job, JobKind, Outcome, Output, Reference, Scored};
use crate::output;
use crate::route::Generation;
use crate::settings::Shape;
use crate::simulator::Sim;
use crate::table::{Table, number};
use crate::world::World;

/// Rows of a result that are described at most.
const MAX_DESCRIPTIONS: usize = 50;

/// A model that was asked for.
struct Chosen {
    to: Reference,
    name: String,
    detector: Arc<Detector>,
}

/// How results are wanted.
struct Wanted {
    output: Output,
    per_row: bool,
}

/// The model of the path, at the version that is pinned or at the newest that is ready.
fn choose(world: &mut World, call: &Call, pinned: Option<&str>) -> Result<Chosen, Refusal> {
    let id = call.param("id");
    if pinned.is_none() && call.fault(|f| (*f == Fault::ModelVersionChanges).then_some(())).is_some() {
        add_version(world, call, id);
    }
    let model = world.model(Generation::Ga, id).ok_or_else(|| Refusal::not_found("Model"))?;
    let version = match pinned {
        Some(pinned) => {
            let version = model.versions.iter().find(|version| version.id == pinned);
            let version = version.ok_or_else(|| Refusal::not_found("Model version"))?;
            Some(version).filter(|version| world.version_status(&version.job_id, call.now) == "ready")
        }
        None => world.ready_model_version(model, call.now),
    };
    let version = version.ok_or_else(|| Refusal::new(409, "No ready model version found"))?;
    let detector = version.detector.clone().ok_or_else(|| Refusal::new(409, "No ready model version found"))?;
    let to = Reference { id: model.id.clone(), version_id: version.id.clone(), number: version.number };
    Ok(Chosen { to, name: model.name.clone(), detector })
}

/// A new version that nobody trained, as when somebody else trains the model.
fn add_version(world: &mut World, call: &Call, model_id: &str) {
    let id = world.id("mdlv");
    let Some(model) = world.models.iter_mut().find(|model| model.id == model_id) else { return };
    let Some(last) = model.versions.last().cloned() else { return };
    let number = last.number + 1;
    let detector = last.detector.as_ref().map(|detector| Arc::new(detector.retrained(number)));
    model.versions.push(crate::world::ModelVersion { id, number, created: call.now, detector, ..last });
}

fn wanted(output: Option<&str>, format: Option<&str>, default: Output) -> Result<Wanted, Refusal> {
    let output = output.map_or(Some(default), Output::parse);
    let output = output.ok_or_else(|| Refusal::one_of(&["body", "output_type"], &Output::NAMES))?;
    let per_row = match format {
        None | Some("ids_only") => false,
        Some("per_row") => true,
        Some(_) => return Err(Refusal::one_of(&["body", "anomaly_format"], &["ids_only", "per_row"])),
    };
    Ok(Wanted { output, per_row })
}

/// Scores a table unless a fault refuses it.
pub(crate) fn score(call: &Call, detector: &Detector, content: &Bytes) -> Result<(Table, Vec<Verdict>), Refusal> {
    let table = Table::read(content).map_err(|why| Refusal::new(422, &format!("the file could not be read: {why}")))?;
    if let Some(status) = call.fault(|f| if let Fault::RefuseAll(status) = f { Some(*status) } else { None }) {
        return Err(Refusal::new(status, "the input could not be processed"));
    }
    let poisoned = call.fault(|fault| match fault {
        Fault::Poison { column, value, status } => {
            poisoned_row(&table, column.as_deref(), value).map(|row| (row, *status))
        }
        _ => None,
    });
    if let Some((row, status)) = poisoned {
        return Err(Refusal::new(status, &format!("the input could not be processed: row {row} is not valid")));
    }
    let verdicts = detector.score(&table);
    Ok((table, verdicts))
}

/// The first row that has the value in the column, or the digest.
fn poisoned_row(table: &Table, column: Option<&str>, value: &str) -> Option<usize> {
    let place = column.map(|name| table.column(name));
    (0..table.rows.len()).find(|row| match place {
        Some(None) => false,
        Some(place) => {
            let cell = table.cell(*row, place);
            cell == value || number(cell).is_some_and(|cell| number(value) == Some(cell))
        }
        None => value.len() >= 8 && table.row_digest(*row).starts_with(value),
    })
}

/// `POST /models/{id}/infer`
pub(crate) fn now(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let file = call.file()?;
    let wanted = wanted(call.field("output_type").as_deref(), call.field("anomaly_format").as_deref(), Output::Csv)?;
    let chosen = choose(&mut sim.world(), call, call.field("model_version_id").as_deref())?;
    let (table, verdicts) = score(call, &chosen.detector, &file.content)?;
    let count = table.rows.len();
    if cold(call, count, || sim.world().age(&file.content, call.now)) {
        return Ok(Reply::bytes(wanted.output.content_type(), Bytes::new()).rows(count));
    }
    let descriptions = describe(&chosen.detector, &table, &verdicts);
    let scored = Scored {
        input: Bytes::new(),
        verdicts: Arc::new(verdicts),
        output: wanted.output,
        per_row: wanted.per_row,
        struck: call.struck.clone(),
    };
    let job_id = {
        let mut world = sim.world();
        let id = world.id("job");
        let mut job = new_job(JobKind::InferSync, Generation::Ga, call, id.clone());
        job.model = Some(chosen.to.clone());
        job.input_filename.clone_from(&file.filename);
        job.takes_ms = 0;
        world.add_job(job, call.now);
        id
    };
    if wanted.output != Output::Json {
        let file = output::file(&scored, &about(&chosen.to));
        return Ok(Reply::bytes(wanted.output.content_type(), file).rows(count));
    }
    let mut head = json!({
        "job_id": job_id,
        "status": "succeeded",
        "latency_ms": u64::try_from(call.arrived.elapsed().as_millis()).unwrap_or(u64::MAX),
        "model_id": chosen.to.id,
        "model_version_id": chosen.to.version_id,
        "model_type": "anomaly",
        "anomaly_descriptions": descriptions,
        "anomaly_feature_importance": {},
    });
    if refer::shape(sim, call, false) != Shape::Flat {
        head["model_name"] = json!(chosen.name);
    }
    Ok(Reply::bytes(wanted.output.content_type(), output::sync_json(&scored, &head)).rows(count))
}

/// Whether the service has not warmed up to so few rows, or such fresh ones.
pub(crate) fn cold(call: &Call, count: usize, age: impl Fn() -> i64) -> bool {
    let struck = call.fault(|fault| match fault {
        Fault::WarmUp { rows, age_ms } => (count < *rows || age() < *age_ms).then_some(()),
        _ => None,
    });
    struck.is_some()
}

/// Facts that a Parquet file holds about itself.
pub(crate) fn about(model: &Reference) -> [(&'static str, String); 3] {
    [
        ("model_id", model.id.clone()),
        ("model_version_id", model.version_id.clone()),
        ("model_type", "anomaly".to_owned()),
    ]
}

/// `POST /models/{id}/infer-async`
pub(crate) fn later(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let file = call.file()?;
    let wanted = wanted(call.field("output_type").as_deref(), call.field("anomaly_format").as_deref(), Output::Csv)?;
    let chosen = choose(&mut sim.world(), call, call.field("model_version_id").as_deref())?;
    if !sim.world().make_room(file.content.len(), sim.settings.memory) {
        return Err(full());
    }
    let mut job = start(sim, call, &chosen, &wanted, &file.content)?;
    job.input_filename.clone_from(&file.filename);
    Ok(remember(sim, call, job, &chosen.to))
}

/// `POST /models/{id}/infer-batch`
pub(crate) fn batch(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let wanted =
        wanted(text(&body, "output_type")?.as_deref(), text(&body, "anomaly_format")?.as_deref(), Output::Parquet)?;
    let forced = body.get("force_rerun").and_then(Value::as_bool).unwrap_or(false);
    let (chosen, source, cache_key) = {
        let mut world = sim.world();
        let chosen = choose(&mut world, call, text(&body, "model_version_id")?.as_deref())?;
        let source = source(&mut world, call, &body)?;
        let key = cache_key(&chosen.to, &source.dataset, &wanted, &body);
        let equal = world.jobs.iter().rev().find(|job| {
            job.cache_key.as_ref() == Some(&key)
                && !matches!(job.status(call.now).as_str(), "failed" | "canceled" | "rejected")
        });
        if let Some(job) = equal.filter(|_| !forced) {
            return Ok(answer(sim, call, &job.id, &job.status(call.now), &chosen.to));
        }
        (chosen, source, key)
    };
    let mut job = start(sim, call, &chosen, &wanted, &source.content)?;
    let rows = job.scored.as_ref().map_or(0, |scored| scored.verdicts.len());
    let since =
        sim.world().dataset_version(&source.dataset.version_id).map_or(call.now, |(_, version)| version.created);
    if cold(call, rows, || call.now - since) {
        return Ok(Reply::bytes("application/json", Bytes::new()).rows(rows));
    }
    job.dataset = Some(source.dataset);
    job.dataset_name = Some(source.name);
    job.parent = text(&body, "parent_job_id")?;
    job.cache_key = Some(cache_key);
    Ok(remember(sim, call, job, &chosen.to))
}

fn cache_key(model: &Reference, dataset: &Reference, wanted: &Wanted, body: &Map<String, Value>) -> String {
    let rest: Vec<Option<&Value>> = ["parent_job_id", "filters"].into_iter().map(|name| body.get(name)).collect();
    let (output, per_row) = (wanted.output.name(), wanted.per_row);
    format!("{} {} {output} {per_row} {}", model.version_id, dataset.version_id, json!(rest))
}

/// A job whose work is done already; only its clock runs.
fn start(sim: &Sim, call: &Call, chosen: &Chosen, wanted: &Wanted, content: &Bytes) -> Result<Job, Refusal> {
    let scored = score(call, &chosen.detector, content);
    let (verdicts, worked) = match scored {
        Ok((_, verdicts)) => (verdicts, Ok(())),
        // A service that is broken says so at once; bad content is found out by the job.
        Err(refusal) if refusal.status != 422 => return Err(refusal),
        Err(refusal) => (Vec::new(), Err(refusal.detail.as_str().unwrap_or("the input is not valid").to_owned())),
    };
    let id = sim.world().id("job");
    let mut job = new_job(JobKind::InferBatch, Generation::Ga, call, id);
    job.takes_ms = sim.millis(sim.settings.inference_time);
    job.outcome = Outcome::decide(JobKind::InferBatch, &call.struck, worked);
    job.model = Some(chosen.to.clone());
    job.scored = Some(Scored {
        input: content.clone(),
        verdicts: Arc::new(verdicts),
        output: wanted.output,
        per_row: wanted.per_row,
        struck: call.struck.clone(),
    });
    Ok(job)
}

fn remember(sim: &Sim, call: &Call, job: Job, model: &Reference) -> Reply {
    let rows = job.scored.as_ref().map_or(0, |scored| scored.verdicts.len());
    let reply = answer(sim, call, &job.id, "queued", model);
    sim.world().add_job(job, call.now);
    reply.rows(rows)
}

fn answer(sim: &Sim, call: &Call, job_id: &str, status: &str, model: &Reference) -> Reply {
    let shape = refer::shape(sim, call, false);
    let mut answer = json!({"job_id": job_id, "status": status});
    if shape != Shape::Nested {
        answer["model_version_id"] = json!(model.version_id);
    }
    if shape != Shape::Flat {
        answer["model"] = refer::nested(model);
    }
    Reply::json(&answer)
}

/// Words about the most anomalous rows.
pub(crate) fn describe(detector: &Detector, table: &Table, verdicts: &[Verdict]) -> Value {
    let mut flagged: Vec<usize> = (0..verdicts.len()).filter(|row| verdicts[*row].flag).collect();
    flagged.sort_by(|a, b| verdicts[*b].score.total_cmp(&verdicts[*a].score));
    flagged.truncate(MAX_DESCRIPTIONS);
    let described = flagged.into_iter().map(|row| (row.to_string(), explanation(detector, table, row)));
    Value::Object(described.collect())
}

/// Words about one row.
pub(crate) fn explanation(detector: &Detector, table: &Table, row: usize) -> Value {
    let contributions = detector.contributions(table, row);
    let total: f64 = contributions.iter().map(|c| c.strangeness).sum::<f64>().max(f64::MIN_POSITIVE);
    let parts: Vec<Value> = contributions
        .iter()
        .map(|c| {
            json!({
                "name": c.column,
                "phrase": format!("unusually {} {}", c.direction, c.column),
                "direction": c.direction,
                "normalized_weight": c.strangeness / total,
                "source_detectors": ["robust_z"],
                "mechanism_tags": ["marginal"],
            })
        })
        .collect();
    let most = contributions.first().map_or_else(String::new, |c| format!("unusually {} {}", c.direction, c.column));
    json!({"description": format!("Row {row} stands out: {most}."), "summary": most, "feature_contributions": parts})
}
