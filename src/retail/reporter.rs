//! What a cell reports: allocates ids, and builds the events of the types that are emitted.

use std::collections::VecDeque;

use super::event_types::{EventType, EventTypes, description_of};
use super::schedule::Millis;
use crate::event::{
    CONTRACT_VERSION, Event, Fields, Prefix, Text, Timestamp, TokenIndex, TraceIds,
};

/// Gives ids and gathers events. Ids are given whether the event is emitted or not, so what is not
/// emitted changes nothing about the rest.
#[derive(Debug)]
pub(super) struct Reporter {
    trace_ids: TraceIds,
    source: Text,
    emitted: EventTypes,
    /// Counts receipts, visits, payments: all ids but those of events.
    count: u64,
    numbering: Numbering,
    /// What was reported and not yet taken, in order.
    events: VecDeque<Event>,
}

/// How the ids of a cell are told from those of other cells: the `count`th has the number
/// `first + count * step`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    pub(super) first: u64,
    pub(super) step: u64,
}

/// What an event has in its envelope beside its type and time.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) partition: Text,
    pub(super) session: Option<Text>,
    pub(super) correlation: Option<Text>,
    pub(super) parent: Option<Text>,
}

impl Links {
    /// Of a place and nothing else.
    pub(super) fn of(partition: Text) -> Self {
        Self { partition, session: None, correlation: None, parent: None }
    }
}

impl Reporter {
    pub(super) fn new(
        trace_ids: TraceIds,
        source: Text,
        emitted: EventTypes,
        numbering: Numbering,
    ) -> Self {
        Self { trace_ids, source, emitted, count: 0, numbering, events: VecDeque::new() }
    }

    /// Reports that something happened, and gives the trace id that it has. `fill` is called only
    /// where the type is emitted.
    pub(super) fn tell(
        &mut self,
        event_type: EventType,
        now: Millis,
        links: Links,
        fill: impl FnOnce(&mut Fields),
    ) -> Text {
        let time = Timestamp::from_millis(now);
        let trace_id = self.trace_ids.next(time);
        if !self.emitted.contains(event_type) {
            return trace_id;
        }
        let description = description_of(event_type);
        let mut payload = Fields::with_capacity(description.fields.len());
        fill(&mut payload);
        self.events.push_back(Event {
            event_type: description.key,
            payload,
            trace_id: trace_id.clone(),
            time,
            schema_version: CONTRACT_VERSION,
            source: self.source.clone(),
            correlation_id: links.correlation,
            partition_key: Some(links.partition),
            session_id: links.session,
            parent_event_id: links.parent,
            token: TokenIndex::default(),
        });
        trace_id
    }

    /// A new id of a receipt, a visit, a payment...
    pub(super) fn id(&mut self, prefix: Prefix, now: Millis) -> Text {
        let Numbering { first, step } = self.numbering;
        let number = first.wrapping_add(self.count.wrapping_mul(step));
        self.count += 1;
        Text::stamped(prefix, now.div_euclid(1000), number)
    }

    /// What was reported and not yet taken, in order.
    pub(super) fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The same, to take from.
    pub(super) fn events_mut(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }

    /// How many ids were given, of events and of all else.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.trace_ids.counter(), self.count)
    }

    /// Goes on behind the ids that another reporter of the same cell has given.
    pub(super) fn go_on_from(&mut self, (events, others): (u64, u64)) {
        self.trace_ids.go_on_from(events);
        self.count = others;
    }
}
