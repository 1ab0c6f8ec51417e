//! The files of the audit log: the one that is written, and those before it by number.

use std::fs::{File, OpenOptions, create_dir_all, remove_file, rename};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::file_lock::FileLock;
use crate::spec::AuditSettings;

/// How much waits in memory.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// How far from the end a torn line is looked for.
const TAIL_BYTES: u64 = 4 << 20;
/// How each line begins.
const LINE_START: &[u8] = b"{\"time\":";

/// A file that lines are added to. Whole lines only: what was written in part is cut off again.
pub(super) struct AuditFile {
    path: PathBuf,
    max_bytes: u64,
    keep_files: u32,
    /// Held as long as the log is: the files themselves come and go.
    _lock: FileLock,
    /// None while there is none that could be opened.
    file: Option<File>,
    /// How long the file is, in whole lines.
    length: u64,
    waiting: Vec<u8>,
    lines_waiting: u64,
    /// Lines that could not be written.
    lost: u64,
    is_failing: bool,
}

impl AuditFile {
    pub(super) fn open(settings: &AuditSettings) -> Result<Self, String> {
        let path = settings.path.clone();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_dir_all(folder)
                .map_err(|error| format!("cannot make its folder: {}", reason(&error)))?;
        }
        let lock_path = numbered(&path, "lock");
        let options = OpenOptions::new().create(true).truncate(false).write(true).clone();
        let lock = options.open(&lock_path).and_then(FileLock::try_new_where_supported);
        let lock = lock.map_err(|error| format!("cannot lock it: {}", reason(&error)))?;
        let lock = lock.ok_or("another engine writes it")?;
        let (file, length) = append(&path).map_err(|error| reason(&error))?;
        Ok(Self {
            path,
            max_bytes: settings.max_bytes.get(),
            keep_files: settings.keep_files.get(),
            _lock: lock,
            file: Some(file),
            length,
            waiting: Vec::new(),
            lines_waiting: 0,
            lost: 0,
            is_failing: false,
        })
    }

    /// Adds a line, which is written soon.
    pub(super) fn add(&mut self, line: &[u8]) {
        let length = self.length + self.waiting.len() as u64;
        if length > 0 && length + line.len() as u64 > self.max_bytes {
            self.flush();
            self.begin_next();
        }
        self.waiting.extend_from_slice(line);
        self.lines_waiting += 1;
        if self.waiting.len() >= WAITING_BYTES_MAX {
            self.flush();
        }
    }

    /// Writes what waits. What cannot be written is lost; the first time this is said aloud.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let written = self.try_flush();
        let path = self.path.display();
        match written {
            Ok(()) if self.is_failing => {
                tracing::info!(lost = self.lost, "the audit log `{path}` is written again");
                self.is_failing = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += self.lines_waiting;
                if !self.is_failing {
                    let reason = reason(&error);
                    tracing::error!("the audit log `{path}` is not written from now on: {reason}");
                    self.is_failing = true;
                }
            }
        }
        self.waiting.clear();
        self.lines_waiting = 0;
    }

    /// Writes what waits, and says what is missing.
    pub(super) fn end(mut self) {
        self.flush();
        if self.lost > 0 {
            let path = self.path.display();
            tracing::error!(lost = self.lost, "attempts are missing in the audit log `{path}`");
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let (file, length) = append(&self.path)?;
                self.length = length;
                none.insert(file)
            }
        };
        if let Err(error) = file.write_all(&self.waiting) {
            // Where that fails as well, the next line begins behind a torn one.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.length += self.waiting.len() as u64;
        Ok(())
    }

    /// Gives each file the next number, and removes what is too old. What cannot be moved stays,
    /// and is added to.
    fn begin_next(&mut self) {
        self.file = None;
        let of = |number: u32| match number {
            0 => self.path.clone(),
            number => numbered(&self.path, &number.to_string()),
        };
        // There may be none of these yet, and what cannot be moved is not lost.
        let _ = remove_file(of(self.keep_files - 1));
        for number in (0..self.keep_files - 1).rev() {
            let _ = rename(of(number), of(number + 1));
        }
        match append(&self.path) {
            Ok((file, length)) => (self.file, self.length) = (Some(file), length),
            // It is tried again with the next line, and said then.
            Err(_) => self.length = 0,
        }
    }
}

/// Opens a file to add to it. A line of ours that was torn when a process was killed is cut off;
/// what is anything else is left as it is.
fn append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    let tail = length.min(TAIL_BYTES);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(length - tail))?;
    (&mut file).take(tail).read_to_end(&mut end)?;
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
    let torn = &end[whole..];
    let is_ours = torn.starts_with(LINE_START) || LINE_START.starts_with(torn);
    if torn.is_empty() {
        return Ok((file, length));
    }
    if is_ours && (whole > 0 || tail == length) {
        let length = length - torn.len() as u64;
        file.set_len(length)?;
        return Ok((file, length));
    }
    file.write_all(b"\n")?;
    Ok((file, length + 1))
}

/// `audit.ndjson.1`
fn numbered(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
