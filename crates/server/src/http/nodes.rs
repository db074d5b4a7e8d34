//! `GET /api/v1/batch/nodes`: who works on this store.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Operator;
use super::error::{ApiError, ErrorBody};
use super::wire;
use crate::store::NodeRow;

/// A node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeBody {
    /// Its name, as `owner` of the batches it runs.
    id: String,
    version: String,
    /// Where it listens.
    address: String,
    /// ISO 8601.
    started_at: String,
    /// Since its last sign of life; one comes every five seconds.
    seconds_since_seen: f64,
    /// False after twenty seconds without a sign of life. Its batches come back when their leases end.
    alive: bool,
    /// Whether it is shutting down.
    draining: bool,
}

/// Every node that works on the store, those that fell silent today too.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NodesAnswer {
    nodes: Vec<NodeBody>,
}

impl From<NodeRow> for NodeBody {
    fn from(node: NodeRow) -> Self {
        Self {
            alive: node.is_alive(),
            started_at: wire::iso(node.started_at),
            seconds_since_seen: node.silent_for.as_secs_f64(),
            id: node.id,
            version: node.version,
            address: node.address,
            draining: node.draining,
        }
    }
}

/// Lists the nodes on this store and says who is alive.
#[utoipa::path(
    get, path = "/api/v1/batch/nodes", operation_id = "listNodes", tag = "operation",
    responses(
        (status = 200, description = "The nodes", body = NodesAnswer),
        (status = 401, description = "No valid key", body = ErrorBody),
        (status = 403, description = "Role below admin, or a bound key", body = ErrorBody),
        (status = 503, description = "The store is away; see Retry-After", body = ErrorBody),
    )
)]
pub(super) async fn list(State(service): State<Shared>, _: Operator) -> Result<Response, ApiError> {
    let nodes = service.store.nodes().await?.into_iter().map(NodeBody::from).collect();
    Ok(wire::json(&NodesAnswer { nodes }))
}
