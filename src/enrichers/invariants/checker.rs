//! Shows each event to the rules of its type.

use super::envelope::{self, TraceIds};
use super::marketing::Touches;
use super::orders::Orders;
use super::receipts::Receipts;
use super::seen::Seen;
use super::stock::Stock;
use super::stores::Stores;
use super::trucks::Trucks;
use super::visits::Visits;
use super::watch::Watch;
use crate::event::{Event, ORDER_ID, RECEIPT_ID, STORE_ID};
use crate::failure::Failure;
use crate::retail::EventType;

/// A reorder and its truck may lie this many times as far apart as a delivery may take.
const LASTING_DELIVERIES: i64 = 2;

pub(super) struct Checker {
    pub(super) watch: Watch,
    trace_ids: TraceIds,
    stores: Stores,
    visits: Visits,
    receipts: Receipts,
    orders: Orders,
    stock: Stock,
    trucks: Trucks,
    touches: Touches,
}

impl Checker {
    /// None of its memories grows beyond `entries_max` entries.
    pub(super) fn new(watch: Watch, entries_max: usize) -> Self {
        let lasting = watch.spans.delivery.saturating_mul(LASTING_DELIVERIES);
        Self {
            trace_ids: TraceIds::new(watch.spans.recent, lasting, entries_max),
            stores: Stores::new(entries_max),
            visits: Visits::new(entries_max),
            receipts: Receipts::new(entries_max),
            orders: Orders::new(entries_max),
            stock: Stock::new(entries_max),
            trucks: Trucks::new(entries_max),
            touches: Touches::new(entries_max),
            watch,
        }
    }

    /// Checks an event; says why it has to go, if it has.
    pub(super) fn see(&mut self, event: &Event) -> Option<Failure> {
        let (seen, event_type) = (Seen::new(event), EventType::from_key(event.event_type));
        self.watch.see_time(seen.time);
        self.expire();
        self.trace_ids.see(&seen, event_type, &mut self.watch);
        if let Some(event_type) = event_type {
            envelope::check(&seen, event_type, &mut self.watch);
            self.judge(&seen, event_type);
            self.watch.see_type(event_type);
        }
        self.watch.take_failure()
    }

    fn judge(&mut self, seen: &Seen<'_>, event_type: EventType) {
        use EventType as T;
        let Self { watch, stores, visits, receipts, orders, stock, trucks, touches, .. } = self;
        let is_paid_online = event_type == T::PaymentProcessed
            && seen.nullable_id(ORDER_ID).is_some_and(|order| !order.is_none());
        if let Some(store) = seen.integer(STORE_ID).filter(|_| !is_paid_online) {
            stores.see(seen, store, watch);
            if event_type == T::ReceiptCreated {
                stores.require_open(seen, store, watch);
            }
        }
        match event_type {
            T::ReceiptCreated => receipts.create(seen, visits, touches, watch),
            T::ReceiptLineAdded => receipts.add_line(seen, stores, watch),
            T::PromotionApplied => receipts.promote(seen, stores, watch),
            T::PaymentProcessed => {
                match (seen.nullable_id(RECEIPT_ID), seen.nullable_id(ORDER_ID)) {
                    (Some(id), Some(none)) if none.is_none() => {
                        receipts.pay(id, seen, stores, watch);
                    }
                    (Some(none), Some(id)) if none.is_none() => orders.pay(id, seen, watch),
                    _ => watch.unreadable(seen),
                }
            }
            T::InventoryUpdated => stock.update(seen, receipts, orders, trucks, watch),
            T::StockoutDetected => stock.stockout(seen, watch),
            T::ReorderTriggered => stock.reorder(seen, watch),
            T::CustomerEntered => visits.enter(seen, stores, watch),
            T::CustomerZoneChanged => visits.change_zone(seen, stores, watch),
            T::BlePingDetected => visits.ping(seen, stores, watch),
            T::TruckArrived => trucks.arrive(seen, watch),
            T::TruckDeparted => trucks.depart(seen, watch),
            T::StoreOpened => stores.open(seen, watch),
            T::StoreClosed => stores.close(seen, watch),
            T::AdImpression => touches.show(seen, watch),
            T::OnlineOrderCreated => orders.create(seen, touches, watch),
            T::OnlineOrderPicked | T::OnlineOrderShipped => orders.fulfil(seen, event_type, watch),
            // Their ground truth is nobody's business but that of who scores alerts.
            T::IncidentStarted | T::IncidentEnded => {}
        }
    }

    /// Judges what has had its time.
    fn expire(&mut self) {
        self.visits.expire(&mut self.stores, &self.watch);
        self.receipts.expire(&mut self.watch);
        self.orders.expire(&mut self.watch);
        self.stock.expire(&mut self.watch);
        self.trucks.expire(&mut self.watch);
    }
}
