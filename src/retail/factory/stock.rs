//! Stock: movements on a ledger that knows the places and products of late, and what follows when
//! it runs low.

use serde::{Deserialize, Serialize};

use super::checkout::Sold;
use super::{EventFactory, Place};
use crate::event::{
    CURRENT_QUANTITY, DC_ID, DETECTION_TIME, Event, LAST_KNOWN_QUANTITY, PRIORITY, PRODUCT_ID,
    QUANTITY_DELTA, QUANTITY_ON_HAND, REASON, REORDER_POINT, REORDER_QUANTITY, SOURCE, STORE_ID,
    Text, Timestamp, mix,
};
use crate::retail::event_types::EventType;
use crate::retail::payload::whole;

/// How many balances are kept; a power of two.
const SLOTS: usize = 4096;
/// How many movements are at distribution centres.
const AT_DCS: f64 = 0.15;
/// Reasons of movements in stores, and how likely they are.
const STORE_REASONS: [&str; 7] =
    ["SALE", "INBOUND_SHIPMENT", "ADJUSTMENT", "RETURN", "DAMAGED", "LOST", "DISRUPTION"];
const STORE_REASON_WEIGHTS: [u32; 7] = [740, 130, 50, 40, 20, 15, 5];
/// Reasons at distribution centres.
const DC_REASONS: [&str; 4] = ["OUTBOUND_SHIPMENT", "INBOUND_SHIPMENT", "DAMAGED", "ADJUSTMENT"];
const DC_REASON_WEIGHTS: [u32; 4] = [550, 410, 20, 20];

/// Balances of stock. What is not kept is as it was on opening, so a ledger of any world is small.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    salt: u64,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    place: Place,
    product: u32,
    on_hand: i64,
}

/// A product that is low at a place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Low {
    place: Place,
    product: u32,
    /// The trace id of the movement that made it so.
    trace: Text,
}

/// The balance of a product at a place, as it is kept between two runs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Balance(Place, u32, #[serde(deserialize_with = "whole")] i64);

/// A movement: of what, where, why, and by how many.
#[derive(Clone, Copy)]
struct Movement {
    place: Place,
    product: u32,
    reason: &'static str,
    delta: i64,
}

impl Stock {
    pub(super) fn new(salt: u64) -> Self {
        // No product has the number 0: the slots are free.
        let free = Slot { place: Place::Store(0), product: 0, on_hand: 0 };
        Self { salt, slots: vec![free; SLOTS] }
    }

    /// All balances that are kept.
    pub(super) fn balances(&self) -> Vec<Balance> {
        let taken = self.slots.iter().filter(|slot| slot.product > 0);
        taken.map(|slot| Balance(slot.place, slot.product, slot.on_hand)).collect()
    }

    /// Books balances of another stock of the same seed, each into the slot that it had there.
    pub(super) fn book(&mut self, balances: Vec<Balance>) {
        for Balance(place, product, on_hand) in balances {
            *self.on_hand(place, product) = on_hand;
        }
    }

    /// The balance of a product at a place.
    fn on_hand(&mut self, place: Place, product: u32) -> &mut i64 {
        let (number, least, range) = match place {
            Place::Store(store) => (u64::from(store), 40, 160),
            Place::Dc(dc) => (u64::from(dc) << 32, 1_000, 9_000),
        };
        let hash = mix(self.salt ^ mix(number) ^ u64::from(product));
        let slot = &mut self.slots[hash as usize % SLOTS];
        if slot.place != place || slot.product != product {
            let on_hand = least + ((hash >> 32) % range) as i64;
            *slot = Slot { place, product, on_hand };
        }
        &mut slot.on_hand
    }
}

impl EventFactory {
    pub(super) fn inventory_updated(&mut self, now: Timestamp) -> Event {
        if self.random.chance(AT_DCS) {
            let reason = DC_REASONS[self.random.pick_weighted(&DC_REASON_WEIGHTS)];
            let place = Place::Dc(self.random.below(self.volume.dcs) + 1);
            return self.movement(place, reason, now);
        }
        match STORE_REASONS[self.random.pick_weighted(&STORE_REASON_WEIGHTS)] {
            "SALE" => self.sale(now),
            reason => {
                let place = Place::Store(self.any_store());
                self.movement(place, reason, now)
            }
        }
    }

    /// Reports a product that fell to 0; one that did so unseen if need be.
    pub(super) fn stockout_detected(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::StockoutDetected, now);
        let (place, product) = loop {
            match self.empty.take_oldest() {
                Some(low) if *self.stock.on_hand(low.place, low.product) == 0 => {
                    event.parent_event_id = Some(low.trace);
                    break (low.place, low.product);
                }
                Some(_) => {}
                None => {
                    let store = Place::Store(self.any_store());
                    let product = self.catalog.product(self.random.bits());
                    *self.stock.on_hand(store, product) = 0;
                    break (store, product);
                }
            }
        };
        let payload = &mut event.payload;
        payload.push(STORE_ID, place.store());
        payload.push(DC_ID, place.dc());
        payload.push(PRODUCT_ID, product);
        payload.push(LAST_KNOWN_QUANTITY, 0_i64);
        payload.push(DETECTION_TIME, now);
        event
    }

    /// Reorders a product that fell to its reorder point; one that did so unseen if need be.
    pub(super) fn reorder_triggered(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::ReorderTriggered, now);
        let (place, product) = loop {
            match self.low.take_oldest() {
                Some(low) if self.is_low(low.place, low.product) => {
                    event.parent_event_id = Some(low.trace);
                    break (low.place, low.product);
                }
                Some(_) => {}
                None => {
                    let store = Place::Store(self.any_store());
                    let product = self.catalog.product(self.random.bits());
                    let point = self.reorder_point(store, product);
                    *self.stock.on_hand(store, product) = self.random.between(0, point);
                    break (store, product);
                }
            }
        };
        let current = *self.stock.on_hand(place, product);
        let point = self.reorder_point(place, product);
        let payload = &mut event.payload;
        payload.push(STORE_ID, place.store());
        payload.push(DC_ID, place.dc());
        payload.push(PRODUCT_ID, product);
        payload.push(CURRENT_QUANTITY, current);
        payload.push(REORDER_QUANTITY, point * 4 - current);
        payload.push(REORDER_POINT, point);
        payload.push(PRIORITY, priority(current, point));
        event
    }

    /// A sold line comes off the stock. Where there is too little, the shelf is filled first.
    fn sale(&mut self, now: Timestamp) -> Event {
        let sold = self.any_sold(now);
        let (place, product) = (Place::Store(sold.store), sold.line.product);
        let quantity = i64::from(sold.line.quantity);
        if *self.stock.on_hand(place, product) < quantity {
            self.sold.push(sold);
            let delta = self.reorder_point(place, product) * 4;
            return self.moved(Movement { place, product, reason: "INBOUND_SHIPMENT", delta }, now);
        }
        let Sold { receipt, trace, .. } = sold;
        let sale = Movement { place, product, reason: "SALE", delta: -quantity };
        let mut event = self.moved(sale, now);
        event.correlation_id = Some(receipt);
        event.parent_event_id = trace;
        event
    }

    /// A movement that is no sale, of any product. What would take more than there is takes what
    /// there is; where there is nothing, stock comes in instead.
    fn movement(&mut self, place: Place, reason: &'static str, now: Timestamp) -> Event {
        let truck = if reason == "INBOUND_SHIPMENT" {
            self.yard.find(&mut self.random, |_| true)
        } else {
            None
        };
        let place = truck.map_or(place, |truck| self.yard[truck].place());
        let product = self.catalog.product(self.random.bits());
        let on_hand = *self.stock.on_hand(place, product);
        let load = self.reorder_point(place, product) * 4;
        let taken = |wanted: i64| -wanted.min(on_hand);
        let delta = match reason {
            "INBOUND_SHIPMENT" => load,
            "OUTBOUND_SHIPMENT" => taken(self.random.between(12, 120)),
            "RETURN" => self.random.between(1, 2),
            "ADJUSTMENT" if self.random.chance(0.4) => self.random.between(1, 4),
            "DISRUPTION" => taken(self.random.between(5, 40)),
            _ => taken(self.random.between(1, 4)),
        };
        let (reason, delta) = if delta == 0 { ("INBOUND_SHIPMENT", load) } else { (reason, delta) };
        let mut event = self.moved(Movement { place, product, reason, delta }, now);
        if let Some(truck) = truck.map(|truck| &self.yard[truck]) {
            event.correlation_id = Some(truck.shipment.clone());
            event.session_id = Some(truck.shipment.clone());
            event.parent_event_id.clone_from(&truck.trace);
        }
        event
    }

    /// Books a movement, and remembers what it leaves low.
    fn moved(&mut self, movement: Movement, now: Timestamp) -> Event {
        let Movement { place, product, reason, delta } = movement;
        let mut event = self.blank(EventType::InventoryUpdated, now);
        let point = self.reorder_point(place, product);
        let balance = self.stock.on_hand(place, product);
        let before = *balance;
        *balance += delta;
        let after = *balance;
        let low = || Low { place, product, trace: event.trace_id.clone() };
        if after == 0 && before > 0 {
            self.empty.push(low());
        }
        if after <= point && before > point {
            self.low.push(low());
        }
        let source = match reason {
            "SALE" => Some("POS"),
            "ADJUSTMENT" => Some("CYCLE_COUNT"),
            _ => None,
        };
        let payload = &mut event.payload;
        payload.push(STORE_ID, place.store());
        payload.push(DC_ID, place.dc());
        payload.push(PRODUCT_ID, product);
        payload.push(QUANTITY_DELTA, delta);
        payload.push(REASON, reason);
        payload.push(SOURCE, source);
        payload.push(QUANTITY_ON_HAND, after);
        event
    }

    fn is_low(&mut self, place: Place, product: u32) -> bool {
        *self.stock.on_hand(place, product) <= self.reorder_point(place, product)
    }

    /// A centre serves many stores: it reorders at twenty times as many.
    fn reorder_point(&self, place: Place, product: u32) -> i64 {
        let point = self.catalog.reorder_point(product);
        match place {
            Place::Store(_) => point,
            Place::Dc(_) => point * 20,
        }
    }
}

fn priority(current: i64, point: i64) -> &'static str {
    match current {
        0 => "URGENT",
        _ if current * 2 <= point => "HIGH",
        _ => "NORMAL",
    }
}
