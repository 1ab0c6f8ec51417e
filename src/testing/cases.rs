//! What `tests:` says, with its names resolved: which events enter where, and behind which stages
//! something is expected.

mod entering;

use std::collections::{BTreeMap, HashMap};

use super::checks::{Checks, Compiler};
use crate::event::Timestamp;
use crate::graph::Entries;
use crate::kind::Kind;
use crate::plan::{Plan, PlannedStage};
use crate::problem::{Place, Problem, Problems, did_you_mean};
use crate::spec::{ChaosSettings, ExpectedLetters, TestCase, list, pointer_to};

/// 2024-01-01T00:00:00Z, where neither the test nor the spec says when event time begins.
const NOW: i64 = 1_704_067_200_000;

/// How many stages are listed where a name is not known.
const LISTED_MAX: usize = 12;

/// A test that can run.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its JSON pointer in the spec.
    pub(super) pointer: String,
    /// When event time begins.
    pub(super) now: Timestamp,
    /// When it ends.
    pub(super) end: Timestamp,
    pub(super) input: Input,
    pub(super) watches: Vec<Watch>,
    pub(super) letters: ExpectedLetters,
    /// By the names of sinks.
    pub(super) faults: HashMap<String, ChaosSettings>,
}

/// What goes in.
pub(super) enum Input {
    Events(Entries),
    /// What a source makes, from a seed of its own perhaps.
    Source {
        stage: String,
        seed: Option<u64>,
    },
}

/// Something is expected behind a stage.
pub(super) struct Watch {
    pub(super) stage: String,
    /// The JSON pointer of what is expected.
    pub(super) pointer: String,
    pub(super) checks: Checks,
}

/// All tests of a plan that are sound, and everything that is wrong with the others.
pub(super) fn cases(plan: &Plan) -> (Vec<Case>, Problems) {
    let compiler = Compiler::new(plan);
    let mut resolver = Resolver { plan, compiler, problems: Problems::default() };
    let mut cases = Vec::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, case) in plan.spec.tests.iter().enumerate() {
        let pointer = format!("/tests/{place}");
        if let Some(first) = names.insert(&case.name, place) {
            let first = plan.document.place(&format!("/tests/{first}/name"));
            let problem = resolver.at(&format!("{pointer}/name"), "two tests have the same name");
            let help = first.map(|first| format!("the other one stands at {}", first.display()));
            resolver.problems.push(Problem { help, ..problem });
        }
        cases.extend(resolver.case(case, pointer));
    }
    let Resolver { compiler, mut problems, .. } = resolver;
    problems.append(compiler.into_problems());
    (cases, problems)
}

struct Resolver<'a> {
    plan: &'a Plan,
    compiler: Compiler,
    problems: Problems,
}

impl Resolver<'_> {
    fn at(&self, pointer: &str, message: impl Into<String>) -> Problem {
        Problem::error(message).at(self.plan.document.place(pointer))
    }

    fn case(&mut self, case: &TestCase, pointer: String) -> Option<Case> {
        let start = self.plan.spec.clock.start;
        let now = case.now.or(start).unwrap_or(Timestamp::from_millis(NOW));
        let entry = case.at.as_ref().map(|at| self.stage(at, &format!("{pointer}/at")));
        let is_known = !matches!(entry, Some(None));
        let entry = entry.flatten();
        // Where the input enters that is not known is told once.
        let input = if is_known { self.input(case, &pointer, now) } else { None };
        let watches = self.watches(case, &pointer, entry, is_known);
        let faults = self.faults(case, &pointer);
        let letters = format!("{pointer}/dead_letters");
        if case.expect.is_none() && !self.plan.document.contains(&letters) {
            let problem = self.at(&format!("{pointer}/name"), "the test expects nothing");
            self.problems
                .push(problem.help(
                    "say what comes out with `expect`, where nothing does with `expect: []`",
                ));
        }
        if let ExpectedLetters::Letters(expected) = &case.dead_letters {
            for (place, letter) in expected.iter().enumerate() {
                if let Some(stage) = &letter.stage {
                    self.stage(stage, &format!("{letters}/{place}/stage"));
                }
            }
        }
        let (input, end) = input?;
        let (name, letters) = (case.name.clone(), case.dead_letters.clone());
        Some(Case { name, pointer, now, end, input, watches, letters, faults })
    }

    /// A stage by its name.
    fn stage(&mut self, name: &str, pointer: &str) -> Option<usize> {
        self.stage_at(name, self.plan.document.place(pointer))
    }

    /// A stage by its name, which stands there.
    fn stage_at(&mut self, name: &str, place: Option<Place>) -> Option<usize> {
        let found = self.plan.stages.iter().position(|stage| stage.name == name);
        if found.is_none() {
            let problem = Problem::error(format!("there is no stage `{name}`")).at(place);
            self.problems.push(problem.help(self.names_like(name, |_| true)));
        }
        found
    }

    /// The name that was meant, or those that there are.
    fn names_like(&self, name: &str, fits: impl Fn(&PlannedStage) -> bool) -> String {
        let stages = self.plan.stages.iter().filter(|stage| fits(stage));
        let names: Vec<&str> = stages.map(|stage| stage.name.as_str()).collect();
        match did_you_mean(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => "there is none".to_owned(),
            None if names.len() > LISTED_MAX => format!("there are {} others", names.len()),
            None if names.len() == 1 => format!("there is {}", list(&names, "and")),
            None => format!("there are {}", list(&names, "and")),
        }
    }

    fn names_of(&self, kind: Kind) -> Vec<&str> {
        let stages = self.plan.stages.iter().filter(|stage| stage.kind == kind);
        stages.map(|stage| stage.name.as_str()).collect()
    }

    /// Behind which stages something is expected, and what.
    fn watches(
        &mut self,
        case: &TestCase,
        pointer: &str,
        entry: Option<usize>,
        is_known: bool,
    ) -> Vec<Watch> {
        let Some(expect) = &case.expect else { return Vec::new() };
        let pointer = format!("{pointer}/expect");
        let stages = &self.plan.stages;
        let names_a_stage = |key: &String| stages.iter().any(|stage| stage.name == *key);
        let mut found = Vec::new();
        match expect.as_object() {
            Some(keys) if keys.keys().any(names_a_stage) || Compiler::is_by_stage(keys) => {
                for key in keys.keys() {
                    let place = pointer_to(&pointer, key);
                    let named = self.stage_at(key, self.plan.document.key_place(&place));
                    found.extend(named.map(|stage| (stage, place)));
                }
            }
            _ => match self.default_place(entry, &pointer, is_known) {
                Some(stage) => found.push((stage, pointer)),
                // What it says is checked all the same.
                None => _ = self.compiler.checks(&pointer),
            },
        }
        let mut watches = Vec::new();
        for (stage, pointer) in found {
            let checks = self.compiler.checks(&pointer);
            let stage = self.plan.stages[stage].name.clone();
            watches.push(Watch { stage, pointer, checks });
        }
        watches
    }

    /// Behind the stage at which the events enter; at the sink where that is the source.
    fn default_place(
        &mut self,
        entry: Option<usize>,
        pointer: &str,
        is_known: bool,
    ) -> Option<usize> {
        let stages = &self.plan.stages;
        if let Some(entry) = entry.filter(|entry| stages[*entry].kind != Kind::Source) {
            return Some(entry);
        }
        if !is_known {
            return None;
        }
        let sinks = self.names_of(Kind::Sink);
        if let [only] = sinks.as_slice() {
            return stages.iter().position(|stage| stage.name == *only);
        }
        let message = format!("the pipeline has {} sinks: where is it expected?", sinks.len());
        let example = sinks.first().copied().unwrap_or("out");
        let help = format!(
            "name the stage, as in `expect: {{ {example}: [...] }}`: {}, or any other",
            list(&sinks, "or")
        );
        let problem = Problem::error(message).at(self.plan.document.key_place(pointer)).help(help);
        self.problems.push(problem);
        None
    }

    fn faults(&mut self, case: &TestCase, pointer: &str) -> HashMap<String, ChaosSettings> {
        for name in case.faults.keys() {
            let place = pointer_to(&format!("{pointer}/faults"), name);
            let stage = self.plan.stages.iter().find(|stage| stage.name == *name);
            if stage.is_some_and(|stage| stage.kind == Kind::Sink) {
                continue;
            }
            let message = match stage {
                Some(_) => format!("`{name}` is no sink: faults are those of receivers"),
                None => format!("there is no sink `{name}`"),
            };
            let help = self.names_like(name, |stage| stage.kind == Kind::Sink);
            let problem = Problem::error(message).at(self.plan.document.key_place(&place));
            self.problems.push(problem.help(help));
        }
        case.faults.clone().into_iter().collect()
    }
}
