//! Results of jobs: where to download them, page by page, and explained row by row.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::call::{Call, Refusal, Reply};
use super::gate::origin;
use super::infer::{describe, explanation};
use super::jobs::{detail, find};
use super::refer;
use super::uploads::new_job;
use crate::fault::Fault;
use crate::job::{Job, JobKind, Outcome, Scored};
use crate::output::flagged;
use crate::route::Generation;
use crate::simulator::Sim;
use crate::table::Table;
use crate::tamper::{Cell, Row, rows as result_rows};
use crate::world::World;

/// Rows of a page at most.
const MAX_PAGE: usize = 500;

/// The job, if it succeeded and its results are still there.
fn succeeded<'a>(job: &'a Job, call: &Call) -> Result<&'a Job, Refusal> {
    if call.fault(|fault| (*fault == Fault::Results404).then_some(())).is_some() {
        return Err(Refusal::not_found("Results"));
    }
    if job.succeeded(call.now) { Ok(job) } else { Err(Refusal::new(409, &format!("Job is {}", job.status(call.now)))) }
}

fn scored(job: &Job) -> Result<&Scored, Refusal> {
    job.scored.as_ref().ok_or_else(|| Refusal::not_found("Results"))
}

/// `GET /jobs/{id}/results`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let job = succeeded(find(&world, call)?, call)?;
    let mut answer = Map::new();
    answer.insert("job_type".to_owned(), json!(job.kind.name()));
    match job.kind {
        JobKind::Ingest => {
            let version = job.dataset.as_ref().and_then(|to| world.dataset_version(&to.version_id));
            let stats = version.map(|(_, version)| json!({"row_count": version.rows, "byte_size": version.content.as_ref().map(bytes::Bytes::len)}));
            answer.insert("dataset_ingest_results".to_owned(), json!(stats));
        }
        JobKind::Train => {
            answer.insert("training_results".to_owned(), json!({"metrics": {}}));
        }
        JobKind::InferSync | JobKind::Explain => {}
        JobKind::InferBatch => inference(sim, call, &world, job, &mut answer)?,
    }
    Ok(Reply::json(&Value::Object(answer)))
}

/// `world` is held by the caller.
fn inference(sim: &Sim, call: &Call, world: &World, job: &Job, answer: &mut Map<String, Value>) -> Result<(), Refusal> {
    let scored = scored(job)?;
    let expires = call.now + sim.millis(sim.settings.url_lifetime);
    let url = |what: &str| {
        let object = format!("{}-{what}.{}", job.id, scored.output.name());
        format!("{}/storage/{object}?{}", origin(sim, call), sim.signer.query("GET", &object, expires))
    };
    let rows = result_rows(scored);
    let scores = || rows.iter().filter_map(|row| if let Cell::Real(score) = row.score { Some(score) } else { None });
    let described = Table::read(&scored.input).ok().and_then(|table| {
        let detector = world.detector(&job.model.as_ref()?.version_id)?;
        Some(json!({"anomaly_descriptions": describe(&detector, &table, &scored.verdicts).to_string()}))
    });
    answer.insert("inference_results_uri".to_owned(), json!(url("results")));
    answer.insert("combined_results_uri".to_owned(), json!(scored.per_row.then(|| url("combined"))));
    answer.insert("row_paginatable".to_owned(), json!(scored.per_row));
    answer.insert(
        "summary".to_owned(),
        json!({
            "total_row_count": rows.len(),
            "anomaly": {
                "anomaly_count": flagged(&rows).count(),
                "score_min": scores().min_by(f64::total_cmp).filter(|score| score.is_finite()),
                "score_max": scores().max_by(f64::total_cmp).filter(|score| score.is_finite()),
            },
        }),
    );
    answer.insert("descriptions".to_owned(), json!(described));
    Ok(())
}

/// An input row with what was found about it.
fn joined(table: &Table, row: &Row) -> Map<String, Value> {
    let at = if let Cell::Count(at) = row.id { Some(at) } else { None };
    let mut object = at.filter(|at| *at < table.rows.len()).map_or_else(Map::new, |at| table.object(at));
    let value = |cell: &Cell| match cell {
        Cell::Missing => Value::Null,
        Cell::Count(count) => json!(count),
        Cell::Real(real) => json!(real),
        Cell::Text(text) => json!(text),
    };
    object.insert("id".to_owned(), value(&row.id));
    object.insert("is_anomaly".to_owned(), json!(row.flag));
    object.insert("anomaly_score".to_owned(), value(&row.score));
    object
}

/// `GET /jobs/{id}/results/rows`
pub(crate) fn rows(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let limit = call.query_number("limit", 100, usize::MAX)?.min(MAX_PAGE);
    let offset = call.query_number("offset", 0, usize::MAX)?;
    let scored = {
        let world = sim.world();
        scored(succeeded(find(&world, call)?, call)?)?.clone()
    };
    if !scored.per_row {
        return Err(Refusal::new(409, "The results of this job cannot be paged; ask for per_row"));
    }
    let table = Table::read(&scored.input).map_err(|why| Refusal::new(422, &why))?;
    let mut rows: Vec<Map<String, Value>> = result_rows(&scored).iter().map(|row| joined(&table, row)).collect();
    let total = rows.len();
    if let Some(wanted) = call.query("search").map(str::to_lowercase) {
        rows.retain(|row| row.values().any(|value| plain(value).to_lowercase().contains(&wanted)));
    }
    if let Some(column) = call.query("filter_column") {
        let wanted = call.query("filter_value").unwrap_or_default();
        rows.retain(|row| row.get(column).is_none_or(|value| plain(value) == wanted));
    }
    if let Some(column) = call.query("sort_by") {
        rows.sort_by(|a, b| order(a.get(column), b.get(column)));
        if call.query("sort_dir") == Some("desc") {
            rows.reverse();
        }
    }
    let filtered = rows.len();
    let columns = call.query_list("columns");
    let known = |name: &String| rows.first().is_some_and(|row| row.contains_key(name));
    let shown: Vec<String> = columns.into_iter().filter(known).collect();
    let page: Vec<Map<String, Value>> = rows
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|mut row| {
            row.retain(|name, _| shown.is_empty() || shown.contains(name));
            row
        })
        .collect();
    let count = page.len();
    let answer = json!({"rows": page, "limit": limit, "offset": offset, "total": total, "total_filtered": filtered, "notice": null});
    Ok(Reply::json(&answer).rows(count))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a.and_then(Value::as_f64), b.and_then(Value::as_f64)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.map(plain).cmp(&b.map(plain)),
    }
}

/// `POST /jobs/{id}/explain`
pub(crate) fn explain(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let ids = body.get("ids").and_then(Value::as_array).ok_or_else(|| Refusal::missing(&["body", "ids"]))?;
    let (scored, model, parent) = {
        let world = sim.world();
        let job = succeeded(find(&world, call)?, call)?;
        (scored(job)?.clone(), job.model.clone(), job.id.clone())
    };
    let table = Table::read(&scored.input).map_err(|why| Refusal::new(422, &why))?;
    let detector = model.as_ref().and_then(|to| sim.world().detector(&to.version_id));
    let detector = detector.ok_or_else(|| Refusal::not_found("Model version"))?;
    let rows = ids.iter().filter_map(|id| plain(id).parse().ok()).filter(|row: &usize| *row < table.rows.len());
    let explanations: Vec<Value> = rows
        .map(|row| {
            let words = explanation(&detector, &table, row);
            json!({
                "id": row.to_string(),
                "explanation_label": "anomaly",
                "explanation_gloss": words["summary"],
                "explanation_text": words["description"],
                "feature_contributions": words["feature_contributions"],
            })
        })
        .collect();
    let mut world = sim.world();
    let id = world.id("job");
    let mut job = new_job(JobKind::Explain, Generation::Ga, call, id);
    job.outcome = Outcome::decide(JobKind::Explain, &call.struck, Ok(()));
    job.model = model;
    job.parent = Some(parent);
    job.explanations = Some(json!(explanations));
    let answer = detail(call, &job, refer::shape(sim, call, false));
    world.add_job(job, call.now);
    Ok(Reply::json(&answer))
}
