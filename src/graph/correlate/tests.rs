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
    let mut output = correlate(stream::iter([input]).boxed(), correlator, cx, memory()).unwrap();
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
