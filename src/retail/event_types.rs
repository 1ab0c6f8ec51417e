//! The 18 event types of the contract, and the two that tell the truth about incidents. Schemas, validation, scripts and generators all read the
//! descriptions that [`table`] holds.

mod table;

use std::fmt;
use std::str::FromStr;

use super::envelope::{CorrelationRule, PartitionRule, SessionRule};
use super::fields::{FieldDescription, Rule};
use crate::event::Key;
use table::DESCRIPTIONS;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table below describes each")]
pub enum EventType {
    ReceiptCreated,
    ReceiptLineAdded,
    PaymentProcessed,
    InventoryUpdated,
    StockoutDetected,
    ReorderTriggered,
    CustomerEntered,
    CustomerZoneChanged,
    BlePingDetected,
    TruckArrived,
    TruckDeparted,
    StoreOpened,
    StoreClosed,
    AdImpression,
    PromotionApplied,
    OnlineOrderCreated,
    OnlineOrderPicked,
    OnlineOrderShipped,
    IncidentStarted,
    IncidentEnded,
}

/// Types that are switched on and off together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Receipts, their lines and payments.
    Transactions,
    /// Stock movements, stockouts and reorders.
    Inventory,
    /// Shoppers in stores.
    Customers,
    /// Trucks and opening hours.
    Operations,
    /// Ads and promotions.
    Marketing,
    /// Online orders.
    Online,
    /// The ground truth of incidents: no till or sensor reports it.
    Incidents,
}

/// All there is to know about a type.
#[derive(Clone, Copy, Debug)]
pub struct EventDescription {
    /// The type.
    pub event_type: EventType,
    /// Its name, the envelope's `event_type`.
    pub key: Key,
    /// The family it is of.
    pub family: Family,
    /// What it reports, in one line.
    pub about: &'static str,
    /// The fields of its payload, in the order they are written.
    pub fields: &'static [FieldDescription],
    /// What holds between two fields.
    pub rule: Option<Rule>,
    /// What its `partition_key` is.
    pub partition: PartitionRule,
    /// What its `correlation_id` is.
    pub correlation: CorrelationRule,
    /// What its `session_id` is.
    pub session: SessionRule,
}

/// The names of all types, each at the place of its number: what stands close together is found
/// quickly.
static KEYS: [Key; EventType::COUNT] = {
    let mut keys = [DESCRIPTIONS[0].key; EventType::COUNT];
    let mut place = 0;
    while place < EventType::COUNT {
        keys[place] = DESCRIPTIONS[place].key;
        place += 1;
    }
    keys
};

/// The description of a type.
pub fn description_of(event_type: EventType) -> &'static EventDescription {
    &DESCRIPTIONS[event_type as usize]
}

impl EventDescription {
    /// The description of one of the fields.
    pub fn field(&self, key: Key) -> Option<&'static FieldDescription> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// The fields that may be null.
    pub fn nullable_fields(&self) -> impl Iterator<Item = &'static FieldDescription> {
        self.fields.iter().filter(|field| field.nullable)
    }
}

impl EventType {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them, each at the place of its number.
    pub const ALL: [Self; 20] = [
        Self::ReceiptCreated,
        Self::ReceiptLineAdded,
        Self::PaymentProcessed,
        Self::InventoryUpdated,
        Self::StockoutDetected,
        Self::ReorderTriggered,
        Self::CustomerEntered,
        Self::CustomerZoneChanged,
        Self::BlePingDetected,
        Self::TruckArrived,
        Self::TruckDeparted,
        Self::StoreOpened,
        Self::StoreClosed,
        Self::AdImpression,
        Self::PromotionApplied,
        Self::OnlineOrderCreated,
        Self::OnlineOrderPicked,
        Self::OnlineOrderShipped,
        Self::IncidentStarted,
        Self::IncidentEnded,
    ];

    /// The first 15: all but those of online orders, which came to the consumers later, and of
    /// incidents, which only those who score alerts want to know.
    pub const DOCUMENT: &[Self] = Self::ALL.split_at(15).0;

    /// Its name in events, such as `receipt_created`.
    pub fn key(self) -> Key {
        description_of(self).key
    }

    /// The type of that name; none where the name is not of the contract.
    pub fn from_key(key: Key) -> Option<Self> {
        KEYS.iter().position(|known| *known == key).map(|place| Self::ALL[place])
    }

    /// The family it is of.
    pub fn family(self) -> Family {
        description_of(self).family
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key().as_str())
    }
}

/// A name that no event type (or no family) has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEventType(pub String);

impl fmt::Display for UnknownEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown event type `{}`", self.0)
    }
}

impl std::error::Error for UnknownEventType {}

impl FromStr for EventType {
    type Err = UnknownEventType;
    fn from_str(name: &str) -> Result<Self, UnknownEventType> {
        let description = DESCRIPTIONS.iter().find(|about| about.key == *name);
        description.map(|about| about.event_type).ok_or_else(|| UnknownEventType(name.to_owned()))
    }
}

/// Some of the event types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventTypes(u32);

impl EventTypes {
    /// Whether a type is among them.
    pub fn contains(self, event_type: EventType) -> bool {
        self.0 >> event_type as u32 & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are among them.
    pub fn iter(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.into_iter().filter(move |event_type| self.contains(*event_type))
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<I: IntoIterator<Item = EventType>>(types: I) -> Self {
        Self(types.into_iter().fold(0, |set, event_type| set | 1 << event_type as u32))
    }
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Transactions,
        Self::Inventory,
        Self::Customers,
        Self::Operations,
        Self::Marketing,
        Self::Online,
        Self::Incidents,
    ];

    /// Its name in specs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Inventory => "inventory",
            Self::Customers => "customers",
            Self::Operations => "operations",
            Self::Marketing => "marketing",
            Self::Online => "online",
            Self::Incidents => "incidents",
        }
    }

    /// The types that are of it.
    pub fn event_types(self) -> impl Iterator<Item = EventType> {
        EventType::ALL.into_iter().filter(move |event_type| event_type.family() == self)
    }
}

impl FromStr for Family {
    type Err = UnknownEventType;
    fn from_str(name: &str) -> Result<Self, UnknownEventType> {
        let family = Self::ALL.into_iter().find(|family| family.as_str() == name);
        family.ok_or_else(|| UnknownEventType(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_description_stands_at_the_place_of_its_type() {
        for (event_type, description) in EventType::ALL.into_iter().zip(&DESCRIPTIONS) {
            assert_eq!(description.event_type, event_type);
            assert_eq!(event_type.to_string().parse(), Ok(event_type));
            assert_eq!(EventType::from_key(description.key), Some(event_type));
        }
    }

    #[test]
    fn the_families_share_out_the_types() {
        let of_families = Family::ALL.into_iter().flat_map(Family::event_types).count();
        assert_eq!(of_families, EventType::COUNT);
        let later = [Family::Online, Family::Incidents];
        assert!(EventType::DOCUMENT.iter().all(|known| !later.contains(&known.family())));
        assert_eq!("online".parse(), Ok(Family::Online));
    }

    #[test]
    fn a_name_that_is_no_type_is_refused() {
        let error = "receipt".parse::<EventType>().unwrap_err();
        assert_eq!(error.to_string(), "unknown event type `receipt`");
    }

    /// The contract promises that all data is synthetic and says nothing of a person.
    #[test]
    fn no_field_holds_a_name_a_mail_address_or_a_phone_number() {
        let personal = ["name", "mail", "phone", "address", "birth", "gender", "card_number"];
        for field in DESCRIPTIONS.iter().flat_map(|description| description.fields) {
            let name = field.key.as_str();
            assert!(!personal.iter().any(|word| name.contains(word)), "{name}");
        }
    }

    #[test]
    fn a_rule_is_over_nullable_fields() {
        for description in &DESCRIPTIONS {
            let Some(Rule::ExactlyOne(one, two) | Rule::AtLeastOne(one, two)) = description.rule
            else {
                continue;
            };
            assert!([one, two].iter().all(|key| description.field(*key).unwrap().nullable));
        }
    }
}
