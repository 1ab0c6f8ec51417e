//! `engine tap`: events of a run, as they go through a stage.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use engine::event::JsonReader;
use engine::problem::{Excerpt, Problem, Problems, SourceText};
use engine::script::Condition;
use engine::sinks::console::PrettyWriter;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::remote::{Lines, Remote, RemoteError};
use super::{CommandError, CommandResult, Exit, terminal};

/// Of which run, which stage, which events.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine tap 127.0.0.1:8080 high_value
  engine tap 8080 hub --where 'event.payload.total > 100.0' --limit 5
  engine tap 8080 stores --format ndjson | jq .payload

A tap shows events as they leave a stage, or as they enter it if it is a sink. The run does not wait
for it: a tap that is too slow misses events, and says how many at its end.
Exits with 0 when the run has ended, after `--limit` events, or on SIGINT; 1 when the run cannot be
reached, 2 when there is no such stage or the condition is wrong.")]
pub(super) struct TapArguments {
    /// Where the run is served, such as `127.0.0.1:8080`, or a port of this machine
    #[arg(value_name = "URL")]
    url: String,
    /// The stage
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Only events that a condition is true of, in Rhai, as in `when:`
    #[arg(long = "where", value_name = "EXPR")]
    condition: Option<String>,
    /// After how many events to end
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    format: TapFormat,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum TapFormat {
    /// For reading on a terminal, as JSON into a pipe or a file
    #[default]
    Auto,
    /// One aligned line for each event
    Pretty,
    /// One envelope as JSON on each line
    Ndjson,
}

pub(super) fn tap(arguments: &TapArguments) -> CommandResult {
    let remote = Remote::new(&arguments.url, None)?;
    if let Some(condition) = &arguments.condition {
        check(condition)?;
    }
    let runtime = super::remote::runtime()?;
    let ended = runtime.block_on(follow(&remote, arguments));
    // A write that waits for its reader is left behind.
    runtime.shutdown_background();
    ended
}

/// Says what is wrong with a condition before anybody is asked, and what is hardly meant.
fn check(condition: &str) -> Result<(), Problems> {
    let text = condition.to_owned();
    let source = Arc::new(SourceText { name: "--where".to_owned(), text });
    let condition = Condition::compile(&Excerpt::whole(source))?;
    if !condition.warnings().is_empty() {
        terminal::report(condition.warnings());
    }
    Ok(())
}

async fn follow(remote: &Remote, arguments: &TapArguments) -> CommandResult {
    let cannot_wait = |error: io::Error| {
        let problem = Problem::error(format!("cannot wait for signals: {error}"));
        CommandError::Failed(problem.into())
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_wait)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_wait)?;
    tokio::select! {
        _ = interrupt.recv() => Ok(Exit::Done),
        _ = terminate.recv() => Ok(Exit::Done),
        ended = show(remote, arguments) => ended,
    }
}

async fn show(remote: &Remote, arguments: &TapArguments) -> CommandResult {
    let limit = arguments.limit.map(|limit| limit.to_string());
    let mut query = Vec::new();
    query.extend(arguments.condition.as_deref().map(|condition| ("where", condition)));
    query.extend(limit.as_deref().map(|limit| ("limit", limit)));
    let lines = remote.lines(&["tap", &arguments.stage], &query).await;
    let mut lines = lines.map_err(|error| remote.problem(error))?;
    let mut look = Look::new(arguments.format);
    loop {
        let next = next(&mut lines).await.map_err(|error| remote.lost(error))?;
        let Some(next) = next else { return Ok(Exit::Done) };
        match tokio::task::spawn_blocking(move || write(&next, look)).await {
            Ok((Ok(()), kept)) => look = kept,
            // Whoever read it has seen enough.
            Ok((Err(error), _)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            Ok((Err(error), _)) => return Err(unwritable(&error)),
            Err(error) => return Err(unwritable(&io::Error::other(error))),
        }
    }
}

/// The next events, once what is said about the tap itself was told.
async fn next(lines: &mut Lines) -> Result<Option<Vec<u8>>, RemoteError> {
    while let Some(mut next) = lines.next().await? {
        let end = next.len().saturating_sub(1);
        let last = memchr::memrchr(b'\n', &next[..end]).map_or(0, |newline| newline + 1);
        if next[last..].starts_with(br#"{"tap":"#) {
            tell(&next[last..]);
            next.truncate(last);
        }
        // An empty line only asks whether anybody listens.
        if next.iter().any(|byte| *byte != b'\n') {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// `{"tap":{"skipped":3,"failed":1,"failure":"..."}}`
fn tell(line: &[u8]) {
    let said: Value = serde_json::from_slice(line).unwrap_or_default();
    let count = |name: &str| said["tap"][name].as_u64().unwrap_or_default();
    if let skipped @ 1.. = count("skipped") {
        let problem =
            Problem::warning(format!("{skipped} events went by faster than they were read"))
                .help("ask for fewer with `--where`, or write them to a file");
        terminal::report(&problem.into());
    }
    if let failed @ 1.. = count("failed") {
        let why = said["tap"]["failure"].as_str().unwrap_or("it gives no reason");
        let problem = Problem::warning(format!("the condition failed on {failed} events: {why}"))
            .help("have it look at the event's type or field first");
        terminal::report(&problem.into());
    }
}

/// How events look.
enum Look {
    Ndjson,
    Pretty(Box<PrettyWriter>, JsonReader),
}

impl Look {
    fn new(format: TapFormat) -> Self {
        let stdout = io::stdout();
        let is_pretty = match format {
            TapFormat::Auto => stdout.is_terminal(),
            TapFormat::Pretty => true,
            TapFormat::Ndjson => false,
        };
        if !is_pretty {
            return Self::Ndjson;
        }
        let has_color = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Self::Pretty(Box::new(PrettyWriter::new(has_color)), JsonReader::new())
    }
}

fn write(lines: &[u8], mut look: Look) -> (io::Result<()>, Look) {
    let mut stdout = io::stdout().lock();
    let written = match &mut look {
        Look::Ndjson => stdout.write_all(lines),
        Look::Pretty(writer, reader) => {
            for line in lines.split(|byte| *byte == b'\n') {
                // An empty line is what is behind the last newline.
                if let Ok(event) = reader.event(line) {
                    writer.line(&event);
                }
            }
            stdout.write_all(&writer.take())
        }
    };
    (written.and_then(|()| stdout.flush()), look)
}

fn unwritable(error: &io::Error) -> CommandError {
    CommandError::Failed(Problem::error(format!("cannot write to stdout: {error}")).into())
}
