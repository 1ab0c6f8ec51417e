//! The command line: arguments to a command, the command's end to an exit code.

mod allocations;
mod bench;
mod completions;
mod components;
mod describe;
mod dlq;
mod export;
mod graph;
mod list;
mod log;
mod new;
mod pipeline;
mod plugins;
mod remote;
mod render;
mod run;
mod schema;
mod tap;
mod terminal;
mod test;
mod top;
mod validate;
mod watched_files;

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::problem::{Problem, Problems};

/// Declarative pipelines that stream realistic, correlated retail events.
#[derive(Parser)]
#[command(name = "engine", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: OutputArguments,
}

const EXAMPLES: &str = "\
Examples:
  engine new shop                    write shop.yaml, a pipeline to begin with
  engine run shop.yaml               run it until it ends or is stopped
  engine run shop.yaml --sample 20   look at 20 events of it
  engine run shop.yaml --http 127.0.0.1:8080, then engine top 8080
                                     watch it in another terminal
  engine validate pipelines/*.yaml   report everything that is wrong
  engine test pipelines/*.yaml       run the tests in them
  engine bench shop.yaml             what each of its stages costs
  engine describe retail_mix         the settings of a component

Data goes to stdout, everything else to stderr.
Exit codes: 0 done, 1 the run or a test failed, 2 the spec or the command line is wrong.";

#[derive(Subcommand)]
enum Command {
    /// Run a pipeline until it ends or is stopped
    Run(run::RunArguments),
    /// Check pipelines and report everything that is wrong
    Validate(validate::ValidateArguments),
    /// Run the tests of pipelines, in virtual time
    Test(test::TestArguments),
    /// Watch a run in the terminal
    Top(top::TopArguments),
    /// Print the events of a run as they go through a stage
    Tap(tap::TapArguments),
    /// Measure what each stage of a pipeline costs
    Bench(bench::BenchArguments),
    /// List the components
    List(list::ListArguments),
    /// Show the settings of a component, with an example
    Describe(describe::DescribeArguments),
    /// Look at plugins: what libraries hold, and the header that they are written with
    Plugins(plugins::PluginsArguments),
    /// Print the JSON Schema of pipelines or of an event type
    Schema(schema::SchemaArguments),
    /// Draw the stages of a pipeline
    Graph(graph::GraphArguments),
    /// Write a pipeline, or a plugin, to begin with
    New(new::NewArguments),
    /// Print a pipeline as it would run, with secrets masked
    Render(render::RenderArguments),
    /// Look at dead letters, send them through the pipeline again, throw them away, or make tests of them
    Dlq(dlq::DlqArguments),
    /// Write the master data of a pipeline as CSV files
    Export(export::ExportArguments),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArguments),
}

/// How the program speaks; the same for every command.
#[derive(Args)]
struct OutputArguments {
    /// Log more: debug with `-v`, everything with `-vv`
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output")]
    verbose: u8,
    /// Log less: errors only with `-q`, nothing with `-qq`
    #[arg(
        short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output",
        conflicts_with = "verbose"
    )]
    quiet: u8,
    /// How the log is written to stderr; `RUST_LOG` chooses what is in it
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        global = true,
        help_heading = "Output"
    )]
    log_format: LogFormat,
    /// When to use colours; `auto` heeds the terminal and `NO_COLOR`
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        global = true,
        help_heading = "Output"
    )]
    color: Color,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For reading.
    #[default]
    Text,
    /// One object a line, for machines.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal that can show them.
    #[default]
    Auto,
    /// Also into pipes and files.
    Always,
    /// Not at all.
    Never,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It did what it was asked to.
    Done,
    /// The run, a test, or a file that was to be written, failed.
    Failed,
    /// The spec or the command line is wrong.
    Wrong,
}

impl Exit {
    fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Wrong => 2,
        }
    }
}

/// What kept a command from doing its work.
#[derive(Debug)]
enum CommandError {
    /// The spec or the command line is wrong.
    Wrong(Problems),
    /// Something went wrong on the way.
    Failed(Problems),
}

impl From<Problems> for CommandError {
    fn from(problems: Problems) -> Self {
        Self::Wrong(problems)
    }
}

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> Self {
        Self::Wrong(problem.into())
    }
}

type CommandResult = Result<Exit, CommandError>;

/// Does what the arguments say. Everything is said; the exit code is what is left.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed terminal is no reason to fail in another way.
            let _ = error.print();
            return error.exit_code();
        }
    };
    terminal::choose_color(arguments.output.color);
    log::start(&arguments.output, matches!(arguments.command, Command::Test(_)));
    let ended = match arguments.command {
        Command::Run(run) => run::run(&run, &arguments.output),
        Command::Validate(validate) => validate::validate(&validate),
        Command::Test(test) => test::test(&test),
        Command::Top(top) => top::top(&top),
        Command::Tap(tap) => tap::tap(&tap),
        Command::Bench(bench) => bench::bench(&bench, &arguments.output),
        Command::List(list) => list::list(&list),
        Command::Describe(describe) => describe::describe(&describe),
        Command::Plugins(plugins) => plugins::plugins(&plugins),
        Command::Schema(schema) => schema::schema(&schema),
        Command::Graph(graph) => graph::graph(&graph),
        Command::New(new) => new::new(&new),
        Command::Render(render) => render::render(&render),
        Command::Dlq(dlq) => dlq::dlq(&dlq),
        Command::Export(export) => export::export(&export),
        Command::Completions(completions) => completions::completions(&completions),
    };
    let exit = ended.unwrap_or_else(|error| {
        let (exit, problems) = match error {
            CommandError::Wrong(problems) => (Exit::Wrong, problems),
            CommandError::Failed(problems) => (Exit::Failed, problems),
        };
        terminal::report(&problems);
        exit
    });
    exit.code()
}
