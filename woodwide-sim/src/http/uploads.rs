//! Bringing tables in: in one request, or by a signed address and a second request when the bytes are there.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::call::{Call, Refusal, Reply, required_text, text};
use super::gate::origin;
use super::refer;
use crate::job::{Job, JobKind, Outcome, Reference};
use crate::route::Generation;
use crate::signing::hex;
use crate::simulator::Sim;
use crate::table::Table;
use crate::world::{Dataset, DatasetVersion, MAX_THINGS, World};

/// A version that is asked for.
pub(crate) struct Wanted {
    pub(crate) generation: Generation,
    pub(crate) dataset_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) replace: bool,
    pub(crate) filename: String,
}

/// `POST /datasets`
pub(crate) fn create(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let file = call.file()?;
    let wanted = Wanted {
        generation: Generation::Ga,
        dataset_id: call.field("dataset_id"),
        name: call.field("dataset_name"),
        description: call.field("description"),
        replace: call.field_flag("override"),
        filename: file.filename.clone().unwrap_or_else(|| "upload".to_owned()),
    };
    let read = Table::read(&file.content);
    let rows = read.as_ref().map_or(0, |table| table.rows.len());
    let mut world = sim.world();
    if !world.make_room(file.content.len(), sim.settings.memory) {
        return Err(full());
    }
    let to = open(&mut world, call, wanted)?;
    let job_id = fill(sim, &mut world, call, &to.version_id, file.content.clone(), read);
    let shape = refer::shape(sim, call, true);
    let reply = refer::with_reference(shape, "dataset", &to, json!({"job_id": job_id, "status": "queued"}));
    Ok(Reply::json(&reply).rows(rows))
}

/// `POST /datasets/upload`
pub(crate) fn prepare(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let idempotency = call.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let digest = hex(&Sha256::digest(&call.body));
    let mut world = sim.world();
    if let Some((of, answer)) = idempotency.as_ref().and_then(|key| world.prepared.get(key)) {
        let other = || Refusal::new(409, "Idempotency-Key was used with another request");
        return if *of == digest { Ok(Reply::json(answer)) } else { Err(other()) };
    }
    let file = body.get("file").and_then(Value::as_object).ok_or_else(|| Refusal::missing(&["body", "file"]))?;
    let filename = required_text(file, "filename")?;
    let content_type = required_text(file, "content_type")?;
    let length =
        file.get("bytes").and_then(Value::as_u64).ok_or_else(|| Refusal::missing(&["body", "file", "bytes"]))?;
    if !world.make_room(usize::try_from(length).unwrap_or(usize::MAX), sim.settings.memory) {
        return Err(full());
    }
    let wanted = Wanted {
        generation: Generation::Ga,
        dataset_id: text(&body, "dataset_id")?,
        name: text(&body, "dataset_name")?,
        description: text(&body, "description")?,
        replace: body.get("override").and_then(Value::as_bool).unwrap_or(false),
        filename: filename.clone(),
    };
    let to = open(&mut world, call, wanted)?;
    let expires = call.now + sim.millis(sim.settings.url_lifetime);
    let query = sim.signer.query("PUT", &to.version_id, expires);
    let mut job_id = String::new();
    if let Some(version) = world.dataset_version_mut(&to.version_id) {
        version.promised = Some((content_type.clone(), length));
        job_id.clone_from(&version.job_id);
    }
    let upload_url = format!("{}/storage/{}?{query}", origin(sim, call), to.version_id);
    let upload = json!({"filename": filename, "bytes": length, "content_type": content_type, "upload_url": upload_url});
    let shape = refer::shape(sim, call, true);
    let answer = refer::with_reference(shape, "dataset", &to, json!({"job_id": job_id, "upload": upload}));
    if let Some(key) = idempotency.filter(|_| world.prepared.len() < MAX_THINGS) {
        world.prepared.insert(key, (digest, answer.clone()));
    }
    Ok(Reply::json(&answer))
}

/// `POST /datasets/{version_id}/complete`
pub(crate) fn complete(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let version_id = call.param("id");
    let mut world = sim.world();
    let (dataset, version) = world.dataset_version(version_id).ok_or_else(|| Refusal::not_found("Dataset version"))?;
    let to = Reference { id: dataset.id.clone(), version_id: version.id.clone(), number: version.number };
    let mut job_id = version.job_id.clone();
    let content = version.content.clone().ok_or_else(|| Refusal::new(409, "The upload has not arrived"))?;
    let waiting = world.job(&job_id).is_some_and(|job| job.started.is_none());
    let mut status = world.job(&job_id).map_or_else(String::new, |job| job.status(call.now));
    if waiting {
        let read = Table::read(&content);
        job_id = fill(sim, &mut world, call, version_id, content, read);
        "queued".clone_into(&mut status);
    }
    let shape = refer::shape(sim, call, true);
    let answer = refer::with_reference(shape, "dataset", &to, json!({"job_id": job_id, "status": status}));
    Ok(Reply::json(&answer))
}

/// 507 when the simulator keeps as much as it may.
pub(crate) fn full() -> Refusal {
    Refusal::new(507, "the simulator's memory for datasets is full; delete some, or start it with more --memory")
}

/// Makes a version that has no content yet, of a new dataset or of the one that is named.
pub(crate) fn open(world: &mut World, call: &Call, wanted: Wanted) -> Result<Reference, Refusal> {
    let now = call.now;
    let beta = wanted.generation == Generation::Beta;
    let version_id = if beta { world.beta_id() } else { world.id("dsv") };
    let job_id = world.id("job");
    let new_id = if beta { world.beta_id() } else { world.id("ds") };
    let is_full = world.datasets.len() >= MAX_THINGS;
    let mut version = DatasetVersion {
        id: version_id,
        number: 1,
        created: now,
        job_id: job_id.clone(),
        filename: wanted.filename.clone(),
        promised: None,
        content: None,
        rows: 0,
        schema: Value::Null,
    };
    let live = |dataset: &&mut Dataset| dataset.generation == wanted.generation && !dataset.archived;
    let (dataset_id, name) = if let Some(id) = &wanted.dataset_id {
        let dataset = world.datasets.iter_mut().filter(live).find(|dataset| dataset.id == *id);
        let dataset = dataset.ok_or_else(|| Refusal::not_found("Dataset"))?;
        dataset.updated = now;
        version.number = dataset.versions.last().map_or(1, |last| last.number + 1);
        if let Some(last) = dataset.versions.pop_if(|_| wanted.replace) {
            version.number = last.number;
            version.id = last.id;
        }
        (dataset.id.clone(), dataset.name.clone())
    } else {
        let name = wanted.name.unwrap_or(wanted.filename);
        if world.datasets.iter_mut().filter(live).any(|dataset| dataset.name == name) {
            return Err(Refusal::new(400, &format!("Dataset with name '{name}' already exists")));
        }
        if is_full {
            return Err(full());
        }
        world.datasets.push(Dataset {
            id: new_id.clone(),
            generation: wanted.generation,
            name: name.clone(),
            description: wanted.description,
            created: now,
            updated: now,
            archived: false,
            versions: Vec::new(),
        });
        (new_id, name)
    };
    let to = Reference { id: dataset_id.clone(), version_id: version.id.clone(), number: version.number };
    let filename = version.filename.clone();
    if let Some(dataset) = world.datasets.iter_mut().find(|dataset| dataset.id == dataset_id) {
        dataset.versions.push(version);
    }
    let mut job = new_job(JobKind::Ingest, wanted.generation, call, job_id);
    job.started = None;
    job.dataset = Some(to.clone());
    job.dataset_name = Some(name);
    job.input_filename = Some(filename);
    world.add_job(job, now);
    Ok(to)
}

/// Gives a version its content and lets its job loose; returns the job's id.
pub(crate) fn fill(
    sim: &Sim,
    world: &mut World,
    call: &Call,
    version_id: &str,
    content: Bytes,
    read: Result<Table, String>,
) -> String {
    let Some(version) = world.dataset_version_mut(version_id) else { return String::new() };
    version.content = Some(content);
    let worked = read.map(|table| {
        version.rows = table.rows.len();
        version.schema = table.schema();
    });
    let job_id = version.job_id.clone();
    let takes_ms = sim.millis(sim.settings.ingest_time);
    if let Some(job) = world.job_mut(&job_id) {
        job.started = Some(call.now);
        job.takes_ms = takes_ms;
        job.outcome = Outcome::decide(JobKind::Ingest, &call.struck, worked);
    }
    job_id
}

/// A job that starts now and is over at once.
pub(crate) fn new_job(kind: JobKind, generation: Generation, call: &Call, id: String) -> Job {
    Job {
        id,
        kind,
        generation,
        created: call.now,
        started: Some(call.now),
        takes_ms: 0,
        outcome: Outcome::Succeeds,
        canceled: None,
        created_by: call.caller.as_ref().map(|caller| caller.id.clone()),
        dataset: None,
        dataset_name: None,
        model: None,
        parent: None,
        input_filename: None,
        scored: None,
        explanations: None,
        cache_key: None,
    }
}
