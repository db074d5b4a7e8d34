//! Datasets: listing, reading, renaming, archiving.

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::{Call, Refusal, Reply, text};
use super::refer;
use crate::route::Generation;
use crate::simulator::Sim;
use crate::table::Table;
use crate::world::{Dataset, World};

fn find<'a>(world: &'a World, call: &Call) -> Result<&'a Dataset, Refusal> {
    let dataset = world.dataset(Generation::Ga, call.param("id"));
    let seen = dataset.filter(|dataset| !dataset.archived || call.query_flag("include_archived"));
    seen.ok_or_else(|| Refusal::not_found("Dataset"))
}

/// `GET /datasets`, newest first.
pub(crate) fn list(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let limit = call.query_number("limit", 50, 200)?.max(1);
    let wanted = call.query("q").map(str::to_lowercase);
    let world = sim.world();
    let things = world.datasets.iter().rev().filter(|dataset| {
        dataset.generation == Generation::Ga
            && (!dataset.archived || call.query_flag("include_archived"))
            && wanted.as_ref().is_none_or(|wanted| dataset.name.to_lowercase().contains(wanted))
    });
    let (page, next) = refer::page(call, things, |dataset| &dataset.id, limit)?;
    let shape = refer::shape(sim, call, true);
    let items: Vec<Value> = page.into_iter().map(|d| refer::dataset(&world, d, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items, "next_cursor": next})))
}

/// `GET /datasets/{id}`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let dataset = find(&world, call)?;
    Ok(Reply::json(&refer::dataset(&world, dataset, call.now, refer::shape(sim, call, true))))
}

/// `PATCH /datasets/{id}`
pub(crate) fn update(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let (name, description) = (text(&body, "name")?, text(&body, "description")?);
    let mut world = sim.world();
    let id = find(&world, call)?.id.clone();
    if let Some(dataset) = world.datasets.iter_mut().find(|dataset| dataset.id == id) {
        dataset.updated = call.now;
        if let Some(name) = name {
            dataset.name = name;
        }
        if description.is_some() {
            dataset.description = description;
        }
    }
    let dataset = find(&world, call)?;
    Ok(Reply::json(&refer::dataset(&world, dataset, call.now, refer::shape(sim, call, true))))
}

/// `DELETE /datasets/{id}`: hidden, its bytes gone for good; models stay.
pub(crate) fn delete(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let mut world = sim.world();
    let live = |dataset: &&mut Dataset| {
        dataset.generation == Generation::Ga && !dataset.archived && dataset.id == call.param("id")
    };
    let dataset = world.datasets.iter_mut().find(live).ok_or_else(|| Refusal::not_found("Dataset"))?;
    dataset.archived = true;
    dataset.updated = call.now;
    for version in &mut dataset.versions {
        version.content = None;
    }
    Ok(Reply::nothing())
}

/// `GET /datasets/{id}/versions`, newest first.
pub(crate) fn versions(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let dataset = find(&world, call)?;
    let shape = refer::shape(sim, call, true);
    let items = dataset.versions.iter().rev();
    let items: Vec<Value> = items.map(|v| refer::dataset_version(&world, dataset, v, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items})))
}

/// `GET /datasets/{id}/versions/{version_id}`
pub(crate) fn version(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let world = sim.world();
    let dataset = find(&world, call)?;
    let version = dataset.versions.iter().find(|version| version.id == call.param("version_id"));
    let version = version.ok_or_else(|| Refusal::not_found("Dataset version"))?;
    let shape = refer::shape(sim, call, true);
    Ok(Reply::json(&refer::dataset_version(&world, dataset, version, call.now, shape)))
}

/// The table of the newest version that is ready.
fn current_table(sim: &Sim, call: &Call) -> Result<Table, Refusal> {
    let content: Option<Bytes> = {
        let world = sim.world();
        let dataset = find(&world, call)?;
        world.ready_dataset_version(dataset, call.now).and_then(|version| version.content.clone())
    };
    let content = content.ok_or_else(|| Refusal::new(409, "No ready dataset version found"))?;
    Table::read(&content).map_err(|why| Refusal::new(422, &why))
}

/// Rows with the `id` column that the curated data has.
fn numbered(table: &Table, rows: impl Iterator<Item = usize>) -> Value {
    let headers: Vec<&str> = std::iter::once("id").chain(table.headers.iter().map(String::as_str)).collect();
    let rows: Vec<Value> = rows
        .map(|row| {
            let mut object = table.object(row);
            object.insert("id".to_owned(), json!(row));
            Value::Object(object)
        })
        .collect();
    json!({"headers": headers, "rows": rows})
}

/// `GET /datasets/{id}/preview`
pub(crate) fn preview(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let most = call.query_number("max_rows", 10, 100)?;
    let table = current_table(sim, call)?;
    Ok(Reply::json(&numbered(&table, 0..most.min(table.rows.len()))))
}

/// `POST /datasets/{id}/rows:lookup`
pub(crate) fn lookup(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let body = call.json()?;
    let ids = body.get("ids").and_then(Value::as_array).ok_or_else(|| Refusal::missing(&["body", "ids"]))?;
    if ids.len() > 256 {
        return Err(Refusal::invalid(&["body", "ids"], "List should have at most 256 items", "too_long"));
    }
    let table = current_table(sim, call)?;
    let mut rows: Vec<usize> = Vec::new();
    for id in ids {
        let wrong = || Refusal::invalid(&["body", "ids"], "Input should be a valid integer", "int_type");
        let id = id.as_i64().ok_or_else(wrong)?;
        if let Some(row) = usize::try_from(id).ok().filter(|row| *row < table.rows.len() && !rows.contains(row)) {
            rows.push(row);
        }
    }
    Ok(Reply::json(&numbered(&table, rows.into_iter())))
}

/// `GET /datasets/{id}/models`
pub(crate) fn models(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    let limit = call.query_number("limit", 200, 200)?.max(1);
    let world = sim.world();
    let dataset = find(&world, call)?;
    let trained = world.models.iter().rev().filter(|model| {
        model.generation == Generation::Ga && model.versions.iter().any(|version| version.dataset.id == dataset.id)
    });
    let (page, next) = refer::page(call, trained, |model| &model.id, limit)?;
    let shape = refer::shape(sim, call, false);
    let items: Vec<Value> = page.into_iter().map(|m| refer::model(&world, m, call.now, shape)).collect();
    Ok(Reply::json(&json!({"items": items, "next_cursor": next})))
}
