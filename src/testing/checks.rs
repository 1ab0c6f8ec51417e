//! What is expected behind a stage: checked against its schema, predicates compiled.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::input::misspelt;
use crate::plan::Plan;
use crate::problem::{Problem, Problems, did_you_mean};
use crate::script::Condition;
use crate::spec::{Checker, CountBounds, Document, Expectation, ExpectedCount, ExpectedEvent};

/// The keys of an expectation that is no list.
const KEYS: [&str; 8] = ["where", "events", "exact", "count", "all", "any", "none", "snapshot"];

/// What has to be so behind a stage.
#[derive(Clone, Default)]
pub(super) struct Checks {
    /// Which events are looked at; all without one.
    pub(super) chosen: Option<Condition>,
    pub(super) lists: Vec<ExpectedList>,
    pub(super) count: Option<ExpectedCount>,
    pub(super) predicates: Vec<Predicate>,
    pub(super) snapshot: Option<PathBuf>,
}

/// Events that come out in this order.
#[derive(Clone)]
pub(super) struct ExpectedList {
    pub(super) pointer: String,
    pub(super) events: Vec<Value>,
    /// Whether payloads have no further fields.
    pub(super) exact: bool,
}

/// Something that events have to be.
#[derive(Clone)]
pub(super) struct Predicate {
    pub(super) quantifier: Quantifier,
    pub(super) condition: Condition,
}

/// Of which events it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Any,
    None,
}

impl Quantifier {
    /// Its key.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::None => "none",
        }
    }
}

/// Turns what is written into checks.
pub(super) struct Compiler {
    document: Document,
    /// The folder of the spec's snapshots.
    snapshots: PathBuf,
    taken: Vec<PathBuf>,
    list: Checker,
    mapping: Checker,
    problems: Problems,
}

impl Compiler {
    pub(super) fn new(plan: &Plan) -> Self {
        let document = plan.document.clone();
        let stem = Path::new(document.name()).file_stem().and_then(|stem| stem.to_str());
        let stem = stem.filter(|stem| !stem.starts_with('<'));
        let folder = stem.map_or_else(|| plan.name(), str::to_owned);
        let snapshots = document.directory().join("snapshots").join(folder);
        let checker = |schema: schemars::Schema| {
            Checker::new(schema.to_value()).expect("the schemas of our own types are sound")
        };
        Self {
            document,
            snapshots,
            taken: Vec::new(),
            list: checker(schemars::schema_for!(Vec<ExpectedEvent>)),
            mapping: checker(schemars::schema_for!(Expectation)),
            problems: Problems::default(),
        }
    }

    pub(super) fn into_problems(self) -> Problems {
        self.problems
    }

    /// Whether a mapping that names no stage was meant to: nothing in it is a key of checks, or near
    /// one, and everything in it looks like an expectation.
    pub(super) fn is_by_stage(keys: &Map<String, Value>) -> bool {
        let is_check = |key: &String| KEYS.contains(&&**key) || did_you_mean(key, KEYS).is_some();
        !keys.is_empty()
            && !keys.keys().any(is_check)
            && keys.values().all(|value| value.is_array() || value.is_object())
    }

    /// What stands at a pointer. What is wrong with it is noted.
    pub(super) fn checks(&mut self, pointer: &str) -> Checks {
        let value = self.document.value(pointer);
        let checker = if value.is_array() { &self.list } else { &self.mapping };
        let found = self.document.check(pointer, &Value::Null, checker, "key");
        if !found.is_empty() {
            self.problems.extend(found);
            return Checks::default();
        }
        // Variables may have been given another type.
        let value = self.document.value(pointer);
        if let Value::Array(events) = value {
            let list = self.list(pointer.to_owned(), events, false);
            return Checks { lists: vec![list], ..Checks::default() };
        }
        match serde_json::from_value::<Expectation>(value) {
            Ok(expectation) => self.mapping(pointer, expectation),
            Err(error) => {
                let problem = Problem::error(error.to_string());
                self.problems.push(problem.at(self.document.key_place(pointer)));
                Checks::default()
            }
        }
    }

    fn mapping(&mut self, pointer: &str, expectation: Expectation) -> Checks {
        let Expectation { r#where, events, exact, count, all, any, none, snapshot } = expectation;
        let mut checks = Checks { count, ..Checks::default() };
        if let Some(ExpectedCount::Between(CountBounds { min, max: Some(max) })) = count
            && min > max
        {
            let problem = Problem::error(format!("no number is at least {min} and at most {max}"));
            let place = self.document.place(&format!("{pointer}/count"));
            self.problems.push(problem.at(place).help("`min` is at most `max`"));
        }
        let says_nothing = events.is_none()
            && exact.is_none()
            && count.is_none()
            && [&all, &any, &none, &snapshot].iter().all(|check| check.is_none());
        if says_nothing {
            let problem = Problem::error("nothing is expected here");
            let help = "say `events`, `exact`, `count`, `all`, `any`, `none` or `snapshot`";
            self.problems.push(problem.at(self.document.key_place(pointer)).help(help));
        }
        checks.chosen = r#where.and_then(|text| self.condition(&format!("{pointer}/where"), &text));
        for (key, events, is_exact) in [("events", events, false), ("exact", exact, true)] {
            if let Some(events) = events {
                checks.lists.push(self.list(format!("{pointer}/{key}"), events, is_exact));
            }
        }
        let quantified = [(Quantifier::All, all), (Quantifier::Any, any), (Quantifier::None, none)];
        for (quantifier, text) in quantified {
            let place = format!("{pointer}/{}", quantifier.key());
            let condition = text.and_then(|text| self.condition(&place, &text));
            checks
                .predicates
                .extend(condition.map(|condition| Predicate { quantifier, condition }));
        }
        if let Some(name) = snapshot {
            let path = self.snapshots.join(format!("{name}.ndjson"));
            if self.taken.contains(&path) {
                let problem = Problem::error(format!("two snapshots are called `{name}`"));
                let place = self.document.place(&format!("{pointer}/snapshot"));
                self.problems.push(problem.at(place).help("each has a file of its own"));
            }
            self.taken.push(path.clone());
            checks.snapshot = Some(path);
        }
        checks
    }

    fn list(&mut self, pointer: String, events: Vec<Value>, exact: bool) -> ExpectedList {
        for (place, event) in events.iter().enumerate() {
            let Some(name) = event["event_type"].as_str() else { continue };
            let none = Map::new();
            let payload = event["payload"].as_object().unwrap_or(&none);
            let place_of = |key: &str| match format!("{pointer}/{place}/{key}") {
                field if key.starts_with("payload/") => self.document.key_place(&field),
                value => self.document.place(&value),
            };
            self.problems.append(misspelt(name, payload, &place_of));
        }
        ExpectedList { pointer, events, exact }
    }

    /// A predicate. That a type has no field of a name is told only where another is close: the
    /// stages that are tested may add fields.
    fn condition(&mut self, pointer: &str, text: &str) -> Option<Condition> {
        match Condition::compile(&self.document.excerpt(pointer, text)) {
            Ok(condition) => {
                let warnings = condition.warnings().0.iter();
                let meant = warnings.filter(|warning| warning.help.is_some()).cloned();
                self.problems.extend(meant);
                Some(condition)
            }
            Err(found) => {
                self.problems.append(found);
                None
            }
        }
    }
}
