//! Between our values and Rhai's.

use std::collections::HashMap;

use rhai::{Dynamic, EvalAltResult, ImmutableString, Map};
use rustc_hash::FxBuildHasher;

use super::event::PayloadHandle;
use super::{EventHandle, OutputHandle, StateHandle};
use crate::event::{Fields, Key, Text, Value};

/// How deep what a script makes may nest, as in JSON that is read.
const DEPTH_MAX: usize = 64;
/// How many values, nested ones included, a script may set at once.
const VALUES_MAX: usize = 10_000;

/// What a function for scripts returns.
pub(super) type ScriptResult<T> = Result<T, Box<EvalAltResult>>;

/// Keys for names that scripts compute, remembered so that the table of names is asked once.
#[derive(Default)]
pub(super) struct Names(HashMap<&'static str, Key, FxBuildHasher>);

impl Names {
    /// The key of a name; an error when the process holds too many.
    pub(super) fn key(&mut self, name: &str) -> ScriptResult<Key> {
        if let Some(key) = self.0.get(name) {
            return Ok(*key);
        }
        let key = Key::intern(name).map_err(|error| error.to_string())?;
        self.0.insert(key.as_str(), key);
        Ok(key)
    }
}

/// A text as a script sees it.
pub(super) fn text_to_rhai(text: &Text) -> Dynamic {
    text.with_str(|text| ImmutableString::from(text).into())
}

/// A value as a script sees it: a copy, instants as text.
pub(super) fn to_rhai(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text_to_rhai(text),
        Value::Time(time) => time.to_string().into(),
        Value::List(values) => Dynamic::from_array(values.iter().map(to_rhai).collect()),
        Value::Map(fields) => Dynamic::from_map(map_to_rhai(fields)),
    }
}

/// Fields as a map.
pub(super) fn map_to_rhai(fields: &Fields) -> Map {
    fields.iter().map(|(key, value)| (key.as_str().into(), to_rhai(value))).collect()
}

/// What a script set, as our value.
pub(super) fn from_rhai(value: &Dynamic) -> ScriptResult<Value> {
    convert(value, DEPTH_MAX, &mut VALUES_MAX.clone())
}

/// A script's map as fields, in the order of their names.
pub(super) fn fields_from_rhai(map: &Map) -> ScriptResult<Fields> {
    convert_map(map, DEPTH_MAX, &mut VALUES_MAX.clone())
}

fn convert(value: &Dynamic, depth: usize, left: &mut usize) -> ScriptResult<Value> {
    if depth == 0 {
        return Err(format!("a value may nest {DEPTH_MAX} deep, not deeper").into());
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| format!("a value may have {VALUES_MAX} parts, not more"))?;
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.as_bool() {
        return Ok(Value::Bool(value));
    }
    if let Ok(number) = value.as_int() {
        return Ok(Value::Int(number));
    }
    if let Ok(number) = value.as_float() {
        return Ok(Value::Float(number));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Value::Text(Text::from(text.as_str())));
    }
    if let Ok(letter) = value.as_char() {
        return Ok(Value::Text(Text::from(letter.to_string())));
    }
    if let Ok(values) = value.as_array_ref() {
        let values: ScriptResult<Vec<Value>> =
            values.iter().map(|value| convert(value, depth - 1, left)).collect();
        return Ok(values?.into());
    }
    if let Ok(map) = value.as_map_ref() {
        return Ok(Value::Map(Box::new(convert_map(&map, depth - 1, left)?)));
    }
    if let Some(payload) = value.read_lock::<PayloadHandle>() {
        return Ok(Value::Map(Box::new(payload.fields())));
    }
    let name = if value.is::<EventHandle>() {
        "event"
    } else if value.is::<StateHandle>() {
        "state"
    } else if value.is::<OutputHandle>() {
        "out"
    } else {
        value.type_name()
    };
    Err(format!("a value of type `{name}` cannot be kept").into())
}

fn convert_map(map: &Map, depth: usize, left: &mut usize) -> ScriptResult<Fields> {
    let mut fields = Fields::with_capacity(map.len());
    for (name, value) in map {
        let key = Key::intern(name).map_err(|error| error.to_string())?;
        // The names of a map are unique, so there is nothing to look for.
        fields.push(key, convert(value, depth, left)?);
    }
    Ok(fields)
}
