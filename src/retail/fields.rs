//! What a payload field may hold; the vocabulary in which [`super::event_types`] is written.

use crate::event::Key;

/// A field of a payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldDescription {
    /// Its name.
    pub key: Key,
    /// What it holds when it is not null.
    pub field_type: FieldType,
    /// Whether it may be null; it is present all the same.
    pub nullable: bool,
    /// What it says, in one line.
    pub about: &'static str,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldType {
    /// A whole number within bounds, both inclusive.
    Integer {
        /// The lowest.
        min: i64,
        /// The highest; none but that of 64 bits where it is `i64::MAX`.
        max: i64,
    },
    /// A whole number other than 0.
    NonZeroInteger,
    /// An amount of 0 or more, with at most that many decimals.
    Number {
        /// Two for money.
        decimals: u32,
    },
    /// Any text but the empty one.
    Text,
    /// A text of this form, as a regular expression.
    Id(&'static str),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An instant as text, `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    Timestamp,
    /// A list of at least one id, each a whole number above 0.
    Ids,
}

/// A rule over two fields of one payload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// One of the two is null, the other is not.
    ExactlyOne(Key, Key),
    /// At most one of the two is null.
    AtLeastOne(Key, Key),
}

impl FieldType {
    /// The id of a place, product or customer.
    pub const NUMBER_OF: Self = Self::Integer { min: 1, max: i64::MAX };
    /// A count of 1 or more.
    pub const COUNT: Self = Self::NUMBER_OF;
    /// A quantity, duration or amount in cents: 0 or more.
    pub const AMOUNT: Self = Self::Integer { min: 0, max: i64::MAX };
    /// Money: at most two decimals.
    pub const MONEY: Self = Self::Number { decimals: 2 };
}

/// The closed lists of the contract.
pub mod enumerations {
    /// How a customer pays: `tender_type` and `payment_method`.
    pub const TENDERS: &[&str] = &["CASH", "CREDIT_CARD", "DEBIT_CARD", "CHECK", "MOBILE_PAY"];
    /// Why stock changed.
    pub const REASONS: &[&str] = &[
        "SALE",
        "RETURN",
        "INBOUND_SHIPMENT",
        "OUTBOUND_SHIPMENT",
        "ADJUSTMENT",
        "DAMAGED",
        "LOST",
        "DISRUPTION",
    ];
    /// Where an ad is shown.
    pub const CHANNELS: &[&str] = &[
        "FACEBOOK",
        "GOOGLE",
        "INSTAGRAM",
        "YOUTUBE",
        "EMAIL",
        "DISPLAY",
        "SEARCH",
        "SOCIAL",
        "VIDEO",
    ];
    /// What an ad is seen on.
    pub const DEVICES: &[&str] = &["MOBILE", "DESKTOP", "TABLET"];
    /// The zones of a store; a visit begins in the first and ends in the last.
    pub const ZONES: &[&str] =
        &["ENTRANCE", "ELECTRONICS", "GROCERY", "CLOTHING", "CHECKOUT", "EXIT"];
    /// What became of a payment.
    pub const STATUSES: &[&str] = &["APPROVED", "DECLINED", "PENDING"];
    /// Why a payment was declined.
    pub const DECLINE_REASONS: &[&str] = &[
        "INSUFFICIENT_FUNDS",
        "CARD_EXPIRED",
        "INVALID_CVV",
        "NETWORK_ERROR",
        "FRAUD_SUSPECTED",
        "CARD_BLOCKED",
        "LIMIT_EXCEEDED",
    ];
    /// How a promotion lowers the price.
    pub const DISCOUNT_TYPES: &[&str] = &["PERCENTAGE", "FIXED_AMOUNT", "BOGO"];
    /// How urgent a reorder is.
    pub const PRIORITIES: &[&str] = &["NORMAL", "HIGH", "URGENT"];
    /// How an online order gets to its customer.
    pub const FULFILLMENT_MODES: &[&str] = &["SHIP_FROM_DC", "SHIP_FROM_STORE", "BOPIS"];
    /// What kind of place fulfils an online order.
    pub const NODE_TYPES: &[&str] = &["STORE", "DC"];
    /// What goes wrong.
    pub const INCIDENT_TYPES: &[&str] = &[
        "DC_OUTAGE",
        "TRUCK_BREAKDOWN",
        "WEATHER_DELAY",
        "SUPPLIER_DELAY",
        "INVENTORY_SHORTAGE",
        "TILL_OUTAGE",
        "DEMAND_SPIKE",
    ];
}
