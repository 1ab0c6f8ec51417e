//! A run of so many source events: counted over all sources in the order of their times, so that
//! the same run ends with the same event, however the sources were scheduled.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::merge::{Merged, Merger, Patience, Remainder, merge_apart};
use super::{BatchStream, CHANNEL_BATCHES};
use crate::checkpoint::{Checkpoints, StageCheckpoint};
use crate::control::Control;
use crate::event::Batch;
use crate::state::{State, StateError};

/// What the budget's part in the checkpoints is called: no stage is called so.
const PART: &str = "/events";

/// Lets as many events through as the run may have.
pub(super) struct Budget {
    events: Option<u64>,
    inputs: Vec<BatchStream>,
    outputs: Vec<mpsc::Sender<Batch>>,
    enough: Enough,
    checkpoint: Option<StageCheckpoint>,
}

/// Tells the sources that the run has all the events that it wants.
#[derive(Clone)]
pub(super) struct Enough(Arc<watch::Sender<bool>>);

impl Enough {
    /// Waits until there are enough.
    pub(super) async fn reached(&self) {
        let mut enough = self.0.subscribe();
        // The sender lives as long as this, so waiting cannot fail.
        let _ = enough.wait_for(|enough| *enough).await;
    }
}

impl Budget {
    /// A budget of so many events, or without a bound.
    /// Where another run was bounded, this one goes on with what that one had read too much.
    pub(super) fn new(events: Option<u64>, checkpoints: &Checkpoints, control: &Control) -> Self {
        let events = events.or(checkpoints.restores(PART).then_some(u64::MAX));
        let checkpoint = events.map(|_| checkpoints.stage(PART, ""));
        if let Some(own) = &checkpoint {
            control.watch_over(own.ledger().clone());
        }
        let enough = Enough(Arc::new(watch::Sender::new(false)));
        Self { events, checkpoint, inputs: Vec::new(), outputs: Vec::new(), enough }
    }

    /// What tells the sources to stop.
    pub(super) fn enough(&self) -> Enough {
        self.enough.clone()
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

    /// What has to run while the streams are read. What was read beyond the budget is kept for the
    /// run that goes on from this one; so is what is left of it, should this one be cut short.
    pub(super) fn into_task(
        self,
        patience: Patience,
        until_next_run: Remainder,
    ) -> Result<Option<BoxFuture<'static, ()>>, StateError> {
        let (Some(events), Some(checkpoint)) = (self.events, self.checkpoint) else {
            return Ok(None);
        };
        let restored = checkpoint.restored();
        let (left, held) = match restored {
            Some(state) => state.read::<(u64, State)>().map(|(left, held)| (left, Some(held)))?,
            None => (events, None),
        };
        let merger = Merger::restored(self.inputs.len(), held.as_ref(), checkpoint.ledger())?;
        let sources = merge_apart(self.inputs, patience, merger, until_next_run);
        // A run that had all its events is followed by one that has as many again.
        let left = if left == 0 { events } else { left.min(events) };
        Ok(Some(share_out(left, sources, self.outputs, self.enough, checkpoint).boxed()))
    }
}

async fn share_out(
    mut left: u64,
    mut merged: Merged,
    outputs: Vec<mpsc::Sender<Batch>>,
    enough: Enough,
    checkpoint: StageCheckpoint,
) {
    while left > 0 {
        let Some((owner, mut batch)) = merged.next().await else { break };
        if let Some(number) = batch.checkpoint() {
            checkpoint.note(number, || state(left, &merged));
            for output in &outputs {
                let _ = output.send(batch.clone()).await;
            }
            continue;
        }
        // The last event's time is the end, however far the sources happened to be read.
        if batch.len() as u64 >= left {
            let mut place = 0;
            let watermark = batch.events()[left as usize - 1].time;
            let wanted = batch.split_off(|_| {
                place += 1;
                place <= left
            });
            merged.merger.put_back(owner, batch);
            batch = wanted.with_watermark(watermark);
        }
        left -= batch.len() as u64;
        for (place, output) in outputs.iter().enumerate() {
            let share =
                if place == owner { batch.clone() } else { Batch::progress(batch.watermark()) };
            // A reader that is gone has had enough; the others go on.
            let _ = output.send(share).await;
        }
    }
    enough.0.send_replace(true);
    drop(outputs);
    merged.close().await;
    checkpoint.note_end(|| state(left, &merged));
    if !checkpoint.is_on() {
        merged.merger.withhold();
    }
}

fn state(left: u64, merged: &Merged) -> State {
    State::of(&(left, merged.merger.state()))
}
