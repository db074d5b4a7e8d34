//! `GET /client.js`: the browser client as one script, compiled in, so that a page gets the one that fits its node.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use crate::domain::hex;
use crate::http::respond::raw;

static SCRIPT: File = File {
    bytes: include_bytes!("../../../../../clients/typescript/script/client.js"),
    kind: "text/javascript; charset=utf-8",
    tag: LazyLock::new(|| tag(SCRIPT.bytes)),
};
static MAP: File = File {
    bytes: include_bytes!("../../../../../clients/typescript/script/client.js.map"),
    kind: "application/json",
    tag: LazyLock::new(|| tag(MAP.bytes)),
};

/// Of an address that names no version: a page sees a new one after an hour at the latest.
const SHORTLY: &str = "public, max-age=3600";
/// Of an address that names this very version: it never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

struct File {
    bytes: &'static [u8],
    kind: &'static str,
    /// Hexadecimal digits that tell this version from every other.
    tag: LazyLock<String>,
}

fn tag(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..12])
}

/// The browser client as one script.
///
/// `?v=` with the digits of its `ETag` makes it cacheable for ever.
#[utoipa::path(
    get, path = "/client.js", operation_id = "clientScript", tag = "challenges", security(()),
    responses(
        (status = 200, description = "The script", content_type = "text/javascript", body = String),
        (status = 304, description = "As the caller has it"),
    )
)]
pub(crate) async fn script(uri: Uri, headers: HeaderMap) -> Response {
    answer(&SCRIPT, &uri, &headers)
}

/// Its source map.
#[utoipa::path(
    get, path = "/client.js.map", operation_id = "clientScriptMap", tag = "challenges", security(()),
    responses(
        (status = 200, description = "The map", content_type = "application/json", body = Object),
        (status = 304, description = "As the caller has it"),
    )
)]
pub(crate) async fn map(uri: Uri, headers: HeaderMap) -> Response {
    answer(&MAP, &uri, &headers)
}

fn answer(file: &File, uri: &Uri, asked: &HeaderMap) -> Response {
    let mut response = raw::tagged(&file.tag, asked, file.kind, file.bytes);
    let named = uri.query().is_some_and(|query| query.split('&').any(|one| one.strip_prefix("v=") == Some(&file.tag)));
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, if named { FOR_EVER } else { SHORTLY }),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, send};

    #[tokio::test]
    async fn the_script_is_open_to_every_page_and_asked_for_once() {
        let app = TestApp::with_keys().await;
        for (path, kind) in [("/client.js", "text/javascript; charset=utf-8"), ("/client.js.map", "application/json")] {
            let first = app.get(path).await;
            assert_eq!((first.status, first.header("content-type")), (200, Some(kind)));
            assert_eq!(first.header("access-control-allow-origin"), Some("*"));
            assert_eq!(first.header("cache-control"), Some(SHORTLY));
            let tag = first.header("etag").unwrap().to_owned();
            let again = send(app.request("GET", path).header("if-none-match", &tag)).await;
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
            let versioned = app.get(&format!("{path}?v={}", tag.trim_matches('"'))).await;
            assert_eq!((versioned.status, versioned.header("cache-control")), (200, Some(FOR_EVER)));
            assert_eq!(app.get(&format!("{path}?v=older")).await.header("cache-control"), Some(SHORTLY));
        }
        assert!(app.get("/client.js").await.text.contains("playproof-check"));
    }
}
