//! The order of a merge, without streams: batches are pushed, and taken as far as they are settled.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{
    BATCH_EVENTS, Batch, BatchBuilder, Event, Exact, Ledger, Timestamp, Token, TokenIndex,
};
use crate::state::{State, StateError};

/// How many events of one input are held while another is behind.
pub(super) const HELD_EVENTS_MAX: usize = 16 * BATCH_EVENTS;

/// What a merger holds, as it is kept between two runs.
#[derive(Serialize, Deserialize)]
struct Held<E> {
    inputs: Vec<HeldInput<E>>,
    told: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct HeldInput<E> {
    /// In milliseconds: it may be before or after all that can be written as a date.
    watermark: i64,
    events: Vec<E>,
}

/// The order itself, without streams: batches are pushed, and taken as far as they are settled.
pub(in crate::graph) struct Merger {
    inputs: Vec<Input>,
    /// The watermark that was last given out.
    pub(super) told: Timestamp,
}

/// Under the token of the batch that it is in.
fn covered(Exact(event): Exact<Event>) -> Event {
    Event { token: TokenIndex::default(), ..event }
}

struct Input {
    /// Events that are not settled yet, in order of time over all segments.
    segments: VecDeque<Segment>,
    held: usize,
    /// Nothing earlier will come on this input.
    watermark: Timestamp,
    closed: bool,
    /// It has said nothing for so long that it is not waited for.
    silent: bool,
}

/// What is left of one batch.
struct Segment {
    events: std::vec::IntoIter<Event>,
    tokens: Vec<Token>,
}

impl Merger {
    pub(in crate::graph) fn new(inputs: usize) -> Self {
        let input = || Input {
            segments: VecDeque::new(),
            held: 0,
            watermark: Timestamp::MIN,
            closed: false,
            silent: false,
        };
        Self { inputs: (0..inputs).map(|_| input()).collect(), told: Timestamp::MIN }
    }

    /// A merger that goes on with what another one held, under tokens of this ledger.
    pub(in crate::graph) fn restored(
        inputs: usize,
        state: Option<&State>,
        ledger: &Ledger,
    ) -> Result<Self, StateError> {
        let mut merger = Self::new(inputs);
        let Some(state) = state else { return Ok(merger) };
        let held: Held<Exact<Event>> = state.read()?;
        if held.inputs.len() > inputs {
            return Err(StateError("there were more inputs".to_owned()));
        }
        for (place, HeldInput { watermark, events }) in held.inputs.into_iter().enumerate() {
            let events: Vec<Event> = events.into_iter().map(covered).collect();
            // No source knows of them any more: the next snapshot has to wait for their fate.
            let token = (!events.is_empty()).then(|| ledger.issue(Value::Null));
            merger.push(place, Batch::new(events, Timestamp::from_millis(watermark), token));
        }
        merger.told = held.told.map_or(merger.told, Timestamp::from_millis);
        Ok(merger)
    }

    /// What is held.
    pub(in crate::graph) fn state(&self) -> State {
        let inputs = self.inputs.iter().map(Input::kept).collect();
        State::of(&Held { inputs, told: Some(self.told.as_millis()) })
    }

    /// Leaves the tokens of what is held unresolved: it goes no further, and is kept nowhere.
    pub(in crate::graph) fn withhold(&self) {
        for segment in self.inputs.iter().flat_map(|input| &input.segments) {
            segment.tokens.iter().for_each(Token::withhold);
        }
    }

    /// How many events are held.
    pub(in crate::graph) fn held(&self) -> usize {
        self.inputs.iter().map(|input| input.held).sum()
    }

    pub(in crate::graph) fn push(&mut self, place: usize, batch: Batch) {
        self.inputs[place].push(batch);
    }

    /// Holds events again that were taken last.
    pub(in crate::graph) fn put_back(&mut self, place: usize, batch: Batch) {
        let input = &mut self.inputs[place];
        input.held += batch.len();
        let (events, tokens) = batch.into_parts();
        input.segments.push_front(Segment { events: events.into_iter(), tokens });
    }

    /// No more comes on this input.
    pub(in crate::graph) fn close(&mut self, place: usize) {
        self.inputs[place].closed = true;
    }

    /// Whether more of this input can be held. The one that holds the others back always is.
    pub(in crate::graph) fn wants(&self, place: usize) -> bool {
        let input = &self.inputs[place];
        input.held < HELD_EVENTS_MAX || input.bound() <= self.lowest_bound()
    }

    /// Whether others wait for this input.
    pub(super) fn holds_back(&self, place: usize) -> bool {
        let input = &self.inputs[place];
        !input.closed && !input.silent && input.bound() <= self.lowest_bound()
    }

    /// Stops waiting for an input until it speaks again.
    pub(super) fn ignore(&mut self, place: usize) {
        self.inputs[place].silent = true;
    }

    /// Whether this batch of the only input is settled as it is, with nothing before it.
    pub(super) fn passes(&mut self, batch: &Batch) -> bool {
        let input = &mut self.inputs[0];
        let events = batch.events();
        let passes = input.held == 0
            && events.is_sorted_by_key(|event| event.time)
            && events.last().is_none_or(|last| last.time <= batch.watermark())
            && batch.watermark() >= input.watermark;
        if passes {
            input.watermark = batch.watermark();
            self.told = batch.watermark();
        }
        passes
    }

    /// The next settled events, or the word that the watermark has moved. With `apart`, only
    /// events of one input, whose place is returned.
    pub(in crate::graph) fn take(&mut self, apart: bool) -> Option<(usize, Batch)> {
        let mut builder = BatchBuilder::default();
        let mut first = None;
        while builder.len() < BATCH_EVENTS {
            let Some(place) = self.next_settled() else { break };
            if apart && first.is_some_and(|first| first != place) {
                break;
            }
            first.get_or_insert(place);
            self.inputs[place].pop_into(&mut builder);
        }
        let watermark = self.watermark().max(self.told);
        if builder.is_empty() && watermark == self.told {
            return None;
        }
        self.told = watermark;
        Some((first.unwrap_or(0), builder.finish(watermark)))
    }

    /// The input whose first event comes next, if nothing can come before it any more.
    fn next_settled(&self) -> Option<usize> {
        let heads = self.inputs.iter().enumerate();
        let (time, place) =
            heads.filter_map(|(place, input)| Some((input.head()?, place))).min()?;
        let settled = self.inputs.iter().enumerate().all(|(other, input)| {
            // At the same instant, what comes on an input before this one goes first.
            input.bound() > time || (input.bound() == time && other >= place)
        });
        settled.then_some(place)
    }

    fn lowest_bound(&self) -> Timestamp {
        self.inputs.iter().map(Input::bound).min().unwrap_or(Timestamp::MAX)
    }

    /// What can still come, or is still held, is not before this.
    fn watermark(&self) -> Timestamp {
        let open = self.inputs.iter().filter(|input| !input.closed && !input.silent);
        let held = self.inputs.iter().filter_map(Input::head);
        match open.map(|input| input.watermark).chain(held).min() {
            Some(lowest) => lowest,
            None => self.inputs.iter().map(|input| input.watermark).max().unwrap_or(self.told),
        }
    }
}

impl Input {
    fn kept(&self) -> HeldInput<Exact<&Event>> {
        let events = self.segments.iter().flat_map(|segment| segment.events.as_slice());
        HeldInput { watermark: self.watermark.as_millis(), events: events.map(Exact).collect() }
    }

    fn push(&mut self, batch: Batch) {
        self.watermark = self.watermark.max(batch.watermark());
        self.silent = false;
        if batch.is_empty() {
            return;
        }
        self.held += batch.len();
        let last = self.segments.back().and_then(|segment| segment.events.as_slice().last());
        let follows = last.is_none_or(|last| last.time <= batch.events()[0].time);
        let (events, tokens) = batch.into_parts();
        let in_order = follows && events.is_sorted_by_key(|event| event.time);
        self.segments.push_back(Segment { events: events.into_iter(), tokens });
        if !in_order {
            self.sort();
        }
    }

    /// Brings everything held into order; only an input with stragglers comes here.
    fn sort(&mut self) {
        let mut builder = BatchBuilder::with_capacity(self.held);
        for segment in self.segments.drain(..) {
            for event in segment.events {
                builder.push(event, &segment.tokens);
            }
        }
        let (mut events, tokens) = builder.finish(self.watermark).into_parts();
        events.sort_by_key(|event| event.time);
        self.segments.push_back(Segment { events: events.into_iter(), tokens });
    }

    fn head(&self) -> Option<Timestamp> {
        self.segments.front()?.events.as_slice().first().map(|event| event.time)
    }

    fn pop_into(&mut self, builder: &mut BatchBuilder) {
        let Some(segment) = self.segments.front_mut() else { return };
        if let Some(event) = segment.events.next() {
            builder.push(event, &segment.tokens);
            self.held -= 1;
        }
        if segment.events.as_slice().is_empty() {
            self.segments.pop_front();
        }
    }

    /// Nothing earlier than this is to be waited for.
    fn bound(&self) -> Timestamp {
        if self.closed || self.silent { Timestamp::MAX } else { self.watermark }
    }
}
