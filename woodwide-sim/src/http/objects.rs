//! The object store behind signed addresses. It asks for no key, and checks nothing but the signature, the time and,
//! for an upload, what was promised.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::call::{Call, Refusal, Reply};
use super::infer::about;
use super::uploads::full;
use crate::fault::Fault;
use crate::job::{Job, Output, Reference, Scored};
use crate::output::{self, Values};
use crate::simulator::Sim;
use crate::table::{Table, number, write_csv};
use crate::tamper::{Cell, Row, rows};

/// Checks the signature of an address, and lets the faults of signed addresses strike.
fn check(sim: &Sim, call: &Call, method: &str) -> Result<(), Refusal> {
    let refused = || Refusal::new(403, "SignatureDoesNotMatch");
    let expires: i64 = call.query("expires").and_then(|text| text.parse().ok()).ok_or_else(refused)?;
    let signature = call.query("signature").ok_or_else(refused)?;
    if !sim.signer.holds(method, call.param("object"), expires, signature) {
        return Err(refused());
    }
    let expired = call.fault(|fault| (*fault == Fault::UrlExpired).then_some(())).is_some();
    if expired || expires <= call.now {
        return Err(Refusal::new(403, "ExpiredToken: the address has expired"));
    }
    if call.fault(|fault| (*fault == Fault::Url403Once).then_some(())).is_some() {
        let mut world = sim.world();
        if world.used_addresses.len() > 100_000 {
            world.used_addresses.clear();
        }
        if world.used_addresses.insert(call.path.clone()) {
            return Err(Refusal::new(403, "AccessDenied"));
        }
    }
    Ok(())
}

/// `PUT /storage/{object}`
pub(crate) fn put(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    check(sim, call, "PUT")?;
    let mut world = sim.world();
    if !world.make_room(call.body.len(), sim.settings.memory) {
        return Err(full());
    }
    let version = world.dataset_version_mut(call.param("object")).ok_or_else(|| Refusal::not_found("Object"))?;
    let declared = call.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Some((content_type, length)) = &version.promised {
        if declared != content_type {
            return Err(Refusal::new(403, &format!("SignatureDoesNotMatch: the content type is {content_type}")));
        }
        if u64::try_from(call.body.len()) != Ok(*length) {
            return Err(Refusal::new(400, &format!("IncompleteBody: {} of {length} bytes", call.body.len())));
        }
    }
    version.content = Some(call.body.clone());
    Ok(Reply { content_type: None, ..Reply::bytes("", Bytes::new()) })
}

/// `GET /storage/{object}`
pub(crate) fn get(sim: &Sim, call: &Call) -> Result<Reply, Refusal> {
    check(sim, call, "GET")?;
    let missing = || Refusal::not_found("Object");
    let redirected = call.fault(|fault| (*fault == Fault::UrlRedirect).then_some(())).is_some();
    if redirected && call.query("hop").is_none() {
        let query: Vec<String> = call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut reply = Reply::json(&serde_json::Value::Null).status(StatusCode::FOUND);
        reply.headers.push(("location", format!("{}?{}&hop=1", call.path, query.join("&"))));
        return Ok(reply);
    }
    let (id, rest) = call.param("object").split_once('-').ok_or_else(missing)?;
    let job: Job = sim.world().job(id).cloned().ok_or_else(missing)?;
    let (scored, model) = job.scored.zip(job.model).ok_or_else(missing)?;
    let count = scored.verdicts.len();
    let content = if rest.starts_with("combined") {
        combined(&scored, &model).map_err(|why| Refusal::new(500, &why))?
    } else {
        output::file(&scored, &about(&model))
    };
    Ok(Reply::bytes(scored.output.content_type(), content).rows(count))
}

/// The input's columns with those of the result.
fn combined(scored: &Scored, model: &Reference) -> Result<Vec<u8>, String> {
    let table = Table::read(&scored.input)?;
    let rows = rows(scored);
    let place = |row: &Row| if let Cell::Count(at) = row.id { at } else { usize::MAX };
    let mut columns: Vec<(String, Values)> = table
        .headers
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let cells = rows.iter().map(|row| table.cell(place(row), Some(at)));
            let values = if table.is_numeric(at) {
                Values::Real(cells.map(number).collect())
            } else {
                Values::Text(cells.map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty())).collect())
            };
            (name.clone(), values)
        })
        .collect();
    let mut found = output::columns(&rows, true);
    let ids = found.remove(0);
    columns.insert(0, ids);
    columns.extend(found);
    if scored.output == Output::Parquet {
        return output::parquet(&columns, &about(model)).map_err(|e| e.to_string());
    }
    let headers: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let cell = |values: &Values, row: usize| match values {
        Values::Count(values) => values[row].map(|value| value.to_string()),
        Values::Real(values) => values[row].map(|value| value.to_string()),
        Values::Flag(values) => values[row].map(|value| value.to_string()),
        Values::Text(values) => values[row].clone(),
    };
    let line = |row: usize| columns.iter().map(|(_, values)| cell(values, row).unwrap_or_default()).collect();
    let csv = write_csv(&headers, (0..rows.len()).map(line));
    if scored.output == Output::Csv {
        return Ok(csv);
    }
    let objects = Table::read(&Bytes::from(csv))?;
    let by_column: serde_json::Map<String, serde_json::Value> = objects
        .headers
        .iter()
        .map(|name| (name.clone(), (0..objects.rows.len()).map(|row| objects.object(row)[name].clone()).collect()))
        .collect();
    Ok(serde_json::Value::Object(by_column).to_string().into_bytes())
}
