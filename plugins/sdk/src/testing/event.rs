//! Events as JSON trees: what they lack is filled in, and plugins read and change them by keys.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::{Map, Value as Json};

use super::enricher::Fate;
use super::host::TestHost;
use crate::abi;
use crate::host::{BadArgument, Lent};
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
const INHERITED: [&str; 6] =
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
    json: Json,
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
struct Path {
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

fn path_of(key: abi::Key) -> Option<&'static Path> {
    let paths = PATHS.read().unwrap_or_else(PoisonError::into_inner);
    paths.get((key as usize).checked_sub(1)?).copied()
}

impl Path {
    /// What stands there. The engine's paths lead into objects, and not into lists.
    fn get<'a>(&self, tree: &'a Tree) -> Value<'a> {
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

    fn set(&self, tree: &mut Tree, value: Value<'_>) -> Result<(), BadArgument> {
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
        Value::F64(number) => serde_json::Number::from_f64(number).ok_or(BadArgument)?.into(),
        Value::Str(text) => text.into(),
        Value::Json(text) => serde_json::from_str(text).map_err(|_| BadArgument)?,
        Value::Time(ms) => text_of_time(ms).into(),
    }))
}

/// What may be done with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// An enricher reads, changes, drops and fails.
    Rows,
    /// A correlator reads, drops and fails.
    Observed,
    /// A correlator derives events, at this time where they have no cause.
    Derived(i64),
    /// A source makes events, up to so many.
    Made(usize),
    /// A sink reads and keeps.
    Written,
}

/// A batch of events, as it is lent to a plugin.
pub(super) struct Batch {
    access: Access,
    host: Arc<TestHost>,
    rows: Vec<(Tree, Fate<()>)>,
    pub(super) watermark_ms: Option<i64>,
}

impl Batch {
    /// A batch of complete events.
    pub(super) fn new(access: Access, host: &Arc<TestHost>, events: Vec<Json>) -> Self {
        let rows = events.into_iter().map(|event| (Tree::new(event), Fate::Kept(()))).collect();
        Self { access, host: Arc::clone(host), rows, watermark_ms: None }
    }

    /// What became of each event.
    pub(super) fn fates(self) -> Vec<Fate<Json>> {
        let fates = self.rows.into_iter().map(|(tree, fate)| match fate {
            Fate::Kept(()) => Fate::Kept(tree.json),
            Fate::Dropped => Fate::Dropped,
            Fate::Failed(reason) => Fate::Failed(reason),
        });
        fates.collect()
    }

    pub(super) fn events(self) -> Vec<Json> {
        self.rows.into_iter().map(|(tree, _)| tree.json).collect()
    }

    /// Says what becomes of a row; the last word counts, but what failed stays failed for a
    /// correlator.
    fn judge(&mut self, row: usize, verdict: Fate<()>) -> Result<(), BadArgument> {
        let (_, fate) = self.rows.get_mut(row).ok_or(BadArgument)?;
        match self.access {
            Access::Observed if matches!(fate, Fate::Failed(_)) && verdict == Fate::Dropped => {}
            Access::Rows | Access::Observed => *fate = verdict,
            _ => return Err(BadArgument),
        }
        Ok(())
    }
}

impl Lent for Batch {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, row: usize, key: abi::Key) -> Value<'_> {
        let place = self.rows.get(row).zip(path_of(key));
        place.map_or(Value::Absent, |((tree, _), path)| path.get(tree))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        let (tree, _) = self.rows.get(row).ok_or(BadArgument)?;
        serde_json::to_writer(to, &tree.json).map_err(|_| BadArgument)
    }

    fn set(&mut self, row: usize, key: abi::Key, value: Value<'_>) -> Result<(), BadArgument> {
        if matches!(self.access, Access::Observed | Access::Written) {
            return Err(BadArgument);
        }
        let (tree, _) = self.rows.get_mut(row).ok_or(BadArgument)?;
        path_of(key).ok_or(BadArgument)?.set(tree, value)
    }

    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        self.judge(row, Fate::Dropped)
    }

    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        self.judge(row, Fate::Failed(reason.to_owned()))
    }

    fn push_row(&mut self, parent: Option<&dyn Any>) -> Option<usize> {
        let parent = parent.and_then(|parent| parent.downcast_ref::<Json>());
        let time_ms = match (self.access, parent) {
            (Access::Derived(now_ms), _) => now_ms,
            (Access::Made(most), None) if self.rows.len() < most => START_MS,
            _ => return None,
        };
        let mut event = complete(Map::new().into(), time_ms, &self.host).ok()?;
        if let Some(parent) = parent {
            for key in INHERITED {
                event[key] = parent[key].clone();
            }
            event["parent_event_id"] = parent["trace_id"].clone();
        }
        self.rows.push((Tree::new(event), Fate::Kept(())));
        Some(self.rows.len() - 1)
    }

    fn push_json(&mut self, json: &str) -> Result<(), BadArgument> {
        let event: Json = serde_json::from_str(json).map_err(|_| BadArgument)?;
        let has_room = matches!(self.access, Access::Made(most) if self.rows.len() < most);
        if !has_room || event.get("event_type").is_none() {
            return Err(BadArgument);
        }
        let event = complete(event, START_MS, &self.host).map_err(|_| BadArgument)?;
        self.rows.push((Tree::new(event), Fate::Kept(())));
        Ok(())
    }

    fn watermark(&mut self, ms: i64) -> Result<(), BadArgument> {
        if !matches!(self.access, Access::Made(_)) {
            return Err(BadArgument);
        }
        self.watermark_ms = self.watermark_ms.max(Some(ms));
        Ok(())
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.rows.get(row).map(|(tree, _)| &tree.json as &dyn Any)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        if self.access != Access::Written {
            return None;
        }
        let events = self.rows.iter().map(|(tree, _)| tree.json.clone()).collect();
        Some(Arc::new(Self::new(self.access, &self.host, events)))
    }
}
