//! What a component is: one settings type gives its schema, its documentation and its constructor.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::event::TraceIds;
use crate::problem::{Excerpt, Place, Problem, Problems};
use crate::spec::{Document, Shard};
use crate::stage::Stage;

pub use crate::kind::Kind;

/// The settings of a component: what stands under `with:`.
///
/// The doc comment of the type is its description, the doc comments of its fields theirs; every
/// setting has a default where there is a sane one. Derive `Deserialize` with
/// `deny_unknown_fields`, and `JsonSchema`.
pub trait Settings: DeserializeOwned + JsonSchema + 'static {
    /// The `type:` in a spec; the same name may serve two kinds (`rhai`).
    const NAME: &'static str;
    /// The kind of stage it builds.
    const KIND: Kind;
    /// The settings of a working stage, as the YAML under `with:`; shown by `engine describe`, and
    /// built by a test.
    const EXAMPLE: &'static str;
    /// Whether the shards of a run share out what a source gives (see [`BuildContext::shard`]);
    /// else each of them would give all of it.
    const SHARES_OUT: bool = false;

    /// Whether a source makes its events by itself, from a seed, and touches nothing outside: so it
    /// may run in a test.
    const SIMULATES: bool = false;

    /// Builds the stage. Reads the files that belong to the spec (scripts, schemas), and touches
    /// nothing else: `engine validate` builds too. Settings that contradict each other are
    /// reported with [`BuildContext::problem`].
    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems>;
}

/// A row of the registry.
#[derive(Clone)]
pub struct Component {
    /// The `type:` in a spec.
    pub name: &'static str,
    /// The kind of stage it builds.
    pub kind: Kind,
    /// The settings of a working stage, as YAML.
    pub example: &'static str,
    /// Whether shards share out what it gives.
    pub shares_out: bool,
    /// Whether it makes its events by itself, and touches nothing outside.
    pub simulates: bool,
    /// Where it is from.
    pub origin: Origin,
    /// The JSON Schema of its settings.
    pub schema: SchemaFn,
    /// Builds a stage from settings that passed the schema.
    pub build: BuildFn,
}

/// Where a component is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The engine itself.
    BuiltIn,
    /// A library that was loaded.
    Plugin(Arc<PluginOrigin>),
}

/// What a plugin's library says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginOrigin {
    /// The library, as it was named.
    pub file: PathBuf,
    /// The plugin's own version.
    pub version: String,
    /// The version of the plugin ABI that it was built for, major and minor.
    pub abi: (u32, u32),
    /// What it was built with, such as `rustc 1.91.0`.
    pub built_with: String,
}

/// Gives the JSON Schema of settings.
pub type SchemaFn = Arc<dyn Fn() -> schemars::Schema + Send + Sync>;

/// Builds a stage from its settings.
pub type BuildFn =
    Arc<dyn Fn(serde_json::Value, &BuildContext<'_>) -> Result<Stage, Problems> + Send + Sync>;

impl Component {
    /// The row of a settings type.
    pub fn of<S: Settings>() -> Self {
        Self {
            name: S::NAME,
            kind: S::KIND,
            example: S::EXAMPLE,
            shares_out: S::SHARES_OUT,
            simulates: S::SIMULATES,
            origin: Origin::BuiltIn,
            schema: Arc::new(|| schemars::schema_for!(S)),
            build: Arc::new(|settings, cx| match serde_json::from_value::<S>(settings) {
                Ok(settings) => settings.build(cx),
                Err(error) => Err(cx.problem("", error.to_string()).into()),
            }),
        }
    }

    /// The library that it is from; none for what is built in.
    pub fn plugin(&self) -> Option<&PluginOrigin> {
        match &self.origin {
            Origin::BuiltIn => None,
            Origin::Plugin(origin) => Some(origin),
        }
    }

    /// What it does: the first paragraph of its settings' doc comment.
    pub fn summary(&self) -> String {
        let schema = (self.schema)();
        let text = schema.get("description").and_then(|text| text.as_str()).unwrap_or_default();
        text.split("\n\n").next().unwrap_or_default().replace('\n', " ")
    }
}

/// What a component may know while it is built.
pub struct BuildContext<'a> {
    /// The stage's name in the spec.
    pub stage: &'a str,
    /// The pipeline's seed, for whatever in the stage is random.
    pub seed: u64,
    /// Which part of the work the stage does, where other engines do the rest.
    pub shard: Shard,
    /// Trace ids for the events that the stage makes; those of other shards are others.
    pub trace_ids: TraceIds,
    /// The spec, to point into.
    pub document: &'a Document,
    /// The JSON pointer of the stage in the spec, such as `/sinks/hub`.
    pub pointer: String,
}

impl BuildContext<'_> {
    /// A problem at one of the settings, by its JSON pointer below `with:` (`/script`, or empty).
    pub fn problem(&self, setting: &str, message: impl Into<String>) -> Problem {
        Problem::error(message).at(self.place(setting))
    }

    /// The place of one of the settings.
    pub fn place(&self, setting: &str) -> Option<Place> {
        self.document.place(&format!("{}/with{setting}", self.pointer))
    }

    /// Whether one of the settings is given, and not left to its default.
    pub fn has(&self, setting: &str) -> bool {
        !self.document.value(&format!("{}/with{setting}", self.pointer)).is_null()
    }

    /// A file that belongs to the spec, such as a script: relative to the file that names it.
    /// (Data, such as a sink's output, is relative to the working directory.)
    pub fn spec_path(&self, path: &str) -> PathBuf {
        self.document.file_beside(&self.pointer, path)
    }

    /// The script in a setting: the text itself, or the `.rhai` file that it names.
    pub fn script(&self, setting: &str, text: &str) -> Result<Excerpt, Problem> {
        self.document.script(&format!("{}/with{setting}", self.pointer), text)
    }
}
