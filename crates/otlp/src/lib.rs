//! Spans by OTLP: protobuf over HTTP, sent with the service's own HTTP client from a thread of their own.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use playproof_server::traces::{self, SpanSender};
use tokio::runtime::{Builder, Handle, Runtime};

/// How long an export, and the last one at the end, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What sends spans.
struct Sender {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// Where the client works: the exporter's thread has no runtime.
    _runtime: Runtime,
}

/// Sends to the collector at `endpoint` from now on.
///
/// # Errors
/// When the client or the exporter cannot be made. A collector that is away is no error.
pub fn start(endpoint: &str) -> anyhow::Result<Box<dyn SpanSender>> {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("traces").enable_all().build()?;
    let client = playproof_outbound::tls::http_client().timeout(PATIENCE).build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: runtime.handle().clone() })
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_protocol(Protocol::HttpBinary)
        .build()?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("playproof-batch").with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("playproof-batch");
    Ok(Box::new(Sender { provider, tracer, _runtime: runtime }))
}

impl SpanSender for Sender {
    fn request(&self, request: &traces::Request<'_>) {
        let end = moment(request.ended.0);
        let attributes = [
            KeyValue::new("http.request.method", request.method),
            KeyValue::new("http.route", request.route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(request.status)),
        ];
        let name = format!("{} {}", request.method, request.route);
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server);
        let builder = builder.with_start_time(end.checked_sub(request.took).unwrap_or(end)).with_attributes(attributes);
        let caller = TraceContextPropagator::new().extract(&Headers(request.caller));
        let mut span = builder.start_with_context(&self.tracer, &caller);
        if request.status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(end);
    }

    fn batch(&self, batch: &traces::Batch) {
        let end = moment(batch.ended.0);
        let attributes = [
            KeyValue::new("playproof.batch.id", batch.id),
            KeyValue::new("playproof.batch.detector", batch.detector),
            KeyValue::new("playproof.batch.trigger", batch.trigger),
            KeyValue::new("playproof.batch.outcome", batch.outcome),
            KeyValue::new("playproof.batch.sessions", i64::try_from(batch.sessions).unwrap_or(i64::MAX)),
        ];
        let builder = self.tracer.span_builder("batch").with_kind(SpanKind::Internal);
        let builder = builder.with_start_time(end.checked_sub(batch.took).unwrap_or(end)).with_attributes(attributes);
        builder.start_with_context(&self.tracer, &Context::new()).end_with_timestamp(end);
    }

    fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// A caller's headers, as the propagator reads them.
struct Headers<'a>(&'a traces::Caller);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.header(key)
    }

    fn keys(&self) -> Vec<&str> {
        ["traceparent", "tracestate"].into_iter().filter(|name| self.0.header(name).is_some()).collect()
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

/// `ms` since 1970.
fn moment(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
