//! Events that a correlator emits: their envelope and their missing nulls.

use crate::event::{
    Event, Fields, Key, ORDER_ID, RECEIPT_CREATED, RECEIPT_ID, SHIPMENT_ID, Text, Timestamp,
    TokenIndex, TraceIds,
};
use crate::retail::{fill_envelope, fill_nullable, inherit_envelope};
use crate::script::Emission;

/// What of a cause's payload the envelope of an event may follow from.
const LINKS: [Key; 3] = [RECEIPT_ID, ORDER_ID, SHIPMENT_ID];
/// An event that is due later is covered by no batch's token.
const NO_TOKEN: TokenIndex = TokenIndex(u32::MAX);

/// Makes the events that a correlator emits.
pub(super) struct Emitter {
    trace_ids: TraceIds,
}

impl Emitter {
    pub(super) fn new(trace_ids: TraceIds) -> Self {
        Self { trace_ids }
    }

    /// Where the ids come from.
    pub(super) fn trace_ids(&self) -> &TraceIds {
        &self.trace_ids
    }

    /// The same, to go on from others.
    pub(super) fn trace_ids_mut(&mut self) -> &mut TraceIds {
        &mut self.trace_ids
    }

    /// An event at `time`, with its id.
    pub(super) fn event(
        &mut self,
        emission: Emission,
        cause: Option<&Event>,
        time: Timestamp,
    ) -> Event {
        self.with_id(described(emission, cause, time))
    }

    /// An event at `time` that this cause led to: what does not follow from its type is the cause's.
    pub(super) fn caused(
        &mut self,
        event_type: Key,
        payload: Fields,
        cause: &Event,
        time: Timestamp,
    ) -> Event {
        self.event(Emission::new(event_type, payload), Some(cause), time)
    }

    /// An event at `time` that many led to: links that do not follow from its type are these. Its
    /// parent is the one that asked for it, if one did.
    pub(super) fn summary(
        &mut self,
        event_type: Key,
        payload: Fields,
        links: Links,
        parent: Option<&Event>,
        time: Timestamp,
    ) -> Event {
        let mut event = Event::new(event_type, Text::default(), time);
        event.payload = payload;
        if let Some(parent) = parent {
            event.parent_event_id = Some(parent.trace_id.clone());
            event.token = parent.token;
        }
        fill_envelope(&mut event);
        event.partition_key = event.partition_key.or(links.partition_key);
        event.session_id = event.session_id.or(links.session_id);
        event.correlation_id = event.correlation_id.or(links.correlation_id);
        fill_nullable(&mut event);
        self.with_id(event)
    }

    /// Gives an announced event whose time has come its id.
    pub(super) fn with_id(&mut self, mut event: Event) -> Event {
        if event.trace_id == Text::default() {
            event.trace_id = self.trace_ids.next(event.time);
        }
        event
    }
}

/// The links of an event that stands for many.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    pub(super) partition_key: Option<Text>,
    pub(super) session_id: Option<Text>,
    pub(super) correlation_id: Option<Text>,
}

/// An event that will be at `due`: all of it but its id.
pub(super) fn announced(emission: Emission, cause: Option<&Event>, due: Timestamp) -> Event {
    let mut event = described(emission, cause, due);
    event.token = NO_TOKEN;
    event
}

/// The event without an id. What the rule says of the envelope holds, then the rules of the type,
/// then what the cause has.
fn described(mut emission: Emission, cause: Option<&Event>, time: Timestamp) -> Event {
    let mut event = match cause {
        Some(cause) => Event::caused_by(cause, emission.event_type, Text::default()),
        None => Event::new(emission.event_type, Text::default(), time),
    };
    event.time = time;
    event.payload = std::mem::take(&mut emission.payload);
    // Links of the cause stand behind what follows from the type.
    (event.partition_key, event.session_id, event.correlation_id) = (None, None, None);
    emission.set_envelope(&mut event);
    match cause {
        Some(cause) => inherit_envelope(&mut event, cause),
        None => fill_envelope(&mut event),
    }
    // Once more: what the rule sets to null stays null.
    emission.set_envelope(&mut event);
    fill_nullable(&mut event);
    event
}

/// What has to be kept of an event that set a timer: its envelope, and the ids that others follow
/// from.
pub(super) fn cause_to_keep(cause: Option<&Event>, time: Timestamp) -> Event {
    let Some(cause) = cause else { return Event::new(RECEIPT_CREATED, Text::default(), time) };
    let links = LINKS.into_iter().filter_map(|key| Some((key, cause.payload.get(key)?.clone())));
    Event {
        event_type: cause.event_type,
        payload: links.collect(),
        trace_id: cause.trace_id.clone(),
        time: cause.time,
        schema_version: cause.schema_version.clone(),
        source: cause.source.clone(),
        correlation_id: cause.correlation_id.clone(),
        partition_key: cause.partition_key.clone(),
        session_id: cause.session_id.clone(),
        parent_event_id: cause.parent_event_id.clone(),
        token: NO_TOKEN,
    }
}
