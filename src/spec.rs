//! YAML to Spec; every node keeps its place.

mod audit;
mod case;
mod chaos;
mod check;
mod delivery;
mod document;
mod duration;
mod edit;
mod env_file;
mod excerpt;
mod file;
mod files_read;
mod hooks;
mod include;
mod libraries;
mod monitoring;
mod node;
mod otlp;
mod overrides;
mod render;
mod scalar;
mod schema_walk;
mod secret;
mod settings;
mod shard;
mod variables;
mod violation;
mod yaml;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use audit::AuditSettings;
pub use case::{
    CountBounds, Expectation, ExpectedCount, ExpectedLetter, ExpectedLetters, TestCase, TestEvent,
    TestFile, TestInput, TestSource,
};
pub(crate) use case::{ExpectBlock, ExpectedEvent};
pub use chaos::{ChaosBusy, ChaosLatency, ChaosOutage, ChaosSettings};
pub(crate) use check::Checker;
pub use delivery::{
    BufferSettings, BufferType, CircuitBreakerSettings, DeliverySettings, OnExhausted,
    RetrySettings, WhenBufferFull,
};
pub use document::Document;
pub use duration::SpecDuration;
pub(crate) use file::read_text;
pub use hooks::{HookSettings, WhenBehind};
pub use libraries::PluginPath;
pub(crate) use libraries::Unloaded;
pub use monitoring::MonitoringSettings;
pub(crate) use node::join as pointer_to;
pub use otlp::OtlpSettings;
pub use render::SecretTexts;
pub use secret::Secret;
pub use settings::{
    ClockSettings, DeadLetterSettings, FullSpeed, SpeedSettings, StateSettings, WhenFull,
};
pub use shard::Shard;
pub use variables::Environment;
pub(crate) use violation::list;
pub(crate) use yaml::check_settings;

/// A pipeline: named stages of five kinds, and the clock that drives them.
///
/// Keys that begin with `x-` are for pieces that anchors share; they mean nothing by themselves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("patternProperties" = { "^x-": true }))]
pub struct Spec {
    /// The version of this format; there is one.
    #[serde(default = "one")]
    #[schemars(schema_with = "version_one")]
    pub version: u32,
    /// What the pipeline is called in reports and file names; the file's name by default.
    #[schemars(length(min = 1), extend("examples" = ["retail-to-event-hubs"]))]
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Files whose stages are added to these, such as `[stages/common.yaml]`; their paths are
    /// relative to this file.
    #[serde(default)]
    pub include: Vec<String>,
    /// Libraries with further components: files, or folders that are searched for them; their
    /// paths are relative to the file that names them.
    #[serde(default)]
    #[schemars(schema_with = "libraries::schema")]
    pub plugins: Vec<PluginPath>,
    /// What every random choice of the pipeline derives from, unless a stage has a seed of its own.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Which part of the work is done here, where several engines share it, such as `0/4`; all of
    /// it by default. Generators make every fourth store then, with ids that no other shard gives.
    #[serde(default)]
    pub shard: Shard,
    /// Event time: where it begins, how fast it goes, when it ends.
    #[serde(default)]
    pub clock: ClockSettings,
    /// Where events that a stage fails on are kept, or `off`.
    #[serde(default)]
    pub dead_letter: DeadLetterSettings,
    /// Keeps what the stages remember, so that a run that was stopped or killed is gone on with.
    pub state: Option<StateSettings>,
    /// How a run is looked at while it goes on.
    #[serde(default)]
    pub monitoring: MonitoringSettings,
    /// Scripts that are called while it runs.
    #[serde(default)]
    pub hooks: HookSettings,
    /// Stages that make or read events.
    #[serde(default)]
    #[schemars(schema_with = "stages")]
    pub sources: IndexMap<String, StageSpec>,
    /// Stages that change or drop events one by one.
    #[serde(default)]
    #[schemars(schema_with = "stages")]
    pub enrichers: IndexMap<String, StageSpec>,
    /// Stages that derive events from several.
    #[serde(default)]
    #[schemars(schema_with = "stages")]
    pub correlators: IndexMap<String, StageSpec>,
    /// Stages that group events.
    #[serde(default)]
    #[schemars(schema_with = "stages")]
    pub batchers: IndexMap<String, StageSpec>,
    /// Stages that hand events to the outside.
    #[serde(default)]
    #[schemars(schema_with = "stages")]
    pub sinks: IndexMap<String, StageSpec>,
    /// What the pipeline is held against by `engine test`.
    #[serde(default)]
    #[schemars(schema_with = "tests")]
    pub tests: Vec<TestCase>,
}

/// One named stage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// The component.
    pub r#type: String,
    /// The stages whose events it gets, or the one.
    #[serde(default, deserialize_with = "settings::names_from_one_or_several")]
    #[schemars(schema_with = "settings::one_or_several")]
    pub inputs: Vec<String>,
    /// A Rhai expression over `event`: events for which it is not true pass by untouched.
    #[schemars(extend("examples" = ["event.event_type == \"receipt_created\""]))]
    pub when: Option<String>,
    /// How many instances work beside each other (enrichers only).
    #[serde(default = "one_instance")]
    #[schemars(range(min = 1))]
    pub parallelism: usize,
    /// How several inputs are brought together.
    #[serde(default)]
    pub order: Order,
    /// How long an input that says nothing may hold the others back (wall time).
    #[serde(default = "idle_timeout")]
    pub idle_timeout: SpecDuration,
    /// How events get to the receiver (sinks only).
    #[serde(default)]
    pub delivery: DeliverySettings,
    /// The component's own settings.
    #[serde(default)]
    #[schemars(schema_with = "with_any_settings")]
    pub with: serde_json::Value,
}

/// How the inputs of a stage are brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By event time: the result depends on the inputs, never on scheduling.
    #[default]
    EventTime,
    /// As they come: no waiting for inputs that are behind.
    Arrival,
}

fn one() -> u32 {
    1
}

fn idle_timeout() -> SpecDuration {
    SpecDuration(std::time::Duration::from_secs(10))
}

fn one_instance() -> usize {
    1
}

fn default_seed() -> u64 {
    42
}

fn version_one(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "const": 1, "default": 1 })
}

/// The schema of a section. Nothing under its key is as good as no key: all may be commented out.
fn stages(generator: &mut SchemaGenerator) -> Schema {
    let stage = generator.subschema_for::<StageSpec>();
    json_schema!({
        "type": ["object", "null"],
        "propertyNames": {
            "title": "name for a stage",
            "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$",
            "examples": ["high_value", "hub-2"],
        },
        "additionalProperties": stage,
    })
}

/// The schema of the tests, which may all be commented out.
fn tests(generator: &mut SchemaGenerator) -> Schema {
    let case = generator.subschema_for::<TestCase>();
    json_schema!({ "type": ["array", "null"], "items": case })
}

fn with_any_settings(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["object", "null"] })
}
