//! Dead letters: events that could not be processed, on disk with the reason.
//!
//! One NDJSON record each. The file is opened at the first letter, appended to, and bounded: a
//! letter that finds it full stops the run or is dropped and counted, as the spec says.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::clock::Clock;
use crate::event::{Event, Timestamp};
use crate::failure::Failure;
use crate::spec::WhenFull;

/// The pipeline's dead letters; copies write to the same file.
#[derive(Clone, Debug)]
pub struct DeadLetters(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None where dead letters are off: all are dropped, and counted.
    kept: Option<Kept>,
    state: Mutex<State>,
}

/// Where letters are kept, and what their records say.
#[derive(Debug)]
struct Kept {
    path: PathBuf,
    max_events: u64,
    when_full: WhenFull,
    spec_hash: String,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    file: Option<OpenFile>,
    counts: BTreeMap<String, BTreeMap<&'static str, (u64, u64)>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    bytes: u64,
    letters: u64,
}

/// What could not be processed, where and why.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The stage that failed on it.
    pub stage: &'a str,
    /// Why.
    pub failure: &'a Failure,
    /// The event, or the text that is none.
    pub content: Content<'a>,
}

/// What a dead letter holds.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// An event that a stage failed on.
    Event(&'a Event),
    /// Input that is no event: the text, and where it came from, such as `events.ndjson:17`.
    Input {
        /// The text; bytes that are no UTF-8 are replaced.
        text: &'a str,
        /// Where it came from.
        origin: &'a str,
    },
}

/// What became of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// It is in the file.
    Kept,
    /// It was dropped as the spec says, and counted.
    Dropped,
    /// The file holds as many as it may. The run has to stop; the text says so.
    Full(String),
    /// The file cannot be written. The run has to stop; the text says why.
    Error(String),
}

/// How many letters of one stage had one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// The stage that failed.
    pub stage: String,
    /// The failures' category.
    pub category: &'static str,
    /// How many are in the file.
    pub kept: u64,
    /// How many were dropped: dead letters are off, or the file is full.
    pub dropped: u64,
}

/// A line of the file.
#[derive(Serialize)]
struct Record<'a> {
    stage: &'a str,
    category: &'a str,
    reason: &'a str,
    attempts: u32,
    first_time: Timestamp,
    last_time: Timestamp,
    spec_hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
}

impl DeadLetters {
    /// Letters go to a file that holds at most `max_events`, those of earlier runs included.
    /// `spec_hash` tells which version of the pipeline failed; `clock` gives the records their
    /// wall time. Nothing is touched before the first letter.
    pub fn new(
        path: impl Into<PathBuf>,
        max_events: u64,
        when_full: WhenFull,
        spec_hash: impl Into<String>,
        clock: Clock,
    ) -> Self {
        let (path, spec_hash) = (path.into(), spec_hash.into());
        let kept = Kept { path, max_events, when_full, spec_hash, clock };
        Self(Arc::new(Shared { kept: Some(kept), state: Mutex::default() }))
    }

    /// Letters are dropped, and counted.
    pub fn off() -> Self {
        Self(Arc::new(Shared { kept: None, state: Mutex::default() }))
    }

    /// Keeps a letter, and has it with the operating system when it returns.
    pub fn write(&self, letter: &DeadLetter<'_>) -> Disposition {
        let mut state = self.state();
        let disposition = match &self.0.kept {
            Some(kept) => state.keep(kept, letter),
            None => Disposition::Dropped,
        };
        state.count(letter, &disposition);
        disposition
    }

    /// How many there were of each stage and category, in that order.
    pub fn counts(&self) -> Vec<DeadLetterCount> {
        let mut counts = Vec::new();
        for (stage, categories) in &self.state().counts {
            for (category, (kept, dropped)) in categories {
                let (stage, category) = (stage.clone(), *category);
                counts.push(DeadLetterCount { stage, category, kept: *kept, dropped: *dropped });
            }
        }
        counts
    }

    /// The file, unless dead letters are off.
    pub fn path(&self) -> Option<&Path> {
        self.0.kept.as_ref().map(|kept| kept.path.as_path())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, kept: &Kept, letter: &DeadLetter<'_>) -> Disposition {
        let path = kept.path.display();
        let open = match self.opened(&kept.path) {
            Ok(open) => open,
            Err(error) => {
                return Disposition::Error(format!(
                    "cannot open the dead-letter file `{path}`: {error}"
                ));
            }
        };
        if open.letters >= kept.max_events {
            return match kept.when_full {
                WhenFull::Drop => Disposition::Dropped,
                WhenFull::Stop => Disposition::Full(format!(
                    "the dead-letter file `{path}` is full: it holds {} events, the most it may; \
                     move it away, raise `max_events`, or set `when_full: drop`",
                    open.letters
                )),
            };
        }
        match open.append(&kept.record(letter)) {
            Ok(()) => Disposition::Kept,
            Err(error) => {
                Disposition::Error(format!("cannot write the dead-letter file `{path}`: {error}"))
            }
        }
    }

    fn opened(&mut self, path: &Path) -> io::Result<&mut OpenFile> {
        match &mut self.file {
            Some(open) => Ok(open),
            closed => Ok(closed.insert(OpenFile::open(path)?)),
        }
    }

    fn count(&mut self, letter: &DeadLetter<'_>, disposition: &Disposition) {
        if !self.counts.contains_key(letter.stage) {
            self.counts.insert(letter.stage.to_owned(), BTreeMap::new());
        }
        if let Some(categories) = self.counts.get_mut(letter.stage) {
            let (kept, dropped) = categories.entry(letter.failure.category).or_default();
            match disposition {
                Disposition::Kept => *kept += 1,
                Disposition::Dropped => *dropped += 1,
                Disposition::Full(_) | Disposition::Error(_) => {}
            }
        }
    }
}

impl Kept {
    fn record(&self, letter: &DeadLetter<'_>) -> Vec<u8> {
        let now = self.clock.wall();
        let (event, input, origin) = match letter.content {
            Content::Event(event) => (Some(event), None, None),
            Content::Input { text, origin } => (None, Some(text), Some(origin)),
        };
        let record = Record {
            stage: letter.stage,
            category: letter.failure.category,
            reason: &letter.failure.reason,
            attempts: 1,
            first_time: now,
            last_time: now,
            spec_hash: &self.spec_hash,
            event,
            origin,
            input,
        };
        let mut line = serde_json::to_vec(&record).expect("strings and events are JSON");
        line.push(b'\n');
        line
    }
}

impl OpenFile {
    /// Opens for appending, and counts what is there. A last line that a crash cut short is
    /// ended, so that it does not spoil the next one.
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (mut letters, mut last) = (0, b'\n');
        let mut chunk = vec![0; 64 * 1024];
        // A pipe or a device has no letters to count.
        while file.metadata()?.is_file() {
            let read = file.read(&mut chunk)?;
            let Some(end) = chunk[..read].last() else { break };
            last = *end;
            letters += memchr::memchr_iter(b'\n', &chunk[..read]).count() as u64;
        }
        if last != b'\n' {
            file.write_all(b"\n")?;
            letters += 1;
        }
        Ok(Self { bytes: file.metadata()?.len(), file, letters })
    }

    /// One write, so that a record is there whole; where it was not, what it left is taken back.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(record) {
            // Should this fail too, the next `open` ends the torn line.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += record.len() as u64;
        self.letters += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;
    use crate::event::{RECEIPT_CREATED, Text};
    use serde_json::Value;

    fn letters(path: &Path, max_events: u64, when_full: WhenFull) -> DeadLetters {
        DeadLetters::new(
            path,
            max_events,
            when_full,
            "5ca1ab1e",
            Clock::new(None, Speed::Max, false),
        )
    }

    fn write(letters: &DeadLetters, category: &'static str, text: &str) -> Disposition {
        letters.write(&DeadLetter {
            stage: "replay",
            failure: &Failure::new(category, "it is no JSON"),
            content: Content::Input { text, origin: "events.ndjson:17" },
        })
    }

    fn records(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_letter_says_what_failed_where_why_and_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/dead.ndjson");
        let letters = letters(&path, 10, WhenFull::Stop);
        assert!(!path.exists(), "nothing is made before the first letter");
        let event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(0));
        let failure = Failure::new("script", "division by zero");
        let letter =
            DeadLetter { stage: "enrich", failure: &failure, content: Content::Event(&event) };
        assert_eq!(letters.write(&letter), Disposition::Kept);
        assert_eq!(write(&letters, "malformed", "{\"half\n"), Disposition::Kept);

        let [event_record, input_record] = <[Value; 2]>::try_from(records(&path)).unwrap();
        assert_eq!(event_record["stage"], "enrich");
        assert_eq!(event_record["category"], "script");
        assert_eq!(event_record["reason"], "division by zero");
        assert_eq!(event_record["attempts"], 1);
        assert_eq!(event_record["spec_hash"], "5ca1ab1e");
        assert_eq!(event_record["event"], serde_json::from_str::<Value>(&event.to_json()).unwrap());
        assert!(event_record["first_time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!(event_record["first_time"], event_record["last_time"]);
        assert_eq!(event_record.get("input"), None);
        assert_eq!(input_record["input"], "{\"half\n");
        assert_eq!(input_record["origin"], "events.ndjson:17");
        assert_eq!(input_record.get("event"), None);
    }

    #[test]
    fn letters_of_earlier_runs_count_towards_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        assert_eq!(write(&letters(&path, 3, WhenFull::Stop), "malformed", "1"), Disposition::Kept);
        let second = letters(&path, 3, WhenFull::Stop);
        assert_eq!(write(&second, "malformed", "2"), Disposition::Kept);
        assert_eq!(write(&second.clone(), "malformed", "3"), Disposition::Kept);
        let Disposition::Full(message) = write(&second, "malformed", "4") else { panic!() };
        assert!(
            message.contains("is full: it holds 3 events, the most it may; move it away"),
            "{message}"
        );
        assert_eq!(records(&path).len(), 3);
        assert_eq!(
            write(&letters(&path, 3, WhenFull::Drop), "malformed", "4"),
            Disposition::Dropped
        );
        assert_eq!(records(&path).len(), 3);
    }

    #[test]
    fn each_stage_and_category_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(&folder.path().join("dead.ndjson"), 2, WhenFull::Drop);
        for category in ["schema", "malformed", "malformed", "malformed"] {
            let _ = write(&letters, category, "x");
        }
        let count = |category, kept, dropped| DeadLetterCount {
            stage: "replay".to_owned(),
            category,
            kept,
            dropped,
        };
        assert_eq!(letters.counts(), [count("malformed", 1, 2), count("schema", 1, 0)]);
        let off = DeadLetters::off();
        assert_eq!(write(&off, "schema", "x"), Disposition::Dropped);
        assert_eq!(off.counts(), [count("schema", 0, 1)]);
    }

    #[test]
    fn a_line_that_a_crash_cut_short_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        std::fs::write(&path, "{\"stage\":\"a\"}\n{\"stage\":").unwrap();
        let letters = letters(&path, 3, WhenFull::Stop);
        assert_eq!(write(&letters, "malformed", "x"), Disposition::Kept);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(serde_json::from_str::<Value>(text.lines().last().unwrap()).is_ok());
        assert!(matches!(write(&letters, "malformed", "x"), Disposition::Full(_)));
    }

    #[test]
    fn a_file_that_cannot_be_opened_or_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| match write(&letters(path, 3, WhenFull::Drop), "malformed", "x") {
            Disposition::Error(message) => message,
            other => panic!("{other:?}"),
        };
        let message = error(folder.path());
        assert!(message.starts_with("cannot open the dead-letter file `"), "{message}");
        assert!(message.contains(&folder.path().display().to_string()), "{message}");
        if Path::new("/dev/full").exists() {
            let full = folder.path().join("full.ndjson");
            std::os::unix::fs::symlink("/dev/full", &full).unwrap();
            let message = error(&full);
            assert!(message.contains("full.ndjson"), "{message}");
        }
    }
}
