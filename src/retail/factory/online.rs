//! Online orders: created, paid, picked, and shipped where nobody comes to fetch them.

use serde::{Deserialize, Deserializer, Serialize, de};

use super::EventFactory;
use super::memory::place_in;
use crate::event::{
    CUSTOMER_ID, Event, FULFILLMENT_MODE, ITEM_COUNT, NODE_ID, NODE_TYPE, ONL, ORDER_ID,
    PICKED_TIME, SHIPPED_TIME, TENDER_TYPE, Text, Timestamp,
};
use crate::retail::enumerations::TENDERS;
use crate::retail::event_types::EventType;
use crate::retail::payload::{Amounts, Lead, ONLINE_TENDERS, Payment, push_lead};

const MODES: [&str; 3] = ["SHIP_FROM_DC", "SHIP_FROM_STORE", "BOPIS"];
/// Out of 100 orders, how many are fulfilled in each of the modes.
const MODE_WEIGHTS: [u32; 3] = [60, 20, 20];

/// One of [`MODES`].
type Mode = &'static str;

/// An order that is not yet with its customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    id: Text,
    /// The trace id of its last event; none if it was never reported.
    trace: Option<Text>,
    customer: u32,
    #[serde(deserialize_with = "mode")]
    mode: Mode,
    /// The place that fulfils it.
    node: u32,
    lines: u32,
    amounts: Amounts,
    /// The place in [`TENDERS`].
    #[serde(deserialize_with = "place_in::<{ TENDERS.len() }, _, _>")]
    tender: usize,
    lead: Option<Lead>,
    paid: bool,
    picked: bool,
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
    let name = String::deserialize(deserializer)?;
    let mode = MODES.into_iter().find(|mode| *mode == name);
    mode.ok_or_else(|| de::Error::custom(format!("`{name}` is no fulfillment mode")))
}

impl Order {
    fn node_type(&self) -> &'static str {
        if self.mode == "SHIP_FROM_DC" { "DC" } else { "STORE" }
    }

    fn link(&self, event: &mut Event) {
        event.parent_event_id.clone_from(&self.trace);
        event.correlation_id = self.lead.as_ref().map(|lead| lead.journey.clone());
    }
}

impl EventFactory {
    pub(super) fn online_order_created(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::OnlineOrderCreated, now);
        let mode = MODES[self.random.pick_weighted(&MODE_WEIGHTS)];
        let mut order = self.new_order(mode, now);
        order.link(&mut event);
        order.trace = Some(event.trace_id.clone());
        let payload = &mut event.payload;
        payload.push(ORDER_ID, order.id.clone());
        payload.push(CUSTOMER_ID, order.customer);
        payload.push(FULFILLMENT_MODE, order.mode);
        payload.push(NODE_TYPE, order.node_type());
        payload.push(NODE_ID, order.node);
        payload.push(ITEM_COUNT, order.lines);
        order.amounts.push_money(payload);
        payload.push(TENDER_TYPE, TENDERS[order.tender]);
        push_lead(payload, order.lead.as_ref());
        order.amounts.push_cents(payload);
        self.orders.push(order);
        event
    }

    pub(super) fn online_order_picked(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::OnlineOrderPicked, now);
        let place = if let Some(place) = self.orders.find(&mut self.random, |order| !order.picked) {
            place
        } else {
            let mode = MODES[self.random.pick_weighted(&MODE_WEIGHTS)];
            let order = self.new_order(mode, now);
            self.orders.push(order)
        };
        let order = &mut self.orders[place];
        order.picked = true;
        order.link(&mut event);
        order.trace = Some(event.trace_id.clone());
        let payload = &mut event.payload;
        payload.push(ORDER_ID, order.id.clone());
        payload.push(NODE_TYPE, order.node_type());
        payload.push(NODE_ID, order.node);
        payload.push(FULFILLMENT_MODE, order.mode);
        payload.push(PICKED_TIME, now);
        event
    }

    pub(super) fn online_order_shipped(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::OnlineOrderShipped, now);
        let ready = |order: &Order| order.picked && order.mode != "BOPIS";
        let order = if let Some(order) = self.orders.take(&mut self.random, ready) {
            order
        } else {
            let mode = MODES[self.random.pick_weighted(&MODE_WEIGHTS[..2])];
            self.new_order(mode, now)
        };
        order.link(&mut event);
        let payload = &mut event.payload;
        payload.push(ORDER_ID, order.id.clone());
        payload.push(NODE_TYPE, order.node_type());
        payload.push(NODE_ID, order.node);
        payload.push(FULFILLMENT_MODE, order.mode);
        payload.push(SHIPPED_TIME, now);
        event
    }

    /// An order that waits for its payment.
    pub(super) fn unpaid_order(&mut self) -> Option<usize> {
        self.orders.find(&mut self.random, |order| !order.paid)
    }

    pub(super) fn order_payment(&mut self, place: usize, now: Timestamp) -> Event {
        let order = self.orders[place].clone();
        let payment = Payment {
            receipt: None,
            order: Some(order.id.clone()),
            store: None,
            customer: order.customer,
            tender: TENDERS[order.tender],
            cents: order.amounts.total(),
        };
        let (mut event, approved) = self.pay(payment, now);
        order.link(&mut event);
        self.orders[place].paid = approved;
        event
    }

    fn new_order(&mut self, mode: Mode, now: Timestamp) -> Order {
        let store = self.any_store();
        let lead = self.any_lead();
        let customer = match &lead {
            Some(lead) => lead.customer,
            None => self.any_customer(),
        };
        let promotion = self.any_promotion();
        let basket = self.catalog.basket(store, self.random.bits(), promotion);
        Order {
            id: self.id(ONL, now),
            trace: None,
            customer,
            mode,
            node: if mode == "SHIP_FROM_DC" { self.catalog.dc_of(store) } else { store },
            lines: basket.lines,
            amounts: self.catalog.amounts(&basket, store),
            tender: self.random.pick_weighted(&ONLINE_TENDERS),
            lead,
            paid: false,
            picked: false,
        }
    }
}
