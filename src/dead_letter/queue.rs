//! Dead letters: events that could not be processed, on disk with the reason.
//!
//! One NDJSON record each. The file is opened at the first letter, appended to, and bounded: a
//! letter that finds it full stops the run or is dropped and counted, as the spec says.
//!
//! What was written is with the operating system, and survives the process. It is brought to the
//! disk at most once a second and when the last copy is dropped, so that a storm of failures does
//! not wait for the disk: a power cut may cost the letters since then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::collected::Collected;
use super::file::{count_lines, is_at, lock};
use super::letter::Letter;
use crate::clock::Clock;
use crate::event::{Event, Timestamp};
use crate::failure::Failure;
use crate::spec::WhenFull;

/// How much wall time passes at least between two ways to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// The pipeline's dead letters; copies write to the same file.
#[derive(Clone, Debug)]
pub struct DeadLetters(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// None where dead letters are off, or collected.
    kept: Option<Kept>,
    /// What collects them, in place of a file.
    collected: Option<Collected>,
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
    /// Letters that are being replayed, by stage and id: what fails again goes on from these.
    earlier: HashMap<(String, String), VecDeque<(u32, Timestamp)>>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    /// A pipe or a device has no letters to count, and nobody else.
    is_regular: bool,
    /// How long it was when its letters were last counted.
    bytes: u64,
    letters: u64,
    /// When it was last brought to the disk.
    synced: Option<Timestamp>,
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
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first (wall time), where that was before now.
    pub first_time: Option<Timestamp>,
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

impl<'a> Content<'a> {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&'a Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Input { .. } => None,
        }
    }
}

/// What became of some dead letters: so many are in the file, in their order, and the others not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// How many are in the file.
    pub kept: usize,
    /// What became of those behind them.
    pub others: Disposition,
}

/// What became of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Disposition {
    /// They are in the file.
    Kept,
    /// They were dropped as the spec says, and counted.
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
        Self(Arc::new(Shared { kept: Some(kept), collected: None, state: Mutex::default() }))
    }

    /// Letters are dropped, and counted.
    pub fn off() -> Self {
        Self(Arc::new(Shared { kept: None, collected: None, state: Mutex::default() }))
    }

    /// Letters are kept in memory, and nowhere else.
    pub fn collected_by(collected: Collected) -> Self {
        let collected = Some(collected);
        Self(Arc::new(Shared { kept: None, collected, state: Mutex::default() }))
    }

    /// Letters that are being replayed: when one of them fails again in its stage, it is kept with
    /// one more attempt and the time of its first failure.
    #[must_use]
    pub fn going_on_from<'a>(self, letters: impl IntoIterator<Item = &'a Letter>) -> Self {
        let mut state = self.state();
        for letter in letters {
            let key = (letter.stage.clone(), letter.id());
            let before = (letter.attempts, letter.first_time);
            state.earlier.entry(key).or_default().push_back(before);
        }
        drop(state);
        self
    }

    /// Keeps letters, and has them with the operating system when it returns; in one write.
    pub fn write(&self, letters: &[DeadLetter<'_>]) -> Written {
        let mut state = self.state();
        let written = match (&self.0.kept, &self.0.collected) {
            (Some(kept), _) => state.keep(kept, letters),
            (None, Some(collected)) => {
                collected.add(letters);
                Written { kept: letters.len(), others: Disposition::Kept }
            }
            (None, None) => Written { kept: 0, others: Disposition::Dropped },
        };
        let (kept, others) = letters.split_at(written.kept);
        for letter in kept {
            state.count(letter, &Disposition::Kept);
        }
        for letter in others {
            state.count(letter, &written.others);
        }
        written
    }

    /// Notes a failure that belongs to no event, where failures are collected.
    pub(super) fn note_rule(&self, stage: &str, failure: &Failure) {
        if let Some(collected) = &self.0.collected {
            collected.add_rule(stage, failure);
        }
    }

    /// Brings what was written to the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.state().file.as_ref().map_or(Ok(()), |open| open.file.sync_data())
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
    fn keep(&mut self, kept: &Kept, letters: &[DeadLetter<'_>]) -> Written {
        let none = |others| Written { kept: 0, others };
        let path = kept.path.display();
        let now = kept.clock.wall();
        let mut open = match self.opened(&kept.path) {
            Ok(open) => open,
            Err(error) => {
                return none(Disposition::Error(format!(
                    "cannot open the dead-letter file `{path}`: {error}"
                )));
            }
        };
        let room = kept.max_events.saturating_sub(open.letters);
        let fitting = &letters[..letters.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        let records: Vec<u8> =
            fitting.iter().flat_map(|letter| kept.record(letter, now, &mut self.earlier)).collect();
        let appended = open.append(&records, fitting.len() as u64, now);
        open.unlock();
        let held = open.letters;
        self.file = Some(open);
        if let Err(error) = appended {
            return none(Disposition::Error(format!(
                "cannot write the dead-letter file `{path}`: {error}"
            )));
        }
        let others = match kept.when_full {
            _ if fitting.len() == letters.len() => Disposition::Kept,
            WhenFull::Drop => Disposition::Dropped,
            WhenFull::Stop => Disposition::Full(format!(
                "the dead-letter file `{path}` is full: it holds {held} events, the most it may; \
                 move it away, raise `max_events`, or set `when_full: drop`"
            )),
        };
        Written { kept: fitting.len(), others }
    }

    /// The file that the path names now, locked and counted.
    fn opened(&mut self, path: &Path) -> io::Result<OpenFile> {
        loop {
            let mut open = match self.file.take() {
                Some(open) => open,
                None => OpenFile::open(path)?,
            };
            if !open.is_regular {
                return Ok(open);
            }
            lock(&open.file)?;
            // Another one is in its place where letters were taken out, or it was moved away.
            if is_at(&open.file, path)? {
                open.count()?;
                return Ok(open);
            }
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

impl Drop for State {
    fn drop(&mut self) {
        if let Some(open) = &self.file {
            // The run has ended, and the letters are with the operating system all the same.
            let _ = open.file.sync_data();
        }
    }
}

impl Kept {
    fn record(
        &self,
        letter: &DeadLetter<'_>,
        now: Timestamp,
        earlier: &mut HashMap<(String, String), VecDeque<(u32, Timestamp)>>,
    ) -> Vec<u8> {
        let (event, input, origin) = match letter.content {
            Content::Event(event) => (Some(event), None, None),
            Content::Input { text, origin } => (None, Some(text), Some(origin)),
        };
        let before = if earlier.is_empty() {
            None
        } else {
            let id = event.map_or_else(
                || input.unwrap_or_default().to_owned(),
                |event| event.trace_id.to_string(),
            );
            earlier.get_mut(&(letter.stage.to_owned(), id)).and_then(VecDeque::pop_front)
        };
        let (attempts_before, first_time) = before.unzip();
        let record = Record {
            stage: letter.stage,
            category: letter.failure.category,
            reason: &letter.failure.reason,
            attempts: letter.attempts.saturating_add(attempts_before.unwrap_or(0)),
            first_time: first_time.or(letter.first_time).unwrap_or(now),
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
    /// Opens for appending; what is there is counted under the lock.
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let is_regular = file.metadata()?.is_file();
        Ok(Self { file, is_regular, bytes: 0, letters: 0, synced: None })
    }

    /// Counts what others have added, or all of it where they took something away. A last line
    /// that a crash cut short is ended, so that it does not spoil the next one.
    fn count(&mut self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len();
        if bytes == self.bytes {
            return Ok(());
        }
        if bytes < self.bytes {
            (self.bytes, self.letters) = (0, 0);
        }
        self.file.seek(SeekFrom::Start(self.bytes))?;
        let (letters, is_whole) = count_lines(&mut self.file)?;
        self.letters += letters;
        if !is_whole {
            self.file.write_all(b"\n")?;
            self.letters += 1;
        }
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    /// One write, so that records are there whole; where they were not, what they left is taken
    /// back.
    fn append(&mut self, records: &[u8], letters: u64, now: Timestamp) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(records) {
            // Should this fail too, whoever counts next ends the torn line.
            let _ = self.file.set_len(self.bytes);
            return Err(error);
        }
        self.bytes += records.len() as u64;
        self.letters += letters;
        if self.is_regular && self.synced.is_none_or(|synced| now >= synced + SYNC_INTERVAL) {
            self.file.sync_data()?;
            self.synced = Some(now);
        }
        Ok(())
    }

    fn unlock(&self) {
        if self.is_regular {
            // Where it cannot be locked it was not.
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests;
