//! `hooks:`: scripts that are called while a pipeline runs.

use schemars::JsonSchema;
use serde::Deserialize;

/// Scripts that are called with what a run makes, delivers and fails on. They look on: they print,
/// count and remember, and change no event. A script that fails is logged and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HookSettings {
    /// A script with `fn event_generated(event)`, or the path of a `.rhai` file: called for each
    /// event that a source makes.
    #[schemars(extend("examples" = ["rules/hooks.rhai"]))]
    pub event_generated: Option<String>,
    /// A script with `fn batch_sent(events)`, or the path of a `.rhai` file: called for each batch
    /// that a sink's receiver has taken.
    #[schemars(extend("examples" = ["rules/hooks.rhai"]))]
    pub batch_sent: Option<String>,
    /// A script with `fn error(error, context)`, or the path of a `.rhai` file: called for each
    /// failure.
    #[schemars(extend("examples" = ["rules/hooks.rhai"]))]
    pub error: Option<String>,
    /// A Rhai expression over `event`: `event_generated` is only called for events for which it is
    /// true.
    #[schemars(extend("examples" = ["event.event_type == \"receipt_created\""]))]
    pub when: Option<String>,
    /// What happens where scripts are slower than the run.
    pub when_behind: WhenBehind,
}

/// What happens where hooks are slower than the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenBehind {
    /// The run goes on, and what a hook was not called for is counted.
    #[default]
    Skip,
    /// The run waits for them.
    Wait,
}
