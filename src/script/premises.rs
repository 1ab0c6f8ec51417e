//! What is known of the events that come to a rule, before any does.

use std::collections::BTreeSet;

use super::contract::misspelt_type;
use crate::event::Key;
use crate::problem::{Place, Problem};

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
        let is_unknown = |name: &&str| self.is_closed && !self.added.contains(*name);
        let names = on.iter().map(|key| key.as_str()).enumerate();
        names
            .filter(|(_, name)| is_unknown(name))
            .filter_map(|(index, name)| misspelt_type(name, (self.place)(&format!("/on/{index}"))))
            .collect()
    }
}
