//! Weights that the user gives: how often something happens at a time and place, against what the
//! world would have done by itself.

use jiff::civil::Date;

use super::calendar::{Holiday, holiday};
use super::event_types::EventType;
use super::world::{Region, Tier, Weather};
use crate::event::Timestamp;

/// What a weight may depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The local date.
    pub date: Date,
    /// The local hour, from 0 to 23.
    pub hour: i8,
    /// The name of the holiday, on one.
    pub holiday: Option<&'static str>,
    /// The store; none where there is no single one.
    pub store: Option<StoreMoment>,
}

impl Moment {
    /// A time of the whole chain, where none of its places has the say.
    pub fn utc(time: Timestamp) -> Self {
        let local = jiff::tz::Offset::UTC.to_datetime(time.to_jiff());
        Self {
            date: local.date(),
            hour: local.hour(),
            holiday: holiday(local.date()).map(Holiday::name),
            store: None,
        }
    }
}

/// A store at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoreMoment {
    /// Its id.
    pub id: u32,
    /// Its tier.
    pub tier: Tier,
    /// Its region.
    pub region: Region,
    /// The weather there.
    pub weather: Weather,
}

/// Gives weights. It is asked once for each type and store in an interval, never for each event.
pub trait Weigh: Send {
    /// The weight of an event type at a moment: 0 or more, 1 where nothing is to be changed.
    fn weight(&mut self, event_type: EventType, moment: &Moment) -> f64;
}

/// What can be weighted in the simulated world: root processes and free choices. All else follows
/// from them, and could not be weighted without breaking what always holds.
pub const WEIGHTED: [(EventType, &str); 6] = [
    (EventType::CustomerEntered, "how many come into a store"),
    (EventType::ReceiptCreated, "how many of them buy something"),
    (EventType::BlePingDetected, "how often beacons hear a device"),
    (EventType::PromotionApplied, "how much more promoted products are bought"),
    (EventType::AdImpression, "how many ads are shown"),
    (EventType::OnlineOrderCreated, "how many orders come in online"),
];

/// What the events of a type follow from, where it cannot be weighted in the simulated world.
pub fn follows_from(event_type: EventType) -> Option<&'static str> {
    match event_type {
        EventType::ReceiptLineAdded | EventType::PaymentProcessed => Some("the purchases"),
        EventType::InventoryUpdated | EventType::StockoutDetected => {
            Some("what is sold, lost and delivered")
        }
        EventType::ReorderTriggered | EventType::TruckArrived | EventType::TruckDeparted => {
            Some("the stock")
        }
        EventType::CustomerZoneChanged => Some("the visits"),
        EventType::StoreOpened | EventType::StoreClosed => Some("the trading hours"),
        EventType::OnlineOrderPicked | EventType::OnlineOrderShipped => Some("the online orders"),
        EventType::IncidentStarted | EventType::IncidentEnded => Some("the incidents"),
        EventType::CustomerEntered
        | EventType::ReceiptCreated
        | EventType::BlePingDetected
        | EventType::PromotionApplied
        | EventType::AdImpression
        | EventType::OnlineOrderCreated => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_weighted_or_follows_from_something() {
        for event_type in EventType::ALL {
            let is_weighted = WEIGHTED.iter().any(|(weighted, _)| *weighted == event_type);
            assert_ne!(is_weighted, follows_from(event_type).is_some(), "{event_type}");
        }
    }
}
