//! A lane: one write on its way at a time, so that what is in it keeps its order.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::attempt::{Attempts, Course, Step, Undelivered};
use super::backoff::Backoff;
use super::buffer::{Buffer, Held};
use crate::control::Phase;
use crate::event::{Batch, BatchBuilder, Event};

/// Sends one part of a sink's events after the other, each until its fate is known.
pub(super) struct Lane<'a> {
    attempts: &'a Attempts,
    backoff: Backoff,
    /// Done when nothing is to be sent any more.
    keeping: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(attempts: &'a Attempts, backoff: Backoff) -> Self {
        let keeping = Box::pin(attempts.control.reached(Phase::Keeping));
        Self { attempts, backoff, keeping }
    }

    pub(super) async fn send(mut self, parts: impl Stream<Item = Held>) {
        let mut parts = std::pin::pin!(parts);
        while let Some(held) = parts.next().await {
            self.deliver(Undelivered::new(held)).await;
            // Where no sink and no buffer makes it wait, the task has to offer its turn.
            tokio::task::consume_budget().await;
        }
    }

    /// What fails stays at the head of the lane, so that nothing overtakes it.
    async fn deliver(&mut self, mut left: Undelivered) {
        loop {
            match self.attempts.course() {
                Course::Send => {}
                Course::Keep => return self.attempts.keep(&left),
                Course::Drop => return self.attempts.drop_closed(&left),
            }
            let step = tokio::select! {
                biased;
                step = self.attempts.attempt(&mut left) => step,
                // What was on its way is of unknown fate; it is kept, and may come twice.
                () = &mut self.keeping => continue,
            };
            match step {
                Step::Done => return,
                Step::Next => {}
                Step::Again(hint) => {
                    let wait = self.backoff.wait(left.attempts, hint);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = &mut self.keeping => {}
                    }
                }
            }
        }
    }
}

/// Deals a buffer's batches out over lanes.
pub(super) async fn deal(buffer: Arc<dyn Buffer>, lanes: Vec<mpsc::Sender<Held>>) {
    if lanes.is_empty() {
        return;
    }
    while let Some(held) = buffer.next().await {
        let receipt = held.receipt;
        for (lane, batch) in lanes.iter().zip(split(held.batch, lanes.len())) {
            if !batch.is_empty() {
                // A lane ends after this, never before.
                let _ = lane.send(Held { batch, receipt }).await;
            }
        }
    }
}

/// A part of the batch for each lane.
fn split(batch: Batch, lanes: usize) -> Vec<Batch> {
    let watermark = batch.watermark();
    let (events, tokens) = batch.into_parts();
    let mut parts: Vec<BatchBuilder> = (0..lanes).map(|_| BatchBuilder::default()).collect();
    for event in events {
        parts[lane_of(&event, lanes)].push(event, &tokens);
    }
    parts.into_iter().map(|part| part.finish(watermark)).collect()
}

/// By the partition key, so that its events keep their order; where there is none nothing asks for
/// an order, and the trace id spreads them. The same in every process.
fn lane_of(event: &Event, lanes: usize) -> usize {
    let key = event.partition_key.as_ref().unwrap_or(&event.trace_id);
    key.with_str(|key| crc32fast::hash(key.as_bytes())) as usize % lanes
}
