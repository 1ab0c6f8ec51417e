//! `engine schema`: the JSON Schemas, for editors and for consumers of the events.

use clap::{Args, Subcommand};
use engine::plan::pipeline_schema;
use engine::problem::{Problem, did_you_mean};
use engine::retail::EventType;

use super::plugins::PluginArguments;
use super::{CommandResult, terminal};

/// Which schema.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine schema > schemas/pipeline.schema.json
  engine schema --plugins plugins > pipeline.schema.json      with the plugins of a folder
  engine schema event receipt_created")]
pub(super) struct SchemaArguments {
    #[command(subcommand)]
    of: Option<SchemaOf>,
    #[command(flatten)]
    plugins: PluginArguments,
}

#[derive(Subcommand)]
enum SchemaOf {
    /// The schema of pipeline files (the default)
    Pipeline,
    /// The schema of the events of a type
    Event {
        /// The type, such as `receipt_created`
        #[arg(value_name = "TYPE")]
        event_type: String,
    },
}

pub(super) fn schema(arguments: &SchemaArguments) -> CommandResult {
    let schema = match &arguments.of {
        None | Some(SchemaOf::Pipeline) => pipeline_schema(&arguments.plugins.components()?),
        Some(SchemaOf::Event { event_type }) => {
            engine::retail::schema(event_type_named(event_type)?)
        }
    };
    terminal::data(&format!("{schema:#}"))
}

fn event_type_named(name: &str) -> Result<EventType, Problem> {
    name.parse().map_err(|_| {
        let names: Vec<String> = EventType::ALL.iter().map(ToString::to_string).collect();
        let problem = Problem::error(format!("unknown event type `{name}`"));
        match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem.help(format!("the types are {}", names.join(", "))),
        }
    })
}
