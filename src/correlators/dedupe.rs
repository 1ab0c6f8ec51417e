//! `type: dedupe`: drops what was there before.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::{self, KeyFields, KeySettings};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key, Timestamp};
use crate::problem::Problems;
use crate::script::{KeptKey, KeyedState, Premises, StateKey};
use crate::spec::SpecDuration;
use crate::stage::{Correlator, Failure, Output, Stage, State, StateError};

/// Lets the first event of a key through, and drops those that repeat it within a time.
///
/// What is dropped is counted as filtered; the order of what is left stays. `within` is event time
/// from the event that was let through, to either side: with a key such as
/// `[event_type, payload.store_id]`, it lets one event a store and type through every so often.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeSettings {
    /// What makes an event a repeat of another one: a field, or several that are all the same.
    #[serde(default = "trace_id")]
    pub key: KeySettings,
    /// The event types that are looked at; others pass. All, if there are none.
    #[serde(default)]
    pub on: Vec<String>,
    /// How long repeats are dropped.
    #[serde(default = "ten_minutes")]
    pub within: SpecDuration,
    /// How many keys are remembered. Beyond it, the one not seen for the longest is forgotten, and
    /// a repeat of it passes. A key takes about 150 bytes.
    #[serde(default = "default_max_keys")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_keys: usize,
}

fn trace_id() -> KeySettings {
    KeySettings::One("trace_id".to_owned())
}

fn ten_minutes() -> SpecDuration {
    SpecDuration(std::time::Duration::from_mins(10))
}

fn default_max_keys() -> usize {
    100_000
}

impl Settings for DedupeSettings {
    const NAME: &'static str = "dedupe";
    const KIND: Kind = Kind::Correlator;
    const EXAMPLE: &'static str = r"
key: [event_type, payload.receipt_id]
on: [receipt_created, payment_processed]
within: 1h
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Vec::new();
        let key = KeyFields::read(&self.key, "/key", cx, &mut problems);
        let on = keys::types(&self.on, "/on", cx, &mut problems);
        if key.len() == 0 && problems.is_empty() {
            let problem = cx.problem("/key", "without a key, every event repeats the first one");
            problems.push(problem.help("name a field, such as `trace_id`"));
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let seen = KeyedState::new(self.max_keys, Some(self.within.0));
        Ok(Stage::Correlator(Box::new(Dedupe { seen, key, on, within: self.within })))
    }
}

/// The correlator. It has no timers: keys are forgotten when others come.
struct Dedupe {
    /// When an event of each key was last let through.
    seen: KeyedState<Passed>,
    key: KeyFields,
    on: Vec<Key>,
    within: SpecDuration,
}

/// When an event was let through, in milliseconds; never, for a key that is new.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Passed(Option<i64>);

impl Correlator for Dedupe {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        if !self.on.is_empty() && !self.on.contains(&event.event_type) {
            return Ok(());
        }
        let passed = self.seen.access(&self.key.of(event), event.time);
        let is_repeat = passed.0.is_some_and(|before| {
            let before = Timestamp::from_millis(before);
            event.time.since(before).max(before.since(event.time)) <= self.within.0
        });
        if is_repeat {
            out.drops = true;
        } else {
            // A straggler that passes does not make what follows the latest one pass.
            *passed = Passed(passed.0.max(Some(event.time.as_millis())));
        }
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        None
    }

    fn advance(&mut self, _: Timestamp, _: &mut Output) {}

    fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
        0
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(BTreeSet::new())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let types = premises.types_of(&self.on);
        let mut problems = Problems(premises.misspelt(&self.on));
        problems.extend(self.key.unknown(types.as_ref(), "/key", premises));
        problems
    }

    fn state(&self) -> State {
        State::of(&Memory {
            born: self.seen.born(),
            forgotten: self.seen.forgotten(),
            keys: self.seen.kept().map(|kept| kept.map(|passed| *passed)).collect(),
        })
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let Memory { born, forgotten, keys } = state.read::<Memory<StateKey>>()?;
        self.seen.restore(born, forgotten, keys).map_err(StateError)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory<K> {
    born: u64,
    forgotten: u64,
    keys: Vec<KeptKey<K, Passed>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::correlators::harness::{Run, event, problems};

    const BY_ID: &str = "key: payload.id\nwithin: 10s";

    fn scan(second: i64, id: i64) -> Event {
        event(second, "scan", &json!({ "id": id }))
    }

    fn dropped(with: &str, events: &[Event]) -> Vec<String> {
        let run = Run::of::<DedupeSettings>(with, events);
        let id =
            |id: &String| id.trim_start_matches("TR_17040672").trim_end_matches("_00001").into();
        run.dropped.iter().map(id).collect()
    }

    #[test]
    fn repeats_are_dropped_within_the_time_since_one_passed() {
        let events = [scan(0, 1), scan(5, 1), scan(5, 2), scan(10, 1), scan(11, 1), scan(21, 1)];
        assert_eq!(dropped(BY_ID, &events), ["05", "10", "21"], "11 is a first one again");
    }

    #[test]
    fn a_straggler_repeats_what_came_before_it() {
        assert_eq!(dropped(BY_ID, &[scan(20, 1), scan(12, 1), scan(9, 1)]), ["12"]);
    }

    #[test]
    fn a_straggler_that_passes_does_not_open_the_way_for_others() {
        assert_eq!(dropped(BY_ID, &[scan(20, 1), scan(9, 1), scan(25, 1)]), ["25"]);
    }

    #[test]
    fn without_settings_an_event_that_comes_twice_is_dropped() {
        let twice = [scan(0, 1), scan(0, 1), scan(1, 1)];
        assert_eq!(dropped("{}", &twice), ["00"]);
    }

    #[test]
    fn other_types_pass() {
        let with = "key: payload.id\non: [scan]";
        let other = event(1, "other", &json!({ "id": 1 }));
        assert_eq!(dropped(with, &[scan(0, 1), other.clone(), other]), [""; 0]);
    }

    #[test]
    fn beyond_the_bound_a_repeat_of_the_oldest_passes() {
        let with = "key: payload.id\nwithin: 1d\nmax_keys: 2";
        let events = [scan(0, 1), scan(1, 2), scan(2, 3), scan(3, 1), scan(4, 3)];
        assert_eq!(dropped(with, &events), ["04"]);
    }

    #[test]
    fn a_hundred_thousand_keys_are_forgotten_when_their_time_is_over() {
        let mut run = Run::new::<DedupeSettings>(BY_ID);
        for id in 0..100_000 {
            run.see(&scan(id / 10, id));
        }
        let state = serde_json::to_string(&run.correlator.state()).unwrap();
        assert!(state.len() < 10_000, "about a hundred and ten keys are remembered");
        assert!(run.dropped.is_empty());
    }

    #[test]
    fn no_key_is_a_mistake() {
        let said = problems::<DedupeSettings>("key: []");
        assert!(said.contains("without a key, every event repeats the first one"), "{said}");
    }

    proptest! {
        #[test]
        fn it_goes_on_with_the_same_repeats_wherever_it_was_stopped(
            steps in prop::collection::vec((0_i64..4, 0_i64..9, 0_i64..5), 1..100),
            max_keys in 1_usize..6,
            every in 1_usize..9,
        ) {
            let with = format!("{BY_ID}\nmax_keys: {max_keys}");
            let mut uncut = Run::new::<DedupeSettings>(&with);
            let mut cut = Run::new::<DedupeSettings>(&with);
            let mut now = 0;
            for (place, (step, behind, id)) in steps.into_iter().enumerate() {
                now += step;
                for run in [&mut uncut, &mut cut] {
                    run.see(&scan(now - behind, id));
                }
                if place % every == 0 {
                    cut.restart::<DedupeSettings>(&with);
                }
            }
            prop_assert_eq!(cut.all(), uncut.all());
        }
    }
}
