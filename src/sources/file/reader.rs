//! Files to batches of events, on a thread that may wait for the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use serde_json::json;

use super::input::Input;
use super::lines::{Line, Lines};
use super::parse::Parser;
use super::reorder::Reorder;
use super::{FilePlan, FileSource, OnMalformed};
use crate::event::{Event, Timestamp};
use crate::stage::{Failure, SourceContext, StageError};

/// How many batches are read in one go: enough that changing threads costs nothing.
const CHUNK_BATCHES: usize = 4;
/// How many lines are read without a pause, even if there is no event in them.
const LINES_MAX: usize = 1024;
/// How many malformed lines are logged; the dead letters have them all.
const MALFORMED_LOGGED: u64 = 10;

/// Reads all files of a source, one after the other.
pub(super) struct FileReader {
    settings: FileSource,
    cx: SourceContext,
    parser: Parser,
    reorder: Reorder<Position>,
    /// The files that were not opened yet; none until the first read looks for them.
    files: Option<VecDeque<String>>,
    open: Option<OpenFile>,
    /// The file that was read last, and how far.
    position: Position,
    /// How many events were read.
    events: u64,
    /// Malformed lines of this chunk, and how many there were in all.
    malformed: Vec<MalformedLine>,
    malformed_count: u64,
    /// Event time when this chunk was begun: the time of what has none of its own.
    read_at: Timestamp,
    /// By how many milliseconds event times are moved; known from the first event on.
    shift: Option<i64>,
}

/// A place between two lines.
#[derive(Clone, Default)]
struct Position {
    file: Arc<str>,
    /// How many lines of the file stand before it.
    line: u64,
    /// How many bytes of the unpacked file do.
    offset: u64,
}

struct OpenFile {
    name: Arc<str>,
    lines: Lines,
    is_live: bool,
}

/// What was read in one go.
pub(super) struct Chunk {
    /// The events.
    pub(super) batches: Vec<ReadBatch>,
    /// The lines that are no events.
    pub(super) malformed: Vec<MalformedLine>,
    /// Set when there is nothing more to read.
    pub(super) end: Option<Result<(), StageError>>,
}

/// A line that is no event, on its way to the dead letters. It goes with the chunk that it was
/// read in: what is not handed on is not accounted for either.
pub(super) struct MalformedLine {
    pub(super) text: String,
    /// Such as `events.ndjson:17`.
    pub(super) origin: String,
    pub(super) failure: Failure,
}

/// Events, more than one batch of them where many had to wait for a later one.
pub(super) struct ReadBatch {
    pub(super) events: Vec<Event>,
    /// Nothing earlier will come after them.
    pub(super) watermark: Timestamp,
    /// Everything before this was handed on.
    pub(super) position: serde_json::Value,
}

/// What a line turned out to be.
#[expect(clippy::large_enum_variant, reason = "each is taken apart at once; a box would cost more")]
enum Step {
    Event(Event),
    /// Empty or malformed.
    Skipped,
    /// There is no line any more.
    End,
}

/// Why reading paused.
enum Pause {
    /// A batch is full.
    Full,
    /// The input has no more for now.
    Waiting,
    /// There is nothing more to read.
    End,
}

impl FileReader {
    /// A reader that has not opened anything.
    pub(super) fn new(plan: FilePlan, cx: SourceContext) -> Self {
        let FilePlan { settings, event_type, time_field } = plan;
        Self {
            parser: Parser::new(settings.format, event_type, time_field),
            reorder: Reorder::new(settings.lateness.0),
            settings,
            cx,
            files: None,
            open: None,
            position: Position::default(),
            events: 0,
            malformed: Vec::new(),
            malformed_count: 0,
            read_at: Timestamp::MIN,
            shift: None,
        }
    }

    /// Reads on.
    pub(super) fn chunk(&mut self) -> Chunk {
        self.read_at = self.cx.clock.now();
        let mut batches = Vec::with_capacity(CHUNK_BATCHES);
        loop {
            let mut events = Vec::with_capacity(self.cx.batch_events);
            let end = match self.read(&mut events) {
                Ok(Pause::Full) if batches.len() + 1 < CHUNK_BATCHES => {
                    batches.push(self.batch(events));
                    continue;
                }
                Ok(Pause::Full | Pause::Waiting) => None,
                Ok(Pause::End) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            if end.is_some() {
                self.reorder.release(Timestamp::MAX, &mut events);
                self.warn_of_late_events();
            }
            let mut last = self.batch(events);
            if matches!(end, Some(Ok(()))) {
                last.watermark = self.cx.end.unwrap_or(self.reorder.latest());
            }
            batches.push(last);
            return Chunk { batches, malformed: std::mem::take(&mut self.malformed), end };
        }
    }

    fn batch(&self, events: Vec<Event>) -> ReadBatch {
        let position = self.reorder.first_place().unwrap_or(&self.position);
        let Position { file, line, offset } = position;
        let position = json!({ "file": file, "line": line, "offset": offset });
        ReadBatch { events, watermark: self.reorder.watermark(), position }
    }

    fn read(&mut self, ready: &mut Vec<Event>) -> Result<Pause, StageError> {
        let mut lines = 0;
        while self.open_next()? {
            let pause = match self.next_line()? {
                Step::End => {
                    self.open = None;
                    continue;
                }
                Step::Skipped => None,
                Step::Event(event) => self.take(event, ready),
            };
            self.update_position();
            lines += 1;
            if let Some(pause) = pause {
                return Ok(pause);
            }
            // A long stretch of lines without events must not keep the run from being stopped.
            if ready.len() >= self.cx.batch_events || lines >= LINES_MAX {
                return Ok(Pause::Full);
            }
        }
        Ok(Pause::End)
    }

    /// Takes in an event, and says whether reading has to pause for it.
    fn take(&mut self, event: Event, ready: &mut Vec<Event>) -> Option<Pause> {
        let lateness = self.settings.lateness.0;
        if self.cx.end.is_some_and(|end| event.time >= end + lateness) {
            return Some(Pause::End);
        }
        // Events at or after the end are not wanted, but earlier ones may still follow.
        if self.cx.end.is_none_or(|end| event.time < end) {
            self.events += 1;
            self.reorder.push(event, self.events, self.position.clone(), ready);
        }
        let waits = |open: &OpenFile| open.is_live && !open.lines.has_line();
        let is_dry = !ready.is_empty() && self.open.as_ref().is_some_and(waits);
        is_dry.then_some(Pause::Waiting)
    }

    /// Has a file open, or says that there is none left.
    fn open_next(&mut self) -> Result<bool, StageError> {
        if self.open.is_some() {
            return Ok(true);
        }
        let files = match &mut self.files {
            Some(files) => files,
            unknown => unknown.insert(self.settings.path.resolve()?.into()),
        };
        let Some(path) = files.pop_front() else { return Ok(false) };
        let name: Arc<str> = Arc::from(if path == "-" { "<stdin>" } else { path.as_str() });
        let input = Input::open(&path, self.settings.compression)
            .map_err(|error| StageError(format!("cannot open `{name}`: {error}")))?;
        let lines = Lines::new(input.bytes, self.settings.max_line_bytes);
        self.open = Some(OpenFile { name, lines, is_live: input.is_live });
        self.update_position();
        Ok(true)
    }

    /// The next line of the open file.
    fn next_line(&mut self) -> Result<Step, StageError> {
        let Some(OpenFile { name, lines, .. }) = &mut self.open else { return Ok(Step::End) };
        let number = lines.number() + 1;
        let fault = match lines.next() {
            Err(error) => return Err(unreadable(name, number - 1, &error)),
            Ok(None) => return Ok(Step::End),
            Ok(Some(Line::Whole(line))) if line.trim_ascii().is_empty() => {
                return Ok(Step::Skipped);
            }
            Ok(Some(Line::Whole(line))) => match self.parser.event(line, || self.read_at) {
                Ok(event) => return Ok(Step::Event(self.completed(event))),
                Err(error) => Malformed {
                    message: error.message,
                    column: error.offset + 1,
                    text: String::from_utf8_lossy(line).into_owned(),
                },
            },
            Ok(Some(Line::TooLong(head))) => Malformed {
                message: format!(
                    "the line is longer than `max_line_bytes`, which is {}",
                    self.settings.max_line_bytes
                ),
                column: self.settings.max_line_bytes + 1,
                text: String::from_utf8_lossy(&head).into_owned(),
            },
        };
        let origin = format!("{name}:{number}");
        self.refuse(&origin, fault)?;
        Ok(Step::Skipped)
    }

    /// Fills in what the input left out, and moves the time where that is asked for.
    fn completed(&mut self, mut event: Event) -> Event {
        if self.settings.shift_to_start {
            let start = self.cx.clock.start().as_millis();
            let shift = *self.shift.get_or_insert(start - event.time.as_millis());
            event.time = Timestamp::from_millis(event.time.as_millis().saturating_add(shift));
        }
        if event.trace_id == "" {
            event.trace_id = self.cx.trace_ids.next(event.time);
        }
        event
    }

    fn refuse(&mut self, origin: &str, fault: Malformed) -> Result<(), StageError> {
        let Malformed { message, column, text } = fault;
        if self.settings.on_malformed == OnMalformed::Fail {
            return Err(StageError(format!("{origin}:{column}: {message}")));
        }
        self.malformed_count += 1;
        if self.malformed_count <= MALFORMED_LOGGED {
            tracing::warn!(stage = self.cx.stage, "{origin}:{column}: {message}");
        }
        let failure = Failure::new("malformed", format!("{message} (column {column})"));
        self.malformed.push(MalformedLine { text, origin: origin.to_owned(), failure });
        Ok(())
    }

    fn update_position(&mut self) {
        if let Some(OpenFile { name, lines, .. }) = &self.open {
            let (line, offset) = (lines.number(), lines.offset());
            self.position = Position { file: name.clone(), line, offset };
        }
    }

    fn warn_of_late_events(&self) {
        let late = self.reorder.late();
        if late > 0 {
            let stage = &self.cx.stage;
            tracing::warn!(stage, late, "events came out of order; `lateness` sets how far back");
        }
    }
}

/// A line that is no event.
struct Malformed {
    message: String,
    /// From 1.
    column: usize,
    text: String,
}

fn unreadable(name: &str, lines: u64, error: &io::Error) -> StageError {
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the compressed data is cut short".to_owned(),
        _ => error.to_string(),
    };
    StageError(format!("cannot read `{name}` after line {lines}: {reason}"))
}
