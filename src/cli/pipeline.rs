//! The pipeline that a command is about: its file, its variables and the edits of the command
//! line.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use engine::component::{Component, Kind};
use engine::engine::Engine;
use engine::problem::{Problem, Problems};
use engine::registry::available;
use engine::spec::{Document, Environment};
use serde_json::{Value, json};

use super::plugins::PluginArguments;

/// What a spec is read with.
#[derive(Args)]
pub(super) struct ReadArguments {
    /// Set a value of the spec, such as `sources.shop.with.burst=5` (repeatable)
    #[arg(long, value_name = "PATH=VALUE")]
    pub(super) set: Vec<String>,
    /// Take variables from a file of `NAME=value` lines, before those of the environment
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) plugins: PluginArguments,
}

impl ReadArguments {
    /// The variables that a spec may use.
    pub(super) fn environment(&self) -> Result<Environment, Problems> {
        let mut environment = Environment::of_process();
        self.read_variables(&mut environment)?;
        Ok(environment)
    }

    /// Reads the files of variables.
    pub(super) fn read_variables(&self, environment: &mut Environment) -> Result<(), Problems> {
        self.env_file.iter().try_for_each(|file| environment.read_file(file))
    }

    /// Reads a spec and edits it; `-` is stdin.
    pub(super) fn read(
        &self,
        file: &Path,
        environment: &Environment,
    ) -> Result<Document, Problems> {
        let mut document = if file.as_os_str() == "-" {
            let mut text = Vec::new();
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(|error| Problem::error(format!("cannot read stdin: {error}")))?;
            Document::parse("<stdin>", text, ".", environment)?
        } else {
            Document::read(file, environment)?
        };
        let mut problems = Problems::default();
        for edit in &self.set {
            if let Err(unfit) = document.set(edit) {
                problems.append(unfit);
            }
        }
        if problems.is_empty() { Ok(document) } else { Err(problems) }
    }

    /// The components that a spec may name. What is wrong with libraries is noted in it.
    pub(super) fn components(&self, document: &mut Document) -> Vec<Component> {
        available(document, &self.plugins.search())
    }

    /// The pipeline of a spec.
    pub(super) fn engine(&self, mut document: Document) -> Result<Engine, Problems> {
        let components = self.components(&mut document);
        Engine::new(document, &components)
    }
}

/// Which part of the work is meant.
#[derive(Args, Default)]
pub(super) struct ShardArgument {
    /// Do the part I of N, counted from 0, where other engines do the others, such as `0/4`
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
}

impl ShardArgument {
    /// Edits the spec, so that the value is checked as if it stood there.
    pub(super) fn edit(&self, document: &mut Document) {
        if let Some(shard) = &self.shard {
            document.put("--shard", "/shard", &json!(shard));
        }
    }
}

/// Flags that stand for a value of the spec.
#[derive(Args, Default)]
pub(super) struct ClockArguments {
    /// End after so much event time, such as `90s`, `24h` or `7d`
    #[arg(long, value_name = "DURATION")]
    duration: Option<String>,
    /// End after so many source events
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Seed everything random, in place of all seeds in the spec
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Seconds of event time in a second, or `max`
    #[arg(long, value_name = "FACTOR")]
    speed: Option<String>,
    /// Show events instead of delivering them: sinks become consoles, and N source events are made
    #[arg(long, value_name = "N", conflicts_with = "events")]
    sample: Option<u64>,
}

impl ClockArguments {
    /// Edits the spec, so that the values are checked as if they stood there.
    pub(super) fn edit(&self, document: &mut Document) {
        if let Some(duration) = &self.duration {
            document.put("--duration", "/clock/duration", &json!(duration));
            document.remove("/clock/until");
        }
        if let Some(events) = self.events {
            document.put("--events", "/clock/events", &json!(events));
        }
        if let Some(speed) = &self.speed {
            let factor = speed.parse::<f64>().map_or(json!(speed), Value::from);
            document.put("--speed", "/clock/speed", &factor);
        }
        if let Some(seed) = self.seed {
            document.override_seed(seed);
        }
        if let Some(events) = self.sample {
            document.put("--sample", "/clock/events", &json!(events));
            // Looking at events takes none of them away from a real run.
            document.remove("/state");
            show_on_consoles(document);
        }
    }
}

/// Makes a pretty console of every sink. Of several that would show the same, one is left.
fn show_on_consoles(document: &mut Document) {
    let Value::Object(sinks) = document.value("/sinks") else { return };
    let mut seen = Vec::new();
    for (name, sink) in &sinks {
        let pointer = format!("/{}/{}", Kind::Sink.section(), escaped(name));
        let shows = ["inputs", "when"].map(|key| sink.get(key).cloned());
        if seen.contains(&shows) {
            document.remove(&pointer);
            continue;
        }
        seen.push(shows);
        document.put("--sample", &format!("{pointer}/type"), &json!("console"));
        document.put("--sample", &format!("{pointer}/with"), &json!({ "format": "pretty" }));
        document.remove(&format!("{pointer}/delivery"));
    }
}

/// A name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
