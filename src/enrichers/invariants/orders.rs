//! Rules of online orders: paid, taken from stock, picked, shipped.

use super::bill::Bill;
use super::marketing::Touches;
use super::memory::Pending;
use super::rules::Rule;
use super::seen::{Id, Place, Seen};
use super::watch::Watch;
use crate::event::{FULFILLMENT_MODE, ITEM_COUNT, NODE_ID, NODE_TYPE, ORDER_ID, Text};
use crate::retail::EventType;
use crate::retail::enumerations::{FULFILLMENT_MODES, NODE_TYPES};

pub(super) struct Orders {
    pending: Pending<Order>,
}

struct Order {
    event: Text,
    trace: Id,
    fulfilment: Fulfilment,
    item_count: i64,
    bill: Bill,
    /// Movements of stock for it.
    sales: i64,
    is_picked: bool,
    is_shipped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fulfilment {
    node: Place,
    mode: usize,
}

impl Fulfilment {
    fn read(seen: &Seen<'_>) -> Option<Self> {
        let is_dc = NODE_TYPES[seen.code(NODE_TYPE, NODE_TYPES)?] == "DC";
        let node = Place { is_dc, id: seen.integer(NODE_ID)? };
        Some(Self { node, mode: seen.code(FULFILLMENT_MODE, FULFILLMENT_MODES)? })
    }
}

impl Orders {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { pending: Pending::new(entries_max) }
    }

    pub(super) fn create(&mut self, seen: &Seen<'_>, touches: &mut Touches, watch: &mut Watch) {
        let read =
            || Some((seen.id(ORDER_ID)?, seen.integer(ITEM_COUNT)?, Fulfilment::read(seen)?));
        let Some((id, item_count, fulfilment)) = read() else { return watch.unreadable(seen) };
        let Some(mut bill) = Bill::read(seen, None, watch) else { return watch.unreadable(seen) };
        touches.attribute(seen, bill.customer, watch);
        if self.pending.get(id).is_some() {
            return watch
                .violate(Rule::IdGivenOnce, seen, || "the order was created before".into());
        }
        bill.session = id;
        let order = Order {
            event: seen.event.trace_id.clone(),
            trace: seen.trace,
            fulfilment,
            item_count,
            bill,
            sales: 0,
            is_picked: false,
            is_shipped: false,
        };
        let due = watch.now.saturating_add(watch.spans.order);
        let early = self.pending.insert(id, order, due);
        watch.leave_open(u64::from(early.is_some()));
    }

    /// A payment for an order.
    pub(super) fn pay(&mut self, id: Id, seen: &Seen<'_>, watch: &mut Watch) {
        let Some(order) = self.find(id, seen, watch) else { return };
        if order.bill.pay(seen, watch).is_none() {
            watch.unreadable(seen);
        }
    }

    pub(super) fn fulfil(&mut self, seen: &Seen<'_>, event_type: EventType, watch: &mut Watch) {
        let read = || Some((seen.id(ORDER_ID)?, Fulfilment::read(seen)?));
        let Some((id, fulfilment)) = read() else { return watch.unreadable(seen) };
        let Some(order) = self.find(id, seen, watch) else { return };
        order.bill.check_journey(seen, watch);
        let (was_picked, was_shipped) = (order.is_picked, order.is_shipped);
        let is_next = if event_type == EventType::OnlineOrderShipped {
            order.is_shipped = true;
            !was_shipped && (was_picked || !watch.has(EventType::OnlineOrderPicked))
        } else {
            order.is_picked = true;
            !was_picked && !was_shipped
        };
        let is_same = fulfilment == order.fulfilment;
        watch.check(Rule::OrderGoesItsWay, seen, is_next && is_same, || {
            if is_same {
                format!("it was picked: {was_picked}, shipped: {was_shipped}")
            } else {
                format!("the order is for {}, or of another mode", order.fulfilment.node)
            }
        });
    }

    /// A movement of stock for an order.
    pub(super) fn sell(&mut self, seen: &Seen<'_>, place: Place, watch: &mut Watch) {
        let Some(order) = self.find(seen.correlation, seen, watch) else { return };
        let is_of_order = seen.parent == order.trace && place == order.fulfilment.node;
        watch.check(Rule::SaleIsOfItsLine, seen, is_of_order, || {
            let node = order.fulfilment.node;
            format!("at {place}, for an order to {node}, or its parent is not the order")
        });
        order.sales += 1;
        watch.check(Rule::EveryLineHasItsSale, seen, order.sales <= order.item_count, || {
            format!("{} movements for {} lines", order.sales, order.item_count)
        });
    }

    /// Judges orders that have had their time.
    pub(super) fn expire(&mut self, watch: &mut Watch) {
        while let Some((_, order)) = self.pending.take_due(watch.now) {
            if watch.has(EventType::PaymentProcessed) && !order.bill.is_paid {
                watch.miss(Rule::OneApprovedPayment, &order.event, || {
                    "no payment was approved".to_owned()
                });
            }
            if watch.has(EventType::InventoryUpdated) && order.sales < order.item_count {
                watch.miss(Rule::EveryLineHasItsSale, &order.event, || {
                    format!("{} of {} lines were taken from stock", order.sales, order.item_count)
                });
            }
            let is_unpicked = watch.has(EventType::OnlineOrderPicked) && !order.is_picked;
            let is_fetched = FULFILLMENT_MODES[order.fulfilment.mode] == "BOPIS";
            let is_unshipped = watch.has(EventType::OnlineOrderShipped) && !order.is_shipped;
            if is_unpicked || is_unshipped && !is_fetched {
                watch.miss(Rule::OrderGoesItsWay, &order.event, || {
                    format!("it was not {}", if is_unpicked { "picked" } else { "shipped" })
                });
            }
        }
    }

    fn find(&mut self, id: Id, seen: &Seen<'_>, watch: &mut Watch) -> Option<&mut Order> {
        let has_forgotten = self.pending.has_forgotten();
        let found = self.pending.get_mut(id);
        if found.is_none()
            && !id.is_none()
            && watch.has(EventType::OnlineOrderCreated)
            && watch.never_was(has_forgotten, watch.spans.order)
        {
            watch.violate(Rule::KnownReference, seen, || {
                "its order was not created before, or too long ago".to_owned()
            });
        }
        found
    }
}
