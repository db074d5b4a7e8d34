//! `/api/v1/session`: a key is exchanged for a cookie, so that a page may ask what the key may without keeping the key.
//!
//! See [`crate::access::login`] for what the cookie holds.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::access::address::ClientAddress;
use crate::access::login::{HOLDS, Login};
use crate::access::rights::Access;
use crate::http::auth::bearer::{self, COOKIE};
use crate::http::auth::proof::{Proven, proven};
use crate::http::auth::revocation::login_of;
use crate::http::extract::body;
use crate::http::respond::answer::{self, Answer};
use crate::http::respond::error::{ApiError, Code};
use crate::http::respond::refusals::{BodyRefused, LoginRefused, LogoutRefused, Malformed, StoreAway, WrongKeys};
use crate::http::respond::shapes;
use crate::http::state::{Service, Shared};
use crate::metrics::Login as Outcome;

/// A key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LoginRequest {
    /// One with the role admin or analyst.
    key: String,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginAnswer {
    /// Whether the service has keys; without, everybody on this machine may do everything.
    keys_required: bool,
    /// The caller's role; `null` without a valid key or login.
    #[schema(example = "admin")]
    role: Option<&'static str>,
    /// The only deployment that the caller may see; `null` for all.
    deployment_id: Option<String>,
    /// To be sent as `X-CSRF-Token` with what changes something; `null` without a login.
    csrf_token: Option<String>,
    /// When the login ends; ISO 8601, UTC; `null` without a login.
    expires_at: Option<String>,
    /// The service's version.
    version: &'static str,
}

impl LoginAnswer {
    fn new(service: &Service, access: Option<&Access>) -> Self {
        Self {
            keys_required: !service.settings.keys.is_empty(),
            role: access.map(|access| access.role.name()),
            deployment_id: access.and_then(|access| access.deployment.as_deref().map(str::to_owned)),
            csrf_token: None,
            expires_at: None,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn of(service: &Service, access: &Access, login: Login, digest: &[u8; 32]) -> Self {
        let (csrf_token, expires_at) = (login.token(digest), Some(shapes::iso(login.end)));
        Self { csrf_token, expires_at, ..Self::new(service, Some(access)) }
    }
}

/// Says who asks: whether keys are needed, and what the cookie or key sent may do.
#[utoipa::path(
    get, path = "/api/v1/session", operation_id = "readLogin", tag = "login", security(()),
    responses((status = 200, description = "Who asks", body = LoginAnswer), WrongKeys)
)]
pub(crate) async fn read(
    State(service): State<Shared>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
) -> Answer {
    let required = !service.settings.keys.is_empty();
    if required
        && !headers.contains_key(header::AUTHORIZATION)
        && let Some(Proven { login, digest, access }) = proven(&service, &headers)
    {
        return Ok(fresh(answer::json(&LoginAnswer::of(&service, &access, login, &digest))));
    }
    let access = match service.attempts.judge(&headers, client, bearer::access(&service.keys(), &headers, required)) {
        Err(slowed) if slowed.code == Code::RateLimited => return Err(slowed),
        found => found.ok(),
    };
    Ok(fresh(answer::json(&LoginAnswer::new(&service, access.as_ref()))))
}

/// Exchanges a key for a cookie.
///
/// The cookie is `HttpOnly` and `SameSite=Strict` and holds for 12 hours, or until its key is taken away. What changes
/// something then needs the header `X-CSRF-Token` as well.
#[utoipa::path(
    post, path = "/api/v1/session", operation_id = "login", tag = "login", security(()),
    request_body(content = LoginRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Logged in; the cookie is set", body = LoginAnswer),
        BodyRefused, Malformed, LoginRefused, StoreAway,
    )
)]
pub(crate) async fn begin(
    State(service): State<Shared>,
    Extension(client): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    service.limits.login(client, service.clock.now().monotonic).map_err(|wait| {
        service.metrics.login(Outcome::Limited);
        ApiError::rate_limited(wait)
    })?;
    body::check_type(&headers, body::is_json, "application/json")?;
    let body = body::read(&headers, body, service.body_limits(body::LOGIN)).await?;
    let asked = body::json::<LoginRequest>(&body)?;
    let asked = asked.ok_or_else(|| ApiError::malformed("key", "key is missing; send the admin key"))?;
    if service.settings.keys.is_empty() {
        return Ok(fresh(answer::json(&LoginAnswer::new(
            &service,
            Some(&bearer::access(&service.keys(), &headers, false)?),
        ))));
    }
    let unknown = || ApiError::at(Code::Unauthorized, "key", "this key is not known; check it for typing errors");
    let (keys, sent) = (service.keys(), asked.key.trim().as_bytes());
    let Some((digest, access)) = keys.of(sent) else {
        return Err(service.attempts.refuse_key(sent, client, Outcome::UnknownKey, unknown()));
    };
    service.attempts.accept_key(access.key, client)?;
    if !access.may_look() {
        let role = access.role.name();
        let message = format!("the dashboard needs a key with the role admin or analyst; this one has {role}");
        let refusal = ApiError::at(Code::Forbidden, "key", message);
        return Err(service.attempts.refuse_key(sent, client, Outcome::WrongRole, refusal));
    }
    // A login that cannot be written down is none.
    let (target, detail) = (service.attempts.address_name(client), json!({"role": access.role.name()}));
    service.operations.perform(&access.actor, "login", target, detail, async { Ok::<_, ApiError>(()) }).await?;
    service.metrics.login(Outcome::Succeeded);
    let now = service.clock.now().wall;
    let login = Login { end: now.plus(HOLDS), number: rand::random() };
    let value = login.cookie(digest).ok_or_else(|| ApiError::internal("no code could be made"))?;
    let answer = fresh(answer::json(&LoginAnswer::of(&service, access, login, digest)));
    Ok(with_cookie(answer, &service, &headers, &value, HOLDS.as_secs()))
}

/// Ends a login, on every node and for good: no copy of the cookie is worth anything from then on.
#[utoipa::path(
    delete, path = "/api/v1/session", operation_id = "logout", tag = "login", security(()),
    responses((status = 200, description = "Logged out; the cookie is taken back", body = LoginAnswer), LogoutRefused)
)]
pub(crate) async fn end(State(service): State<Shared>, headers: HeaderMap) -> Answer {
    if let Some(proven) = proven(&service, &headers) {
        proven.check(&Method::DELETE, &headers)?;
        if let Err(error) = service.operations.end_login(login_of(&proven.access, proven.login)).await {
            return Ok(with_cookie(fresh(ApiError::from(error).into_response()), &service, &headers, "", 0));
        }
    }
    let answer = answer::json(&LoginAnswer::new(&service, None));
    Ok(with_cookie(fresh(answer), &service, &headers, "", 0))
}

fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_cookie(mut response: Response, service: &Service, headers: &HeaderMap, value: &str, seconds: u64) -> Response {
    // A proxy that speaks TLS says so. A client that says it by itself loses its own cookie at worst.
    let https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = if https { "; Secure" } else { "" };
    let path = Some(service.settings.base_path.as_str()).filter(|path| !path.is_empty()).unwrap_or("/");
    let cookie = format!("{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    match HeaderValue::try_from(cookie) {
        Ok(cookie) => {
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        Err(error) => ApiError::internal(error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestApp, send};

    const PATH: &str = "/api/v1/session";
    const WRITE: &str = "/api/v1/batch/scheduler/stop";

    /// The cookie as a browser sends it back, and the token.
    async fn log_in(app: &TestApp, key: &str) -> (String, String) {
        let reply = app.post(PATH, &json!({"key": key})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let set = reply.header("set-cookie").unwrap();
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(set.contains(attribute), "{set}");
        }
        assert!(!set.contains("Secure") && !set.contains(key), "{set}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let told = reply.json();
        assert_eq!((&told["role"], &told["keysRequired"]), (&json!("admin"), &json!(true)));
        (set.split(';').next().unwrap().to_owned(), told["csrfToken"].as_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_cookie_is_as_good_as_its_key_and_writes_need_the_token() {
        let app = TestApp::with_keys().await;
        let (cookie, token) = log_in(&app, "admin").await;
        let ask =
            |method: &str, path: &str| app.request(method, path).header("cookie", format!("theme=dark; {cookie}"));
        assert_eq!(send(ask("GET", "/api/v1/batch/stats")).await.status, 200);
        assert_eq!(send(ask("GET", "/metrics")).await.status, 200);
        send(ask("POST", WRITE)).await.is_error(403, "csrf_token");
        for wrong in ["", "00", &"0".repeat(64), &token[2..]] {
            send(ask("POST", WRITE).header("x-csrf-token", wrong)).await.is_error(403, "csrf_token");
        }
        assert_eq!(send(ask("POST", WRITE).header("x-csrf-token", &token)).await.status, 200);
        let told = send(ask("GET", PATH)).await.json();
        assert_eq!((told["csrfToken"].as_str(), &told["deploymentId"]), (Some(token.as_str()), &json!(null)));
        let other = log_in(&app, "admin").await;
        assert_ne!(other.1, token, "each login has a token of its own");
        send(ask("POST", WRITE).header("x-csrf-token", &other.1)).await.is_error(403, "csrf_token");
        // A key beside it counts alone, so a token is not asked for.
        assert_eq!(send(ask("POST", WRITE).bearer_auth("admin")).await.status, 200);
        send(ask("POST", WRITE).bearer_auth("ingest")).await.is_error(403, "forbidden");
    }

    #[tokio::test]
    async fn a_login_ends_by_hand_by_time_and_a_forged_one_never_begins() {
        let app = TestApp::with_keys().await;
        let (cookie, token) = log_in(&app, "admin").await;
        let ask = |method: &str, path: &str, cookie: &str| app.request(method, path).header("cookie", cookie);
        send(ask("DELETE", PATH, &cookie)).await.is_error(403, "csrf_token");
        let ended = send(ask("DELETE", PATH, &cookie).header("x-csrf-token", &token)).await;
        assert!(ended.header("set-cookie").unwrap().contains("playproof_session=; Path=/; Max-Age=0"));
        send(ask("GET", "/api/v1/batch/stats", &cookie)).await.is_error(401, "unauthorized");
        assert_eq!(send(ask("GET", PATH, &cookie)).await.json()["role"], json!(null));

        let (cookie, _) = log_in(&app, "admin").await;
        let (_, value) = cookie.split_once('=').unwrap();
        let parts: Vec<&str> = value.split('.').collect();
        let longer = format!("{:x}", i64::from_str_radix(parts[0], 16).unwrap() + 1);
        let forged =
            ["", "..", "x.y.z", &format!("{longer}.{}.{}", parts[1], parts[2]), &format!("{value}.1"), &value[..20]];
        for forged in forged {
            let reply = send(ask("GET", "/api/v1/batch/stats", &format!("playproof_session={forged}"))).await;
            reply.is_error(401, "unauthorized");
        }
        assert_eq!(send(ask("GET", "/api/v1/batch/stats", &cookie)).await.status, 200);
        app.clock.advance(HOLDS);
        send(ask("GET", "/api/v1/batch/stats", &cookie)).await.is_error(401, "unauthorized");
    }

    #[tokio::test]
    async fn only_admins_log_in_and_a_bound_one_stays_bound() {
        let app = TestApp::with_keys().await;
        app.post(PATH, &json!({"key": "nobody"})).await.is_error(401, "unauthorized");
        app.post(PATH, &json!({"key": "ingest"})).await.is_error(403, "forbidden");
        app.post(PATH, &json!({"kex": "admin"})).await.is_error(400, "malformed");
        let form = app.request("POST", PATH).header("content-type", "text/plain").body("{\"key\":\"admin\"}");
        send(form).await.is_error(415, "unsupported_media_type");
        let (cookie, _) = log_in(&app, "admin-eu").await;
        let ask = |path: &str| send(app.request("GET", path).header("cookie", &cookie));
        assert_eq!(ask(PATH).await.json()["deploymentId"], "eu");
        ask("/api/v1/batch/stats").await.is_error(403, "wrong_deployment");
        assert_eq!(ask("/api/v1/batch/dead").await.status, 200);
        let anybody = app.get(PATH).await.json();
        assert_eq!((&anybody["keysRequired"], &anybody["role"]), (&json!(true), &json!(null)));
        let secure = app.request("POST", PATH).header("x-forwarded-proto", "https").json(&json!({"key": "admin"}));
        assert!(send(secure).await.header("set-cookie").unwrap().contains("; Secure"));
    }

    #[tokio::test]
    async fn without_keys_nobody_needs_to_log_in() {
        let app = TestApp::start().await;
        let told = app.get(PATH).await.json();
        assert_eq!((&told["keysRequired"], &told["role"]), (&json!(false), &json!("admin")));
        let reply = app.post(PATH, &json!({"key": "anything"})).await;
        assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
    }
}
