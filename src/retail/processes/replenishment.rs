//! Replenishment: what stores order is sent by their centre, what centres order is brought by their
//! suppliers; on trucks of a fleet, with the hours that roads and gates take.

use serde::{Deserialize, Serialize};
use slab::Slab;

use super::stock::{Cause, Movement, Place, Reason};
use super::{Stream, stream};
use crate::event::{
    ACTUAL_UNLOAD_DURATION, ARRIVAL_TIME, DC_ID, DEPARTURE_TIME, ESTIMATED_UNLOAD_DURATION, SHIP,
    SHIPMENT_ID, STORE_ID, TRUCK_ID, Text, Timestamp,
};
use crate::retail::cell::Cell;
use crate::retail::event_types::EventType;
use crate::retail::incidents::{IncidentType, Target};
use crate::retail::payload::four_digits;
use crate::retail::random::Random;
use crate::retail::reporter::Links;
use crate::retail::schedule::{DAY, HOUR, MINUTE, Millis, Task};
use crate::retail::world::Tier;

/// How many different products a truck carries at most.
const LINES_MOST: usize = 1_500;
/// A store of each tier is delivered to once in so many days.
const DELIVERED_EVERY: [i64; Tier::ALL.len()] = [1, 3, 4, 5, 6];
/// How long the way to a store is, and back.
const WAY: (Millis, Millis) = (90 * MINUTE, 7 * HOUR);
/// How many trucks come late, by how much, and how long their unloading takes.
const LATE: f64 = 0.08;
const LATE_BY: (Millis, Millis) = (2 * HOUR, 6 * HOUR);
const UNLOADING_LATE: i64 = 120;
/// Minutes that unloading takes else.
const UNLOADING: (i64, i64) = (30, 75);
/// How many times as long a way is in the worst weather, beside the way itself.
const SLOW: f64 = 2.0;
/// How long suppliers need.
const SUPPLIERS: (Millis, Millis) = (DAY, 4 * DAY);
/// Suppliers' trucks come within so much of the time at which their day is planned.
const GATE_HOURS: Millis = 12 * HOUR;

/// What a place has ordered of a product.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::retail) struct OrderLine {
    pub(super) product: u32,
    pub(super) quantity: u32,
    /// The trace id of the reorder.
    pub(super) reorder: Text,
}

/// Trucks on their way, and what the centre waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Replenishment {
    random: Random,
    /// Trucks that stand at the centre, by their place in its fleet.
    idle: Vec<u32>,
    shipments: Slab<Shipment>,
    /// What suppliers have ready, and when.
    supplies: Vec<(Millis, OrderLine)>,
}

/// A truck with what it carries.
#[derive(Debug, Serialize, Deserialize)]
struct Shipment {
    id: Text,
    truck: u32,
    to: Place,
    /// What is still on it, the next to be unloaded last.
    lines: Vec<OrderLine>,
    is_late: bool,
    leg: Leg,
}

/// Where a truck is.
#[derive(Debug, Serialize, Deserialize)]
enum Leg {
    /// On its way; whether it broke down is known once there is a breakdown.
    Going,
    /// At the gate: the trace id of its arrival, the minutes of unloading, when it leaves.
    Unloading { arrival: Text, minutes: i64, departs: Millis, pause: Millis },
    /// On its way home.
    Returning,
}

impl Replenishment {
    pub(in crate::retail) fn new(seed: u64, dc: usize, trucks: usize) -> Self {
        Self {
            random: stream(seed, Stream::Replenishment, dc),
            // The first of the fleet is the first to go.
            idle: (0..trucks as u32).rev().collect(),
            shipments: Slab::new(),
            supplies: Vec::new(),
        }
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.random.chance(probability)
    }
}

impl Cell {
    /// Takes down what a place has ordered.
    pub(super) fn order(&mut self, place: Place, line: OrderLine, now: Millis) {
        match place {
            Place::Store(store) => self.shops[store as usize].orders.push(line),
            Place::Dc => {
                let lead = self.replenishment.random.between(SUPPLIERS.0, SUPPLIERS.1);
                self.replenishment.supplies.push((now + lead, line));
            }
        }
    }

    /// Loads what a store has ordered and the centre has, and sends it off.
    pub(in crate::retail) fn dispatch(&mut self, store: u32, now: Millis) {
        if self.shops[store as usize].orders.is_empty() || !self.is_delivery_day(store) {
            return;
        }
        let again = match self.held_up(IncidentType::DcOutage) {
            Some(end) => Some(end),
            None if self.replenishment.idle.is_empty() => Some(now),
            None => None,
        };
        if let Some(from) = again {
            let wait = self.replenishment.random.between(30 * MINUTE, 90 * MINUTE);
            self.schedule.at(from.max(now) + wait, Task::Dispatch(store));
            return;
        }
        let id = self.reporter.id(SHIP, now);
        let mut lines = Vec::new();
        for line in std::mem::take(&mut self.shops[store as usize].orders) {
            let quantity = line.quantity.min(self.available(Place::Dc, line.product));
            if quantity == 0 || lines.len() == LINES_MOST {
                self.shops[store as usize].orders.push(line);
                continue;
            }
            let cause = Cause {
                correlation: Some(id.clone()),
                session: Some(id.clone()),
                parent: Some(line.reorder.clone()),
            };
            let delta = -i64::from(quantity);
            let movement = Movement { delta, reason: Reason::Outbound, source: Some("DC") };
            self.book(Place::Dc, line.product, movement, cause, now);
            lines.push(OrderLine { quantity, ..line });
        }
        if !lines.is_empty() {
            lines.reverse();
            let way = self.way(Some(store));
            self.send(id, Place::Store(store), lines, now, way);
        }
    }

    /// Whether the centre delivers to a store on its local day: the less goes on in a store, the more
    /// days it waits.
    fn is_delivery_day(&self, store: u32) -> bool {
        let tier = self.scene.world.stores[self.ground.stores[store as usize]].tier;
        let every = DELIVERED_EVERY[tier as usize];
        (i64::from(self.shops[store as usize].day) + i64::from(store)).rem_euclid(every) == 0
    }

    /// Has suppliers' trucks come with what is ready, over the day.
    pub(in crate::retail) fn supply(&mut self, now: Millis) {
        self.forget_journeys(now);
        self.schedule.at(now + DAY, Task::Supply);
        let supplies = std::mem::take(&mut self.replenishment.supplies);
        let (mut ready, mut later) = (Vec::new(), Vec::new());
        for (time, line) in supplies {
            if time > now + GATE_HOURS {
                later.push((time, line));
            } else if let Some(end) = self.supplier_waits_until(line.product) {
                later.push((end.max(now + 1), line));
            } else {
                ready.push(line);
            }
        }
        while !ready.is_empty() && !self.replenishment.idle.is_empty() {
            let rest = ready.split_off(ready.len().min(LINES_MOST));
            let mut lines = std::mem::replace(&mut ready, rest);
            lines.reverse();
            let id = self.reporter.id(SHIP, now);
            let way = self.replenishment.random.between(HOUR, GATE_HOURS);
            self.send(id, Place::Dc, lines, now, way);
        }
        later.extend(ready.into_iter().map(|line| (now, line)));
        self.replenishment.supplies = later;
    }

    /// Sends off a truck, which there has to be.
    fn send(&mut self, id: Text, to: Place, lines: Vec<OrderLine>, now: Millis, way: Millis) {
        let Some(truck) = self.replenishment.idle.pop() else { return };
        let is_late = self.replenishment.random.chance(LATE);
        let by = if is_late { self.replenishment.random.between(LATE_BY.0, LATE_BY.1) } else { 0 };
        let shipment = Shipment { id, truck, to, lines, is_late, leg: Leg::Going };
        let slot = self.replenishment.shipments.insert(shipment) as u32;
        self.schedule.at(now + way + by, Task::Shipment(slot));
    }

    /// How long the way to a store is just now.
    fn way(&mut self, store: Option<u32>) -> Millis {
        let way = self.replenishment.random.between(WAY.0, WAY.1);
        let at_store =
            store.map_or(0.0, |store| self.severity_at_store(IncidentType::WeatherDelay, store));
        let weather = at_store.max(self.severity_at_dc(IncidentType::WeatherDelay));
        (way as f64 * (1.0 + SLOW * weather)) as Millis
    }

    /// A truck comes to its gate, unloads something, leaves, or is home again.
    pub(in crate::retail) fn go_on_shipping(&mut self, slot: u32, now: Millis) {
        let Some(shipment) = self.replenishment.shipments.get(slot as usize) else { return };
        match shipment.leg {
            Leg::Going => {
                let (to, truck) = (shipment.to, shipment.truck);
                match self.stands_still_until(to, truck) {
                    Some(end) => {
                        let wait = self.replenishment.random.between(10 * MINUTE, 2 * HOUR);
                        self.schedule.at(end.max(now) + wait, Task::Shipment(slot));
                    }
                    None => self.arrive(slot, now),
                }
            }
            Leg::Unloading { .. } => self.unload(slot, now),
            Leg::Returning => {
                let shipment = self.replenishment.shipments.remove(slot as usize);
                self.replenishment.idle.push(shipment.truck);
            }
        }
    }

    /// Until when something keeps a truck from its gate.
    fn stands_still_until(&mut self, to: Place, truck: u32) -> Option<Millis> {
        let number = self.ground.trucks[truck as usize];
        let broken = self.disruptions.end_of(&self.scene, |incident| {
            let is_it = incident.target == Target::Truck(number);
            incident.incident_type == IncidentType::TruckBreakdown && is_it
        });
        if broken.is_some() {
            return broken;
        }
        let closed = if to == Place::Dc { self.held_up(IncidentType::DcOutage) } else { None };
        closed.or_else(|| self.held_up(IncidentType::TruckBreakdown))
    }

    fn arrive(&mut self, slot: u32, now: Millis) {
        let shipment = &mut self.replenishment.shipments[slot as usize];
        let random = &mut self.replenishment.random;
        let estimate = random.between(UNLOADING.0, UNLOADING.1);
        let minutes = if shipment.is_late {
            UNLOADING_LATE
        } else {
            (estimate + random.between(-10, 10)).clamp(UNLOADING.0, UNLOADING.1)
        };
        let departs = now + minutes * MINUTE;
        let pause = (minutes * MINUTE - MINUTE) / (shipment.lines.len() as i64 + 1);
        let parent = shipment.lines.last().map(|line| line.reorder.clone());
        let arrival = self.tell_truck(slot, EventType::TruckArrived, parent, estimate, now);
        let shipment = &mut self.replenishment.shipments[slot as usize];
        shipment.leg = Leg::Unloading { arrival, minutes, departs, pause };
        self.schedule.at(now + pause, Task::Shipment(slot));
    }

    /// Brings in the next product; once all are in, the truck leaves on time.
    fn unload(&mut self, slot: u32, now: Millis) {
        let shipment = &mut self.replenishment.shipments[slot as usize];
        let Leg::Unloading { arrival, minutes, departs, pause } = &shipment.leg else { return };
        let (arrival, minutes, departs, pause) = (arrival.clone(), *minutes, *departs, *pause);
        let (id, to) = (shipment.id.clone(), shipment.to);
        if let Some(line) = shipment.lines.pop() {
            let next = if shipment.lines.is_empty() { departs } else { now + pause };
            let source = if to == Place::Dc { "SUPPLIER" } else { "DC" };
            let delta = line.quantity.into();
            let movement = Movement { delta, reason: Reason::Inbound, source: Some(source) };
            let cause =
                Cause { correlation: Some(id.clone()), session: Some(id), parent: Some(arrival) };
            self.book(to, line.product, movement, cause, now);
            self.schedule.at(next, Task::Shipment(slot));
            return;
        }
        self.tell_truck(slot, EventType::TruckDeparted, Some(arrival), minutes, now);
        self.replenishment.shipments[slot as usize].leg = Leg::Returning;
        let way = self.way(None);
        self.schedule.at(now + way, Task::Shipment(slot));
    }

    fn tell_truck(
        &mut self,
        slot: u32,
        event_type: EventType,
        parent: Option<Text>,
        minutes: i64,
        now: Millis,
    ) -> Text {
        let shipment = &self.replenishment.shipments[slot as usize];
        let (to, id) = (shipment.to, shipment.id.clone());
        let truck = four_digits("TRUCK_", self.ground.trucks[shipment.truck as usize]);
        let ids = self.place_ids(to);
        let dc = self.scene.world.dcs[self.ground.dc].id;
        let links = Links {
            partition: ids.partition,
            session: Some(id.clone()),
            correlation: Some(id.clone()),
            parent,
        };
        let (time, duration) = if event_type == EventType::TruckArrived {
            (ARRIVAL_TIME, ESTIMATED_UNLOAD_DURATION)
        } else {
            (DEPARTURE_TIME, ACTUAL_UNLOAD_DURATION)
        };
        self.reporter.tell(event_type, now, links, |payload| {
            payload.push(TRUCK_ID, truck);
            payload.push(DC_ID, dc);
            payload.push(STORE_ID, ids.store);
            payload.push(SHIPMENT_ID, id);
            payload.push(time, Timestamp::from_millis(now));
            payload.push(duration, minutes);
        })
    }
}
