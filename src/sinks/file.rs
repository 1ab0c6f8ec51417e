//! The `file` sink: NDJSON files, named after what is in their events, whole or not there.

mod files;
mod template;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::files::Files;
use self::template::Template;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::Batch;
use crate::problem::Problems;
use crate::spec::SpecDuration;
use crate::stage::{Outcome, Refusal, Sink, Stage, StageError};

/// Writes events to files, one envelope as JSON on each line.
///
/// With placeholders in the path, events are dealt out over files; within each file they keep
/// their order. An event is reported as delivered when it is with the operating system.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// The file; folders are made. Relative to the working directory. `{event_type}`,
    /// `{partition_key}` and the envelope's other keys, `{payload.NAME}`, `{date}` (as
    /// `2024-11-29`) and `{hour}` (as `09`) of the event time in UTC stand for values of each
    /// event. What a file name should not hold becomes `_`, a missing value `none`, so no value
    /// leads out of the folder.
    pub path: String,
    /// How files are packed; by default with gzip where the path ends in `.gz`. Each batch makes
    /// a gzip member of its own, so that a file can be read while it is written.
    pub compression: Option<Compression>,
    /// What becomes of a file that is there already.
    #[serde(default)]
    pub mode: Mode,
    /// When to end a file and begin the next. Files are numbered then, `events-00001.ndjson`, and
    /// have `.part` at the end of their names until they are complete. By default a file is never
    /// ended.
    pub rotate: Option<Rotate>,
    /// How many files are open at a time; the one that was not used for longest makes room.
    #[serde(default = "default_open_files")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_open_files: usize,
    /// Whether a file is on the disk itself, and not only with the operating system, before it
    /// counts as complete.
    #[serde(default)]
    pub fsync: bool,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Events are added at its end.
    #[default]
    Append,
    /// It is replaced at the end of the run, when the new one is complete; until then that has
    /// `.part` at the end of its name.
    Replace,
}

/// When to end a file; whichever comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotate {
    /// Before it would get larger than this, in bytes, counted before they are packed. A single
    /// event that is larger makes a file of its own.
    #[schemars(range(min = 1))]
    pub max_bytes: Option<u64>,
    /// When it holds this many events.
    #[schemars(range(min = 1))]
    pub max_events: Option<u64>,
    /// When event time gets to the next full span of this length, such as `1h`, in UTC.
    pub every: Option<SpecDuration>,
}

impl Settings for FileSink {
    const NAME: &'static str = "file";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str =
        "path: out/{date}/{event_type}.ndjson.gz\nrotate: { max_events: 100000, every: 1h }\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        if self.mode == Mode::Replace && cx.document.contains("/state") {
            let message = "`replace` and `state` do not go together: a run that goes on would \
                           replace what the one before it wrote";
            return Err(cx.problem("/mode", message).help("use `mode: append`").into());
        }
        let sink = self.sink().map_err(|(setting, message)| cx.problem(setting, message))?;
        Ok(Stage::Sink(Box::new(sink)))
    }
}

impl FileSink {
    fn sink(self) -> Result<FileWriter, (&'static str, String)> {
        let template: Template = self.path.parse().map_err(|message| ("/path", message))?;
        if let Some(rotate) = &self.rotate {
            if self.mode == Mode::Replace {
                let message = "`replace` and `rotate` do not go together: files that are rotated \
                               have numbers of their own, and nothing is replaced";
                return Err(("/mode", message.to_owned()));
            }
            let spans = rotate.every.map(|every| every.0.as_millis());
            if spans == Some(0) {
                return Err(("/rotate/every", "the span has to be a millisecond or more".into()));
            }
            if rotate.max_bytes.is_none() && rotate.max_events.is_none() && spans.is_none() {
                let message = "`rotate` needs one of `max_bytes`, `max_events` and `every`";
                return Err(("/rotate", message.to_owned()));
            }
        }
        Ok(FileWriter(Arc::new(Mutex::new(Files::new(self, template)))))
    }

    /// Whether files are packed.
    fn packs(&self) -> bool {
        self.compression.map_or_else(
            || Path::new(&self.path).extension().is_some_and(|end| end == "gz"),
            |compression| compression == Compression::Gzip,
        )
    }
}

struct FileWriter(Arc<Mutex<Files>>);

impl FileWriter {
    /// Does something with the files on a thread that may wait for the disk.
    async fn on_files<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Files) -> R + Send + 'static,
    ) -> io::Result<R> {
        let files = self.0.clone();
        let work = move || work(&mut files.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
    }
}

#[async_trait]
impl Sink for FileWriter {
    async fn open(&self) -> Result<(), StageError> {
        let opened = self.on_files(Files::open).await;
        opened.unwrap_or_else(|error| Err(StageError(error.to_string())))
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        if batch.is_empty() {
            return Outcome::Delivered;
        }
        let batch = batch.clone();
        let written = self.on_files(move |files| files.write(batch.events())).await;
        written
            .unwrap_or_else(|error| Outcome::Refused(Refusal::permanent("io", error.to_string())))
    }

    async fn close(&self) -> Result<(), StageError> {
        let closed = self.on_files(Files::close).await;
        closed.unwrap_or_else(|error| Err(StageError(error.to_string())))
    }

    async fn abandon(&self) -> Result<(), StageError> {
        let closed = self.on_files(Files::abandon).await;
        closed.unwrap_or_else(|error| Err(StageError(error.to_string())))
    }

    fn times_out(&self) -> bool {
        false
    }

    fn wants_batches(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).packs()
    }
}

fn default_open_files() -> usize {
    64
}

#[cfg(test)]
mod tests;
