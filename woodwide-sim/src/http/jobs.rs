//! Jobs: listing, reading, canceling, repeating, and the counters of the dashboard.

use serde_json::{Map, Value, json};

use super::call::{Call, Refusal, Reply};
use super::refer;
use crate::clock::iso;
use crate::fault::{Fault, Progress};
use crate::job::{Job, JobKind, Outcome};
use crate::number::real;
use crate::route::Generation;
use crate::settings::Shape;
use crate::simulator::Sim;
use crate::world::World;

const DAY_MS: i64 = 86_400_000;

pub(crate) fn find<'a>(world: &'a World, call: &Call) -> Result<&'a Job, Refusal> {
    let job = world.job(call.param("id")).filter(|job| job.generation == Generation::Ga);
    job.ok_or_else(|| Refusal::not_found("Job"))
}

/// What lists show of a job.
fn summary(job: &Job, now: i64, shape: Shape) -> Value {
    let rest = json!({
        "type": job.kind.name(),
        "status": job.status(now),
        "created_at": iso(job.created),
        "started_at": job.started.map(iso),
        "finished_at": job.finished(now).map(iso),
        "created_by": {"principal_type": "api_key", "user_id": null, "api_key_id": job.created_by},
        "dataset_id": job.dataset.as_ref().map(|to| &to.id),
        "dataset_name": job.dataset_name,
        "model_id": job.model.as_ref().map(|to| &to.id),
        "model_type": job.model.as_ref().map(|_| "anomaly"),
        "input_filename": job.input_filename,
        "parent_job_id": job.parent,
    });
    refer::with_id(shape, "job", &job.id, rest)
}

/// All of a job.
pub(crate) fn detail(call: &Call, job: &Job, shape: Shape) -> Value {
    let now = call.now;
    let mut object = summary(job, now, shape);
    let over = job.is_over(now);
    let left =
        job.started.map(|started| real(usize::try_from((started + job.takes_ms - now).max(0)).unwrap_or(0)) / 1000.0);
    let odd = call.struck.iter().find_map(|struck| match struck.fault {
        Fault::ProgressOdd(odd) => Some((odd, struck.nth)),
        _ => None,
    });
    let progress = match odd {
        None => json!(job.progress(now)),
        Some((Progress::Null, _)) => Value::Null,
        Some((Progress::Over, _)) => json!(150.0),
        Some((Progress::Backwards, nth)) => json!(90.0 - 10.0 * real(usize::try_from(nth % 10).unwrap_or(0))),
    };
    let charged = over && !matches!(job.kind, JobKind::Ingest);
    let more = json!({
        "error_message": job.error(now),
        "progress": progress,
        "estimated_seconds_remaining": left.filter(|_| !over && job.kind == JobKind::Train),
        "current_step": null,
        "total_steps": null,
        "current_phase": null,
        "metrics_history": null,
        "credits_consumed": charged.then_some(1.0),
        "woodwide_runtime_version": refer::RUNTIME,
        "input": null,
        "output": null,
        "resources": resources(job),
        "explanations": job.explanations.as_ref().filter(|_| job.succeeded(now)),
    });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn resources(job: &Job) -> Value {
    let mut object = Map::new();
    object.insert("type".to_owned(), json!(job.kind.name()));
    match job.kind {
        JobKind::Explain => return Value::Null,
        JobKind::Ingest => {}
        _ => {
            object.insert("model".to_owned(), job.model.as_ref().map_or(Value::Null, refer::nested));
        }
    }
    if job.kind != JobKind::InferSync {
        object.insert("dataset".to_owned(), job.dataset.as_ref().map_or(Value::Null, refer::nested));
    }
    Value::Object(object)
}

/// `GET /jobs`, newest first.
pub(crate) fn list(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let limit = call.query_number("limit", 50, 200)?.max(1);
    let world = sim.world();
    let fits = |name: &str, value: Option<&str>| call.query(name).is_none_or(|wanted| Some(wanted) == value);
    let things = world.jobs.iter().rev().filter(|job| {
        job.generation == Generation::Ga
            && fits("status", Some(&job.status(call.now)))
            && fits("type", Some(job.kind.name()))
            && fits("model_id", job.model.as_ref().map(|to| to.id.as_str()))
            && fits("model_version_id", job.model.as_ref().map(|to| to.version_id.as_str()))
            && fits("dataset_version_id", job.dataset.as_ref().map(|to| to.version_id.as_str()))
    });
    let (page, next) = refer::page(call, things, |job| &job.id, limit)?;
    let shape = refer::shape(sim, call, false);
    let items: Vec<Value> = page.into_iter().map(|job| summary(job, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items, "next_cursor": next})))
}

/// `GET /jobs/{id}`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    Ok(Reply::json(&detail(call, find(&world, call)?, refer::shape(sim, call, false))))
}

fn answer(sim: &Sim, call: &Call, id: &str, status: &str) -> Reply {
    let shape = refer::shape(sim, call, false);
    Reply::json(&refer::with_id(shape, "job", id, json!({"status": status})))
}

/// `POST /jobs/{id}/cancel`: too late for a job that is over.
pub(crate) fn cancel(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let id = find(&world, call)?.id.clone();
    let Some(job) = world.job_mut(&id) else { return Err(Refusal::not_found("Job")) };
    if !job.is_over(call.now) {
        job.canceled = Some(call.now);
        job.started.get_or_insert(call.now);
        // It would stay as it is otherwise.
        if matches!(job.outcome, Outcome::Stays(_)) {
            job.outcome = Outcome::Ends("canceled");
        }
    }
    Ok(answer(sim, call, &id, &job.status(call.now)))
}

/// `POST /jobs/{id}/retry`: a new job in the place of one that failed.
pub(crate) fn retry(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let old = find(&world, call)?.clone();
    if old.status(call.now) != "failed" {
        return Err(Refusal::new(409, "Only failed jobs can be retried"));
    }
    let id = world.id("job");
    let mut job = Job { id: id.clone(), created: call.now, started: Some(call.now), ..old.clone() };
    let done = match job.kind {
        JobKind::Ingest => {
            world.datasets.iter().flat_map(|d| &d.versions).any(|v| v.job_id == old.id && !v.schema.is_null())
        }
        JobKind::Train => {
            world.models.iter().flat_map(|m| &m.versions).any(|v| v.job_id == old.id && v.detector.is_some())
        }
        _ => old.scored.as_ref().is_some_and(|scored| !scored.verdicts.is_empty()),
    };
    // What the faults forced is over; what was wrong with the content is still wrong.
    let worked = if done { Ok(()) } else { Err(old.error(call.now).unwrap_or("failed").to_owned()) };
    job.outcome = Outcome::decide(job.kind, &call.struck, worked);
    if let Some(to) = job.dataset.as_ref().filter(|_| job.kind == JobKind::Ingest)
        && let Some(version) = world.dataset_version_mut(&to.version_id)
    {
        version.job_id.clone_from(&id);
    }
    if let Some(to) = job.model.as_ref().filter(|_| job.kind == JobKind::Train)
        && let Some(version) = world.model_version_mut(&to.version_id)
    {
        version.job_id.clone_from(&id);
    }
    world.add_job(job, call.now);
    Ok(answer(sim, call, &id, "queued"))
}

/// `GET /jobs/dashboard-activity`
pub(crate) fn activity(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let days = i64::try_from(call.query_number("days", 7, 30)?).unwrap_or(7);
    if ![7, 14, 30].contains(&days) {
        return Err(Refusal::one_of(&["query", "days"], &["7", "14", "30"]));
    }
    let (now, shape) = (call.now, refer::shape(sim, call, false));
    let world = sim.world();
    let end = (now.div_euclid(DAY_MS) + 1) * DAY_MS;
    let between = |from: i64, to: i64| -> Vec<&Job> {
        world.jobs.iter().filter(|job| job.generation == Generation::Ga && (from..to).contains(&job.created)).collect()
    };
    let daily: Vec<Value> = (0..days)
        .map(|day| {
            let from = end - (days - day) * DAY_MS;
            let jobs = between(from, from + DAY_MS);
            let charged = jobs.iter().filter(|job| job.kind != JobKind::Ingest && job.is_over(now)).count();
            json!({
                "day": iso(from).get(..10),
                "infer": count(&jobs, &[JobKind::InferSync, JobKind::InferBatch]),
                "train": count(&jobs, &[JobKind::Train]),
                "upload": count(&jobs, &[JobKind::Ingest]),
                "credits_consumed": charged,
                "upload_bytes": uploaded(&world, &jobs),
            })
        })
        .collect();
    let current = between(end - days * DAY_MS, end);
    let with = |statuses: &[&str]| current.iter().filter(|job| statuses.contains(&job.status(now).as_str())).count();
    let failed: Vec<Value> = current
        .iter()
        .rev()
        .filter(|job| job.status(now) == "failed")
        .take(10)
        .map(|job| summary(job, now, shape))
        .collect();
    let recent: Vec<Value> = between(0, i64::MAX).iter().rev().take(10).map(|job| summary(job, now, shape)).collect();
    let over = current.iter().filter(|job| job.is_over(now)).count();
    Ok(Reply::json(&json!({
        "day_count": days,
        "bucket_timezone": "utc",
        "daily": daily,
        "current_window": window(&world, &current),
        "previous_window": window(&world, &between(end - 2 * days * DAY_MS, end - days * DAY_MS)),
        "has_active_training": current.iter().any(|job| job.kind == JobKind::Train && !job.is_over(now)),
        "period_job_outcomes": {
            "succeeded": with(&["succeeded"]),
            "failed": with(&["failed", "rejected"]),
            "canceled": with(&["canceled"]),
            "in_progress": current.len() - over,
        },
        "failed_jobs": failed,
        "recent_jobs": recent,
    })))
}

fn count(jobs: &[&Job], kinds: &[JobKind]) -> usize {
    jobs.iter().filter(|job| kinds.contains(&job.kind)).count()
}

fn uploaded(world: &World, jobs: &[&Job]) -> usize {
    let versions = jobs.iter().filter(|job| job.kind == JobKind::Ingest).filter_map(|job| job.dataset.as_ref());
    let contents = versions.filter_map(|to| world.dataset_version(&to.version_id)?.1.content.as_ref());
    contents.map(bytes::Bytes::len).sum()
}

fn window(world: &World, jobs: &[&Job]) -> Value {
    json!({
        "infer_jobs": count(jobs, &[JobKind::InferSync, JobKind::InferBatch]),
        "train_jobs": count(jobs, &[JobKind::Train]),
        "upload_jobs": count(jobs, &[JobKind::Ingest]),
        "upload_bytes": uploaded(world, jobs),
    })
}
