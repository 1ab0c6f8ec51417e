//! The shop floor: entries, and the pings and zone changes of shoppers whose beacon is known.

use serde::{Deserialize, Serialize};

use super::EventFactory;
use super::memory::place_in;
use crate::event::{
    BEACON_ID, CUSTOMER_BLE_ID, CUSTOMER_COUNT, DWELL_TIME, Event, FROM_ZONE, RSSI, SENSOR_ID,
    STORE_ID, TIMESTAMP, TO_ZONE, Text, Timestamp, VIS, ZONE, mix,
};
use crate::retail::enumerations::ZONES;
use crate::retail::event_types::EventType;
use crate::retail::identity::ble_id;
use crate::retail::payload::device_of;

const ENTRANCE: usize = 0;
const EXIT: usize = 5;
/// From each zone, how likely each of [`ZONES`] is next.
const NEXT: [[u32; 6]; 6] = [
    [0, 30, 35, 25, 5, 5],
    [2, 0, 30, 25, 28, 15],
    [2, 20, 0, 20, 48, 10],
    [2, 25, 25, 0, 33, 15],
    [2, 5, 5, 5, 0, 83],
    [1, 0, 0, 0, 0, 0],
];
/// Seconds of a visit, from the 16th-quantiles of a lognormal with a median of 16 minutes and a
/// sigma of 0.65.
const DWELL: [i64; 17] =
    [120, 354, 454, 540, 619, 699, 780, 867, 960, 1063, 1181, 1319, 1488, 1708, 2029, 2602, 5400];
/// Out of 100 entries, how many are of one shopper, of two, ...
const GROUPS: [u32; 5] = [72, 18, 6, 3, 1];
/// The share of customers whose beacon is known.
const KNOWN_PERCENT: u64 = 30;

/// A shopper inside, whose beacon is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Visit {
    id: Text,
    /// The trace id of the entry; none if it was never reported.
    trace: Option<Text>,
    store: u32,
    customer: u32,
    /// The place in [`ZONES`].
    #[serde(deserialize_with = "place_in::<{ ZONES.len() }, _, _>")]
    zone: usize,
}

impl EventFactory {
    pub(super) fn customer_entered(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::CustomerEntered, now);
        let visit = self.new_visit(now, Some(event.trace_id.clone()));
        event.session_id = Some(visit.id.clone());
        let quantile = self.random.below(16) as usize;
        let payload = &mut event.payload;
        payload.push(STORE_ID, visit.store);
        payload.push(SENSOR_ID, device_of("SENSOR_", visit.store, ZONES[ENTRANCE]));
        payload.push(ZONE, ZONES[ENTRANCE]);
        payload.push(CUSTOMER_COUNT, self.random.pick_weighted(&GROUPS) as i64 + 1);
        payload.push(DWELL_TIME, self.random.between(DWELL[quantile], DWELL[quantile + 1]));
        if mix(visit.customer.into()) % 100 < KNOWN_PERCENT {
            // Nobody is in two stores at once: the visit before this one is over.
            let before = self.visits.iter().position(|other| other.customer == visit.customer);
            if let Some(place) = before {
                self.visits.remove(place);
            }
            self.visits.push(visit);
        }
        event
    }

    pub(super) fn customer_zone_changed(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::CustomerZoneChanged, now);
        let place = self.any_visit(now);
        let from = self.visits[place].zone;
        let to = self.random.pick_weighted(&NEXT[from]);
        self.visits[place].zone = to;
        let visit = &self.visits[place];
        of_visit(&mut event, visit);
        let payload = &mut event.payload;
        payload.push(STORE_ID, visit.store);
        payload.push(CUSTOMER_BLE_ID, ble_id(visit.customer));
        payload.push(FROM_ZONE, ZONES[from]);
        payload.push(TO_ZONE, ZONES[to]);
        payload.push(TIMESTAMP, now);
        if to == EXIT {
            self.visits.remove(place);
        }
        event
    }

    pub(super) fn ble_ping_detected(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::BlePingDetected, now);
        let place = self.any_visit(now);
        let visit = &self.visits[place];
        of_visit(&mut event, visit);
        let payload = &mut event.payload;
        payload.push(STORE_ID, visit.store);
        payload.push(BEACON_ID, device_of("BEACON_", visit.store, ZONES[visit.zone]));
        payload.push(CUSTOMER_BLE_ID, ble_id(visit.customer));
        payload.push(RSSI, self.random.between(-47, -17) + self.random.between(-48, -18));
        payload.push(ZONE, ZONES[visit.zone]);
        event
    }

    /// A shopper inside; one who came before anyone counted if nobody is known.
    fn any_visit(&mut self, now: Timestamp) -> usize {
        if let Some(place) = self.visits.find(&mut self.random, |_| true) {
            place
        } else {
            let visit = self.new_visit(now, None);
            self.visits.push(visit)
        }
    }

    fn new_visit(&mut self, now: Timestamp, trace: Option<Text>) -> Visit {
        let id = self.id(VIS, now);
        let store = self.any_store();
        let customer = self.any_customer();
        Visit { id, trace, store, customer, zone: ENTRANCE }
    }
}

fn of_visit(event: &mut Event, visit: &Visit) {
    event.session_id = Some(visit.id.clone());
    event.parent_event_id.clone_from(&visit.trace);
}
