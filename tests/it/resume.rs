//! A run that was stopped, ended or refused, and the run after it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A folder in which runs follow each other.
struct Legs(tempfile::TempDir);

impl Legs {
    fn new(spec: &str) -> Self {
        let legs = Self(tempfile::tempdir().unwrap());
        legs.file("shop.yaml", spec);
        legs
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(["run", "shop.yaml"]).args(arguments).current_dir(self.0.path());
        for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// What a run that ends by itself prints.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a run prints that is told to stop once it has printed so many lines. It cannot run far
    /// ahead of its reader: a pipe holds little.
    #[track_caller]
    fn stopped(&self, arguments: &[&str], after: usize) -> String {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        for _ in 0..after {
            stdout.read_line(&mut text).unwrap();
        }
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
        text
    }

    /// What a run says that is refused.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        stderr
    }
}

/// The parts have each line of the whole, once and in its place.
#[track_caller]
fn assert_same(parts: &[String], whole: &str) {
    let all = parts.concat();
    let cuts: Vec<usize> = parts.iter().map(|part| part.lines().count()).collect();
    for (place, (got, wanted)) in all.lines().zip(whole.lines()).enumerate() {
        assert_eq!(got, wanted, "line {place}, the parts have {cuts:?}");
    }
    assert_eq!(all.lines().count(), whole.lines().count());
    for part in &parts[..parts.len() - 1] {
        assert!(!part.is_empty() && part.len() < whole.len(), "it was not cut");
    }
}

const RULES: &str = r#"
state: { path: state/shop, interval: 1h }
clock: { start: 2024-11-29T10:00:00Z, speed: max, duration: 90s }
sources:
  mix: { type: retail_mix, with: { burst: 30, realistic_hours: true } }
correlators:
  rule:
    type: rhai
    inputs: [mix]
    with:
      key: payload.store_id
      script: |
        fn on_event(event, state, out) {
            state.count = (if state.count == () { 0 } else { state.count }) + 1;
            if rand() < 0.1 { out.timer("soon", "20s"); }
            if rand() < 0.1 { out.emit_after("30s", "later", #{ count: state.count }); }
        }
        fn on_timer(name, state, out) { out.emit("rang", #{ count: state.count }); }
sinks:
  out:
    type: console
    inputs: [rule]
    with: { format: ndjson }
    # What is printed holds the source back, so that a stop comes in its midst.
    delivery: { buffer: { max_events: 100 } }
"#;

#[test]
fn a_stopped_run_and_the_one_after_it_print_what_one_run_does() {
    let whole = Legs::new(RULES).run(&[]);
    assert!(whole.contains("\"rang\"") && whole.contains("\"later\""));
    let legs = Legs::new(RULES);
    let parts = [legs.stopped(&[], 500), legs.stopped(&[], 1000), legs.run(&[])];
    assert_same(&parts, &whole);
}

/// All built-in correlators, one behind the other.
const BUILT_IN: &str = r"
correlators:
  once:
    type: dedupe
    inputs: [mix]
    with: { key: [event_type, payload.store_id], on: [customer_entered], within: 2s }
  paid:
    type: join
    inputs: [once]
    with:
      left: { on: [customer_entered] }
      right: { on: [receipt_created] }
      key: payload.store_id
      within: 3s
      emit: bought
      select: { store_id: left.payload.store_id, total: right.payload.total }
      unmatched: both
      max_per_key: 1000
  silent:
    type: sequence
    inputs: [paid]
    with:
      key: payload.store_id
      steps: { one: { on: [receipt_created] }, two: { on: [receipt_created] } }
      absent: { on: [customer_entered] }
      within: 20s
      emit: nobody_came
      select: { store_id: one.payload.store_id, receipt: two.payload.receipt_id }
  sums:
    type: window
    inputs: [silent]
    with:
      kind: hopping
      size: 20s
      every: 7s
      key: event_type
      aggregates: { n: count, total: { sum: payload.total }, stores: { distinct: payload.store_id } }
      emit: sums
      passthrough: true
  rule:
    type: window
    inputs: [sums]
    with:
      kind: session
      gap: 1s
      key: payload.store_id
      on: [receipt_created]
      aggregates: { n: count, total: { avg: payload.total } }
      emit: rush
      passthrough: true
";

#[test]
fn built_in_correlators_go_on_where_a_run_was_stopped() {
    let (head, rest) = RULES.split_once("correlators:").unwrap();
    let (_, sinks) = rest.split_once("sinks:").unwrap();
    let spec = format!("{head}{}\nsinks:{sinks}", BUILT_IN.trim());
    let whole = Legs::new(&spec).run(&[]);
    for name in ["bought", "nobody_came", "sums", "rush"] {
        let found = whole.matches(&format!("\"event_type\":\"{name}\"")).count();
        assert!(found > 20, "{found} {name}");
    }
    let legs = Legs::new(&spec);
    let parts = [legs.stopped(&[], 500), legs.stopped(&[], 1500), legs.run(&[])];
    assert_same(&parts, &whole);
}

#[test]
fn so_many_events_twice_are_twice_as_many() {
    let endless = RULES.replace(", duration: 90s", "");
    let rows = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let whole = rows(&Legs::new(&endless).run(&["--events", "2000"]));
    let legs = Legs::new(&endless);
    let first = rows(&legs.run(&["--events", "1000"]));
    let second = rows(&legs.run(&["--events", "1000"]));
    assert_eq!([first, second].concat(), whole);
}

#[test]
fn a_run_that_ended_is_followed_by_a_new_leg_which_may_be_stopped_too() {
    // At the end of a leg the rule's timers fire before what comes at that very instant.
    let mix = RULES.replace("inputs: [rule]", "inputs: [mix]");
    let whole = Legs::new(&mix).run(&["--duration", "180s"]);
    let legs = Legs::new(&mix);
    let parts = [legs.run(&[]), legs.stopped(&[], 500), legs.run(&[])];
    assert_same(&parts, &whole);
}

fn line(number: u64, millis: u64) -> String {
    let (second, millis) = (millis / 1000, millis % 1000);
    format!(
        "{{\"event_type\":\"tick\",\"payload\":{{\"n\":{number}}},\
         \"ingest_timestamp\":\"2024-11-29T10:{:02}:{:02}.{millis:03}Z\"}}\n",
        second / 60,
        second % 60
    )
}

/// Lines whose times go back by up to a second.
fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(|number| line(number, 1000 + 100 * number - number * 7919 % 1000)).collect()
}

const FILES: &str = r"
state: { path: state/shop, interval: 1h }
clock: { start: 2024-11-29T10:00:00Z, speed: max }
sources:
  a: { type: file, with: { path: a.ndjson, lateness: 1s } }
sinks:
  out:
    type: console
    inputs: [a]
    with: { format: ndjson }
    delivery: { buffer: { max_events: 100 } }
";

fn files(spec: &str) -> Legs {
    let legs = Legs::new(spec);
    legs.file("a.ndjson", &lines(0..9000));
    legs
}

#[test]
fn a_file_is_read_on_where_the_run_was_stopped() {
    let whole = files(FILES).run(&[]);
    let legs = files(FILES);
    let parts = [legs.stopped(&[], 10), legs.stopped(&[], 2000), legs.run(&[])];
    assert_same(&parts, &whole);
    assert_eq!(legs.run(&[]), "", "there is nothing new");
    legs.file("a.ndjson", &lines(0..9010));
    assert_eq!(legs.run(&[]).lines().count(), 10);
}

#[test]
fn merged_sources_go_on_together() {
    let merged = FILES
        .replace("inputs: [a]", "inputs: [a, mix]")
        .replace("speed: max", "speed: max, duration: 10m")
        .replace("sources:", "sources:\n  mix: { type: retail_mix, with: { burst: 7 } }");
    let whole = files(&merged).run(&[]);
    let legs = files(&merged);
    let parts = [legs.stopped(&[], 100), legs.stopped(&[], 5000), legs.run(&[])];
    assert_same(&parts, &whole);
}

#[test]
fn a_state_of_another_spec_is_refused_until_it_is_reset() {
    let legs = Legs::new(RULES);
    let first = legs.run(&["--duration", "10s"]);
    for (spec, named) in [
        (RULES.replace("burst: 30", "burst: 31"), "`mix` was changed"),
        (RULES.replace("rand() < 0.1", "rand() < 0.2"), "`rule` was changed"),
        (format!("{RULES}  more: {{ type: blackhole, inputs: [mix] }}\nseed: 7\n"), "seed 7"),
        (RULES.replace(" rule:", " regel:").replace("[rule]", "[regel]"), "`regel` is new"),
    ] {
        legs.file("shop.yaml", &spec);
        let said = legs.refused(&[]);
        assert!(said.contains(named) && said.contains("--reset-state"), "{said}");
    }
    legs.file("shop.yaml", RULES);
    assert_eq!(legs.run(&["--duration", "10s", "--reset-state"]), first);
}

#[test]
fn a_script_file_that_was_changed_is_refused() {
    let script = "fn on_event(event, state, out) { state.n = 1; }";
    let head = &RULES[..RULES.find("      script").unwrap()];
    let tail = &RULES[RULES.find("sinks").unwrap()..];
    let legs = Legs::new(&format!("{head}      script: rule.rhai\n{tail}"));
    legs.file("rule.rhai", script);
    legs.run(&["--duration", "10s"]);
    legs.file("rule.rhai", &script.replace('1', "2"));
    let said = legs.refused(&["--duration", "10s"]);
    assert!(said.contains("`rule` cannot go on from its state: the script was changed"), "{said}");
    assert!(said.contains("--reset-state"), "{said}");
}

#[test]
fn a_damaged_snapshot_is_refused_until_it_is_reset() {
    let legs = Legs::new(RULES);
    legs.run(&["--duration", "1s"]);
    let path = legs.path("state/shop");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen('1', "2", 1)).unwrap();
    let said = legs.refused(&[]);
    assert!(said.contains("damaged") && said.contains("--reset-state"), "{said}");
    legs.run(&["--duration", "1s", "--reset-state"]);
}

#[test]
fn a_state_is_one_engines_at_a_time() {
    let legs = Legs::new(RULES);
    let mut first = legs.command(&[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(first.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    let said = legs.refused(&[]);
    assert!(said.contains("another engine uses the state `state/shop`"), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(Path::new(&legs.path("state/shop")).exists());
}

#[test]
fn a_killed_run_is_followed_by_one_with_the_same_ids() {
    let whole = Legs::new(RULES).run(&[]);
    let legs = Legs::new(&RULES.replace("interval: 1h", "interval: 1ms"));
    let mut first = legs.command(&[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(first.stdout.take().unwrap());
    let mut before = String::new();
    for _ in 0..2000 {
        stdout.read_line(&mut before).unwrap();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    stdout.read_to_string(&mut before).unwrap();
    let after = legs.run(&[]);
    let whole: Vec<&str> = whole.lines().collect();
    let overlap = before.lines().count() + after.lines().count();
    assert!(overlap >= whole.len(), "nothing is lost");
    assert_eq!(after.lines().collect::<Vec<_>>(), whole[whole.len() - after.lines().count()..]);
}

#[test]
fn a_stream_that_ended_before_a_stop_does_not_end_again() {
    let spec = r#"
state: { path: state/shop, interval: 1h }
clock: { start: 2024-11-29T10:00:00Z, speed: 1 }
sources:
  a: { type: file, with: { path: a.ndjson } }
  mix: { type: retail_mix, with: { burst: 1 } }
correlators:
  total:
    type: rhai
    inputs: [a]
    with:
      passthrough: false
      script: |
        fn on_event(event, state, out) { state.n = (state.n ?? 0) + 1; }
        fn on_end(state, out) { out.emit("total", #{ n: state.n }); }
sinks:
  totals: { type: file, inputs: [total], with: { path: totals.ndjson } }
  out: { type: console, inputs: [mix], with: { format: ndjson } }
"#;
    let legs = Legs::new(spec);
    legs.file("a.ndjson", &lines(0..3));
    let totals = || std::fs::read_to_string(legs.path("totals.ndjson")).unwrap();
    for _ in 0..3 {
        // The file has long ended when so many events of the other source are out.
        legs.stopped(&[], 3);
        assert_eq!(totals().lines().count(), 1);
    }
    legs.file("a.ndjson", &lines(0..5));
    legs.stopped(&[], 3);
    assert_eq!(totals().lines().count(), 2, "there was more to come");
    assert!(totals().lines().last().unwrap().contains("\"n\":5"));
}
