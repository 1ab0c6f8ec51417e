//! `tests:` of a spec: what goes in, where, and what has to come out.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ChaosSettings, SpecDuration};
use crate::event::Timestamp;

/// A test of the pipeline: events go in at a stage, and what comes out is held against what is
/// expected. `engine test` runs it in virtual time and touches nothing outside: sinks keep what
/// they get, there is no state, and nothing is written.
///
/// An event that becomes a dead letter fails the test, unless the test expects it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCase {
    /// What it shows, as a sentence.
    #[schemars(length(min = 1), extend("examples" = ["a big basket is flagged"]))]
    pub name: String,
    /// The instant at which event time begins: `clock.start` by default, and without that
    /// 2024-01-01T00:00:00Z.
    pub now: Option<Timestamp>,
    /// What goes in: a list of events, or `file` with such a list, or `source` for a while.
    pub input: TestInput,
    /// The stage at which the events enter: in front of it, or behind it where it is a source. The
    /// source by default, in place of what it would make.
    pub at: Option<String>,
    /// How long event time goes on from `now`: timers that are due until then fire. By default
    /// until the last event of the input.
    pub r#for: Option<SpecDuration>,
    /// What comes out: a list of events, or checks. It is looked at behind the stage of `at`, or at
    /// the sink where the events enter at the source; or by names: `{ hub: [...], rush: { count: 1 } }`
    /// looks behind the stages `hub` and `rush`.
    #[serde(default)]
    #[schemars(schema_with = "list_or_mapping")]
    pub expect: Option<Value>,
    /// Which events may become dead letters, in any order, or how many; none by default.
    #[serde(default)]
    pub dead_letters: ExpectedLetters,
    /// How receivers fail, by the names of sinks, as in `delivery.chaos`: so that retries, circuit
    /// breakers and dead letters can be tested. A second of event time is a second of machine time
    /// then, both virtual. By default no sink fails, whatever its own `chaos` says.
    #[serde(default)]
    pub faults: IndexMap<String, ChaosSettings>,
}

/// What goes in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestInput {
    /// The events themselves.
    Events(Vec<TestEvent>),
    /// Events of a file.
    File(TestFile),
    /// What a source makes.
    Source(TestSource),
}

/// An event that goes in. What is left out has a default: the time of the event before it, or `now`,
/// the next trace id, and the keys that follow from type and payload, such as the partition key of a
/// store. An event that has a `trace_id` is taken as it stands.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestEvent {
    /// The stage at which it enters, where that is another one than the test's `at`.
    pub at: Option<String>,
    /// How long after `now` it happens.
    pub after: Option<SpecDuration>,
    /// What happened, such as `receipt_created`.
    #[schemars(length(min = 1))]
    pub event_type: String,
    /// The facts, as many as the test needs.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// Its own id.
    pub trace_id: Option<String>,
    /// When it happens, in place of `after`.
    pub ingest_timestamp: Option<Timestamp>,
    /// The version of the event contract.
    pub schema_version: Option<String>,
    /// The system that reports it.
    pub source: Option<String>,
    /// What it belongs to: a journey, a visit, a receipt.
    pub correlation_id: Option<String>,
    /// Events with one key keep their order.
    pub partition_key: Option<String>,
    /// The visit, shipment or order it is part of.
    pub session_id: Option<String>,
    /// The `trace_id` of the event that caused it.
    pub parent_event_id: Option<String>,
}

/// Events of a file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// A file with an event on each line, written as inline ones are; relative to the spec.
    #[schemars(extend("examples" = ["data/morning.ndjson"]))]
    pub file: PathBuf,
}

/// What a source makes; the others are silent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestSource {
    /// The source, which has to be one that simulates.
    pub source: String,
    /// For how long, in event time.
    pub r#for: SpecDuration,
    /// What its events derive from, in place of its own seed.
    pub seed: Option<u64>,
}

/// What events have to be like that come out of a stage. Everything that is said has to hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// A Rhai expression over `event`: the checks look at the events for which it is true, by default
    /// at all.
    #[schemars(extend("examples" = ["event.event_type == \"receipt_created\""]))]
    pub r#where: Option<String>,
    /// These events come out in this order, and no others. Of each that is compared which is written:
    /// an event may have more fields. The same as a list in place of the checks.
    #[schemars(with = "Option<Vec<ExpectedEvent>>")]
    pub events: Option<Vec<Value>>,
    /// The same, but the payloads have these fields and no others.
    #[schemars(with = "Option<Vec<ExpectedEvent>>")]
    pub exact: Option<Vec<Value>>,
    /// How many events come out.
    pub count: Option<ExpectedCount>,
    /// A Rhai expression over `event` that is true of all events.
    pub all: Option<String>,
    /// A Rhai expression over `event` that is true of at least one event.
    pub any: Option<String>,
    /// A Rhai expression over `event` that is true of no event.
    pub none: Option<String>,
    /// The events are those of the file `snapshots/<spec>/<this>.ndjson` beside the spec, which
    /// `engine test --update` writes.
    #[schemars(regex(pattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"), extend("title" = "name for a file", "examples" = ["black_friday"]))]
    pub snapshot: Option<String>,
}

/// How many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectedCount {
    /// So many.
    Exactly(u64),
    /// So many about.
    Between(CountBounds),
}

/// A number between bounds, which belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountBounds {
    /// At least so many.
    #[serde(default)]
    pub min: u64,
    /// At most so many.
    pub max: Option<u64>,
}

/// What an event has to be like, as far as it is written; `null` fits what is absent, too.
///
/// For the schema: the values are taken as they stand.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema is what it is for")]
pub(crate) struct ExpectedEvent {
    /// How long after `now` it happens.
    after: Option<SpecDuration>,
    /// What happened.
    event_type: Option<String>,
    /// Fields of the payload. Mappings in it are compared in the same way, lists as a whole.
    payload: Option<Map<String, Value>>,
    /// Its own id.
    trace_id: Option<String>,
    /// When it happens.
    ingest_timestamp: Option<Timestamp>,
    /// The version of the event contract.
    schema_version: Option<String>,
    /// The system that reports it.
    source: Option<String>,
    /// What it belongs to.
    correlation_id: Option<String>,
    /// Events with one key keep their order.
    partition_key: Option<String>,
    /// The visit, shipment or order it is part of.
    session_id: Option<String>,
    /// The `trace_id` of the event that caused it.
    parent_event_id: Option<String>,
}

/// All that `expect` may be, for editors. What is wrong in it is told by whoever knows the stages.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema is what it is for")]
pub(crate) enum ExpectBlock {
    /// These events and no others, in this order.
    Events(Vec<ExpectedEvent>),
    /// Checks.
    Checks(Expectation),
    /// Either of them, by the name of the stage behind which it is looked.
    ByStage(IndexMap<String, ExpectAtStage>),
}

/// What comes out of a stage.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema is what it is for")]
pub(crate) enum ExpectAtStage {
    /// These events and no others, in this order.
    Events(Vec<ExpectedEvent>),
    /// Checks.
    Checks(Expectation),
}

/// Which events become dead letters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectedLetters {
    /// So many.
    Count(u64),
    /// These and no others, in any order.
    Letters(Vec<ExpectedLetter>),
}

impl Default for ExpectedLetters {
    fn default() -> Self {
        Self::Count(0)
    }
}

/// What a dead letter has to be like, as far as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedLetter {
    /// The stage that fails.
    pub stage: Option<String>,
    /// The category of the failure, such as `script`.
    pub category: Option<String>,
    /// A part of the reason.
    pub reason: Option<String>,
}

fn list_or_mapping(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["array", "object"] })
}
