//! An incident as the user writes it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::event::Timestamp;
use crate::retail::{Department, Incident, IncidentType, Region, Target, World};
use crate::spec::SpecDuration;

/// Something that goes wrong at a time. It happens everywhere, unless one of `region`, `dc`, `store`
/// and `truck` says where.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentSettings {
    /// What goes wrong.
    r#type: IncidentType,
    /// When it begins: an instant, or how long after the clock's start, such as `3h`.
    begin: Begin,
    /// How long it lasts.
    length: SpecDuration,
    /// How bad it is, above 0 and up to 1.
    #[serde(default = "whole")]
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    severity: f64,
    /// A region: `northeast`, `southeast`, `midwest`, `southwest` or `west`.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("examples" = ["midwest"]))]
    region: Option<RegionName>,
    /// The id of a distribution centre.
    #[serde(default)]
    dc: Option<u32>,
    /// The id of a store.
    #[serde(default)]
    store: Option<u32>,
    /// The number of a truck: 7 for `TRUCK_0007`.
    #[serde(default)]
    truck: Option<u32>,
    /// The department whose products are short (`inventory_shortage` only): `grocery`, `fresh`,
    /// `household`, `health`, `electronics`, `clothing`, `toys` or `seasonal`.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("examples" = ["fresh"]))]
    department: Option<DepartmentName>,
}

fn whole() -> f64 {
    1.0
}

type RegionName = Name<Region>;
type DepartmentName = Name<Department>;

/// One of a closed list, by its name.
#[derive(Clone, Copy, Debug)]
struct Name<T>(T);

impl<'de, T: std::str::FromStr<Err = &'static [&'static str]>> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |names: &[&str]| {
            de::Error::custom(format!("`{text}` is none of `{}`", names.join("`, `")))
        };
        text.parse().map(Self).map_err(wrong)
    }
}

impl<T: std::fmt::Display> Serialize for Name<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// When an incident begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Begin {
    At(Timestamp),
    After(SpecDuration),
}

impl<'de> Deserialize<'de> for Begin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(after) = text.parse() {
            return Ok(Self::After(after));
        }
        text.parse().map(Self::At).map_err(|_| {
            let form = "an instant such as `2024-11-29T15:00:00Z` nor a time such as `3h`";
            de::Error::custom(format!("`{text}` is neither {form}"))
        })
    }
}

impl Serialize for Begin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(time) => serializer.collect_str(time),
            Self::After(after) => serializer.collect_str(after),
        }
    }
}

impl JsonSchema for Begin {
    fn schema_name() -> Cow<'static, str> {
        "Begin".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "examples": ["2024-11-29T15:00:00Z", "3h"],
        })
    }
}

impl IncidentSettings {
    /// Why it cannot happen in a world.
    pub(super) fn check(&self, world: &World) -> Result<(), String> {
        let places =
            [self.region.is_some(), self.dc.is_some(), self.store.is_some(), self.truck.is_some()];
        if places.iter().filter(|named| **named).count() > 1 {
            return Err(
                "an incident has one place: a `region`, `dc`, `store` or `truck`".to_owned()
            );
        }
        if self.department.is_some() && self.r#type != IncidentType::InventoryShortage {
            return Err("`department` is for `inventory_shortage` only".to_owned());
        }
        if self.length.0.is_zero() {
            return Err("an incident that lasts no time has no effect".to_owned());
        }
        self.at(Timestamp::MIN).check(world).map_err(|error| error.to_string())
    }

    /// The incident in a world whose event time began at `start`.
    pub(super) fn at(&self, start: Timestamp) -> Incident {
        let begin = match self.begin {
            Begin::At(time) => time,
            Begin::After(after) => start + after.0,
        };
        let target = if let Some(Name(region)) = self.region {
            Target::Region(region)
        } else if let Some(dc) = self.dc {
            Target::Dc(dc)
        } else if let Some(store) = self.store {
            Target::Store(store)
        } else if let Some(truck) = self.truck {
            Target::Truck(truck)
        } else {
            Target::Everywhere
        };
        Incident {
            incident_type: self.r#type,
            begin,
            end: begin + self.length.0,
            severity: self.severity,
            target,
            department: self.department.map(|Name(department)| department),
        }
    }
}
