//! Tills: receipts, their lines, promotions and payments. A receipt's lines follow from its
//! basket, so every line that is ever reported adds up with the receipt.

use serde::{Deserialize, Serialize};

use super::EventFactory;
use super::catalog::{Basket, Line, PROMOTIONS};
use super::memory::place_in;
use crate::event::{
    CUSTOMER_ID, DISCOUNT_AMOUNT, DISCOUNT_CENTS, DISCOUNT_TYPE, EXTENDED_PRICE, Event, ITEM_COUNT,
    LINE_NUMBER, PRODUCT_COUNT, PRODUCT_ID, PRODUCT_IDS, PROMO_CODE, QUANTITY, RCP, RECEIPT_ID,
    STORE, STORE_ID, TENDER_TYPE, TXN, Text, Timestamp, UNIT_PRICE, Value,
};
use crate::retail::enumerations::TENDERS;
use crate::retail::event_types::EventType;
use crate::retail::payload::{Amounts, IN_STORE_TENDERS, Lead, Payment, attempt, money, push_lead};

/// How many purchases use a promotion.
const PROMOTED: f64 = 0.15;
/// How many purchases follow an ad, while there are ads that lead somewhere.
const LED_BY_AN_AD: f64 = 0.05;

/// A receipt that lines, promotions and payments may still refer to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    id: Text,
    /// The trace id of its event; none if it was never reported.
    trace: Option<Text>,
    store: u32,
    customer: u32,
    basket: Basket,
    amounts: Amounts,
    /// The place in [`TENDERS`].
    #[serde(deserialize_with = "place_in::<{ TENDERS.len() }, _, _>")]
    tender: usize,
    lead: Option<Lead>,
    lines_told: u32,
    promotion_told: bool,
    paid: bool,
}

/// A line that went over the till and whose stock is still to be taken off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sold {
    pub(super) receipt: Text,
    /// The trace id of the line's event.
    pub(super) trace: Option<Text>,
    pub(super) store: u32,
    pub(super) line: Line,
}

impl EventFactory {
    pub(super) fn receipt_created(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::ReceiptCreated, now);
        let promotion = self.any_promotion();
        let mut receipt = self.new_receipt(now, promotion);
        receipt.trace = Some(event.trace_id.clone());
        event.correlation_id = receipt.lead.as_ref().map(|lead| lead.journey.clone());
        let payload = &mut event.payload;
        payload.push(STORE_ID, receipt.store);
        payload.push(CUSTOMER_ID, receipt.customer);
        payload.push(RECEIPT_ID, receipt.id.clone());
        receipt.amounts.push_money(payload);
        payload.push(TENDER_TYPE, TENDERS[receipt.tender]);
        payload.push(ITEM_COUNT, receipt.basket.lines);
        push_lead(payload, receipt.lead.as_ref());
        receipt.amounts.push_cents(payload);
        self.receipts.push(receipt);
        event
    }

    pub(super) fn receipt_line_added(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::ReceiptLineAdded, now);
        let (place, number, line) = self.next_line(now);
        let receipt = &self.receipts[place];
        let promotion = receipt.basket.promotion.filter(|_| line.discount > 0);
        event.partition_key = Some(Text::numbered(STORE, receipt.store.into()));
        event.parent_event_id.clone_from(&receipt.trace);
        let payload = &mut event.payload;
        payload.push(RECEIPT_ID, receipt.id.clone());
        payload.push(LINE_NUMBER, number);
        payload.push(PRODUCT_ID, line.product);
        payload.push(QUANTITY, line.quantity);
        payload.push(UNIT_PRICE, money(line.unit));
        payload.push(EXTENDED_PRICE, money(line.gross() - line.discount));
        payload.push(PROMO_CODE, promotion.map(|place| PROMOTIONS[place].0));
        self.sold.push(Sold {
            receipt: receipt.id.clone(),
            trace: Some(event.trace_id.clone()),
            store: receipt.store,
            line,
        });
        event
    }

    pub(super) fn payment_processed(&mut self, now: Timestamp) -> Event {
        if let Some(order) = self.unpaid_order() {
            return self.order_payment(order, now);
        }
        let unpaid = self.receipts.find(&mut self.random, |receipt| !receipt.paid);
        let place = match unpaid {
            Some(place) => place,
            None => self.invent_receipt(now, None),
        };
        let receipt = &self.receipts[place];
        let payment = Payment {
            receipt: Some(receipt.id.clone()),
            order: None,
            store: Some(receipt.store),
            customer: receipt.customer,
            tender: TENDERS[receipt.tender],
            cents: receipt.amounts.total(),
        };
        let (trace, lead) = (receipt.trace.clone(), receipt.lead.clone());
        let (mut event, approved) = self.pay(payment, now);
        event.parent_event_id = trace;
        event.correlation_id = lead.map(|lead| lead.journey);
        self.receipts[place].paid = approved;
        event
    }

    pub(super) fn promotion_applied(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::PromotionApplied, now);
        let untold =
            |receipt: &Receipt| receipt.basket.promotion.is_some() && !receipt.promotion_told;
        let place = if let Some(place) = self.receipts.find(&mut self.random, untold) {
            place
        } else {
            let promotion = self.random.below(PROMOTIONS.len() as u32) as usize;
            self.invent_receipt(now, Some(promotion))
        };
        self.receipts[place].promotion_told = true;
        let receipt = &self.receipts[place];
        let (code, discount) = PROMOTIONS[receipt.basket.promotion.unwrap_or_default()];
        let mut products: Vec<Value> = Vec::with_capacity(receipt.basket.lines as usize);
        for line in self.catalog.lines(&receipt.basket).filter(|line| line.discount > 0) {
            let product = Value::from(line.product);
            if !products.contains(&product) {
                products.push(product);
            }
        }
        event.parent_event_id.clone_from(&receipt.trace);
        event.correlation_id = receipt.lead.as_ref().map(|lead| lead.journey.clone());
        let payload = &mut event.payload;
        payload.push(RECEIPT_ID, receipt.id.clone());
        payload.push(PROMO_CODE, code);
        payload.push(DISCOUNT_AMOUNT, money(receipt.amounts.discount));
        payload.push(DISCOUNT_CENTS, receipt.amounts.discount);
        payload.push(DISCOUNT_TYPE, discount.name());
        payload.push(PRODUCT_COUNT, products.len() as i64);
        payload.push(PRODUCT_IDS, products);
        payload.push(STORE_ID, receipt.store);
        payload.push(CUSTOMER_ID, receipt.customer);
        event
    }

    /// A line that was sold and is not yet off the stock; one that was not reported if need be.
    pub(super) fn any_sold(&mut self, now: Timestamp) -> Sold {
        if let Some(sold) = self.sold.take(&mut self.random, |_| true) {
            return sold;
        }
        let (place, _, line) = self.next_line(now);
        let receipt = &self.receipts[place];
        Sold { receipt: receipt.id.clone(), trace: None, store: receipt.store, line }
    }

    pub(super) fn any_promotion(&mut self) -> Option<usize> {
        let used = self.random.chance(PROMOTED);
        used.then(|| self.random.below(PROMOTIONS.len() as u32) as usize)
    }

    /// The ad that a purchase follows, if it follows one; an ad leads to one purchase at most.
    pub(super) fn any_lead(&mut self) -> Option<Lead> {
        let led = self.random.chance(LED_BY_AN_AD);
        if led { self.leads.take(&mut self.random, |_| true) } else { None }
    }

    /// The event of a payment, and whether it was approved. Cards are declined now and then.
    pub(super) fn pay(&mut self, payment: Payment, now: Timestamp) -> (Event, bool) {
        let mut event = self.blank(EventType::PaymentProcessed, now);
        let (millis, decline) = attempt(payment.tender, &mut self.random);
        let transaction = self.id(TXN, now);
        payment.push(&mut event.payload, now, transaction, millis, decline);
        (event, decline.is_none())
    }

    /// The next line of a receipt that has lines left: the receipt's place, the line's number.
    fn next_line(&mut self, now: Timestamp) -> (usize, u32, Line) {
        let open = |receipt: &Receipt| receipt.lines_told < receipt.basket.lines;
        let place = if let Some(place) = self.receipts.find(&mut self.random, open) {
            place
        } else {
            let promotion = self.any_promotion();
            self.invent_receipt(now, promotion)
        };
        let receipt = &mut self.receipts[place];
        receipt.lines_told += 1;
        (place, receipt.lines_told, self.catalog.line(&receipt.basket, receipt.lines_told))
    }

    /// A receipt that was made before anyone listened: for events that need one when the mix has
    /// none.
    fn invent_receipt(&mut self, now: Timestamp, promotion: Option<usize>) -> usize {
        let receipt = self.new_receipt(now, promotion);
        self.receipts.push(receipt)
    }

    fn new_receipt(&mut self, now: Timestamp, promotion: Option<usize>) -> Receipt {
        let store = self.any_store();
        let lead = self.any_lead();
        let customer = match &lead {
            Some(lead) => lead.customer,
            None => self.any_customer(),
        };
        let basket = self.catalog.basket(store, self.random.bits(), promotion);
        Receipt {
            id: self.id(RCP, now),
            trace: None,
            store,
            customer,
            amounts: self.catalog.amounts(&basket, store),
            basket,
            tender: self.random.pick_weighted(&IN_STORE_TENDERS),
            lead,
            lines_told: 0,
            promotion_told: false,
            paid: false,
        }
    }
}
