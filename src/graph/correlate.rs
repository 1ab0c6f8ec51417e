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
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoints;
    use crate::event::{INVENTORY_UPDATED, RECEIPT_CREATED, REORDER_TRIGGERED, Text};
    use crate::failure::Failure;
    use crate::graph::select::StageContext;
    use futures::stream;
    use serde_json::json;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn event(millis: i64) -> Event {
        Event::new(RECEIPT_CREATED, Text::from(format!("at {millis}")), at(millis))
    }

    /// Derives an event at once, and another one ten milliseconds later; fails on event time 13.
    #[derive(Default)]
    struct Echo {
        timers: std::collections::VecDeque<Timestamp>,
        absorbs: bool,
    }

    impl Correlator for Echo {
        fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
            let id = Text::from(format!("from {}", event.time.as_millis()));
            out.events.push(Event::caused_by(event, INVENTORY_UPDATED, id));
            if event.time == at(13) {
                return Err(Failure::new("script", "thirteen"));
            }
            self.timers.push_back(event.time + Duration::from_millis(10));
            Ok(())
        }

        fn next_timer(&self) -> Option<Timestamp> {
            self.timers.front().copied()
        }

        fn advance(&mut self, until: Timestamp, out: &mut Output) {
            while let Some(due) = self.timers.front().copied().filter(|due| *due <= until) {
                self.timers.pop_front();
                let id = Text::from(format!("timer {}", due.as_millis()));
                out.events.push(Event::new(REORDER_TRIGGERED, id, due));
            }
        }

        fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
            self.timers.len() as u64
        }

        fn state(&self) -> State {
            State::of(&self.timers)
        }

        fn restore(&mut self, state: &State) -> Result<(), StateError> {
            self.timers = state.read()?;
            Ok(())
        }

        fn passes_through(&self) -> bool {
            !self.absorbs
        }
    }

    fn memory() -> Memory {
        let checkpoint = Checkpoints::off().stage("rule", "");
        Memory { checkpoint, is_new_leg: false, control: Control::new() }
    }

    async fn run(input: Vec<Batch>, correlator: Echo) -> (Vec<String>, crate::monitor::Tally) {
        let cx = StageContext::for_test();
        let account = cx.account.clone();
        let output =
            correlate(stream::iter(input).boxed(), Box::new(correlator), cx, memory()).unwrap();
        let batches = output.collect::<Vec<_>>().await;
        let events = batches.iter().flat_map(Batch::events);
        (events.map(|event| event.trace_id.to_string()).collect(), account.tally())
    }

    #[tokio::test]
    async fn derived_events_follow_their_cause_and_timers_fire_at_their_time() {
        let batch = |times: &[i64], watermark| {
            Batch::new(times.iter().map(|time| event(*time)).collect(), at(watermark), None)
        };
        let (events, tally) =
            run(vec![batch(&[0, 5, 10, 11], 12), Batch::progress(at(20))], Echo::default()).await;
        let expected = [
            "at 0", "from 0", "at 5", "from 5", "at 10", "from 10", "timer 10", "at 11", "from 11",
            "timer 15", "timer 20",
        ];
        assert_eq!(events, expected, "an event at the instant of a timer is seen before it fires");
        assert_eq!((tally.derived, tally.unfired_timers), (7, 1));
    }

    #[tokio::test]
    async fn an_event_that_fails_leaves_nothing_derived_behind() {
        let input = Batch::new(vec![event(12), event(13), event(14)], at(14), None);
        let (events, tally) = run(vec![input], Echo::default()).await;
        assert_eq!(events, ["at 12", "from 12", "at 14", "from 14"]);
        assert_eq!(tally.losses(), 1);
    }

    #[tokio::test]
    async fn absorbed_events_are_counted_and_let_their_token_go_with_what_is_derived() {
        let ledger = Ledger::new();
        let input = Batch::new(vec![event(1)], at(1), Some(ledger.issue(json!(1))));
        let cx = StageContext::for_test();
        let account = cx.account.clone();
        let correlator = Box::new(Echo { absorbs: true, ..Echo::default() });
        let mut output =
            correlate(stream::iter([input]).boxed(), correlator, cx, memory()).unwrap();
        let batch = output.next().await.unwrap();
        assert_eq!((batch.len(), account.tally().absorbed), (1, 1));
        assert_eq!(ledger.outstanding(), 1, "the derived event shares the token");
        drop(batch);
        assert_eq!(ledger.outstanding(), 0);
    }

    /// Drops every other event, and says of each that it is late.
    struct Picky(usize);

    impl Correlator for Picky {
        fn observe(&mut self, _: &Event, out: &mut Output) -> Result<(), Failure> {
            self.0 += 1;
            (out.drops, out.late) = (self.0.is_multiple_of(2), true);
            Ok(())
        }

        fn next_timer(&self) -> Option<Timestamp> {
            None
        }

        fn advance(&mut self, until: Timestamp, out: &mut Output) {
            let id = Text::from(format!("passed {}", until.as_millis()));
            out.events.push(Event::new(REORDER_TRIGGERED, id, until));
        }

        fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
            0
        }

        fn state(&self) -> State {
            State::none()
        }

        fn restore(&mut self, _: &State) -> Result<(), StateError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_a_correlator_drops_is_filtered_and_what_is_late_is_counted_beside() {
        let cx = StageContext::for_test();
        let account = cx.account.clone();
        let input = Batch::new((1..=5).map(event).collect(), at(9), None);
        let output =
            correlate(stream::iter([input]).boxed(), Box::new(Picky(0)), cx, memory()).unwrap();
        let batches = output.collect::<Vec<_>>().await;
        let events = batches.iter().flat_map(Batch::events);
        let ids: Vec<String> = events.map(|event| event.trace_id.to_string()).collect();
        assert_eq!(ids[..3], ["at 1", "at 3", "at 5"]);
        assert_eq!(ids[3..], ["passed 8"], "it hears how far the time is");
        let tally = account.tally();
        assert_eq!((tally.filtered, tally.late, tally.absorbed), (2, 5, 0));
    }

    #[tokio::test]
    async fn however_many_timers_fire_between_two_events_batches_stay_small() {
        let timers = (0..10_000).map(at).collect();
        let input = vec![Batch::new(vec![event(20_000)], at(20_001), None)];
        let cx = StageContext::for_test();
        let rule = Box::new(Echo { timers, ..Echo::default() });
        let output = correlate(stream::iter(input).boxed(), rule, cx, memory()).unwrap();
        let batches = output.collect::<Vec<_>>().await;
        assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 10_002);
        assert!(batches.iter().all(|batch| batch.len() <= BATCH_EVENTS + 2));
        let mut watermark = Timestamp::MIN;
        for batch in &batches {
            assert!(batch.events().iter().all(|event| event.time >= watermark));
            watermark = batch.watermark();
        }
    }
}
