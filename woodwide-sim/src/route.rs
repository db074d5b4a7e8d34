//! The API in one table: every route with its name, by which faults and the request log speak of it, and its handler.

use axum::http::Method;

use crate::http::call::{Call, Refusal, Reply};
use crate::http::{beta, datasets, infer, jobs, keys, models, objects, organization, results, uploads};
use crate::simulator::Sim;

/// The two families of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// The current service.
    Ga,
    /// The service before it, under `/api`.
    Beta,
}

/// What a handler is.
pub(crate) type Handler = fn(&Sim, &Call) -> Result<Reply, Refusal>;

/// A route of the API.
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: Handler,
    /// The groups it is in, beside those that follow from its path.
    groups: &'static [&'static str],
}

impl Route {
    pub(crate) fn generation(&self) -> Generation {
        if self.path.starts_with("/api/") || self.path == "/auth/me" { Generation::Beta } else { Generation::Ga }
    }

    /// Whether it asks for no key.
    pub(crate) fn is_open(&self) -> bool {
        self.is_in("signed") || self.name == "health"
    }

    /// Whether it is in a group, or is called that.
    pub(crate) fn is_in(&self, name: &str) -> bool {
        match name {
            "any" => true,
            "ga" => self.generation() == Generation::Ga,
            "beta" => self.generation() == Generation::Beta,
            "authorized" => !self.is_open(),
            _ => self.name == name || self.groups.contains(&name),
        }
    }
}

/// The groups that a fault can name.
pub(crate) const GROUPS: [&str; 8] = ["any", "ga", "beta", "authorized", "charged", "inference", "jobs", "signed"];

/// The names of all routes and groups.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.name).chain(GROUPS)
}

#[cfg(test)]
pub(crate) fn by_name(name: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.name == name)
}

/// Some of the routes.
#[derive(Debug, Clone)]
pub(crate) struct RouteSet(Vec<&'static str>);

impl RouteSet {
    /// The routes and groups in a list with commas; the error is the first name that is unknown.
    pub(crate) fn parse(list: &str) -> Result<Self, String> {
        let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
        if let Some(unknown) = wanted.iter().find(|name| !names().any(|known| known == **name)) {
            return Err((*unknown).to_owned());
        }
        let named = ROUTES.iter().filter(|route| wanted.iter().any(|name| route.is_in(name)));
        Ok(Self(named.map(|route| route.name).collect()))
    }

    /// The routes that are in both.
    pub(crate) fn within(&self, other: &Self) -> Self {
        Self(self.0.iter().copied().filter(|name| other.0.contains(name)).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn holds(&self, route: &Route) -> bool {
        self.0.contains(&route.name)
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.0
    }
}

const fn route(
    name: &'static str,
    method: Method,
    path: &'static str,
    handler: Handler,
    groups: &'static [&'static str],
) -> Route {
    Route { name, method, path, handler, groups }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Every route.
pub(crate) static ROUTES: &[Route] = &[
    route("create-dataset", POST, "/datasets", uploads::create, &["jobs"]),
    route("prepare-upload", POST, "/datasets/upload", uploads::prepare, &[]),
    route("complete-upload", POST, "/datasets/{id}/complete", uploads::complete, &["jobs"]),
    route("list-datasets", GET, "/datasets", datasets::list, &[]),
    route("get-dataset", GET, "/datasets/{id}", datasets::get, &[]),
    route("update-dataset", PATCH, "/datasets/{id}", datasets::update, &[]),
    route("delete-dataset", DELETE, "/datasets/{id}", datasets::delete, &[]),
    route("list-versions", GET, "/datasets/{id}/versions", datasets::versions, &[]),
    route("get-version", GET, "/datasets/{id}/versions/{version_id}", datasets::version, &[]),
    route("preview", GET, "/datasets/{id}/preview", datasets::preview, &[]),
    route("lookup-rows", POST, "/datasets/{id}/rows:lookup", datasets::lookup, &[]),
    route("dataset-models", GET, "/datasets/{id}/models", datasets::models, &[]),
    route("train", POST, "/models/train", models::train, &["jobs", "charged"]),
    route("retrain-model", POST, "/models/{id}/retrain", models::retrain, &["jobs", "charged"]),
    route("list-models", GET, "/models", models::list, &[]),
    route("get-model", GET, "/models/{id}", models::get, &[]),
    route("update-model", PATCH, "/models/{id}", models::update, &[]),
    route("delete-model", DELETE, "/models/{id}", models::delete, &[]),
    route("list-model-versions", GET, "/models/{id}/versions", models::versions, &[]),
    route("get-model-version", GET, "/models/{id}/versions/{version_id}", models::version, &[]),
    route("infer", POST, "/models/{id}/infer", infer::now, &["charged", "inference"]),
    route("infer-async", POST, "/models/{id}/infer-async", infer::later, &["jobs", "charged", "inference"]),
    route("infer-batch", POST, "/models/{id}/infer-batch", infer::batch, &["jobs", "charged", "inference"]),
    route("list-jobs", GET, "/jobs", jobs::list, &[]),
    route("dashboard-activity", GET, "/jobs/dashboard-activity", jobs::activity, &[]),
    route("get-job", GET, "/jobs/{id}", jobs::get, &[]),
    route("cancel-job", POST, "/jobs/{id}/cancel", jobs::cancel, &[]),
    route("retry-job", POST, "/jobs/{id}/retry", jobs::retry, &["jobs"]),
    route("results", GET, "/jobs/{id}/results", results::get, &[]),
    route("result-rows", GET, "/jobs/{id}/results/rows", results::rows, &[]),
    route("explain", POST, "/jobs/{id}/explain", results::explain, &["jobs"]),
    route("list-keys", GET, "/api-keys", keys::list, &[]),
    route("create-key", POST, "/api-keys", keys::create, &[]),
    route("get-key", GET, "/api-keys/{id}", keys::get, &[]),
    route("update-key", PATCH, "/api-keys/{id}", keys::update, &[]),
    route("delete-key", DELETE, "/api-keys/{id}", keys::delete, &[]),
    route("revoke-key", POST, "/api-keys/{id}/revoke", keys::revoke, &[]),
    route("rotate-key", POST, "/api-keys/{id}/rotate", keys::rotate, &[]),
    route("get-org", GET, "/orgs/{id}", organization::get, &[]),
    route("feedback", POST, "/feedback", organization::feedback, &[]),
    route("health", GET, "/health", organization::health, &[]),
    route("put-object", PUT, "/storage/{object}", objects::put, &["signed"]),
    route("get-object", GET, "/storage/{object}", objects::get, &["signed"]),
    route("beta-me", GET, "/auth/me", beta::me, &[]),
    route("beta-upload", POST, "/api/datasets", beta::upload, &["jobs"]),
    route("beta-list-datasets", GET, "/api/datasets", beta::list_datasets, &[]),
    route("beta-get-dataset", GET, "/api/datasets/{id}", beta::get_dataset, &[]),
    route("beta-delete-dataset", DELETE, "/api/datasets/{id}", beta::delete_dataset, &[]),
    route("beta-list-models", GET, "/api/models", beta::list_models, &[]),
    route("beta-get-model", GET, "/api/models/{id}", beta::get_model, &[]),
    route("beta-train", POST, "/api/models/anomaly/train", beta::train, &["jobs", "charged"]),
    route("beta-infer", POST, "/api/models/anomaly/{id}/infer", beta::infer, &["charged", "inference"]),
];
