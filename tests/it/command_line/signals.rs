//! Signals: the first drains, the second keeps what is left, the third stops at once.

use std::io::{BufRead, Read};

use super::ENDLESS;
use crate::harness::Test;

/// The first batch is more than a pipe holds, so that the sink waits until somebody reads on.
fn stuck() -> String {
    ENDLESS.replace("burst: 10 ", "burst: 10000 ")
}

#[test]
fn the_first_signal_drains() {
    for signal in ["INT", "TERM"] {
        let (running, mut stdout) = Test::new(&["run", "-"]).stdin(ENDLESS).start();
        let mut lines = String::new();
        stdout.read_line(&mut lines).unwrap();
        running.signal(signal);
        stdout.read_to_string(&mut lines).unwrap();
        running
            .end(lines)
            .exits(0)
            .says("draining; again to send nothing any more")
            .says("was stopped, and drained")
            .says("the accounts add up");
    }
}

#[test]
fn the_second_signal_gives_up_sending_and_the_third_stops_at_once() {
    let (running, mut stdout) = Test::new(&["run", "-", "--speed", "max"]).stdin(&stuck()).start();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    running.signal("INT");
    running.wait_for("draining");
    running.signal("INT");
    running.wait_for("keeping what is left");
    running.signal("INT");
    running.end(line).exits(1);
}

#[test]
fn a_drain_that_takes_too_long_is_a_failure() {
    let (running, mut stdout) =
        Test::new(&["run", "-", "--speed", "max", "--drain-timeout", "10ms"])
            .stdin(&stuck())
            .start();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    running.signal("INT");
    running.end(line).exits(1).says("not drained within 0.01 s");
}
