//! The `file` source: NDJSON files, globs and stdin, as fast as the sinks take it or at the pace
//! of the events' own times.

mod input;
mod lines;
mod reader;
mod reorder;
mod resume;

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use self::reader::{Chunk, FileReader, ReadBatch};
use self::resume::ResumePoint;
use super::records::Format;
use crate::clock::Clock;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event, Key, Timestamp};
use crate::problem::Problems;
use crate::spec::SpecDuration;
use crate::stage::{Feed, Source, SourceContext, Stage, StageError, State};

/// Reads events from files of JSON lines, from globs of files, and from stdin.
///
/// A line that is an envelope (it has `event_type` and `payload`) is an event as it stands; any
/// other JSON object becomes the payload of a new event. Empty lines are skipped, line ends may be
/// those of Windows, and gzip is recognised.
///
/// With `state:`, a run goes on at the line that the run before it came to, with the same ids.
/// Stdin and pipes cannot be gone back to: what was read ahead of them when a run is stopped is gone.
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

#[async_trait]
impl Source for FilePlan {
    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let begin = state.map(ResumePoint::read).transpose()?.unwrap_or_default();
        Ok(Box::new(Lined::new(*self, cx, begin)))
    }

    fn replays(&self) -> bool {
        !self.settings.path.patterns().iter().any(|path| path == "-")
    }
}

/// An open source. Files are read on a thread of their own, one chunk ahead of what is handed on.
struct Lined {
    cx: SourceContext,
    paced: bool,
    /// The chunk that is being read; none once there is nothing more to read.
    reading: Option<JoinHandle<(FileReader, Chunk)>>,
    /// What was read and not handed on.
    ready: VecDeque<ReadBatch>,
    /// How to go on behind the last batch of which all was handed on, and how many events of the
    /// next one were too.
    done: ResumePoint,
    handed_on: u64,
    /// Why reading ended.
    failure: Option<StageError>,
    watermark: Timestamp,
}

impl Lined {
    fn new(plan: FilePlan, cx: SourceContext, begin: ResumePoint) -> Self {
        Self {
            paced: plan.settings.replay == Replay::ByEventTime,
            reading: Some(read(FileReader::new(plan, cx.clone(), begin.clone()))),
            ready: VecDeque::new(),
            done: begin,
            handed_on: 0,
            failure: None,
            watermark: Timestamp::MIN,
            cx,
        }
    }

    /// Takes in the chunk that is being read, and has the next one read.
    async fn take_in(&mut self) -> Result<(), StageError> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let read_chunk = reading.await;
        self.reading = None;
        let (reader, Chunk { batches, malformed, read_to, end }) =
            read_chunk.map_err(|error| StageError(format!("reading failed: {error}")))?;
        match end {
            None => self.reading = Some(read(reader)),
            Some(end) => self.failure = end.err(),
        }
        for line in malformed {
            self.cx.failures.input(&line.text, &line.origin, &line.failure);
        }
        self.done.reported = read_to;
        self.ready.extend(batches);
        Ok(())
    }

    /// What of the batch at the front has its turn: a part of it where its events are paced.
    async fn part(&mut self) -> Option<Batch> {
        let first = self.ready.front_mut()?;
        let clock = &self.cx.clock;
        if self.paced
            && let Some(event) = first.events.first()
        {
            clock.sleep_until(event.time).await;
        }
        let due = if self.paced { due(&first.events, clock) } else { first.events.len() };
        let rest = first.events.split_off(due.min(self.cx.batch_events.max(1)));
        let events = std::mem::replace(&mut first.events, rest);
        let reached = if first.events.is_empty() {
            let at_its_end = first.watermark;
            let reported = self.done.reported;
            self.done = std::mem::take(&mut first.after);
            self.done.reported = reported;
            self.ready.pop_front();
            self.handed_on = 0;
            Some(at_its_end)
        } else {
            self.handed_on += events.len() as u64;
            events.last().map(|last| last.time)
        };
        self.watermark = reached.map_or(self.watermark, |reached| self.watermark.max(reached));
        // Not before it is handed on: what waits for its time must hold no checkpoint back.
        let token = self.cx.ledger.issue(serde_json::Value::Null);
        Some(Batch::new(events, self.watermark, Some(token)))
    }
}

fn read(mut reader: FileReader) -> JoinHandle<(FileReader, Chunk)> {
    tokio::task::spawn_blocking(move || {
        let chunk = reader.chunk();
        (reader, chunk)
    })
}

#[async_trait]
impl Feed for Lined {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        while self.ready.is_empty() {
            if self.reading.is_none() {
                return self.failure.take().map_or(Ok(None), Err);
            }
            self.take_in().await?;
        }
        Ok(self.part().await)
    }

    fn state(&self) -> State {
        let mut point = self.done.clone();
        point.skip = point.skip.saturating_add(self.handed_on);
        if let Some(first) = self.ready.front().filter(|_| self.handed_on > 0) {
            point.flush = point.flush.or(first.after.flush);
        }
        State::of(&point)
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
