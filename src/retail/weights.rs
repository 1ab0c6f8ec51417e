//! How often each event type is drawn.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};

use super::event_types::{EventType, description_of};
use super::random::{Alias, Random};

/// How often each event type comes in a mix. Weights are of any scale.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "IndexMap<String, f64>")]
pub struct EventWeights {
    /// As they were given.
    weights: [f64; EventType::COUNT],
    alias: Alias,
}

/// Why weights are refused.
#[derive(Clone, Debug, PartialEq)]
pub enum BadWeights {
    /// A name that no type has.
    Unknown(super::UnknownEventType),
    /// A weight that is negative, or no number.
    NotAWeight(EventType, f64),
    /// No weight is above 0, or their sum is beyond what a number can hold.
    NoSum,
}

impl fmt::Display for BadWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => error.fmt(f),
            Self::NotAWeight(event_type, weight) => {
                write!(f, "the weight of `{event_type}` is `{weight}`, not a number of 0 or more")
            }
            Self::NoSum => f.write_str("the weights add up to nothing that can be shared out"),
        }
    }
}

impl std::error::Error for BadWeights {}

impl EventWeights {
    /// Weights of any scale. Types that are not among them get none; of a type that comes twice,
    /// the last weight counts.
    pub fn new(weights: impl IntoIterator<Item = (EventType, f64)>) -> Result<Self, BadWeights> {
        let mut all = [0.0; EventType::COUNT];
        for (event_type, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(BadWeights::NotAWeight(event_type, weight));
            }
            all[event_type as usize] = weight;
        }
        let sum: f64 = all.iter().sum();
        // A sum below the normal range cannot be divided by without losing the proportions.
        if !sum.is_normal() {
            return Err(BadWeights::NoSum);
        }
        Ok(Self { weights: all, alias: Alias::new(&all) })
    }

    /// The share of a type, from 0 to 1.
    pub fn share(&self, event_type: EventType) -> f64 {
        self.weights[event_type as usize] / self.weights.iter().sum::<f64>()
    }

    /// A type, as often as its share says.
    pub fn draw(&self, random: &mut Random) -> EventType {
        EventType::ALL[self.alias.draw(random)]
    }
}

/// The weight of a type in the default mix: ten in the proportions of the reference factory, five
/// with a small share, and none for online orders and incidents.
fn default_weight(event_type: EventType) -> f64 {
    match event_type {
        EventType::CustomerEntered => 0.20,
        EventType::ReceiptCreated
        | EventType::ReceiptLineAdded
        | EventType::BlePingDetected
        | EventType::AdImpression => 0.15,
        EventType::InventoryUpdated => 0.10,
        EventType::PaymentProcessed => 0.05,
        EventType::CustomerZoneChanged | EventType::PromotionApplied => 0.03,
        EventType::TruckArrived | EventType::TruckDeparted | EventType::StockoutDetected => 0.02,
        EventType::ReorderTriggered => 0.01,
        EventType::StoreOpened | EventType::StoreClosed => 0.005,
        EventType::OnlineOrderCreated
        | EventType::OnlineOrderPicked
        | EventType::OnlineOrderShipped
        | EventType::IncidentStarted
        | EventType::IncidentEnded => 0.0,
    }
}

impl Default for EventWeights {
    fn default() -> Self {
        let weights = EventType::ALL.map(default_weight);
        Self { weights, alias: Alias::new(&weights) }
    }
}

impl TryFrom<IndexMap<String, f64>> for EventWeights {
    type Error = BadWeights;
    fn try_from(weights: IndexMap<String, f64>) -> Result<Self, BadWeights> {
        let weights = weights
            .into_iter()
            .map(|(name, weight)| Ok((name.parse()?, weight)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(BadWeights::Unknown)?;
        Self::new(weights)
    }
}

/// The weights above 0, as they were given.
impl Serialize for EventWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let weights = EventType::ALL.into_iter().zip(self.weights);
        serializer.collect_map(
            weights
                .filter(|(_, weight)| *weight > 0.0)
                .map(|(event_type, weight)| (event_type.key(), weight)),
        )
    }
}

/// One property per type, so that an editor can offer them and a misspelt one is found.
impl schemars::JsonSchema for EventWeights {
    fn schema_name() -> Cow<'static, str> {
        "EventWeights".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let types: serde_json::Map<String, serde_json::Value> = EventType::ALL
            .into_iter()
            .map(|event_type| {
                let about = description_of(event_type).about;
                let weight =
                    serde_json::json!({ "type": "number", "minimum": 0, "description": about });
                (event_type.to_string(), weight)
            })
            .collect();
        schemars::json_schema!({
            "type": "object",
            "properties": types,
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_map_gives_the_rest_nothing_and_is_normalised() {
        let weights = EventWeights::new([
            (EventType::ReceiptCreated, 3.0),
            (EventType::CustomerEntered, 1.0),
        ])
        .unwrap();
        assert!((weights.share(EventType::ReceiptCreated) - 0.75).abs() < 1e-12);
        assert!(weights.share(EventType::AdImpression).abs() < 1e-12);
    }

    #[test]
    fn weights_that_cannot_be_shared_out_are_refused() {
        let one = |weight| EventWeights::new([(EventType::ReceiptCreated, weight)]);
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(one(weight), Err(BadWeights::NotAWeight(..))), "{weight}");
        }
        assert_eq!(one(0.0), Err(BadWeights::NoSum));
        assert_eq!(EventWeights::new([]), Err(BadWeights::NoSum));
        let huge = EventType::ALL.map(|event_type| (event_type, f64::MAX));
        assert_eq!(EventWeights::new(huge), Err(BadWeights::NoSum));
    }

    #[test]
    fn the_default_covers_the_documented_types_and_keeps_their_proportions() {
        let weights = EventWeights::default();
        assert!(EventType::DOCUMENT.iter().all(|known| weights.share(*known) > 0.0));
        let ratio =
            weights.share(EventType::ReceiptCreated) / weights.share(EventType::ReorderTriggered);
        assert!((ratio - 15.0).abs() < 1e-9);
        let sum: f64 = EventType::ALL.map(|event_type| weights.share(event_type)).iter().sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn weights_are_read_by_the_names_of_the_types() {
        let read = |text| serde_json::from_str::<EventWeights>(text);
        assert!(read(r#"{ "receipt_created": 1 }"#).is_ok());
        let error = read(r#"{ "receipt": 1 }"#).unwrap_err();
        assert!(error.to_string().starts_with("unknown event type `receipt`"), "{error}");
    }
}
