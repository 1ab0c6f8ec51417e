//! `key:` of a correlator: what it remembers things per.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::emit::Links;
use crate::component::BuildContext;
use crate::event::{Event, FieldPath, Key, Text, Value};
use crate::problem::{Problem, did_you_mean};
use crate::script::{KeyPart, Premises, StateKey};

/// The keys of the envelope, to suggest from.
const ENVELOPE: [&str; 9] = [
    "event_type",
    "trace_id",
    "ingest_timestamp",
    "schema_version",
    "source",
    "correlation_id",
    "partition_key",
    "session_id",
    "parent_event_id",
];

/// One field, or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KeySettings {
    /// One field.
    One(String),
    /// Several fields.
    Many(Vec<String>),
}

impl Default for KeySettings {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// The fields that make up a key, ready to be read.
pub(super) struct KeyFields(Vec<FieldPath>);

impl KeyFields {
    #[cfg(test)]
    pub(super) fn new(fields: Vec<FieldPath>) -> Self {
        Self(fields)
    }

    /// Reads the setting at `pointer`; what is no field is added to the problems.
    pub(super) fn read(
        settings: &KeySettings,
        pointer: &str,
        cx: &BuildContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let paths = match settings {
            KeySettings::One(path) => std::slice::from_ref(path),
            KeySettings::Many(paths) => paths,
        };
        let is_list = matches!(settings, KeySettings::Many(_));
        let mut read = |(place, path): (usize, &String)| {
            let pointer = if is_list { format!("{pointer}/{place}") } else { pointer.to_owned() };
            field(path, &pointer, cx, problems)
        };
        Self(paths.iter().enumerate().filter_map(&mut read).collect())
    }

    /// The key of an event. A field that it does not have is null.
    pub(super) fn of(&self, event: &Event) -> StateKey {
        match self.0.as_slice() {
            [one] => StateKey::One(KeyPart::from(&one.value(event))),
            [] => StateKey::One(KeyPart::Null),
            many => {
                StateKey::Many(many.iter().map(|path| KeyPart::from(&path.value(event))).collect())
            }
        }
    }

    /// The fields at `setting` that no event of these types, or any, has.
    pub(super) fn unknown(
        &self,
        types: Option<&BTreeSet<String>>,
        setting: &str,
        premises: &Premises<'_>,
    ) -> Vec<Problem> {
        let fields = self.0.iter().enumerate();
        fields
            .filter_map(|(place, field)| {
                unknown(field, types, &format!("{setting}/{place}"), premises)
            })
            .collect()
    }

    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no value of a key is missing: events without one have nothing in common.
    pub(super) fn is_complete(&self, key: &StateKey) -> bool {
        !self.parts(key).contains(&KeyPart::Null)
    }

    /// The names under which the values of a key stand in an event that is derived per key: the
    /// last part of each path.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|path| {
            let path = path.to_string();
            path.rsplit('.').next().unwrap_or(&path).to_owned()
        })
    }

    /// The values of a key, in the order of its fields; none where all events have the same key.
    pub(super) fn parts<'a>(&self, key: &'a StateKey) -> &'a [KeyPart] {
        match key {
            _ if self.0.is_empty() => &[],
            StateKey::One(part) => std::slice::from_ref(part),
            StateKey::Many(parts) => parts,
        }
    }

    /// The links of what is derived per key: those that are in the key, and the key as it reads for
    /// a partition key.
    pub(super) fn links(&self, key: &StateKey) -> Links {
        let parts = self.parts(key);
        let mut links = Links::default();
        for (path, part) in self.0.iter().zip(parts) {
            let text = || (*part != KeyPart::Null).then(|| Text::from(text_of(part)));
            match path.to_string().as_str() {
                "partition_key" => links.partition_key = text(),
                "session_id" => links.session_id = text(),
                "correlation_id" => links.correlation_id = text(),
                _ => {}
            }
        }
        if links.partition_key.is_none() && !parts.is_empty() {
            let texts: Vec<String> = parts.iter().map(text_of).collect();
            links.partition_key = Some(Text::from(texts.join("_")));
        }
        links
    }
}

/// A value of a key in an event.
pub(super) fn value_of(part: &KeyPart) -> Value {
    match part {
        KeyPart::Null => Value::Null,
        KeyPart::Bool(value) => Value::Bool(*value),
        KeyPart::Int(number) => Value::Int(*number),
        KeyPart::Text(text) => Value::Text(text.clone()),
    }
}

fn text_of(part: &KeyPart) -> String {
    match part {
        KeyPart::Null => "null".to_owned(),
        KeyPart::Bool(value) => value.to_string(),
        KeyPart::Int(number) => number.to_string(),
        KeyPart::Text(text) => text.to_string(),
    }
}

/// What is wrong with a field at `setting` where no event of these types, or any, has it.
pub(super) fn unknown(
    field: &FieldPath,
    types: Option<&BTreeSet<String>>,
    setting: &str,
    premises: &Premises<'_>,
) -> Option<Problem> {
    premises.unknown_field(types, field.payload_field()?.as_str(), setting)
}

/// A field that a setting names.
pub(super) fn field(
    path: &str,
    pointer: &str,
    cx: &BuildContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<FieldPath> {
    let wrong = |error: String| {
        let problem = cx.problem(pointer, error);
        problems.push(match meant(path) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem,
        });
    };
    path.parse().map_err(wrong).ok()
}

/// The path that one is probably a slip of.
fn meant(path: &str) -> Option<String> {
    match path.split_once('.') {
        Some((first, field)) => {
            did_you_mean(first, ["payload"]).map(|payload| format!("{payload}.{field}"))
        }
        None => did_you_mean(path, ENVELOPE).map(str::to_owned),
    }
}

/// The event types that a setting names.
pub(super) fn types(
    names: &[String],
    pointer: &str,
    cx: &BuildContext<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Key> {
    names.iter().filter_map(|name| interned(name, pointer, cx, problems)).collect()
}

/// A name that a setting has: of an event type or a field.
pub(super) fn interned(
    name: &str,
    pointer: &str,
    cx: &BuildContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Key> {
    let problem = match Key::intern(name) {
        Ok(key) if !name.is_empty() => return Some(key),
        Ok(_) => "a name cannot be empty".to_owned(),
        Err(error) => error.to_string(),
    };
    problems.push(cx.problem(pointer, problem));
    None
}

/// A name as a JSON pointer writes it.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
