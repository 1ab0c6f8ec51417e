//! Checkout: a receipt, its lines as they are scanned with the stock that goes out, the promotions,
//! and the payment, now and then after a card was declined.

use serde::{Deserialize, Serialize};

use super::baskets::{Line, amounts};
use super::stock::{Cause, Movement, Place, Reason};
use super::visits::Purchase;
use crate::event::{
    CUSTOMER_ID, DISCOUNT_AMOUNT, DISCOUNT_CENTS, DISCOUNT_TYPE, EXTENDED_PRICE, ITEM_COUNT,
    LINE_NUMBER, PRODUCT_COUNT, PRODUCT_ID, PRODUCT_IDS, PROMO_CODE, QUANTITY, RCP, RECEIPT_ID,
    STORE, STORE_ID, TENDER_TYPE, TXN, Text, Timestamp, UNIT_PRICE, Value,
};
use crate::retail::cell::Cell;
use crate::retail::enumerations::TENDERS;
use crate::retail::event_types::EventType;
use crate::retail::incidents::IncidentType;
use crate::retail::payload::{Amounts, IN_STORE_TENDERS, Lead, Payment, attempt, money, push_lead};
use crate::retail::promotions::Promotion;
use crate::retail::reporter::Links;
use crate::retail::schedule::{Millis, SECOND, Task};

/// How long an item takes over the scanner.
const SCAN: (Millis, Millis) = (SECOND, 3 * SECOND);
/// How long it takes from the last item to the payment, and from a declined card to the next try.
const TO_PAY: (Millis, Millis) = (4 * SECOND, 15 * SECOND);
const TRY_AGAIN: (Millis, Millis) = (15 * SECOND, 40 * SECOND);
/// How often a card is declined at most before it is taken.
const DECLINES_MOST: u8 = 2;

/// A sale at a till.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Sale {
    /// The slot of the shopper's visit.
    visit: u32,
    store: u32,
    customer_id: u32,
    receipt: Text,
    /// The trace id of the receipt.
    trace: Text,
    session: Text,
    lead: Option<Lead>,
    lines: Vec<Line>,
    /// How many lines are scanned.
    scanned: u16,
    promotions_told: bool,
    declined: u8,
    /// The place in [`TENDERS`].
    tender: u8,
    amounts: Amounts,
}

impl Cell {
    /// Whether a shopper's till does not work just now.
    pub(super) fn is_till_down(&mut self, store: u32) -> bool {
        let severity = self.severity_at_store(IncidentType::TillOutage, store);
        severity > 0.0 && self.shops[store as usize].checkout.chance(severity)
    }

    /// The shopper of a visit puts what they want on the belt; false where they found nothing.
    pub(super) fn begin_sale(&mut self, visit: u32, now: Millis) -> bool {
        let it = &self.visits[visit as usize];
        let (store, customer) = (it.store, it.customer);
        let (session, entry) = (it.id.clone(), it.entry.clone());
        let lines = self.fill_basket(store, customer, Place::Store(store), now);
        if lines.is_empty() {
            return false;
        }
        let world = &self.scene.world;
        let customer_id = world.customers[customer as usize].id;
        let geography = world.stores[self.ground.stores[store as usize]].geography;
        let amounts = amounts(&lines, world.geographies[geography].tax_rate);
        let tender = self.shops[store as usize].checkout.pick_weighted(&IN_STORE_TENDERS) as u8;
        let lead = self.claim_lead(customer, now);
        let receipt = self.reporter.id(RCP, now);
        let store_id = self.store_id(store);
        let envelope = Links {
            partition: Text::numbered(STORE, store_id.into()),
            session: Some(session.clone()),
            correlation: lead.as_ref().map(|lead| lead.journey.clone()),
            parent: Some(entry),
        };
        let trace = self.reporter.tell(EventType::ReceiptCreated, now, envelope, |payload| {
            payload.push(STORE_ID, store_id);
            payload.push(CUSTOMER_ID, customer_id);
            payload.push(RECEIPT_ID, receipt.clone());
            amounts.push_money(payload);
            payload.push(TENDER_TYPE, TENDERS[usize::from(tender)]);
            payload.push(ITEM_COUNT, lines.len() as i64);
            push_lead(payload, lead.as_ref());
            amounts.push_cents(payload);
        });
        let sale = Sale {
            visit,
            store,
            customer_id,
            receipt,
            trace,
            session,
            lead,
            lines,
            scanned: 0,
            promotions_told: false,
            declined: 0,
            tender,
            amounts,
        };
        let slot = self.sales.insert(sale) as u32;
        self.after(store, now, SCAN, Task::Sale(slot));
        true
    }

    /// The next item, the promotions, or the payment.
    pub(in crate::retail) fn go_on_selling(&mut self, slot: u32, now: Millis) {
        let Some(sale) = self.sales.get(slot as usize) else { return };
        let store = sale.store;
        if usize::from(sale.scanned) < sale.lines.len() {
            self.scan(slot, now);
            self.after(store, now, SCAN, Task::Sale(slot));
        } else if sale.promotions_told || sale.amounts.discount == 0 {
            if self.pay(slot, now) {
                let sale = self.sales.remove(slot as usize);
                self.visits[sale.visit as usize].purchase = Purchase::None;
            } else {
                self.after(store, now, TRY_AGAIN, Task::Sale(slot));
            }
        } else {
            self.tell_promotions(slot, now);
            self.after(store, now, TO_PAY, Task::Sale(slot));
        }
    }

    fn after(&mut self, store: u32, now: Millis, span: (Millis, Millis), task: Task) {
        let wait = self.shops[store as usize].checkout.between(span.0, span.1);
        self.schedule.at(now + wait, task);
    }

    /// An item goes over the scanner and off the stock.
    fn scan(&mut self, slot: u32, now: Millis) {
        let sale = &mut self.sales[slot as usize];
        let line = &sale.lines[usize::from(sale.scanned)];
        sale.scanned += 1;
        let (number, product, quantity) = (sale.scanned, line.product, line.quantity);
        let store = sale.store;
        let product_id = self.scene.world.products[product as usize].id;
        let links = sale.links(self.scene.world.stores[self.ground.stores[store as usize]].id);
        let links = Links { correlation: None, ..links };
        let trace = self.reporter.tell(EventType::ReceiptLineAdded, now, links, |payload| {
            payload.push(RECEIPT_ID, sale.receipt.clone());
            payload.push(LINE_NUMBER, i64::from(number));
            payload.push(PRODUCT_ID, product_id);
            payload.push(QUANTITY, quantity);
            payload.push(UNIT_PRICE, money(line.unit));
            payload.push(EXTENDED_PRICE, money(line.gross() - line.discount));
            payload.push(PROMO_CODE, line.promotion.map(|promotion| promotion.code()));
        });
        let cause = Cause {
            correlation: Some(sale.receipt.clone()),
            session: Some(sale.session.clone()),
            parent: Some(trace),
        };
        let delta = -i64::from(quantity);
        let movement = Movement { delta, reason: Reason::Sale, source: Some("POS") };
        self.release(Place::Store(store), product, quantity);
        self.book(Place::Store(store), product, movement, cause, now);
        self.plan_return(store, product, quantity, now);
    }

    /// What each promotion took off.
    fn tell_promotions(&mut self, slot: u32, now: Millis) {
        let sale = &mut self.sales[slot as usize];
        sale.promotions_told = true;
        let store_id = self.scene.world.stores[self.ground.stores[sale.store as usize]].id;
        let mut told: Vec<Promotion> = Vec::new();
        for promotion in sale.lines.iter().filter_map(|line| line.promotion) {
            if told.contains(&promotion) {
                continue;
            }
            told.push(promotion);
            let lines = || sale.lines.iter().filter(|line| line.promotion == Some(promotion));
            let discount: i64 = lines().map(|line| line.discount).sum();
            let products = &self.scene.world.products;
            self.reporter.tell(EventType::PromotionApplied, now, sale.links(store_id), |payload| {
                let ids = lines().map(|line| Value::from(products[line.product as usize].id));
                let ids: Vec<Value> = ids.collect();
                payload.push(RECEIPT_ID, sale.receipt.clone());
                payload.push(PROMO_CODE, promotion.code());
                payload.push(DISCOUNT_AMOUNT, money(discount));
                payload.push(DISCOUNT_CENTS, discount);
                payload.push(DISCOUNT_TYPE, promotion.discount.name());
                payload.push(PRODUCT_COUNT, ids.len() as i64);
                payload.push(PRODUCT_IDS, ids);
                payload.push(STORE_ID, store_id);
                payload.push(CUSTOMER_ID, sale.customer_id);
            });
        }
    }

    /// The payment, and whether it was approved.
    fn pay(&mut self, slot: u32, now: Millis) -> bool {
        let sale = &mut self.sales[slot as usize];
        let tender = TENDERS[usize::from(sale.tender)];
        let random = &mut self.shops[sale.store as usize].checkout;
        let (millis, decline) = attempt(tender, random);
        let decline = decline.filter(|_| sale.declined < DECLINES_MOST);
        sale.declined += u8::from(decline.is_some());
        let transaction = self.reporter.id(TXN, now);
        let store_id = self.scene.world.stores[self.ground.stores[sale.store as usize]].id;
        let links = sale.links(store_id);
        self.reporter.tell(EventType::PaymentProcessed, now, links, |payload| {
            let payment = Payment {
                receipt: Some(sale.receipt.clone()),
                order: None,
                store: Some(store_id),
                customer: sale.customer_id,
                tender,
                cents: sale.amounts.total(),
            };
            payment.push(payload, Timestamp::from_millis(now), transaction, millis, decline);
        });
        decline.is_none()
    }
}

impl Sale {
    /// The envelope of what belongs to the receipt.
    fn links(&self, store_id: u32) -> Links {
        Links {
            partition: Text::numbered(STORE, store_id.into()),
            session: Some(self.session.clone()),
            correlation: self.lead.as_ref().map(|lead| lead.journey.clone()),
            parent: Some(self.trace.clone()),
        }
    }
}
