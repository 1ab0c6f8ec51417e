//! Where reading begins in a partition that nothing is known of.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use crate::event::Timestamp;

/// Where to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first event that the hub keeps.
    Earliest,
    /// With what comes from now on.
    #[default]
    Latest,
    /// With the first event that the hub received at this instant or later.
    At(Timestamp),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => {
                let instant = text.parse::<Timestamp>().map_err(|_| {
                    format!(
                        "`{text}` is neither `earliest` nor `latest` nor an instant such as \
                         `2024-11-29T10:00:00Z`"
                    )
                })?;
                if instant < Timestamp::from_millis(0) {
                    return Err(format!("`{text}` is before 1970, and so before every hub"));
                }
                Ok(Self::At(instant))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// As the default of the setting is shown.
impl serde::Serialize for Start {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Earliest => serializer.serialize_str("earliest"),
            Self::Latest => serializer.serialize_str("latest"),
            Self::At(instant) => serializer.collect_str(instant),
        }
    }
}

impl JsonSchema for Start {
    fn schema_name() -> Cow<'static, str> {
        "Start".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "start",
            "type": "string",
            "pattern": r"^(earliest|latest|\d{4}-\d\d-\d\d[Tt ].+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_an_instant() {
        assert_eq!("earliest".parse(), Ok(Start::Earliest));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        let instant = "2024-11-29T10:00:00.000Z".parse::<Timestamp>().unwrap();
        assert_eq!("2024-11-29T11:00:00+01:00".parse(), Ok(Start::At(instant)));
        for wrong in ["", "first", "2024-11-29", "1969-12-31T23:59:59Z"] {
            assert!(wrong.parse::<Start>().is_err(), "{wrong}");
        }
    }
}
