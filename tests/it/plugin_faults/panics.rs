//! A panic, and an error of each sort, in any call of each kind of plugin.

use super::Trial;

const PANICS: [(&str, &str); 4] = [
    ("panic", "panics"),
    ("panic_number", "panicked: something that is no text"),
    ("panic_twice", "panicked: something that is no text"),
    ("panic_locked", "panics with a lock"),
];

const ERRORS: [(&str, &str); 4] = [
    ("config", "finds its settings wrong"),
    ("retry", "may do it later"),
    ("rejected", "never does it"),
    ("fatal", "cannot go on"),
];

#[test]
fn what_an_enricher_had_in_hand_becomes_dead_letters_and_the_rest_goes_through() {
    for (fault, says) in PANICS.into_iter().chain(ERRORS) {
        let trial = Trial::faulty("faulty_enricher", fault, "process", 3);
        let outcome = trial.exits(0);
        outcome
            .adds_up()
            .loses_some()
            .because("plugin", says)
            .because("plugin", "faulty_enricher: ");
        let is_enriched = |event: &serde_json::Value| event["payload"]["n"].as_i64() >= Some(0);
        assert!(outcome.out.iter().all(is_enriched), "{}", outcome.label);
    }
}

#[test]
fn a_plugin_that_panics_where_it_is_made_is_a_problem_of_its_spec() {
    for plugin in ["faulty_source", "faulty_enricher", "faulty_correlator", "faulty_sink"] {
        for (fault, says) in PANICS.into_iter().chain(ERRORS) {
            let mut trial = Trial::faulty(plugin, fault, "create", 0);
            trial.arguments = vec!["validate", "p.yaml"];
            let outcome = trial.exits(2);
            outcome.says(says).says(&format!("error: {plugin}: ")).says("p.yaml:");
            if fault.starts_with("panic") {
                outcome.says(&format!("this is a defect of the plugin `{plugin}`"));
            }
        }
    }
}

#[test]
fn a_plugin_that_does_not_start_ends_the_run_before_it_begins() {
    for plugin in ["faulty_source", "faulty_enricher", "faulty_correlator", "faulty_sink"] {
        for (fault, says) in [PANICS[0], ERRORS[0], ERRORS[1], ERRORS[3]] {
            let outcome = Trial::faulty(plugin, fault, "start", 0).exits(1);
            outcome.says(says).says("`probe`");
            assert!(outcome.out.is_empty() && outcome.dead.is_empty(), "{}", outcome.label);
        }
    }
}

#[test]
fn a_panic_while_a_plugin_is_dropped_or_stopped_or_in_its_own_thread_costs_no_event() {
    for plugin in ["faulty_enricher", "faulty_correlator", "faulty_sink"] {
        for (fault, at, says) in [
            ("panic", "destroy", "destroy panics"),
            ("panic_twice", "destroy", ""),
            ("panic", "on_stop", "on_stop panics"),
            ("panic_thread", "start", "a thread ended: true"),
        ] {
            let outcome = Trial::faulty(plugin, fault, at, 0).exits(0);
            outcome.adds_up().loses_none().says(says);
        }
    }
}

#[test]
fn events_that_a_correlator_refuses_become_dead_letters_and_a_lost_one_ends_the_run() {
    for (fault, says) in [ERRORS[0], ERRORS[1], ERRORS[2]] {
        let outcome = Trial::faulty("faulty_correlator", fault, "correlate", 600).exits(0);
        outcome.adds_up().loses_some().because("plugin", says);
        let derived = outcome.out.iter().filter(|event| event["event_type"] == "probe_seen");
        assert_eq!(derived.count(), 600, "{}", outcome.label);
    }
    for (fault, says) in PANICS.into_iter().chain([ERRORS[3]]) {
        let outcome = Trial::faulty("faulty_correlator", fault, "correlate", 600).exits(1);
        outcome.says(says).says("`probe`");
    }
}

#[test]
fn a_tick_or_a_drain_that_fails_is_counted_and_one_that_loses_the_instance_ends_the_run() {
    for at in ["tick", "drain"] {
        for (fault, _) in [ERRORS[0], ERRORS[1], ERRORS[2]] {
            let outcome = Trial::faulty("faulty_correlator", fault, at, 0).exits(0);
            outcome.adds_up().loses_none();
            let failures = outcome.report["statistics"]["error_counts"].clone();
            assert!(failures.to_string().contains("plugin"), "{failures}\n{}", outcome.label);
        }
        for (fault, says) in PANICS.into_iter().chain([ERRORS[3]]) {
            let outcome = Trial::faulty("faulty_correlator", fault, at, 0).exits(1);
            outcome.says(says).says("`probe`");
        }
    }
}

#[test]
fn a_source_that_cannot_go_on_ends_the_run_and_what_it_gave_is_through() {
    for (at, after) in [("poll", 1), ("ack", 0)] {
        for (fault, says) in PANICS.into_iter().chain([ERRORS[0], ERRORS[2], ERRORS[3]]) {
            let outcome = Trial::faulty("faulty_source", fault, at, after).exits(1);
            outcome.says(says).says("`probe`");
        }
    }
    let outcome = Trial::faulty("faulty_source", "none", "poll", 0).exits(0);
    assert_eq!(outcome.out.len(), 1000, "{}", outcome.label);
}

#[test]
fn a_source_or_correlator_that_cannot_say_what_it_knows_ends_the_run() {
    for plugin in ["faulty_source", "faulty_correlator"] {
        for (fault, says) in [PANICS[0], PANICS[2]] {
            let mut trial = Trial::faulty(plugin, fault, "save", 0);
            trial.more = "state: { path: state, interval: 20ms }\n".to_owned();
            trial.exits(1).says(says).says("`probe`");
        }
    }
}

#[test]
fn a_run_is_not_gone_on_with_where_a_plugin_does_not_take_what_it_knew() {
    for plugin in ["faulty_source", "faulty_correlator"] {
        for (fault, says) in [PANICS[0], PANICS[2], ERRORS[1], ERRORS[3]] {
            let mut trial = Trial::faulty(plugin, fault, "restore", 0);
            trial.more = "state: { path: state, interval: 20ms }\n".to_owned();
            let folder = tempfile::tempdir().unwrap();
            let run = |events: usize| {
                let spec = trial
                    .spec()
                    .replace(&format!("events: {}", super::EVENTS), &format!("events: {events}"));
                let spec =
                    spec.replace("speed: max }", &format!("speed: max, events: {events} }}"));
                std::fs::write(folder.path().join("p.yaml"), spec).unwrap();
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_engine"));
                let output =
                    command.args(["run", "p.yaml"]).current_dir(folder.path()).output().unwrap();
                (output.status.code(), String::from_utf8(output.stderr).unwrap())
            };
            let (code, said) = run(500);
            assert_eq!(code, Some(0), "{said}");
            let (code, said) = run(1000);
            assert!([Some(1), Some(2)].contains(&code), "{plugin} {fault}: {said}");
            assert!(said.contains(says), "{plugin} {fault}: {said}");
        }
    }
}

#[test]
fn a_batch_that_makes_a_sink_panic_becomes_dead_letters_and_one_that_ends_it_is_tried_again() {
    for (fault, says) in PANICS {
        let outcome = Trial::faulty("faulty_sink", fault, "write", 3).exits(0);
        outcome.adds_up().loses_some().because("plugin", says);
    }
    // The next instance takes it.
    Trial::faulty("faulty_sink", "fatal", "write", 3).exits(0).adds_up().loses_none();
    let outcome = Trial::faulty("faulty_sink", "retry", "write", 3).exits(0);
    outcome.adds_up().loses_some().because("unavailable", "may do it later");
    for (fault, says) in [ERRORS[0], ERRORS[2]] {
        let outcome = Trial::faulty("faulty_sink", fault, "write", 3).exits(0);
        outcome.adds_up().loses_some().because("rejected", says);
    }
}

#[test]
fn a_flush_that_fails_fails_the_run() {
    for (fault, says) in PANICS.into_iter().chain(ERRORS) {
        let outcome = Trial::faulty("faulty_sink", fault, "flush", 0).exits(1);
        outcome.adds_up().loses_none().says(says).says("`probe`");
    }
}
