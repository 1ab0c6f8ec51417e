//! The open files of a sink: which are open, when one is full, and how it gets its final name.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use indexmap::IndexMap;

use super::{FileSink, Mode, Rotate, Template};
use crate::event::{Event, JsonWriter, Timestamp};
use crate::stage::{Outcome, Refusal, StageError};

/// What a file that is not complete has at the end of its name.
const PART: &str = ".part";

/// All files of one sink.
pub(super) struct Files {
    settings: FileSink,
    template: Template,
    open: HashMap<String, OpenFile>,
    /// The files of this run that wait for their final names (`mode: replace`), open or not.
    replacing: HashSet<String>,
    /// Counts uses, to find the file that was not used for longest.
    uses: u64,
    json: JsonWriter,
}

struct OpenFile {
    file: File,
    /// Where it is now.
    path: PathBuf,
    /// The name it gets when it is complete; none where it has it already.
    becomes: Option<PathBuf>,
    events: u64,
    /// Before they are packed.
    bytes: u64,
    /// The length to cut it back to, where a write failed half way and that failed as well.
    whole: Option<u64>,
    /// When its span of event time ends.
    span_end: Option<Timestamp>,
    last_use: u64,
}

impl Files {
    /// No file is open yet.
    pub(super) fn new(settings: FileSink, template: Template) -> Self {
        let json = JsonWriter::new();
        let (open, replacing) = (HashMap::new(), HashSet::new());
        Self { settings, template, open, replacing, uses: 0, json }
    }

    /// Whether files are packed.
    pub(super) fn packs(&self) -> bool {
        self.settings.packs()
    }

    /// How many files are open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Opens the file where there can be only one, so that a run that cannot write ends before it
    /// begins.
    pub(super) fn open(&mut self) -> Result<(), StageError> {
        match self.template.fixed().map(str::to_owned) {
            Some(path) => self.file(&path).map(|_| ()).map_err(StageError::from),
            None => Ok(()),
        }
    }

    /// Writes events to their files, each file's in their order.
    pub(super) fn write(&mut self, events: &[Event]) -> Outcome {
        let mut failed = Vec::new();
        for (path, places) in self.by_path(events) {
            let mut written = 0;
            match self.write_to(&path, events, &places, &mut written) {
                Ok(()) => {}
                Err(Fault::Closed) => return Outcome::Closed,
                Err(Fault::Io { message, passes }) => {
                    let refusal = if passes {
                        Refusal::transient("io", message)
                    } else {
                        Refusal::permanent("io", message)
                    };
                    failed.extend(places[written..].iter().map(|at| (*at, refusal.clone())));
                }
            }
        }
        match failed.first() {
            None => Outcome::Delivered,
            Some((_, refusal)) if failed.len() == events.len() => Outcome::Refused(refusal.clone()),
            Some(_) => {
                failed.sort_unstable_by_key(|(place, _)| *place);
                Outcome::Except(failed)
            }
        }
    }

    /// Completes all files.
    pub(super) fn close(&mut self) -> Result<(), StageError> {
        let mut result = Ok(());
        let paths: Vec<_> = self.open.keys().cloned().collect();
        for path in paths {
            result = result.and(self.complete(&path));
        }
        for path in std::mem::take(&mut self.replacing) {
            let part = with_part(Path::new(&path));
            result = result.and(rename(&part, Path::new(&path)));
        }
        result.map_err(StageError::from)
    }

    /// Completes the files that events were added to; what was to replace a file stays beside it.
    pub(super) fn abandon(&mut self) -> Result<(), StageError> {
        self.replacing.clear();
        self.close()
    }

    /// The places of the events of each path.
    fn by_path(&self, events: &[Event]) -> IndexMap<String, Vec<usize>> {
        let mut groups: IndexMap<String, Vec<usize>> = IndexMap::new();
        if let Some(path) = self.template.fixed() {
            groups.insert(path.to_owned(), (0..events.len()).collect());
            return groups;
        }
        let mut path = String::new();
        for (place, event) in events.iter().enumerate() {
            self.template.render(event, &mut path);
            match groups.get_mut(&path) {
                Some(places) => places.push(place),
                None => drop(groups.insert(path.clone(), vec![place])),
            }
        }
        groups
    }

    /// Writes the events at `places`; `written` counts those that are in the file.
    fn write_to(
        &mut self,
        path: &str,
        events: &[Event],
        places: &[usize],
        written: &mut usize,
    ) -> Result<(), Fault> {
        self.json.clear();
        let mut count = 0;
        for place in places {
            let event = &events[*place];
            let pending = self.json.as_bytes().len();
            self.json.line(event);
            if let Some(rotate) = self.settings.rotate {
                let bytes = (self.json.as_bytes().len() - pending) as u64;
                let before = (count as u64, pending as u64);
                if self.file(path)?.is_full(&rotate, before, event, bytes) {
                    self.append(path, pending, &mut count, written)?;
                    self.complete(path)?;
                }
                let file = self.file(path)?;
                file.span_end = file.span_end.or_else(|| span_end(&rotate, event.time));
            }
            count += 1;
        }
        self.append(path, self.json.as_bytes().len(), &mut count, written)
    }

    /// Hands the first `bytes` of the lines to the operating system: `count` of them.
    fn append(
        &mut self,
        path: &str,
        bytes: usize,
        count: &mut usize,
        written: &mut usize,
    ) -> Result<(), Fault> {
        if bytes == 0 {
            return Ok(());
        }
        self.file(path)?;
        let packs = self.packs();
        let open = self.open.get_mut(path).ok_or_else(|| lost(path))?;
        let lines = &self.json.as_bytes()[..bytes];
        if packs {
            open.append(&gzip_member(lines)?)?;
        } else {
            open.append(lines)?;
        }
        open.events += *count as u64;
        open.bytes += bytes as u64;
        *written += std::mem::take(count);
        self.json.forget(bytes);
        Ok(())
    }

    /// The open file of a path, opened if need be.
    fn file(&mut self, path: &str) -> Result<&mut OpenFile, Fault> {
        self.uses += 1;
        if !self.open.contains_key(path) {
            self.make_room()?;
            let file = self.opened(Path::new(path), path)?;
            self.open.insert(path.to_owned(), file);
        }
        let uses = self.uses;
        let open = self.open.get_mut(path).ok_or_else(|| lost(path))?;
        open.last_use = uses;
        Ok(open)
    }

    fn opened(&mut self, path: &Path, name: &str) -> Result<OpenFile, Fault> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| {
                Fault::io(format!("cannot make the folder `{}`", folder.display()), &error)
            })?;
        }
        let mut how = OpenOptions::new();
        let (now, becomes) = match (self.settings.rotate, self.settings.mode) {
            (Some(_), _) => {
                let numbered = next_numbered(path)
                    .map_err(|error| Fault::io(format!("cannot number `{name}`"), &error))?;
                how.append(true).create_new(true);
                (with_part(&numbered), Some(numbered))
            }
            (None, Mode::Append) => {
                how.append(true).create(true).read(true);
                (path.to_owned(), None)
            }
            (None, Mode::Replace) => {
                // Opened before in this run, it goes on; left by an earlier one, it is emptied.
                if self.replacing.insert(name.to_owned()) {
                    how.write(true).create(true).truncate(true);
                } else {
                    how.append(true);
                }
                (with_part(path), None)
            }
        };
        let readable = self.settings.rotate.is_none() && self.settings.mode == Mode::Append;
        let failed = |error| Fault::io(format!("cannot write `{}`", now.display()), &error);
        let mut file = open_for_writing(&how, &now).map_err(failed)?;
        if readable && !self.packs() {
            end_torn_line(&mut file).map_err(failed)?;
        }
        let (events, bytes, span_end) = (0, 0, None);
        let (whole, last_use) = (None, self.uses);
        Ok(OpenFile { file, path: now, becomes, events, bytes, whole, span_end, last_use })
    }

    /// Closes the file that was not used for longest, if there are as many as there may be.
    fn make_room(&mut self) -> Result<(), Fault> {
        if self.open.len() < self.settings.max_open_files.max(1) {
            return Ok(());
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.last_use);
        match oldest.map(|(path, _)| path.clone()) {
            Some(path) => self.complete(&path),
            None => Ok(()),
        }
    }

    /// Closes a file, and gives it its final name where it has one to get.
    fn complete(&mut self, path: &str) -> Result<(), Fault> {
        let Some(mut open) = self.open.remove(path) else { return Ok(()) };
        open.cut_back().map_err(|error| {
            Fault::io(format!("cannot write `{}`", open.path.display()), &error)
        })?;
        if self.settings.fsync {
            open.file.sync_all().map_err(|error| {
                Fault::io(format!("cannot sync `{}`", open.path.display()), &error)
            })?;
        }
        match open.becomes {
            Some(_) if open.events == 0 => fs::remove_file(&open.path).map_err(|error| {
                Fault::io(format!("cannot remove `{}`", open.path.display()), &error)
            }),
            Some(becomes) => rename(&open.path, &becomes),
            None => Ok(()),
        }
    }
}

impl OpenFile {
    /// Whether an event of so many bytes has to go into the next file. `pending` events and bytes
    /// are as good as in this one.
    fn is_full(&self, rotate: &Rotate, pending: (u64, u64), event: &Event, bytes: u64) -> bool {
        let events = self.events + pending.0;
        events > 0
            && (rotate.max_events.is_some_and(|max| events >= max)
                || rotate.max_bytes.is_some_and(|max| self.bytes + pending.1 + bytes > max)
                || self.span_end.is_some_and(|end| event.time >= end))
    }

    /// Appends all of it, or takes back what was left of a write that failed.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let written = self.cut_back().and_then(|()| {
            let before = self.file.metadata()?;
            self.file.write_all(bytes).inspect_err(|_| {
                self.whole = before.is_file().then_some(before.len());
                // The write's own error is the one to report; the next write tries it again.
                let _ = self.cut_back();
            })
        });
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::io(format!("cannot write `{}`", self.path.display()), &error),
        })
    }

    /// Takes back what a write that failed has left behind the last whole line.
    fn cut_back(&mut self) -> io::Result<()> {
        if let Some(length) = self.whole {
            self.file.set_len(length)?;
            self.file.seek(SeekFrom::End(0))?;
            self.whole = None;
        }
        Ok(())
    }
}

/// Why events are not in their file.
enum Fault {
    /// The reader of a pipe is gone.
    Closed,
    /// The message names the path; `passes` where the same may succeed later.
    Io { message: String, passes: bool },
}

impl Fault {
    /// What could not be done, and what the system said. A disk that is used up is made room on.
    fn io(what: impl Display, error: &io::Error) -> Self {
        let kind = error.kind();
        let passes = matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        Self::Io { message: format!("{what}: {error}"), passes }
    }
}

impl From<Fault> for StageError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Closed => Self("the reader is gone".to_owned()),
            Fault::Io { message, .. } => Self(message),
        }
    }
}

fn lost(path: &str) -> Fault {
    Fault::io(format!("cannot find `{path}`"), &io::ErrorKind::NotFound.into())
}

fn gzip_member(lines: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(lines)
        .and_then(|()| encoder.finish())
        .map_err(|error| Fault::io("cannot compress", &error))
}

fn open_for_writing(how: &OpenOptions, path: &Path) -> io::Result<File> {
    match how.open(path) {
        // A pipe or a device may be written and not read.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            how.clone().read(false).open(path)
        }
        opened => opened,
    }
}

/// Ends a last line that a crash cut short, so that it does not spoil the next one.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let kind = file.metadata()?;
    if !kind.is_file() || kind.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    match file.read_exact(&mut last) {
        Ok(()) if last != *b"\n" => file.write_all(b"\n"),
        // A file that may be written and not read is taken as it is.
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to).map_err(|error| {
        Fault::io(format!("cannot rename `{}` to `{}`", from.display(), to.display()), &error)
    })
}

fn with_part(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(PART);
    name.into()
}

/// When the span of event time ends that an instant lies in.
fn span_end(rotate: &Rotate, time: Timestamp) -> Option<Timestamp> {
    let span = i64::try_from(rotate.every?.0.as_millis()).unwrap_or(i64::MAX).max(1);
    let spans = time.as_millis().div_euclid(span).saturating_add(1);
    Some(Timestamp::from_millis(spans.saturating_mul(span)))
}

/// The path with the next number that no file has, complete or not: `events-00001.ndjson`.
fn next_numbered(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // What comes after the first dot is the ending; a dot in front belongs to the name.
    let dot = name.char_indices().skip(1).find(|(_, character)| *character == '.');
    let (stem, ending) = name.split_at(dot.map_or(name.len(), |(place, _)| place));
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut last = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let number = entry.to_str().and_then(|entry| {
            let entry = entry.strip_suffix(PART).unwrap_or(entry);
            entry.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(ending)?.parse().ok()
        });
        last = last.max(number.unwrap_or(0_u64));
    }
    Ok(path.with_file_name(format!("{stem}-{:05}{ending}", last + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_that_could_not_be_taken_back_at_once_is_before_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "whole\nha").unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        let becomes = None;
        let (events, bytes, span_end, last_use) = (1, 6, None, 0);
        let whole = Some(6);
        let mut open = OpenFile {
            file,
            path: path.clone(),
            becomes,
            events,
            bytes,
            whole,
            span_end,
            last_use,
        };
        assert!(open.append(b"half\n").is_ok());
        assert!(open.append(b"more\n").is_ok());
        assert_eq!(fs::read_to_string(path).unwrap(), "whole\nhalf\nmore\n");
    }
}
