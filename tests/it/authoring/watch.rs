//! `engine run --watch`

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;

use serde_json::Value;

use crate::harness::{Running, Test};

/// Counts events for ever; a rule in front of the count marks them.
const SPEC: &str = "\
clock: { start: 2024-11-29T10:00:00Z }
sources:
  stores: { type: retail_mix, with: { stores: 5, emit_interval_ms: 10, burst: 2 } }
enrichers:
  mark: { type: rhai, inputs: [stores], with: { script: mark.rhai } }
correlators:
  counts:
    type: rhai
    inputs: [mark]
    with: { passthrough: false, script: counts.rhai }
sinks:
  out: { type: console, inputs: [counts], with: { format: ndjson } }
";

fn mark(version: u32) -> String {
    format!("fn enrich(event) {{ event.payload.mark = {version}; }}")
}

fn counts(version: u32) -> String {
    format!(
        "fn on_event(event, state, out) {{
            state.n = (state.n ?? 0) + 1;
            out.emit(\"count\", #{{ n: state.n, mark: event.payload.mark, version: {version} }});
        }}
        fn on_end(state, out) {{ out.emit(\"total\", #{{ n: state.n }}); }}"
    )
}

/// A run that is watched, and what it prints.
struct Watched {
    running: Running,
    stdout: BufReader<ChildStdout>,
}

impl Watched {
    fn start(arguments: &[&str], spec: &str) -> Self {
        let arguments: Vec<_> =
            ["run", "a.yaml", "--watch"].iter().chain(arguments).copied().collect();
        let test = Test::new(&arguments)
            .file("a.yaml", spec)
            .file("mark.rhai", &mark(1))
            .file("counts.rhai", &counts(1));
        let (running, stdout) = test.start();
        Self { running, stdout }
    }

    /// The next event that it prints.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// The next events, up to the first that is wanted.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        while !events.last().is_some_and(&wanted) {
            events.push(self.next().expect("the run goes on"));
        }
        events
    }

    /// Stops it; what it prints until its end.
    fn stop(mut self) -> (Vec<Value>, crate::harness::Ended) {
        self.running.signal("INT");
        let rest: Vec<_> = std::iter::from_fn(|| self.next()).collect();
        (rest, self.running.end(String::new()))
    }
}

fn number(event: &Value) -> i64 {
    event["payload"]["n"].as_i64().unwrap()
}

fn time(event: &Value) -> &str {
    event["ingest_timestamp"].as_str().unwrap()
}

#[test]
fn an_edited_rule_takes_over_and_everything_else_goes_on_where_it_was() {
    let mut watched = Watched::start(&[], SPEC);
    let mut events = watched.until(|event| number(event) == 5);
    watched.running.write("mark.rhai", &mark(20));
    events.extend(watched.until(|event| event["payload"]["mark"] == 20));
    assert!(watched.running.wait_for_line("reloaded").contains("a.yaml: reloaded: mark changed"));
    let numbers: Vec<_> = events.iter().map(number).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "the count goes on");
    assert!(events.is_sorted_by_key(time), "event time goes on");

    // A rule that is itself edited forgets what it remembered, and no other does.
    watched.running.write("counts.rhai", &counts(22));
    let rest = watched.until(|event| event["payload"]["version"] == 22);
    let said = watched.running.wait_for_line("reloaded");
    assert!(said.contains("reloaded: counts changed; forgotten: what counts remembered"), "{said}");
    let first = rest.last().unwrap();
    assert_eq!((number(first), &first["payload"]["mark"]), (1, &Value::from(20)));
    assert!(time(first) >= time(events.last().unwrap()));

    let (rest, ended) = watched.stop();
    let last = rest.last().unwrap();
    assert_eq!(last["event_type"], "total", "a signal ends it as it ends any run");
    assert_eq!(number(last), rest.len() as i64 - 1 + number(first));
    ended.exits(0).says("was stopped, and drained").says("the accounts add up");
}

#[test]
fn a_wrong_version_is_told_and_the_right_one_goes_on() {
    let mut watched = Watched::start(&[], SPEC);
    watched.until(|event| number(event) == 3);
    watched.running.write("mark.rhai", "fn enrich(event) { event.payload.mark = x; }");
    watched.running.wait_for("error: `x` is not defined");
    watched.running.wait_for("mark.rhai:1:41");
    watched.running.wait_for("a.yaml: the run goes on with what was right before");
    watched.until(|event| number(event) == 6);
    // A spec that is no YAML at all names no files; the old ones are still watched.
    watched.running.write("a.yaml", "sources: [");
    watched.running.wait_for("a.yaml: the run goes on with what was right before");
    watched.running.write("mark.rhai", &mark(30));
    watched.running.wait_for("a.yaml: the run goes on with what was right before");
    watched.running.write("a.yaml", SPEC);
    watched.until(|event| event["payload"]["mark"] == 30);
    watched.running.wait_for("a.yaml: reloaded: mark changed");
    watched.stop().1.exits(0);
}

#[test]
fn an_address_that_another_has_does_not_end_the_run_that_goes_on() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let served = |address: &str| format!("monitoring: {{ http: '{address}' }}\n{SPEC}");
    let mut watched = Watched::start(&[], &served("127.0.0.1:0"));
    watched.until(|event| number(event) == 3);
    watched.running.write("a.yaml", &served(&address));
    watched.running.wait_for(&format!("cannot listen at `{address}`"));
    watched.running.wait_for("a.yaml: the run goes on with what was right before");
    let last = watched.until(|event| number(event) >= 6).last().map(number);
    drop(taken);
    watched.running.write("mark.rhai", &mark(60));
    watched.running.wait_for(&format!("the live page is at http://{address}/"));
    let events = watched.until(|event| event["payload"]["mark"] == 60);
    assert!(events.last().map(number) > last, "the count goes on");
    // The port that is its own is no reason to stay with what was before.
    watched.running.write("mark.rhai", &mark(61));
    watched.running.wait_for(&format!("the live page is at http://{address}/"));
    watched.until(|event| event["payload"]["mark"] == 61);
    watched.stop().1.exits(0);
}

#[test]
fn another_source_begins_again() {
    let mut watched = Watched::start(&["-v"], SPEC);
    let first = watched.next().unwrap();
    watched.until(|event| number(event) == 100);
    watched.running.write("a.yaml", &SPEC.replace("stores: 5", "stores: 7"));
    let again = watched.until(|event| number(event) == 1);
    assert_eq!(time(again.last().unwrap()), time(&first));
    watched.running.wait_for("a.yaml: reloaded, from the beginning: stores changed");
    watched.stop().1.exits(0);
}

#[test]
fn a_run_that_has_ended_waits_and_begins_again_with_the_next_version() {
    let spec = SPEC.replace("Z }", "Z, speed: max, events: 4 }");
    let mut watched = Watched::start(&["--report", "report.json"], &spec);
    let first: Vec<_> = std::iter::from_fn(|| watched.next()).take(5).collect();
    watched.running.wait_for("a.yaml: waiting for a change");
    watched.running.write("mark.rhai", &mark(40));
    let second: Vec<_> = std::iter::from_fn(|| watched.next()).take(5).collect();
    watched.running.wait_for("a.yaml: reloaded, from the beginning: mark changed");
    assert_eq!(second[0]["payload"]["mark"], 40);
    let ids = |events: &[Value]| -> Vec<Value> {
        events.iter().map(|event| event["trace_id"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&second));
    watched.running.wait_for("a.yaml: waiting for a change");
    let (rest, ended) = watched.stop();
    assert!(rest.is_empty());
    let report: Value = serde_json::from_str(&ended.exits(0).read("report.json")).unwrap();
    assert_eq!(report["statistics"]["events_generated"], 4, "it is that of the last run");
}

#[test]
fn a_state_of_its_own_is_kept_over_changes_and_over_the_end() {
    let spec = format!("state: {{ path: state/a }}\n{SPEC}");
    let mut watched = Watched::start(&[], &spec);
    watched.until(|event| number(event) == 5);
    watched.running.write("mark.rhai", &mark(50));
    watched.until(|event| event["payload"]["mark"] == 50);
    let (rest, ended) = watched.stop();
    assert!(rest.iter().all(|event| event["event_type"] == "count"), "its stream has not ended");
    assert!(ended.exits(0).path("state/a").exists());
}

#[test]
fn what_cannot_be_watched_is_refused() {
    Test::new(&["run", "-", "--watch"]).stdin(SPEC).run().exits(2).says("stdin cannot be watched");
    Test::new(&["run", "none.yaml", "--watch"]).run().exits(2).says("there is no such file");
}
