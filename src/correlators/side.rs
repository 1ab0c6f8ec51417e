//! What `join` and `sequence` share: which events they are about, and what they take over of them.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::keys::{self, KeyFields, KeySettings};
use crate::component::BuildContext;
use crate::event::{Event, Exact, FieldPath, Fields, Key, Value};
use crate::failure::Failure;
use crate::problem::{Problem, Problems, did_you_mean};
use crate::script::{Condition, Premises, StateKey};

/// Which events are meant: those of a type, those that a condition is true of, or both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PickSettings {
    /// Their types. Any, if there are none; then there has to be a condition.
    #[serde(default)]
    pub on: Vec<String>,
    /// A Rhai expression over `event` that has to be true of them.
    pub when: Option<String>,
    /// What they are matched by: a field, or several. That of the stage, if there is none.
    pub key: Option<KeySettings>,
}

/// Picks events.
pub(super) struct Pick {
    types: Vec<Key>,
    condition: Option<Condition>,
    key: KeyFields,
    /// Where it stands in the settings, and where its key does.
    pointer: String,
    key_pointer: String,
}

impl Pick {
    /// Reads the settings at `pointer`; `key` is the stage's.
    pub(super) fn read(
        settings: &PickSettings,
        pointer: &str,
        key: &KeySettings,
        cx: &BuildContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        if settings.on.is_empty() && settings.when.is_none() {
            problems.push(
                cx.problem(pointer, "this takes any event").help("say which by `on:` or `when:`"),
            );
        }
        let condition = settings.when.as_ref().and_then(|text| {
            let pointer = format!("{pointer}/when");
            cx.script(&pointer, text)
                .map_err(Into::into)
                .and_then(|excerpt| Condition::compile(&excerpt))
                .map_err(|found| problems.extend(found.0))
                .ok()
        });
        let (key, key_pointer) = match &settings.key {
            Some(own) => {
                let pointer = format!("{pointer}/key");
                (KeyFields::read(own, &pointer, cx, problems), pointer)
            }
            // What is wrong with it is said once, where it stands.
            None => (KeyFields::read(key, "/key", cx, &mut Vec::new()), "/key".to_owned()),
        };
        let types = keys::types(&settings.on, &format!("{pointer}/on"), cx, problems);
        Self { types, condition, key, pointer: pointer.to_owned(), key_pointer }
    }

    /// The types that it is for; none for all.
    fn types(&self, premises: &Premises<'_>) -> Option<BTreeSet<String>> {
        let by_condition = self.condition.as_ref().and_then(Condition::types);
        match by_condition {
            Some(types) if self.types.is_empty() => premises.types_of(types),
            _ => premises.types_of(&self.types),
        }
    }

    /// What of it does not fit the events that come.
    fn misfits(&self, premises: &Premises<'_>) -> Vec<Problem> {
        let mut problems = premises.misspelt_at(&format!("{}/on", self.pointer), &self.types);
        let warnings = self.condition.iter().flat_map(|condition| &condition.warnings().0);
        problems.extend(warnings.cloned());
        let types = self.types(premises);
        problems.extend(self.key.unknown(types.as_ref(), &self.key_pointer, premises));
        problems
    }

    /// Whether an event is one of them.
    pub(super) fn takes(&mut self, event: &Event) -> Result<bool, Failure> {
        if !self.types.is_empty() && !self.types.contains(&event.event_type) {
            return Ok(false);
        }
        match &mut self.condition {
            None => Ok(true),
            // A condition borrows its event to the script.
            Some(condition) => condition.is_true_of(&mut event.clone()),
        }
    }

    /// The key of an event; none where a value of it is missing, since then it matches nothing.
    pub(super) fn key_of(&self, event: &Event) -> Option<StateKey> {
        let key = self.key.of(event);
        self.key.is_complete(&key).then_some(key)
    }

    /// How many fields its key has.
    pub(super) fn key_len(&self) -> usize {
        self.key.len()
    }
}

/// The payload of a derived event: fields of the events behind it, which have a name each.
pub(super) struct Select {
    /// The name in the payload, which event, and which of its fields.
    outputs: Vec<(Key, usize, usize)>,
    paths: Vec<Vec<FieldPath>>,
}

/// What a select takes over of one event. It is kept exactly between two runs.
#[derive(Clone, Debug)]
pub(super) struct Row(Box<[Value]>);

impl Select {
    /// Reads the setting `select:`, where the events have these names.
    pub(super) fn read(
        settings: &IndexMap<String, String>,
        names: &[&str],
        cx: &BuildContext<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut select =
            Self { outputs: Vec::new(), paths: names.iter().map(|_| Vec::new()).collect() };
        for (output, path) in settings {
            let pointer = format!("/select/{}", keys::escaped(output));
            let (name, field) = path.split_once('.').unwrap_or((path, ""));
            let Some(side) = names.iter().position(|known| *known == name) else {
                let known: Vec<String> =
                    names.iter().map(|name| format!("`{name}.FIELD`")).collect();
                let message = format!("`{path}` does not say of which event");
                let problem = cx.problem(&pointer, message);
                problems.push(match did_you_mean(name, names.iter().copied()) {
                    Some(meant) => problem.help(format!("did you mean `{meant}.{field}`?")),
                    None => problem.help(format!("write {}", known.join(" or "))),
                });
                continue;
            };
            let key = keys::interned(output, &pointer, cx, problems);
            if field.is_empty() {
                let problem = cx.problem(&pointer, format!("`{path}` is an event, and no field"));
                problems.push(problem.help(format!("name one of it: `{name}.payload.FIELD`")));
                continue;
            }
            let field = keys::field(field, &pointer, cx, problems);
            if let (Some(key), Some(field)) = (key, field) {
                select.outputs.push((key, side, select.paths[side].len()));
                select.paths[side].push(field);
            }
        }
        select
    }

    /// The names of the fields that it gives.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().map(|(output, ..)| output.as_str().to_owned())
    }

    /// What of the events that are picked and of what is taken over of them does not fit the events
    /// that come: of each place, once. The picks are those of its names, and others behind them.
    pub(super) fn misfits<'a>(
        &self,
        picks: impl IntoIterator<Item = &'a Pick>,
        premises: &Premises<'_>,
    ) -> Problems {
        let picks: Vec<&Pick> = picks.into_iter().collect();
        let mut found: Vec<Problem> =
            picks.iter().flat_map(|pick| pick.misfits(premises)).collect();
        for (output, side, place) in &self.outputs {
            let types = picks[*side].types(premises);
            let setting = format!("/select/{}", keys::escaped(output.as_str()));
            let field = &self.paths[*side][*place];
            found.extend(keys::unknown(field, types.as_ref(), &setting, premises));
        }
        // All picks may have the key of the stage.
        let mut problems = Problems::default();
        for problem in found {
            if !problems.0.iter().any(|told| told.place == problem.place) {
                problems.push(problem);
            }
        }
        problems
    }

    /// What is taken over of an event.
    pub(super) fn row(&self, side: usize, event: &Event) -> Row {
        Row(self.paths[side].iter().map(|path| path.value(event)).collect())
    }

    /// The payload, from a row for each of the events. Where an event is missing, its fields are
    /// null.
    pub(super) fn payload(&self, rows: &[Option<&Row>]) -> Fields {
        let value = |side: usize, place: usize| rows[side]?.0.get(place).cloned();
        let outputs = self.outputs.iter();
        outputs.map(|(key, side, place)| (*key, value(*side, *place).unwrap_or_default())).collect()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Exact))
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Vec::<Exact<Value>>::deserialize(deserializer)?;
        Ok(Self(values.into_iter().map(|Exact(value)| value).collect()))
    }
}
