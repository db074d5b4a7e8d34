//! The OpenAPI 3.1 document, made from the handlers' own types, and its route.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::LazyLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, Schema, Server};
use utoipa::{Modify, OpenApi};

use crate::domain::reason::Reason;
use crate::domain::result::{Decision, Source};

use super::{
    Shared, audit, batches, bulk, campaigns, challenges, client_script, erasure, events, explanation, health, history,
    keys, labels, login, matches, models, nodes, overrides, queue, result, results, retention, review, scheduler,
    score, siteverify, telemetry, thresholds, training, verdicts, webhooks, wire,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "PlayProof Batch",
        description = "Decides in batches whether a verification session's pointer telemetry is human or bot. Roles: \
                       submit (POST /api/v1/score, answered without scores, and POST /api/v1/challenges from a listed origin), ingest (submit, and read results), \
                       analyst (read everything about sessions, review and label them), admin \
                       (all), metrics (GET /metrics). Without keys only this machine may call."
    ),
    paths(
        score::submit, challenges::create, siteverify::verify, client_script::script, client_script::map, bulk::submit, result::read, explanation::read, telemetry::read, history::read, matches::read, labels::put, labels::take_back, labels::list, campaigns::list, campaigns::read, campaigns::label, campaigns::unlabel, review::list, verdicts::follow, webhooks::list, webhooks::create, webhooks::remove, webhooks::deliveries, webhooks::test, webhooks::redeliver, keys::list, keys::create, keys::revoke, overrides::list, overrides::create, overrides::remove, retention::list, retention::set, retention::reset, retention::resume, audit::list, thresholds::read, thresholds::simulate, thresholds::apply, thresholds::reset, results::list, batches::list, batches::read, batches::process,
        queue::stats, queue::dead, queue::requeue, nodes::list, scheduler::start, scheduler::stop, scheduler::status,
        erasure::session, erasure::user, erasure::clear, models::list, models::train, models::roll_back, models::shadow, models::unshadow, models::backtest, models::promote, events::listen, login::begin, login::read,
        login::end, training::upload,
        training::start, training::read, health::health, health::ready, health::metrics, document_route
    ),
    components(schemas(score::SubmitAnswer, siteverify::SiteverifyRefusal, bulk::SummaryLine)),
    modifiers(&Bearer, &Common),
    security(("bearer" = []))
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        api.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What every route of the API may answer before its handler is reached.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for (_, item) in api.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/")) {
            let operations = [&mut item.get, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().filter_map(Option::as_mut) {
                for parameter in operation.parameters.iter_mut().flatten() {
                    if let RefOr::T(parameter) = parameter
                        && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
                    {
                        schema.pattern = pattern(&parameter.name).or(schema.pattern.take());
                    }
                }
                let reasons =
                    [("400", "Malformed path, query or body"), ("429", "Over the rate limit; see Retry-After")];
                for (status, reason) in reasons {
                    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
                    let answer = ResponseBuilder::new().description(reason).content("application/json", body).build();
                    operation.responses.responses.entry(status.to_owned()).or_insert(answer.into());
                }
            }
        }
    }
}

/// The pattern of a parameter that means the same in every route.
fn pattern(name: &str) -> Option<String> {
    let codes = |codes: Vec<&str>| format!("^({})$", codes.join("|"));
    Some(match name {
        "sessionId" => SESSION_ID.to_owned(),
        "wait" => "^[0-9]{1,5}(ms|s|m)?$".to_owned(),
        "since" | "until" => TIME.to_owned(),
        "decision" => codes(Decision::ALL.map(Decision::name).to_vec()),
        "source" => codes(Source::ALL.map(Source::name).to_vec()),
        "reason" => codes(Reason::ALL.map(Reason::code).to_vec()),
        _ => return None,
    })
}

/// See [`crate::domain::id::SESSION_ID_RULE`].
pub(super) const SESSION_ID: &str = r"^(?!\.{1,2}$)[^\s/\x00-\x1f\x7f-\x9f]([^/\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{0,254}[^\s/\x00-\x1f\x7f-\x9f])?$";
/// Milliseconds, or the common forms of ISO 8601.
const TIME: &str = "^([0-9]{1,13}|[12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|\
                    02-(0[1-9]|1[0-9]|2[0-8]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?\
                    (Z|[+-](0[0-9]|1[0-4]):[0-5][0-9]))$";

/// Path and method of every documented operation.
pub(super) fn operations() -> Vec<(String, &'static str)> {
    let paths = Api::openapi().paths.paths;
    let of = |(path, item): (String, utoipa::openapi::PathItem)| {
        let methods = [("GET", item.get), ("POST", item.post), ("DELETE", item.delete)];
        let there = methods.into_iter().filter(|(_, operation)| operation.is_some());
        there.map(|(method, _)| (path.clone(), method)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(of).collect()
}

/// The document as indented JSON with a line end, the same on every call.
///
/// # Panics
/// Never: the document is a constant that serialises; a test holds it.
#[must_use]
pub fn document() -> String {
    #[expect(clippy::expect_used, reason = "a constant made of strings and maps with string keys serialises")]
    let mut text = Api::openapi().to_pretty_json().expect("the document serialises");
    text.push('\n');
    text
}

static DOCUMENT: LazyLock<String> = LazyLock::new(document);

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object))
)]
#[expect(dead_code, reason = "carries the route's text; `serve` answers")]
fn document_route() {}

pub(super) async fn serve(State(service): State<Shared>) -> Response {
    match service.settings.base_path.as_str() {
        "" => wire::bytes(StatusCode::OK, "application/json", DOCUMENT.as_str()),
        base => wire::bytes(StatusCode::OK, "application/json", document_at(base)),
    }
}

/// The document of a service whose routes start at `base`.
fn document_at(base: &str) -> String {
    let mut api = Api::openapi();
    api.servers = Some(vec![Server::new(base)]);
    api.to_pretty_json().unwrap_or_else(|_| DOCUMENT.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_bodies_have_one_name() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"));
        let mut names = std::collections::HashMap::new();
        for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            for part in text.split("ToSchema)]").skip(1) {
                let line = part.lines().find(|line| line.contains("struct ")).unwrap();
                let name = line.split_once("struct ").unwrap().1.split([' ', '<', '(', ';']).next().unwrap().to_owned();
                let earlier = names.insert(name.clone(), file.path());
                assert_eq!(earlier, None, "{name}: one would stand for both in the document");
            }
        }
        assert!(names.len() > 60, "the search finds them");
    }

    #[test]
    fn the_file_in_the_repository_is_the_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.json");
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(file == document(), "openapi.json is stale; run: cargo run -- openapi > openapi.json");
    }
}
