//! Several streams to one, in the order of (event time, place in `inputs`, position), up to the
//! lowest watermark. The result depends on the inputs, never on scheduling.

mod inputs;
mod merger;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, timeout};

use self::inputs::{Arrival, Inputs};
pub(super) use self::merger::Merger;
use super::BatchStream;
use crate::checkpoint::{Checkpoints, StageCheckpoint};
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::event::{Batch, Timestamp};
use crate::monitor::Account;
use crate::state::StateError;

/// How often it is looked whether a paused run goes on.
const PAUSED_LOOK: Duration = Duration::from_millis(100);

/// How long an input may say nothing until it stops holding the others back. Time in which the run is
/// paused does not count, since nobody can speak then.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) timeout: Duration,
    pub(super) clock: Clock,
}

/// Brings inputs into one order. An input that says nothing for too long stops holding the others
/// back until it speaks again.
pub(super) fn merge(
    inputs: Vec<BatchStream>,
    patience: Patience,
    checkpoint: StageCheckpoint,
    remainder: Remainder,
    account: &Arc<Account>,
) -> Result<BatchStream, StateError> {
    let merger = Merger::restored(inputs.len(), checkpoint.restored(), checkpoint.ledger())?;
    account.recover(merger.held());
    let ordered = Merged::new(inputs, patience, false, merger, remainder);
    Ok(noting(ordered, checkpoint, Arc::clone(account)).map(|(_, batch)| batch).boxed())
}

/// No order: batches as they come, each with the lowest watermark of the inputs that are open, or
/// with the greatest of all once none is. An input that says nothing for too long, while it is
/// waited for, does not hold the watermark back until it speaks again.
pub(super) fn as_they_come(inputs: Vec<BatchStream>, patience: Patience) -> BatchStream {
    let Patience { timeout: idle_timeout, clock } = patience;
    let mut watermarks = vec![Timestamp::MIN; inputs.len()];
    let mut silences = vec![Duration::ZERO; inputs.len()];
    let (mut greatest, mut told) = (Timestamp::MIN, Timestamp::MIN);
    let mut inputs = Inputs::new(inputs);
    async_stream::stream! {
        loop {
            let asked = clock.going();
            let arrival = timeout(idle_timeout, poll_fn(|cx| inputs.poll(cx, |_| true))).await;
            for silence in &mut silences {
                *silence += clock.going().saturating_sub(asked);
            }
            match &arrival {
                Ok(None) => break,
                Ok(Some(Arrival::Closed(place))) => watermarks[*place] = Timestamp::MAX,
                Ok(Some(Arrival::Batch(place, batch))) => {
                    greatest = greatest.max(batch.watermark());
                    watermarks[*place] = batch.watermark();
                    silences[*place] = Duration::ZERO;
                }
                Ok(Some(Arrival::Barrier(_))) | Err(_) => {}
            }
            let spoke = |(_, silence): &(&Timestamp, &Duration)| **silence < idle_timeout;
            let waited_for = watermarks.iter().zip(&silences).filter(spoke);
            let lowest = waited_for.fold(greatest, |least, (watermark, _)| least.min(*watermark));
            let has_moved = lowest > told;
            told = told.max(lowest);
            match arrival {
                Ok(Some(Arrival::Barrier(checkpoint))) => yield Batch::barrier(checkpoint, told),
                Ok(Some(Arrival::Batch(_, batch))) => yield batch.with_watermark(told),
                _ if has_moved => yield Batch::progress(told),
                _ => {}
            }
        }
    }
    .boxed()
}

/// The same order, in runs of events of one input, each with the place of that input.
pub(super) fn merge_apart(
    inputs: Vec<BatchStream>,
    patience: Patience,
    merger: Merger,
    remainder: Remainder,
) -> Merged {
    Merged::new(inputs, patience, true, merger, remainder)
}

/// One stream in order of event time, where events of a batch may be ahead of its watermark or
/// stray behind each other.
pub(super) fn in_order(
    mut input: BatchStream,
    checkpoint: StageCheckpoint,
    remainder: Remainder,
    account: &Arc<Account>,
) -> Result<BatchStream, StateError> {
    let account = Arc::clone(account);
    let mut merger = Merger::restored(1, checkpoint.restored(), checkpoint.ledger())?;
    account.recover_inside(merger.held());
    let ordered = async_stream::stream! {
        while let Some(batch) = input.next().await {
            if let Some(number) = batch.checkpoint() {
                checkpoint.note(number, || merger.state());
                yield batch.with_watermark(merger.told);
                continue;
            }
            if merger.passes(&batch) {
                yield batch;
                continue;
            }
            merger.push(0, batch);
            while let Some((_, batch)) = merger.take(false) {
                yield batch;
            }
        }
        if !remainder.is_due() {
            merger.close(0);
        }
        while let Some((_, batch)) = merger.take(false) {
            yield batch;
        }
        account.absorb(merger.held());
        checkpoint.note_end(|| merger.state());
    };
    Ok(ordered.boxed())
}

/// Notes what is held wherever a barrier passes, and at the end.
fn noting(
    mut merged: Merged,
    checkpoint: StageCheckpoint,
    account: Arc<Account>,
) -> impl Stream<Item = (usize, Batch)> + Send {
    async_stream::stream! {
        while let Some((place, batch)) = merged.next().await {
            if let Some(number) = batch.checkpoint() {
                checkpoint.note(number, || merged.merger.state());
            }
            yield (place, batch);
        }
        account.leave(merged.merger.held());
        checkpoint.note_end(|| merged.merger.state());
    }
}

/// Whether what is not settled stays for the run that goes on from this one, once it is stopped.
#[derive(Clone)]
pub(super) struct Remainder(Option<(Checkpoints, Control)>);

impl Remainder {
    /// It does where states are kept.
    pub(super) fn new(checkpoints: &Checkpoints, control: &Control) -> Self {
        Self(checkpoints.are_on().then(|| (checkpoints.clone(), control.clone())))
    }

    fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|(checkpoints, control)| {
            checkpoints.are_on() && control.phase() >= Phase::Draining
        })
    }
}

/// Inputs in one order; a barrier comes once all of them have come to it.
pub(super) struct Merged {
    inputs: Inputs,
    pub(super) merger: Merger,
    /// Whether a batch has events of one input only.
    apart: bool,
    remainder: Remainder,
    /// How long each input has said nothing while it was waited for: time in which nobody asked
    /// for a batch is no silence of theirs.
    silences: Vec<Duration>,
    /// Since when inputs are waited for, if they are, on the clock's going time.
    waits: Option<Duration>,
    idle: Pin<Box<Sleep>>,
    patience: Patience,
}

impl Stream for Merged {
    type Item = (usize, Batch);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            this.note_silence();
            if let Some(batch) = this.merger.take(this.apart) {
                return Poll::Ready(Some(batch));
            }
            let Merged { inputs, merger, .. } = this;
            let Poll::Ready(arrival) = inputs.poll(cx, |place| merger.wants(place)) else {
                ready!(this.wait(cx));
                continue;
            };
            match arrival {
                None => return Poll::Ready(None),
                Some(Arrival::Batch(place, batch)) => {
                    this.silences[place] = Duration::ZERO;
                    this.merger.push(place, batch);
                }
                // What is ahead of an input that was stopped waits for the rest of that input.
                Some(Arrival::Closed(_)) if this.remainder.is_due() => {}
                Some(Arrival::Closed(place)) => this.merger.close(place),
                Some(Arrival::Barrier(checkpoint)) => {
                    return Poll::Ready(Some((0, Batch::barrier(checkpoint, this.merger.told))));
                }
            }
        }
    }
}

impl Merged {
    fn new(
        inputs: Vec<BatchStream>,
        patience: Patience,
        apart: bool,
        merger: Merger,
        remainder: Remainder,
    ) -> Self {
        Self {
            silences: vec![Duration::ZERO; inputs.len()],
            waits: None,
            idle: Box::pin(tokio::time::sleep(patience.timeout)),
            patience,
            inputs: Inputs::new(inputs),
            merger,
            apart,
            remainder,
        }
    }

    /// Takes in what comes until all inputs have ended; it stays held.
    pub(super) async fn close(&mut self) {
        let Self { inputs, merger, .. } = self;
        while let Some(arrival) = poll_fn(|cx| inputs.poll(cx, |_| true)).await {
            if let Arrival::Batch(place, batch) = arrival {
                merger.push(place, batch);
            }
        }
    }

    /// Enters how long the inputs were waited for just now.
    fn note_silence(&mut self) {
        let Some(since) = self.waits.take() else { return };
        let waited = self.patience.clock.going().saturating_sub(since);
        for (place, silence) in self.silences.iter_mut().enumerate() {
            if self.inputs.asks(place, |place| self.merger.wants(place)) {
                *silence += waited;
            }
        }
    }

    /// Waits until something comes, or until an input that holds the others back has said nothing
    /// for the idle timeout. Each input has a time of its own: what others say does not lengthen it.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let asked = |place: &usize| {
            self.merger.holds_back(*place)
                && self.inputs.asks(*place, |place| self.merger.wants(place))
        };
        let longest = (0..self.silences.len()).filter(asked).max_by_key(|it| self.silences[*it]);
        self.waits = Some(self.patience.clock.going());
        let Some(longest) = longest else { return Poll::Pending };
        let left = self.patience.timeout.saturating_sub(self.silences[longest]);
        if left.is_zero() {
            self.merger.ignore(longest);
            return Poll::Ready(());
        }
        // While the run is paused that does not get less, and is looked at now and then.
        let left = if self.patience.clock.is_paused() { left.max(PAUSED_LOOK) } else { left };
        self.idle.as_mut().reset(Instant::now() + left);
        self.idle.as_mut().poll(cx)
    }
}
