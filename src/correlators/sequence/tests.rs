//! Sequences at the level of the trait: steps, absence, stragglers, and going on from a state.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::correlators::harness::{Run, at, event, problems};
use crate::event::Text;

/// Declined, declined again, then approved.
const FRAUD: &str = "key: payload.card
steps:
  first: { on: [pay], when: event.payload.ok == false }
  again: { on: [pay], when: event.payload.ok == false }
  then: { on: [pay], when: event.payload.ok }
within: 10s
emit: suspicious
select: { card: first.payload.card, tried: first.ingest_timestamp, again: again.ingest_timestamp }";

/// Came in, and did not buy.
const ABANDONED: &str = "key: payload.visit
steps: { entered: { on: [enter] } }
absent: { on: [buy] }
within: 30s
emit: abandoned
select: { visit: entered.payload.visit }";

fn pay(second: i64, card: i64, ok: bool) -> Event {
    event(second, "pay", &json!({ "card": card, "ok": ok }))
}

fn enter(second: i64, visit: i64) -> Event {
    event(second, "enter", &json!({ "visit": visit }))
}

fn buy(second: i64, visit: i64) -> Event {
    event(second, "buy", &json!({ "visit": visit }))
}

fn run(with: &str, events: &[Event]) -> Run {
    Run::of::<SequenceSettings>(with, events)
}

#[test]
fn steps_follow_each_other_per_key_with_others_between() {
    let events = [
        pay(0, 1, false),
        pay(1, 2, false),
        pay(1, 1, true),
        pay(2, 1, false),
        pay(3, 1, false),
        pay(10, 1, true),
        pay(10, 2, true),
    ];
    let run = run(FRAUD, &events);
    assert_eq!(
        run.said(),
        [r#"10 suspicious {"card":1,"tried":"00:00.000Z","again":"00:02.000Z"}"#],
        "the last instant of the time belongs to it"
    );
    assert_eq!(run.out.events[0].parent_event_id, Some(Text::from("TR_1704067210_00001")));
}

#[test]
fn a_sequence_that_takes_too_long_is_forgotten() {
    let mut run = run(FRAUD, &[pay(0, 1, false), pay(5, 1, false), pay(11, 1, true)]);
    run.pass(at(3600));
    assert_eq!(run.said(), [""; 0]);
    assert_eq!(run.correlator.next_timer(), None, "nothing is kept");
}

#[test]
fn after_it_is_complete_another_one_begins() {
    let round = |second| [pay(second, 1, false), pay(second, 1, false), pay(second, 1, true)];
    assert_eq!(run(FRAUD, &[round(0), round(1)].concat()).said().len(), 2);
}

#[test]
fn what_does_not_come_in_time_is_told_at_the_end_of_it() {
    let events = [enter(0, 1), enter(1, 2), enter(2, 1), buy(20, 2), buy(31, 1)];
    let run = run(ABANDONED, &events);
    assert_eq!(run.said(), [r#"30 abandoned {"visit":1}"#], "since the first time it came in");
    let told = &run.out.events[0];
    assert_eq!(told.parent_event_id, Some(Text::from("TR_1704067200_00001")));
    assert_eq!(told.time, at(30));
}

#[test]
fn what_comes_at_the_last_instant_has_come() {
    assert_eq!(run(ABANDONED, &[enter(0, 1), buy(30, 1), buy(60, 1)]).said(), [""; 0]);
}

#[test]
fn a_sequence_may_begin_anew_when_its_first_step_is_repeated() {
    let with = format!("{ABANDONED}\nrestart: true");
    let mut run = run(&with, &[enter(0, 1), enter(20, 1), enter(19, 1)]);
    run.pass(at(3600));
    assert_eq!(run.said(), [r#"50 abandoned {"visit":1}"#]);
}

#[test]
fn silence_is_a_beat_that_no_beat_follows() {
    let with = "key: payload.visit\nsteps: { beat: { on: [enter] } }\nabsent: { on: [enter] }
within: 10s\nemit: silent\nselect: { since: beat.ingest_timestamp }";
    let mut run = run(with, &[enter(0, 1), enter(9, 1), enter(25, 1)]);
    run.pass(at(3600));
    let silent = [r#"19 silent {"since":"00:09.000Z"}"#, r#"35 silent {"since":"00:25.000Z"}"#];
    assert_eq!(run.said(), silent);
}

#[test]
fn what_is_waited_for_at_the_end_is_counted() {
    let mut waiting = run(ABANDONED, &[enter(0, 1), enter(1, 2), buy(2, 2)]);
    assert_eq!(waiting.correlator.drain(at(3), &mut waiting.out), 1);
    let mut half = run(FRAUD, &[pay(0, 1, false)]);
    assert_eq!(half.correlator.drain(at(3), &mut half.out), 0, "nothing would have been told");
}

#[test]
fn stragglers_count_where_they_fit_in_time() {
    let with = "key: payload.visit\nsteps: { in: { on: [enter] }, out: { on: [buy] } }
within: 10s\nemit: bought\nselect: {}";
    let mut run = run(with, &[enter(20, 1), buy(19, 1), enter(9, 2), enter(12, 3), buy(15, 3)]);
    assert_eq!((run.late, run.said().len()), (1, 1), "the third visit");
    run.watermark(at(100));
    run.see(&enter(50, 4));
    assert_eq!(run.late, 2);
}

#[test]
fn an_event_without_a_key_is_part_of_nothing() {
    let keyless = event(0, "enter", &json!({}));
    assert_eq!(run(ABANDONED, &[keyless]).correlator.next_timer(), None);
}

#[test]
fn there_is_a_bound_on_what_is_under_way() {
    let with = format!("{ABANDONED}\nmax_keys: 2");
    let full = run(&with, &[enter(0, 1), enter(0, 2), enter(0, 3), buy(1, 1), enter(2, 3)]);
    assert_eq!(full.reasons(), ["there are as many sequences under way as `max_keys` allows"]);
}

#[test]
fn a_hundred_thousand_keys_leave_nothing_behind() {
    let mut run = Run::new::<SequenceSettings>(&format!("{ABANDONED}\nmax_keys: 500"));
    for visit in 0..100_000 {
        run.see(&enter(visit / 10, visit));
        run.see(&buy(visit / 10, visit));
    }
    run.pass(at(100_000));
    assert_eq!((run.reasons(), run.said()), (vec![], vec![]));
    assert!(serde_json::to_string(&run.correlator.state()).unwrap().len() < 200);
}

#[test]
fn a_condition_that_fails_changes_nothing() {
    let with = ABANDONED.replace("on: [buy]", "on: [buy], when: event.payload.visit");
    let mut run = run(&with, &[enter(0, 1), buy(1, 1)]);
    assert_eq!(run.out.failures.len(), 1);
    run.pass(at(30));
    assert_eq!(run.said().len(), 1);
}

#[test]
fn settings_that_contradict_each_other_are_told_all_at_once() {
    let with = "key: payload.x\nsteps: { a: { when: event.payload.a >, key: [] } }\nwithin: 1m
emit: c\nselect: { a: b.payload.x }";
    let said = problems::<SequenceSettings>(with);
    for problem in
        ["a sequence has at least two steps", "`b.payload.x` does not say of which event"]
    {
        assert!(said.contains(problem), "no {problem} in:\n{said}");
    }
    let with = "key: payload.x\nsteps: { a: { on: [a] }, b: { on: [b], key: [] } }\nwithin: 1m
emit: c\nselect: {}";
    let said = problems::<SequenceSettings>(with);
    assert!(said.contains("the keys of the steps have not as many fields"), "{said}");
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let good = run(FRAUD, &[pay(0, 1, false)]).correlator.state();
    let good = serde_json::to_string(&good).unwrap();
    let row = r#"[[1,"2024-01-01T00:00:00.000Z"]]"#;
    for (from, to) in [
        (row.to_owned(), "[]".to_owned()),
        (row.to_owned(), format!("[{}]", ["[1]"; 4].join(","))),
        ("\"timers_set\":1".to_owned(), "\"timers_set\":0".to_owned()),
    ] {
        assert!(good.contains(&from), "{from} in {good}");
        let state: State = serde_json::from_str(&good.replace(&from, &to)).unwrap();
        let mut other = Run::new::<SequenceSettings>(FRAUD).correlator;
        assert!(other.restore(&state).is_err(), "{to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_absence_is_told_once_for_each_visit_without_a_purchase(
        steps in prop::collection::vec((0_i64..10, any::<bool>(), 0_i64..5), 1..80),
    ) {
        let mut now = 0;
        let steps: Vec<(i64, bool, i64)> = steps
            .into_iter()
            .map(|(step, enters, visit)| { now += step; (now, enters, visit) })
            .collect();
        let made = |(second, enters, visit): &(i64, bool, i64)| {
            if *enters { enter(*second, *visit) } else { buy(*second, *visit) }
        };
        let events: Vec<Event> = steps.iter().map(made).collect();
        let mut run = run(ABANDONED, &events);
        run.pass(at(100_000));
        let mut expected = Vec::new();
        for visit in 0..5 {
            let of_visit: Vec<_> = steps.iter().filter(|step| step.2 == visit).collect();
            let mut begun: Option<i64> = None;
            for (second, enters, _) in of_visit {
                if let Some(due) = begun.map(|begun| begun + 30).filter(|due| due < second) {
                    expected.push((due, visit));
                    begun = None;
                }
                begun = if *enters { begun.or(Some(*second)) } else { None };
            }
            expected.extend(begun.map(|begun| (begun + 30, visit)));
        }
        let name = Key::intern("visit").unwrap();
        let mut told: Vec<(i64, i64)> = run.out.events.iter().map(|event| {
            let visit = event.payload.get(name).unwrap().as_i64().unwrap();
            (event.time.since(at(0)).as_secs() as i64, visit)
        }).collect();
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn it_goes_on_with_the_same_sequences_wherever_it_was_stopped(
        steps in prop::collection::vec((0_i64..5, 0_i64..12, any::<bool>(), 0_i64..4), 1..80),
        every in 5_usize..20,
        restart in any::<bool>(),
    ) {
        let absent = format!("{ABANDONED}\nrestart: {restart}\nmax_keys: 3");
        let fraud = format!("{FRAUD}\nrestart: {restart}\nmax_keys: 3");
        for with in [&absent, &fraud] {
            let (mut uncut, mut cut) = (run(with, &[]), run(with, &[]));
            let mut now = 0;
            for (place, (step, behind, kind, key)) in steps.iter().enumerate() {
                now += step;
                let second = now - behind;
                let event = match (with == &fraud, kind) {
                    (true, _) => pay(second, *key, *kind),
                    (_, true) => enter(second, *key),
                    (_, false) => buy(second, *key),
                };
                uncut.see(&event);
                cut.see(&event);
                if place % every == 0 { cut.restart::<SequenceSettings>(with); }
            }
            for run in [&mut uncut, &mut cut] { run.pass(at(now + 10)); }
            prop_assert_eq!(cut.all(), uncut.all());
        }
    }
}
