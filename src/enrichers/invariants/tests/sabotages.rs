//! For each rule, generators that break it: not in one event, but in all of a kind, as a faulty
//! process would.

mod floor;
mod goods;
mod purchases;

use super::super::Rule;
use super::chain::{Chain, has, int, of, reads};
use crate::event::{
    Event, RECEIPT_ID, STORE_ID, SUBTOTAL_CENTS, TAX, TAX_CENTS, TO_ZONE, TOTAL, TOTAL_CENTS,
};
use crate::retail::EventType as T;

pub(super) struct Sabotage {
    /// The rule under which it has to be found; others may be broken, too.
    pub(super) rule: Rule,
    /// What is wrong with the generator.
    pub(super) fault: &'static str,
    pub(super) spoil: fn(&mut Chain),
}

const fn breaks(rule: Rule, fault: &'static str, spoil: fn(&mut Chain)) -> Sabotage {
    Sabotage { rule, fault, spoil }
}

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Sabotage> {
    [floor::SABOTAGES, purchases::SABOTAGES, goods::SABOTAGES].into_iter().flatten()
}

fn at_store(event_type: T) -> impl Fn(&Event) -> bool {
    move |event| of(event_type)(event) && has(event, STORE_ID)
}

fn to_exit(event: &Event) -> bool {
    reads(event, TO_ZONE, "EXIT")
}

/// A receipt or an order.
fn is_bill(event: &Event) -> bool {
    has(event, TOTAL_CENTS)
}

fn is_of_one_receipt(one: &Event, other: &Event) -> bool {
    one.payload.get(RECEIPT_ID) == other.payload.get(RECEIPT_ID)
}

fn dollars(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// Changes the tax of a receipt or an order, and the total with it.
fn set_tax(event: &mut Event, tax: i64) {
    let total = int(event, SUBTOTAL_CENTS) + tax;
    event.payload.set(TAX_CENTS, tax);
    event.payload.set(TAX, dollars(tax));
    event.payload.set(TOTAL_CENTS, total);
    event.payload.set(TOTAL, dollars(total));
}
