//! The beta generation: a dataset is uploaded and asked about by id; flags are all it answers.

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
    let name = &table.name;
    let body = Body::File { fields: vec![("name", name.clone())], name: format!("{name}.csv"), csv: table.csv.clone() };
    let request = Request { kind: Kind::Transfer, ..Request::post("/api/datasets".to_owned(), body) };
    let reply = transport.send(&request, deadline).await.and_then(|reply| reply.json());
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
    let body = Body::Form(vec![("coerce_schema".to_owned(), "true".to_owned())]);
    let path = format!("/api/models/anomaly/{model}/infer?dataset_id={dataset}");
    let request = Request { kind: Kind::Inference, repeatable: true, ..Request::post(path, body) };
    let reply = transport.send(&request, deadline).await?;
    answer::scores(&reply.bytes, rows)
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
