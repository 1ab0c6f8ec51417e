//! Dead letters as they are read back from their file, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use serde::Deserialize;

use super::file::lock_shared;
use crate::event::{Event, Timestamp};

/// A dead letter, as it was kept.
#[derive(Clone, Debug, Deserialize)]
pub struct Letter {
    /// The stage that failed.
    pub stage: String,
    /// The failure's category.
    pub category: String,
    /// Why it failed, the last time.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first (wall time).
    pub first_time: Timestamp,
    /// When it failed last.
    pub last_time: Timestamp,
    /// Which version of the spec it failed in, the last time.
    pub spec_hash: String,
    /// The event, unless it was none.
    pub event: Option<Event>,
    /// Where input came from that was no event.
    pub origin: Option<String>,
    /// Input that was no event.
    pub input: Option<String>,
}

impl Letter {
    /// What tells it from other letters of its stage and time: the event's trace id, or the input.
    pub fn id(&self) -> String {
        match &self.event {
            Some(event) => event.trace_id.to_string(),
            None => self.input.clone().unwrap_or_default(),
        }
    }
}

/// A line of the file.
#[derive(Debug)]
pub struct Entry {
    /// Its number, from 1.
    pub line: u64,
    /// Its text as it stands, with the line's end.
    pub text: Vec<u8>,
    /// The letter, or why it is none.
    pub letter: Result<Letter, String>,
}

/// The lines of a file; blank ones are left out.
#[derive(Debug)]
pub struct Letters {
    lines: BufReader<Take<File>>,
    line: u64,
}

/// Reads a file as it is now; nothing is held up meanwhile.
pub fn read(path: &Path) -> io::Result<Letters> {
    let file = File::open(path)?;
    // Nobody is halfway through a line then; what is there now does not change any more.
    lock_shared(&file)?;
    let bytes = file.metadata()?.len();
    // Where it cannot be locked it was not.
    let _ = file.unlock();
    Ok(Letters::new(file, bytes))
}

/// How many lines a file holds; none if there is no such file.
pub fn count(path: &Path) -> io::Result<usize> {
    match read(path) {
        Ok(letters) => letters.map(|entry| entry.map(|_| 1)).sum(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

impl Letters {
    pub(super) fn new(file: File, bytes: u64) -> Self {
        Self { lines: BufReader::new(file.take(bytes)), line: 0 }
    }
}

impl Iterator for Letters {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut text = Vec::new();
            match self.lines.read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            self.line += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            if text.last() != Some(&b'\n') {
                text.push(b'\n');
            }
            return Some(Ok(Entry { line: self.line, letter: parse(&text), text }));
        }
    }
}

fn parse(line: &[u8]) -> Result<Letter, String> {
    let letter: Letter = serde_json::from_slice(line).map_err(|error| {
        // There is one line, and the caller knows which.
        error.to_string().replace(" at line 1 column ", ", column ")
    })?;
    match (&letter.event, &letter.input) {
        (None, None) => Err("it has neither `event` nor `input`".to_owned()),
        _ => Ok(letter),
    }
}
