//! The OpenAPI 3.1 document: what holds for all routes, and its own route.

use axum::extract::Extension;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Schema, Server};
use utoipa::{Modify, OpenApi};

use super::respond::{error, raw, refusals};
use super::sessions::{bulk, score, siteverify};
use crate::domain::reason::Reason;
use crate::domain::result::{Decision, Source};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "PlayProof Batch",
        description = "Decides in batches whether a verification session's pointer telemetry is human or bot. Roles: \
                       submit (POST /api/v1/score, answered without scores, and POST /api/v1/challenges from a listed origin), ingest (submit, and read results), \
                       analyst (read everything about sessions, review and label them), admin \
                       (all), metrics (GET /metrics). Without keys only this machine may call."
    ),
    components(schemas(error::ErrorBody, score::SubmitAnswer, siteverify::SiteverifyRefusal, bulk::SummaryLine)),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
struct Api;

/// The document of `routes` with what holds for all of them.
pub(crate) fn finish(routes: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi().merge_from(routes);
    api.servers = Some(vec![Server::new("/")]);
    Common.modify(&mut api);
    api
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        api.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// What every route may answer before its handler is reached.
struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut api.paths.paths {
            let of_api = path.starts_with("/api/");
            let operations = [&mut item.get, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().filter_map(Option::as_mut) {
                for parameter in operation.parameters.iter_mut().flatten() {
                    if let RefOr::T(parameter) = parameter
                        && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
                    {
                        schema.pattern = pattern(&parameter.name).or(schema.pattern.take());
                    }
                }
                let reasons: &[_] = if of_api {
                    &[("400", "Malformed path, query or body"), ("429", "Over the rate limit; see Retry-After")]
                } else {
                    &[("400", "No Host header, several, or one that names no host")]
                };
                for &(status, reason) in reasons {
                    let answer = || refusals::response(reason).into();
                    operation.responses.responses.entry(status.to_owned()).or_insert_with(answer);
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
pub(crate) const SESSION_ID: &str = r"^(?!\.{1,2}$)[^\s/\x00-\x1f\x7f-\x9f]([^/\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{0,254}[^\s/\x00-\x1f\x7f-\x9f])?$";
/// Milliseconds, or the common forms of ISO 8601.
const TIME: &str = "^([0-9]{1,13}|[12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|\
                    02-(0[1-9]|1[0-9]|2[0-8]))T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?\
                    (Z|[+-](0[0-9]|1[0-4]):[0-5][0-9]))$";

/// The document as indented JSON with a line end, the same on every call.
///
/// # Panics
/// Never: the document is a constant that serialises; a test holds it.
pub(crate) fn text(api: &utoipa::openapi::OpenApi) -> String {
    #[expect(clippy::expect_used, reason = "a constant made of strings and maps with string keys serialises")]
    let mut text = api.to_pretty_json().expect("the document serialises");
    text.push('\n');
    text
}

/// The document that a node serves.
#[derive(Clone)]
pub(crate) struct Document(Bytes);

impl Document {
    /// The document of a service whose routes start at `base`.
    pub(crate) fn new(mut api: utoipa::openapi::OpenApi, base: &str) -> Self {
        if !base.is_empty() {
            api.servers = Some(vec![Server::new(base)]);
        }
        Self(text(&api).into())
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "operation", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object))
)]
pub(crate) async fn serve(Extension(Document(text)): Extension<Document>) -> Response {
    raw::bytes(StatusCode::OK, "application/json", text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_bodies_have_one_name() {
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http"))];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let mut names = std::collections::HashMap::new();
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for part in text.split("ToSchema)]").skip(1) {
                let of = |line: &'_ str| {
                    ["struct ", "enum "].into_iter().find_map(|kind| Some(line.split_once(kind)?.1.to_owned()))
                };
                let line = part.lines().find_map(of).unwrap();
                let name = line.split([' ', '<', '(', ';']).next().unwrap().to_owned();
                let earlier = names.insert(name.clone(), file.clone());
                assert_eq!(earlier, None, "{name}: one would stand for both in the document");
            }
        }
        assert!(names.len() > 60, "the search finds them");
    }
}
