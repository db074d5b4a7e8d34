//! The GA generation: one call scores a batch; datasets, versions and jobs where that is not enough.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::answer::{self, Scores, id_of, items, version_of};
use super::failure::Failure;
use super::table::Table;
use super::transport::{Body, Kind, Request, Transport};

/// A dataset on the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dataset {
    pub(super) id: String,
    /// Its one version.
    pub(super) version: Option<String>,
}

/// The latest ready version of the model.
pub(super) async fn resolve(transport: &Transport, model: &str, deadline: Instant) -> Result<String, Failure> {
    let reply = transport.send(&Request::get(format!("/models/{model}")), deadline).await?.json()?;
    let reply = reply.get("model").unwrap_or(&reply);
    let status = reply.get("status").and_then(Value::as_str).unwrap_or("ready");
    match status {
        "failed" => return Err(Failure::Missing(format!("the model {model} failed to train"))),
        "processing" | "queued" | "pending" | "initializing" | "running" => {
            return Err(Failure::NotReady(format!("the model {model} is {status}")));
        }
        _ => {}
    }
    version_of(reply, "model").ok_or_else(|| Failure::Protocol(format!("the model {model} names no version")))
}

/// Scores a table in one call; where that takes too long or keeps failing, as a job.
pub(super) async fn infer(
    transport: &Transport,
    model: &str,
    version: &str,
    table: &Table,
    deadline: Instant,
) -> Result<Scores, Failure> {
    let request = Request {
        kind: Kind::Inference,
        // It leaves no job that a lost answer could be looked for in. Repeated, it costs its credits again and changes
        // nothing; a second time, at most, before the way over a job, which is looked for.
        repeatable: true,
        tries: 2,
        ..Request::post(format!("/models/{model}/infer"), question(version, table))
    };
    match transport.send(&request, deadline).await {
        Ok(reply) => {
            pinned(&reply.bytes, version)?;
            answer::scores(&reply.bytes, table.rows)
        }
        Err(failure @ Failure::Away { ambiguous: true, .. }) => {
            match infer_async(transport, model, version, table, deadline).await {
                Ok(scores) => Ok(scores),
                // The first way's failure says more.
                Err(_) => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// The rows and what is asked about them.
fn question(version: &str, table: &Table) -> Body {
    let fields = vec![
        ("output_type", "json".to_owned()),
        ("anomaly_format", "per_row".to_owned()),
        ("model_version_id", version.to_owned()),
    ];
    Body::File { fields, name: table.name.clone(), csv: table.csv.clone() }
}

/// An answer of another version than the pinned one would be calibrated wrongly.
fn pinned(bytes: &[u8], version: &str) -> Result<(), Failure> {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
    match value.get("model_version_id").and_then(Value::as_str) {
        Some(other) if other != version => {
            Err(Failure::Protocol(format!("model version {other} answered in place of {version}")))
        }
        _ => Ok(()),
    }
}

/// Scores a table as a job.
async fn infer_async(
    transport: &Transport,
    model: &str,
    version: &str,
    table: &Table,
    deadline: Instant,
) -> Result<Scores, Failure> {
    let request = Request::post(format!("/models/{model}/infer-async"), question(version, table));
    let job = match transport.send(&request, deadline).await {
        Ok(reply) => job_of(&reply.json()?)?,
        // It may have been taken nevertheless: look before asking again.
        Err(failure @ Failure::Away { ambiguous: true, .. }) => {
            let own = |job: &&Value| job.get("input_filename").and_then(Value::as_str) == Some(&table.name);
            newest_job(transport, model, "", own, deadline).await?.ok_or(failure)?
        }
        Err(failure) => return Err(failure),
    };
    results(transport, &job, table.rows, deadline).await
}

/// The last job that scores with `model` and is our `own`; `filter` narrows the list down.
async fn newest_job(
    transport: &Transport,
    model: &str,
    filter: &str,
    own: impl Fn(&&Value) -> bool,
    deadline: Instant,
) -> Result<Option<String>, Failure> {
    let path = format!("/jobs?type=infer_batch&model_id={model}&limit=50{filter}");
    let jobs = transport.send(&Request::get(path), deadline).await?.json()?;
    Ok(items(&jobs).iter().find(own).and_then(|job| id_of(job, "job")))
}

/// Puts a table on the service as a dataset of its own, and waits until it is read.
pub(super) async fn upload(transport: &Transport, table: &Table, deadline: Instant) -> Result<Dataset, Failure> {
    let fields = vec![("dataset_name", table.name.clone())];
    let body = Body::File { fields, name: format!("{}.csv", table.name), csv: table.csv.clone() };
    let request = Request { kind: Kind::Transfer, ..Request::post("/datasets".to_owned(), body) };
    let reply = match transport.send(&request, deadline).await.and_then(|reply| reply.json()) {
        Ok(reply) => reply,
        // Ambiguous, answered without a word, or our own earlier try: the name is unique, so what bears it is ours.
        Err(
            failure @ (Failure::Away { ambiguous: true, .. }
            | Failure::NotReady(_)
            | Failure::Protocol(_)
            | Failure::Refused(_)
            | Failure::Conflict(_)),
        ) => find(transport, &table.name, deadline).await?.ok_or(failure)?,
        Err(failure) => return Err(failure),
    };
    let id = id_of(&reply, "dataset").ok_or_else(|| Failure::Protocol("the upload names no dataset".to_owned()))?;
    let version = version_of(&reply, "dataset");
    match job_of(&reply) {
        Ok(job) => finished(transport, &job, deadline).await?,
        Err(_) => ready(transport, &id, deadline).await?,
    }
    Ok(Dataset { id, version })
}

/// Waits until a dataset's current version is ready.
async fn ready(transport: &Transport, id: &str, deadline: Instant) -> Result<(), Failure> {
    let mut pause = transport.timing.poll;
    loop {
        let dataset = transport.send(&Request::get(format!("/datasets/{id}")), deadline).await?.json()?;
        let status = dataset.get("current_version").and_then(|v| v.get("status")).and_then(Value::as_str);
        match status {
            Some("ready") => return Ok(()),
            Some("failed") => return Err(Failure::Refused("the dataset could not be read".to_owned())),
            _ => {}
        }
        wait(&mut pause, deadline, "the dataset is not ready").await?;
    }
}

/// The dataset called `name`: lists match by part of the name only.
async fn find(transport: &Transport, name: &str, deadline: Instant) -> Result<Option<Value>, Failure> {
    let list = transport.send(&Request::get(format!("/datasets?q={name}&limit=200")), deadline).await?.json()?;
    let named = |dataset: &&Value| dataset.get("name").and_then(Value::as_str) == Some(name);
    Ok(items(&list).iter().find(named).cloned())
}

/// Scores a dataset that is on the service.
pub(super) async fn infer_dataset(
    transport: &Transport,
    model: &str,
    version: &str,
    dataset: &Dataset,
    rows: usize,
    deadline: Instant,
) -> Result<Scores, Failure> {
    let mut body = json!({
        "model_version_id": version, "output_type": "json", "anomaly_format": "per_row", "force_rerun": true,
    });
    match &dataset.version {
        Some(pinned) => body["dataset_version_id"] = json!(pinned),
        None => body["dataset_id"] = json!(dataset.id),
    }
    let request = Request::post(format!("/models/{model}/infer-batch"), Body::Json(body));
    let job = match transport.send(&request, deadline).await {
        Ok(reply) => job_of(&reply.json()?)?,
        Err(Failure::Conflict(message)) => return Err(Failure::NotReady(message)),
        // The answer was lost, the job perhaps not; one that was asked for earlier is about the same rows.
        Err(failure @ Failure::Away { ambiguous: true, .. }) => {
            let version = dataset.version.as_ref().map(|version| format!("&dataset_version_id={version}"));
            let own = |job: &&Value| job.get("dataset_id").and_then(Value::as_str) == Some(&dataset.id);
            newest_job(transport, model, &version.unwrap_or_default(), own, deadline).await?.ok_or(failure)?
        }
        Err(failure) => return Err(failure),
    };
    results(transport, &job, rows, deadline).await
}

/// Waits for a job and reads its scores.
async fn results(transport: &Transport, job: &str, rows: usize, deadline: Instant) -> Result<Scores, Failure> {
    finished(transport, job, deadline).await?;
    let mut last = Failure::Protocol("the job names no results".to_owned());
    // A signed address may have expired; a fresh one is tried once.
    for _ in 0..2 {
        let results = match transport.send(&Request::get(format!("/jobs/{job}/results")), deadline).await {
            Ok(reply) => reply.json()?,
            // Results expire; scoring again brings new ones.
            Err(Failure::Missing(message)) => return Err(Failure::away(&message, true)),
            Err(failure) => return Err(failure),
        };
        let Some(url) = results.get("inference_results_uri").and_then(Value::as_str) else { return Err(last) };
        match transport.fetch_signed(url, deadline).await {
            Ok(reply) => return answer::scores(&reply.bytes, rows),
            Err(failure) => last = failure,
        }
    }
    // Whatever a signed address answers says nothing of our keys.
    Err(match last {
        Failure::Key(message) | Failure::Missing(message) => Failure::away(&message, true),
        other => other,
    })
}

/// Waits until a job succeeded.
pub(super) async fn finished(transport: &Transport, job: &str, deadline: Instant) -> Result<(), Failure> {
    let mut pause = transport.timing.poll;
    loop {
        let detail = transport.send(&Request::get(format!("/jobs/{job}")), deadline).await?.json()?;
        let detail = detail.get("job").unwrap_or(&detail);
        match detail.get("status").and_then(Value::as_str) {
            Some("succeeded") => return Ok(()),
            Some(end @ ("failed" | "canceled" | "rejected")) => {
                let why = detail.get("error_message").and_then(Value::as_str).unwrap_or("no reason given");
                return Err(Failure::Refused(format!("the job {end}: {why}")));
            }
            // Whatever else it says, it goes on.
            _ => {}
        }
        wait(&mut pause, deadline, "the job did not finish in time").await?;
    }
}

/// Waits until the next look, `pause.0` from now; the one after that is later, by `pause.1` at most.
async fn wait(pause: &mut (Duration, Duration), deadline: Instant, what: &str) -> Result<(), Failure> {
    if Instant::now() + pause.0 >= deadline {
        return Err(Failure::away(what, true));
    }
    sleep(pause.0).await;
    pause.0 = (pause.0 * 2).min(pause.1);
    Ok(())
}

pub(super) fn job_of(reply: &Value) -> Result<String, Failure> {
    let nested = reply.get("job").and_then(|job| job.get("id"));
    let id = reply.get("job_id").or(nested).and_then(answer::text);
    id.ok_or_else(|| Failure::Protocol("the answer names no job".to_owned()))
}

/// Ids and names of the datasets whose name holds `part`.
pub(super) async fn datasets(
    transport: &Transport,
    part: &str,
    deadline: Instant,
) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let list =
            transport.send(&Request::get(format!("/datasets?q={part}&limit=200{from}")), deadline).await?.json()?;
        for dataset in items(&list) {
            if let (Some(id), Some(name)) = (id_of(dataset, "dataset"), dataset.get("name").and_then(Value::as_str)) {
                found.push((id, name.to_owned()));
            }
        }
        cursor = list.get("next_cursor").and_then(answer::text);
        if cursor.is_none() {
            return Ok(found);
        }
    }
}
