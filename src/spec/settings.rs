//! Settings of the pipeline as a whole.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::SpecDuration;
use crate::clock::{SPEED_MAX, Speed};
use crate::event::Timestamp;

/// Event time: where it begins, how fast it goes, when it ends.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockSettings {
    /// The instant at which event time begins; now by default.
    pub start: Option<Timestamp>,
    /// Simulated seconds per wall second, or `max`; 1 by default.
    #[serde(default)]
    pub speed: SpeedSettings,
    /// How much event time the run lasts, such as `24h`. By default it lasts until it is stopped.
    pub duration: Option<SpecDuration>,
    /// The instant at which event time ends, in place of `duration`.
    pub until: Option<Timestamp>,
    /// How many source events the run lasts, over all sources, before any filter.
    #[schemars(range(min = 1))]
    pub events: Option<u64>,
    /// With a `start` in the past: full speed up to now, then live.
    #[serde(default)]
    pub catch_up: bool,
}

/// `max`, or a number above 0.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum SpeedSettings {
    /// Simulated seconds per wall second.
    Factor(f64),
    /// As fast as the sinks take it.
    Named(FullSpeed),
}

/// `max`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FullSpeed {
    /// As fast as the sinks take it.
    Max,
}

impl Default for SpeedSettings {
    fn default() -> Self {
        Self::Factor(1.0)
    }
}

impl JsonSchema for SpeedSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Speed".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": SPEED_MAX,
                    "description": "Simulated seconds per wall second.",
                },
                { "const": "max", "description": "As fast as the sinks take it." },
            ],
            "examples": [1, 60, "max"],
        })
    }
}

impl From<SpeedSettings> for Speed {
    fn from(settings: SpeedSettings) -> Self {
        match settings {
            SpeedSettings::Factor(factor) => Self::Factor(factor),
            SpeedSettings::Named(FullSpeed::Max) => Self::Max,
        }
    }
}

impl ClockSettings {
    /// The instant at which event time ends, where it began at `start`.
    pub fn end(&self, start: Timestamp) -> Option<Timestamp> {
        self.until.or_else(|| self.duration.map(|duration| start + duration.0))
    }
}

/// One consistent snapshot of what the stages remember: how far sources are, what rules keep in
/// mind, open timers, the counts of ids. The next run goes on from it, with the same ids on the
/// same events.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateSettings {
    /// The file; its folder is made. Relative to the working directory.
    #[schemars(extend("examples" = ["state/shop"]))]
    pub path: PathBuf,
    /// How much wall time passes between two snapshots.
    #[serde(default = "snapshot_interval")]
    pub interval: SpecDuration,
}

fn snapshot_interval() -> SpecDuration {
    SpecDuration(std::time::Duration::from_secs(10))
}

/// Where events that a stage fails on are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSettings {
    /// False for `off`: they are dropped, and counted under their reason.
    pub enabled: bool,
    /// The file; `dead_letters/<pipeline>.ndjson` by default.
    pub path: Option<PathBuf>,
    /// How many the file holds at most.
    pub max_events: u64,
    /// What happens when it holds them all.
    pub when_full: WhenFull,
}

/// What happens when there is no room for another dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The run fails: nothing is lost in silence.
    #[default]
    Stop,
    /// Further ones are dropped and counted.
    Drop,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        DeadLetterKeys::default().into()
    }
}

/// Kept in a file of their own.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DeadLetterKeys {
    /// The file; `dead_letters/<pipeline>.ndjson` by default.
    path: Option<PathBuf>,
    /// How many the file holds at most.
    #[schemars(range(min = 1))]
    max_events: u64,
    /// What happens when it holds them all.
    when_full: WhenFull,
}

impl Default for DeadLetterKeys {
    fn default() -> Self {
        Self { path: None, max_events: 10_000, when_full: WhenFull::Stop }
    }
}

impl From<DeadLetterKeys> for DeadLetterSettings {
    fn from(keys: DeadLetterKeys) -> Self {
        let DeadLetterKeys { path, max_events, when_full } = keys;
        Self { enabled: true, path, max_events, when_full }
    }
}

/// `off`
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Off {
    Off,
}

impl<'de> Deserialize<'de> for DeadLetterSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OffOrKeys {
            Off(Off),
            Keys(DeadLetterKeys),
        }
        Ok(match OffOrKeys::deserialize(deserializer)? {
            OffOrKeys::Off(Off::Off) => Self { enabled: false, ..Self::default() },
            OffOrKeys::Keys(keys) => keys.into(),
        })
    }
}

impl JsonSchema for DeadLetterSettings {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeadLetter".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let keys = generator.subschema_for::<DeadLetterKeys>();
        json_schema!({
            "oneOf": [
                { "const": "off", "description": "Dropped, and counted under their reason." },
                keys,
            ],
            "examples": ["off", { "path": "state/dead.ndjson", "max_events": 10_000 }],
        })
    }
}

/// `inputs:` is a list of names, or one name.
pub(super) fn names_from_one_or_several<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrSeveral {
        One(String),
        Several(Vec<String>),
    }
    Ok(match OneOrSeveral::deserialize(deserializer)? {
        OneOrSeveral::One(name) => vec![name],
        OneOrSeveral::Several(names) => names,
    })
}

/// The schema of a list of names, or one name.
pub(super) fn one_or_several(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": "string" },
        ],
        "examples": [["stores"]],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dead_letter(value: serde_json::Value) -> DeadLetterSettings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn dead_letters_are_kept_unless_they_are_off() {
        let default = DeadLetterSettings::default();
        assert_eq!(dead_letter(json!({})), default);
        assert!(default.enabled && default.max_events == 10_000);
        assert!(!dead_letter(json!("off")).enabled);
        let drop = dead_letter(json!({ "path": "x", "max_events": 3, "when_full": "drop" }));
        assert_eq!((drop.max_events, drop.when_full), (3, WhenFull::Drop));
    }

    #[test]
    fn speed_is_a_number_or_max() {
        let speed = |value| serde_json::from_value::<SpeedSettings>(value).ok();
        assert_eq!(speed(json!("max")), Some(SpeedSettings::Named(FullSpeed::Max)));
        assert_eq!(speed(json!(60)), Some(SpeedSettings::Factor(60.0)));
        assert_eq!(speed(json!("fast")), None);
    }
}
