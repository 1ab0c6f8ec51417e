//! The `file` source: NDJSON files, globs and stdin, as fast as the sinks take it or at the pace
//! of the events' own times.

mod input;
mod lines;
mod parse;
mod reader;
mod reorder;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use futures::stream::BoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::reader::{Chunk, FileReader, ReadBatch};
use crate::clock::Clock;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event, Key, Timestamp};
use crate::problem::Problems;
use crate::spec::SpecDuration;
use crate::stage::{Source, SourceContext, Stage, StageError};

/// Reads events from files of JSON lines, from globs of files, and from stdin.
///
/// A line that is an envelope (it has `event_type` and `payload`) is an event as it stands; any
/// other JSON object becomes the payload of a new event. Empty lines are skipped, line ends may be
/// those of Windows, and gzip is recognised.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// What to read: a file, a glob such as `in/*.ndjson.gz` (its files are read in the order of
    /// their names), `-` for stdin, or a list of those. Relative to the working directory.
    pub path: Paths,
    /// What a line is.
    #[serde(default)]
    pub format: Format,
    /// The type of the events that are made from objects that are no envelopes.
    #[serde(default = "default_event_type")]
    pub event_type: String,
    /// The field of such an object that holds its time: RFC 3339, or seconds or milliseconds since
    /// 1970 (numbers from 100 000 000 000 on are milliseconds). By default the
    /// pipeline's event time at reading.
    pub time_field: Option<String>,
    /// How the files are packed.
    #[serde(default)]
    pub compression: Compression,
    /// What becomes of a line that is no event.
    #[serde(default)]
    pub on_malformed: OnMalformed,
    /// When events are handed on.
    #[serde(default)]
    pub replay: Replay,
    /// Moves all event times by the same span, so that the first event is at the clock's start.
    /// Times in payloads stay as they are.
    #[serde(default)]
    pub shift_to_start: bool,
    /// How far event times may go back from line to line. Events are put in order within it; one
    /// that comes later still is handed on late, and a warning says how many there were.
    #[serde(default = "no_lateness")]
    pub lateness: SpecDuration,
    /// How long a line may be, in bytes; a longer one is malformed.
    #[serde(default = "default_line_bytes")]
    #[schemars(range(min = 2, max = 1_073_741_824))]
    pub max_line_bytes: usize,
}

/// A path, a glob or `-`; or a list of those.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// A single one.
    One(String),
    /// Several, read one after the other.
    Many(Vec<String>),
}

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// An object with `event_type` and `payload` is an envelope, any other one a payload.
    #[default]
    Auto,
    /// An envelope; everything else is malformed.
    Envelopes,
    /// A payload, whatever its keys are.
    Json,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// As gzip where the file begins as gzip does, not at all otherwise.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// With gzip, of one or several members.
    Gzip,
}

/// What becomes of a line that is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// It is kept as a dead letter with its file and line, and reading goes on.
    #[default]
    DeadLetter,
    /// The run fails, and names file, line and column.
    Fail,
}

/// When events are handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// As fast as the sinks take them.
    #[default]
    AsFastAsPossible,
    /// When the pipeline's clock gets to their times; `clock.speed` makes it faster. Events from
    /// before `clock.start` are due at once.
    ByEventTime,
}

impl Settings for FileSource {
    const NAME: &'static str = "file";
    const KIND: Kind = Kind::Source;
    const EXAMPLE: &'static str = "path: data/*.ndjson\nlateness: 5s\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let plan = self.plan().map_err(|(setting, message)| cx.problem(setting, message))?;
        Ok(Stage::Source(Box::new(plan)))
    }
}

/// The settings with their names as keys.
struct FilePlan {
    settings: FileSource,
    event_type: Key,
    time_field: Option<Key>,
}

impl FileSource {
    fn plan(self) -> Result<FilePlan, (&'static str, String)> {
        let key =
            |setting, name: &str| Key::intern(name).map_err(|error| (setting, error.to_string()));
        let event_type = key("/event_type", &self.event_type)?;
        let time_field =
            self.time_field.as_deref().map(|name| key("/time_field", name)).transpose()?;
        if self.path.patterns().is_empty() {
            return Err(("/path", "the list of paths is empty".to_owned()));
        }
        Ok(FilePlan { settings: self, event_type, time_field })
    }
}

impl Paths {
    fn patterns(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Many(patterns) => patterns,
        }
    }

    /// The files that are there, in the order in which they are read, each once.
    fn resolve(&self) -> Result<Vec<String>, StageError> {
        let mut met = HashSet::new();
        let mut files = Vec::new();
        for pattern in self.patterns() {
            let mut found = resolve_one(pattern)?;
            found.retain(|file| met.insert(file.clone()));
            files.append(&mut found);
        }
        Ok(files)
    }
}

fn resolve_one(pattern: &str) -> Result<Vec<String>, StageError> {
    let is_glob = pattern.contains(['*', '?', '[']) && !Path::new(pattern).exists();
    if !is_glob {
        return Ok(vec![pattern.to_owned()]);
    }
    let matches = glob::glob(pattern)
        .map_err(|error| StageError(format!("`{pattern}` is not a glob: {error}")))?;
    let mut files = Vec::new();
    for path in matches {
        let path =
            path.map_err(|error| StageError(format!("cannot search `{pattern}`: {error}")))?;
        if !path.is_dir() {
            files.push(path.display().to_string());
        }
    }
    if files.is_empty() {
        let folder = std::env::current_dir().unwrap_or_default();
        let folder = folder.display();
        return Err(StageError(format!("no file matches `{pattern}` (seen from `{folder}`)")));
    }
    Ok(files)
}

impl Source for FilePlan {
    fn batches(
        self: Box<Self>,
        cx: SourceContext,
    ) -> BoxStream<'static, Result<Batch, StageError>> {
        Box::pin(async_stream::try_stream! {
            let paced = self.settings.replay == Replay::ByEventTime;
            let (clock, batch_events) = (cx.clock, cx.batch_events.max(1));
            let mut watermark = Timestamp::MIN;
            let (ledger, failures) = (cx.ledger.clone(), cx.failures.clone());
            // Files are read on a thread of their own, one chunk ahead of what is handed on.
            let read = |mut reader: FileReader| {
                tokio::task::spawn_blocking(move || {
                    let chunk = reader.chunk();
                    (reader, chunk)
                })
            };
            let mut reading = Some(read(FileReader::new(*self, cx)));
            while let Some(chunk) = reading.take() {
                let (reader, Chunk { batches, malformed, end }) =
                    chunk.await.map_err(|error| StageError(format!("reading failed: {error}")))?;
                if end.is_none() {
                    reading = Some(read(reader));
                }
                for line in malformed {
                    failures.input(&line.text, &line.origin, &line.failure);
                }
                for ReadBatch { mut events, watermark: at_its_end, position } in batches {
                    let token = ledger.issue(position);
                    loop {
                        let due = if paced { due(&events, &clock) } else { events.len() };
                        let rest = events.split_off(due.min(batch_events));
                        if rest.is_empty() {
                            break;
                        }
                        if let Some(last) = events.last() {
                            watermark = watermark.max(last.time);
                            yield Batch::new(events, watermark, Some(token.clone()));
                        } else {
                            clock.sleep_until(rest[0].time).await;
                        }
                        events = rest;
                    }
                    watermark = watermark.max(at_its_end);
                    yield Batch::new(events, watermark, Some(token));
                }
                if let Some(Err(error)) = end {
                    Err(error)?;
                }
            }
        })
    }
}

/// How many events at the front have a time that has come.
fn due(events: &[Event], clock: &Clock) -> usize {
    events.iter().position(|event| !clock.is_due(event.time)).unwrap_or(events.len())
}

fn default_event_type() -> String {
    "record".to_owned()
}

fn default_line_bytes() -> usize {
    1 << 20
}

fn no_lateness() -> SpecDuration {
    SpecDuration(Duration::ZERO)
}

#[cfg(test)]
mod tests;
