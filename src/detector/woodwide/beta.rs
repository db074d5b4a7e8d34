//! The beta generation: a dataset is uploaded and asked about by id; flags are all it answers.

use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::{self, Scores, id_of, items};
use super::failure::Failure;
use super::table::Table;
use super::transport::{Body, Kind, Request, Transport};

/// Which state of the model answers: it keeps its id when it is trained again.
pub(super) async fn resolve(transport: &Transport, model: &str, deadline: Instant) -> Result<String, Failure> {
    let reply = transport.send(&Request::get(format!("/api/models/{model}")), deadline).await?.json()?;
    match reply.get("training_status").and_then(Value::as_str) {
        Some("FAILED" | "ERROR") => {
            let why = reply.get("err_msg").and_then(Value::as_str).unwrap_or("no reason given");
            return Err(Failure::Missing(format!("the model {model} failed to train: {why}")));
        }
        Some("COMPLETE") | None => {}
        Some(status) => return Err(Failure::NotReady(format!("the model {model} is {status}"))),
    }
    let stamp = reply.get("updated_at").or_else(|| reply.get("created_at")).and_then(Value::as_str);
    Ok(stamp.unwrap_or("1").to_owned())
}

/// Uploads a table under its unique name and gives the dataset's id.
pub(super) async fn upload(transport: &Transport, table: &Table, deadline: Instant) -> Result<String, Failure> {
    put(transport, &table.name, false, table, deadline).await
}

/// Uploads a table under `name`, over what was there if `overwrite`.
pub(super) async fn put(
    transport: &Transport,
    name: &str,
    overwrite: bool,
    table: &Table,
    deadline: Instant,
) -> Result<String, Failure> {
    let mut fields = vec![("name", name.to_owned())];
    if overwrite {
        fields.push(("overwrite", "true".to_owned()));
    }
    let body = Body::File { fields, name: format!("{name}.csv"), csv: table.csv.clone() };
    let mut request = Request::post("/api/datasets".to_owned(), body);
    request.kind = Kind::Transfer;
    request.repeatable = overwrite;
    let reply = match transport.send(&request, deadline).await {
        Ok(reply) => reply.json(),
        Err(failure) => Err(failure),
    };
    match reply {
        Ok(reply) => {
            id_of(&reply, "dataset").ok_or_else(|| Failure::Protocol("the upload names no dataset".to_owned()))
        }
        // It may have arrived, or have been said in vain: the name is ours, so what bears it is.
        Err(
            failure @ (Failure::Away { ambiguous: true, .. }
            | Failure::NotReady(_)
            | Failure::Protocol(_)
            | Failure::Refused(_)
            | Failure::Conflict(_)),
        ) => {
            let found = datasets(transport, &format!("?name={name}"), deadline).await?;
            found.into_iter().find(|(_, found)| found == name).map(|(id, _)| id).ok_or(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Asks about an uploaded dataset; an empty answer is "not ready".
pub(super) async fn infer(
    transport: &Transport,
    model: &str,
    dataset: &str,
    rows: usize,
    deadline: Instant,
) -> Result<Scores, Failure> {
    let request = Request {
        method: Method::POST,
        path: format!("/api/models/anomaly/{model}/infer?dataset_id={dataset}"),
        body: Body::Form(vec![("coerce_schema".to_owned(), "true".to_owned())]),
        kind: Kind::Inference,
        repeatable: true,
        tries: 3,
    };
    let reply = transport.send(&request, deadline).await?;
    answer::scores(&reply.bytes, rows)
}

/// Removes a dataset; one that is gone already is no failure.
pub(super) async fn delete(transport: &Transport, id: &str, deadline: Instant) -> Result<(), Failure> {
    let request = Request { method: Method::DELETE, ..Request::get(format!("/api/datasets/{id}")) };
    match transport.send(&request, deadline).await {
        Ok(_) | Err(Failure::Missing(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Ids and names of the account's datasets; `filter` is a query or empty.
pub(super) async fn datasets(
    transport: &Transport,
    filter: &str,
    deadline: Instant,
) -> Result<Vec<(String, String)>, Failure> {
    let list = transport.send(&Request::get(format!("/api/datasets{filter}")), deadline).await?.json()?;
    let named = items(&list).iter().filter_map(|dataset| {
        Some((id_of(dataset, "dataset")?, dataset.get("name").and_then(Value::as_str)?.to_owned()))
    });
    Ok(named.collect())
}
