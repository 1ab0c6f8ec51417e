//! Rules of stock: balances, signs, stockouts, reorders.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use super::memory::Map;
use super::orders::Orders;
use super::receipts::Receipts;
use super::rules::Rule;
use super::seen::{Id, Place, Seen};
use super::trucks::Trucks;
use super::watch::Watch;
use crate::event::{
    CURRENT_QUANTITY, LAST_KNOWN_QUANTITY, PRODUCT_ID, QUANTITY_DELTA, QUANTITY_ON_HAND, REASON,
    REORDER_POINT, SOURCE, Text, mix,
};
use crate::retail::EventType;
use crate::retail::enumerations::REASONS;

/// How many of the latest movements are kept, for the alerts that name them; a power of two.
const RECENT_MOVEMENTS: usize = 1 << 16;

/// The balance fell to 0, and no stockout told it yet.
const STOCKOUT_DUE: u8 = 1;
/// A stockout told that the balance is 0.
const STOCKOUT_TOLD: u8 = 2;
/// A reorder was triggered, and no shipment came in since.
const REORDERED: u8 = 4;

/// The stock of a product at a place, in eight bytes: there are millions.
#[derive(Clone, Copy, Debug, Default)]
struct Balance {
    on_hand: i32,
    flags: u8,
    /// Counts reorders, so that an old one is told from the open one.
    reorders: u8,
}

struct Reorder {
    due: i64,
    pair: u64,
    number: u8,
    event: Text,
}

/// A movement of stock.
#[derive(Clone, Copy, Debug)]
struct Movement {
    place: Place,
    product: i64,
    delta: i64,
    on_hand: i64,
    reason: &'static str,
}

pub(super) struct Stock {
    balances: Map<u64, Balance>,
    /// The latest movement of some pairs, each at the place its pair hashes to.
    recent: Box<[(u64, Id)]>,
    /// Reorders, the oldest first.
    reorders: VecDeque<Reorder>,
    entries_max: usize,
}

impl Stock {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            balances: Map::default(),
            recent: vec![(0, Id::NONE); RECENT_MOVEMENTS].into(),
            reorders: VecDeque::new(),
            entries_max,
        }
    }

    pub(super) fn update(
        &mut self,
        seen: &Seen<'_>,
        receipts: &mut Receipts,
        orders: &mut Orders,
        trucks: &mut Trucks,
        watch: &mut Watch,
    ) {
        let Some(movement) = Movement::read(seen) else { return watch.unreadable(seen) };
        let source = seen.text(SOURCE);
        let is = |name: &str| source.is_some_and(|source| source == name);
        movement.check_sign(seen, watch);
        let is_opening = movement.reason == "ADJUSTMENT" && is("OPENING_BALANCE");
        self.balance(seen, &movement, is_opening, watch);
        let Movement { place, product, delta, .. } = movement;
        match movement.reason {
            "SALE" if is("POS") => receipts.sell(seen, place, product, delta, watch),
            "SALE" if is("ONLINE") => orders.sell(seen, place, watch),
            "SALE" => watch.violate(Rule::SaleIsOfItsLine, seen, || {
                "its source is neither POS nor ONLINE".to_owned()
            }),
            "OUTBOUND_SHIPMENT" if place.is_dc => trucks.load(seen, place, product, delta, watch),
            "INBOUND_SHIPMENT" => trucks.unload(seen, place, product, delta, watch),
            _ => {}
        }
    }

    pub(super) fn stockout(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let read =
            || Some((seen.place()?, seen.integer(PRODUCT_ID)?, seen.integer(LAST_KNOWN_QUANTITY)?));
        let Some((place, product, quantity)) = read() else { return watch.unreadable(seen) };
        let pair = pair_of(place, product);
        self.check_alert(seen, pair, quantity, watch);
        watch.check(Rule::StockoutAtZero, seen, quantity == 0, || {
            format!("{quantity} of product {product} are left at {place}")
        });
        let Some(balance) = self.balances.get_mut(&pair).filter(|it| it.on_hand == 0) else {
            return;
        };
        let is_first = balance.flags & STOCKOUT_TOLD == 0;
        balance.flags = balance.flags & !STOCKOUT_DUE | STOCKOUT_TOLD;
        watch.check(Rule::StockoutOncePerFall, seen, is_first, || {
            format!("a second stockout of product {product} at {place}, still at 0")
        });
    }

    pub(super) fn reorder(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let read = || {
            let quantities = (seen.integer(CURRENT_QUANTITY)?, seen.integer(REORDER_POINT)?);
            Some((seen.place()?, seen.integer(PRODUCT_ID)?, quantities))
        };
        let Some((place, product, (quantity, point))) = read() else {
            return watch.unreadable(seen);
        };
        let pair = pair_of(place, product);
        self.check_alert(seen, pair, quantity, watch);
        watch.check(Rule::ReorderAtOrBelowPoint, seen, quantity <= point, || {
            format!("{quantity} of product {product} at {place}, above the point of {point}")
        });
        let Some(balance) = self.balances.get_mut(&pair) else { return };
        let is_first = balance.flags & REORDERED == 0;
        balance.flags |= REORDERED;
        watch.check(Rule::ReorderOnceUntilStock, seen, is_first, || {
            format!("product {product} is on its way to {place}")
        });
        balance.reorders = balance.reorders.wrapping_add(1);
        let due = watch.now.saturating_add(watch.spans.delivery);
        let event = seen.event.trace_id.clone();
        self.reorders.push_back(Reorder { due, pair, number: balance.reorders, event });
        if self.reorders.len() > self.entries_max {
            self.reorders.pop_front();
            watch.leave_open(1);
        }
    }

    /// Judges reorders that have had their time.
    pub(super) fn expire(&mut self, watch: &mut Watch) {
        while self.reorders.front().is_some_and(|reorder| reorder.due <= watch.now) {
            let Some(Reorder { pair, number, event, .. }) = self.reorders.pop_front() else {
                return;
            };
            let balance = self.balances.get(&pair);
            let is_open =
                balance.is_some_and(|it| it.flags & REORDERED != 0 && it.reorders == number);
            if is_open && watch.has(EventType::InventoryUpdated) {
                watch.miss(Rule::ReorderLeadsToTruck, &event, || {
                    "no shipment of the product came in".to_owned()
                });
            }
        }
    }

    /// Takes a movement into the balance of its pair.
    fn balance(
        &mut self,
        seen: &Seen<'_>,
        movement: &Movement,
        is_opening: bool,
        watch: &mut Watch,
    ) {
        let Movement { place, product, delta, on_hand, reason } = *movement;
        let pair = pair_of(place, product);
        self.recent[slot_of(pair)] = (pair, seen.trace);
        watch.check(Rule::StockNeverNegative, seen, on_hand >= 0, || {
            format!("{on_hand} of product {product} at {place}")
        });
        let after = on_hand.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let is_full = self.balances.len() >= self.entries_max;
        let balance = match self.balances.entry(pair) {
            Entry::Occupied(balance) => balance.into_mut(),
            Entry::Vacant(_) if is_full => return watch.leave_open(1),
            Entry::Vacant(place_for_it) => {
                place_for_it.insert(Balance { on_hand: after, ..Balance::default() });
                let begins = watch.is_joined_late() || is_opening;
                watch.check(Rule::OpeningBalanceFirst, seen, begins, || {
                    format!("product {product} at {place} had no opening balance before")
                });
                return watch.check(
                    Rule::BalanceIsRunningSum,
                    seen,
                    !is_opening || delta == on_hand,
                    || format!("{delta} at the opening, and {on_hand} on hand"),
                );
            }
        };
        watch.check(Rule::OpeningBalanceFirst, seen, !is_opening, || {
            format!("product {product} at {place} had stock before")
        });
        let before = std::mem::replace(&mut balance.on_hand, after);
        let sum = i64::from(before).saturating_add(delta);
        watch.check(Rule::BalanceIsRunningSum, seen, sum == on_hand, || {
            format!("{before} and {delta} are not {on_hand}, of product {product} at {place}")
        });
        let is_untold = balance.flags & STOCKOUT_DUE != 0 && watch.has(EventType::StockoutDetected);
        watch.check(Rule::StockoutOncePerFall, seen, !is_untold, || {
            format!("product {product} at {place} was at 0 before, and no stockout said so")
        });
        if after > 0 {
            balance.flags &= !(STOCKOUT_DUE | STOCKOUT_TOLD);
        } else if before > 0 {
            balance.flags = balance.flags & !STOCKOUT_TOLD | STOCKOUT_DUE;
        } else {
            balance.flags &= !STOCKOUT_DUE;
        }
        if reason == "INBOUND_SHIPMENT" {
            balance.flags &= !REORDERED;
        }
    }

    /// What stockouts and reorders have in common.
    fn check_alert(&self, seen: &Seen<'_>, pair: u64, quantity: i64, watch: &mut Watch) {
        if !watch.has(EventType::InventoryUpdated) {
            return;
        }
        if let Some(balance) = self.balances.get(&pair) {
            let on_hand = balance.on_hand;
            watch.check(Rule::AlertQuantityIsBalance, seen, i64::from(on_hand) == quantity, || {
                format!("it says {quantity}, and {on_hand} are on hand")
            });
        }
        let (recent, movement) = self.recent[slot_of(pair)];
        let is_named = if recent == pair && !movement.is_none() {
            seen.parent == movement
        } else {
            !seen.parent.is_none()
        };
        watch.check(Rule::AlertNamesItsMovement, seen, is_named, || {
            "its parent is not the product's latest movement at the place".to_owned()
        });
    }
}

impl Movement {
    fn read(seen: &Seen<'_>) -> Option<Self> {
        Some(Self {
            place: seen.place()?,
            product: seen.integer(PRODUCT_ID)?,
            delta: seen.integer(QUANTITY_DELTA)?,
            on_hand: seen.integer(QUANTITY_ON_HAND)?,
            reason: REASONS[seen.code(REASON, REASONS)?],
        })
    }

    fn check_sign(&self, seen: &Seen<'_>, watch: &mut Watch) {
        let Self { delta, reason, .. } = *self;
        let is_right = match reason {
            "ADJUSTMENT" => delta != 0,
            "INBOUND_SHIPMENT" | "RETURN" => delta > 0,
            _ => delta < 0,
        };
        watch.check(Rule::ReasonHasItsSign, seen, is_right, || format!("{reason} of {delta}"));
    }
}

/// A product at a place as one number: exactly where both ids are of common size, else as a hash.
fn pair_of(place: Place, product: i64) -> u64 {
    const PRODUCT_BITS: u32 = 40;
    let (id, of_product) = (place.id as u64, product as u64);
    let at = id << 1 | u64::from(place.is_dc);
    if id < 1 << (63 - PRODUCT_BITS) && of_product < 1 << PRODUCT_BITS {
        at << PRODUCT_BITS | of_product
    } else {
        mix(mix(at) ^ of_product)
    }
}

fn slot_of(pair: u64) -> usize {
    mix(pair) as usize & (RECENT_MOVEMENTS - 1)
}
