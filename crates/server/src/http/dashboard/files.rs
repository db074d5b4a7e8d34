//! The dashboard: the files of `dashboard/`, compiled in. They hold no data; what they show they ask the API for.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::domain::hex;
use crate::http::extract::path::TextPath;
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::raw;
use crate::http::state::Shared;

/// The page, and what it loads. A debug build reads the folder, a release build holds it.
#[derive(RustEmbed)]
#[folder = "../../dashboard/"]
struct Files;

/// Nothing but files of this service: no script or style in the page, no frame around it, no form sent by the browser.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Asked again each time, and answered by the tag: a new version shows at once.
    (header::CACHE_CONTROL, "no-cache"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The page.
pub(crate) async fn page(State(_): State<Shared>, headers: HeaderMap) -> Response {
    answer::<Files>("index.html", &headers)
}

/// A file that it loads.
pub(crate) async fn file(State(_): State<Shared>, TextPath(name): TextPath, headers: HeaderMap) -> Response {
    answer::<Files>(&name, &headers)
}

/// Answers with a file of `F`.
pub(super) fn answer<F: RustEmbed>(name: &str, asked: &HeaderMap) -> Response {
    let (Some(kind), Some(file)) = (kind(name), F::get(name)) else {
        return ApiError::new(Code::UnknownRoute, "there is no such file; the dashboard begins at /").into_response();
    };
    let mut response = raw::tagged(&tag(&file), asked, kind, file.data.into_owned());
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The media type by the name's end; files of other kinds, such as licences, are not served.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

fn tag(file: &EmbeddedFile) -> String {
    let digest = file.metadata.sha256_hash();
    hex::encode(&digest[..12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, send};

    #[tokio::test]
    async fn the_page_is_open_strict_and_asked_for_once() {
        let app = TestApp::with_keys().await;
        let page = app.get("/").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let tag = page.header("etag").unwrap().to_owned();
        let again = send(app.request("GET", "/").header("if-none-match", &tag)).await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
        for missing in ["/dashboard/none.js", "/dashboard/../Cargo.toml", "/dashboard/vendor/uplot/LICENSE"] {
            assert_eq!(app.get(missing).await.status, 404, "{missing}");
        }
        send(app.request("GET", "/dashboard/..%2fCargo.js")).await.is_error(404, "unknown_route");
    }

    /// The policy forbids them; the browser would leave them out and only say so in its console.
    #[test]
    fn the_page_holds_no_script_no_style_and_nothing_from_elsewhere() {
        let page = String::from_utf8(Files::get("index.html").unwrap().data.into_owned()).unwrap();
        for tag in page.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link")) {
            assert!(tag.contains("=\"dashboard/"), "{tag}");
        }
        for forbidden in ["<style", " style=", " onclick=", "http://", "https://"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        for name in Files::iter().filter(|name| name.ends_with(".js") && !name.starts_with("vendor/")) {
            let text = String::from_utf8(Files::get(&name).unwrap().data.into_owned()).unwrap();
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!text.contains(forbidden), "{name} has {forbidden}; text of clients goes through textContent");
            }
        }
    }
}
