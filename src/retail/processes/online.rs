//! Online orders: created, paid, picked from the stock of a store or the centre, and shipped where
//! nobody comes to fetch them.

use serde::{Deserialize, Serialize};

use super::baskets::{Line, amounts};
use super::marketing::wait;
use super::stock::{Cause, Movement, Place, Reason};
use super::{Stream, stream};
use crate::event::{
    CUSTOMER_ID, FULFILLMENT_MODE, ITEM_COUNT, NODE_ID, NODE_TYPE, ONL, ORDER_ID, PICKED_TIME,
    SHIPPED_TIME, TENDER_TYPE, TXN, Text, Timestamp,
};
use crate::retail::cell::Cell;
use crate::retail::enumerations::TENDERS;
use crate::retail::event_types::{EventType, Family};
use crate::retail::incidents::IncidentType;
use crate::retail::payload::{Amounts, Lead, ONLINE_TENDERS, Payment, attempt, push_lead};
use crate::retail::random::Random;
use crate::retail::reporter::Links;
use crate::retail::schedule::{HOUR, MINUTE, Millis, SECOND, Task};

/// How an order gets to its customer, of 100 orders how many.
const MODES: [(&str, u32); 3] = [("SHIP_FROM_DC", 60), ("SHIP_FROM_STORE", 20), ("BOPIS", 20)];
/// How many of the day's orders come in each hour, of a thousand.
const HOURS: [f64; 24] = [
    14.0, 8.0, 5.0, 4.0, 4.0, 8.0, 16.0, 28.0, 42.0, 52.0, 58.0, 58.0, 56.0, 54.0, 52.0, 50.0,
    50.0, 52.0, 58.0, 70.0, 84.0, 86.0, 62.0, 29.0,
];
/// How long it takes to pay, to try again, to pick and to ship.
const TO_PAY: (Millis, Millis) = (5 * SECOND, 90 * SECOND);
const TO_PICK: (Millis, Millis) = (30 * MINUTE, 6 * HOUR);
const TO_SHIP: (Millis, Millis) = (20 * MINUTE, 5 * HOUR);
/// How long a closed store lets a pick wait before it is looked at again.
const CLOSED: (Millis, Millis) = (30 * MINUTE, 90 * MINUTE);
const DECLINES_MOST: u8 = 2;

/// Orders as they come in.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Ordering {
    random: Random,
    until: Millis,
    /// Orders per millisecond.
    rate: f64,
    /// Whether what comes next is an order, or only a look at the rate.
    is_order: bool,
}

/// An order that is not yet done with.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct OnlineOrder {
    id: Text,
    /// The trace id of its creation.
    created: Text,
    customer_id: u32,
    place: Place,
    /// The place in [`MODES`].
    mode: u8,
    tender: u8,
    lines: Vec<Line>,
    amounts: Amounts,
    lead: Option<Lead>,
    declined: u8,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Pay,
    Pick,
    Ship,
}

impl Ordering {
    pub(in crate::retail) fn new(seed: u64, dc: usize) -> Self {
        let random = stream(seed, Stream::Ordering, dc);
        Self { random, until: Millis::MIN, rate: 0.0, is_order: false }
    }
}

impl Cell {
    /// Whether customers can order online: where none of its types is emitted, they cannot.
    pub(in crate::retail) fn is_ordering(&self) -> bool {
        Family::Online.event_types().any(|online| self.scene.options.emit.contains(online))
    }

    /// An order comes in, or the rate changes; and the next is planned.
    pub(in crate::retail) fn take_orders(&mut self, now: Millis) {
        if self.ordering.is_order
            && let Some(customer) = self.ground.draw_customer(&mut self.ordering.random)
        {
            self.place_order(customer, now);
        }
        if now >= self.ordering.until {
            let moment = self.moment_at_centre(now);
            let weight = self.weight(EventType::OnlineOrderCreated, &moment);
            let of_day = HOURS[moment.hour as usize] / HOURS.iter().sum::<f64>();
            let customers = self.ground.customers.len() as f64;
            let orders = customers * self.scene.options.orders_per_customer;
            let season = self.scene.options.calendar.traffic(moment.date);
            self.ordering.rate = orders * season * of_day / HOUR as f64 * weight;
            self.ordering.until = self.next_interval(now);
        }
        let ordering = &mut self.ordering;
        let wait = wait(ordering.rate, &mut ordering.random);
        ordering.is_order = wait < (ordering.until - now) as f64;
        let next = if ordering.is_order { now + wait as Millis } else { ordering.until };
        self.schedule.at(next, Task::Ordering);
    }

    /// A customer orders, if anything that they want is there.
    pub(super) fn place_order(&mut self, customer: u32, now: Millis) {
        let Some(home) = self.ground.home_of(&self.scene.world, customer) else { return };
        let random = &mut self.ordering.random;
        let mode = random.pick_weighted(&MODES.map(|(_, weight)| weight)) as u8;
        let tender = random.pick_weighted(&ONLINE_TENDERS) as u8;
        let place = if mode == 0 { Place::Dc } else { Place::Store(home) };
        let lines = self.fill_basket(home, customer, place, now);
        if lines.is_empty() {
            return;
        }
        let world = &self.scene.world;
        let geography = world.stores[self.ground.stores[home as usize]].geography;
        let amounts = amounts(&lines, world.geographies[geography].tax_rate);
        let customer_id = world.customers[customer as usize].id;
        let lead = self.claim_lead(customer, now);
        let mut order = OnlineOrder {
            id: self.reporter.id(ONL, now),
            created: Text::default(),
            customer_id,
            place,
            mode,
            tender,
            lines,
            amounts,
            lead,
            declined: 0,
            step: Step::Pay,
        };
        let node = self.place_ids(place);
        let envelope = order.links(None);
        order.created =
            self.reporter.tell(EventType::OnlineOrderCreated, now, envelope, |payload| {
                payload.push(ORDER_ID, order.id.clone());
                payload.push(CUSTOMER_ID, customer_id);
                payload.push(FULFILLMENT_MODE, MODES[usize::from(mode)].0);
                payload.push(NODE_TYPE, order.node_type());
                payload.push(NODE_ID, node.store.or(node.dc));
                payload.push(ITEM_COUNT, order.lines.len() as i64);
                amounts.push_money(payload);
                payload.push(TENDER_TYPE, TENDERS[usize::from(tender)]);
                push_lead(payload, order.lead.as_ref());
                amounts.push_cents(payload);
            });
        let slot = self.orders.insert(order) as u32;
        self.order_goes_on(slot, TO_PAY, now);
    }

    fn order_goes_on(&mut self, slot: u32, span: (Millis, Millis), now: Millis) {
        let wait = self.ordering.random.between(span.0, span.1);
        self.schedule.at(now + wait, Task::Order(slot));
    }

    /// The payment, the picking or the shipping.
    pub(in crate::retail) fn go_on_with_order(&mut self, slot: u32, now: Millis) {
        let Some(order) = self.orders.get(slot as usize) else { return };
        let (step, place) = (order.step, order.place);
        if step != Step::Pay
            && place == Place::Dc
            && let Some(end) = self.held_up(IncidentType::DcOutage)
        {
            self.order_goes_on(slot, CLOSED, end.max(now));
            return;
        }
        match step {
            Step::Pay => {
                let approved = self.pay_order(slot, now);
                if approved {
                    self.orders[slot as usize].step = Step::Pick;
                }
                self.order_goes_on(slot, if approved { TO_PICK } else { TO_PAY }, now);
            }
            Step::Pick => {
                if let Place::Store(store) = place
                    && !self.shops[store as usize].is_open
                {
                    self.order_goes_on(slot, CLOSED, now);
                    return;
                }
                self.pick_order(slot, now);
                if MODES[usize::from(self.orders[slot as usize].mode)].0 == "BOPIS" {
                    self.orders.remove(slot as usize);
                } else {
                    self.orders[slot as usize].step = Step::Ship;
                    self.order_goes_on(slot, TO_SHIP, now);
                }
            }
            Step::Ship => {
                self.tell_order(slot, EventType::OnlineOrderShipped, now);
                self.orders.remove(slot as usize);
            }
        }
    }

    fn pay_order(&mut self, slot: u32, now: Millis) -> bool {
        let order = &mut self.orders[slot as usize];
        let tender = TENDERS[usize::from(order.tender)];
        let (millis, decline) = attempt(tender, &mut self.ordering.random);
        let decline = decline.filter(|_| order.declined < DECLINES_MOST);
        order.declined += u8::from(decline.is_some());
        let transaction = self.reporter.id(TXN, now);
        let links = order.links(Some(&order.created));
        self.reporter.tell(EventType::PaymentProcessed, now, links, |payload| {
            let payment = Payment {
                receipt: None,
                order: Some(order.id.clone()),
                store: None,
                customer: order.customer_id,
                tender,
                cents: order.amounts.total(),
            };
            payment.push(payload, Timestamp::from_millis(now), transaction, millis, decline);
        });
        decline.is_none()
    }

    /// What was set aside goes out of the stock.
    fn pick_order(&mut self, slot: u32, now: Millis) {
        self.tell_order(slot, EventType::OnlineOrderPicked, now);
        let order = &mut self.orders[slot as usize];
        let (place, id, created) = (order.place, order.id.clone(), order.created.clone());
        for line in std::mem::take(&mut order.lines) {
            let cause = Cause {
                correlation: Some(id.clone()),
                session: Some(id.clone()),
                parent: Some(created.clone()),
            };
            let delta = -i64::from(line.quantity);
            let movement = Movement { delta, reason: Reason::Sale, source: Some("ONLINE") };
            self.release(place, line.product, line.quantity);
            self.book(place, line.product, movement, cause, now);
        }
    }

    fn tell_order(&mut self, slot: u32, event_type: EventType, now: Millis) {
        let order = &self.orders[slot as usize];
        let node = self.place_ids(order.place);
        let links = order.links(Some(&order.created));
        let picked = event_type == EventType::OnlineOrderPicked;
        self.reporter.tell(event_type, now, links, |payload| {
            payload.push(ORDER_ID, order.id.clone());
            payload.push(NODE_TYPE, order.node_type());
            payload.push(NODE_ID, node.store.or(node.dc));
            payload.push(FULFILLMENT_MODE, MODES[usize::from(order.mode)].0);
            let time = if picked { PICKED_TIME } else { SHIPPED_TIME };
            payload.push(time, Timestamp::from_millis(now));
        });
    }
}

impl OnlineOrder {
    fn node_type(&self) -> &'static str {
        if self.place == Place::Dc { "DC" } else { "STORE" }
    }

    /// The envelope of what belongs to the order.
    fn links(&self, parent: Option<&Text>) -> Links {
        let partition = self.id.with_str(|id| compact_str::format_compact!("order_{id}"));
        Links {
            partition: Text::Plain(partition),
            session: Some(self.id.clone()),
            correlation: self.lead.as_ref().map(|lead| lead.journey.clone()),
            parent: parent.cloned(),
        }
    }
}
