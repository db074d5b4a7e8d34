//! Traces: a span for each request and each batch. They hold routes, outcomes, sizes and times, and nothing of a session.
//! What sends them is a package of its own, which a program names once with [`send_by`]; where it names none, nothing
//! happens here.

use std::sync::OnceLock;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use crate::domain::time::Timestamp;

/// Sends spans somewhere, and never holds up who tells it one.
pub trait SpanSender: Send + Sync {
    /// A request was answered.
    fn request(&self, request: &Request<'_>);
    /// A batch ended.
    fn batch(&self, batch: &Batch);
    /// Sends what is left, within a few seconds. Blocks.
    fn end(&self);
}

/// Begins to send to the collector at a base address; fails when the sender cannot be made.
pub type StartSender = fn(endpoint: &str) -> anyhow::Result<Box<dyn SpanSender>>;

/// How this program sends traces.
static START: OnceLock<StartSender> = OnceLock::new();

/// The sender of this process. One process is one node; a second one's spans would go the same way.
static SENDER: OnceLock<Box<dyn SpanSender>> = OnceLock::new();

/// Says how this program sends traces. The first word counts; to be called before settings are read.
pub fn send_by(start: StartSender) {
    let _ = START.set(start);
}

/// Whether this program can send any.
#[must_use]
pub fn can_be_sent() -> bool {
    START.get().is_some()
}

/// The time in which traces are sent; dropped, it sends the rest.
#[must_use]
pub struct Traces(());

impl Traces {
    /// Begins to send to the collector, if there is one.
    ///
    /// # Errors
    /// When the sender cannot be made; a collector that is away is no error, the log tells it.
    pub fn start(endpoint: Option<&str>) -> anyhow::Result<Self> {
        // The settings refuse an address where nothing can be sent to it.
        if let (Some(endpoint), Some(start)) = (endpoint, START.get()) {
            let _ = SENDER.set(start(endpoint)?);
        }
        Ok(Self(()))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(sender) = SENDER.get() {
            sender.end();
        }
    }
}

/// The trace that a request belongs to, by its caller's words: W3C Trace Context.
#[derive(Debug, Default)]
pub struct Caller {
    traceparent: Option<HeaderValue>,
    tracestate: Option<HeaderValue>,
}

impl Caller {
    /// Reads it; of no use, and empty, while nothing is sent.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if SENDER.get().is_none() {
            return Self::default();
        }
        let named = |name| headers.get(name).cloned();
        Self { traceparent: named("traceparent"), tracestate: named("tracestate") }
    }

    /// The header of that name in small letters, `traceparent` or `tracestate`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = match name {
            "traceparent" => &self.traceparent,
            "tracestate" => &self.tracestate,
            _ => return None,
        };
        value.as_ref()?.to_str().ok()
    }
}

/// A request that was answered.
#[derive(Debug)]
pub struct Request<'a> {
    /// Whose trace it belongs to.
    pub caller: &'a Caller,
    /// GET, POST and so on.
    pub method: &'static str,
    /// The route's pattern, never the path.
    pub route: &'a str,
    /// The answer's status.
    pub status: u16,
    /// From its head to the answer's.
    pub took: Duration,
    /// When the answer was made.
    pub ended: Timestamp,
}

/// A batch that ended.
#[derive(Debug)]
pub struct Batch {
    /// Its number.
    pub id: i64,
    /// Whose scores it has.
    pub detector: &'static str,
    /// Why it ran.
    pub trigger: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// How many sessions it claimed.
    pub sessions: usize,
    /// From claim to settlement.
    pub took: Duration,
    /// When it was settled.
    pub ended: Timestamp,
}

/// Tells of a request.
pub(crate) fn request(request: &Request<'_>) {
    if let Some(sender) = SENDER.get() {
        sender.request(request);
    }
}

/// Tells of a batch.
pub(crate) fn batch(batch: &Batch) {
    if let Some(sender) = SENDER.get() {
        sender.batch(batch);
    }
}
