//! Rules of receipts: lines, promotions, payments, and what was taken from stock for them.

use super::bill::{Bill, check_cents, check_money};
use super::envelope::{is_store, shown};
use super::marketing::Touches;
use super::memory::{Map, Pending};
use super::rules::Rule;
use super::seen::{Id, Place, Seen};
use super::stores::Stores;
use super::taxes::Taxes;
use super::visits::Visits;
use super::watch::Watch;
use crate::event::{
    DISCOUNT_AMOUNT, DISCOUNT_CENTS, EXTENDED_PRICE, ITEM_COUNT, LINE_NUMBER, PRODUCT_COUNT,
    PRODUCT_ID, PRODUCT_IDS, PROMO_CODE, QUANTITY, RECEIPT_ID, STORE_ID, Text, Timestamp,
    UNIT_PRICE, Value,
};
use crate::retail::EventType;

/// A purchase comes at least this long after the entry, in milliseconds.
const TO_PURCHASE: i64 = 120_000;
/// More lines than any basket has; further ones are not looked at.
const LINES_MAX: usize = 4096;

pub(super) struct Receipts {
    pending: Pending<Receipt>,
    /// Where customers were when they paid last, and in which visit.
    customers: Map<i64, Whereabouts>,
    taxes: Taxes,
    entries_max: usize,
}

/// How far a receipt is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Lines,
    Promotions,
    Payments,
}

struct Receipt {
    event: Text,
    trace: Id,
    store: i64,
    item_count: i64,
    bill: Bill,
    lines: Vec<Line>,
    /// The discounts of its promotions so far.
    promoted: i64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    trace: Id,
    number: i64,
    product: i64,
    quantity: i64,
    gross: i64,
    extended: i64,
    promo: Id,
    is_sold: bool,
}

#[derive(Clone, Copy, Debug)]
struct Whereabouts {
    store: i64,
    visit: Id,
    time: i64,
}

impl Receipts {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            pending: Pending::new(entries_max),
            customers: Map::default(),
            taxes: Taxes::new(entries_max),
            entries_max,
        }
    }

    pub(super) fn create(
        &mut self,
        seen: &Seen<'_>,
        visits: &Visits,
        touches: &mut Touches,
        watch: &mut Watch,
    ) {
        let read =
            || Some((seen.id(RECEIPT_ID)?, seen.integer(STORE_ID)?, seen.integer(ITEM_COUNT)?));
        let Some((id, store, item_count)) = read() else { return watch.unreadable(seen) };
        let Some(bill) = Bill::read(seen, Some(store), watch) else {
            return watch.unreadable(seen);
        };
        self.taxes.see(seen, store, [bill.subtotal, bill.tax], watch);
        touches.attribute(seen, bill.customer, watch);
        self.check_visit(seen, store, bill.customer, visits, watch);
        if self.pending.get(id).is_some() {
            return watch
                .violate(Rule::IdGivenOnce, seen, || "the receipt was created before".into());
        }
        let receipt = Receipt {
            event: seen.event.trace_id.clone(),
            trace: seen.trace,
            store,
            item_count,
            bill,
            lines: Vec::new(),
            promoted: 0,
            stage: Stage::Lines,
        };
        let due = watch.now.saturating_add(watch.spans.receipt);
        let early = self.pending.insert(id, receipt, due);
        watch.leave_open(u64::from(early.is_some()));
    }

    pub(super) fn add_line(&mut self, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        let read = || {
            let (number, product) = (seen.integer(LINE_NUMBER)?, seen.integer(PRODUCT_ID)?);
            let (quantity, promo) = (seen.integer(QUANTITY)?, seen.nullable_id(PROMO_CODE)?);
            let (price, extended) = (seen.money(UNIT_PRICE)?, seen.money(EXTENDED_PRICE)?);
            Some((seen.id(RECEIPT_ID)?, number, product, quantity, promo, price, extended))
        };
        let Some((id, number, product, quantity, promo, price, extended)) = read() else {
            return watch.unreadable(seen);
        };
        check_money(seen, price, UNIT_PRICE.as_str(), watch);
        check_money(seen, extended, EXTENDED_PRICE.as_str(), watch);
        let (gross, extended) = (price.cents.saturating_mul(quantity), extended.cents);
        watch.check(Rule::LineExtendedPrice, seen, (0..=gross).contains(&extended), || {
            format!("{extended} cents for {quantity} at {} each", price.cents)
        });
        let has_reason = extended >= gross || !promo.is_none();
        watch.check(Rule::DiscountedLineHasPromoCode, seen, has_reason, || {
            format!("{extended} cents of {gross}, without a promo code")
        });
        let Some(receipt) = self.find(id, seen, watch) else { return };
        stores.see(seen, receipt.store, watch);
        stores.require_open(seen, receipt.store, watch);
        let is_sold = false;
        let trace = seen.trace;
        let line = Line { trace, number, product, quantity, gross, extended, promo, is_sold };
        receipt.add_line(seen, line, watch);
    }

    pub(super) fn promote(&mut self, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        let Some(store) = seen.integer(STORE_ID) else { return watch.unreadable(seen) };
        stores.require_open(seen, store, watch);
        let Some(id) = seen.id(RECEIPT_ID) else { return watch.unreadable(seen) };
        let Some(receipt) = self.find(id, seen, watch) else { return };
        if receipt.promote(seen, watch).is_none() {
            watch.unreadable(seen);
        }
    }

    /// A payment for a receipt.
    pub(super) fn pay(&mut self, id: Id, seen: &Seen<'_>, stores: &mut Stores, watch: &mut Watch) {
        if let Some(Some(store)) = seen.nullable_integer(STORE_ID) {
            stores.require_open(seen, store, watch);
        }
        let Some(receipt) = self.find(id, seen, watch) else { return };
        receipt.stage = Stage::Payments;
        if receipt.bill.pay(seen, watch).is_none() {
            return watch.unreadable(seen);
        }
        let (customer, store) = (receipt.bill.customer, receipt.store);
        let whereabouts = Whereabouts { store, visit: receipt.bill.session, time: seen.time };
        self.remember(customer, whereabouts, watch);
    }

    /// A movement of stock for a line.
    pub(super) fn sell(
        &mut self,
        seen: &Seen<'_>,
        place: Place,
        product: i64,
        delta: i64,
        watch: &mut Watch,
    ) {
        let Some(receipt) = self.find(seen.correlation, seen, watch) else { return };
        let line = receipt.lines.iter_mut().find(|line| line.trace == seen.parent);
        let Some(line) = line else {
            let is_known =
                !watch.has(EventType::ReceiptLineAdded) || receipt.lines.len() >= LINES_MAX;
            return watch.check(Rule::SaleIsOfItsLine, seen, is_known, || {
                "its parent is no line of the receipt".to_owned()
            });
        };
        let is_here = place == Place { is_dc: false, id: receipt.store };
        let is_same = line.product == product && delta.saturating_neg() == line.quantity;
        watch.check(Rule::SaleIsOfItsLine, seen, is_here && is_same, || {
            let Line { quantity, product: sold, .. } = *line;
            format!("{delta} of product {product} at {place} for a line of {quantity} of {sold}")
        });
        let is_first = !std::mem::replace(&mut line.is_sold, true);
        watch.check(Rule::EveryLineHasItsSale, seen, is_first, || {
            "the line was taken from stock before".to_owned()
        });
    }

    /// Judges receipts that have had their time.
    pub(super) fn expire(&mut self, watch: &mut Watch) {
        while let Some((_, receipt)) = self.pending.take_due(watch.now) {
            receipt.settle(watch);
        }
    }

    /// The receipt that an event belongs to.
    fn find(&mut self, id: Id, seen: &Seen<'_>, watch: &mut Watch) -> Option<&mut Receipt> {
        let has_forgotten = self.pending.has_forgotten();
        let found = self.pending.get_mut(id);
        if found.is_none()
            && !id.is_none()
            && watch.has(EventType::ReceiptCreated)
            && watch.never_was(has_forgotten, watch.spans.receipt)
        {
            watch.violate(Rule::KnownReference, seen, || {
                "its receipt was not created before, or too long ago".to_owned()
            });
        }
        found
    }

    fn check_visit(
        &mut self,
        seen: &Seen<'_>,
        store: i64,
        customer: i64,
        visits: &Visits,
        watch: &mut Watch,
    ) {
        if !watch.has(EventType::CustomerEntered) {
            return;
        }
        let Some(visit) = visits.get(seen.session) else {
            if watch.never_was(visits.has_forgotten(), watch.spans.recent) {
                watch.violate(Rule::ReceiptNamesItsVisit, seen, || {
                    let session = shown(seen.event.session_id.as_ref());
                    format!("no entry came before with the session {session}")
                });
            }
            return;
        };
        let is_of_visit = visit.store == store && visit.trace == seen.parent;
        watch.check(Rule::ReceiptNamesItsVisit, seen, is_of_visit, || {
            format!("its visit is to store {}, or its parent is not the entry", visit.store)
        });
        watch.check(Rule::VisitEndsWithExit, seen, !visit.is_over, || {
            "the shopper has gone to EXIT before".to_owned()
        });
        let after = seen.time.saturating_sub(visit.entered);
        watch.check(Rule::PurchaseTwoMinutesAfterEntry, seen, after >= TO_PURCHASE, || {
            format!("{after} ms after the entry")
        });
        if let Some(before) = self.customers.get(&customer) {
            let is_apart = before.visit == seen.session || before.time <= visit.entered;
            watch.check(Rule::OneStoreAtATime, seen, is_apart, || {
                let paid = Timestamp::from_millis(before.time);
                format!("customer {customer} paid in store {} at {paid}", before.store)
            });
        }
    }

    fn remember(&mut self, customer: i64, whereabouts: Whereabouts, watch: &Watch) {
        if self.customers.len() >= self.entries_max {
            let long_ago = watch.now.saturating_sub(watch.spans.recent);
            self.customers.retain(|_, before| before.time > long_ago);
        }
        if self.customers.len() < self.entries_max || self.customers.contains_key(&customer) {
            self.customers.insert(customer, whereabouts);
        }
    }
}

impl Receipt {
    fn add_line(&mut self, seen: &Seen<'_>, line: Line, watch: &mut Watch) {
        watch.check(Rule::LineNamesItsReceipt, seen, seen.parent == self.trace, || {
            format!("its parent is {}", shown(seen.event.parent_event_id.as_ref()))
        });
        self.bill.check_links(seen, watch);
        let is_here = is_store(seen.event.partition_key.as_ref(), self.store);
        watch.check(Rule::PartitionKeyNamesPlace, seen, is_here, || {
            format!("the partition key is {}", shown(seen.event.partition_key.as_ref()))
        });
        watch.check(Rule::OrderOfReceipt, seen, self.stage == Stage::Lines, || {
            "a promotion or payment of the receipt came before".to_owned()
        });
        let Line { number, .. } = line;
        let is_new = self.lines.iter().all(|other| other.number != number);
        let fits = (1..=self.item_count).contains(&number);
        watch.check(Rule::LinesComplete, seen, is_new && fits, || {
            let word = if is_new { "is none of" } else { "comes twice of" };
            format!("number {number} {word} {} lines", self.item_count)
        });
        if self.lines.len() >= LINES_MAX {
            return watch.leave_open(1);
        }
        self.lines.push(line);
        if self.is_complete() {
            let sum =
                |part: fn(&Line) -> i64| self.lines.iter().map(part).fold(0, i64::saturating_add);
            let (gross, subtotal) = (sum(|line| line.gross), sum(|line| line.extended));
            let Bill { gross: billed, discount, subtotal: due, .. } = self.bill;
            let adds_up =
                gross == billed && subtotal == due && gross.saturating_sub(subtotal) == discount;
            watch.check(Rule::ReceiptSums, seen, adds_up, || {
                format!(
                    "the lines come to {gross} cents, {subtotal} after discounts; the receipt says \
                     {billed} and {due}"
                )
            });
        }
    }

    fn is_complete(&self) -> bool {
        self.lines.len() as i64 == self.item_count
    }

    /// A promotion on it; none if it cannot be read.
    fn promote(&mut self, seen: &Seen<'_>, watch: &mut Watch) -> Option<()> {
        watch.check(Rule::OrderOfReceipt, seen, self.stage <= Stage::Promotions, || {
            "a payment of the receipt came before".to_owned()
        });
        self.stage = self.stage.max(Stage::Promotions);
        self.bill.check_customer(seen, watch)?;
        self.bill.check_links(seen, watch);
        self.bill.check_journey(seen, watch);
        let (amount, cents) = (seen.money(DISCOUNT_AMOUNT)?, seen.integer(DISCOUNT_CENTS)?);
        check_money(seen, amount, DISCOUNT_AMOUNT.as_str(), watch);
        check_cents(seen, amount, cents, DISCOUNT_AMOUNT.as_str(), watch);
        self.promoted = self.promoted.saturating_add(cents);
        let (code, count) = (seen.id(PROMO_CODE)?, seen.integer(PRODUCT_COUNT)?);
        let Value::List(products) = seen.event.payload.get(PRODUCT_IDS)? else { return None };
        if self.is_complete() {
            let (is_real, discount) = self.promotion(code, products);
            let is_counted = count == products.len() as i64 && count > 0;
            let is_right = is_real && is_counted && discount == cents;
            watch.check(Rule::PromotionIsReal, seen, is_right, || {
                format!(
                    "{cents} cents on {count} products; the lines with its code are discounted by \
                     {discount}{}",
                    if is_real { "" } else { ", and not all of its products are among them" }
                )
            });
        }
        Some(())
    }

    /// Whether lines with this code are of all these products, and their discount.
    fn promotion(&self, code: Id, products: &[Value]) -> (bool, i64) {
        let lines = || self.lines.iter().filter(|line| line.promo == code);
        let is_named = |line: &Line| products.contains(&Value::Int(line.product));
        let is_sold = |product: &Value| {
            product.as_i64().is_some_and(|product| lines().any(|line| line.product == product))
        };
        let named = lines().filter(|line| is_named(line));
        let discount =
            named.map(|line| line.gross.saturating_sub(line.extended)).fold(0, i64::saturating_add);
        (products.iter().all(is_sold), discount)
    }

    /// What has to be there in the end.
    fn settle(&self, watch: &mut Watch) {
        let (event, lines) = (&self.event, self.lines.len());
        let has_lines = watch.has(EventType::ReceiptLineAdded);
        if has_lines && (lines as i64) < self.item_count && lines < LINES_MAX {
            watch.miss(Rule::LinesComplete, event, || {
                format!("{lines} of {} lines came", self.item_count)
            });
        }
        let Bill { discount, is_paid, .. } = self.bill;
        if watch.has(EventType::PromotionApplied) && self.promoted != discount {
            watch.miss(Rule::ReceiptDiscountsMatchPromotions, event, || {
                format!("its discount is {discount} cents, its promotions give {}", self.promoted)
            });
        }
        if watch.has(EventType::PaymentProcessed) && !is_paid {
            watch.miss(Rule::OneApprovedPayment, event, || "no payment was approved".to_owned());
        }
        if watch.has(EventType::InventoryUpdated) {
            for line in self.lines.iter().filter(|line| !line.is_sold) {
                watch.miss(Rule::EveryLineHasItsSale, event, || {
                    format!("its line {} was not taken from stock", line.number)
                });
            }
        }
    }
}
