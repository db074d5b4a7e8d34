//! HTTP to Woodwide: keys in turn, few requests at once, bounded answers, failures sorted by what must happen next.
//!
//! Neither keys nor bodies reach a log or an error: of an answer's body an error keeps the sentence that explains it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::failure::Failure;
use super::settings::Timing;
use playproof_outbound::secret::Secret;

/// Largest answer that is read.
const MAX_BYTES: usize = 64 << 20;
/// Longest pause that a detector may ask for within a call; longer ones open the circuit.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Times one request is sent at most.
const TRIES: u32 = 3;
/// Largest explanation kept of an error body, bytes.
const MAX_DETAIL: usize = 300;

/// What a request carries.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// Text fields, then one CSV file.
    File { fields: Vec<(&'static str, String)>, name: String, csv: bytes::Bytes },
}

/// How long a request may take until its answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An ordinary one.
    Plain,
    /// It carries much, or brings much.
    Transfer,
    /// Its answer is computed.
    Inference,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Below the base address, with its query.
    pub(super) path: String,
    pub(super) body: Body,
    /// What its answer is waited for.
    pub(super) kind: Kind,
    /// Whether sending it twice does no harm; if not, a failure that leaves open what happened is not repeated here.
    pub(super) repeatable: bool,
    /// Times it is sent at most.
    pub(super) tries: u32,
}

impl Request {
    /// A GET.
    pub(super) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Body::None, kind: Kind::Plain, repeatable: true, tries: TRIES }
    }

    /// A POST that may be sent once only.
    pub(super) fn post(path: String, body: Body) -> Self {
        Self { method: Method::POST, path, body, kind: Kind::Plain, repeatable: false, tries: TRIES }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
}

impl Reply {
    /// The body as JSON; an empty one is "not ready".
    pub(super) fn json(&self) -> Result<Value, Failure> {
        if self.bytes.trim_ascii().is_empty() {
            return Err(Failure::NotReady("an empty answer".to_owned()));
        }
        serde_json::from_slice(&self.bytes).map_err(|_| Failure::Protocol("the answer is no JSON".to_owned()))
    }
}

/// The keys, and which are known not to work.
#[derive(Debug)]
struct Keys {
    keys: Vec<Secret>,
    current: AtomicUsize,
}

/// The connection to one Woodwide deployment.
#[derive(Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    /// For signed addresses: it carries no key, so it may follow where it is led.
    signed: reqwest::Client,
    base: String,
    pub(super) timing: Timing,
    keys: Keys,
    in_flight: Semaphore,
}

impl Transport {
    /// A connection that sends at most `in_flight` requests at once.
    pub(super) fn new(base: &str, keys: Vec<Secret>, in_flight: usize, timing: Timing) -> Result<Self, reqwest::Error> {
        let builder = || {
            let agent = concat!("playproof-batch/", env!("CARGO_PKG_VERSION"));
            playproof_outbound::tls::http_client().user_agent(agent).connect_timeout(Duration::from_secs(5))
        };
        // A redirect would carry the key and the rows to wherever it points.
        let client = builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let signed = builder().redirect(reqwest::redirect::Policy::limited(3)).build()?;
        let keys = Keys { keys, current: AtomicUsize::new(0) };
        Ok(Self { client, signed, base: base.to_owned(), timing, keys, in_flight: Semaphore::new(in_flight.max(1)) })
    }

    /// Sends `request` until it is answered, refused, or `deadline` is near.
    ///
    /// A key that is refused gives way to the next one; pauses that the service asks for are made, if short.
    pub(super) async fn send(&self, request: &Request, deadline: Instant) -> Result<Reply, Failure> {
        let mut tried = 0;
        let mut refused_keys = 0;
        loop {
            let key = self.keys.current.load(Ordering::Relaxed);
            let sent = Instant::now();
            let failure = match self.once(request, key, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Key(_)) {
                refused_keys += 1;
                let next = (key + 1) % self.keys.keys.len().max(1);
                // Somebody else may have moved on already.
                let _ = self.keys.current.compare_exchange(key, next, Ordering::Relaxed, Ordering::Relaxed);
                if refused_keys >= self.keys.keys.len() {
                    return Err(failure);
                }
                continue;
            }
            tried += 1;
            if request.kind == Kind::Inference && sent.elapsed() >= self.timing.inference {
                // It would take as long again; whoever asks may have another way.
                return Err(failure);
            }
            let pause = match &failure {
                Failure::Limited { retry_after, .. } => retry_after.unwrap_or_else(|| self.backoff(tried)),
                Failure::Away { ambiguous, .. } if request.repeatable || !ambiguous => self.backoff(tried),
                _ => return Err(failure),
            };
            if tried >= request.tries || pause > MAX_PAUSE || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Removes what is at `path`; what is gone already is no failure.
    pub(super) async fn delete(&self, path: String, deadline: Instant) -> Result<(), Failure> {
        match self.send(&Request { method: Method::DELETE, ..Request::get(path) }, deadline).await {
            Ok(_) | Err(Failure::Missing(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn once(&self, request: &Request, key: usize, deadline: Instant) -> Result<Reply, Failure> {
        let Some(key) = self.keys.keys.get(key) else {
            return Err(Failure::Key("no key is set; set WOODWIDE_API_KEYS".to_owned()));
        };
        let url = format!("{}{}", self.base, request.path);
        let mut builder = self.client.request(request.method.clone(), url).bearer_auth(key.expose());
        builder = match &request.body {
            Body::None => builder,
            Body::Json(value) => builder.json(value),
            Body::Form(fields) => builder.form(fields),
            Body::File { fields, name, csv } => {
                let mut form = reqwest::multipart::Form::new();
                for (field, value) in fields {
                    form = form.text(*field, value.clone());
                }
                let length = csv.len() as u64;
                let part = reqwest::multipart::Part::stream_with_length(csv.clone(), length).file_name(name.clone());
                let part = part.mime_str("text/csv").map_err(|e| Failure::Protocol(e.to_string()))?;
                builder.multipart(form.part("file", part))
            }
        };
        let _permit = self.permit(deadline).await?;
        let answered = self.answered(builder, request.kind, deadline).await;
        // Not of signed addresses, which are nobody's setting.
        answered.map_err(|failure| self.named(failure))
    }

    /// Says who cannot be reached.
    fn named(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Away { message, ambiguous: false, retry_after } => {
                let message = format!("{message} ({}); check WOODWIDE_BASE_URL and the network", self.base);
                Failure::Away { message, ambiguous: false, retry_after }
            }
            other => other,
        }
    }

    /// Fetches a signed address: without the key, since the address itself is the permission.
    pub(super) async fn fetch_signed(&self, url: &str, deadline: Instant) -> Result<Reply, Failure> {
        let mut tried = 0;
        loop {
            let permit = self.permit(deadline).await?;
            let failure = match self.answered(self.signed.get(url), Kind::Transfer, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            drop(permit);
            tried += 1;
            let pause = self.backoff(tried);
            let again = matches!(failure, Failure::Limited { .. } | Failure::Away { .. });
            if !again || tried >= TRIES || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn permit(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        match tokio::time::timeout_at(deadline, self.in_flight.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            // Nothing was sent.
            _ => Err(Failure::away("no place among the requests in flight became free in time", false)),
        }
    }

    async fn answered(
        &self,
        builder: reqwest::RequestBuilder,
        kind: Kind,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let timeout = match kind {
            Kind::Plain => self.timing.request,
            Kind::Transfer => self.timing.transfer,
            Kind::Inference => self.timing.inference,
        };
        let until = deadline.min(Instant::now() + timeout);
        match tokio::time::timeout_at(until, receive(builder)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::away("no answer in time", true)),
        }
    }

    /// Exponential with full jitter.
    fn backoff(&self, tried: u32) -> Duration {
        self.timing.backoff.saturating_mul(1 << tried.saturating_sub(1).min(4)).mul_f64(rand::random::<f64>())
    }
}

/// Sends and reads the answer, at most [`MAX_BYTES`] of it.
async fn receive(builder: reqwest::RequestBuilder) -> Result<Reply, Failure> {
    // Nothing arrived at the other side when the connection could not be made.
    let mut response = builder.send().await.map_err(|e| Failure::away(&describe(&e), !e.is_connect()))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Failure::away(&describe(&e), true))? {
        if bytes.len() + chunk.len() > MAX_BYTES {
            return Err(Failure::Protocol(format!("the answer is larger than {MAX_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(Reply { bytes });
    }
    Err(refusal(status, &headers, &bytes))
}

/// Sorts an answer that is no success by its status.
fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let message = format!("{} {}", status.as_u16(), detail(headers, body));
    let retry_after = retry_after(headers);
    match status.as_u16() {
        401 | 403 => Failure::Key(message),
        402 => Failure::Credits(message),
        404 | 405 | 410 | 501 => Failure::Missing(message),
        409 => Failure::Conflict(message),
        413 => Failure::TooLarge(message),
        429 => Failure::Limited { message, retry_after },
        408 | 425 | 500..=599 => Failure::Away { message, ambiguous: true, retry_after },
        300..=399 => Failure::Protocol(format!("{message}: redirects are not followed; check WOODWIDE_BASE_URL")),
        _ => Failure::Refused(message),
    }
}

/// The sentence of an error body: `detail` as text or as a list of validation errors, `message` or `error`.
fn detail(headers: &HeaderMap, body: &[u8]) -> String {
    let json = headers.get(CONTENT_TYPE).is_none_or(|v| v.as_bytes().starts_with(b"application/json"));
    let value = if json { serde_json::from_slice::<Value>(body).ok() } else { None };
    let text = value.and_then(|value| {
        let found = ["detail", "message", "error"].iter().find_map(|name| value.get(name).cloned())?;
        match found {
            Value::String(text) => Some(text),
            Value::Array(list) => list.first().map(|first| {
                let place = first.get("loc").map(Value::to_string).unwrap_or_default();
                let what = first.get("msg").and_then(Value::as_str).unwrap_or_default();
                format!("{place} {what}")
            }),
            other => other.get("message").and_then(Value::as_str).map(str::to_owned),
        }
    });
    let mut text = text.unwrap_or_default();
    while text.len() > MAX_DETAIL {
        text.pop();
    }
    text.retain(|c| !c.is_control());
    text
}

/// `retry-after-ms`, or `Retry-After` as seconds, fractions of them, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    let most = MAX_RETRY_AFTER.as_secs_f64();
    if let Some(ms) = text("retry-after-ms").and_then(number) {
        return Some(Duration::from_secs_f64((ms / 1000.0).min(most)));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs_f64(seconds.min(most)));
    }
    // Against the answer's own clock: ours may be another.
    let [at, now] = [Some(value), text(DATE.as_str())].map(|date| httpdate::parse_http_date(date?).ok());
    Some(at?.duration_since(now?).unwrap_or_default().min(MAX_RETRY_AFTER))
}

/// What went wrong below HTTP, without the address, which may be signed.
fn describe(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let kind = match (is_tls(error), error.is_connect()) {
        (true, _) => "the TLS handshake failed",
        (false, true) => "cannot connect",
        (false, false) => "the connection broke",
    };
    if error.source().is_some() { format!("{kind}: {innermost}") } else { kind.to_owned() }
}

/// Whether TLS is what failed. An I/O error does not name what it holds as its source.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(held) => is_tls(held),
        None => error.source().is_some_and(is_tls),
    }
}
