//! Every route, once: path, method and text stand at the handler, and the router and the document are made of the same list.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, get, on};
use utoipa::OpenApi;
use utoipa::openapi::PathItem;

use super::admin::{audit, keys, models, overrides, retention, thresholds, webhooks};
use super::dashboard::{client_script, events, files, login, play};
use super::health;
use super::openapi::{self, Document};
use super::queue::{batches, failed, nodes, outage, scheduler, stats, waiting};
use super::respond::error::{ApiError, Code};
use super::results::{campaigns, evaluation, list, overview, review, users, verdicts};
use super::sessions::{
    bulk, challenges, erasure, evidence, explanation, history, labels, many, matches, result, score, siteverify,
    telemetry,
};
use super::state::Shared;
use super::transport::gate::{self, Admission};
use super::woodwide::training;

/// Handlers under their routes, and what the document says of them.
#[derive(Default)]
struct Routes {
    router: Router<Shared>,
    document: utoipa::openapi::OpenApi,
}

impl Routes {
    fn add(
        mut self,
        documented: utoipa::openapi::OpenApi,
        handler: impl Fn(MethodFilter) -> MethodRouter<Shared>,
    ) -> Self {
        for (path, item) in &documented.paths.paths {
            for (_, filter) in methods(item) {
                self.router = self.router.route(path, handler(filter));
            }
        }
        self.document.merge(documented);
        self
    }
}

/// The methods that are documented of a path.
fn methods(item: &PathItem) -> impl Iterator<Item = (&'static str, MethodFilter)> {
    let all = [
        ("GET", MethodFilter::GET, item.get.is_some()),
        ("POST", MethodFilter::POST, item.post.is_some()),
        ("DELETE", MethodFilter::DELETE, item.delete.is_some()),
    ];
    all.into_iter().filter(|(.., there)| *there).map(|(name, filter, _)| (name, filter))
}

/// The routes of handlers with `#[utoipa::path]`.
macro_rules! routes {
    ($($($part:ident)::+),+ $(,)?) => {{
        let routes = Routes::default();
        $(let routes = {
            #[derive(OpenApi)]
            #[openapi(paths($($part)::+))]
            struct Documented;
            routes.add(Documented::openapi(), |method| on(method, $($part)::+))
        };)+
        routes
    }};
}

/// Every route but the dashboard's files, by who is let through to it.
fn routes() -> [(Admission, Routes); 5] {
    [
        (Admission::PROBE, routes![health::health, health::ready]),
        (Admission::METRICS, routes![health::metrics]),
        (
            // A login is where a key is exchanged for a cookie; siteverify's key may stand in its body.
            Admission::OPEN,
            routes![
                openapi::serve,
                login::read,
                login::begin,
                login::end,
                client_script::script,
                client_script::map,
                siteverify::verify,
            ],
        ),
        (Admission::KEY_OR_TOKEN, routes![score::submit]),
        (
            Admission::KEY,
            routes![
                events::listen,
                challenges::create,
                bulk::submit,
                result::read,
                list::list,
                overview::read,
                evaluation::read,
                batches::list,
                batches::read,
                batches::process,
                stats::stats,
                failed::list,
                waiting::list,
                failed::requeue,
                erasure::clear,
                nodes::list,
                outage::read,
                scheduler::start,
                scheduler::stop,
                scheduler::status,
                erasure::session,
                evidence::read,
                evidence::key,
                explanation::read,
                telemetry::read,
                matches::read,
                history::read,
                labels::put,
                labels::take_back,
                campaigns::list,
                campaigns::read,
                campaigns::label,
                campaigns::unlabel,
                labels::list,
                many::label,
                many::erase,
                review::list,
                verdicts::follow,
                webhooks::list,
                webhooks::create,
                webhooks::remove,
                webhooks::deliveries,
                webhooks::test,
                webhooks::redeliver,
                keys::list,
                keys::create,
                keys::revoke,
                overrides::list,
                overrides::create,
                overrides::remove,
                audit::list,
                retention::list,
                retention::set,
                retention::reset,
                retention::resume,
                thresholds::read,
                thresholds::apply,
                thresholds::reset,
                thresholds::simulate,
                erasure::user,
                users::read,
                models::list,
                models::train,
                models::roll_back,
                models::shadow,
                models::unshadow,
                models::backtest,
                models::promote,
                training::upload,
                training::start,
                training::read,
            ],
        ),
    ]
}

/// Every route, behind the gate.
pub(crate) fn router(service: &Shared) -> Router {
    let mut files = Router::new().route("/", get(files::page)).route("/dashboard/{*file}", get(files::file));
    if service.settings.play {
        files = files.route("/play", get(play::page)).route("/play/{*file}", get(play::file));
    }
    let (mut groups, mut document) = (vec![(Admission::OPEN, files)], utoipa::openapi::OpenApi::default());
    for (admission, routes) in routes() {
        for (path, item) in &routes.document.paths.paths {
            methods(item).for_each(|(method, _)| service.metrics.expect_route(path, method));
        }
        document.merge(routes.document);
        groups.push((admission, routes.router));
    }
    let document = Document::new(openapi::finish(document), &service.settings.base_path);
    guarded(groups, service).layer(Extension(document))
}

/// Groups of routes behind the gate, with our errors for what they don't match.
pub(crate) fn guarded(groups: impl IntoIterator<Item = (Admission, Router<Shared>)>, service: &Shared) -> Router {
    let gated = |admission: Admission, routes: Router<Shared>| {
        let gate = from_fn_with_state(Arc::clone(service), gate::gate);
        routes.method_not_allowed_fallback(method_not_allowed).layer(gate).layer(Extension(admission))
    };
    let unmatched = gated(Admission::OPEN, Router::new().fallback(unknown_route));
    let all = groups.into_iter().fold(unmatched, |all, (admission, routes)| all.merge(gated(admission, routes)));
    all.with_state(Arc::clone(service))
}

async fn unknown_route(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(Code::UnknownRoute, format!("there is no route {path}; /openapi.json lists them"))
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this route has other methods; the Allow header names them")
}

/// The document as indented JSON with a line end, the same on every call.
#[must_use]
pub fn document() -> String {
    let mut document = utoipa::openapi::OpenApi::default();
    for (_, routes) in routes() {
        document.merge(routes.document);
    }
    openapi::text(&openapi::finish(document))
}

/// Every documented operation: who is let through to it, its path and its method.
#[cfg(test)]
pub(crate) fn operations() -> Vec<(Admission, String, &'static str)> {
    let mut all = Vec::new();
    for (admission, routes) in routes() {
        for (path, item) in routes.document.paths.paths {
            all.extend(methods(&item).map(|(method, _)| (admission, path.clone(), method)));
        }
    }
    all.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_the_repository_is_the_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(file == document(), "openapi.json is stale; run: cargo run -- openapi > openapi.json");
    }
}
