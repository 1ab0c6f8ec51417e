//! Rules of trucks: loaded at a DC, arrived, unloaded, departed.

use std::collections::VecDeque;

use super::memory::Pending;
use super::rules::Rule;
use super::seen::{Id, Place, Seen};
use super::watch::Watch;
use crate::event::{
    ACTUAL_UNLOAD_DURATION, ARRIVAL_TIME, DC_ID, DEPARTURE_TIME, SHIPMENT_ID, STORE_ID, TRUCK_ID,
    Text,
};
use crate::retail::EventType;

const MINUTE: i64 = 60_000;
/// By when an arrived truck has to have departed: far longer than the longest unloading.
const UNLOADING_MAX: i64 = 24 * 60 * MINUTE;
/// How long unloading takes, in minutes.
const UNLOAD_MINUTES: std::ops::RangeInclusive<i64> = 30..=75;
/// More products than any truck carries; of a shipment with more it is not known what left a DC.
const LOADS_MAX: usize = 4096;
/// How long it takes a late truck.
const LATE_UNLOAD_MINUTES: i64 = 120;

#[derive(Default)]
struct Shipment {
    /// Its DC, from its loading or its truck.
    dc: Option<i64>,
    /// What was loaded and has not come in yet, by product.
    loads: Vec<(i64, i64)>,
    arrival: Option<Arrival>,
    has_departed: bool,
    has_brought: bool,
}

struct Arrival {
    event: Text,
    truck: Id,
    dc: Option<i64>,
    store: Option<i64>,
    time: i64,
}

pub(super) struct Trucks {
    shipments: Pending<Shipment>,
    /// Shipments that have arrived, with the time by when their trucks have to have departed.
    arrived: VecDeque<(i64, Id)>,
    entries_max: usize,
}

impl Trucks {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { shipments: Pending::new(entries_max), arrived: VecDeque::new(), entries_max }
    }

    /// Stock leaves a DC.
    pub(super) fn load(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
        product: i64,
        delta: i64,
        watch: &mut Watch,
    ) {
        let Some(shipment) = self.shipment(seen.session, watch) else { return };
        shipment.dc.get_or_insert(place.id);
        let quantity = delta.saturating_neg();
        let has_room = shipment.loads.len() < LOADS_MAX;
        match shipment.loads.iter_mut().find(|(loaded, _)| *loaded == product) {
            Some((_, loaded)) => *loaded = loaded.saturating_add(quantity),
            None if has_room => shipment.loads.push((product, quantity)),
            None => watch.leave_open(1),
        }
    }

    /// Stock comes in.
    pub(super) fn unload(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
        product: i64,
        delta: i64,
        watch: &mut Watch,
    ) {
        let has_trucks = watch.has(EventType::TruckArrived);
        let has_forgotten = self.shipments.has_forgotten();
        let Some(shipment) = self.shipments.get_mut(seen.session) else {
            if watch.never_was(has_forgotten, watch.spans.delivery) {
                watch.check(Rule::StockComesWithTruck, seen, !has_trucks, || {
                    "no truck came before with its shipment".to_owned()
                });
                watch.check(Rule::OutboundBeforeInbound, seen, place.is_dc, || {
                    "nothing of its shipment has left a DC before".to_owned()
                });
            }
            return;
        };
        shipment.has_brought = true;
        let is_here = match &shipment.arrival {
            Some(arrival) => arrival.place() == Some(place) && !shipment.has_departed,
            None => !has_trucks,
        };
        watch.check(Rule::StockComesWithTruck, seen, is_here, || {
            format!("at {place}, where the truck of its shipment is not")
        });
        if place.is_dc {
            return;
        }
        let load = shipment.loads.iter_mut().find(|(loaded, _)| *loaded == product);
        let left = load.map_or(0, |(_, left)| std::mem::replace(left, left.saturating_sub(delta)));
        let has_forgotten = has_forgotten || shipment.loads.len() >= LOADS_MAX;
        let may_be_older = left < delta && !watch.never_was(has_forgotten, watch.spans.delivery);
        watch.check(Rule::OutboundBeforeInbound, seen, left >= delta || may_be_older, || {
            format!("{delta} of product {product}, of which the shipment has {left} from its DC")
        });
    }

    pub(super) fn arrive(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let Some(arrival) = Arrival::read(seen, ARRIVAL_TIME) else {
            return watch.unreadable(seen);
        };
        let Some(id) = seen.id(SHIPMENT_ID) else { return watch.unreadable(seen) };
        let Some(shipment) = self.shipment(id, watch) else { return };
        let dc = *shipment.dc.get_or_insert(arrival.dc.unwrap_or_default());
        watch.check(Rule::TruckNamesItsPlaces, seen, arrival.dc == Some(dc), || match arrival.dc {
            Some(named) => format!("it names DC {named}, and was loaded at DC {dc}"),
            None => "it names no DC".to_owned(),
        });
        let is_first = shipment.arrival.is_none();
        watch.check(Rule::TruckArrivesThenDeparts, seen, is_first, || {
            "its shipment has arrived before".to_owned()
        });
        if is_first {
            shipment.arrival = Some(arrival);
            self.arrived.push_back((watch.now.saturating_add(UNLOADING_MAX), id));
            if self.arrived.len() > self.entries_max {
                self.arrived.pop_front();
                watch.leave_open(1);
            }
        }
    }

    pub(super) fn depart(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let read = || {
            let departure = Arrival::read(seen, DEPARTURE_TIME)?;
            Some((seen.id(SHIPMENT_ID)?, departure, seen.integer(ACTUAL_UNLOAD_DURATION)?))
        };
        let Some((id, departure, minutes)) = read() else { return watch.unreadable(seen) };
        let is_usual = UNLOAD_MINUTES.contains(&minutes) || minutes == LATE_UNLOAD_MINUTES;
        watch.check(Rule::UnloadDuration, seen, is_usual, || format!("{minutes} minutes"));
        let has_forgotten = self.shipments.has_forgotten();
        let shipment = self.shipments.get_mut(id).filter(|shipment| shipment.arrival.is_some());
        let Some(shipment) = shipment else {
            let is_due = watch.has(EventType::TruckArrived);
            if is_due && watch.never_was(has_forgotten, UNLOADING_MAX) {
                watch.violate(Rule::TruckArrivesThenDeparts, seen, || {
                    "its shipment has not arrived before".to_owned()
                });
            }
            return;
        };
        shipment.depart(seen, &departure, minutes, watch);
    }

    /// Judges trucks that have had their time, and lets go of old shipments.
    pub(super) fn expire(&mut self, watch: &mut Watch) {
        while let Some((_, id)) = self.arrived.front().filter(|(due, _)| *due <= watch.now) {
            let shipment = self.shipments.get(*id).filter(|shipment| !shipment.has_departed);
            let arrival = shipment.and_then(|shipment| shipment.arrival.as_ref());
            if let Some(arrival) = arrival.filter(|_| watch.has(EventType::TruckDeparted)) {
                watch.miss(Rule::TruckArrivesThenDeparts, &arrival.event, || {
                    "its truck has not departed within a day".to_owned()
                });
            }
            self.arrived.pop_front();
        }
        while self.shipments.take_due(watch.now).is_some() {}
    }

    /// A shipment by its id, which may be new.
    fn shipment(&mut self, id: Id, watch: &mut Watch) -> Option<&mut Shipment> {
        if id.is_none() {
            return None;
        }
        if self.shipments.get(id).is_none() {
            let due = watch.now.saturating_add(watch.spans.delivery);
            let early = self.shipments.insert(id, Shipment::default(), due);
            watch.leave_open(u64::from(early.is_some()));
        }
        self.shipments.get_mut(id)
    }
}

impl Shipment {
    fn depart(&mut self, seen: &Seen<'_>, departure: &Arrival, minutes: i64, watch: &mut Watch) {
        let is_first = !std::mem::replace(&mut self.has_departed, true);
        let Some(arrival) = &self.arrival else { return };
        let is_later = departure.time >= arrival.time && departure.truck == arrival.truck;
        watch.check(Rule::TruckArrivesThenDeparts, seen, is_first && is_later, || {
            if is_first {
                "it departs before it arrived, or on another truck".to_owned()
            } else {
                "its shipment has departed before".to_owned()
            }
        });
        let is_same = (arrival.dc, arrival.store) == (departure.dc, departure.store);
        watch.check(Rule::TruckNamesItsPlaces, seen, is_same, || {
            "it departs from another place than it arrived at".to_owned()
        });
        let lasted = departure.time.saturating_sub(arrival.time);
        let is_difference = lasted.saturating_sub(minutes.saturating_mul(MINUTE)).saturating_abs();
        watch.check(Rule::UnloadDuration, seen, is_difference < MINUTE, || {
            format!("{minutes} minutes, where {lasted} ms lie between arrival and departure")
        });
        let has_brought = self.has_brought || !watch.has(EventType::InventoryUpdated);
        watch.check(Rule::StockComesWithTruck, seen, has_brought, || {
            "the truck has brought nothing".to_owned()
        });
        self.loads = Vec::new();
    }
}

impl Arrival {
    /// Reads an arrival, or a departure by the name of its time.
    fn read(seen: &Seen<'_>, time: crate::event::Key) -> Option<Self> {
        Some(Self {
            event: seen.event.trace_id.clone(),
            truck: seen.id(TRUCK_ID)?,
            dc: seen.nullable_integer(DC_ID)?,
            store: seen.nullable_integer(STORE_ID)?,
            time: seen.time(time)?,
        })
    }

    fn place(&self) -> Option<Place> {
        let store = self.store.map(|id| Place { is_dc: false, id });
        store.or(self.dc.map(|id| Place { is_dc: true, id }))
    }
}
