//! A run of so many source events: counted over all sources in the order of their times, so that
//! the same run ends with the same event, however the sources were scheduled.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::merge::merge_apart;
use super::{BatchStream, CHANNEL_BATCHES};
use crate::event::Batch;

/// Lets as many events through as the run may have.
pub(super) struct Budget {
    events: Option<u64>,
    inputs: Vec<BatchStream>,
    outputs: Vec<mpsc::Sender<Batch>>,
}

impl Budget {
    /// A budget of so many events, or without a bound.
    pub(super) fn new(events: Option<u64>) -> Self {
        Self { events, inputs: Vec::new(), outputs: Vec::new() }
    }

    /// The same stream, cut off when the budget is used up.
    pub(super) fn limit(&mut self, stream: BatchStream) -> BatchStream {
        if self.events.is_none() {
            return stream;
        }
        let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
        self.inputs.push(stream);
        self.outputs.push(sender);
        ReceiverStream::new(receiver).boxed()
    }

    /// What has to run while the streams are read.
    pub(super) fn into_task(self, idle_timeout: Duration) -> Option<BoxFuture<'static, ()>> {
        let left = self.events?;
        Some(share_out(left, self.inputs, self.outputs, idle_timeout).boxed())
    }
}

async fn share_out(
    mut left: u64,
    inputs: Vec<BatchStream>,
    outputs: Vec<mpsc::Sender<Batch>>,
    idle_timeout: Duration,
) {
    let mut merged = Box::pin(merge_apart(inputs, idle_timeout));
    while left > 0 {
        let Some((owner, mut batch)) = merged.next().await else { return };
        // The last event's time is the end, however far the sources happened to be read.
        if batch.len() as u64 >= left {
            let mut place = 0;
            let watermark = batch.events()[left as usize - 1].time;
            batch = batch
                .split_off(|_| {
                    place += 1;
                    place <= left
                })
                .with_watermark(watermark);
        }
        left -= batch.len() as u64;
        for (place, output) in outputs.iter().enumerate() {
            let share =
                if place == owner { batch.clone() } else { Batch::progress(batch.watermark()) };
            // A reader that is gone has had enough; the others go on.
            let _ = output.send(share).await;
        }
    }
}
