//! Which spans are exported, and how many are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SamplingResult, ShouldSample, Span, SpanData, SpanExporter,
    SpanProcessor,
};

use super::client::CollectorClient;

/// A share of all traces; those that consist of a stage's span are all sent.
#[derive(Clone, Debug)]
pub(super) struct Sampling(Sampler);

impl Sampling {
    pub(super) fn new(ratio: f64) -> Self {
        Self(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
    }
}

impl ShouldSample for Sampling {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if name == "stage" { &Sampler::AlwaysOn } else { &self.0 };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// How the export of something goes: said once when it fails, and once when it is well again.
#[derive(Debug)]
pub(super) struct Course {
    what: &'static str,
    client: CollectorClient,
    is_failing: AtomicBool,
}

impl Course {
    pub(super) fn new(what: &'static str, client: CollectorClient) -> Self {
        Self { what, client, is_failing: AtomicBool::new(false) }
    }

    pub(super) fn note(&self, exported: &OTelSdkResult) {
        let was_failing = self.is_failing.swap(exported.is_err(), Relaxed);
        let what = self.what;
        match (was_failing, exported) {
            (false, Err(error)) => {
                let reason = self.client.failure().unwrap_or_else(|| error.to_string());
                tracing::warn!(
                    "the collector does not take {what}, which are lost from now on: {reason}"
                );
            }
            (true, Ok(())) => tracing::info!("the collector takes {what} again"),
            (true, Err(_)) | (false, Ok(())) => {}
        }
    }
}

/// How many spans there were to export, and how many of them were.
#[derive(Debug, Default)]
pub(super) struct SpanFigures {
    ended: AtomicU64,
    exported: AtomicU64,
}

impl SpanFigures {
    /// Those that were not exported, and all.
    pub(super) fn lost(&self) -> (u64, u64) {
        let ended = self.ended.load(Relaxed);
        (ended.saturating_sub(self.exported.load(Relaxed)), ended)
    }
}

/// Counts what goes into the queue before the export, which drops what it has no room for.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) queue: BatchSpanProcessor,
    pub(super) figures: Arc<SpanFigures>,
}

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.queue.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.figures.ended.fetch_add(1, Relaxed);
            self.queue.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// Names a span after its stage, too: that is what lists of traces show.
fn name(span: &mut SpanData) {
    let stage = span.attributes.iter().find(|attribute| attribute.key.as_str() == "stage");
    if let Some(stage) = stage {
        span.name = format!("{} {}", span.name, stage.value).into();
    }
}

/// Counts what comes out of it, and has arrived.
#[derive(Debug)]
pub(super) struct Arriving<E> {
    pub(super) exporter: E,
    pub(super) figures: Arc<SpanFigures>,
    pub(super) course: Course,
}

impl<E: SpanExporter> SpanExporter for Arriving<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        batch.iter_mut().for_each(name);
        let exported = self.exporter.export(batch).await;
        if exported.is_ok() {
            self.figures.exported.fetch_add(spans, Relaxed);
        }
        self.course.note(&exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
