//! The names of the event contract, as keys that exist without a look-up.

use super::key::{Key, Name};
use super::out_buffer::Piece;

macro_rules! names {
    ($($key:ident $text:literal)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $key: Key = {
                static NAME: Name = Name {
                    text: $text,
                    encoded: concat!("\"", $text, "\":"),
                    piece: Piece::new(concat!(",\"", $text, "\":")),
                };
                Key(&NAME)
            };
        )*
        /// All of them, to seed the table of names.
        pub(super) const CONTRACT: &[Key] = &[$($key),*];
    };
}

names! {
    // envelope keys
    EVENT_TYPE "event_type"
    PAYLOAD "payload"
    TRACE_ID "trace_id"
    INGEST_TIMESTAMP "ingest_timestamp"
    SCHEMA_VERSION "schema_version"
    CORRELATION_ID "correlation_id"
    PARTITION_KEY "partition_key"
    SESSION_ID "session_id"
    PARENT_EVENT_ID "parent_event_id"
    // event types
    RECEIPT_CREATED "receipt_created"
    RECEIPT_LINE_ADDED "receipt_line_added"
    PAYMENT_PROCESSED "payment_processed"
    INVENTORY_UPDATED "inventory_updated"
    STOCKOUT_DETECTED "stockout_detected"
    REORDER_TRIGGERED "reorder_triggered"
    CUSTOMER_ENTERED "customer_entered"
    CUSTOMER_ZONE_CHANGED "customer_zone_changed"
    BLE_PING_DETECTED "ble_ping_detected"
    TRUCK_ARRIVED "truck_arrived"
    TRUCK_DEPARTED "truck_departed"
    STORE_OPENED "store_opened"
    STORE_CLOSED "store_closed"
    AD_IMPRESSION "ad_impression"
    PROMOTION_APPLIED "promotion_applied"
    ONLINE_ORDER_CREATED "online_order_created"
    ONLINE_ORDER_PICKED "online_order_picked"
    ONLINE_ORDER_SHIPPED "online_order_shipped"
    INCIDENT_STARTED "incident_started"
    INCIDENT_ENDED "incident_ended"
    // payload fields
    STORE_ID "store_id"
    CUSTOMER_ID "customer_id"
    RECEIPT_ID "receipt_id"
    SUBTOTAL "subtotal"
    TAX "tax"
    TOTAL "total"
    TENDER_TYPE "tender_type"
    ITEM_COUNT "item_count"
    CAMPAIGN_ID "campaign_id"
    IMPRESSION_ID "impression_id"
    GROSS_SUBTOTAL_CENTS "gross_subtotal_cents"
    DISCOUNT_CENTS "discount_cents"
    SUBTOTAL_CENTS "subtotal_cents"
    TAX_CENTS "tax_cents"
    TOTAL_CENTS "total_cents"
    LINE_NUMBER "line_number"
    PRODUCT_ID "product_id"
    QUANTITY "quantity"
    UNIT_PRICE "unit_price"
    EXTENDED_PRICE "extended_price"
    PROMO_CODE "promo_code"
    ORDER_ID "order_id"
    PAYMENT_METHOD "payment_method"
    AMOUNT "amount"
    AMOUNT_CENTS "amount_cents"
    TRANSACTION_ID "transaction_id"
    PROCESSING_TIME "processing_time"
    PROCESSING_TIME_MS "processing_time_ms"
    STATUS "status"
    DECLINE_REASON "decline_reason"
    DC_ID "dc_id"
    QUANTITY_DELTA "quantity_delta"
    REASON "reason"
    SOURCE "source"
    QUANTITY_ON_HAND "quantity_on_hand"
    LAST_KNOWN_QUANTITY "last_known_quantity"
    DETECTION_TIME "detection_time"
    CURRENT_QUANTITY "current_quantity"
    REORDER_QUANTITY "reorder_quantity"
    REORDER_POINT "reorder_point"
    PRIORITY "priority"
    SENSOR_ID "sensor_id"
    ZONE "zone"
    CUSTOMER_COUNT "customer_count"
    DWELL_TIME "dwell_time"
    CUSTOMER_BLE_ID "customer_ble_id"
    FROM_ZONE "from_zone"
    TO_ZONE "to_zone"
    TIMESTAMP "timestamp"
    BEACON_ID "beacon_id"
    RSSI "rssi"
    TRUCK_ID "truck_id"
    SHIPMENT_ID "shipment_id"
    ARRIVAL_TIME "arrival_time"
    ESTIMATED_UNLOAD_DURATION "estimated_unload_duration"
    DEPARTURE_TIME "departure_time"
    ACTUAL_UNLOAD_DURATION "actual_unload_duration"
    OPERATION_TIME "operation_time"
    OPERATION_TYPE "operation_type"
    CHANNEL "channel"
    CREATIVE_ID "creative_id"
    CUSTOMER_AD_ID "customer_ad_id"
    COST "cost"
    DEVICE_TYPE "device_type"
    DISCOUNT_AMOUNT "discount_amount"
    DISCOUNT_TYPE "discount_type"
    PRODUCT_COUNT "product_count"
    PRODUCT_IDS "product_ids"
    FULFILLMENT_MODE "fulfillment_mode"
    NODE_TYPE "node_type"
    NODE_ID "node_id"
    PICKED_TIME "picked_time"
    SHIPPED_TIME "shipped_time"
    INCIDENT_ID "incident_id"
    INCIDENT_TYPE "incident_type"
    SEVERITY "severity"
    REGION "region"
    DEPARTMENT "department"
    BEGIN_TIME "begin_time"
    END_TIME "end_time"
}

/// What stands before the numbers of an id, with its separator: one of a closed list, so that an
/// id is kept in three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix(u8);

macro_rules! prefixes {
    ($($prefix:ident $text:literal)*) => {
        pub(super) const PREFIXES: &[&str] = &[$($text),*];
        /// The same after a quote, as a JSON string begins.
        static QUOTED: &[Piece<16>] = &[$(Piece::new(concat!("\"", $text)).unwrap()),*];
        prefixes!(@ 0; $($prefix $text)*);
    };
    (@ $place:expr; $prefix:ident $text:literal $($rest:tt)*) => {
        #[doc = concat!("`", $text, "`")]
        pub const $prefix: Prefix = Prefix($place);
        prefixes!(@ $place + 1; $($rest)*);
    };
    (@ $place:expr;) => {};
}

prefixes! {
    TR "TR_"
    RCP "RCP_"
    TXN "TXN_"
    SHIP "SHIP_"
    IMP "IMP_"
    ONL "ONL_"
    JRN "JRN_"
    VIS "VIS_"
    CAMP "CAMP_"
    INC "INC_"
    STORE "store_"
    DC "dc_"
    ORDER "order_"
    STORE_OPS "store_ops_"
}

impl Prefix {
    /// Its place in the list.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The prefix itself.
    pub fn as_str(self) -> &'static str {
        PREFIXES[usize::from(self.0)]
    }

    /// The prefix after a quote.
    pub(super) fn quoted(self) -> &'static Piece<16> {
        &QUOTED[usize::from(self.0)]
    }

    /// The prefix that reads like this, if there is one.
    pub(super) fn find(text: &str) -> Option<Self> {
        PREFIXES.iter().position(|prefix| *prefix == text).map(|place| Self(place as u8))
    }
}
