//! What all rules share: which are on, which types the stream has, its time, and what was found.

use std::collections::BTreeMap;

use super::rules::{RULES, Rule, RuleSet};
use super::seen::Seen;
use crate::event::Text;
use crate::failure::Failure;
use crate::monitor::{Findings, Violations};
use crate::retail::EventType;

/// How long what a later event may refer to is kept, in milliseconds of event time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    /// Any event, a visit.
    pub(super) recent: i64,
    /// A receipt, until it has to be complete.
    pub(super) receipt: i64,
    /// An order, until it has to be complete.
    pub(super) order: i64,
    /// A reorder, until its stock has to be there, and a shipment.
    pub(super) delivery: i64,
}

/// The types of the stream, a bit for each.
#[derive(Clone, Copy, Debug)]
enum Types {
    /// Those that it was told to have.
    Told(u32),
    /// Those that came so far.
    Seen(u32),
}

pub(super) struct Watch {
    rules: RuleSet,
    types: Types,
    /// Whether the stream may refer to what was before its first event.
    joined_late: bool,
    /// Whether the event that breaks a rule is to fail.
    fails_events: bool,
    first_time: i64,
    pub(super) spans: Spans,
    /// The latest event time so far.
    pub(super) now: i64,
    failure: Option<Failure>,
    violations: BTreeMap<&'static str, Violations>,
    has_news: bool,
    unchecked: u64,
}

impl Watch {
    pub(super) fn new(rules: RuleSet, types: Option<u32>, spans: Spans) -> Self {
        Self {
            rules,
            types: types.map_or(Types::Seen(0), Types::Told),
            joined_late: false,
            fails_events: false,
            first_time: i64::MIN,
            spans,
            now: i64::MIN,
            failure: None,
            violations: BTreeMap::new(),
            has_news: false,
            unchecked: 0,
        }
    }

    pub(super) fn with_joined_late(self, joined_late: bool) -> Self {
        Self { joined_late, ..self }
    }

    pub(super) fn with_failing_events(self, fails_events: bool) -> Self {
        Self { fails_events, ..self }
    }

    pub(super) fn see_time(&mut self, time: i64) {
        if self.first_time == i64::MIN {
            self.first_time = time;
        }
        self.now = self.now.max(time);
    }

    pub(super) fn see_type(&mut self, event_type: EventType) {
        if let Types::Seen(types) = &mut self.types {
            *types |= bit(event_type);
        }
    }

    /// Whether the stream has this type, as far as is known.
    pub(super) fn has(&self, event_type: EventType) -> bool {
        self.has_all(bit(event_type))
    }

    /// Whether the stream has all of these types.
    pub(super) fn has_all(&self, types: u32) -> bool {
        let (Types::Told(has) | Types::Seen(has)) = self.types;
        has & types == types
    }

    pub(super) fn is_joined_late(&self) -> bool {
        self.joined_late
    }

    /// Whether what is not known, and would be kept this long, never was: not where it may have
    /// been before the stream was joined, or was forgotten.
    pub(super) fn never_was(&mut self, has_forgotten: bool, span: i64) -> bool {
        let may_be_older = self.joined_late && self.now.saturating_sub(self.first_time) <= span;
        self.unchecked += u64::from(has_forgotten || may_be_older);
        !has_forgotten && !may_be_older
    }

    /// Notes questions that cannot be answered.
    pub(super) fn leave_open(&mut self, questions: u64) {
        self.unchecked += questions;
    }

    /// A rule holds for an event, or is broken by it.
    pub(super) fn check(
        &mut self,
        rule: Rule,
        seen: &Seen<'_>,
        holds: bool,
        why: impl FnOnce() -> String,
    ) {
        if !holds {
            self.violate(rule, seen, why);
        }
    }

    /// An event breaks a rule.
    pub(super) fn violate(&mut self, rule: Rule, seen: &Seen<'_>, why: impl FnOnce() -> String) {
        if !self.rules.contains(rule) {
            return;
        }
        let name = rule.description().name;
        let fails = self.fails_events && self.failure.is_none();
        let is_first = self.count(name);
        if !fails && !is_first {
            return;
        }
        let why = why();
        if fails {
            self.failure = Some(Failure::new(name, why.clone()));
        }
        if is_first {
            self.keep_first(name, &seen.event.trace_id, why);
        }
    }

    /// What should have come after an event did not, and will not.
    pub(super) fn miss(&mut self, rule: Rule, trace_id: &Text, why: impl FnOnce() -> String) {
        let name = rule.description().name;
        if self.rules.contains(rule) && self.count(name) {
            self.keep_first(name, trace_id, why());
        }
    }

    /// An event whose fields cannot be read for its rules.
    pub(super) fn unreadable(&mut self, seen: &Seen<'_>) {
        self.violate(Rule::FieldsReadable, seen, || {
            format!("a field of this `{}` is missing or not of its type", seen.event.event_type)
        });
    }

    /// Why the event that was seen last has to go, if it has.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Enters what was found since the last time, in this many events.
    pub(super) fn report(&mut self, events: u64, findings: &mut Findings) {
        findings.events += events;
        findings.unchecked = self.unchecked;
        if std::mem::take(&mut self.has_news) {
            findings.violations.clone_from(&self.violations);
        }
    }

    /// Counts a violation; says whether it is the rule's first.
    fn count(&mut self, name: &'static str) -> bool {
        self.has_news = true;
        match self.violations.get_mut(name) {
            Some(violations) => {
                violations.count += 1;
                false
            }
            None => true,
        }
    }

    fn keep_first(&mut self, name: &'static str, trace_id: &Text, first_reason: String) {
        let first_trace_id = trace_id.to_string();
        self.violations.insert(name, Violations { count: 1, first_trace_id, first_reason });
    }
}

/// The bit of a type in a set of types.
pub(super) const fn bit(event_type: EventType) -> u32 {
    1 << event_type as u32
}

const _: () = assert!(EventType::COUNT <= 32 && RULES.len() <= 64);
