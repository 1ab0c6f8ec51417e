//! What is known of the events that come to a rule, before any does.

use std::collections::BTreeSet;

use super::contract::{close_field, has_field, known_types, misspelt_type, names, unknown_field};
use crate::event::Key;
use crate::problem::{Place, Problem, Severity};
use crate::retail::EventType;

/// What a rule is tried out with.
pub struct Premises<'a> {
    /// The types that `when:` lets in; none for all.
    pub types: Option<BTreeSet<String>>,
    /// Names that other stages may add to payloads or give to events of their own.
    pub added: BTreeSet<String>,
    /// Whether all events are those of the contract, but for what is added: no source reads what
    /// others have written, and no stage adds names that are not known.
    pub is_closed: bool,
    /// The place of one of the rule's settings, such as `/on`.
    pub place: &'a dyn Fn(&str) -> Option<Place>,
}

impl Premises<'_> {
    /// The types that a rule is for which names these itself, or all.
    pub fn types_of(&self, on: &[Key]) -> Option<BTreeSet<String>> {
        let own: BTreeSet<String> = on.iter().map(|key| key.as_str().to_owned()).collect();
        match &self.types {
            None if own.is_empty() => None,
            None => Some(own),
            Some(types) if own.is_empty() => Some(types.clone()),
            Some(types) => Some(types & &own),
        }
    }

    /// The names of `on:` that are probably misspelt.
    pub fn misspelt(&self, on: &[Key]) -> Vec<Problem> {
        self.misspelt_at("/on", on)
    }

    /// The names of a setting that are probably misspelt.
    pub fn misspelt_at(&self, setting: &str, on: &[Key]) -> Vec<Problem> {
        let is_unknown = |name: &&str| self.is_closed && !self.added.contains(*name);
        let names = on.iter().map(|key| key.as_str()).enumerate();
        names
            .filter(|(_, name)| is_unknown(name))
            .filter_map(|(index, name)| {
                misspelt_type(name, (self.place)(&format!("{setting}/{index}")))
            })
            .collect()
    }

    /// A setting names a field of payloads: what is wrong where events of these types, or any, have
    /// none of that name. The same holds as for scripts.
    pub fn unknown_field(
        &self,
        types: Option<&BTreeSet<String>>,
        name: &str,
        setting: &str,
    ) -> Option<Problem> {
        let read = Read { name, is_pinned: types.is_some(), is_optional: false };
        self.absent_field(&types_or_all(types), &read, (self.place)(setting))
    }

    /// A field is read that no event of the types has. It is an error where the name is a slip and
    /// nobody else can have added such a field.
    pub(super) fn absent_field(
        &self,
        types: &[EventType],
        read: &Read<'_>,
        place: Option<Place>,
    ) -> Option<Problem> {
        let Read { name, is_pinned, is_optional } = *read;
        let is_known = types.iter().any(|known| has_field(*known, name));
        if types.is_empty() || is_known || self.added.contains(name) {
            return None;
        }
        match (close_field(types, name), self.is_closed) {
            (Some(_), is_closed) if is_pinned => {
                let severity = if is_closed { Severity::Error } else { Severity::Warning };
                Some(Problem { severity, ..unknown_field(types, name, place) })
            }
            (Some(close), true) => Some(
                Problem::warning(format!("no event has a field `{name}`"))
                    .at(place)
                    .help(format!("did you mean `{close}`?")),
            ),
            (None, true) if is_pinned && !is_optional => {
                let message = format!("{} never has a field `{name}`", names(types));
                let problem = Problem::warning(message).at(place);
                Some(problem.help("no other stage adds it, so it is never there"))
            }
            _ => None,
        }
    }
}

/// A field that is read.
pub(super) struct Read<'a> {
    pub(super) name: &'a str,
    /// Whether it is known of which types.
    pub(super) is_pinned: bool,
    /// Whether the reader says itself what happens where the field is not there.
    pub(super) is_optional: bool,
}

/// Types by their names, or all; none where one is not of the contract.
pub(super) fn types_or_all(names: Option<&BTreeSet<String>>) -> Vec<EventType> {
    match names {
        Some(names) => known_types(names).unwrap_or_default(),
        None => EventType::ALL.to_vec(),
    }
}
