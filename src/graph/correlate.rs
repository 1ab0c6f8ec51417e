//! Drives a correlator: events and timers in the order of event time, derived events after their
//! causes.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::BatchStream;
use super::select::StageContext;
use crate::checkpoint::StageCheckpoint;
use crate::control::{Control, Phase};
use crate::event::{Batch, BatchBuilder, Event, Ledger, Timestamp, Token, TokenIndex};
use crate::stage::{Correlator, Output};
use crate::state::StateError;

/// The smallest step of event time: what is due before an instant is due at the step before it.
const STEP: Duration = Duration::from_millis(1);

/// Sends every event past the correlator. The input is in the order of event time.
pub(super) fn correlate(
    mut input: BatchStream,
    mut correlator: Box<dyn Correlator>,
    cx: StageContext,
    memory: Memory,
) -> Result<BatchStream, StateError> {
    let Memory { checkpoint, ledger, control } = memory;
    if let Some(state) = checkpoint.restored() {
        correlator.restore(state)?;
    }
    let derived = async_stream::stream! {
        let mut driver = Driver { correlator, cx, ledger, out: Output::default() };
        let mut watermark = Timestamp::MIN;
        while let Some(batch) = input.next().await {
            watermark = batch.watermark();
            if let Some(number) = batch.checkpoint() {
                checkpoint.note(number, || driver.correlator.state(), Some(&driver.ledger));
                yield batch;
                continue;
            }
            yield driver.observe(batch).await;
        }
        // A stream that was stopped is gone on with, if its state is kept: it has not ended.
        if !(checkpoint.is_on() && control.phase() >= Phase::Draining) {
            yield driver.finish(watermark).await;
        }
        checkpoint.note_end(|| driver.correlator.state(), Some(&driver.ledger));
    };
    Ok(derived.boxed())
}

/// What keeps a correlator's state.
pub(super) struct Memory {
    pub(super) checkpoint: StageCheckpoint,
    /// Issues the tokens of events that no event's token covers, such as a timer's.
    pub(super) ledger: Ledger,
    pub(super) control: Control,
}

struct Driver {
    correlator: Box<dyn Correlator>,
    cx: StageContext,
    ledger: Ledger,
    /// What the correlator said since it was last emptied.
    out: Output,
}

impl Driver {
    async fn observe(&mut self, mut batch: Batch) -> Batch {
        let selected = self.cx.select(&mut batch);
        let watermark = batch.watermark();
        let (events, tokens) = batch.into_parts();
        let mut builder = BatchBuilder::with_capacity(events.len());
        let mut selected = selected.map(|places| places.into_iter().peekable());
        for (place, event) in events.into_iter().enumerate() {
            if self.is_due(event.time - STEP) {
                self.fire_timers(event.time - STEP, &mut builder).await;
            }
            let is_selected =
                selected.as_mut().is_none_or(|places| places.next_if_eq(&(place as u32)).is_some());
            if is_selected {
                self.one(event, &tokens, &mut builder);
            } else {
                builder.push(event, &tokens);
            }
        }
        self.fire_timers(watermark - STEP, &mut builder).await;
        builder.finish(watermark)
    }

    fn one(&mut self, event: Event, tokens: &[Token], builder: &mut BatchBuilder) {
        if let Err(failure) = self.correlator.observe(&event, &mut self.out) {
            self.out.events.clear();
            self.cx.failures.event(&event, &failure);
            return;
        }
        if self.correlator.passes_through() {
            builder.push(event, tokens);
        } else {
            self.cx.account.absorb(1);
        }
        self.take_derived(Some(tokens), builder);
    }

    fn is_due(&self, until: Timestamp) -> bool {
        self.correlator.next_timer().is_some_and(|due| due <= until)
    }

    async fn fire_timers(&mut self, until: Timestamp, builder: &mut BatchBuilder) {
        while let Some(due) = self.correlator.next_timer().filter(|due| *due <= until) {
            self.correlator.advance(due, &mut self.out);
            self.take_derived(None, builder);
            // Timers may set timers up to a far instant; the run can be given up meanwhile.
            tokio::task::consume_budget().await;
        }
    }

    async fn finish(&mut self, end: Timestamp) -> Batch {
        let mut builder = BatchBuilder::default();
        self.fire_timers(end, &mut builder).await;
        let unfired = self.correlator.drain(end, &mut self.out);
        self.cx.account.leave_timers(unfired);
        self.take_derived(None, &mut builder);
        builder.finish(end)
    }

    /// Takes what was derived, under the tokens of its cause, or under one of its own where state
    /// was the cause.
    fn take_derived(&mut self, tokens: Option<&[Token]>, builder: &mut BatchBuilder) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoints;
    use crate::event::{INVENTORY_UPDATED, RECEIPT_CREATED, REORDER_TRIGGERED, Text};
    use crate::failure::Failure;
    use crate::graph::select::StageContext;
    use crate::state::State;
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
        Memory { checkpoint, ledger: Ledger::new(), control: Control::new() }
    }

    fn run(input: Vec<Batch>, correlator: Echo) -> (Vec<String>, crate::monitor::Tally) {
        let cx = StageContext::for_test();
        let account = cx.account.clone();
        let output =
            correlate(stream::iter(input).boxed(), Box::new(correlator), cx, memory()).unwrap();
        let batches = futures::executor::block_on(output.collect::<Vec<_>>());
        let events = batches.iter().flat_map(Batch::events);
        (events.map(|event| event.trace_id.to_string()).collect(), account.tally())
    }

    #[test]
    fn derived_events_follow_their_cause_and_timers_fire_at_their_time() {
        let batch = |times: &[i64], watermark| {
            Batch::new(times.iter().map(|time| event(*time)).collect(), at(watermark), None)
        };
        let (events, tally) =
            run(vec![batch(&[0, 5, 10, 11], 12), Batch::progress(at(20))], Echo::default());
        let expected = [
            "at 0", "from 0", "at 5", "from 5", "at 10", "from 10", "timer 10", "at 11", "from 11",
            "timer 15", "timer 20",
        ];
        assert_eq!(events, expected, "an event at the instant of a timer is seen before it fires");
        assert_eq!((tally.derived, tally.unfired_timers), (7, 1));
    }

    #[test]
    fn an_event_that_fails_leaves_nothing_derived_behind() {
        let input = Batch::new(vec![event(12), event(13), event(14)], at(14), None);
        let (events, tally) = run(vec![input], Echo::default());
        assert_eq!(events, ["at 12", "from 12", "at 14", "from 14"]);
        assert_eq!(tally.losses(), 1);
    }

    #[test]
    fn absorbed_events_are_counted_and_let_their_token_go_with_what_is_derived() {
        let ledger = Ledger::new();
        let input = Batch::new(vec![event(1)], at(1), Some(ledger.issue(json!(1))));
        let cx = StageContext::for_test();
        let account = cx.account.clone();
        let correlator = Box::new(Echo { absorbs: true, ..Echo::default() });
        let mut output =
            correlate(stream::iter([input]).boxed(), correlator, cx, memory()).unwrap();
        let batch = futures::executor::block_on(output.next()).unwrap();
        assert_eq!((batch.len(), account.tally().absorbed), (1, 1));
        assert_eq!(ledger.outstanding(), 1, "the derived event shares the token");
        drop(batch);
        assert_eq!(ledger.outstanding(), 0);
    }
}
