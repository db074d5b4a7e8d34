//! Spans by OTLP: protobuf over HTTP, sent with the service's own HTTP client from a thread of their own.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::{Builder, Handle, Runtime};

use super::Batch;
use crate::domain::time::Timestamp;

/// How long an export, and the last one at the end, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The tracer of this process, once there is a collector.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// What sends spans.
pub(super) struct Sender {
    provider: SdkTracerProvider,
    /// Where the client works: the exporter's thread has no runtime.
    _runtime: Runtime,
}

impl Sender {
    /// Sends to the collector at `endpoint` from now on.
    pub(super) fn start(endpoint: &str) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("traces").enable_all().build()?;
        let client = crate::tls::http_client().timeout(PATIENCE).build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client { client, runtime: runtime.handle().clone() })
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_protocol(Protocol::HttpBinary)
            .build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("playproof-batch").with_attribute(version).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        // One process is one node; a second one's spans would go the same way.
        let _ = TRACER.set(provider.tracer("playproof-batch"));
        Ok(Self { provider, _runtime: runtime })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The service's HTTP client as the exporter's.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let answer = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let status = answer.status();
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            Ok::<_, reqwest::Error>(response)
        });
        Ok(answer.await??)
    }
}

/// The trace that a request belongs to; `None` while nothing is sent.
pub(super) fn caller(headers: &HeaderMap) -> Option<Context> {
    TRACER.get().map(|_| TraceContextPropagator::new().extract(&HeaderExtractor(headers)))
}

/// The span of a request.
pub(super) fn request(
    caller: &Context,
    method: &'static str,
    route: &str,
    status: u16,
    took: Duration,
    ended: Timestamp,
) {
    let Some(tracer) = TRACER.get() else { return };
    let end = moment(ended);
    let attributes = [
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    let builder = tracer.span_builder(format!("{method} {route}")).with_kind(SpanKind::Server);
    let builder = builder.with_start_time(end.checked_sub(took).unwrap_or(end)).with_attributes(attributes);
    let mut span = builder.start_with_context(tracer, caller);
    if status >= 500 {
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(end);
}

/// The span of a batch.
pub(super) fn batch(batch: &Batch) {
    let Some(tracer) = TRACER.get() else { return };
    let end = moment(batch.ended);
    let attributes = [
        KeyValue::new("playproof.batch.id", batch.id),
        KeyValue::new("playproof.batch.detector", batch.detector),
        KeyValue::new("playproof.batch.trigger", batch.trigger),
        KeyValue::new("playproof.batch.outcome", batch.outcome),
        KeyValue::new("playproof.batch.sessions", i64::try_from(batch.sessions).unwrap_or(i64::MAX)),
    ];
    let builder = tracer.span_builder("batch").with_kind(SpanKind::Internal);
    let builder = builder.with_start_time(end.checked_sub(batch.took).unwrap_or(end)).with_attributes(attributes);
    builder.start_with_context(tracer, &Context::new()).end_with_timestamp(end);
}

fn moment(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
