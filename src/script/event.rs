//! `event` in scripts: the event itself, swapped in for a call and out after it, never converted
//! as a whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString};
use rustc_hash::FxBuildHasher;

use super::values::{Names, ScriptResult, fields_from_rhai, from_rhai, map_to_rhai, to_rhai};
use crate::event::{
    EnvelopeError, EnvelopeKey, Event, EventChanges, Fields, Key, RECEIPT_CREATED, Text, Timestamp,
    Value,
};
use crate::problem::did_you_mean;

/// The names that a script may write after `event.`: the ten of the envelope, and event time in
/// milliseconds since 1970.
pub(super) const EVENT_PROPERTIES: [&str; 11] = [
    "event_type",
    "payload",
    "trace_id",
    "ingest_timestamp",
    "schema_version",
    "source",
    "correlation_id",
    "partition_key",
    "session_id",
    "parent_event_id",
    "time_ms",
];

/// The cell behind `event`: one per runner, and in it the event of the call.
struct Cell {
    event: Event,
    /// False where the event is only looked at: in a condition, in a correlator.
    writable: bool,
    changes: EventChanges,
    /// Event types as scripts compare them, so that reading one costs no allocation.
    types: HashMap<Key, ImmutableString, FxBuildHasher>,
    names: Names,
}

/// `event` in scripts.
#[derive(Clone)]
pub struct EventHandle(Arc<Mutex<Cell>>);

/// `event.payload` in scripts.
#[derive(Clone)]
pub(super) struct PayloadHandle(Arc<Mutex<Cell>>);

impl EventHandle {
    /// A cell for the events of one runner, which the script may change or not.
    pub fn new(writable: bool) -> Self {
        Self(Arc::new(Mutex::new(Cell {
            event: Event::new(RECEIPT_CREATED, Text::default(), Timestamp::default()),
            writable,
            changes: EventChanges::default(),
            types: HashMap::default(),
            names: Names::default(),
        })))
    }

    /// A cell with an event that is only looked at.
    pub(super) fn seen(event: Event) -> Self {
        let handle = Self::new(false);
        lock(&handle.0).event = event;
        handle
    }

    /// Exchanges the cell's event with `event`: called before and after a call.
    pub fn swap(&self, event: &mut Event) {
        std::mem::swap(&mut lock(&self.0).event, event);
    }

    /// Makes the changes of the call that ended final.
    pub fn keep_changes(&self) {
        lock(&self.0).changes.keep();
    }

    /// Takes the changes of the call that failed back.
    pub fn undo_changes(&self) {
        let Cell { event, changes, .. } = &mut *lock(&self.0);
        changes.undo(event);
    }

    /// Reads the event of the call.
    pub fn with_event<R>(&self, read: impl FnOnce(&Event) -> R) -> R {
        read(&lock(&self.0).event)
    }

    fn get(&self, field: EnvelopeKey) -> Dynamic {
        let cell = &mut *lock(&self.0);
        if field == EnvelopeKey::EventType {
            let key = cell.event.event_type;
            return cell.types.entry(key).or_insert_with(|| key.as_str().into()).clone().into();
        }
        to_rhai(&cell.event.envelope(field))
    }

    fn set(&self, field: EnvelopeKey, value: &Dynamic) -> ScriptResult<()> {
        let value = from_rhai(value)?;
        let Cell { event, changes, .. } = &mut *writable(&self.0)?;
        changes.set_envelope(event, field, value).map_err(refused)
    }

    fn time_ms(&self) -> i64 {
        lock(&self.0).event.time.as_millis()
    }

    fn set_time_ms(&self, millis: i64) -> ScriptResult<()> {
        if self.time_ms() == millis {
            return Ok(());
        }
        let Cell { event, changes, .. } = &mut *writable(&self.0)?;
        changes.set_time(event, Timestamp::from_millis(millis));
        Ok(())
    }

    fn set_payload(&self, value: &Dynamic) -> ScriptResult<()> {
        if let Some(payload) = value.read_lock::<PayloadHandle>() {
            // `event.payload.x = 1` ends with setting `event.payload` to itself.
            if Arc::ptr_eq(&payload.0, &self.0) {
                return Ok(());
            }
        }
        let fields = match value.as_map_ref() {
            Ok(map) => fields_from_rhai(&map)?,
            Err(found) => return Err(format!("`payload` is a map, not `{found}`").into()),
        };
        let Cell { event, changes, .. } = &mut *writable(&self.0)?;
        changes.replace(event, fields);
        Ok(())
    }
}

impl PayloadHandle {
    /// A copy of the payload.
    pub(super) fn fields(&self) -> Fields {
        lock(&self.0).event.payload.clone()
    }

    /// A name that exists nowhere is not in the payload either, and is not made by asking.
    fn get_by_name(&self, name: &str) -> Dynamic {
        let cell = lock(&self.0);
        let field = cell.event.payload.iter().find(|(key, _)| key.as_str() == name);
        field.map_or(Dynamic::UNIT, |(_, value)| to_rhai(value))
    }

    fn set_by_name(&self, name: &str, value: &Dynamic) -> ScriptResult<()> {
        let key = lock(&self.0).names.key(name)?;
        set(&self.0, key, value)
    }

    fn contains(&self, name: &str) -> bool {
        lock(&self.0).event.payload.iter().any(|(key, _)| key.as_str() == name)
    }

    fn remove(&self, name: &str) -> ScriptResult<Dynamic> {
        let Cell { event, changes, names, .. } = &mut *writable(&self.0)?;
        let removed = changes.remove(event, names.key(name)?);
        Ok(removed.as_ref().map_or(Dynamic::UNIT, to_rhai))
    }

    fn keys(&self) -> Array {
        lock(&self.0).event.payload.iter().map(|(key, _)| key.as_str().into()).collect()
    }
}

fn lock(cell: &Mutex<Cell>) -> MutexGuard<'_, Cell> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

fn writable(cell: &Mutex<Cell>) -> ScriptResult<MutexGuard<'_, Cell>> {
    let cell = lock(cell);
    if cell.writable {
        return Ok(cell);
    }
    Err("the event can only be read here; an enricher may change it".into())
}

/// Why a rule cannot set a key of the envelope.
#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_box_returns,
    reason = "the shapes that `map_err` and the interpreter ask for"
)]
pub(super) fn refused(error: EnvelopeError) -> Box<EvalAltResult> {
    error.message("`()`").into()
}

/// What is said about a name after `event.` that no envelope has.
pub(super) fn unknown_property(name: &str) -> (String, String) {
    let message = format!("an event has no field `{name}`");
    let help = match did_you_mean(name, EVENT_PROPERTIES) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("what is in the payload is read as `event.payload.{name}`"),
    };
    (message, help)
}

/// Teaches an engine what `event` is.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<EventHandle>("event");
    engine.register_type_with_name::<PayloadHandle>("payload");
    for (name, field) in EnvelopeKey::ALL {
        engine.register_get_set(
            name,
            move |event: &mut EventHandle| event.get(field),
            move |event: &mut EventHandle, value: Dynamic| event.set(field, &value),
        );
    }
    engine.register_get_set(
        "time_ms",
        |event: &mut EventHandle| event.time_ms(),
        |event: &mut EventHandle, millis: i64| event.set_time_ms(millis),
    );
    engine.register_get("payload", |event: &mut EventHandle| PayloadHandle(event.0.clone()));
    engine.register_set("payload", |event: &mut EventHandle, value: Dynamic| {
        event.set_payload(&value)
    });
    engine.register_indexer_get(|_: &mut EventHandle, name: ImmutableString| {
        unknown::<Dynamic>(&name)
    });
    engine.register_indexer_set(|_: &mut EventHandle, name: ImmutableString, _: Dynamic| {
        unknown::<()>(&name)
    });
    engine.register_fn("to_string", |event: &mut EventHandle| event.with_event(Event::to_json));
    engine.register_fn("to_debug", |event: &mut EventHandle| event.with_event(Event::to_json));

    engine.register_fn("format_time", |millis: i64| Timestamp::from_millis(millis).to_string());
    engine.register_fn("parse_time", |text: &str| -> ScriptResult<i64> {
        Ok(text.parse::<Timestamp>()?.as_millis())
    });

    engine.register_indexer_get(|payload: &mut PayloadHandle, name: ImmutableString| {
        payload.get_by_name(&name)
    });
    engine.register_indexer_set(
        |payload: &mut PayloadHandle, name: ImmutableString, value: Dynamic| {
            payload.set_by_name(&name, &value)
        },
    );
    engine
        .register_fn("contains", |payload: &mut PayloadHandle, name: &str| payload.contains(name));
    engine.register_fn("remove", |payload: &mut PayloadHandle, name: &str| payload.remove(name));
    engine.register_fn("keys", |payload: &mut PayloadHandle| payload.keys());
    engine.register_fn("len", |payload: &mut PayloadHandle| {
        lock(&payload.0).event.payload.len() as i64
    });
    engine.register_fn("to_map", |payload: &mut PayloadHandle| map_to_rhai(&payload.fields()));
    engine.register_fn("to_string", |payload: &mut PayloadHandle| json(payload));
    engine.register_fn("to_debug", |payload: &mut PayloadHandle| json(payload));
}

/// Makes the fields that a script names quick to get at: each a property with its key, where
/// others are looked up by name.
pub(super) fn register_field(engine: &mut Engine, name: &str, key: Key) {
    engine.register_get_set(
        name,
        move |payload: &mut PayloadHandle| get(&payload.0, key),
        move |payload: &mut PayloadHandle, value: Dynamic| set(&payload.0, key, &value),
    );
}

/// The same for `event.payload.name` that was made one property of the event.
pub(super) fn register_fused(engine: &mut Engine, property: &str, key: Key) {
    engine.register_get_set(
        property,
        move |event: &mut EventHandle| get(&event.0, key),
        move |event: &mut EventHandle, value: Dynamic| set(&event.0, key, &value),
    );
}

fn get(cell: &Mutex<Cell>, key: Key) -> Dynamic {
    lock(cell).event.payload.get(key).map_or(Dynamic::UNIT, to_rhai)
}

fn set(cell: &Mutex<Cell>, key: Key, value: &Dynamic) -> ScriptResult<()> {
    let value = from_rhai(value)?;
    // The interpreter writes back what a method was called on, changed or not.
    let reads_like = |field: &Value| field.reads_like(&value);
    if lock(cell).event.payload.get(key).is_some_and(reads_like) {
        return Ok(());
    }
    let Cell { event, changes, .. } = &mut *writable(cell)?;
    changes.set(event, key, value);
    Ok(())
}

fn json(payload: &PayloadHandle) -> String {
    serde_json::to_string(&payload.fields()).unwrap_or_default()
}

fn unknown<T>(name: &str) -> ScriptResult<T> {
    let (message, help) = unknown_property(name);
    Err(format!("{message}; {help}").into())
}
