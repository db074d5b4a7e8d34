//! The way of every request: logged, read, its key checked, struck by faults, handled, answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use super::call::{Call, Caller, Refusal, Reply};
use super::{deliver, form};
use crate::clock::{http_date, iso};
use crate::fault::{Fault, RetryAfter, Struck};
use crate::requests::Entry;
use crate::route::Route;
use crate::simulator::Sim;

/// What a direct upload may have, and the form around it.
const DIRECT_LIMIT: usize = 30 * 1024 * 1024;
const FORM_ROOM: usize = 64 * 1024;

/// Serves one request of a route.
pub(crate) async fn serve(sim: Arc<Sim>, route: &'static Route, request: Request) -> Response {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let number = sim.log.open(entry(&sim, Some(route), &parts));
    let (answered, struck) = answer(&sim, route, parts, body, arrived, number).await;
    let reply = answered.unwrap_or_else(|refusal| refusal.reply());
    finish(&sim, number, arrived, &reply);
    deliver::response(reply, &struck)
}

/// Answers a request for which there is no route.
pub(crate) fn no_route(sim: &Sim, request: Request, status: u16) -> Response {
    let arrived = Instant::now();
    let (parts, _) = request.into_parts();
    let number = sim.log.open(entry(sim, None, &parts));
    let text = if status == 405 { "Method Not Allowed" } else { "Not Found" };
    let reply = Refusal::new(status, text).reply();
    finish(sim, number, arrived, &reply);
    deliver::response(reply, &[])
}

fn finish(sim: &Sim, number: u64, arrived: Instant, reply: &Reply) {
    sim.log.amend(number, |entry| {
        entry.status = Some(reply.status.as_u16());
        entry.answer_bytes = u64::try_from(reply.body.len()).unwrap_or(u64::MAX);
        entry.rows = reply.rows;
        entry.millis = millis(arrived.elapsed());
    });
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the handler or a fault answers, and what struck.
async fn answer(
    sim: &Sim,
    route: &'static Route,
    parts: Parts,
    body: Body,
    arrived: Instant,
    number: u64,
) -> (Result<Reply, Refusal>, Vec<Struck>) {
    let limit = if route.is_in("signed") {
        usize::try_from(sim.settings.memory).unwrap_or(usize::MAX)
    } else {
        DIRECT_LIMIT + FORM_ROOM
    };
    let body = read(body, limit).await;
    let caller = authenticate(sim, route, &parts);
    let key = caller.as_ref().ok().and_then(Option::as_ref);
    let struck = sim.faults.draw(route, key.map(|(caller, secret)| (caller.label.as_str(), secret.as_str())));
    sim.log.amend(number, |entry| {
        let body = body.as_ref().ok().and_then(Option::as_ref);
        entry.bytes = body.map_or(0, |body| u64::try_from(body.len()).unwrap_or(u64::MAX));
        entry.key = key.map(|(caller, _)| caller.label.clone());
        entry.faults = struck.iter().map(|struck| struck.kind).collect();
    });
    let caller = match caller {
        Ok(caller) => caller.map(|(caller, _)| caller),
        Err(refusal) => return (Err(refusal), Vec::new()),
    };
    wait(sim, &struck).await;
    if let Some(refusal) = struck.iter().find_map(|struck| refused_before(&struck.fault)) {
        return (Err(refusal), struck);
    }
    let body = match body {
        Ok(Some(body)) => body,
        Ok(None) => return (Err(Refusal::new(413, "Request Entity Too Large")), struck),
        Err(_) => return (Err(Refusal::new(400, "The body ended early")), struck),
    };
    match Box::pin(call(sim, parts, body, caller, struck.clone(), arrived)).await {
        Ok(call) => (handle(sim, route, &call).await, struck),
        Err(refusal) => (Err(refusal), struck),
    }
}

/// The whole body, or none when it is larger than `limit`. It is read to its end before any refusal, without keeping what
/// is beyond the limit: a client that is still writing would see a broken connection instead of the refusal.
async fn read(body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    let mut fits = true;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        fits = fits && whole.len() + chunk.len() <= limit;
        if fits {
            whole.extend_from_slice(&chunk);
        } else {
            whole = BytesMut::new();
        }
    }
    Ok(fits.then(|| whole.freeze()))
}

/// The waits before any work.
async fn wait(sim: &Sim, struck: &[Struck]) {
    for struck in struck {
        match struck.fault {
            Fault::Hang => std::future::pending().await,
            Fault::Slow(time) => tokio::time::sleep(Duration::from_millis(time)).await,
            _ => {}
        }
    }
    if !sim.settings.latency.is_zero() {
        tokio::time::sleep(sim.settings.latency).await;
    }
}

/// The request as a handler sees it.
async fn call(
    sim: &Sim,
    mut parts: Parts,
    body: Bytes,
    caller: Option<Caller>,
    struck: Vec<Struck>,
    arrived: Instant,
) -> Result<Call, Refusal> {
    let params = RawPathParams::from_request_parts(&mut parts, &()).await;
    let params = params.map(|params| params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect());
    let form = form::read(&parts.headers, &body).await;
    let form = form.map_err(|why| Refusal::new(400, &format!("There was an error parsing the body: {why}")))?;
    let query = parts.uri.query().unwrap_or_default();
    Ok(Call {
        path: parts.uri.path().to_owned(),
        params: params.unwrap_or_default(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
        form,
        caller,
        struck,
        now: sim.clock.now(),
        arrived,
    })
}

async fn handle(sim: &Sim, route: &Route, call: &Call) -> Result<Reply, Refusal> {
    if let Some(refusal) = too_large(&call.form, &call.struck) {
        return Err(refusal);
    }
    if matches!(route.name, "infer" | "beta-infer") {
        tokio::time::sleep(sim.settings.inference_time).await;
    }
    // Reading and scoring a table takes a while; the other connections of this thread go on meanwhile.
    let reply = tokio::task::block_in_place(|| (route.handler)(sim, call))?;
    let after = call.fault(|fault| if let Fault::StatusAfter(status) = fault { Some(*status) } else { None });
    after.map_or(Ok(reply), |status| Err(Refusal::new(status, "upstream error")))
}

/// The caller and the secret, none for an open route.
fn authenticate(sim: &Sim, route: &Route, parts: &Parts) -> Result<Option<(Caller, String)>, Refusal> {
    if route.is_open() {
        return Ok(None);
    }
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret =
        header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let secret = secret.map(|(_, secret)| secret.trim()).ok_or_else(|| Refusal::new(401, "Not authenticated"))?;
    let world = sim.world();
    let key = world.keys.iter().find(|key| key.secret == secret).ok_or_else(|| Refusal::new(401, "Invalid API key"))?;
    if let Some(status) = key.refused {
        return Err(Refusal::new(status, if status == 403 { "Missing scope" } else { "API key revoked" }));
    }
    if key.expires.is_some_and(|expires| expires <= sim.clock.now()) {
        return Err(Refusal::new(401, "API key expired"));
    }
    let caller = Caller { id: key.id.clone(), label: key.label.clone(), is_user: key.is_user };
    Ok(Some((caller, key.secret.clone())))
}

/// Faults that refuse before any work.
fn refused_before(fault: &Fault) -> Option<Refusal> {
    Some(match fault {
        Fault::Unauthorized(_) => Refusal::new(401, "Invalid API key"),
        Fault::Forbidden(_) => Refusal::new(403, "Missing scope"),
        Fault::Credits => Refusal::new(402, "Not enough credits: buy more tokens to go on"),
        Fault::StatusBefore(status) => Refusal::new(*status, "upstream error"),
        Fault::InferAsyncMissing(status) | Fault::ExplainMissing(status) => {
            Refusal::new(*status, if *status == 405 { "Method Not Allowed" } else { "Not Found" })
        }
        Fault::RateLimit(form) => {
            let header = match form {
                RetryAfter::None => None,
                RetryAfter::Seconds(wait) | RetryAfter::Fraction(wait) => Some(("retry-after", wait.to_string())),
                RetryAfter::Date(wait) => Some(("retry-after", http_date(*wait))),
                RetryAfter::Milliseconds(wait) => Some(("retry-after-ms", (wait * 1000.0).to_string())),
            };
            Refusal { header, ..Refusal::new(429, "Too Many Requests") }
        }
        _ => return None,
    })
}

/// Files beyond the limit; signed uploads are no forms and have none.
fn too_large(form: &[form::Part], struck: &[Struck]) -> Option<Refusal> {
    let lowered = struck.iter().find_map(|struck| match struck.fault {
        Fault::TooLarge(bytes) => usize::try_from(bytes).ok(),
        _ => None,
    });
    let limit = lowered.unwrap_or(DIRECT_LIMIT);
    let largest = form.iter().map(|part| part.content.len()).max().unwrap_or(0);
    (largest > limit).then(|| Refusal::new(413, &format!("File too large: {largest} bytes, at most {limit}")))
}

fn entry(sim: &Sim, route: Option<&Route>, parts: &Parts) -> Entry {
    let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    Entry {
        number: 0,
        at: iso(sim.clock.now()),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        route: route.map(|route| route.name),
        generation: route.map(Route::generation),
        authorization: parts.headers.contains_key(AUTHORIZATION),
        key: None,
        content_type: header(CONTENT_TYPE),
        user_agent: header(USER_AGENT),
        bytes: 0,
        rows: None,
        status: None,
        answer_bytes: 0,
        faults: Vec::new(),
        millis: 0,
    }
}

/// The origin that signed addresses point to.
pub(crate) fn origin(sim: &Sim, call: &Call) -> String {
    if let Some(url) = &sim.settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = call.headers.get(HOST).and_then(|value| value.to_str().ok());
    host.map_or_else(|| format!("http://{}", sim.addr), |host| format!("http://{host}"))
}
