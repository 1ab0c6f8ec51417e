//! The sink `parquet`: each batch becomes finished Parquet files, for whatever reads them later.

mod chosen;
mod column;
mod encode;
mod inferred;
mod place;

use std::collections::HashMap;
use std::path::PathBuf;

use engine_plugin::{
    Delivery, Engine, Error, Events, Key, Metric, Outcome, Plugin, Refusal, Sink, export_plugins,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chosen::Chosen;
use crate::column::Column;
use crate::inferred::Inferred;

pub use crate::chosen::{Choice, ColumnType};
pub use crate::encode::Packing;

/// Writes events to Parquet files, which data frames, `DuckDB` and lakes read.
///
/// A batch becomes one file, or one for each event type and partition in it, so the batcher in
/// front decides how large files are: without one with a `max_batch_size` of 100 000 or so they are
/// small and many. A file has `.part` at the end of its name until it is whole and on the disk
/// itself, and only then are its events delivered. Files are named after what is in them, so no
/// file takes the place of another, and one that is written again is the same file; after a crash
/// events may be in two files, with the same trace ids.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder, which is made where it is missing. Relative to the working directory.
    pub path: PathBuf,
    /// What events have in common that are in one file.
    #[serde(default)]
    pub split_by: SplitBy,
    /// Folders by event time, in UTC, as Hive has them.
    #[serde(default)]
    pub partition: Partition,
    /// How files are packed.
    #[serde(default)]
    pub compression: Packing,
    /// `infer`, or the columns with their types.
    #[serde(default)]
    pub columns: Columns,
}

/// What events have in common that are in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Their type: each has a folder, as in `event_type=receipt_created`, and columns of its own.
    #[default]
    EventType,
    /// Nothing: all types are in one file, with the columns of all.
    None,
}

/// Folders by event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// None.
    #[default]
    None,
    /// One for each day, as in `date=2024-11-29`.
    Date,
    /// One for each hour, as in `date=2024-11-29/hour=09`.
    Hour,
}

impl Partition {
    /// Which folder a time in milliseconds since 1970 is in.
    fn number(self, time: i64) -> i64 {
        match self {
            Self::None => 0,
            Self::Date => time.div_euclid(24 * 3_600_000),
            Self::Hour => time.div_euclid(3_600_000),
        }
    }
}

/// Which columns files have.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    /// By what is in the events.
    By(Inference),
    /// These, and no others.
    These(#[schemars(length(min = 1))] Vec<Choice>),
}

impl Default for Columns {
    fn default() -> Self {
        Self::By(Inference::Infer)
    }
}

/// How columns are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Inference {
    /// The envelope's keys, and each field of the payload, of the type that its values have in the
    /// batch: whole numbers, doubles where one is not whole, booleans, texts, and texts also where
    /// types do not go together; lists and objects as JSON. A field with the name of an envelope's
    /// key has `payload_` before it. A field that is null in all events of a file has no column
    /// there.
    Infer,
}

/// The sink.
pub struct Parquet {
    settings: Settings,
    /// None where columns are inferred.
    chosen: Option<Chosen>,
    event_type: Key,
    time: Key,
    files: Metric,
    bytes: Metric,
    rows: Metric,
}

impl Plugin for Parquet {
    const NAME: &'static str = "parquet";
    const EXAMPLE: &'static str = "path: lake\npartition: date\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let chosen = match &settings.columns {
            Columns::By(Inference::Infer) => None,
            Columns::These(choices) => Some(Chosen::new(choices.clone(), engine)?),
        };
        Ok(Self {
            settings,
            chosen,
            event_type: engine.key("event_type")?,
            time: engine.key("ingest_timestamp")?,
            files: engine.counter("files", "files"),
            bytes: engine.counter("bytes", "bytes"),
            rows: engine.counter("rows", "events"),
        })
    }

    fn start(&mut self) -> Result<(), Error> {
        let path = &self.settings.path;
        place::make_folder(path)
            .map_err(|error| Error::fatal(format!("cannot make `{}`: {error}", path.display())))
    }
}

impl Sink for Parquet {
    const BLOCKING: bool = true;

    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        let mut refusals = Vec::new();
        for file in self.files_of(events, &mut refusals) {
            let rows = file.rows.clone();
            if let Err(error) = self.store(file) {
                refusals.extend(rows.into_iter().map(|row| Refusal { row, error: error.clone() }));
            }
        }
        refusals.sort_by_key(|refusal| refusal.row);
        delivery.complete(&Outcome { refusals, ..Outcome::delivered() });
    }
}

/// A file before it is written.
struct Draft<'a> {
    folder: PathBuf,
    /// The time of its first event.
    time: i64,
    sheet: Sheet<'a>,
    /// Which events of the batch are in it.
    rows: Vec<usize>,
}

enum Sheet<'a> {
    Inferred(Inferred),
    Chosen(&'a Chosen, Vec<Column>),
}

impl Parquet {
    /// Deals the events of a batch out; those that no file takes are refused.
    fn files_of(&self, events: &Events<'_>, refusals: &mut Vec<Refusal>) -> Vec<Draft<'_>> {
        let mut drafts = Vec::new();
        let mut places: HashMap<String, HashMap<i64, usize>> = HashMap::new();
        let mut json = Vec::new();
        for row in 0..events.len() {
            let taken = self.draft_of(events, row, &mut places, &mut drafts).and_then(|place| {
                json.clear();
                self.put(events, row, &mut drafts[place], &mut json)
            });
            if let Err(reason) = taken {
                refusals.push(Refusal { row, error: Error::Rejected(reason) });
            }
        }
        drafts.retain(|draft| !draft.rows.is_empty());
        drafts
    }

    /// The file that an event belongs to, which is begun where there is none.
    fn draft_of<'a>(
        &'a self,
        events: &Events<'_>,
        row: usize,
        places: &mut HashMap<String, HashMap<i64, usize>>,
        drafts: &mut Vec<Draft<'a>>,
    ) -> Result<usize, String> {
        let event_type = match self.settings.split_by {
            SplitBy::EventType => events.str(row, self.event_type).unwrap_or_default(),
            SplitBy::None => "",
        };
        let time = events.i64(row, self.time).unwrap_or_default();
        let number = self.settings.partition.number(time);
        if let Some(place) = places.get(event_type).and_then(|times| times.get(&number)) {
            return Ok(*place);
        }
        let sheet = match &self.chosen {
            Some(chosen) => Sheet::Chosen(chosen, chosen.columns()),
            None => Sheet::Inferred(Inferred::new()),
        };
        let folder = self.folder(event_type, time)?;
        drafts.push(Draft { folder, time, sheet, rows: Vec::new() });
        let place = drafts.len() - 1;
        places.entry(event_type.to_owned()).or_default().insert(number, place);
        Ok(place)
    }

    fn folder(&self, event_type: &str, time: i64) -> Result<PathBuf, String> {
        let mut folder = self.settings.path.clone();
        if self.settings.split_by == SplitBy::EventType {
            folder.push(place::type_folder(event_type)?);
        }
        if self.settings.partition != Partition::None {
            let with_hour = self.settings.partition == Partition::Hour;
            folder.push(place::time_folder(time, with_hour)?);
        }
        Ok(folder)
    }

    fn put(
        &self,
        events: &Events<'_>,
        row: usize,
        draft: &mut Draft<'_>,
        json: &mut Vec<u8>,
    ) -> Result<(), String> {
        let place = draft.rows.len();
        match &mut draft.sheet {
            Sheet::Chosen(chosen, columns) => chosen.put(columns, place, events, row)?,
            Sheet::Inferred(inferred) => {
                events.write_json(row, json);
                let json = std::str::from_utf8(json).map_err(|error| error.to_string())?;
                inferred.put(place, json, events.i64(row, self.time).unwrap_or_default())?;
            }
        }
        draft.rows.push(row);
        Ok(())
    }

    fn store(&self, draft: Draft<'_>) -> Result<(), Error> {
        let rows = draft.rows.len();
        let columns = match draft.sheet {
            Sheet::Inferred(inferred) => inferred.into_columns(),
            Sheet::Chosen(_, columns) => columns,
        };
        let bytes = encode::encode(columns, rows, self.settings.compression)
            .map_err(|error| Error::rejected(format!("no Parquet file can be made: {error}")))?;
        let name = place::file_name(draft.time, &bytes);
        place::store(&draft.folder, &name, &bytes).map_err(|error| {
            let path = draft.folder.join(&name);
            Error::retry(format!("cannot write `{}`: {error}", path.display()))
        })?;
        self.files.record(1.0);
        self.bytes.record(bytes.len() as f64);
        self.rows.record(rows as f64);
        Ok(())
    }
}

export_plugins!(sink Parquet);
