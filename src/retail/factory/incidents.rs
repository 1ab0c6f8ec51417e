//! Incidents: one begins in some store, and ends when it is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::EventFactory;
use crate::event::{
    BEGIN_TIME, DC_ID, DEPARTMENT, END_TIME, Event, INC, INCIDENT_ID, INCIDENT_TYPE, REGION,
    SEVERITY, STORE_ID, TRUCK_ID, Text, Timestamp, Value,
};
use crate::retail::event_types::EventType;

/// What happens in a store.
const TYPES: [&str; 2] = ["TILL_OUTAGE", "DEMAND_SPIKE"];

/// An incident that goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trouble {
    id: Text,
    /// The trace id of its begin; none if that was never reported.
    trace: Option<Text>,
    store: u32,
    demand: bool,
    begin: Timestamp,
}

impl EventFactory {
    pub(super) fn incident_started(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::IncidentStarted, now);
        let mut trouble = self.new_trouble(now);
        trouble.trace = Some(event.trace_id.clone());
        trouble.tell(&mut event, now + Duration::from_hours(1));
        self.troubles.push(trouble);
        event
    }

    pub(super) fn incident_ended(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::IncidentEnded, now);
        let trouble = match self.troubles.take_oldest() {
            Some(trouble) => trouble,
            None => self.new_trouble(now),
        };
        event.parent_event_id.clone_from(&trouble.trace);
        trouble.tell(&mut event, now);
        event
    }

    fn new_trouble(&mut self, now: Timestamp) -> Trouble {
        let id = self.id(INC, now);
        let (store, demand) = (self.any_store(), self.random.chance(0.5));
        Trouble { id, trace: None, store, demand, begin: now }
    }
}

impl Trouble {
    fn tell(&self, event: &mut Event, end: Timestamp) {
        event.correlation_id = Some(self.id.clone());
        let payload = &mut event.payload;
        payload.push(INCIDENT_ID, self.id.clone());
        payload.push(INCIDENT_TYPE, TYPES[usize::from(self.demand)]);
        payload.push(SEVERITY, 0.5);
        payload.push(STORE_ID, self.store);
        for key in [DC_ID, REGION, TRUCK_ID, DEPARTMENT] {
            payload.push(key, Value::Null);
        }
        payload.push(BEGIN_TIME, self.begin);
        payload.push(END_TIME, end);
    }
}
