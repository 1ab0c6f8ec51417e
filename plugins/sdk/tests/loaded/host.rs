//! A host that notes what it is told, and batches that are tables of a few fields.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use engine_plugin::host::{BadArgument, Context, Lent};
use engine_plugin::{Level, MetricKind, Outcome, Value, abi};

/// The fields that there are; the number of each is its place and one.
const FIELDS: [&str; 4] = ["event_type", "ingest_timestamp", "payload.n", "payload.text"];

/// What a plugin's instances told.
#[derive(Default)]
pub(crate) struct Host {
    settings: OnceLock<serde_json::Value>,
    lines: Mutex<Vec<String>>,
    outcomes: Mutex<Vec<(u64, Outcome)>>,
    /// What nobody looks at is not kept.
    is_deaf: bool,
}

impl Host {
    /// One that keeps nothing of what it is told.
    pub(crate) fn deaf() -> Self {
        Self { is_deaf: true, ..Self::default() }
    }

    pub(crate) fn configure(&self, settings: &serde_json::Value) {
        // The same for all instances of a host.
        assert_eq!(self.settings.get_or_init(|| settings.clone()), settings);
    }

    /// The lines of the log, but for those that trace.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn outcomes(&self) -> Vec<(u64, Outcome)> {
        self.outcomes.lock().unwrap().clone()
    }
}

impl Context for Host {
    fn log(&self, level: Level, _: &str, message: &str) {
        if level < Level::Debug && !self.is_deaf {
            self.lines.lock().unwrap().push(message.to_owned());
        }
    }

    fn log_enabled(&self, level: Level) -> bool {
        level < Level::Debug
    }

    fn metric(&self, _: MetricKind, _: &str, _: &str) -> Option<u32> {
        Some(1)
    }

    fn record(&self, _: u32, _: f64) {}

    fn setting(&self, pointer: &str) -> Value<'_> {
        match self.settings.get().and_then(|settings| settings.pointer(pointer)) {
            Some(serde_json::Value::String(text)) => Value::Str(text),
            Some(serde_json::Value::Number(number)) => Value::I64(number.as_i64().unwrap()),
            _ => Value::Absent,
        }
    }

    fn key(&self, path: &str) -> Option<abi::Key> {
        FIELDS.iter().position(|field| *field == path).map(|place| place as abi::Key + 1)
    }

    fn complete(&self, token: u64, outcome: Outcome) -> bool {
        let mut outcomes = self.outcomes.lock().unwrap();
        let is_known = outcomes.iter().any(|(known, _)| *known == token);
        if !is_known && !self.is_deaf {
            outcomes.push((token, outcome));
        }
        !is_known
    }

    fn wake(&self) {}

    fn next_tick(&self, _: Option<i64>) {}

    fn now(&self) -> i64 {
        0
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Null,
    Bool(bool),
    I64(i64),
    F64(f64),
    Text(String),
    Json(String),
    Time(i64),
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    cells: BTreeMap<abi::Key, Cell>,
    pub(crate) is_dropped: bool,
    pub(crate) failed: Option<String>,
}

impl Row {
    /// The field `payload.n`.
    pub(crate) fn n(&self) -> Option<i64> {
        match self.cells.get(&3) {
            Some(Cell::I64(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn has_type(&self) -> bool {
        self.cells.contains_key(&1)
    }
}

/// What may be done with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Enriched,
    Observed,
    Made,
    Written,
}

/// A batch.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    is: Use,
    most: usize,
}

impl Table {
    /// So many events, with a type and a time.
    pub(crate) fn new(is: Use, len: i64) -> Self {
        let row = |place: i64| {
            let cells = [(1, Cell::Text("probe".to_owned())), (2, Cell::Time(place))];
            Row { cells: cells.into(), ..Row::default() }
        };
        Self { rows: (0..len).map(row).collect(), is, most: 100 }
    }

    /// The rows, if they may be dropped and failed.
    fn judged(&mut self, row: usize) -> Result<&mut Row, BadArgument> {
        match self.is {
            Use::Enriched | Use::Observed => self.rows.get_mut(row).ok_or(BadArgument),
            Use::Made | Use::Written => Err(BadArgument),
        }
    }
}

impl Lent for Table {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Value<'_> {
        match self.rows.get(row).and_then(|row| row.cells.get(&key)) {
            None => Value::Absent,
            Some(Cell::Null) => Value::Null,
            Some(Cell::Bool(value)) => Value::Bool(*value),
            Some(Cell::I64(number)) => Value::I64(*number),
            Some(Cell::F64(number)) => Value::F64(*number),
            Some(Cell::Text(text)) => Value::Str(text),
            Some(Cell::Json(text)) => Value::Json(text),
            Some(Cell::Time(ms)) => Value::Time(*ms),
        }
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        let row = self.rows.get(row).ok_or(BadArgument)?;
        to.extend(format!("{{\"n\":{}}}", row.n().unwrap_or_default()).bytes());
        Ok(())
    }

    fn set(&mut self, row: usize, key: abi::Key, value: Value<'_>) -> Result<(), BadArgument> {
        if !matches!(self.is, Use::Enriched | Use::Made) || !(1..=4).contains(&key) {
            return Err(BadArgument);
        }
        let cells = &mut self.rows.get_mut(row).ok_or(BadArgument)?.cells;
        let cell = match value {
            Value::Str(text) if key != 2 => Cell::Text(text.to_owned()),
            Value::Time(ms) if key == 2 => Cell::Time(ms),
            _ if key <= 2 => return Err(BadArgument),
            Value::Absent => {
                cells.remove(&key);
                return Ok(());
            }
            Value::Null => Cell::Null,
            Value::Bool(value) => Cell::Bool(value),
            Value::I64(number) => Cell::I64(number),
            Value::F64(number) => Cell::F64(number),
            Value::Json(text) => {
                serde_json::from_str::<serde_json::Value>(text).map_err(|_| BadArgument)?;
                Cell::Json(text.to_owned())
            }
            Value::Str(_) | Value::Time(_) => return Err(BadArgument),
        };
        cells.insert(key, cell);
        Ok(())
    }

    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        self.judged(row)?.is_dropped = true;
        Ok(())
    }

    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        self.judged(row)?.failed.get_or_insert_with(|| reason.to_owned());
        Ok(())
    }

    fn push_row(&mut self, parent: Option<&dyn Any>) -> Option<usize> {
        if self.is != Use::Made || self.rows.len() == self.most {
            return None;
        }
        let time = parent.map(|parent| parent.downcast_ref::<Row>().unwrap().cells[&2].clone());
        let cells = time.map(|time| (2, time)).into_iter().collect();
        self.rows.push(Row { cells, ..Row::default() });
        Some(self.rows.len() - 1)
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.rows.get(row).map(|row| row as &dyn Any)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        (self.is == Use::Written).then(|| Arc::new(self.clone()) as _)
    }
}
