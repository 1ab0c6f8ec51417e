//! Trucks at the gates, and stores that open and close.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EventFactory, Place};
use crate::event::{
    ACTUAL_UNLOAD_DURATION, ARRIVAL_TIME, DC_ID, DEPARTURE_TIME, ESTIMATED_UNLOAD_DURATION, Event,
    OPERATION_TIME, OPERATION_TYPE, SHIP, SHIPMENT_ID, STORE_ID, TRUCK_ID, Text, Timestamp,
};
use crate::retail::event_types::EventType;
use crate::retail::payload::four_digits;

const FLEET_PER_DC: u32 = 24;
const FLEET_MAX: u32 = 9_999;
/// How many trucks stand at gates before the first of them leaves unseen; below the fleet of one
/// centre, so that there is always one on the road.
const GATES: usize = 16;
/// How many trucks go to a store; the others come from suppliers to a centre.
const TO_STORES: f64 = 0.7;
/// Minutes that unloading takes.
const UNLOADING: (i64, i64) = (30, 75);
/// The most minutes that it takes, when late.
const UNLOADING_MAX: i64 = 120;
/// How many stores are looked at to find one that is not open (or not closed) already.
const TRIES: usize = 64;

/// A truck at a gate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Truck {
    number: u32,
    dc: u32,
    store: Option<u32>,
    pub(super) shipment: Text,
    /// The trace id of its arrival; none if that was never reported.
    pub(super) trace: Option<Text>,
    arrived: Timestamp,
    minutes: i64,
}

/// What was last told of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hours {
    #[serde(rename = "u")]
    Untold,
    #[serde(rename = "o")]
    Opened,
    #[serde(rename = "c")]
    Closed,
}

impl Truck {
    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        self.store.map_or(Place::Dc(self.dc), Place::Store)
    }
}

impl EventFactory {
    pub(super) fn truck_arrived(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::TruckArrived, now);
        let mut truck = self.new_truck(now);
        truck.trace = Some(event.trace_id.clone());
        let payload = &mut event.payload;
        payload.push(TRUCK_ID, four_digits("TRUCK_", truck.number));
        payload.push(DC_ID, truck.dc);
        payload.push(STORE_ID, truck.store);
        payload.push(SHIPMENT_ID, truck.shipment.clone());
        payload.push(ARRIVAL_TIME, now);
        payload.push(ESTIMATED_UNLOAD_DURATION, truck.minutes);
        if self.yard.len() == GATES {
            self.yard.take_oldest();
        }
        self.yard.push(truck);
        event
    }

    /// The truck that stands at a gate the longest leaves. A mix crowds more trucks into a minute
    /// than any yard sees, so they rarely stand as long as unloading takes: then the time that it
    /// should have taken stands in.
    pub(super) fn truck_departed(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::TruckDeparted, now);
        let truck = if let Some(truck) = self.yard.take_oldest() {
            truck
        } else {
            let mut truck = self.new_truck(now);
            truck.arrived = now - Duration::from_secs(truck.minutes as u64 * 60);
            truck
        };
        let stood = now.since(truck.arrived).as_secs() as i64 / 60;
        let in_time = (UNLOADING.0..=UNLOADING_MAX).contains(&stood);
        event.parent_event_id = truck.trace;
        let payload = &mut event.payload;
        payload.push(TRUCK_ID, four_digits("TRUCK_", truck.number));
        payload.push(DC_ID, truck.dc);
        payload.push(STORE_ID, truck.store);
        payload.push(SHIPMENT_ID, truck.shipment);
        payload.push(DEPARTURE_TIME, now);
        payload.push(ACTUAL_UNLOAD_DURATION, if in_time { stood } else { truck.minutes });
        event
    }

    pub(super) fn store_opened(&mut self, now: Timestamp) -> Event {
        self.store_operation(EventType::StoreOpened, Hours::Opened, now)
    }

    pub(super) fn store_closed(&mut self, now: Timestamp) -> Event {
        self.store_operation(EventType::StoreClosed, Hours::Closed, now)
    }

    /// A store opens that is not known to be open, if one is quickly found.
    fn store_operation(&mut self, event_type: EventType, hours: Hours, now: Timestamp) -> Event {
        let mut event = self.blank(event_type, now);
        let mut place = 0;
        for _ in 0..TRIES {
            place = self.random.below(self.hours.len() as u32) as usize;
            if self.hours[place] != hours {
                break;
            }
        }
        self.hours[place] = hours;
        let store = self.store_at(place);
        let payload = &mut event.payload;
        payload.push(STORE_ID, store);
        payload.push(OPERATION_TIME, now);
        payload.push(OPERATION_TYPE, if hours == Hours::Opened { "opened" } else { "closed" });
        event
    }

    fn new_truck(&mut self, now: Timestamp) -> Truck {
        let (dc, store) = if self.random.chance(TO_STORES) {
            let store = self.any_store();
            (self.catalog.dc_of(store), Some(store))
        } else {
            (self.random.below(self.volume.dcs) + 1, None)
        };
        Truck {
            number: self.idle_truck(dc),
            dc,
            store,
            shipment: self.id(SHIP, now),
            trace: None,
            arrived: now,
            minutes: self.random.between(UNLOADING.0, UNLOADING.1),
        }
    }

    /// A truck of the centre's fleet that stands at no gate.
    fn idle_truck(&mut self, dc: u32) -> u32 {
        let first = u64::from(dc - 1) * u64::from(FLEET_PER_DC);
        let start = self.random.below(FLEET_PER_DC);
        let number = |turn: u32| {
            let truck = first + u64::from((start + turn) % FLEET_PER_DC);
            (truck % u64::from(FLEET_MAX)) as u32 + 1
        };
        (0..FLEET_PER_DC)
            .map(number)
            .find(|number| self.yard.iter().all(|truck| truck.number != *number))
            .unwrap_or_else(|| number(0))
    }
}
