//! Taps of a run that is served: `engine tap`, and what it asks for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Ended, Test, project};
use crate::served::{SHOP, Served};

/// `engine tap` at a run.
fn tap(run: &Served, arguments: &[&str]) -> Test {
    Test::new(&[&["tap", &run.address], arguments].concat())
}

fn events(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_tap_prints_events_until_its_limit() {
    let shop = Served::shop(&[]);
    let ended = tap(&shop, &["large", "--limit", "7"]).run().exits(0).prints_lines(7);
    assert!(events(&ended).iter().all(|event| event["payload"].is_object()));
    assert_eq!(ended.stderr, "");
    tap(&shop, &["out", "--limit", "1"]).run().exits(0).prints_lines(1);
    tap(&shop, &["out", "--limit", "0"]).run().exits(0).prints_lines(0);
    shop.stop().exits(0);
}

#[test]
fn a_tap_shows_only_what_its_condition_is_true_of() {
    let shop = Served::shop(&[]);
    // Most types have no such field, which is false and no failure.
    let tapped = tap(&shop, &["stores", "--where", "event.payload.total > 20.0", "--limit", "5"]);
    let ended = tapped.run().exits(0).prints_lines(5);
    assert!(events(&ended).iter().all(|event| event["payload"]["total"].as_f64().unwrap() > 20.0));
    assert_eq!(ended.stderr, "");
    let of_type = "event.event_type == \"payment_processed\"";
    let ended = tap(&shop, &["stores", "--where", of_type, "--limit", "3"]).run().exits(0);
    assert!(events(&ended).iter().all(|event| event["event_type"] == "payment_processed"));
    shop.stop().exits(0);
}

#[test]
fn a_tap_for_reading_has_a_line_for_each_event() {
    let shop = Served::shop(&[]);
    let arguments = ["stores", "--format", "pretty", "--limit", "4", "--color", "never"];
    let ended = tap(&shop, &arguments).run().exits(0).prints("2024-11-29 (UTC)").prints_lines(5);
    assert!(ended.stdout.lines().skip(1).all(|line| line.contains('#')), "{}", ended.stdout);
    shop.stop().exits(0);
}

#[test]
fn a_stage_that_there_is_not_is_a_wrong_argument() {
    let shop = Served::shop(&[]);
    let wrong = tap(&shop, &["lagre"]).run().exits(2).prints_lines(0);
    wrong.says("error: no stage is called `lagre`").says("help: did you mean `large`?");
    shop.stop().exits(0);
}

#[test]
fn a_condition_that_is_wrong_is_shown_where_it_is() {
    // Nobody has to be asked for that.
    let wrong = Test::new(&["tap", "9", "stores", "--where", "event.payload.total >"]).run();
    wrong.exits(2).says("--where:1:").says("error: ");
    let misspelt = "event.event_type == \"reciept_created\"";
    let shop = Served::shop(&[]);
    let warned = tap(&shop, &["stores", "--where", misspelt, "--limit", "0"]).run().exits(0);
    warned.says("warning: ").says("did you mean `receipt_created`?");
    let (status, answer) = shop.json("/tap/stores?where=event.payload.total%20%3E");
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("where:1:"), "{answer}");
    let (status, answer) = shop.json("/tap/stores?were=true");
    assert_eq!(status, 400);
    assert!(answer["help"].as_str().unwrap().contains("`where`"), "{answer}");
    shop.stop().exits(0);
}

#[test]
fn a_condition_that_fails_on_events_is_told_at_the_end() {
    let shop = Served::shop(&[]);
    let fails = "event.event_type == \"receipt_created\" || event.payload";
    let ended = tap(&shop, &["stores", "--where", fails, "--limit", "5"]).run().exits(0);
    ended.prints_lines(5).says("warning: the condition failed on ").says("help: ");
    shop.stop().exits(0);
}

#[test]
fn a_tap_ends_with_the_run_and_before_it_when_it_is_interrupted() {
    let shop = Served::shop(&[]);
    for signal in ["INT", "TERM"] {
        let (tapped, mut stdout) = tap(&shop, &["stores"]).start();
        let mut text = String::new();
        stdout.read_line(&mut text).unwrap();
        tapped.signal(signal);
        stdout.read_to_string(&mut text).unwrap();
        tapped.end(text).exits(0);
    }
    let (tapped, mut stdout) = tap(&shop, &["stores"]).start();
    let mut text = String::new();
    stdout.read_line(&mut text).unwrap();
    shop.stop().exits(0);
    stdout.read_to_string(&mut text).unwrap();
    let ended = tapped.end(text).exits(0);
    assert!(!events(&ended).is_empty());
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_tap_without_an_error() {
    let shop = Served::shop(&[]);
    let (tapped, mut stdout) = tap(&shop, &["stores"]).start();
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let ended = tapped.end(String::new()).exits(0);
    assert_eq!(ended.stderr, "");
    shop.stop().exits(0);
}

#[test]
fn a_run_that_is_killed_is_a_lost_connection() {
    let shop = Served::shop(&[]);
    let (tapped, mut stdout) = tap(&shop, &["stores"]).start();
    stdout.read_line(&mut String::new()).unwrap();
    shop.running.signal("KILL");
    stdout.read_to_string(&mut String::new()).unwrap();
    tapped.end(String::new()).exits(1).says("error: the connection to `http://127.0.0.1:");
}

#[test]
fn where_no_engine_is_the_remedy_is_said() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for command in ["tap", "top"] {
        let arguments = [command, nobody.as_str(), "stores"];
        let arguments = &arguments[..if command == "tap" { 3 } else { 2 }];
        let failed = Test::new(arguments).run().exits(1);
        failed
            .says(&format!("error: cannot reach an engine at `http://{nobody}`"))
            .says("help: start one with `engine run FILE --http 127.0.0.1:8080`");
    }
    Test::new(&["tap", "ftp://x", "stores"]).run().exits(2).says("is no address of an engine");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
        while !head.next().unwrap().unwrap().is_empty() {}
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
    });
    let failed = Test::new(&["tap", &address, "stores"]).run().exits(1);
    failed.says(&format!("error: what answers at `http://{address}` is no engine"));
    answers.join().unwrap();
}

#[test]
fn taps_whose_conditions_take_long_hold_nothing_else_up() {
    let array = format!("[{}]", ["1"; 100].join(","));
    let mut evil = "true".to_owned();
    for name in ["a", "b", "c"] {
        evil = format!("{array}.all(|{name}| {evil})");
    }
    let path: String = format!("/tap/stores?where={evil}&limit=1000000")
        .chars()
        .map(|letter| match letter {
            ' ' => "%20".to_owned(),
            '|' => "%7C".to_owned(),
            _ => letter.to_string(),
        })
        .collect();
    let spec = SHOP.replace("speed: 60", "speed: 600");
    let shop = Served::start(Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec));
    let mut taps: Vec<_> = (0..20).map(|_| shop.connect(&format!("GET {path}"), "", "")).collect();
    for tap in &mut taps {
        let mut head = String::new();
        tap.read_line(&mut head).unwrap();
        assert!(head.contains("200"), "{head}");
    }
    let seen = |live: &Value| live["totals"]["events_generated"].as_u64().unwrap();
    let before = seen(&shop.wait_until(|live| seen(live) > 0));
    shop.wait_until(|live| seen(live) > before + 2000);
    // Where they held it up, neither of both would come for minutes.
    for _ in 0..20 {
        assert_eq!(shop.get("/live")["live"], true);
    }
    shop.running.signal("TERM");
    shop.end().exits(0).says("the accounts add up");
}

#[test]
fn who_does_not_read_misses_events_and_is_told_how_many() {
    let spec = SHOP.replace("speed: 60", "speed: max");
    let shop = Served::start(Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec));
    let mut slow = shop.connect("GET /tap/stores", "", "");
    // What the system and the server hold for it is full long before.
    shop.wait_until(|live| live["totals"]["events_generated"].as_u64() > Some(300_000));
    // A second reader is not held up by the first.
    tap(&shop, &["stores", "--limit", "1000"]).run().exits(0).prints_lines(1000);
    shop.running.signal("INT");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    let end: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    let seen = answer.lines().filter(|line| line.starts_with("{\"event_type\":")).count();
    assert!(end["tap"]["skipped"].as_u64() > Some(0) && end["tap"]["failed"] == 0, "{end}");
    assert!(seen > 0);
    shop.end().exits(0).says("the accounts add up");
}

#[test]
fn every_command_of_the_page_on_live_runs_works() {
    let page = std::fs::read_to_string(project("docs/live.md")).unwrap();
    let spec = std::fs::read_to_string(project("pipelines/quickstart.yaml")).unwrap();
    // Nobody reads what it would print.
    let spec = spec.replace("type: console", "type: blackhole");
    let run = Served::start(Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec));
    let blocks = page.split("```console\n").skip(1);
    let commands = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let folder = tempfile::tempdir().unwrap();
    let mut ran = 0;
    for command in commands {
        let command = command.replace("127.0.0.1:8080", &run.address);
        let command = command.replacen("engine", env!("CARGO_BIN_EXE_engine"), 1);
        let ended =
            Command::new("sh").args(["-c", &command]).current_dir(&folder).output().unwrap();
        assert!(ended.status.success(), "{command}\n{}", String::from_utf8_lossy(&ended.stderr));
        ran += 1;
    }
    assert_eq!(ran, 4);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("two.ndjson")).unwrap().lines().count(),
        2
    );
    run.stop().exits(0);
}
