//! Traces: a span for each request and each batch, sent by OTLP where the build has the feature `otlp` and the settings
//! name a collector. They hold routes, outcomes, sizes and times, and nothing of a session. Without the feature nothing
//! happens here.

#[cfg(feature = "otlp")]
mod otlp;

use std::time::Duration;

use axum::http::HeaderMap;

use crate::domain::time::Timestamp;

/// Whether this build can send any.
pub const ARE_BUILT: bool = cfg!(feature = "otlp");

/// What sends traces; dropped, it sends the rest.
#[must_use]
pub struct Traces {
    #[cfg(feature = "otlp")]
    _sender: Option<otlp::Sender>,
}

impl Traces {
    /// Begins to send to the collector, if there is one.
    ///
    /// # Errors
    /// When the sender cannot be made; a collector that is away is no error, the log tells it.
    pub fn start(endpoint: Option<&str>) -> anyhow::Result<Self> {
        #[cfg(feature = "otlp")]
        return Ok(Self { _sender: endpoint.map(otlp::Sender::start).transpose()? });
        #[cfg(not(feature = "otlp"))]
        {
            // The settings refuse an address where nothing can be sent to it.
            let _ = endpoint;
            Ok(Self {})
        }
    }
}

/// The trace that a request belongs to, by its caller's words (`traceparent`).
pub(crate) struct Caller {
    #[cfg(feature = "otlp")]
    context: Option<opentelemetry::Context>,
}

impl Caller {
    /// Reads it.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        #[cfg(feature = "otlp")]
        return Self { context: otlp::caller(headers) };
        #[cfg(not(feature = "otlp"))]
        {
            let _ = headers;
            Self {}
        }
    }
}

/// A batch that ended.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only spans tell it"))]
pub(crate) struct Batch {
    pub(crate) id: i64,
    pub(crate) detector: &'static str,
    pub(crate) trigger: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) sessions: usize,
    pub(crate) took: Duration,
    pub(crate) ended: Timestamp,
}

/// A request was answered; `route` is the pattern, never the path.
pub(crate) fn request(
    caller: &Caller,
    method: &'static str,
    route: &str,
    status: u16,
    took: Duration,
    ended: Timestamp,
) {
    #[cfg(feature = "otlp")]
    if let Some(context) = &caller.context {
        otlp::request(context, method, route, status, took, ended);
    }
    #[cfg(not(feature = "otlp"))]
    let _ = (caller, method, route, status, took, ended);
}

/// A batch ended.
pub(crate) fn batch(batch: &Batch) {
    #[cfg(feature = "otlp")]
    otlp::batch(batch);
    #[cfg(not(feature = "otlp"))]
    let _ = batch;
}
