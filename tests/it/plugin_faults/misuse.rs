//! What plugins in C misuse in whole runs: it is answered, and costs no event but those that the
//! plugin gives up itself.

use super::{EVENTS, Trial, faults};

const PLUGINS: [&str; 4] = ["c_source", "c_enricher", "c_correlator", "c_sink"];

/// A plugin in C with a fault; not as its author, but as its host says what goes wrong.
fn trial(plugin: &'static str, with: &str) -> Trial {
    Trial::new(faults(false), plugin, &format!("{{ {with} }}"))
}

#[test]
fn a_plugin_that_misuses_all_it_is_given_costs_no_event() {
    for plugin in PLUGINS {
        for is_blocking in [false, true] {
            let outcome = Trial::new(faults(is_blocking), plugin, "{ fault: misuse }").exits(0);
            outcome.never_says("not as it should be").never_says("nobody says this");
            if plugin == "c_source" {
                assert_eq!(outcome.report["balanced"], true, "{}", outcome.label);
            } else {
                outcome.adds_up().loses_none();
            }
        }
    }
}

#[test]
fn threads_that_outlive_their_instance_cost_no_event() {
    for plugin in PLUGINS {
        let outcome = trial(plugin, "fault: lingers").exits(0);
        outcome.never_says("not as it should be");
        assert_eq!(outcome.report["balanced"], true, "{}", outcome.label);
    }
    let outcome = trial("c_sink", "fault: lingers, at: write").exits(0);
    outcome.never_says("not as it should be").adds_up();
}

#[test]
fn reasons_that_are_no_text_are_readable() {
    let outcome = trial("c_enricher", "fault: fails_garbled").exits(0);
    outcome.adds_up().loses_some().never_says("not as it should be");
    let said = |place: usize| outcome.dead[place]["reason"].as_str().unwrap();
    assert_eq!(
        (said(0), said(1)),
        ("c_enricher: again", "c_enricher: it gives no reason"),
        "{}",
        outcome.label
    );
    let outcome = trial("c_enricher", "fault: garbled, at: process, status: -8").exits(0);
    outcome.adds_up().takes_back().because("plugin", "c_enricher: broken \u{fffd}\u{fffd} text");
    assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
}

#[test]
fn events_without_a_type_are_told() {
    let outcome = trial("c_correlator", "fault: nameless").exits(0);
    outcome.adds_up().because("plugin", "the event in row 0 has no `event_type`");
    assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
    let outcome = trial("c_source", "fault: nameless").exits(1);
    outcome.says("has no `event_type`");
}

#[test]
fn a_source_that_gives_too_much_or_goes_back_in_time_gives_each_event_once() {
    for fault in ["floods", "backwards"] {
        let outcome = trial("c_source", &format!("fault: {fault}")).exits(0);
        outcome.never_says("not as it should be");
        assert_eq!(outcome.report["balanced"], true, "{}", outcome.label);
        let mut numbers: Vec<_> =
            outcome.out.iter().map(|event| event["payload"]["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>(), "{fault}\n{}", outcome.label);
    }
}

#[test]
fn a_correlator_that_asks_for_ticks_in_the_past_again_and_again_goes_on() {
    trial("c_correlator", "fault: ticks_ever").exits(0).adds_up().loses_none();
}

#[test]
fn statuses_that_mean_nothing_are_defects() {
    for status in [4711, -4711, 3] {
        let with = format!("fault: status, at: process, after: 3, status: {status}");
        let outcome = trial("c_enricher", &with).exits(0);
        outcome.adds_up().loses_some().because("plugin", "which means nothing there");
        let with = format!("fault: status, at: write, after: 3, status: {status}");
        let outcome = trial("c_sink", &with).exits(0);
        outcome.adds_up().loses_some().because("plugin", "which means nothing there");
        let with = format!("fault: status, at: poll, after: 1, status: {status}");
        if status != 3 {
            trial("c_source", &with).exits(1).says("which means nothing there");
        }
        let with = format!("fault: status, at: correlate, after: 3, status: {status}");
        trial("c_correlator", &with).exits(1).says("which means nothing there");
        let with = format!("fault: status, at: create, status: {status}");
        trial("c_enricher", &with).exits(2).says("which means nothing there");
    }
}

#[test]
fn a_source_that_gives_up_as_if_it_had_been_told_to_stop_fails_the_run() {
    let outcome = trial("c_source", "fault: status, at: poll, after: 1, status: -7").exits(1);
    outcome.says("it gave up as if it had been told to stop");
}

#[test]
fn a_write_that_is_never_answered_is_given_up_after_its_timeout() {
    let outcome = trial("c_sink", "fault: never").exits(1);
    outcome.adds_up();
    assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
}

#[test]
fn answers_too_many_are_told_and_change_nothing() {
    for (fault, told) in [
        ("twice", "completed what nobody waits for"),
        ("another", "completed what nobody waits for"),
        ("done_and_completes", ""),
        ("keeps", "retained and never released"),
    ] {
        let outcome = trial("c_sink", &format!("fault: {fault}")).exits(0);
        outcome.adds_up().loses_none().says(told);
    }
    // What a call returns counts, whatever it answered before.
    let outcome = trial("c_sink", "fault: fails_and_completes").exits(1);
    outcome.adds_up().because("rejected", "after all not");
    assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
}

#[test]
fn answers_that_make_no_sense_lose_nothing() {
    // It was given something else than it believes, so nothing of it counts as delivered.
    let outcome = trial("c_sink", "fault: refuses_oddly").exits(1);
    outcome.adds_up().because("unavailable", "it refused row");
    assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
    trial("c_sink", "fault: refuses_nothing").exits(0).adds_up().loses_none();
    let outcome = trial("c_sink", "fault: answers_without_a_size").exits(1);
    outcome.adds_up().because("rejected", "an outcome without a size");
    for status in [-4711, i32::MIN] {
        let outcome = trial("c_sink", &format!("fault: answers_oddly, status: {status}")).exits(1);
        outcome.adds_up().because("rejected", &format!("status {status}"));
        assert_eq!(outcome.dead.len(), EVENTS, "{}", outcome.label);
    }
}

#[test]
fn a_state_that_is_no_json_ends_the_run() {
    for plugin in ["c_source", "c_correlator"] {
        for with in ["fault: garbled, at: save, status: 0", "fault: no_json, at: save"] {
            let mut trial = trial(plugin, with);
            trial.more = "state: { path: state, interval: 20ms }\n".to_owned();
            trial.exits(1).says("`probe`");
        }
    }
}
