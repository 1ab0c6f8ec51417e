//! What a rule's calls come to: how many, how many failed, how long they take, how many keys are
//! held.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Stopwatch;
use crate::failure::Failure;

/// One call in so many is timed: asking the clock takes as long as a short rule does.
const TIMED_EACH: u64 = 64;

/// The figures of one rule. The stage enters them batch by batch, its account shows them; copies
/// are the same figures.
#[derive(Clone, Debug, Default)]
pub struct RuleFigures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicU64,
    errors: AtomicU64,
    operations: AtomicU64,
    timed_calls: AtomicU64,
    timed_nanoseconds: AtomicU64,
    keys: AtomicU64,
    keys_expired: AtomicU64,
    keys_evicted: AtomicU64,
    interpreted: Mutex<BTreeMap<String, Option<String>>>,
}

/// A rule's figures at one moment, of this run alone.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
pub struct RuleTally {
    /// Calls of the script's functions.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Steps of the interpreter, in all calls together; compiled calls take none.
    pub operations: u64,
    /// Seconds that all calls took together, from one call in 64: an estimate.
    pub seconds_estimated: f64,
    /// Keys that state is held for.
    pub keys: u64,
    /// Keys that were forgotten since they were not seen for `ttl`.
    pub keys_expired: u64,
    /// Keys that were forgotten since there were more than `max_keys`.
    pub keys_evicted: u64,
    /// The script's functions that are known to run compiled, with nothing beside them, or
    /// interpreted, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, Option<String>>,
}

impl RuleFigures {
    /// Notes that a function of the script runs compiled, or why it does not.
    pub fn note_function(&self, name: &str, interpreted_because: Option<&str>) {
        let mut functions = self.0.interpreted.lock().unwrap_or_else(PoisonError::into_inner);
        functions.insert(name.to_owned(), interpreted_because.map(str::to_owned));
    }

    /// Enters how many keys are held, and how many were forgotten in this run.
    pub fn enter_keys(&self, held: usize, expired: u64, evicted: u64) {
        self.0.keys.store(held as u64, Relaxed);
        self.0.keys_expired.store(expired, Relaxed);
        self.0.keys_evicted.store(evicted, Relaxed);
    }

    /// The figures of the instances of one rule, added up; none where there is no instance.
    pub fn tally(instances: &[Self]) -> Option<RuleTally> {
        let (first, _) = instances.split_first()?;
        let sum = |figure: fn(&Shared) -> &AtomicU64| {
            instances.iter().map(|figures| figure(&figures.0).load(Relaxed)).sum::<u64>()
        };
        let calls = sum(|shared| &shared.calls);
        let timed = sum(|shared| &shared.timed_calls).max(1);
        let timed_seconds = sum(|shared| &shared.timed_nanoseconds) as f64 * 1e-9;
        let functions = first.0.interpreted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some(RuleTally {
            calls,
            errors: sum(|shared| &shared.errors),
            operations: sum(|shared| &shared.operations),
            seconds_estimated: timed_seconds * calls as f64 / timed as f64,
            keys: sum(|shared| &shared.keys),
            keys_expired: sum(|shared| &shared.keys_expired),
            keys_evicted: sum(|shared| &shared.keys_evicted),
            functions,
        })
    }
}

/// Counts the calls of one instance of a rule, without a word to anyone until a batch is through.
#[derive(Debug, Default)]
pub struct Meter {
    figures: RuleFigures,
    /// All calls so far, which say whether the next one is timed.
    number: u64,
    calls: u64,
    errors: u64,
    operations: u64,
    timed_calls: u64,
    timed: Duration,
}

impl Meter {
    /// Where the counts are entered.
    pub fn figures(&self) -> RuleFigures {
        self.figures.clone()
    }

    /// Counts a call, which says how many operations it took, and times it if it is its turn.
    pub fn count<R>(
        &mut self,
        call: impl FnOnce() -> (Result<R, Failure>, u64),
    ) -> Result<R, Failure> {
        // The first call finds the script's functions, and stands for others only while alone.
        let is_timed = self.number == 0 || self.number % TIMED_EACH == 1;
        let watch = is_timed.then(Stopwatch::start);
        let (result, operations) = call();
        if let Some(watch) = watch {
            if self.number == 1 {
                (self.timed_calls, self.timed) = (0, Duration::ZERO);
                self.figures.0.timed_calls.store(0, Relaxed);
                self.figures.0.timed_nanoseconds.store(0, Relaxed);
            }
            self.timed_calls += 1;
            self.timed += watch.elapsed();
        }
        self.number += 1;
        self.calls += 1;
        self.errors += u64::from(result.is_err());
        self.operations += operations;
        result
    }

    /// Enters what was counted since the last time: a batch is through.
    pub fn enter(&mut self) {
        let shared = &self.figures.0;
        let add = |figure: &AtomicU64, count: &mut u64| {
            if *count > 0 {
                figure.fetch_add(std::mem::take(count), Relaxed);
            }
        };
        add(&shared.calls, &mut self.calls);
        add(&shared.errors, &mut self.errors);
        add(&shared.operations, &mut self.operations);
        add(&shared.timed_calls, &mut self.timed_calls);
        let mut nanoseconds = std::mem::take(&mut self.timed).as_nanos() as u64;
        add(&shared.timed_nanoseconds, &mut nanoseconds);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.enter();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Function, Runner, Sandbox, Script};
    use super::*;
    use crate::problem::{Excerpt, SourceText};

    const RUN: Function = Function { name: "run", parameters: &["fails"], required: true };

    fn runner() -> Runner {
        let text = "fn run(fails) { if fails { throw \"no\" } 1 + 1 }".to_owned();
        let source = Arc::new(SourceText { name: "x.rhai".to_owned(), text });
        let script = Script::compile(Excerpt::whole(source), Sandbox::new(0), &[RUN]);
        Runner::new(script.unwrap_or_else(|problems| panic!("{problems}")))
    }

    fn count(
        meter: &mut Meter,
        runner: &mut Runner,
        fails: bool,
    ) -> Result<rhai::Dynamic, Failure> {
        meter.count(|| (runner.call(RUN.name, (fails,)), runner.operations()))
    }

    #[test]
    fn calls_are_entered_when_a_batch_is_through_and_instances_add_up() {
        let (mut runner, mut meter, other) = (runner(), Meter::default(), RuleFigures::default());
        let figures = [meter.figures(), other.clone()];
        for number in 0..200 {
            let fails = number % 50 == 0;
            let result = count(&mut meter, &mut runner, fails);
            assert_eq!(result.is_err(), fails);
        }
        assert_eq!(RuleFigures::tally(&figures), Some(RuleTally::default()));
        meter.enter();
        figures[0].enter_keys(3, 1, 2);
        other.enter_keys(4, 0, 5);
        let tally = RuleFigures::tally(&figures).unwrap();
        assert_eq!((tally.calls, tally.errors), (200, 4));
        assert!(tally.operations >= 200 * 2, "{tally:?}");
        assert_eq!((tally.keys, tally.keys_expired, tally.keys_evicted), (7, 1, 7));
        // The calls number 1, 65, 129 and 193; not the first, which is slower than others.
        assert_eq!(figures[0].0.timed_calls.load(Relaxed), 4);
        assert!(tally.seconds_estimated > 0.0);
        meter.enter();
        assert_eq!(RuleFigures::tally(&figures).unwrap(), tally, "nothing is entered twice");
        assert_eq!(RuleFigures::tally(&[]), None);
    }

    #[test]
    fn a_rule_that_ends_in_the_middle_of_a_batch_has_entered_its_calls() {
        let (mut runner, mut meter) = (runner(), Meter::default());
        let figures = [meter.figures()];
        drop(count(&mut meter, &mut runner, false).unwrap());
        drop(meter);
        figures[0].note_function("run", Some("a loop"));
        let tally = RuleFigures::tally(&figures).unwrap();
        assert_eq!(tally.calls, 1);
        assert!(tally.seconds_estimated > 0.0, "the only call stands for itself");
        assert_eq!(tally.functions["run"].as_deref(), Some("a loop"));
    }
}
