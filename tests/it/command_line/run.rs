//! `engine run`

use std::io::BufRead;

use super::{ENDLESS, SHOP};
use crate::harness::{Ended, Test};

/// Runs the shop with further arguments.
fn shop(arguments: &[&str]) -> Ended {
    let arguments: Vec<_> = ["run", "shop.yaml"].iter().chain(arguments).copied().collect();
    Test::new(&arguments).file("shop.yaml", SHOP).run()
}

#[test]
fn a_run_prints_events_and_reports_on_stderr() {
    shop(&[])
        .exits(0)
        .prints_lines(1000)
        .says("shop finished")
        .says("1 000 generated = 1 000 delivered: the accounts add up")
        .says("receipt_created")
        .says("event time 2024-11-29T10:00:00.000Z to ");
}

#[test]
fn a_quiet_run_says_nothing() {
    assert_eq!(shop(&["-q"]).exits(0).stderr, "");
    shop(&["-q", "--events", "x"]).exits(2).says("invalid value");
}

#[test]
fn flags_take_the_place_of_what_the_spec_says() {
    shop(&["--events", "70"]).exits(0).prints_lines(70);
    // One burst every half second, the first at once.
    shop(&["--duration", "2s"]).exits(0).prints_lines(400);
    shop(&["--set", "clock.events=30"]).exits(0).prints_lines(30);
    let [one, same, other] = ["7", "7", "8"].map(|seed| shop(&["--seed", seed]).exits(0).stdout);
    assert_eq!(one, same);
    assert_ne!(one, other);
    let spec = ENDLESS.replace("clock: {", "clock: { until: 2030-01-01T00:00:00Z,");
    Test::new(&["run", "a.yaml", "--speed", "max", "--duration", "1s"])
        .file("a.yaml", &spec)
        .run()
        .exits(0)
        .prints_lines(1000);
}

#[test]
fn problems_point_at_the_flag() {
    shop(&["--duration", "soon"]).exits(2).says("--duration:1:1");
    shop(&["--speed", "fast"]).exits(2).says("--speed:1:1");
    shop(&["--set", "clock.speeed=2"]).exits(2).says("--set:1:7").says("did you mean `speed`?");
    shop(&["--set", "nothing"]).exits(2).says("`nothing` sets nothing");
}

#[test]
fn a_spec_comes_from_stdin_as_well() {
    Test::new(&["run", "-", "--events", "5"]).stdin(SHOP).run().exits(0).prints_lines(5);
    Test::new(&["run", "-"]).stdin("sources: [").run().exits(2).says("<stdin>:1:");
}

#[test]
fn variables_come_from_the_environment_and_before_it_from_a_file() {
    let spec = SHOP.replace("events: 1000", "events: '${COUNT}'");
    let test = |arguments: &[&str]| Test::new(arguments).file("shop.yaml", &spec);
    test(&["run", "shop.yaml"]).run().exits(2).says("`COUNT` is not set");
    test(&["run", "shop.yaml"]).env("COUNT", "3").run().exits(0).prints_lines(3);
    test(&["run", "shop.yaml", "--env-file", "prod.env"])
        .env("COUNT", "3")
        .file("prod.env", "COUNT=4\n")
        .run()
        .exits(0)
        .prints_lines(4);
    test(&["run", "shop.yaml", "--env-file", "none.env"]).run().exits(2).says("none.env");
}

#[test]
fn a_sample_is_shown_instead_of_delivered() {
    let spec = SHOP.replace(
        "out: { type: console, inputs: [stores], with: { format: ndjson } }",
        "a: { type: file, inputs: [stores], with: { path: '${NO_SUCH}' } }
  b: { type: blackhole, inputs: [stores] }",
    );
    let ended = Test::new(&["run", "shop.yaml", "--sample", "6"]).file("shop.yaml", &spec).run();
    // A line says the date; two sinks that would show the same are one.
    let ended = ended.exits(0).prints("2024-11-29 (UTC)").prints_lines(7);
    assert_eq!(ended.files(), ["shop.yaml"]);
}

#[test]
fn the_report_is_written_as_json() {
    let ended = shop(&["--report", "report.json", "--events", "10"]).exits(0);
    let report: serde_json::Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    assert_eq!(report["ending"], "finished");
    assert_eq!(report["balanced"], true);
    assert_eq!(report["statistics"]["events_generated"], 10);
    assert_eq!(ended.files(), ["report.json", "shop.yaml"], "no draft is left");
    shop(&["--report", "no/such/folder.json"])
        .exits(2)
        .says("cannot write the report")
        .prints_lines(0);
    let spec = SHOP.replace(
        "console, inputs: [stores], with: { format: ndjson }",
        "blackhole, inputs: [stores]",
    );
    let ended = Test::new(&["run", "-", "--report", "-"]).stdin(&spec).run().exits(0);
    assert_eq!(ended.json()["statistics"]["events_sent_successfully"], 1000);
}

#[test]
fn a_run_that_fails_exits_with_one() {
    let spec = SHOP.replace(
        "type: retail_mix, with: { seed: 42, stores: 5, burst: 100 }",
        "type: file, with: { path: none.ndjson }",
    );
    Test::new(&["run", "-"]).stdin(&spec).run().exits(1).says("failed").says("none.ndjson");
}

#[test]
fn the_log_can_be_json() {
    let ended = shop(&["--log-format", "json"]).exits(0);
    let last = ended.stderr.lines().last().unwrap();
    let entry: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(entry["ending"], "finished");
    assert_eq!(entry["events_generated"], 1000);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let spec = SHOP.replace(", events: 1000", "");
    let (running, mut stdout) = Test::new(&["run", "shop.yaml"]).file("shop.yaml", &spec).start();
    let mut lines = String::new();
    for _ in 0..3 {
        stdout.read_line(&mut lines).unwrap();
    }
    drop(stdout);
    let ended = running.end(lines).exits(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn with_a_log_for_machines_problems_are_entries_too() {
    let spec = SHOP.replace("burst", "brust");
    let ended = Test::new(&["run", "-", "--log-format", "json"]).stdin(&spec).run().exits(2);
    let entry: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(entry["level"], "ERROR");
    assert_eq!(entry["place"], "<stdin>:5:60");
    assert_eq!(entry["help"], "did you mean `burst`?");
}
