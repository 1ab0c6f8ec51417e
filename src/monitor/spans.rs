//! Spans for whoever traces a run: of each stage, of each batch that it makes, and of each attempt to
//! deliver. Whether anybody traces is asked once, when the pipeline is wired.

use std::task::Poll;

use futures::StreamExt;
use futures::stream::{BoxStream, poll_fn};
use tracing::field::Empty;
use tracing::{Span, debug_span};

use super::Account;
use crate::event::Batch;

/// The target of all spans, at debug.
pub const SPANS: &str = "engine::spans";

/// The span of a stage, from its wiring to its end; disabled where nobody traces.
#[derive(Clone, Debug)]
pub struct StageSpan {
    span: Span,
    stage: String,
}

impl StageSpan {
    /// Begins with the stage.
    pub fn begin(account: &Account) -> Self {
        let (stage, kind) = (account.stage.clone(), account.kind.singular());
        let component = account.component.as_str();
        let span = debug_span!(target: SPANS, parent: None, "stage", stage, kind, component);
        Self { span, stage }
    }

    /// Whether somebody traces.
    pub fn is_enabled(&self) -> bool {
        !self.span.is_disabled()
    }

    /// The span itself, for work that belongs to no single batch.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The same stream, each batch of it in a span where somebody traces: from when the stage is
    /// first asked for it to when it is there. Batches without events have none of their own.
    pub fn traced(&self, mut stream: BoxStream<'static, Batch>) -> BoxStream<'static, Batch> {
        if !self.is_enabled() {
            return stream;
        }
        let stage = self.clone();
        let mut asked_for: Option<Span> = None;
        let traced = poll_fn(move |cx| {
            let span = asked_for.get_or_insert_with(|| stage.batch());
            let asked = span.in_scope(|| stream.poll_next_unpin(cx));
            match &asked {
                Poll::Ready(Some(batch)) if !batch.is_empty() => {
                    span.record("events", batch.len());
                    asked_for = None;
                }
                Poll::Ready(None) => asked_for = None,
                Poll::Ready(Some(_)) | Poll::Pending => {}
            }
            asked
        });
        traced.boxed()
    }

    /// A stage asks its inputs in its turn, so the spans of their batches are within this one.
    fn batch(&self) -> Span {
        let span = debug_span!(target: SPANS, "batch", stage = self.stage, events = Empty);
        span.follows_from(&self.span);
        span
    }

    /// The span of an attempt to deliver, until the receiver has answered.
    pub fn delivery(&self, events: usize, attempt: u32) -> Span {
        let span = debug_span!(
            target: SPANS, parent: None, "deliver",
            stage = self.stage, events, attempt, outcome = Empty, otel.kind = "producer",
            otel.status_code = Empty,
        );
        span.follows_from(&self.span);
        span
    }

    /// Enters how an attempt ended: with `delivered`, `partly`, `retry`, `rejected` or `closed`.
    pub fn end_delivery(delivery: &Span, outcome: &'static str) {
        delivery.record("outcome", outcome);
        if outcome == "retry" || outcome == "rejected" {
            delivery.record("otel.status_code", "ERROR");
        }
    }
}

#[cfg(test)]
impl StageSpan {
    /// Where nobody traces.
    pub(crate) fn for_test() -> Self {
        Self { span: Span::none(), stage: String::new() }
    }
}
