//! Stock: one ledger over all places and products of a cell. Every movement is booked here, told
//! with the balance after it, and followed by what it leads to: a stockout, a reorder.

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::baskets::PIECES_PER_RECEIPT;
use super::replenishment::OrderLine;
use crate::event::{
    CURRENT_QUANTITY, DC, DC_ID, DETECTION_TIME, LAST_KNOWN_QUANTITY, PRIORITY, PRODUCT_ID,
    QUANTITY_DELTA, QUANTITY_ON_HAND, REASON, REORDER_POINT, REORDER_QUANTITY, SOURCE, STORE,
    STORE_ID, Text, Timestamp, mix,
};
use crate::retail::cell::Cell;
use crate::retail::envelope;
use crate::retail::event_types::EventType;
use crate::retail::reporter::Links;
use crate::retail::schedule::Millis;

/// Which part of the visitors buys something, for planning.
const BUYING: f64 = 0.33;
/// How many days of demand a store and a centre reorder at, and how many they order. What a store has
/// at its reorder point does not always last until the next delivery: some 6 % of shelves are empty.
const STORE_DAYS: (f64, f64) = (1.2, 5.0);
const DC_DAYS: (f64, f64) = (6.0, 10.0);
/// How many deviations of the demand over these days the reorder point is above its mean.
const SAFETY: f64 = 0.5;
/// The least that is ordered at a time, by a store and by a centre.
const STORE_CASE: u32 = 4;
const DC_CASE: u32 = 48;
/// No level is above this, whatever is asked of a store.
const LEVEL_MAX: f64 = 1e6;

/// A place that holds stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::retail) enum Place {
    /// A store, by its place in the cell.
    Store(u32),
    /// The cell's centre.
    Dc,
}

/// Why stock changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Sale,
    Return,
    Inbound,
    Outbound,
    Adjustment,
    Damaged,
    Lost,
    Disruption,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Sale => "SALE",
            Self::Return => "RETURN",
            Self::Inbound => "INBOUND_SHIPMENT",
            Self::Outbound => "OUTBOUND_SHIPMENT",
            Self::Adjustment => "ADJUSTMENT",
            Self::Damaged => "DAMAGED",
            Self::Lost => "LOST",
            Self::Disruption => "DISRUPTION",
        }
    }
}

/// A change of stock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Movement {
    /// By how many pieces; never 0.
    pub(super) delta: i64,
    pub(super) reason: Reason,
    /// What caused it, for the reader.
    pub(super) source: Option<&'static str>,
}

/// What led to a movement, as its envelope says it.
#[derive(Debug, Default)]
pub(super) struct Cause {
    pub(super) correlation: Option<Text>,
    pub(super) session: Option<Text>,
    pub(super) parent: Option<Text>,
}

/// The balances of all products at all places of a cell: an array, as nearly all of them are used.
#[derive(Debug)]
pub(in crate::retail) struct Stock {
    products: usize,
    entries: Vec<Entry>,
}

/// The balance of a product at a place: 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    on_hand: u32,
    /// In baskets and picked for orders: still there, but not for anybody else.
    reserved: u16,
    is_opened: bool,
    is_on_order: bool,
}

/// At how many pieces or fewer a place reorders, and up to how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels {
    point: u32,
    up_to: u32,
}

impl Stock {
    pub(in crate::retail) fn new(places: usize, products: usize) -> Self {
        Self { products, entries: vec![Entry::default(); places * products] }
    }

    /// How many balances there are.
    pub(in crate::retail) fn size(&self) -> usize {
        self.entries.len()
    }

    fn entry(&mut self, place: usize, product: u32) -> &mut Entry {
        &mut self.entries[place * self.products + product as usize]
    }
}

impl Cell {
    fn place_number(&self, place: Place) -> usize {
        match place {
            Place::Store(store) => store as usize,
            Place::Dc => self.shops.len(),
        }
    }

    /// How many pieces may be taken.
    pub(super) fn available(&mut self, place: Place, product: u32) -> u32 {
        let number = self.place_number(place);
        let entry = *self.stock.entry(number, product);
        if entry.is_opened {
            entry.on_hand.saturating_sub(entry.reserved.into())
        } else {
            self.opening(place, product)
        }
    }

    /// How many pieces may be set aside: those that may be taken, and no more than can be counted.
    pub(super) fn reservable(&mut self, place: Place, product: u32) -> u32 {
        let number = self.place_number(place);
        let room = u16::MAX - self.stock.entry(number, product).reserved;
        self.available(place, product).min(room.into())
    }

    /// Sets pieces aside, which have to be reservable.
    pub(super) fn reserve(&mut self, place: Place, product: u32, quantity: u32, now: Millis) {
        self.open_balance(place, product, now);
        let number = self.place_number(place);
        self.stock.entry(number, product).reserved += quantity as u16;
    }

    /// Gives back pieces that were set aside.
    pub(super) fn release(&mut self, place: Place, product: u32, quantity: u32) {
        let number = self.place_number(place);
        let entry = self.stock.entry(number, product);
        entry.reserved = entry.reserved.saturating_sub(quantity as u16);
    }

    /// Takes pieces that are available, up to a number, or brings some; and tells it. Gives the
    /// trace id, if there was anything to tell.
    pub(super) fn book(
        &mut self,
        place: Place,
        product: u32,
        movement: Movement,
        cause: Cause,
        now: Millis,
    ) -> Option<Text> {
        let available = i64::from(self.available(place, product));
        let delta = movement.delta.max(-available);
        if delta == 0 {
            return None;
        }
        self.open_balance(place, product, now);
        let number = self.place_number(place);
        let entry = self.stock.entry(number, product);
        let before = entry.on_hand;
        entry.on_hand = (i64::from(before) + delta).clamp(0, u32::MAX.into()) as u32;
        if movement.reason == Reason::Inbound {
            entry.is_on_order = false;
        }
        let after = entry.on_hand;
        let movement = Movement { delta, ..movement };
        let trace = self.tell_movement(place, product, movement, after, cause, now);
        if after == 0 && before > 0 {
            self.tell_stockout(place, product, trace.clone(), now);
        }
        self.reorder_if_low(place, product, after, &trace, now);
        Some(trace)
    }

    /// Tells the balance of a product that has not moved yet.
    fn open_balance(&mut self, place: Place, product: u32, now: Millis) {
        let number = self.place_number(place);
        if self.stock.entry(number, product).is_opened {
            return;
        }
        let on_hand = self.opening(place, product);
        let entry = self.stock.entry(number, product);
        (entry.is_opened, entry.on_hand) = (true, on_hand);
        let opening = Movement {
            delta: on_hand.into(),
            reason: Reason::Adjustment,
            source: Some("OPENING_BALANCE"),
        };
        self.tell_movement(place, product, opening, on_hand, Cause::default(), now);
    }

    fn tell_movement(
        &mut self,
        place: Place,
        product: u32,
        movement: Movement,
        after: u32,
        cause: Cause,
        now: Millis,
    ) -> Text {
        let ids = self.place_ids(place);
        let product_id = self.scene.world.products[product as usize].id;
        let Cause { correlation, session, parent } = cause;
        let links = Links { partition: ids.partition, session, correlation, parent };
        self.reporter.tell(EventType::InventoryUpdated, now, links, |payload| {
            payload.push(STORE_ID, ids.store);
            payload.push(DC_ID, ids.dc);
            payload.push(PRODUCT_ID, product_id);
            payload.push(QUANTITY_DELTA, movement.delta);
            payload.push(REASON, movement.reason.name());
            payload.push(SOURCE, movement.source);
            payload.push(QUANTITY_ON_HAND, after);
        })
    }

    fn tell_stockout(&mut self, place: Place, product: u32, movement: Text, now: Millis) {
        let ids = self.place_ids(place);
        let product_id = self.scene.world.products[product as usize].id;
        let links = Links { parent: Some(movement), ..Links::of(ids.partition) };
        self.reporter.tell(EventType::StockoutDetected, now, links, |payload| {
            payload.push(STORE_ID, ids.store);
            payload.push(DC_ID, ids.dc);
            payload.push(PRODUCT_ID, product_id);
            payload.push(LAST_KNOWN_QUANTITY, 0_i64);
            payload.push(DETECTION_TIME, Timestamp::from_millis(now));
        });
    }

    /// Orders more of what has fallen to its reorder point, unless it is on order already.
    fn reorder_if_low(
        &mut self,
        place: Place,
        product: u32,
        on_hand: u32,
        movement: &Text,
        now: Millis,
    ) {
        let number = self.place_number(place);
        if self.stock.entry(number, product).is_on_order {
            return;
        }
        let Levels { point, up_to } = self.levels(place, product);
        if on_hand > point {
            return;
        }
        self.stock.entry(number, product).is_on_order = true;
        let quantity = (up_to - on_hand).max(1);
        let priority = match on_hand {
            0 => "URGENT",
            _ if on_hand * 2 <= point => "HIGH",
            _ => "NORMAL",
        };
        let ids = self.place_ids(place);
        let product_id = self.scene.world.products[product as usize].id;
        let links = Links {
            parent: Some(movement.clone()),
            correlation: Some(ids.reorder(product_id)),
            ..Links::of(ids.partition.clone())
        };
        let trace = self.reporter.tell(EventType::ReorderTriggered, now, links, |payload| {
            payload.push(STORE_ID, ids.store);
            payload.push(DC_ID, ids.dc);
            payload.push(PRODUCT_ID, product_id);
            payload.push(CURRENT_QUANTITY, on_hand);
            payload.push(REORDER_QUANTITY, quantity);
            payload.push(REORDER_POINT, point);
            payload.push(PRIORITY, priority);
        });
        self.order(place, OrderLine { product, quantity, reorder: trace }, now);
    }

    /// What there is of a product before it first moves; at least one piece.
    fn opening(&self, place: Place, product: u32) -> u32 {
        let Levels { point, up_to } = self.levels(place, product);
        let number = self.place_number(place) as u64;
        let cell = (self.ground.dc as u64) << 40;
        let hash = mix(self.scene.options.seed ^ mix(cell | (number << 24)) ^ mix(product.into()));
        point + 1 + (hash % u64::from(up_to - point)) as u32
    }

    /// By the demand that is expected: the format's share of the product, and how much goes on.
    fn levels(&self, place: Place, product: u32) -> Levels {
        let (demand, (days, cover), case) = match place {
            Place::Store(store) => {
                (self.demand_at(store as usize, product), STORE_DAYS, STORE_CASE)
            }
            Place::Dc => (self.demand[product as usize].into(), DC_DAYS, DC_CASE),
        };
        let lead = demand * days;
        let point = (lead + SAFETY * lead.sqrt() + 0.5).min(LEVEL_MAX) as u32;
        let point = point.max(1);
        let lot = ((demand * cover).min(LEVEL_MAX) as u32).max(case);
        Levels { point, up_to: point + lot }
    }

    /// Works out what all stores together sell on a mean day.
    pub(in crate::retail) fn foresee_demand(&mut self) {
        let products = 0..self.scene.world.products.len() as u32;
        let of_all = |product| {
            (0..self.shops.len()).map(|store| self.demand_at(store, product)).sum::<f64>() as f32
        };
        self.demand = products.map(of_all).collect();
    }

    /// Pieces of a product that a store sells on a mean day.
    fn demand_at(&self, store: usize, product: u32) -> f64 {
        let it = &self.scene.world.stores[self.ground.stores[store]];
        let receipts = self.scene.options.visitors_per_day * it.volume * BUYING;
        let share = self.scene.assortment(it.format).share(product);
        receipts * PIECES_PER_RECEIPT[it.format as usize] * share
    }

    pub(super) fn place_ids(&self, place: Place) -> PlaceIds {
        match place {
            Place::Store(store) => {
                let id = self.store_id(store);
                let partition = Text::numbered(STORE, id.into());
                PlaceIds { store: Some(id), dc: None, partition }
            }
            Place::Dc => {
                let id = self.scene.world.dcs[self.ground.dc].id;
                PlaceIds { store: None, dc: Some(id), partition: Text::numbered(DC, id.into()) }
            }
        }
    }
}

/// What events call a place.
pub(super) struct PlaceIds {
    pub(super) store: Option<u32>,
    pub(super) dc: Option<u32>,
    pub(super) partition: Text,
}

impl PlaceIds {
    /// The correlation id of a reorder.
    fn reorder(&self, product: u32) -> Text {
        let (prefix, place) = match self.store {
            Some(store) => ("reorder_", store),
            None => ("reorder_dc_", self.dc.unwrap_or_default()),
        };
        envelope::reorder(prefix, place.into(), product.into())
    }
}

/// Only what has moved is written: how far it is from the one before, and the balance.
impl Serialize for Stock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let moved = || self.entries.iter().enumerate().filter(|(_, entry)| entry.is_opened);
        let mut list = serializer.serialize_seq(Some(moved().count() + 1))?;
        let size = (self.products as u64, self.entries.len() as u64, Entry::default());
        list.serialize_element(&size)?;
        let mut before = 0;
        for (place, entry) in moved() {
            list.serialize_element(&((place - before) as u64, 0_u64, entry))?;
            before = place;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Stock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Stock;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("balances")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Stock, A::Error> {
                let size: Option<(u64, u64, Entry)> = list.next_element()?;
                let (products, entries, _) = size.ok_or_else(|| no_balances(0))?;
                // Two thousand stores with a hundred thousand products each.
                if products == 0 || entries > 1 << 28 || !entries.is_multiple_of(products) {
                    return Err(no_balances(entries));
                }
                let mut stock = Stock::new((entries / products) as usize, products as usize);
                let mut place = 0;
                while let Some((gap, _, entry)) = list.next_element::<(u64, u64, Entry)>()? {
                    place += gap as usize;
                    *stock.entries.get_mut(place).ok_or_else(|| no_balances(gap))? = entry;
                }
                Ok(stock)
            }
        }

        deserializer.deserialize_seq(Entries)
    }
}

fn no_balances<E: de::Error>(number: u64) -> E {
    E::custom(format!("`{number}` is no number of balances"))
}

#[cfg(test)]
mod tests;
