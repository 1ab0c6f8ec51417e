//! A window's contents, and how its result is told.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::aggregate::{Accumulator, Aggregate};
use super::{Added, STEP};
use crate::correlators::emit::Emitter;
use crate::correlators::keys::{self, KeyFields, value_of};
use crate::event::{Event, Fields, Key, Timestamp, TooManyNames, TraceIds, Value};
use crate::problem::Problem;
use crate::script::{Premises, StateKey};
use crate::stage::{Failure, Output, StateError};

/// The fields of a result beside its key and its aggregates.
pub(super) const FIELDS: [&str; 4] = ["window_start", "window_end", "complete", "revision"];

/// What one key has in one window.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Window {
    accumulators: Box<[Accumulator]>,
    /// How often its result was told.
    told: u32,
}

/// The stretch of time that a window is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    /// The first instant that is not in it.
    pub(super) end: Timestamp,
}

impl Window {
    /// Adds an event, for which there is room.
    pub(super) fn add(&mut self, added: &Added<'_>) {
        for (accumulator, value) in self.accumulators.iter_mut().zip(added.values) {
            accumulator.add(value);
        }
    }

    /// Takes in another window of the same key.
    pub(super) fn merge(&mut self, other: Self) {
        self.told = self.told.max(other.told);
        let others = other.accumulators.into_vec();
        for (accumulator, other) in self.accumulators.iter_mut().zip(others) {
            accumulator.merge(other);
        }
    }

    /// Whether no accumulator gets larger than it may.
    pub(super) fn has_room_for(&self, values: &[Value], distinct_max: usize) -> bool {
        let mut pairs = self.accumulators.iter().zip(values);
        pairs.all(|(accumulator, value)| accumulator.has_room_for(value, distinct_max))
    }
}

/// Makes windows, and tells their results.
pub(super) struct Teller {
    pub(super) key: KeyFields,
    event_type: Key,
    key_names: Vec<Key>,
    aggregates: Vec<Aggregate>,
    /// The names of [`FIELDS`].
    names: [Key; 4],
    /// Whether results may be corrected.
    has_revisions: bool,
    emitter: Emitter,
}

impl Teller {
    /// Results of a type; the names of the key's fields are known to be free.
    pub(super) fn new(
        event_type: Key,
        key: KeyFields,
        aggregates: Vec<Aggregate>,
        has_revisions: bool,
        trace_ids: TraceIds,
    ) -> Result<Self, TooManyNames> {
        let key_names: Result<_, _> = key.names().map(|field| Key::intern(&field)).collect();
        let [start, end, complete, revision] = FIELDS.map(Key::intern);
        let emitter = Emitter::new(trace_ids);
        Ok(Self {
            key_names: key_names?,
            names: [start?, end?, complete?, revision?],
            key,
            event_type,
            aggregates,
            has_revisions,
            emitter,
        })
    }

    /// The names of its results: their type, and their fields.
    pub(super) fn adds(&self) -> BTreeSet<String> {
        let outputs = self.aggregates.iter().map(|aggregate| aggregate.output);
        let names = [self.event_type].into_iter().chain(self.names);
        let names = names.chain(self.key_names.iter().copied()).chain(outputs);
        names.map(|name| name.as_str().to_owned()).collect()
    }

    /// Fields of the key and of aggregates that no event of these types, or any, has.
    pub(super) fn unknown_fields(
        &self,
        types: Option<&BTreeSet<String>>,
        premises: &Premises<'_>,
    ) -> Vec<Problem> {
        let mut problems = self.key.unknown(types, "/key", premises);
        for Aggregate { output, what, field } in &self.aggregates {
            let Some(field) = field else { continue };
            let output = keys::escaped(output.as_str());
            let setting = format!("/aggregates/{output}/{}", what.name());
            problems.extend(keys::unknown(field, types, &setting, premises));
        }
        problems
    }

    /// What an event brings to each aggregate.
    pub(super) fn values(&self, event: &Event, values: &mut Vec<Value>) -> Result<(), Failure> {
        values.clear();
        for aggregate in &self.aggregates {
            values.push(aggregate.value(event)?);
        }
        Ok(())
    }

    /// A window with its first event.
    pub(super) fn begin(&self, added: &Added<'_>) -> Window {
        let accumulators = self.aggregates.iter().map(Aggregate::begin).collect();
        let mut window = Window { accumulators, told: 0 };
        window.add(added);
        window
    }

    /// Tells the result of a window. A late event that led to it is its parent.
    pub(super) fn tell(
        &mut self,
        key: &StateKey,
        span: Span,
        window: &mut Window,
        telling: Telling<'_>,
        out: &mut Output,
    ) {
        let [start, end, complete, revision] = self.names;
        let mut payload = Fields::with_capacity(self.key_names.len() + self.aggregates.len() + 4);
        for (name, part) in self.key_names.iter().zip(self.key.parts(key)) {
            payload.set(*name, value_of(part));
        }
        payload.set(start, span.start);
        payload.set(end, span.end);
        for (aggregate, accumulator) in self.aggregates.iter().zip(&window.accumulators) {
            payload.set(aggregate.output, accumulator.value());
        }
        let (parent, time, is_complete) = match telling {
            Telling::Over => (None, span.last(), true),
            Telling::Corrected(late) => (Some(late), span.last(), true),
            Telling::CutOff(end) => (None, span.last().min(end), false),
        };
        payload.set(complete, is_complete);
        if self.has_revisions {
            payload.set(revision, window.told);
        }
        window.told = window.told.saturating_add(1);
        let links = self.key.links(key);
        out.events.push(self.emitter.summary(self.event_type, payload, links, parent, time));
    }

    /// How many trace ids were given.
    pub(super) fn trace_ids(&self) -> u64 {
        self.emitter.trace_ids().counter()
    }

    /// Goes on behind so many trace ids.
    pub(super) fn go_on_from(&mut self, trace_ids: u64) {
        self.emitter.trace_ids_mut().go_on_from(trace_ids);
    }

    /// Refuses a window that was kept and has other aggregates.
    pub(super) fn check(&self, window: &Window) -> Result<(), StateError> {
        let mut pairs = window.accumulators.iter().zip(&self.aggregates);
        let fits = window.accumulators.len() == self.aggregates.len()
            && pairs.all(|(accumulator, aggregate)| accumulator.is_of(aggregate));
        if fits { Ok(()) } else { Err(StateError("it has other aggregates".to_owned())) }
    }
}

/// Why a result is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Telling<'a> {
    /// The window is over.
    Over,
    /// The window was over, and this event came late.
    Corrected(&'a Event),
    /// The stream ended at this instant.
    CutOff(Timestamp),
}

impl Span {
    /// The last instant that is in it, which is when it is told.
    pub(super) fn last(self) -> Timestamp {
        self.end - STEP
    }
}
