//! Components with the settings of real ones and nothing behind them, for tests of the plan.

use std::path::PathBuf;

use async_trait::async_trait;
use engine::component::{BuildContext, Component, Kind, Settings};
use engine::event::{Batch, Event, Timestamp};
use engine::problem::Problems;
use engine::stage::{
    Batcher, Correlator, Enricher, Failure, Feed, Outcome, Output, Rows, Sink, Source,
    SourceContext, Stage, StageError, State, StateError,
};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

/// All of them.
pub(crate) fn components() -> Vec<Component> {
    vec![
        Component::of::<RetailMix>(),
        Component::of::<RhaiEnricher>(),
        Component::of::<Filter>(),
        Component::of::<RhaiCorrelator>(),
        Component::of::<CountOrTime>(),
        Component::of::<Console>(),
        Component::of::<File>(),
        Component::of::<Blackhole>(),
    ]
}

/// A component that builds a [`Nothing`]; where it has a script, the script's file is read.
macro_rules! settings {
    ($settings:ty, $name:literal, $kind:ident, $example:literal $(, $script:ident)?) => {
        impl Settings for $settings {
            const NAME: &'static str = $name;
            const KIND: Kind = Kind::$kind;
            const EXAMPLE: &'static str = $example;

            fn build(self, _cx: &BuildContext<'_>) -> Result<Stage, Problems> {
                $(_cx.script("/script", &self.$script)?;)?
                Ok(Stage::$kind(Box::new(Nothing)))
            }
        }
    };
}

/// Events of all types, in the mix asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RetailMix {
    /// What its choices derive from.
    seed: Option<u64>,
    /// How many events at once.
    #[schemars(range(min = 1))]
    burst: u32,
    /// Milliseconds between two bursts.
    #[schemars(range(min = 1))]
    emit_interval_ms: u64,
    /// How often each type comes.
    event_weights: Option<IndexMap<EventType, f64>>,
    /// How many stores there are.
    #[schemars(range(min = 1, max = 100_000))]
    stores: u32,
    /// Whether nights are quiet.
    realistic_hours: bool,
}

impl Default for RetailMix {
    fn default() -> Self {
        Self {
            seed: None,
            burst: 100,
            emit_interval_ms: 500,
            event_weights: None,
            stores: 214,
            realistic_hours: false,
        }
    }
}

#[derive(PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum EventType {
    ReceiptCreated,
    StoreOpened,
    StoreClosed,
}

settings!(RetailMix, "retail_mix", Source, "burst: 10");

/// Changes events by a script.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RhaiEnricher {
    /// `fn enrich(event)`, or the file that has it.
    script: String,
}

settings!(RhaiEnricher, "rhai", Enricher, "script: fn enrich(event) {}", script);

/// Drops events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read by the schema")]
struct Filter {
    /// What stays.
    condition: String,
}

settings!(Filter, "filter", Enricher, "condition: 'true'");

/// Derives events by a script.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read by the schema")]
struct RhaiCorrelator {
    /// The field that keeps state apart.
    key: String,
    /// `fn on_event(event, state, out)`, or the file that has it.
    script: String,
    /// How long the state of a quiet key is kept.
    ttl: Option<engine::spec::SpecDuration>,
}

settings!(RhaiCorrelator, "rhai", Correlator, "{ key: payload.store_id, script: x }", script);

/// Batches by count, bytes or time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct CountOrTime {
    /// Events at most.
    #[schemars(range(min = 1))]
    max_batch_size: u32,
    /// Milliseconds at most.
    #[schemars(range(min = 1))]
    batch_timeout_ms: u64,
}

impl Default for CountOrTime {
    fn default() -> Self {
        Self { max_batch_size: 256, batch_timeout_ms: 1000 }
    }
}

settings!(CountOrTime, "count_or_time", Batcher, "max_batch_size: 10");

/// Prints events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[allow(dead_code, reason = "only read by the schema")]
struct Console {
    /// How each event is printed.
    format: Format,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// A JSON object on a line.
    #[default]
    Json,
    /// For reading.
    Pretty,
}

settings!(Console, "console", Sink, "format: pretty");

/// Writes events to a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "only read by the schema")]
struct File {
    /// The file.
    path: PathBuf,
}

settings!(File, "file", Sink, "path: out.ndjson");

/// Takes events and forgets them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Blackhole {}

settings!(Blackhole, "blackhole", Sink, "{}");

/// A stage of every kind that does nothing.
struct Nothing;

#[async_trait]
impl Source for Nothing {
    async fn open(
        self: Box<Self>,
        _: SourceContext,
        _: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        Ok(self)
    }
}

#[async_trait]
impl Feed for Nothing {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        Ok(None)
    }

    fn state(&self) -> State {
        State::none()
    }
}

impl Enricher for Nothing {
    fn enrich(&mut self, _: &mut Rows<'_>) {}
}

impl Correlator for Nothing {
    fn observe(&mut self, _: &Event, _: &mut Output) -> Result<(), Failure> {
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        None
    }

    fn advance(&mut self, _: Timestamp, _: &mut Output) {}

    fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
        0
    }

    fn state(&self) -> State {
        State::none()
    }

    fn restore(&mut self, _: &State) -> Result<(), StateError> {
        Ok(())
    }
}

impl Batcher for Nothing {
    fn goes_before(&mut self, _: &Event) -> bool {
        false
    }

    fn push(&mut self, _: &mut Event, _: Timestamp) -> bool {
        true
    }

    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    fn reset(&mut self) {}
}

#[async_trait]
impl Sink for Nothing {
    async fn write(&self, _: &Batch) -> Outcome {
        Outcome::Delivered
    }
}
