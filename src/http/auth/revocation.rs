//! What ends before its time: keys that are revoked, logins that somebody ends. Nodes learn of both from the store, so
//! that neither another node nor a restart brings them back, and streams that are under way look at it all the time.

use std::time::Duration;

use serde_json::json;

use crate::controls::ENDED_LOGIN;
use crate::http::auth::access::Access;
use crate::http::auth::login::{HOLDS, Login};
use crate::http::state::Service;
use crate::store::StoreResult;

/// How often a stream looks whether its caller may still have it.
pub(crate) const LOOK: Duration = Duration::from_millis(250);
/// Ended logins of one key told apart. Beyond it all logins of that key up to then are over.
const MOST_ENDED: usize = 256;
/// Entries past their time that one logout removes.
const REMOVED: usize = 32;

/// How long a login holds, in milliseconds.
fn holds_ms() -> i64 {
    i64::try_from(HOLDS.as_millis()).unwrap_or(i64::MAX)
}

/// What the store calls an ended login; without a number, all of a key up to a time.
fn name(access: &Access, login: Option<Login>) -> String {
    match login {
        Some(login) => format!("{}:{:032x}", access.actor, login.number),
        None => access.actor.to_string(),
    }
}

impl Service {
    /// Whether a login is over, by its time or because somebody ended it.
    pub(crate) fn is_over(&self, access: &Access, login: Login) -> bool {
        let held = self.controls.held();
        let ended_up_to = held.ended_logins.get(&name(access, None));
        login.end <= self.clock.now().wall
            || held.ended_logins.contains_key(&name(access, Some(login)))
            || ended_up_to.is_some_and(|until| login.begun().0 <= *until)
    }

    /// Ends a login on every node.
    pub(crate) async fn end_login(&self, access: &Access, login: Login) -> StoreResult<()> {
        self.operations.perform(&access.actor, "logout", "", json!({}), self.keep_ended(access, login)).await
    }

    async fn keep_ended(&self, access: &Access, login: Login) -> StoreResult<()> {
        let held = self.controls.held();
        let now = self.clock.now().wall;
        let own = format!("{}:", access.actor);
        let open = held.ended_logins.iter().filter(|(name, end)| name.starts_with(&own) && **end > now.0).count();
        if open >= MOST_ENDED {
            self.controls.set(ENDED_LOGIN, &name(access, None), Some(now.0.to_string())).await?;
        } else {
            self.controls.set(ENDED_LOGIN, &name(access, Some(login)), Some(login.end.0.to_string())).await?;
        }
        let held = self.controls.held();
        let is_past = |(name, at): &(&String, &i64)| match name.split_once(':') {
            Some((actor, _)) => {
                **at <= now.0
                    || held.ended_logins.get(actor).is_some_and(|until| **at <= until.saturating_add(holds_ms()))
            }
            // Whoever logged in before it is over by now.
            None => at.saturating_add(holds_ms()) <= now.0,
        };
        let past: Vec<&String> = held.ended_logins.iter().filter(is_past).map(|(name, _)| name).take(REMOVED).collect();
        for name in past {
            self.controls.set(ENDED_LOGIN, name, None).await?;
        }
        Ok(())
    }

    /// Whether the caller of a request that is under way may still have what it asked for.
    pub(crate) fn holds(&self, access: &Access) -> bool {
        let Some(key) = access.key else { return true };
        self.keys().hold(key) && access.login.is_none_or(|login| !self.is_over(access, login))
    }

    /// Returns once the caller's key or login is over.
    pub(crate) async fn revoked(&self, access: &Access) {
        while self.holds(access) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
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
        for _ in 0..MOST_ENDED + 3 {
            let login = log_in(&app).await;
            assert_eq!(log_out(&app, &login).await, 200);
            ended.push(login.0);
            app.clock.advance(Duration::from_millis(1));
        }
        assert!(app.service.controls.held().ended_logins.len() <= MOST_ENDED + 1);
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
