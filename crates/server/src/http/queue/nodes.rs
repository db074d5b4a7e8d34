//! `GET /api/v1/batch/nodes`: who works on this store.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::caller::GlobalAdmin;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::refusals::StoreAway;
use crate::http::respond::shapes;
use crate::store::NodeRow;

/// A node.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeBody {
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
pub(crate) struct NodesAnswer {
    nodes: Vec<NodeBody>,
}

impl From<NodeRow> for NodeBody {
    fn from(node: NodeRow) -> Self {
        Self {
            alive: node.is_alive(),
            started_at: shapes::iso(node.started_at),
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
    responses((status = 200, description = "The nodes", body = NodesAnswer), GlobalAdmin, StoreAway)
)]
pub(crate) async fn list(GlobalAdmin { service, .. }: GlobalAdmin) -> Answer {
    let nodes = service.store.nodes().await?.into_iter().map(NodeBody::from).collect();
    Ok(answer::json(&NodesAnswer { nodes }))
}
