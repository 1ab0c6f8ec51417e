//! The rules of the envelope: what of it follows from the payload, per event type.
//!
//! Whoever makes an event sets what it knows, and lets these fill in the rest.

use compact_str::CompactString;

use super::event_types::{EventType, description_of};
use crate::event::{
    CHANNEL, DC, DC_ID, Event, JRN, Key, ORDER_ID, PRODUCT_ID, REASON, RECEIPT_ID, SHIPMENT_ID,
    STORE, STORE_ID, STORE_OPS, Text, Value,
};

/// What a `partition_key` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionRule {
    /// `store_<store_id>`
    Store,
    /// `store_<store_id>`, or `dc_<dc_id>` where there is no store.
    Place,
    /// `order_<order_id>`, or `store_<store_id>` where there is no order.
    OrderOrStore,
    /// `order_<order_id>`
    Order,
    /// `marketing_<CHANNEL>`
    Channel,
    /// The payload names no place; it is that of the event that led to this one.
    OfCause,
}

/// What a `correlation_id` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationRule {
    /// The journey that an ad began, and nothing else: consumers count each as attributed.
    Journey,
    /// The visit, which is the session.
    Session,
    /// The receipt (or order) of a sale, the shipment of what it brought.
    Stock,
    /// `reorder_<store>_<product>`, or `reorder_dc_<dc>_<product>`
    Reorder,
    /// The shipment.
    Shipment,
    /// `store_ops_<store>`
    StoreOperations,
    /// That of the event that led to this one.
    OfCause,
}

/// What a `session_id` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRule {
    /// The shipment, where the payload (or the cause's) names one.
    Shipment,
    /// The online order, where the payload names one.
    Order,
    /// That of the event that led to this one.
    Inherited,
}

/// Sets `partition_key`, `session_id` and `correlation_id` where they are not set and follow from
/// the payload. Does nothing to an event whose type is not of the contract.
pub fn fill_envelope(event: &mut Event) {
    if let Some(event_type) = EventType::from_key(event.event_type) {
        fill(event, event_type, None);
    }
}

/// The same for an event that `cause` led to: what does not follow from the payload is taken from
/// the cause, but for a correlation id that is no journey where only journeys may stand.
///
/// An event that was made with [`Event::caused_by`] has the cause's links already: what its type
/// has a rule for is to be set to `None` first.
pub fn inherit_envelope(event: &mut Event, cause: &Event) {
    let inherit = |own: &mut Option<Text>, from: &Option<Text>| {
        if own.is_none() {
            own.clone_from(from);
        }
    };
    let event_type = EventType::from_key(event.event_type);
    if let Some(event_type) = event_type {
        fill(event, event_type, Some(cause));
    }
    inherit(&mut event.partition_key, &cause.partition_key);
    inherit(&mut event.session_id, &cause.session_id);
    let rule = event_type.map(|event_type| description_of(event_type).correlation);
    if rule == Some(CorrelationRule::Session) {
        inherit(&mut event.correlation_id, &event.session_id);
    }
    if rule != Some(CorrelationRule::Journey) || cause.correlation_id.as_ref().is_some_and(journey)
    {
        inherit(&mut event.correlation_id, &cause.correlation_id);
    }
}

/// Adds the nullable fields that are missing, as null, in the order of the contract. Does nothing
/// to an event whose type is not of the contract.
pub fn fill_nullable(event: &mut Event) {
    let Some(event_type) = EventType::from_key(event.event_type) else { return };
    for field in description_of(event_type).nullable_fields() {
        if event.payload.get(field.key).is_none() {
            event.payload.push(field.key, Value::Null);
        }
    }
}

/// Sets what is not set and follows from the payload, or from that of the cause.
pub(super) fn fill(event: &mut Event, event_type: EventType, cause: Option<&Event>) {
    let description = description_of(event_type);
    if event.partition_key.is_none() {
        event.partition_key = partition_key(event, description.partition);
    }
    if event.session_id.is_none() {
        event.session_id = match description.session {
            SessionRule::Shipment => shipment(event, cause),
            SessionRule::Order => text(event, ORDER_ID),
            SessionRule::Inherited => None,
        };
    }
    if event.correlation_id.is_none() {
        event.correlation_id = correlation_id(event, description.correlation, cause);
    }
}

fn partition_key(event: &Event, rule: PartitionRule) -> Option<Text> {
    let place = |prefix, key| Some(Text::numbered(prefix, number(event, key)?));
    let order = || Some(joined("order_", &text(event, ORDER_ID)?));
    match rule {
        PartitionRule::Store => place(STORE, STORE_ID),
        PartitionRule::Place => place(STORE, STORE_ID).or_else(|| place(DC, DC_ID)),
        PartitionRule::OrderOrStore => order().or_else(|| place(STORE, STORE_ID)),
        PartitionRule::Order => order(),
        PartitionRule::Channel => Some(joined("marketing_", &text(event, CHANNEL)?)),
        PartitionRule::OfCause => None,
    }
}

fn correlation_id(event: &Event, rule: CorrelationRule, cause: Option<&Event>) -> Option<Text> {
    match rule {
        CorrelationRule::Journey | CorrelationRule::OfCause => None,
        CorrelationRule::Session => event.session_id.clone(),
        CorrelationRule::Shipment => text(event, SHIPMENT_ID),
        CorrelationRule::StoreOperations => {
            Some(Text::numbered(STORE_OPS, number(event, STORE_ID)?))
        }
        CorrelationRule::Stock => match text(event, REASON)? {
            reason if reason == "SALE" => {
                text(cause?, RECEIPT_ID).or_else(|| text(cause?, ORDER_ID))
            }
            reason if reason == "INBOUND_SHIPMENT" => shipment(event, cause),
            _ => None,
        },
        CorrelationRule::Reorder => {
            let (prefix, place) = match number(event, STORE_ID) {
                Some(store) => ("reorder_", store),
                None => ("reorder_dc_", number(event, DC_ID)?),
            };
            Some(reorder(prefix, place, number(event, PRODUCT_ID)?))
        }
    }
}

/// The shipment that the event is about, or that came with its cause.
fn shipment(event: &Event, cause: Option<&Event>) -> Option<Text> {
    text(event, SHIPMENT_ID).or_else(|| text(cause?, SHIPMENT_ID))
}

fn journey(id: &Text) -> bool {
    match id {
        Text::Stamped { prefix, .. } | Text::Numbered { prefix, .. } => *prefix == JRN,
        Text::Plain(text) => text.starts_with(JRN.as_str()),
    }
}

fn number(event: &Event, key: Key) -> Option<u64> {
    u64::try_from(event.payload.get(key)?.as_i64()?).ok()
}

fn text(event: &Event, key: Key) -> Option<Text> {
    event.payload.get(key)?.as_text().cloned()
}

fn joined(prefix: &str, rest: &Text) -> Text {
    rest.with_str(|rest| {
        let mut text = CompactString::with_capacity(prefix.len() + rest.len());
        text.push_str(prefix);
        text.push_str(rest);
        Text::Plain(text)
    })
}

/// `<prefix><place>_<product>`
pub(super) fn reorder(prefix: &str, place: u64, product: u64) -> Text {
    let mut text = CompactString::new(prefix);
    text.push_str(itoa::Buffer::new().format(place));
    text.push('_');
    text.push_str(itoa::Buffer::new().format(product));
    Text::Plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        BLE_PING_DETECTED, CUSTOMER_ENTERED, DECLINE_REASON, INVENTORY_UPDATED, PAYMENT_PROCESSED,
        RECEIPT_CREATED, RECEIPT_LINE_ADDED, REORDER_TRIGGERED, Timestamp,
    };

    fn event(event_type: Key, fields: &[(Key, Value)]) -> Event {
        let mut event = Event::new(event_type, Text::from("TR_1_00001"), Timestamp::from_millis(0));
        event.payload = fields.iter().cloned().collect();
        event
    }

    fn seen(text: Option<&Text>) -> String {
        text.map(Text::to_string).unwrap_or_default()
    }

    #[test]
    fn the_key_of_a_place_is_the_store_or_else_the_dc() {
        let product = (PRODUCT_ID, Value::Int(9));
        let mut at_store = event(REORDER_TRIGGERED, &[(STORE_ID, 12_i64.into()), product.clone()]);
        let mut at_dc =
            event(REORDER_TRIGGERED, &[(STORE_ID, Value::Null), (DC_ID, 3_i64.into()), product]);
        fill_envelope(&mut at_store);
        fill_envelope(&mut at_dc);
        assert_eq!(seen(at_store.partition_key.as_ref()), "store_12");
        assert_eq!(seen(at_store.correlation_id.as_ref()), "reorder_12_9");
        assert_eq!(seen(at_dc.partition_key.as_ref()), "dc_3");
        assert_eq!(seen(at_dc.correlation_id.as_ref()), "reorder_dc_3_9");
    }

    #[test]
    fn what_is_set_stays() {
        let mut receipt = event(RECEIPT_CREATED, &[(STORE_ID, 12_i64.into())]);
        receipt.partition_key = Some(Text::from("mine"));
        fill_envelope(&mut receipt);
        assert_eq!(seen(receipt.partition_key.as_ref()), "mine");
    }

    #[test]
    fn a_sale_delta_belongs_to_the_receipt_of_its_cause() {
        let mut line = event(RECEIPT_LINE_ADDED, &[(RECEIPT_ID, Text::from("RCP_1_00001").into())]);
        line.partition_key = Some(Text::from("store_7"));
        let mut delta = event(INVENTORY_UPDATED, &[(REASON, "SALE".into())]);
        inherit_envelope(&mut delta, &line);
        assert_eq!(seen(delta.correlation_id.as_ref()), "RCP_1_00001");
        assert_eq!(seen(delta.partition_key.as_ref()), "store_7", "the payload names no place");
    }

    #[test]
    fn a_ping_belongs_to_the_visit_of_its_cause() {
        let mut entry = event(CUSTOMER_ENTERED, &[(STORE_ID, 7_i64.into())]);
        entry.session_id = Some(Text::from("VIS_1_00001"));
        let mut ping = event(BLE_PING_DETECTED, &[(STORE_ID, 7_i64.into())]);
        inherit_envelope(&mut ping, &entry);
        assert_eq!(seen(ping.session_id.as_ref()), "VIS_1_00001");
        assert_eq!(seen(ping.correlation_id.as_ref()), "VIS_1_00001");
    }

    #[test]
    fn a_purchase_takes_over_a_journey_and_no_other_correlation() {
        for (correlation, inherited) in [("JRN_1_00001", "JRN_1_00001"), ("VIS_1_00001", "")] {
            let mut cause = event(CUSTOMER_ENTERED, &[]);
            cause.correlation_id = Some(Text::from(correlation));
            let mut receipt = event(RECEIPT_CREATED, &[(STORE_ID, 7_i64.into())]);
            inherit_envelope(&mut receipt, &cause);
            assert_eq!(seen(receipt.correlation_id.as_ref()), inherited);
        }
    }

    #[test]
    fn missing_nullable_fields_become_null_and_no_others() {
        let mut payment = event(PAYMENT_PROCESSED, &[(RECEIPT_ID, Text::from("R").into())]);
        fill_nullable(&mut payment);
        let names: Vec<&str> = payment.payload.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names, ["receipt_id", "order_id", "decline_reason", "store_id"]);
        assert_eq!(payment.payload.get(DECLINE_REASON), Some(&Value::Null));
    }
}
