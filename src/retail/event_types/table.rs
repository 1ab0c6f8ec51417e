//! The event contract as one table. A field that is added here is in the schemas, in validation
//! and in what scripts know.

#![allow(clippy::wildcard_imports, reason = "the table names nearly all of the contract")]

use super::super::envelope::{CorrelationRule, PartitionRule, SessionRule};
use super::super::fields::enumerations::*;
use super::super::fields::{FieldDescription, FieldType, Rule};
use super::{EventDescription, EventType, Family};
use crate::event::*;

const NUMBER_OF: FieldType = FieldType::NUMBER_OF;
const COUNT: FieldType = FieldType::COUNT;
const ZERO_OR_MORE: FieldType = FieldType::AMOUNT;
const MONEY: FieldType = FieldType::MONEY;
const COST_OF_AD: FieldType = FieldType::Number { decimals: 4 };
/// Consumers keep it in 32 bits.
const MILLIS: FieldType = FieldType::Integer { min: 0, max: i32::MAX as i64 };
const RSSI_DBM: FieldType = FieldType::Integer { min: -120, max: 0 };

const RECEIPT: FieldType = FieldType::Id("^RCP_-?[0-9]+_[0-9]{5,}$");
const TRANSACTION: FieldType = FieldType::Id("^TXN_-?[0-9]+_[0-9]{5,}$");
const SHIPMENT: FieldType = FieldType::Id("^SHIP_-?[0-9]+_[0-9]{5,}$");
const IMPRESSION: FieldType = FieldType::Id("^IMP_-?[0-9]+_[0-9]{5,}$");
const ONLINE_ORDER: FieldType = FieldType::Id("^ONL_-?[0-9]+_[0-9]{5,}$");
const TRUCK: FieldType = FieldType::Id("^TRUCK_[0-9]{4}$");
const CREATIVE: FieldType = FieldType::Id("^CRE_[0-9]{4}$");
const BLE_DEVICE: FieldType = FieldType::Id("^BLE[A-Z0-9]{6}$");
const AD_DEVICE: FieldType = FieldType::Id("^AD[A-Z0-9]{6}$");
const SENSOR: FieldType = FieldType::Id("^SENSOR_[0-9]+_[A-Z]+$");
const BEACON: FieldType = FieldType::Id("^BEACON_[0-9]+_[A-Z]+$");

const fn field(key: Key, field_type: FieldType, about: &'static str) -> FieldDescription {
    FieldDescription { key, field_type, nullable: false, about }
}

const fn nullable(key: Key, field_type: FieldType, about: &'static str) -> FieldDescription {
    FieldDescription { key, field_type, nullable: true, about }
}

/// What is told of an incident, at its begin and at its end.
const INCIDENT: &[FieldDescription] = &[
    field(INCIDENT_ID, FieldType::Text, "The incident."),
    field(INCIDENT_TYPE, FieldType::OneOf(INCIDENT_TYPES), "What goes wrong."),
    field(SEVERITY, FieldType::Number { decimals: 4 }, "How bad it is, from 0 to 1."),
    nullable(STORE_ID, NUMBER_OF, "The store, if it is one."),
    nullable(DC_ID, NUMBER_OF, "The distribution centre, if it is one."),
    nullable(REGION, FieldType::Text, "The region, if it is a whole one."),
    nullable(TRUCK_ID, TRUCK, "The truck, if it is one."),
    nullable(DEPARTMENT, FieldType::Text, "The department, if it is one."),
    field(BEGIN_TIME, FieldType::Timestamp, "When it begins."),
    field(END_TIME, FieldType::Timestamp, "When it is over."),
];

/// Each stands at the place of its type's number.
pub(super) static DESCRIPTIONS: [EventDescription; EventType::COUNT] = [
    EventDescription {
        event_type: EventType::ReceiptCreated,
        key: RECEIPT_CREATED,
        family: Family::Transactions,
        about: "A purchase at a till: what it came to and how it was paid.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(CUSTOMER_ID, NUMBER_OF, "The customer."),
            field(RECEIPT_ID, RECEIPT, "The receipt."),
            field(SUBTOTAL, MONEY, "The sum of the lines after discounts, before tax."),
            field(TAX, MONEY, "The tax on the subtotal."),
            field(TOTAL, MONEY, "The subtotal and the tax."),
            field(TENDER_TYPE, FieldType::OneOf(TENDERS), "How the customer pays."),
            field(ITEM_COUNT, COUNT, "How many lines the receipt has."),
            nullable(CAMPAIGN_ID, FieldType::Text, "The campaign that led to the purchase."),
            nullable(IMPRESSION_ID, IMPRESSION, "The last ad that led to the purchase."),
            field(
                GROSS_SUBTOTAL_CENTS,
                ZERO_OR_MORE,
                "The sum of the lines before discounts, in cents.",
            ),
            field(DISCOUNT_CENTS, ZERO_OR_MORE, "The sum of the discounts, in cents."),
            field(SUBTOTAL_CENTS, ZERO_OR_MORE, "The subtotal in cents."),
            field(TAX_CENTS, ZERO_OR_MORE, "The tax in cents."),
            field(TOTAL_CENTS, ZERO_OR_MORE, "The total in cents."),
        ],
    },
    EventDescription {
        event_type: EventType::ReceiptLineAdded,
        key: RECEIPT_LINE_ADDED,
        family: Family::Transactions,
        about: "An item of a receipt was scanned.",
        rule: None,
        partition: PartitionRule::OfCause,
        correlation: CorrelationRule::OfCause,
        session: SessionRule::Inherited,
        fields: &[
            field(RECEIPT_ID, RECEIPT, "The receipt."),
            field(LINE_NUMBER, COUNT, "The line on the receipt, from 1."),
            field(PRODUCT_ID, NUMBER_OF, "The product."),
            field(QUANTITY, COUNT, "How many of it."),
            field(UNIT_PRICE, MONEY, "The price of one."),
            field(EXTENDED_PRICE, MONEY, "Quantity times unit price, less the line's discount."),
            nullable(PROMO_CODE, FieldType::Text, "The promotion that discounts the line."),
        ],
    },
    EventDescription {
        event_type: EventType::PaymentProcessed,
        key: PAYMENT_PROCESSED,
        family: Family::Transactions,
        about: "A payment for a receipt or an online order was approved or declined.",
        rule: Some(Rule::ExactlyOne(RECEIPT_ID, ORDER_ID)),
        partition: PartitionRule::OrderOrStore,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Order,
        fields: &[
            nullable(RECEIPT_ID, RECEIPT, "The receipt that is paid."),
            nullable(ORDER_ID, ONLINE_ORDER, "The online order that is paid."),
            field(PAYMENT_METHOD, FieldType::OneOf(TENDERS), "How the customer pays."),
            field(AMOUNT, MONEY, "What is paid."),
            field(AMOUNT_CENTS, ZERO_OR_MORE, "What is paid, in cents."),
            field(TRANSACTION_ID, TRANSACTION, "The payment."),
            field(PROCESSING_TIME, FieldType::Timestamp, "When it was processed."),
            field(PROCESSING_TIME_MS, MILLIS, "How long that took, in milliseconds."),
            field(STATUS, FieldType::OneOf(STATUSES), "What became of it."),
            nullable(DECLINE_REASON, FieldType::OneOf(DECLINE_REASONS), "Why it was declined."),
            nullable(STORE_ID, NUMBER_OF, "The store, for a receipt."),
            field(CUSTOMER_ID, NUMBER_OF, "The customer."),
        ],
    },
    EventDescription {
        event_type: EventType::InventoryUpdated,
        key: INVENTORY_UPDATED,
        family: Family::Inventory,
        about: "The stock of a product at a place changed.",
        rule: Some(Rule::ExactlyOne(STORE_ID, DC_ID)),
        partition: PartitionRule::Place,
        correlation: CorrelationRule::Stock,
        session: SessionRule::Shipment,
        fields: &[
            nullable(STORE_ID, NUMBER_OF, "The store, if it is one."),
            nullable(DC_ID, NUMBER_OF, "The distribution centre, if it is one."),
            field(PRODUCT_ID, NUMBER_OF, "The product."),
            field(QUANTITY_DELTA, FieldType::NonZeroInteger, "By how many the stock changed."),
            field(REASON, FieldType::OneOf(REASONS), "Why it changed."),
            nullable(
                SOURCE,
                FieldType::Text,
                "What caused it, such as `POS`, `ONLINE` or `OPENING_BALANCE`.",
            ),
            field(QUANTITY_ON_HAND, ZERO_OR_MORE, "How many there are after the change."),
        ],
    },
    EventDescription {
        event_type: EventType::StockoutDetected,
        key: STOCKOUT_DETECTED,
        family: Family::Inventory,
        about: "A place ran out of a product.",
        rule: Some(Rule::ExactlyOne(STORE_ID, DC_ID)),
        partition: PartitionRule::Place,
        correlation: CorrelationRule::OfCause,
        session: SessionRule::Inherited,
        fields: &[
            nullable(STORE_ID, NUMBER_OF, "The store, if it is one."),
            nullable(DC_ID, NUMBER_OF, "The distribution centre, if it is one."),
            field(PRODUCT_ID, NUMBER_OF, "The product."),
            field(LAST_KNOWN_QUANTITY, ZERO_OR_MORE, "How many there were when it was noticed."),
            field(DETECTION_TIME, FieldType::Timestamp, "When it was noticed."),
        ],
    },
    EventDescription {
        event_type: EventType::ReorderTriggered,
        key: REORDER_TRIGGERED,
        family: Family::Inventory,
        about: "The stock of a product fell to its reorder point, and more was ordered.",
        rule: Some(Rule::ExactlyOne(STORE_ID, DC_ID)),
        partition: PartitionRule::Place,
        correlation: CorrelationRule::Reorder,
        session: SessionRule::Inherited,
        fields: &[
            nullable(STORE_ID, NUMBER_OF, "The store, if it is one."),
            nullable(DC_ID, NUMBER_OF, "The distribution centre, if it is one."),
            field(PRODUCT_ID, NUMBER_OF, "The product."),
            field(CURRENT_QUANTITY, ZERO_OR_MORE, "How many there are."),
            field(REORDER_QUANTITY, COUNT, "How many were ordered."),
            field(REORDER_POINT, ZERO_OR_MORE, "At how many or fewer an order is due."),
            field(PRIORITY, FieldType::OneOf(PRIORITIES), "How urgent it is."),
        ],
    },
    EventDescription {
        event_type: EventType::CustomerEntered,
        key: CUSTOMER_ENTERED,
        family: Family::Customers,
        about: "Somebody came into a store.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::OfCause,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(SENSOR_ID, SENSOR, "The sensor that counted."),
            field(ZONE, FieldType::OneOf(ZONES), "The zone of the sensor."),
            field(CUSTOMER_COUNT, COUNT, "How many came in together."),
            field(DWELL_TIME, ZERO_OR_MORE, "How long they are going to stay, in seconds."),
        ],
    },
    EventDescription {
        event_type: EventType::CustomerZoneChanged,
        key: CUSTOMER_ZONE_CHANGED,
        family: Family::Customers,
        about: "A shopper went from one zone of a store to another.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::Session,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(CUSTOMER_BLE_ID, BLE_DEVICE, "The shopper's Bluetooth device."),
            field(FROM_ZONE, FieldType::OneOf(ZONES), "The zone the shopper left."),
            field(
                TO_ZONE,
                FieldType::OneOf(ZONES),
                "The zone the shopper went to; `EXIT` ends the visit.",
            ),
            field(TIMESTAMP, FieldType::Timestamp, "When it was noticed."),
        ],
    },
    EventDescription {
        event_type: EventType::BlePingDetected,
        key: BLE_PING_DETECTED,
        family: Family::Customers,
        about: "A beacon heard a shopper's Bluetooth device.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::Session,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(BEACON_ID, BEACON, "The beacon."),
            field(CUSTOMER_BLE_ID, BLE_DEVICE, "The shopper's Bluetooth device."),
            field(RSSI, RSSI_DBM, "The strength of the signal, in dBm."),
            field(ZONE, FieldType::OneOf(ZONES), "The zone of the beacon."),
        ],
    },
    EventDescription {
        event_type: EventType::TruckArrived,
        key: TRUCK_ARRIVED,
        family: Family::Operations,
        about: "A truck came to a distribution centre or, from one, to a store.",
        rule: Some(Rule::AtLeastOne(DC_ID, STORE_ID)),
        partition: PartitionRule::Place,
        correlation: CorrelationRule::Shipment,
        session: SessionRule::Shipment,
        fields: &[
            field(TRUCK_ID, TRUCK, "The truck."),
            nullable(DC_ID, NUMBER_OF, "The distribution centre it came to, or came from."),
            nullable(STORE_ID, NUMBER_OF, "The store it came to."),
            field(SHIPMENT_ID, SHIPMENT, "What it carries."),
            field(ARRIVAL_TIME, FieldType::Timestamp, "When it arrived."),
            field(
                ESTIMATED_UNLOAD_DURATION,
                ZERO_OR_MORE,
                "How long unloading should take, in minutes.",
            ),
        ],
    },
    EventDescription {
        event_type: EventType::TruckDeparted,
        key: TRUCK_DEPARTED,
        family: Family::Operations,
        about: "A truck was unloaded and left.",
        rule: Some(Rule::AtLeastOne(DC_ID, STORE_ID)),
        partition: PartitionRule::Place,
        correlation: CorrelationRule::Shipment,
        session: SessionRule::Shipment,
        fields: &[
            field(TRUCK_ID, TRUCK, "The truck."),
            nullable(DC_ID, NUMBER_OF, "The distribution centre it left, or came from."),
            nullable(STORE_ID, NUMBER_OF, "The store it left."),
            field(SHIPMENT_ID, SHIPMENT, "What it carried."),
            field(DEPARTURE_TIME, FieldType::Timestamp, "When it left."),
            field(ACTUAL_UNLOAD_DURATION, ZERO_OR_MORE, "How long unloading took, in minutes."),
        ],
    },
    EventDescription {
        event_type: EventType::StoreOpened,
        key: STORE_OPENED,
        family: Family::Operations,
        about: "A store opened for the day.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::StoreOperations,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(OPERATION_TIME, FieldType::Timestamp, "When it opened."),
            field(OPERATION_TYPE, FieldType::OneOf(&["opened"]), "What happened."),
        ],
    },
    EventDescription {
        event_type: EventType::StoreClosed,
        key: STORE_CLOSED,
        family: Family::Operations,
        about: "A store closed for the day.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::StoreOperations,
        session: SessionRule::Inherited,
        fields: &[
            field(STORE_ID, NUMBER_OF, "The store."),
            field(OPERATION_TIME, FieldType::Timestamp, "When it closed."),
            field(OPERATION_TYPE, FieldType::OneOf(&["closed"]), "What happened."),
        ],
    },
    EventDescription {
        event_type: EventType::AdImpression,
        key: AD_IMPRESSION,
        family: Family::Marketing,
        about: "An ad was shown to a customer.",
        rule: None,
        partition: PartitionRule::Channel,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Inherited,
        fields: &[
            field(CHANNEL, FieldType::OneOf(CHANNELS), "Where it was shown."),
            field(CAMPAIGN_ID, FieldType::Text, "The campaign it belongs to."),
            field(CREATIVE_ID, CREATIVE, "The picture, text or film."),
            field(CUSTOMER_AD_ID, AD_DEVICE, "The customer's advertising id."),
            field(IMPRESSION_ID, IMPRESSION, "The impression."),
            field(COST, COST_OF_AD, "What showing it cost; four decimals."),
            field(DEVICE_TYPE, FieldType::OneOf(DEVICES), "What it was seen on."),
            field(CUSTOMER_ID, NUMBER_OF, "The customer."),
        ],
    },
    EventDescription {
        event_type: EventType::PromotionApplied,
        key: PROMOTION_APPLIED,
        family: Family::Marketing,
        about: "A promotion lowered the price of lines of a receipt.",
        rule: None,
        partition: PartitionRule::Store,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Inherited,
        fields: &[
            field(RECEIPT_ID, RECEIPT, "The receipt."),
            field(PROMO_CODE, FieldType::Text, "The promotion."),
            field(DISCOUNT_AMOUNT, MONEY, "By how much the price was lowered."),
            field(DISCOUNT_CENTS, ZERO_OR_MORE, "By how much, in cents."),
            field(
                DISCOUNT_TYPE,
                FieldType::OneOf(DISCOUNT_TYPES),
                "How the promotion lowers prices.",
            ),
            field(PRODUCT_COUNT, COUNT, "How many products it was applied to."),
            field(PRODUCT_IDS, FieldType::Ids, "The products."),
            field(STORE_ID, NUMBER_OF, "The store."),
            field(CUSTOMER_ID, NUMBER_OF, "The customer."),
        ],
    },
    EventDescription {
        event_type: EventType::OnlineOrderCreated,
        key: ONLINE_ORDER_CREATED,
        family: Family::Online,
        about: "A customer ordered online.",
        rule: None,
        partition: PartitionRule::Order,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Order,
        fields: &[
            field(ORDER_ID, ONLINE_ORDER, "The order."),
            field(CUSTOMER_ID, NUMBER_OF, "The customer."),
            field(
                FULFILLMENT_MODE,
                FieldType::OneOf(FULFILLMENT_MODES),
                "How the order gets to the customer.",
            ),
            field(NODE_TYPE, FieldType::OneOf(NODE_TYPES), "What kind of place fulfils it."),
            field(NODE_ID, NUMBER_OF, "The store or distribution centre that fulfils it."),
            field(ITEM_COUNT, COUNT, "How many lines the order has."),
            field(SUBTOTAL, MONEY, "The sum of the lines after discounts, before tax."),
            field(TAX, MONEY, "The tax on the subtotal."),
            field(TOTAL, MONEY, "The subtotal and the tax."),
            field(TENDER_TYPE, FieldType::OneOf(TENDERS), "How the customer pays."),
            nullable(CAMPAIGN_ID, FieldType::Text, "The campaign that led to the order."),
            nullable(IMPRESSION_ID, IMPRESSION, "The last ad that led to the order."),
            field(
                GROSS_SUBTOTAL_CENTS,
                ZERO_OR_MORE,
                "The sum of the lines before discounts, in cents.",
            ),
            field(DISCOUNT_CENTS, ZERO_OR_MORE, "The sum of the discounts, in cents."),
            field(SUBTOTAL_CENTS, ZERO_OR_MORE, "The subtotal in cents."),
            field(TAX_CENTS, ZERO_OR_MORE, "The tax in cents."),
            field(TOTAL_CENTS, ZERO_OR_MORE, "The total in cents."),
        ],
    },
    EventDescription {
        event_type: EventType::OnlineOrderPicked,
        key: ONLINE_ORDER_PICKED,
        family: Family::Online,
        about: "The items of an online order were gathered.",
        rule: None,
        partition: PartitionRule::Order,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Order,
        fields: &[
            field(ORDER_ID, ONLINE_ORDER, "The order."),
            field(NODE_TYPE, FieldType::OneOf(NODE_TYPES), "What kind of place fulfils it."),
            field(NODE_ID, NUMBER_OF, "The store or distribution centre that fulfils it."),
            field(
                FULFILLMENT_MODE,
                FieldType::OneOf(FULFILLMENT_MODES),
                "How the order gets to the customer.",
            ),
            field(PICKED_TIME, FieldType::Timestamp, "When all items were there."),
        ],
    },
    EventDescription {
        event_type: EventType::OnlineOrderShipped,
        key: ONLINE_ORDER_SHIPPED,
        family: Family::Online,
        about: "An online order was sent to its customer.",
        rule: None,
        partition: PartitionRule::Order,
        correlation: CorrelationRule::Journey,
        session: SessionRule::Order,
        fields: &[
            field(ORDER_ID, ONLINE_ORDER, "The order."),
            field(NODE_TYPE, FieldType::OneOf(NODE_TYPES), "What kind of place fulfils it."),
            field(NODE_ID, NUMBER_OF, "The store or distribution centre that fulfils it."),
            field(
                FULFILLMENT_MODE,
                FieldType::OneOf(FULFILLMENT_MODES),
                "How the order gets to the customer.",
            ),
            field(SHIPPED_TIME, FieldType::Timestamp, "When it was sent."),
        ],
    },
    EventDescription {
        event_type: EventType::IncidentStarted,
        key: INCIDENT_STARTED,
        family: Family::Incidents,
        about: "Ground truth: something began to go wrong.",
        rule: None,
        partition: PartitionRule::Place,
        correlation: CorrelationRule::OfCause,
        session: SessionRule::Inherited,
        fields: INCIDENT,
    },
    EventDescription {
        event_type: EventType::IncidentEnded,
        key: INCIDENT_ENDED,
        family: Family::Incidents,
        about: "Ground truth: what went wrong is over.",
        rule: None,
        partition: PartitionRule::Place,
        correlation: CorrelationRule::OfCause,
        session: SessionRule::Inherited,
        fields: INCIDENT,
    },
];
