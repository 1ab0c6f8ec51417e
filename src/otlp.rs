//! Export to an OpenTelemetry collector: spans through a layer of `tracing`, figures of a run as it
//! goes on. Nothing waits for a collector: queues are bounded, and what it does not take is lost.

mod client;
mod metrics;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use reqwest::Url;
use tokio::runtime::{Builder, Runtime};
use tracing::Subscriber;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::problem::Problem;
use crate::runtime::Monitor;
use crate::spec::{OtlpSettings, Shard};

use client::CollectorClient;
use metrics::Reading;
use spans::{Arriving, Counted, Course, Sampling, SpanFigures};

/// How long what is left may take at the end of a run, in all.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an export may take with all its attempts.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a span waits for others to go with.
const SPAN_INTERVAL: Duration = Duration::from_secs(1);
/// How many spans wait at most; further ones are dropped, and counted.
const SPANS_WAITING_MAX: usize = 8192;

/// An export that is going on.
pub struct Otlp {
    tracer: Option<SdkTracerProvider>,
    meter: Option<SdkMeterProvider>,
    reading: Arc<Reading>,
    figures: Arc<SpanFigures>,
    /// None once it is dropped.
    runtime: Option<Runtime>,
}

impl Otlp {
    /// Begins to export for a pipeline. Whether the collector is there is not asked.
    pub fn start(settings: &OtlpSettings, pipeline: &str, shard: Shard) -> Result<Self, Problem> {
        let failed =
            |error: String| Problem::error(format!("cannot export to the collector: {error}"));
        let endpoint = Url::parse(&settings.endpoint).map_err(|error| failed(error.to_string()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let client = CollectorClient::new(&endpoint, &settings.headers, runtime.handle().clone());
        let client = client.map_err(failed)?;
        let resource = resource(pipeline, shard);
        let mut otlp = Self {
            tracer: None,
            meter: None,
            reading: Arc::default(),
            figures: Arc::default(),
            runtime: Some(runtime),
        };
        let unusable = |error: ExporterBuildError| failed(error.to_string());
        if settings.traces {
            let provider = otlp.tracer(settings, client.clone(), resource.clone());
            otlp.tracer = Some(provider.map_err(unusable)?);
        }
        if settings.metrics {
            let provider = Self::meter(settings, client, resource).map_err(unusable)?;
            metrics::register(&provider, &otlp.reading);
            otlp.meter = Some(provider);
        }
        Ok(otlp)
    }

    /// What gives spans to the export, if there are to be any.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let tracer: SdkTracer = self.tracer.as_ref()?.tracer("engine");
        Some(
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_context_activation(false)
                .with_location(false)
                .with_threads(false)
                .with_target(false),
        )
    }

    /// Exports the figures of a run from now on.
    pub fn watch(&self, monitor: Monitor) {
        self.reading.watch(monitor);
    }

    /// Sends what is left, as far as the collector takes it in time, and says what was lost.
    pub async fn finish(mut self) {
        let (tracer, meter) = (self.tracer.take(), self.meter.take());
        let flushed = tokio::task::spawn_blocking(move || {
            let meter = meter.map(|meter| std::thread::spawn(move || meter.shutdown()));
            // What comes of it is counted where it is sent.
            _ = tracer.map(|tracer| tracer.shutdown_with_timeout(FLUSH_TIMEOUT));
            _ = meter.map(std::thread::JoinHandle::join);
        });
        // What takes longer is left behind with its threads.
        _ = tokio::time::timeout(FLUSH_TIMEOUT, flushed).await;
        if let (lost @ 1.., spans) = self.figures.lost() {
            tracing::warn!(lost, spans, "spans were not exported");
        }
    }

    fn tracer(
        &self,
        settings: &OtlpSettings,
        client: CollectorClient,
        resource: Resource,
    ) -> Result<SdkTracerProvider, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_endpoint(endpoint(settings, "traces"))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let (figures, course) = (self.figures.clone(), Course::new("spans", client));
        let exporter = Arriving { exporter, figures: figures.clone(), course };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_WAITING_MAX)
            .with_scheduled_delay(SPAN_INTERVAL)
            .build();
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        Ok(SdkTracerProvider::builder()
            .with_span_processor(Counted { queue, figures })
            .with_sampler(Sampling::new(settings.sample_ratio))
            .with_resource(resource)
            .build())
    }

    fn meter(
        settings: &OtlpSettings,
        client: CollectorClient,
        resource: Resource,
    ) -> Result<SdkMeterProvider, ExporterBuildError> {
        let exporter = MetricExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_endpoint(endpoint(settings, "metrics"))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let course = Course::new("metrics", client);
        let exporter = metrics::Arriving { exporter, course };
        let reader = PeriodicReader::builder(exporter).with_interval(settings.interval.0).build();
        Ok(SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build())
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn endpoint(settings: &OtlpSettings, signal: &str) -> String {
    format!("{}/v1/{signal}", settings.endpoint.trim_end_matches('/'))
}

/// What all that is exported is of. What `OTEL_RESOURCE_ATTRIBUTES` says goes before it.
fn resource(pipeline: &str, shard: Shard) -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.name", "engine"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance()),
        KeyValue::new("engine.pipeline", pipeline.to_owned()),
    ];
    if shard.is_part() {
        attributes.push(KeyValue::new("engine.shard", shard.to_string()));
    }
    Resource::builder_empty()
        .with_attributes(attributes)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

/// Tells this process from others: the name of the machine, or of the container, and its number.
fn instance() -> String {
    let process = std::process::id();
    #[cfg(unix)]
    {
        let system = rustix::system::uname();
        format!("{}-{process}", system.nodename().to_string_lossy())
    }
    #[cfg(not(unix))]
    process.to_string()
}
