//! Files to batches of events, on a thread that may wait for the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::input::Input;
use super::lines::{Line, Lines};
use super::reorder::Reorder;
use super::resume::{LineNumber, Place, ResumePoint};
use super::{FilePlan, FileSource, OnMalformed};
use crate::event::{Event, Timestamp};
use crate::sources::records::Parser;
use crate::stage::{Failure, SourceContext, StageError, State, StateError};

/// How many batches are read in one go: enough that changing threads costs nothing.
const CHUNK_BATCHES: usize = 4;
/// How many lines are read without a pause, even if there is no event in them.
const LINES_MAX: usize = 1024;
/// The smallest step of event time.
const STEP: Duration = Duration::from_millis(1);
/// How many malformed lines are logged; the dead letters have them all.
const MALFORMED_LOGGED: u64 = 10;

/// Reads all files of a source, one after the other.
pub(super) struct FileReader {
    settings: FileSource,
    cx: SourceContext,
    parser: Parser,
    reorder: Reorder<Place>,
    /// The files that were not opened yet, with their places in the list; none until the first read looks for them.
    files: Option<VecDeque<(usize, String)>>,
    open: Option<OpenFile>,
    /// Where reading is.
    place: Place,
    /// How many events were read.
    events: u64,
    /// Where reading has to begin, until it has.
    begin: Option<ResumePoint>,
    /// How many of the next events were handed on by the run before this one.
    skip: u64,
    /// Where that run took all that was held for complete, if this one has not come there.
    flush: Option<LineNumber>,
    /// The last line of which that run has reported that it is malformed.
    reported: LineNumber,
    /// Malformed lines of this chunk, and how many there were in all.
    malformed: Vec<MalformedLine>,
    malformed_count: u64,
    /// Event time when this chunk was begun: the time of what has none of its own.
    read_at: Timestamp,
    /// By how many milliseconds event times are moved; known from the first event on.
    shift: Option<i64>,
}

struct OpenFile {
    name: Arc<str>,
    index: usize,
    lines: Lines,
    is_live: bool,
}

impl ResumePoint {
    /// The point in a state. Its numbers are ones that can be counted on from.
    pub(super) fn read(state: &State) -> Result<Self, StateError> {
        const COUNT_MAX: u64 = 1 << 60;
        let point: Self = state.read()?;
        let Place { line, offset, events, late, .. } = point.place;
        if [line, offset, events, late, point.skip].iter().any(|count| *count > COUNT_MAX) {
            return Err(StateError("a place in it is beyond every file".to_owned()));
        }
        Ok(point)
    }
}

/// What was read in one go.
pub(super) struct Chunk {
    /// The events.
    pub(super) batches: Vec<ReadBatch>,
    /// The lines that are no events.
    pub(super) malformed: Vec<MalformedLine>,
    /// The last line of which it is known whether it is malformed.
    pub(super) read_to: LineNumber,
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
    /// How to go on behind them.
    pub(super) after: ResumePoint,
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
    /// A reader that has not opened anything, and will begin at a point.
    pub(super) fn new(plan: FilePlan, cx: SourceContext, begin: ResumePoint) -> Self {
        let FilePlan { settings, event_type, time_field } = plan;
        Self {
            parser: Parser::new(settings.format, event_type, time_field),
            reorder: Reorder::new(
                settings.lateness.0,
                cx.end.map_or(Timestamp::MAX, |end| end - STEP),
            ),
            settings,
            cx,
            files: None,
            open: None,
            place: Place::default(),
            events: 0,
            skip: 0,
            flush: None,
            reported: LineNumber::default(),
            malformed: Vec::new(),
            malformed_count: 0,
            read_at: Timestamp::MIN,
            shift: None,
            begin: Some(begin),
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
            // Where the end of event time ended it, the rest would have gone on in its turn.
            if end.is_some() && self.open.is_none() {
                last.after.flush = Some(self.read_to());
            }
            batches.push(last);
            let malformed = std::mem::take(&mut self.malformed);
            let read_to = self.reported.max(self.read_to());
            return Chunk { batches, malformed, read_to, end };
        }
    }

    fn read_to(&self) -> LineNumber {
        (self.place.index, self.place.line)
    }

    fn batch(&mut self, mut events: Vec<Event>) -> ReadBatch {
        let skipped = events.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        events.drain(..skipped);
        self.skip -= skipped as u64;
        let after = self.resume_point();
        ReadBatch { events, watermark: self.reorder.watermark(), after }
    }

    /// How to go on behind all that has left the reorder buffer.
    fn resume_point(&self) -> ResumePoint {
        // What is live cannot be read again.
        let is_live = self.open.as_ref().is_some_and(|open| open.is_live);
        let (place, released) = match self.reorder.first_place().filter(|_| !is_live) {
            Some(first) => (first, self.events - first.events - self.reorder.held()),
            None => (&self.place, 0),
        };
        ResumePoint {
            place: place.clone(),
            skip: released + self.skip,
            shift: self.shift,
            flush: self.flush,
            reported: self.reported,
        }
    }

    fn read(&mut self, ready: &mut Vec<Event>) -> Result<Pause, StageError> {
        let mut lines = 0;
        while self.open_next()? {
            if self.flush.is_some_and(|flush| flush <= self.read_to()) {
                self.flush = None;
                self.reorder.release(Timestamp::MAX, ready);
            }
            let pause = match self.next_line()? {
                Step::End => {
                    self.open = None;
                    continue;
                }
                Step::Skipped => None,
                Step::Event(event) => self.take(event, ready),
            };
            self.update_place();
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
        // Earlier events may still follow one at or after the end, which is itself held.
        let is_last = self.cx.end.is_some_and(|end| event.time >= end + lateness);
        self.events += 1;
        self.reorder.push(event, self.events, &self.place, ready);
        if is_last {
            return Some(Pause::End);
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
        if self.files.is_none() {
            self.files = Some(self.settings.path.resolve()?.into_iter().enumerate().collect());
        }
        if let Some(begin) = self.begin.take() {
            if !begin.place.file.is_empty() {
                return self.go_on_from(begin).map(|()| true);
            }
            (self.skip, self.flush, self.reported) = (begin.skip, begin.flush, begin.reported);
        }
        let Some((index, path)) = self.files.as_mut().and_then(VecDeque::pop_front) else {
            return Ok(false);
        };
        let name = name_of(&path);
        let input = Input::open(&path, self.settings.compression)
            .map_err(|error| StageError(format!("cannot open `{name}`: {error}")))?;
        let lines = Lines::new(input.bytes, self.settings.max_line_bytes);
        self.open = Some(OpenFile { name, index, lines, is_live: input.is_live });
        self.update_place();
        Ok(true)
    }

    /// Opens the file that the run before this one was in, and steps over what it has read.
    fn go_on_from(&mut self, begin: ResumePoint) -> Result<(), StageError> {
        let ResumePoint { place, skip, shift, flush, reported } = begin;
        let file = Arc::clone(&place.file);
        let refusal = |reason: String| {
            StageError(format!(
                "cannot go on in `{file}` after line {}: {reason}; `--reset-state` begins anew",
                place.line
            ))
        };
        let files = self.files.as_mut().map(std::mem::take).unwrap_or_default();
        let Some(index) = files.iter().position(|(_, path)| name_of(path) == file) else {
            return Err(refusal("it is not among the files any more".to_owned()));
        };
        let stage = &self.cx.stage;
        if index > place.index {
            let files = index - place.index;
            tracing::warn!(stage, files, "files that sort before `{file}` are new, and not read");
        }
        let mut files = files.into_iter().skip(index);
        let path = files.next().map(|(_, path)| path).unwrap_or_default();
        self.files = Some(files.collect());
        let input = Input::open_at(&path, self.settings.compression, place.offset)
            .map_err(|error| refusal(error.to_string()))?;
        let (max, is_live) = (self.settings.max_line_bytes, input.is_live);
        self.events = place.events;
        self.cx.trace_ids.go_on_from(place.trace_ids);
        self.shift = shift;
        let lines = if is_live {
            tracing::warn!(stage, "`{file}` cannot be gone back to: what comes now is read");
            self.reported = (index, 0);
            Lines::new(input.bytes, max)
        } else {
            // The list may have changed in front of the file.
            let moved = |(before, line): LineNumber| {
                (before.saturating_sub(place.index).saturating_add(index), line)
            };
            self.reorder.go_on_from(place.latest, place.late);
            self.skip = skip;
            self.flush = flush.map(moved);
            self.reported = moved(reported);
            Lines::at(input.bytes, max, place.line, place.offset)
        };
        self.open = Some(OpenFile { name: file, index, lines, is_live });
        self.update_place();
        Ok(())
    }

    /// The next line of the open file.
    fn next_line(&mut self) -> Result<Step, StageError> {
        let Some(OpenFile { name, index, lines, .. }) = &mut self.open else {
            return Ok(Step::End);
        };
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
        let (line, origin) = ((*index, number), format!("{name}:{number}"));
        self.refuse(line, &origin, fault)?;
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

    fn refuse(
        &mut self,
        line: LineNumber,
        origin: &str,
        fault: Malformed,
    ) -> Result<(), StageError> {
        let Malformed { message, column, text } = fault;
        if self.settings.on_malformed == OnMalformed::Fail {
            return Err(StageError(format!("{origin}:{column}: {message}")));
        }
        if line <= self.reported {
            return Ok(());
        }
        self.malformed_count += 1;
        if self.malformed_count <= MALFORMED_LOGGED {
            tracing::warn!(stage = self.cx.stage, "{origin}:{column}: {message}");
        }
        let failure = Failure::new("malformed", format!("{message} (column {column})"));
        self.malformed.push(MalformedLine { text, origin: origin.to_owned(), failure });
        Ok(())
    }

    /// Notes where reading is, after each line.
    fn update_place(&mut self) {
        let Some(OpenFile { name, index, lines, .. }) = &self.open else { return };
        if !Arc::ptr_eq(&self.place.file, name) {
            self.place.file = Arc::clone(name);
        }
        self.place.index = *index;
        self.place.line = lines.number();
        self.place.offset = lines.offset();
        self.place.events = self.events;
        self.place.trace_ids = self.cx.trace_ids.counter();
        self.place.latest = self.reorder.latest();
        self.place.late = self.reorder.late();
    }

    fn warn_of_late_events(&self) {
        let late = self.reorder.late();
        if late > 0 {
            let stage = &self.cx.stage;
            tracing::warn!(stage, late, "events came out of order; `lateness` sets how far back");
        }
    }
}

/// What a file is called in messages and positions.
fn name_of(path: &str) -> Arc<str> {
    Arc::from(if path == "-" { "<stdin>" } else { path })
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
