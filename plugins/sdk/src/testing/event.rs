//! Events as JSON trees: what they lack is filled in, and plugins read and change them by keys.

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use serde_json::{Map, Value as Json};

use super::host::TestHost;
use crate::abi;
use crate::host::BadArgument;
use crate::value::Value;

/// The time of an event that has none, and the time now for a source: 2026-01-05T09:00:00Z, in milliseconds since 1970.
pub const START_MS: i64 = 1_767_603_600_000;

/// The keys of an envelope, in the order in which the engine writes them.
const ENVELOPE: [&str; 10] = [
    "event_type",
    "payload",
    "trace_id",
    TIME,
    "schema_version",
    "source",
    "correlation_id",
    "partition_key",
    "session_id",
    "parent_event_id",
];

/// What an event that another one caused has from it.
pub(super) const INHERITED: [&str; 6] =
    [TIME, "schema_version", "source", "correlation_id", "partition_key", "session_id"];

const TIME: &str = "ingest_timestamp";

/// Keys of the envelope that may be null.
fn is_link(key: &str) -> bool {
    matches!(key, "correlation_id" | "partition_key" | "session_id" | "parent_event_id")
}

/// An event with a whole envelope; or what is wrong with it.
pub(super) fn complete(given: Json, time_ms: i64, host: &TestHost) -> Result<Json, String> {
    let Json::Object(mut given) = given else {
        return Err(format!("an event is a JSON object, not `{given}`"));
    };
    let event: Map<_, _> = ENVELOPE
        .into_iter()
        .map(|key| {
            let value = given.remove(key).unwrap_or_else(|| match key {
                "event_type" => "test_event".into(),
                "payload" => Map::new().into(),
                "trace_id" => host.new_trace_id().into(),
                TIME => text_of_time(time_ms).into(),
                "schema_version" => "1.0".into(),
                "source" => "test".into(),
                _ => Json::Null,
            });
            let fits = match key {
                "payload" => value.is_object(),
                TIME => value.as_str().and_then(time_of_text).is_some(),
                _ => value.is_string() || (is_link(key) && value.is_null()),
            };
            fits.then(|| (key.to_owned(), value)).ok_or_else(|| format!("`{key}` does not fit"))
        })
        .collect::<Result<_, _>>()?;
    match given.keys().next() {
        Some(key) => Err(format!("`{key}` is no key of an event; is it one of the `payload`?")),
        None => Ok(event.into()),
    }
}

/// The time of a complete event.
pub(super) fn time_of(event: &Json) -> i64 {
    event[TIME].as_str().and_then(time_of_text).unwrap_or(START_MS)
}

fn time_of_text(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn text_of_time(ms: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
}

/// A JSON tree, and the texts of its lists and objects.
pub(super) struct Tree {
    pub(super) json: Json,
    /// By JSON pointer; made when one is asked for, forgotten with a change.
    texts: OnceLock<BTreeMap<String, String>>,
}

impl Tree {
    pub(super) fn new(json: Json) -> Self {
        Self { json, texts: OnceLock::new() }
    }

    /// What stands at a JSON pointer.
    pub(super) fn get(&self, pointer: &str) -> Value<'_> {
        match self.json.pointer(pointer) {
            None => Value::Absent,
            Some(Json::Null) => Value::Null,
            Some(Json::Bool(value)) => Value::Bool(*value),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(number) => Value::I64(number),
                None => Value::F64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Some(Json::String(text)) => Value::Str(text),
            Some(Json::Array(_) | Json::Object(_)) => {
                let texts = self.texts.get_or_init(|| texts_of(&self.json));
                texts.get(pointer).map_or(Value::Absent, |text| Value::Json(text))
            }
        }
    }
}

fn texts_of(json: &Json) -> BTreeMap<String, String> {
    fn visit(json: &Json, pointer: &str, texts: &mut BTreeMap<String, String>) {
        match json {
            Json::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    visit(item, &format!("{pointer}/{place}"), texts);
                }
            }
            Json::Object(fields) => {
                for (name, value) in fields {
                    visit(value, &below(pointer, name), texts);
                }
            }
            _ => return,
        }
        texts.insert(pointer.to_owned(), json.to_string());
    }
    let mut texts = BTreeMap::new();
    visit(json, "", &mut texts);
    texts
}

/// The pointer to a field of what a pointer leads to.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Where a key leads.
pub(super) struct Path {
    /// One key of the envelope, or `payload` and what is below it.
    names: Vec<String>,
    pointer: String,
}

/// Keys hold for the process, so they are shared by all tests of it.
static PATHS: RwLock<Vec<&'static Path>> = RwLock::new(Vec::new());

/// As many as the engine takes from outside.
const PATHS_MAX: usize = 1 << 16;

/// The number of a path, from 1.
pub(super) fn key_of(path: &str) -> Option<abi::Key> {
    let names: Vec<String> = path.split('.').map(str::to_owned).collect();
    let is_envelope = path != "payload" && ENVELOPE.contains(&path);
    let is_payload = names.len() > 1 && names[0] == "payload";
    if !(is_envelope || is_payload) || names.iter().any(String::is_empty) {
        return None;
    }
    let mut paths = PATHS.write().unwrap_or_else(PoisonError::into_inner);
    let known = paths.iter().position(|known| known.names == names);
    if known.is_none() && paths.len() == PATHS_MAX {
        return None;
    }
    let place = known.unwrap_or_else(|| {
        let pointer = names.iter().fold(String::new(), |pointer, name| below(&pointer, name));
        paths.push(Box::leak(Box::new(Path { names, pointer })));
        paths.len() - 1
    });
    Some(place as abi::Key + 1)
}

pub(super) fn path_of(key: abi::Key) -> Option<&'static Path> {
    let paths = PATHS.read().unwrap_or_else(PoisonError::into_inner);
    paths.get((key as usize).checked_sub(1)?).copied()
}

impl Path {
    /// What stands there. The engine's paths lead into objects, and not into lists.
    pub(super) fn get<'a>(&self, tree: &'a Tree) -> Value<'a> {
        let above = &self.names[..self.names.len() - 1];
        let parent = above.iter().try_fold(&tree.json, |json, name| json.as_object()?.get(name));
        match parent {
            Some(Json::Object(_)) => match tree.get(&self.pointer) {
                Value::Str(text) if self.names[0] == TIME => {
                    time_of_text(text).map_or(Value::Absent, Value::Time)
                }
                value => value,
            },
            _ => Value::Absent,
        }
    }

    pub(super) fn set(&self, tree: &mut Tree, value: Value<'_>) -> Result<(), BadArgument> {
        let (last, above) = self.names.split_last().ok_or(BadArgument)?;
        let value = match (self.names[0].as_str(), value) {
            (TIME, Value::Time(ms)) => Some(text_of_time(ms).into()),
            (TIME, Value::Str(text)) => {
                Some(text_of_time(time_of_text(text).ok_or(BadArgument)?).into())
            }
            ("payload", value) => json_of(value)?,
            (TIME, _) => return Err(BadArgument),
            (_, Value::Str(text)) => Some(text.into()),
            (key, Value::Null | Value::Absent) if is_link(key) => Some(Json::Null),
            _ => return Err(BadArgument),
        };
        tree.texts.take();
        let Some(value) = value else {
            let parent = above.iter().try_fold(&mut tree.json, |json, name| json.get_mut(name));
            parent.and_then(Json::as_object_mut).map(|fields| fields.shift_remove(last));
            return Ok(());
        };
        let mut object = &mut tree.json;
        for name in above {
            let fields = object.as_object_mut().ok_or(BadArgument)?;
            object = fields.entry(name.clone()).or_insert_with(|| Map::new().into());
        }
        object.as_object_mut().ok_or(BadArgument)?.insert(last.clone(), value);
        Ok(())
    }
}

/// A value of a payload; none takes it out.
fn json_of(value: Value<'_>) -> Result<Option<Json>, BadArgument> {
    Ok(Some(match value {
        Value::Absent => return Ok(None),
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::I64(number) => number.into(),
        // What is not finite becomes null, as it does when the engine writes it.
        Value::F64(number) => number.into(),
        Value::Str(text) => text.into(),
        Value::Json(text) => serde_json::from_str(text).map_err(|_| BadArgument)?,
        Value::Time(ms) => text_of_time(ms).into(),
    }))
}
