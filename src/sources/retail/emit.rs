//! What the `retail` source tells: families and single types by name.

use std::borrow::Cow;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::problem::did_you_mean;
use crate::retail::{EventType, EventTypes, Family, description_of};

/// Families and types, as they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emit(Vec<Named>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Family(Family),
    Type(EventType),
}

impl Emit {
    /// The types that are meant.
    pub fn types(&self) -> EventTypes {
        let of = |named: &Named| match named {
            Named::Family(family) => family.event_types().collect(),
            Named::Type(event_type) => vec![*event_type],
        };
        self.0.iter().flat_map(of).collect()
    }
}

/// All that the contract's first consumers know.
impl Default for Emit {
    fn default() -> Self {
        let families = Family::ALL.into_iter();
        let known = families.filter(|it| !matches!(it, Family::Online | Family::Incidents));
        Self(known.map(Named::Family).collect())
    }
}

impl Named {
    fn name(self) -> String {
        match self {
            Self::Family(family) => family.as_str().to_owned(),
            Self::Type(event_type) => event_type.to_string(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let families = Family::ALL.into_iter().map(Self::Family);
        families.chain(EventType::ALL.into_iter().map(Self::Type))
    }
}

impl<'de> Deserialize<'de> for Emit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Vec::<String>::deserialize(deserializer)?;
        let read = |name: &String| {
            let names: Vec<String> = Named::all().map(Named::name).collect();
            let meant = did_you_mean(name, names.iter().map(String::as_str));
            let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            let found = Named::all().find(|named| named.name() == *name);
            found
                .ok_or_else(|| de::Error::custom(format!("no event type is called `{name}`{hint}")))
        };
        given.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Serialize for Emit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|named| named.name()))
    }
}

impl schemars::JsonSchema for Emit {
    fn schema_name() -> Cow<'static, str> {
        "Emit".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let of_family = |family: Family| {
            let types: Vec<String> =
                family.event_types().map(|event_type| format!("`{event_type}`")).collect();
            format!("{}.", types.join(", "))
        };
        let choice = |named: Named| {
            let about = match named {
                Named::Family(family) => of_family(family),
                Named::Type(event_type) => description_of(event_type).about.to_owned(),
            };
            serde_json::json!({ "const": named.name(), "description": about })
        };
        let choices: Vec<_> = Named::all().map(choice).collect();
        schemars::json_schema!({
            "type": "array",
            "items": { "oneOf": choices },
            "minItems": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Emit, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn all_of_the_first_consumers_types_are_told_by_default() {
        let document: EventTypes = EventType::DOCUMENT.iter().copied().collect();
        assert_eq!(Emit::default().types(), document);
    }

    #[test]
    fn families_and_types_go_together() {
        let types = read(r#"["online", "receipt_created"]"#).unwrap().types();
        assert!(types.contains(EventType::OnlineOrderPicked));
        assert!(types.contains(EventType::ReceiptCreated));
        assert!(!types.contains(EventType::ReceiptLineAdded));
    }

    #[test]
    fn a_wrong_name_is_told_the_one_that_is_meant() {
        let error = read(r#"["recipt_created"]"#).unwrap_err().to_string();
        assert!(error.contains("did you mean `receipt_created`?"), "{error}");
    }
}
