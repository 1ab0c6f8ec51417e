//! Rules of the envelope: trace ids, parents, keys, and what sessions and correlations are.

use super::memory::KnownIds;
use super::rules::Rule;
use super::seen::{Id, Seen};
use super::watch::{Watch, bit};
use crate::event::{
    CHANNEL, DC_ID, ORDER_ID, PRODUCT_ID, REASON, SHIPMENT_ID, STORE_ID, Text, Value,
};
use crate::retail::EventType;

const DAY: i64 = 86_400_000;
/// An impression may lead to a visit or an order for seven days, and a while of telling it.
const IMPRESSION_SPAN: i64 = 8 * DAY;

/// The trace ids that came before: of all events for a while, of those that lead to something much
/// later for longer.
pub(super) struct TraceIds {
    recent: KnownIds,
    impressions: KnownIds,
    lasting: KnownIds,
    lasting_span: i64,
    /// Of incidents that began: they last as long as they like.
    incidents: KnownIds,
}

impl TraceIds {
    pub(super) fn new(recent_span: i64, lasting_span: i64, entries_max: usize) -> Self {
        Self {
            recent: KnownIds::new(recent_span, entries_max),
            impressions: KnownIds::new(IMPRESSION_SPAN, entries_max),
            lasting: KnownIds::new(lasting_span, entries_max),
            lasting_span,
            incidents: KnownIds::new(i64::MAX, entries_max),
        }
    }

    /// Checks that the event's id is new and its parent's is not.
    pub(super) fn see(
        &mut self,
        seen: &Seen<'_>,
        event_type: Option<EventType>,
        watch: &mut Watch,
    ) {
        if !seen.parent.is_none() && !self.is_known(seen.parent) {
            self.judge_parent(seen, event_type, watch);
        }
        let is_new = self.recent.insert(seen.trace, watch.now);
        watch.check(Rule::UniqueTraceId, seen, is_new, || "the id came before".to_owned());
        match event_type {
            Some(EventType::AdImpression) => self.impressions.insert(seen.trace, watch.now),
            Some(EventType::IncidentStarted) => self.incidents.insert(seen.trace, watch.now),
            Some(event_type) if leads_far(event_type, seen) => {
                self.lasting.insert(seen.trace, watch.now)
            }
            _ => is_new,
        };
    }

    fn is_known(&self, id: Id) -> bool {
        self.all().into_iter().any(|ids| ids.contains(id))
    }

    fn all(&self) -> [&KnownIds; 4] {
        [&self.recent, &self.impressions, &self.lasting, &self.incidents]
    }

    /// An unknown parent is wrong if all types that it could be of are in the stream.
    fn judge_parent(&self, seen: &Seen<'_>, event_type: Option<EventType>, watch: &mut Watch) {
        let Some(event_type) = event_type else { return };
        let has_forgotten = self.all().into_iter().any(KnownIds::has_forgotten);
        let span = match event_type {
            EventType::IncidentEnded => i64::MAX,
            _ => self.lasting_span.max(IMPRESSION_SPAN),
        };
        if watch.has_all(causes(event_type, seen)) && watch.never_was(has_forgotten, span) {
            watch.violate(Rule::KnownReference, seen, || {
                format!("no event came before with the trace id of its parent {}", parent(seen))
            });
        }
    }
}

fn parent(seen: &Seen<'_>) -> String {
    seen.event.parent_event_id.as_ref().map_or_else(String::new, |id| format!("`{id}`"))
}

/// Whether an event may be the parent of one that comes days later.
fn leads_far(event_type: EventType, seen: &Seen<'_>) -> bool {
    match event_type {
        EventType::ReorderTriggered
        | EventType::TruckArrived
        | EventType::OnlineOrderCreated
        | EventType::OnlineOrderPicked
        | EventType::IncidentStarted => true,
        EventType::InventoryUpdated => {
            seen.text(REASON).is_some_and(|reason| *reason == "OUTBOUND_SHIPMENT")
        }
        _ => false,
    }
}

/// The types that the parent of an event may be of.
fn causes(event_type: EventType, seen: &Seen<'_>) -> u32 {
    use EventType as T;
    let types: &[EventType] = match event_type {
        T::ReceiptCreated | T::CustomerZoneChanged | T::BlePingDetected => &[T::CustomerEntered],
        T::ReceiptLineAdded => &[T::ReceiptCreated],
        T::PromotionApplied => &[T::ReceiptCreated, T::ReceiptLineAdded],
        T::PaymentProcessed => match seen.event.payload.get(ORDER_ID) {
            Some(Value::Text(_)) => &[T::OnlineOrderCreated],
            _ => &[T::ReceiptCreated, T::ReceiptLineAdded, T::PromotionApplied],
        },
        T::InventoryUpdated => causes_of_movement(seen),
        T::StockoutDetected | T::ReorderTriggered => &[T::InventoryUpdated],
        T::CustomerEntered | T::AdImpression => &[T::AdImpression],
        T::OnlineOrderCreated => &[T::AdImpression, T::CustomerEntered],
        T::TruckArrived => &[T::ReorderTriggered, T::InventoryUpdated],
        T::TruckDeparted => &[T::TruckArrived],
        T::StoreOpened | T::StoreClosed => &[T::StoreOpened],
        T::OnlineOrderPicked | T::OnlineOrderShipped => {
            &[T::OnlineOrderCreated, T::OnlineOrderPicked]
        }
        T::IncidentStarted | T::IncidentEnded => &[T::IncidentStarted],
    };
    types.iter().fold(0, |set, event_type| set | bit(*event_type))
}

fn causes_of_movement(seen: &Seen<'_>) -> &'static [EventType] {
    use EventType as T;
    let reason = seen.text(REASON);
    let is = |name: &str| reason.is_some_and(|reason| reason == name);
    if is("SALE") {
        match seen.text(crate::event::SOURCE) {
            Some(source) if *source == "POS" => &[T::ReceiptLineAdded],
            _ => &[T::OnlineOrderCreated, T::OnlineOrderPicked],
        }
    } else if is("INBOUND_SHIPMENT") {
        &[T::TruckArrived, T::ReorderTriggered, T::InventoryUpdated]
    } else {
        &EventType::ALL
    }
}

/// Checks the keys, sessions and correlations that follow from the event itself.
pub(super) fn check(seen: &Seen<'_>, event_type: EventType, watch: &mut Watch) {
    use EventType as T;
    if let Some(follows) = partition_key_follows(seen, event_type) {
        watch.check(Rule::PartitionKeyNamesPlace, seen, follows, || {
            format!("the partition key is {}", shown(seen.event.partition_key.as_ref()))
        });
    }
    let shipment = || seen.id(SHIPMENT_ID).unwrap_or_default();
    let order = || seen.nullable_id(ORDER_ID).unwrap_or_default();
    let session = match event_type {
        T::TruckArrived | T::TruckDeparted => Some(seen.session == shipment()),
        T::CustomerEntered | T::CustomerZoneChanged | T::BlePingDetected => {
            Some(!seen.session.is_none())
        }
        T::OnlineOrderCreated | T::OnlineOrderPicked | T::OnlineOrderShipped => {
            Some(seen.session == order())
        }
        T::PaymentProcessed if !order().is_none() => Some(seen.session == order()),
        T::InventoryUpdated if is_freight(seen) => Some(!seen.session.is_none()),
        _ => None,
    };
    watch.check(Rule::SessionIdFollowsType, seen, session.unwrap_or(true), || {
        format!("the session is {}", shown(seen.event.session_id.as_ref()))
    });
    let correlation = correlation_follows(seen, event_type);
    watch.check(Rule::CorrelationIdFollowsType, seen, correlation, || {
        format!("the correlation is {}", shown(seen.event.correlation_id.as_ref()))
    });
}

fn correlation_follows(seen: &Seen<'_>, event_type: EventType) -> bool {
    use EventType as T;
    let correlation = seen.event.correlation_id.as_ref();
    let number = |key| seen.integer(key).unwrap_or_default();
    match event_type {
        T::CustomerZoneChanged | T::BlePingDetected => seen.correlation == seen.session,
        T::TruckArrived | T::TruckDeparted => {
            seen.correlation == seen.id(SHIPMENT_ID).unwrap_or_default()
        }
        T::InventoryUpdated if is_freight(seen) => seen.correlation == seen.session,
        T::InventoryUpdated if seen.text(REASON).is_some_and(|reason| *reason == "SALE") => {
            !seen.correlation.is_none()
        }
        T::StoreOpened | T::StoreClosed => reads(correlation, "store_ops_", &[number(STORE_ID)]),
        T::ReorderTriggered if seen.integer(STORE_ID).is_some() => {
            reads(correlation, "reorder_", &[number(STORE_ID), number(PRODUCT_ID)])
        }
        _ => true,
    }
}

fn is_freight(seen: &Seen<'_>) -> bool {
    let reason = seen.text(REASON);
    reason.is_some_and(|reason| *reason == "INBOUND_SHIPMENT" || *reason == "OUTBOUND_SHIPMENT")
}

/// Whether the key is the one of the event's place; none where the payload names no place.
fn partition_key_follows(seen: &Seen<'_>, event_type: EventType) -> Option<bool> {
    use EventType as T;
    let key = seen.event.partition_key.as_ref();
    let text_follows = |prefix: &str, rest: &Text| {
        key.is_some_and(|key| {
            key.with_str(|key| key.strip_prefix(prefix).is_some_and(|key| *rest == *key))
        })
    };
    let of_order = || Some(text_follows("order_", seen.text(ORDER_ID)?));
    let of_place = || {
        let store = seen.integer(STORE_ID).map(|store| is_store(key, store));
        store.or_else(|| Some(reads(key, "dc_", &[seen.integer(DC_ID)?])))
    };
    match event_type {
        T::ReceiptLineAdded => None,
        T::AdImpression => Some(text_follows("marketing_", seen.text(CHANNEL)?)),
        T::OnlineOrderCreated | T::OnlineOrderPicked | T::OnlineOrderShipped => of_order(),
        T::PaymentProcessed => of_order().or_else(of_place),
        _ => of_place(),
    }
}

/// Whether a partition key is that of a store.
pub(super) fn is_store(key: Option<&Text>, store: i64) -> bool {
    match key {
        // The form in which most of them come, which needs no rendering.
        Some(Text::Numbered { prefix, number }) if prefix.as_str() == "store_" => {
            i64::try_from(*number) == Ok(store)
        }
        key => reads(key, "store_", &[store]),
    }
}

/// Whether a text is a prefix and numbers with `_` between them.
fn reads(text: Option<&Text>, prefix: &str, numbers: &[i64]) -> bool {
    let Some(text) = text else { return false };
    text.with_str(|text| {
        let mut rest = text.strip_prefix(prefix);
        for (place, number) in numbers.iter().enumerate() {
            rest = rest
                .and_then(|rest| if place > 0 { rest.strip_prefix('_') } else { Some(rest) })
                .and_then(|rest| rest.strip_prefix(itoa::Buffer::new().format(*number)));
        }
        rest == Some("")
    })
}

/// A link for reading.
pub(super) fn shown(link: Option<&Text>) -> String {
    link.map_or_else(|| "null".to_owned(), |text| format!("`{text}`"))
}
