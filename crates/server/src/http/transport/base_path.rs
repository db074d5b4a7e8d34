//! The prefix under which a proxy shows this service: taken off every request's path before routes are looked at, so
//! that routes, metrics and documents know nothing of it.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Where a request's path stands to the prefix; put into every request by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Under it; the path is what follows.
    Inside,
    /// It is the prefix without the slash at its end; relative links of the dashboard would lead astray.
    Bare,
    /// Somewhere else; there is no route.
    Outside,
}

/// Takes `prefix` off the path of `uri`.
pub(crate) fn strip(prefix: &str, uri: &mut Uri) -> Place {
    if prefix.is_empty() {
        return Place::Inside;
    }
    let Some(rest) = uri.path().strip_prefix(prefix) else { return Place::Outside };
    if rest.is_empty() {
        return Place::Bare;
    }
    if !rest.starts_with('/') {
        return Place::Outside;
    }
    let rest = uri.query().map_or_else(|| rest.to_owned(), |query| format!("{rest}?{query}"));
    let Ok(path_and_query) = rest.parse::<PathAndQuery>() else { return Place::Outside };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(path_and_query);
    match Uri::from_parts(parts) {
        Ok(stripped) => {
            *uri = stripped;
            Place::Inside
        }
        Err(_) => Place::Outside,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::testing::{TestApp, send, session};

    #[test]
    fn only_whole_parts_of_a_path_are_the_prefix() {
        let of = |path: &str| {
            let mut uri: Uri = path.parse().unwrap();
            (strip("/pp", &mut uri), uri.to_string())
        };
        assert_eq!(of("/pp/health?a=/pp/b"), (Place::Inside, "/health?a=/pp/b".to_owned()));
        assert_eq!(of("/pp/pp/x"), (Place::Inside, "/pp/x".to_owned()));
        assert_eq!(of("/pp").0, Place::Bare);
        for outside in ["/", "/ppx/health", "/health", "/p", "/PP/health"] {
            assert_eq!(of(outside).0, Place::Outside, "{outside}");
        }
        assert_eq!(of("http://host/pp/health"), (Place::Inside, "http://host/health".to_owned()));
    }

    #[tokio::test]
    async fn every_route_and_the_dashboard_are_under_the_prefix_and_nothing_beside_it() {
        let app = TestApp::with(|choice| {
            crate::http::testing::add_keys(&mut choice.http);
            choice.http.base_path = "/play/proof".to_owned();
        })
        .await;
        assert_eq!(app.get("/play/proof/health").await.status, 200);
        assert_eq!(app.post_as("ingest", "/play/proof/api/v1/score", &session("a")).await.status, 200);
        assert_eq!(app.get_as("ingest", "/play/proof/api/v1/batch/result/a?wait=0").await.status, 200);
        for beside in ["/health", "/metrics", "/", "/api/v1/batch/result/a", "/play/proofs/health"] {
            app.get_as("admin", beside).await.is_error(404, "unknown_route");
        }
        let page = app.get("/play/proof/").await;
        for part in page.text.split('"').filter(|part| part.starts_with("dashboard/")) {
            assert_eq!(app.get(&format!("/play/proof/{part}")).await.status, 200, "{part}");
        }
        let login = app.post("/play/proof/api/v1/session", &json!({"key": "admin"})).await;
        let cookie = login.header("set-cookie").unwrap();
        assert!(cookie.contains("; Path=/play/proof;"), "other parts of the site do not get it: {cookie}");
        let document = app.get("/play/proof/openapi.json").await.json();
        assert_eq!(document["servers"], json!([{"url": "/play/proof"}]));
        let metrics = app.get_as("metrics", "/play/proof/metrics").await.text;
        assert!(metrics.contains("route=\"/api/v1/score\"") && !metrics.contains("/play/proof"));
        let bare = send(app.request("GET", "/play/proof")).await;
        assert_eq!(bare.status, 200, "the client was led to the page: {}", bare.text);
        assert!(bare.text.starts_with("<!doctype html>"));
    }
}
