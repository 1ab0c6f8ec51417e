//! Drives a correlator: events and timers in the order of event time, derived events after their
//! causes.

use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use futures::StreamExt;
use serde_json::Value;

use super::BatchStream;
use super::calls::where_it_may_block;
use super::select::StageContext;
use crate::checkpoint::StageCheckpoint;
use crate::control::{Control, Phase};
use crate::event::{
    BATCH_EVENTS, Batch, BatchBuilder, Event, Ledger, Timestamp, Token, TokenIndex,
};
use crate::stage::{Correlator, Output, StageError};
use crate::state::{State, StateError};

/// The smallest step of event time: what is due before an instant is due at the step before it.
const STEP: Duration = Duration::from_millis(1);

/// How many timers fire before others have their turn.
const TIMERS_IN_A_TURN: usize = 128;

/// Sends every event past the correlator. The input is in the order of event time.
pub(super) fn correlate(
    mut input: BatchStream,
    mut correlator: Box<dyn Correlator>,
    cx: StageContext,
    memory: Memory,
) -> Result<BatchStream, StateError> {
    let Memory { checkpoint, is_new_leg, control } = memory;
    let mut ended = false;
    if let Some(state) = checkpoint.restored() {
        let (had_ended, state): (bool, State) = state.read()?;
        correlator.restore(&state)?;
        ended = had_ended && !is_new_leg;
    }
    cx.account.show_rules(correlator.figures().into_iter().collect());
    cx.account.show_metrics(correlator.metrics().into_iter().collect());
    let (account, blocks) = (Arc::clone(&cx.account), correlator.blocks());
    let ledger = checkpoint.ledger().clone();
    let derived = async_stream::stream! {
        let mut driver = Driver { correlator, cx, ledger, out: Output::default(), absorbed: 0 };
        let opened;
        (driver, opened) = driver.call(|correlator| correlator.open()).await;
        if let Err(error) = opened {
            return driver.cx.break_off(&error, 0);
        }
        let mut watermark = Timestamp::MIN;
        loop {
            let before = watermark;
            let mut work = match input.next().await {
                Some(batch) => {
                    watermark = batch.watermark();
                    if let Some(number) = batch.checkpoint() {
                        checkpoint.note(number, || driver.state(ended));
                        yield batch;
                        continue;
                    }
                    ended &= batch.is_empty();
                    driver.begin(batch)
                }
                // A stream that was stopped is gone on with, if its state is kept: it has not
                // ended. One that ended before a stop, in which nothing came since, has ended once
                // and for all.
                None if ended || checkpoint.is_on() && control.phase() >= Phase::Draining => break,
                None => {
                    ended = true;
                    Work::end(watermark)
                }
            };
            let is_end = work.is_end;
            loop {
                let turn;
                if blocks {
                    let goes_on = move || {
                        let turn = driver.go_on(&mut work);
                        (driver, work, turn)
                    };
                    (driver, work, turn) = where_it_may_block(&account, goes_on).await;
                } else {
                    turn = driver.go_on(&mut work);
                }
                match turn {
                    Turn::Full => yield work.take(before),
                    Turn::Paused => tokio::task::yield_now().await,
                    Turn::Done => {
                        yield work.take(watermark);
                        break;
                    }
                    Turn::Broken => {
                        yield work.take(before);
                        return;
                    }
                }
            }
            if is_end {
                break;
            }
        }
        checkpoint.note_end(|| driver.state(ended));
        let closed;
        (driver, closed) = driver.call(|correlator| correlator.close()).await;
        if let Err(error) = closed {
            driver.cx.break_off(&error, 0);
        }
    };
    Ok(derived.boxed())
}

/// What keeps a correlator's state.
pub(super) struct Memory {
    pub(super) checkpoint: StageCheckpoint,
    /// Whether the run that this one goes on from had come to its end.
    pub(super) is_new_leg: bool,
    pub(super) control: Control,
}

/// The places of the events that the correlator is to look at, or none for all.
type Selected = Option<Peekable<IntoIter<u32>>>;

/// A batch on its way past the correlator, or the end.
struct Work {
    /// Those that it has not seen.
    events: IntoIter<Event>,
    /// The place of the next one in the batch.
    place: u32,
    tokens: Vec<Token>,
    selected: Selected,
    /// Timers are due until then, once the events are through.
    until: Timestamp,
    /// Nothing comes any more.
    is_end: bool,
    /// What goes on.
    builder: BatchBuilder,
}

/// How far a correlator has come.
enum Turn {
    /// What is built is enough for a batch.
    Full,
    /// Others have their turn.
    Paused,
    /// The batch, or the end, is through.
    Done,
    /// It cannot go on, and the run has failed.
    Broken,
}

impl Work {
    /// The end of a stream that has come to this watermark.
    fn end(until: Timestamp) -> Self {
        let (events, builder) = (Vec::new().into_iter(), BatchBuilder::default());
        Self { events, place: 0, tokens: Vec::new(), selected: None, until, is_end: true, builder }
    }

    /// Takes what is built.
    fn take(&mut self, watermark: Timestamp) -> Batch {
        std::mem::take(&mut self.builder).finish(watermark)
    }
}

struct Driver {
    correlator: Box<dyn Correlator>,
    cx: StageContext,
    /// Issues the tokens of events that no event's token covers, such as a timer's.
    ledger: Ledger,
    /// What the correlator said since it was last emptied.
    out: Output,
    /// How many events of the batch it kept to itself.
    absorbed: usize,
}

/// A run that is given up leaves a batch half done; what was absorbed of it is counted all the same.
impl Drop for Driver {
    fn drop(&mut self) {
        self.cx.account.absorb(self.absorbed);
    }
}

impl Driver {
    /// Opens or closes the correlator.
    async fn call(
        mut self,
        call: impl FnOnce(&mut dyn Correlator) -> Result<(), StageError> + Send + 'static,
    ) -> (Self, Result<(), StageError>) {
        let account = Arc::clone(&self.cx.account);
        let calls = move || {
            let result = call(&mut *self.correlator);
            (self, result)
        };
        where_it_may_block(&account, calls).await
    }

    /// What the correlator remembers, and whether its stream has ended.
    fn state(&self, ended: bool) -> State {
        State::of(&(ended, self.correlator.state()))
    }

    /// A batch that comes in.
    fn begin(&mut self, mut batch: Batch) -> Work {
        let selected = self.cx.select(&mut batch).map(|places| places.into_iter().peekable());
        let until = batch.watermark() - STEP;
        let (events, tokens) = batch.into_parts();
        let builder = BatchBuilder::with_capacity(events.len());
        let events = events.into_iter();
        Work { events, place: 0, tokens, selected, until, is_end: false, builder }
    }

    /// Goes on with a batch, or the end, until something else is to be done.
    fn go_on(&mut self, work: &mut Work) -> Turn {
        let account = Arc::clone(&self.cx.account);
        let _working = account.work();
        self.step(work).err().unwrap_or(Turn::Done)
    }

    /// Is through with the batch, unless it has to turn to something else before.
    fn step(&mut self, work: &mut Work) -> Result<(), Turn> {
        let mut timers_left = TIMERS_IN_A_TURN;
        while let Some(next) = work.events.as_slice().first() {
            self.fire(next.time - STEP, &mut timers_left, work)?;
            self.observe(work)?;
        }
        // What was absorbed is let go of now, and not when the next batch is asked for.
        work.tokens = Vec::new();
        self.fire(work.until, &mut timers_left, work)?;
        if work.is_end {
            let unfired = self.correlator.drain(work.until, &mut self.out);
            self.cx.account.leave_timers(unfired);
        } else {
            // Nothing is due until then: it is told how far the time is.
            self.correlator.advance(work.until, &mut self.out);
        }
        self.take_derived(None, &mut work.builder, 0)?;
        self.cx.account.absorb(std::mem::take(&mut self.absorbed));
        self.correlator.end_batch();
        Ok(())
    }

    /// Shows the next event to the correlator, if it is to look at it.
    fn observe(&mut self, work: &mut Work) -> Result<(), Turn> {
        let Some(event) = work.events.next() else { return Ok(()) };
        let Work { place, tokens, selected, builder, .. } = work;
        let is_selected = selected.as_mut().is_none_or(|places| places.next_if_eq(place).is_some());
        *place += 1;
        if !is_selected {
            builder.push(event, tokens);
            return Ok(());
        }
        let result = self.correlator.observe(&event, &mut self.out);
        let is_dropped = std::mem::take(&mut self.out.drops);
        if std::mem::take(&mut self.out.late) {
            self.cx.account.come_late();
        }
        self.unless_broken(1 + work.events.len())?;
        if let Err(failure) = result {
            self.out.events.clear();
            self.cx.fail([(&event, &failure)]);
            return Ok(());
        }
        if is_dropped {
            self.cx.filter(std::iter::once(&event));
        } else if self.correlator.passes_through() {
            work.builder.push(event, &work.tokens);
        } else {
            self.absorbed += 1;
        }
        self.take_derived(Some(&work.tokens), &mut work.builder, 0)
    }

    /// Fires the timers that are due until an instant. They may set each other without end: a
    /// batch that is full goes first, and so do others.
    fn fire(
        &mut self,
        until: Timestamp,
        timers_left: &mut usize,
        work: &mut Work,
    ) -> Result<(), Turn> {
        while let Some(due) = self.correlator.next_timer().filter(|due| *due <= until) {
            *timers_left = timers_left.checked_sub(1).ok_or(Turn::Paused)?;
            self.correlator.advance(due, &mut self.out);
            let before = work.builder.len();
            self.take_derived(None, &mut work.builder, work.events.len())?;
            if work.builder.len() > before && work.builder.len() >= BATCH_EVENTS {
                return Err(Turn::Full);
            }
        }
        Ok(())
    }

    /// Fails the run if the correlator cannot go on; then so many events are left undone.
    fn unless_broken(&mut self, lost: usize) -> Result<(), Turn> {
        let Some(error) = self.out.broken.take() else { return Ok(()) };
        self.out.events.clear();
        self.cx.break_off(&error, lost);
        Err(Turn::Broken)
    }

    /// Takes what was derived, under the tokens of its cause, or under one of its own where state
    /// was the cause. `left` events have not been seen.
    fn take_derived(
        &mut self,
        tokens: Option<&[Token]>,
        builder: &mut BatchBuilder,
        left: usize,
    ) -> Result<(), Turn> {
        self.unless_broken(left)?;
        if self.out.events.is_empty() && self.out.failures.is_empty() {
            return Ok(());
        }
        self.cx.account.derive(self.out.events.len());
        let own = match tokens {
            None if !self.out.events.is_empty() => Some([self.ledger.issue(Value::Null)]),
            _ => None,
        };
        for mut event in self.out.events.drain(..) {
            match &own {
                Some(own) => {
                    event.token = TokenIndex::default();
                    builder.push(event, own);
                }
                None => builder.push(event, tokens.unwrap_or_default()),
            }
        }
        for failure in self.out.failures.drain(..) {
            self.cx.failures.rule(&failure);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
