//! What ends before its time: keys that are revoked, logins that somebody ends. Nodes learn of both from the store, so
//! that neither another node nor a restart brings them back, and streams that are under way look at it all the time.

use std::time::Duration;

use crate::access::login::Login;
use crate::access::rights::Access;
use crate::http::state::Service;
use crate::operations::logins::KeyLogin;

/// How often a stream looks whether its caller may still have it.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A login as operations know it.
pub(crate) fn login_of(access: &Access, login: Login) -> KeyLogin<'_> {
    KeyLogin { actor: &access.actor, number: login.number, begun: login.begun(), end: login.end }
}

impl Service {
    /// Whether the caller of a request that is under way may still have what it asked for.
    pub(crate) fn holds(&self, access: &Access) -> bool {
        let Some(key) = access.key else { return true };
        self.keys().hold(key)
            && access.login.is_none_or(|login| !self.operations.is_login_over(login_of(access, login)))
    }

    /// Returns once the caller's key or login is over.
    pub(crate) async fn revoked(&self, access: &Access) {
        while self.holds(access) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::operations::logins::MAX_ENDED;
    use serde_json::json;
    use std::time::Instant;

    use futures_util::StreamExt as _;
    use serde_json::Value;

    use super::*;
    use crate::http::testing::{TestApp, add_keys, send, session};

    /// A stream ends within so long.
    const SOON: Duration = Duration::from_secs(2);

    async fn made(app: &TestApp, role: &str) -> (String, String) {
        let made = app.post_as("admin", "/api/v1/keys", &json!({ "role": role })).await.json();
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        (text("key"), format!("/api/v1/keys/{}", text("id")))
    }

    async fn log_in(app: &TestApp) -> (String, String) {
        let reply = app.post("/api/v1/session", &json!({"key": "admin"})).await;
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (cookie, reply.json()["csrfToken"].as_str().unwrap().to_owned())
    }

    async fn log_out(app: &TestApp, (cookie, token): &(String, String)) -> u16 {
        let request = app.request("DELETE", "/api/v1/session").header("cookie", cookie);
        send(request.header("x-csrf-token", token)).await.status
    }

    async fn read_to_its_end(answer: reqwest::Response) -> String {
        tokio::time::timeout(SOON, answer.text()).await.expect("it goes on").unwrap_or_default()
    }

    #[tokio::test]
    async fn streams_end_soon_after_their_key_is_revoked() {
        let app = TestApp::with_keys().await;
        let (reader, reader_path) = made(&app, "analyst").await;
        let (sender, sender_path) = made(&app, "ingest").await;
        let follow = || app.request("GET", "/api/v1/verdicts").bearer_auth(&reader).send();
        let followed = follow().await.unwrap();
        assert_eq!(followed.status(), 200);
        let line = format!("{}\n", session("a"));
        // One line, and then nothing more for ever.
        let body =
            futures_util::stream::once(async { Ok::<_, std::io::Error>(line) }).chain(futures_util::stream::pending());
        let upload = app
            .request("POST", "/api/v1/batch/sessions")
            .bearer_auth(&sender)
            .header("content-type", "application/x-ndjson")
            .body(reqwest::Body::wrap_stream(body));
        let mut uploaded = upload.send().await.unwrap();
        let first = uploaded.chunk().await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&first).unwrap()["outcome"], "accepted");
        for path in [reader_path, sender_path] {
            assert_eq!(send(app.request("DELETE", &path).bearer_auth("admin")).await.status, 200);
        }
        let revoked = Instant::now();
        let rest = read_to_its_end(uploaded).await;
        let lines: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["code"], &lines[1]["summary"]["accepted"]),
            (&json!("unauthorized"), &json!(1)),
            "{rest}"
        );
        read_to_its_end(followed).await;
        assert!(revoked.elapsed() < SOON);
        assert_eq!(follow().await.unwrap().status(), 401);
    }

    #[tokio::test]
    async fn a_logout_ends_what_the_dashboard_listens_to() {
        let app = TestApp::with_keys().await;
        let (login, other) = (log_in(&app).await, log_in(&app).await);
        let listen = |cookie: &str| app.request("GET", "/api/v1/events").header("cookie", cookie).send();
        let (heard, stays) = (listen(&login.0).await.unwrap(), listen(&other.0).await.unwrap());
        assert_eq!((heard.status().as_u16(), stays.status().as_u16()), (200, 200));
        assert_eq!(log_out(&app, &login).await, 200);
        read_to_its_end(heard).await;
        assert_eq!(listen(&login.0).await.unwrap().status(), 401);
        assert_eq!(listen(&other.0).await.unwrap().status(), 200, "another login of the same key goes on");
    }

    #[tokio::test]
    async fn no_number_of_logouts_brings_a_cookie_back() {
        let app = TestApp::with(|choice| {
            add_keys(&mut choice.http);
            choice.http.rate_limit_login = None;
        })
        .await;
        let mut ended = Vec::new();
        for _ in 0..MAX_ENDED + 3 {
            let login = log_in(&app).await;
            assert_eq!(log_out(&app, &login).await, 200);
            ended.push(login.0);
            app.clock.advance(Duration::from_millis(1));
        }
        assert!(app.service.controls.current().ended_logins.len() <= MAX_ENDED + 1);
        for cookie in &ended {
            let reply = send(app.request("GET", "/api/v1/batch/stats").header("cookie", cookie)).await;
            assert_ne!(reply.status, 200, "{}", reply.text);
        }
        app.clock.advance(Duration::from_secs(1));
        let login = log_in(&app).await;
        let stats = send(app.request("GET", "/api/v1/batch/stats").header("cookie", &login.0)).await;
        assert_eq!(stats.status, 200, "{}", stats.text);
    }
}
