//! Calls that never return: the run is told to stop, leaves the thread behind, and has failed.

use super::{Trial, faults};
use crate::harness::Ended;

/// Starts it, waits until the call is under way, and interrupts it.
fn interrupted(trial: &Trial) -> Ended {
    let (running, stdout) = trial.test().start();
    running.wait_for("hangs now");
    running.signal("INT");
    drop(stdout);
    running.end(String::new())
}

#[test]
fn a_call_that_hangs_is_left_behind_when_the_run_is_stopped() {
    let mut threads = Vec::new();
    for (plugin, at, says) in [
        ("c_enricher", "process", "enricher `probe`: it did not come back from a call"),
        ("c_correlator", "correlate", "correlator `probe`: it did not come back from a call"),
        ("c_source", "poll", "what is left is given up"),
        ("c_sink", "flush", "what is left is given up"),
    ] {
        for is_blocking in [false, true] {
            threads.push(std::thread::spawn(move || {
                let with = format!("{{ fault: hangs, at: {at} }}");
                let mut trial = Trial::new(faults(is_blocking), plugin, &with);
                trial.arguments.extend(["--drain-timeout", "100ms"]);
                interrupted(&trial).exits(1).says(says);
            }));
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_sink_that_does_not_open_is_told_when_the_run_is_stopped() {
    let with = "{ fault: hangs, at: start }";
    for is_blocking in [false, true] {
        let mut trial = Trial::new(faults(is_blocking), "c_sink", with);
        trial.arguments.extend(["--drain-timeout", "100ms"]);
        // Whether the run has failed depends on whether there was anything for it yet.
        interrupted(&trial).says("it did not open in the time of the run sink=\"probe\"");
    }
}

#[test]
fn a_write_that_hangs_is_told_with_its_stage() {
    let with = "{ fault: hangs, at: write }";
    for (is_blocking, says) in [
        (false, "sink `probe`: it did not come back from a call"),
        (true, "what is left is given up"),
    ] {
        let mut trial = Trial::new(faults(is_blocking), "c_sink", with);
        trial.arguments.extend(["--drain-timeout", "100ms"]);
        interrupted(&trial).exits(1).says(says);
    }
}

#[test]
fn an_instance_that_does_not_end_is_left_behind_and_the_run_has_failed() {
    let mut threads = Vec::new();
    for plugin in ["c_source", "c_enricher", "c_correlator", "c_sink"] {
        for (at, says) in [("destroy", "`destroy`"), ("request_stop", "`request_stop`")] {
            threads.push(std::thread::spawn(move || {
                let with = format!("{{ fault: hangs, at: {at} }}");
                let trial = Trial::new(faults(false), plugin, &with);
                let outcome = trial.exits(1);
                outcome.says("did not end within 10 s").says(says);
                if plugin != "c_source" {
                    outcome.adds_up().loses_none();
                }
            }));
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
}
