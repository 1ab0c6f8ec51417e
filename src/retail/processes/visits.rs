//! Visits: a group comes in; those who are known are heard by beacons as they go from zone to zone,
//! some buy something, and all are gone when the store closes.

use serde::{Deserialize, Serialize};

use crate::event::{
    BEACON_ID, CUSTOMER_BLE_ID, CUSTOMER_COUNT, DWELL_TIME, FROM_ZONE, RSSI, SENSOR_ID, STORE,
    STORE_ID, TIMESTAMP, TO_ZONE, Text, Timestamp, VIS, ZONE,
};
use crate::retail::cell::Cell;
use crate::retail::enumerations::ZONES;
use crate::retail::event_types::EventType;
use crate::retail::identity::ble_id;
use crate::retail::payload::device_of;
use crate::retail::random::Random;
use crate::retail::reporter::Links;
use crate::retail::schedule::{HOUR, MINUTE, Millis, SECOND, Task};
use crate::retail::world::Format;

pub(super) const ENTRANCE: u8 = 0;
pub(super) const CHECKOUT: u8 = 4;
pub(super) const EXIT: u8 = 5;
/// Out of 100 groups, how many are of one shopper, of two, ...
const GROUPS: [u32; 5] = [72, 18, 6, 3, 1];
/// Which part of those who come in buy something, by format.
const BUYING: [f64; Format::ALL.len()] = [0.33, 0.35, 0.25, 0.38];
/// The same of those whom an ad has brought.
const BUYING_WHEN_LED: f64 = 0.6;
/// How long they stay: the median in minutes by format, for those who buy nothing, and how many
/// times as long the others. The spread is the sigma of the logarithm.
const DWELL_MINUTES: [f64; Format::ALL.len()] = [15.0, 14.0, 15.0, 8.0];
const DWELL_OF_BUYERS: f64 = 1.3;
const DWELL_SIGMA: f64 = 0.6;
const DWELL_LEAST: Millis = 2 * MINUTE;
const DWELL_LEAST_OF_BUYERS: Millis = 4 * MINUTE;
const DWELL_MOST: Millis = 3 * HOUR;
/// When buyers go to the tills, as a part of their stay.
const TO_THE_TILLS: f64 = 0.75;
/// How long they stand there before it is their turn.
const QUEUE: (Millis, Millis) = (10 * SECOND, 90 * SECOND);
/// Milliseconds between two pings of a device in the mean.
const PING_MEAN: f64 = 100_000.0;
/// Out of 100 steps, how many go to electronics, to grocery, to clothing, by format.
const STEPS: [[u32; 3]; Format::ALL.len()] = [[22, 50, 28], [8, 84, 8], [36, 8, 56], [8, 86, 6]];
/// Where a shopper who cannot leave yet is looked at again.
const NOT_YET: Millis = 15 * SECOND;

/// Somebody in a store whom a beacon knows, or who is going to buy something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Visit {
    pub(super) store: u32,
    /// The place in the world's list.
    pub(in crate::retail) customer: u32,
    pub(super) id: Text,
    /// The trace id of the entry.
    pub(super) entry: Text,
    /// The device, where beacons know it.
    device: Option<Text>,
    /// The place in [`ZONES`].
    zone: u8,
    /// Further zones, the next one last, each with the time of going there.
    path: Vec<(Millis, u8)>,
    next_ping: Millis,
    pub(super) purchase: Purchase,
}

/// How far a visit's purchase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purchase {
    /// There is none, or it is done.
    None,
    /// It is the shopper's turn at that time; the second is when they give up.
    Waiting(Millis, Millis),
    /// The till is at it.
    Selling,
}

impl Cell {
    /// A group comes in: anybody, or a customer whom an ad has brought.
    pub(super) fn enter(&mut self, store: u32, now: Millis, led: Option<u32>) {
        let format = self.scene.world.stores[self.ground.stores[store as usize]].format;
        let shop = &mut self.shops[store as usize];
        let random = &mut shop.visits;
        let customer = led.or_else(|| self.ground.draw_visitor(store, random));
        let base = if led.is_some() { BUYING_WHEN_LED } else { BUYING[format as usize] };
        let chance = (base * shop.rates.purchases).min(1.0);
        let buys = random.chance(chance) && customer.is_some();
        let device = customer.map(|it| &self.scene.world.customers[it as usize]);
        let device = device.filter(|it| it.has_beacon).map(|it| ble_id(it.id));
        // Nobody plans to be inside when the doors close.
        let stay = dwell(format, buys, random).min((shop.closes - now) / SECOND * SECOND);
        let people = random.pick_weighted(&GROUPS) as i64 + 1;

        let id = self.reporter.id(VIS, now);
        let store_id = self.store_id(store);
        let links = Links {
            session: Some(id.clone()),
            ..Links::of(Text::numbered(STORE, store_id.into()))
        };
        let entry = self.reporter.tell(EventType::CustomerEntered, now, links, |payload| {
            let entrance = ZONES[usize::from(ENTRANCE)];
            payload.push(STORE_ID, store_id);
            payload.push(SENSOR_ID, device_of("SENSOR_", store_id, entrance));
            payload.push(ZONE, entrance);
            payload.push(CUSTOMER_COUNT, people);
            payload.push(DWELL_TIME, stay / SECOND);
        });
        let Some(customer) = customer.filter(|_| buys || device.is_some()) else { return };
        let random = &mut self.shops[store as usize].visits;
        let tills = now + (stay as f64 * TO_THE_TILLS) as Millis;
        let purchase = if buys {
            let turn = tills + random.between(QUEUE.0, QUEUE.1);
            Purchase::Waiting(turn, turn + random.between(4 * MINUTE, 12 * MINUTE))
        } else {
            Purchase::None
        };
        let path = if device.is_some() {
            path(format, now, stay, buys.then_some(tills), random)
        } else {
            vec![(now + stay, EXIT)]
        };
        let next_ping = if device.is_some() { now } else { Millis::MAX };
        let visit = Visit {
            store,
            customer,
            id,
            entry,
            device,
            zone: ENTRANCE,
            path,
            next_ping: next_ping.saturating_add(2 * SECOND),
            purchase,
        };
        let next = visit.next_time();
        self.shops[store as usize].inside += 1;
        self.ground.comes_in(customer);
        let slot = self.visits.insert(visit) as u32;
        self.schedule.at(next, Task::Visit(slot));
    }

    /// What is due of a visit: a ping, a step to the next zone, the purchase.
    pub(in crate::retail) fn go_on_visiting(&mut self, slot: u32, now: Millis) {
        let Some(visit) = self.visits.get(slot as usize) else { return };
        if let Purchase::Waiting(turn, _) = visit.purchase
            && turn <= now
        {
            self.step_up_to_till(slot, now);
        }
        let visit = &self.visits[slot as usize];
        if visit.next_ping <= now {
            self.ping(slot, now);
        }
        let visit = &mut self.visits[slot as usize];
        if let Some((time, zone)) = visit.path.last().copied()
            && time <= now
        {
            if zone == EXIT && visit.purchase != Purchase::None {
                let last = visit.path.len() - 1;
                visit.path[last].0 = now + NOT_YET;
            } else {
                visit.path.pop();
                self.go_to(slot, zone, now);
            }
        }
        let Some(visit) = self.visits.get(slot as usize) else { return };
        self.schedule.at(visit.next_time(), Task::Visit(slot));
    }

    /// The sale begins, or the shopper waits on, or gives up.
    fn step_up_to_till(&mut self, slot: u32, now: Millis) {
        let Visit { store, purchase, .. } = self.visits[slot as usize];
        let Purchase::Waiting(_, patience) = purchase else { return };
        self.visits[slot as usize].purchase = if self.is_till_down(store) {
            if now >= patience { Purchase::None } else { Purchase::Waiting(now + MINUTE, patience) }
        } else if self.begin_sale(slot, now) {
            Purchase::Selling
        } else {
            Purchase::None
        };
    }

    fn ping(&mut self, slot: u32, now: Millis) {
        let visit = &mut self.visits[slot as usize];
        let shop = &mut self.shops[visit.store as usize];
        let mean = PING_MEAN / shop.rates.pings.max(1e-9);
        visit.next_ping = now + 1 + (shop.visits.exponential() * mean) as Millis;
        let rssi = shop.visits.between(-47, -17) + shop.visits.between(-48, -18);
        let visit = &self.visits[slot as usize];
        let Some(device) = visit.device.clone() else { return };
        let (store_id, zone) = (self.store_id(visit.store), ZONES[usize::from(visit.zone)]);
        let links = visit.links(store_id);
        let beacons = &self.scene.beacons[self.ground.stores[visit.store as usize]];
        let beacon = beacons[usize::from(visit.zone)].clone();
        self.reporter.tell(EventType::BlePingDetected, now, links, |payload| {
            payload.push(STORE_ID, store_id);
            payload.push(BEACON_ID, beacon);
            payload.push(CUSTOMER_BLE_ID, device);
            payload.push(RSSI, rssi);
            payload.push(ZONE, zone);
        });
    }

    fn go_to(&mut self, slot: u32, zone: u8, now: Millis) {
        let visit = &mut self.visits[slot as usize];
        let from = std::mem::replace(&mut visit.zone, zone);
        let visit = &self.visits[slot as usize];
        let store = visit.store;
        if let Some(device) = visit.device.clone() {
            let store_id = self.store_id(store);
            let links = visit.links(store_id);
            self.reporter.tell(EventType::CustomerZoneChanged, now, links, |payload| {
                payload.push(STORE_ID, store_id);
                payload.push(CUSTOMER_BLE_ID, device);
                payload.push(FROM_ZONE, ZONES[usize::from(from)]);
                payload.push(TO_ZONE, ZONES[usize::from(zone)]);
                payload.push(TIMESTAMP, Timestamp::from_millis(now));
            });
        }
        if zone == EXIT {
            let customer = self.visits.remove(slot as usize).customer;
            self.shops[store as usize].inside -= 1;
            self.ground.leaves(customer);
        }
    }
}

impl Visit {
    /// When something of it is due.
    fn next_time(&self) -> Millis {
        let step = self.path.last().map_or(Millis::MAX, |(time, _)| *time);
        let turn = match self.purchase {
            Purchase::Waiting(turn, _) => turn,
            Purchase::None | Purchase::Selling => Millis::MAX,
        };
        step.min(self.next_ping).min(turn)
    }

    /// The envelope of what a beacon reports.
    fn links(&self, store_id: u32) -> Links {
        Links {
            partition: Text::numbered(STORE, store_id.into()),
            session: Some(self.id.clone()),
            correlation: Some(self.id.clone()),
            parent: Some(self.entry.clone()),
        }
    }
}

/// How long a shopper stays, in whole seconds.
fn dwell(format: Format, buys: bool, random: &mut Random) -> Millis {
    let median = DWELL_MINUTES[format as usize] * if buys { DWELL_OF_BUYERS } else { 1.0 };
    let least = if buys { DWELL_LEAST_OF_BUYERS } else { DWELL_LEAST };
    let stay = random.lognormal(median * MINUTE as f64, DWELL_SIGMA) as Millis;
    stay.clamp(least, DWELL_MOST) / SECOND * SECOND
}

/// The zones that a shopper goes to, the next one last, up to the exit.
fn path(
    format: Format,
    now: Millis,
    stay: Millis,
    tills: Option<Millis>,
    random: &mut Random,
) -> Vec<(Millis, u8)> {
    let end = now + stay;
    let shopping = tills.unwrap_or(end) - now;
    let steps = 1 + i64::from(random.below(3)).min(shopping / (3 * MINUTE));
    let mut path = Vec::with_capacity(steps as usize + 2);
    path.push((end, EXIT));
    path.extend(tills.map(|time| (time, CHECKOUT)));
    let mut forward = Vec::with_capacity(steps as usize);
    let mut zone = ENTRANCE;
    for step in 0..steps {
        let next = 1 + random.pick_weighted(&STEPS[format as usize]) as u8;
        let time = now + 15 * SECOND + shopping * step / (steps + 1) + random.between(0, 20_000);
        if next != zone && time < now + shopping {
            forward.push((time, next));
            zone = next;
        }
    }
    path.extend(forward.into_iter().rev());
    path
}
