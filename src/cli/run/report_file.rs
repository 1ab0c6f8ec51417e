//! `--report`: the report as JSON, in its place as a whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engine::problem::Problem;
use engine::runtime::Report;

use crate::cli::{CommandError, terminal};

/// Where the report goes. The file beside it is opened before the run, so that a folder that is
/// not there shows at once and not after a day.
pub(super) enum ReportFile {
    /// `-`
    Stdout,
    /// Written beside `path` first.
    File {
        /// Where it will be.
        path: PathBuf,
        /// Where it is written.
        draft: Draft,
        /// The open draft.
        file: File,
    },
}

/// The path of a draft; one that never became a report is taken away.
pub(super) struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // After the draft became the report there is nothing to take away.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl ReportFile {
    pub(super) fn new(path: &Path) -> Result<Self, Problem> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}.tmp", std::process::id()));
        let draft = Draft(draft.into());
        match File::create(&draft.0) {
            Ok(file) => Ok(Self::File { path: path.to_owned(), draft, file }),
            Err(error) => Err(problem(path, &error)),
        }
    }

    pub(super) fn write(self, report: &Report) -> Result<(), CommandError> {
        let json = serde_json::to_string_pretty(report).map_err(io::Error::from);
        match self {
            Self::Stdout => match json {
                Ok(json) => terminal::data(&json).map(|_| ()),
                Err(error) => Err(CommandError::Failed(problem(Path::new("-"), &error).into())),
            },
            Self::File { path, draft, mut file } => json
                .and_then(|json| writeln!(file, "{json}"))
                .and_then(|()| file.sync_all())
                .and_then(|()| put_in_place(&draft.0, &path))
                .map_err(|error| CommandError::Failed(problem(&path, &error).into())),
        }
    }
}

/// A plain file is replaced as a whole. What is no plain file (a pipe, a device, a link) is what
/// somebody wants written to, so it is, and stays what it is.
fn put_in_place(draft: &Path, path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(target) if !target.is_file() => {
            let report = std::fs::read(draft)?;
            std::fs::OpenOptions::new().write(true).truncate(true).open(path)?.write_all(&report)
        }
        _ => std::fs::rename(draft, path),
    }
}

fn problem(path: &Path, error: &io::Error) -> Problem {
    Problem::error(format!("cannot write the report `{}`: {error}", path.display()))
}
