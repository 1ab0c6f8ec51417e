//! A host of one sink, over events as JSON: in place of an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use engine_plugin::host::{BadArgument, Context, Instance, Lent, exported};
use engine_plugin::{Level, MetricKind, Outcome, Sink, Value, abi, boundary};

/// A sink that was started.
pub(crate) struct Trial {
    pub(crate) sink: Instance,
    notes: Arc<Notes>,
    writes: u64,
}

/// What the sink told.
#[derive(Default)]
struct Notes {
    keys: Mutex<Vec<String>>,
    metrics: Mutex<Vec<(String, f64)>>,
    outcomes: Mutex<BTreeMap<u64, Outcome>>,
    answered: Condvar,
}

/// How long a test waits for something that has to happen; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

impl Trial {
    /// Makes the sink and starts it, or says why not.
    pub(crate) fn new<S: Sink>(settings: &serde_json::Value) -> Result<Self, String> {
        let mut trial = Self::made::<S>(settings)?;
        trial.sink.start().map_err(|failed| failed.reason)?;
        Ok(trial)
    }

    /// Makes the sink, and does not start it.
    pub(crate) fn made<S: Sink>(settings: &serde_json::Value) -> Result<Self, String> {
        let notes = Arc::new(Notes::default());
        let plugin = exported(boundary::sink::<S>("0.0.0")).map_err(|why| why.to_string())?;
        let made = plugin.create(notes.clone(), &settings.to_string());
        let sink = made.map_err(|failed| failed.reason)?;
        Ok(Self { sink, notes, writes: 0 })
    }

    /// Writes events, and waits for what became of them.
    pub(crate) fn write(&mut self, events: &[serde_json::Value]) -> Outcome {
        let token = self.begin(events);
        self.end(token)
    }

    /// Writes events; [`Trial::end`] waits for what became of them.
    pub(crate) fn begin(&mut self, events: &[serde_json::Value]) -> u64 {
        self.writes += 1;
        let mut batch = Batch { events: events.to_vec(), notes: self.notes.clone() };
        self.sink.write(&mut batch, self.writes).unwrap();
        self.writes
    }

    pub(crate) fn end(&self, token: u64) -> Outcome {
        let outcomes = self.notes.outcomes.lock().unwrap();
        let missing = |outcomes: &mut BTreeMap<_, _>| !outcomes.contains_key(&token);
        let waited = self.notes.answered.wait_timeout_while(outcomes, PATIENCE, missing);
        let (mut outcomes, _) = waited.unwrap();
        outcomes.remove(&token).expect("it never answered")
    }

    /// What a metric comes to.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.notes.metrics.lock().unwrap();
        metrics.iter().find(|(known, _)| known == name).unwrap().1 as u64
    }
}

impl Context for Notes {
    fn log(&self, _: Level, _: &str, _: &str) {}

    fn log_enabled(&self, _: Level) -> bool {
        false
    }

    fn metric(&self, _: MetricKind, name: &str, _: &str) -> Option<u32> {
        let mut metrics = self.metrics.lock().unwrap();
        metrics.push((name.to_owned(), 0.0));
        Some(metrics.len() as u32)
    }

    fn record(&self, metric: u32, value: f64) {
        self.metrics.lock().unwrap()[metric as usize - 1].1 += value;
    }

    fn setting(&self, _: &str) -> Value<'_> {
        Value::Absent
    }

    fn key(&self, path: &str) -> Option<abi::Key> {
        let is_payload = path.starts_with("payload.");
        if !is_payload && path.contains('.') || path == "nowhere" {
            return None;
        }
        let mut keys = self.keys.lock().unwrap();
        keys.push(path.to_owned());
        Some(keys.len() as abi::Key)
    }

    fn complete(&self, token: u64, outcome: Outcome) -> bool {
        let is_first = self.outcomes.lock().unwrap().insert(token, outcome).is_none();
        self.answered.notify_all();
        is_first
    }

    fn wake(&self) {}

    fn next_tick(&self, _: Option<i64>) {}

    fn now(&self) -> i64 {
        0
    }
}

struct Batch {
    events: Vec<serde_json::Value>,
    notes: Arc<Notes>,
}

impl Lent for Batch {
    fn len(&self) -> usize {
        self.events.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Value<'_> {
        let path = self.notes.keys.lock().unwrap()[key as usize - 1].clone();
        let value = self.events[row].pointer(&format!("/{}", path.replace('.', "/")));
        match value {
            None => Value::Absent,
            Some(serde_json::Value::Null) => Value::Null,
            Some(serde_json::Value::Bool(value)) => Value::Bool(*value),
            Some(serde_json::Value::String(text)) if path == "ingest_timestamp" => {
                Value::Time(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
            }
            Some(serde_json::Value::String(text)) => Value::Str(text),
            Some(serde_json::Value::Number(number)) => match number.as_i64() {
                Some(number) => Value::I64(number),
                None => Value::F64(number.as_f64().unwrap()),
            },
            // A test ends soon enough.
            Some(other) => Value::Json(Box::leak(other.to_string().into_boxed_str())),
        }
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        to.extend(self.events[row].to_string().bytes());
        Ok(())
    }
}
