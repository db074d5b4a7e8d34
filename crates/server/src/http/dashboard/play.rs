//! The page on which a visitor plays the widget's game beside a bot: the files of `play/`, compiled in. It is there where
//! the settings say so, and a node with keys has none.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use rust_embed::RustEmbed;

use super::files;
use crate::http::extract::path::TextPath;
use crate::http::state::Shared;

#[derive(RustEmbed)]
#[folder = "../../play/"]
struct Files;

/// The page.
pub(crate) async fn page(State(_): State<Shared>, headers: HeaderMap) -> Response {
    files::answer::<Files>("index.html", &headers)
}

/// A file that it loads.
pub(crate) async fn file(State(_): State<Shared>, TextPath(name): TextPath, headers: HeaderMap) -> Response {
    files::answer::<Files>(&name, &headers)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestApp;

    #[tokio::test]
    async fn the_page_is_there_only_where_it_is_asked_for() {
        let app = TestApp::with(|choice| choice.http.play = true).await;
        let page = app.get("/play").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
        for name in page.text.split('"').filter(|name| name.starts_with("play/")) {
            assert_eq!(app.get(&format!("/{name}")).await.status, 200, "{name}");
        }
        assert_eq!(TestApp::start().await.get("/play").await.status, 404);
    }
}
