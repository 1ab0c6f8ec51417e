//! Dead letters: looked at, sent again from the stage that failed, thrown away.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Marks events with odd numbers and fails on the others.
const SPEC: &str = r#"
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: max }
sources:
  tills: { type: file, with: { path: events.ndjson } }
enrichers:
  checked:
    type: rhai
    inputs: [tills]
    with:
      script: |
        fn enrich(event) {
            if event.payload.n % 2 == 0 { throw "even" }
            event.payload.checked = true;
        }
  seen:
    type: rhai
    inputs: [checked]
    with: { script: "fn enrich(event) { event.payload.seen = true; }" }
correlators:
  counted:
    type: rhai
    inputs: [seen, tills]
    with:
      key: event_type
      on: [sale]
      script: |
        fn on_event(event, state, out) {
            if event.payload.seen == true { out.emit("counted", #{ n: event.payload.n }); }
        }
sinks:
  out: { type: file, inputs: [counted], with: { path: out.ndjson } }
"#;

const QUEUE: &str = "dead_letters/shop.ndjson";

/// The program, used several times in one folder.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new(spec: &str, events: u64) -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        shop.write("shop.yaml", spec);
        let event = |n| {
            format!(
                "{{\"event_type\":\"sale\",\"payload\":{{\"n\":{n}}},\"trace_id\":\"TR_1_{n:05}\",\
                 \"ingest_timestamp\":\"2024-11-29T10:00:00Z\"}}\n"
            )
        };
        let mut text: String = (1..=events).map(event).collect();
        text.push_str("{\"event_type\":\n");
        shop.write("events.ndjson", &text);
        shop
    }

    /// One whose run has failed on even numbers and on the broken line.
    fn failed(events: u64) -> Self {
        let shop = Self::new(SPEC, events);
        shop.exits(0, &["run", "shop.yaml"]);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The numbers of the events of a type that arrived, in order.
    fn arrived(&self, event_type: &str) -> Vec<u64> {
        let events = self.lines("out.ndjson");
        let events = events.iter().filter(|event| event["event_type"] == event_type);
        let mut numbers: Vec<u64> =
            events.map(|event| event["payload"]["n"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(arguments).current_dir(self.0.path()).env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program, checks its exit code, and returns what it printed and said.
    #[track_caller]
    fn exits(&self, code: i32, arguments: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
        (stdout, stderr)
    }

    /// Mends the script, but for one number.
    fn mend(&self, but: &str) {
        let mended = SPEC.replace("event.payload.n % 2 == 0", &format!("event.payload.n == {but}"));
        self.write("shop.yaml", &mended);
    }
}

#[test]
fn letters_are_counted_and_shown() {
    let shop = Shop::failed(5);
    let (table, _) = shop.exits(0, &["dlq", "list", QUEUE]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let row = table.lines().find(|line| line.contains("checked")).unwrap();
    assert!(row.contains("script") && row.contains("TR_1_00002") && row.contains("even"), "{row}");
    assert!(table.contains("events.ndjson:6"), "{table}");
    let (same, _) = shop.exits(0, &["dlq", "list", "shop.yaml"]);
    assert_eq!(same, table, "a pipeline's letters are found");
    let (groups, _) = shop.exits(0, &["dlq", "list", QUEUE, "--format", "json"]);
    let groups: Value = serde_json::from_str(&groups).unwrap();
    assert_eq!((&groups[0]["count"], &groups[0]["example"]), (&2.into(), &"TR_1_00002".into()));

    let (text, _) = shop.exits(0, &["dlq", "show", QUEUE, "--category", "script", "--limit", "1"]);
    assert!(text.contains("stage     checked\nfailure   script: even"), "{text}");
    assert!(text.contains("\"n\": 2") && !text.contains("\"n\": 4"), "{text}");
    let (text, _) = shop.exits(0, &["dlq", "show", QUEUE, "--stage", "tills"]);
    assert!(text.contains("from      events.ndjson:6") && text.contains("{\"event_type\":\n"));
    let (events, _) = shop.exits(0, &["dlq", "show", "shop.yaml", "--format", "events"]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().map(|event| &event["payload"]["n"]).collect::<Vec<_>>(), [2, 4]);
    let (records, _) =
        shop.exits(0, &["dlq", "show", QUEUE, "--format", "ndjson", "--id", "TR_1_00004"]);
    assert!(shop.read(QUEUE).contains(&records) && records.lines().count() == 1);
}

#[test]
fn what_is_mended_arrives_once_and_leaves_the_queue() {
    let shop = Shop::failed(6);
    assert_eq!(shop.arrived("counted"), [1, 3, 5]);
    let before = shop.lines(QUEUE);
    let (_, said) = shop.exits(0, &["dlq", "replay", "shop.yaml", "--dry-run"]);
    assert!(said.contains("3 would be replayed") && said.contains("`checked`: 3"), "{said}");
    assert_eq!(shop.lines(QUEUE), before);

    shop.mend("4");
    let (_, said) = shop.exits(1, &["dlq", "replay", QUEUE, "--pipeline", "shop.yaml"]);
    assert!(said.contains("3 replayed: 4 delivered, 1 failed again; 1 kept"), "{said}");
    assert!(said.contains("3 failed in another version of the spec"), "{said}");
    assert!(said.contains("1 stay: the input of `tills` is no event"), "{said}");
    assert_eq!(shop.arrived("counted"), [1, 2, 3, 5, 6]);
    let letters = shop.lines(QUEUE);
    assert_eq!(letters.len(), 2, "{letters:?}");
    let failed = letters.iter().find(|letter| letter["stage"] == "checked").unwrap();
    let first = before.iter().find(|it| it["event"]["payload"]["n"] == 4).unwrap();
    assert_eq!((&failed["attempts"], &failed["event"]), (&2.into(), &first["event"]));
    assert_eq!(failed["first_time"], first["first_time"]);
    assert!(failed["last_time"].as_str() > first["last_time"].as_str());
    assert_ne!(failed["spec_hash"], first["spec_hash"]);

    shop.mend("0");
    let (_, said) = shop.exits(0, &["dlq", "replay", "shop.yaml", "--stage", "checked"]);
    assert!(said.contains("1 replayed: 2 delivered, 0 failed again; 1 kept"), "{said}");
    assert_eq!(shop.arrived("counted"), [1, 2, 3, 4, 5, 6]);
    // Each came by the way round the enrichers too, in the first run.
    assert_eq!(shop.arrived("sale"), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
    let derived: Vec<Value> = shop.lines("out.ndjson");
    let derived = derived.iter().filter(|event| event["event_type"] == "counted");
    let own: HashSet<&str> = derived.map(|event| event["trace_id"].as_str().unwrap()).collect();
    assert_eq!(own.len(), 6, "what a replay derives has ids of its own");
    assert_eq!(shop.lines(QUEUE).len(), 1);
}

#[test]
fn input_that_was_mended_enters_behind_its_source() {
    let shop = Shop::failed(1);
    let mended = "{\\\"event_type\\\":\\\"sale\\\",\\\"payload\\\":{\\\"n\\\":7},\
                  \\\"ingest_timestamp\\\":\\\"2024-11-29T10:00:01Z\\\"}";
    let queue = shop.read(QUEUE).replace("{\\\"event_type\\\":", mended);
    shop.write(QUEUE, &queue);
    shop.exits(0, &["dlq", "replay", "shop.yaml"]);
    assert_eq!((shop.arrived("sale"), shop.arrived("counted")), (vec![1, 1, 7, 7], vec![1, 7]));
    assert_eq!(shop.read(QUEUE), "");
    let ids = shop.lines("out.ndjson");
    assert!(ids.iter().all(|event| event["trace_id"].as_str().unwrap().starts_with("TR_")));
}

#[test]
fn letters_of_a_stage_that_is_gone_stay() {
    let shop = Shop::failed(4);
    shop.write("shop.yaml", &SPEC.replace("checked", "tested"));
    let before = shop.read(QUEUE);
    let (_, said) = shop.exits(0, &["dlq", "replay", "shop.yaml"]);
    assert!(said.contains("2 stay: the pipeline has no stage `checked`"), "{said}");
    assert!(said.contains("0 replayed"), "{said}");
    assert_eq!(shop.read(QUEUE), before);
    let (_, said) = shop.exits(2, &["dlq", "replay", QUEUE]);
    assert!(said.contains("--pipeline FILE"), "{said}");
}

#[test]
fn a_replay_into_a_sink_that_is_down_fails_and_loses_nothing() {
    let shop = Shop::failed(4);
    shop.mend("0");
    let down = shop.read("shop.yaml").replace(
        "path: out.ndjson }",
        "path: out.ndjson }, delivery: { chaos: { error_rate: 1 }, retry: { attempts: 1 } }",
    );
    shop.write("shop.yaml", &down);
    shop.exits(1, &["dlq", "replay", "shop.yaml"]);
    let letters = shop.lines(QUEUE);
    let at_the_sink = letters.iter().filter(|letter| letter["stage"] == "out").count();
    assert_eq!(at_the_sink, 4, "the events and what was derived from them: {letters:?}");
    shop.mend("0");
    shop.exits(0, &["dlq", "replay", "shop.yaml"]);
    assert_eq!(shop.arrived("counted"), [1, 2, 3, 4]);
    assert_eq!(shop.lines(QUEUE).len(), 1, "the broken line stays");
}

#[test]
fn a_replay_that_is_killed_is_taken_up_by_the_next() {
    let shop = Shop::failed(10_000);
    let spec = SPEC.replace("event.payload.n % 2 == 0", "event.payload.n == 4");
    let to_stdout = spec.replace(
        "type: file, inputs: [counted], with: { path: out.ndjson }",
        "type: console, inputs: [counted], with: { format: ndjson }",
    );
    shop.write("stdout.yaml", &to_stdout);
    let mut child = shop
        .command(&["dlq", "replay", QUEUE, "--pipeline", "stdout.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The pipe holds far less than what is to come, so the replay is in its middle.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let aside = format!("{QUEUE}.replaying");
    assert_eq!(shop.read(&aside).lines().count(), 5000);
    let (_, said) = shop.exits(0, &["dlq", "list", QUEUE]);
    assert!(said.contains("5000 more in `dead_letters/shop.ndjson.replaying`"), "{said}");

    shop.mend("4");
    let (_, said) = shop.exits(1, &["dlq", "replay", "shop.yaml"]);
    assert!(said.contains("5000 replayed: 9998 delivered, 1 failed again; 1 kept"), "{said}");
    let all: Vec<u64> = (1..=10_000).filter(|n| *n != 4).collect();
    assert_eq!(shop.arrived("counted"), all);
    assert!(!shop.path(&aside).exists());
    let letters = shop.lines(QUEUE);
    let failed = letters.iter().filter(|it| it["event"]["payload"]["n"] == 4).count();
    assert_eq!((letters.len(), failed), (2, 1));
}

#[test]
fn purged_letters_are_gone_and_only_those() {
    let shop = Shop::failed(6);
    let (_, said) = shop.exits(2, &["dlq", "purge", QUEUE]);
    assert!(said.contains("say `--yes`"), "{said}");
    let (_, said) = shop.exits(0, &["dlq", "purge", QUEUE, "--older-than", "1h", "--yes"]);
    assert!(said.contains("nothing to purge"), "{said}");
    let (_, said) = shop.exits(0, &["dlq", "purge", QUEUE, "--id", "TR_1_00004", "--yes"]);
    assert!(said.contains("1 purged"), "{said}");
    shop.exits(0, &["dlq", "purge", QUEUE, "--stage", "checked", "--category", "schema", "--yes"]);
    assert_eq!(shop.lines(QUEUE).len(), 3);
    shop.exits(0, &["dlq", "purge", "shop.yaml", "--category", "script", "--yes"]);
    assert_eq!(shop.lines(QUEUE).len(), 1);
    shop.exits(2, &["dlq", "purge", QUEUE, "--older-than", "old", "--yes"]);
    let (_, said) = shop.exits(2, &["dlq", "list", "none.ndjson"]);
    assert!(said.contains("cannot read the dead-letter file `none.ndjson`"), "{said}");
}

#[test]
fn lines_that_are_no_letters_are_told_and_stay() {
    let shop = Shop::failed(4);
    let queue = shop.read(QUEUE).replacen('\n', "\n{\"stage\":\"checked\"}\nno JSON\n", 1);
    shop.write(QUEUE, &queue);
    shop.mend("0");
    let commands: [&[&str]; 4] = [
        &["dlq", "list", QUEUE],
        &["dlq", "show", QUEUE],
        &["dlq", "replay", "shop.yaml"],
        &["dlq", "purge", QUEUE, "--yes"],
    ];
    for command in commands {
        let (_, said) = shop.exits(0, command);
        for place in [":2: no dead letter: missing field", ":3: no dead letter: expected"] {
            // The replay has moved the lines up by the letter before them.
            let moved = place.replace(":2", ":1").replace(":3", ":2");
            assert!(said.contains(place) || said.contains(&moved), "{command:?}: {said}");
        }
    }
    assert_eq!(shop.read(QUEUE), "{\"stage\":\"checked\"}\nno JSON\n");
}

#[test]
fn a_file_in_use_is_left_alone() {
    let shop = Shop::failed(2);
    let before = shop.read(QUEUE);
    // Whoever only reads is let in, whoever changes the file is not.
    let holder = std::fs::File::open(shop.path(QUEUE)).unwrap();
    holder.lock_shared().unwrap();
    shop.exits(0, &["dlq", "show", "shop.yaml"]);
    let commands: [&[&str]; 2] =
        [&["dlq", "purge", "shop.yaml", "--yes"], &["dlq", "replay", "shop.yaml"]];
    for command in commands {
        let (_, said) = shop.exits(1, command);
        assert!(said.contains("is in use by another process"), "{said}");
    }
    drop(holder);
    assert_eq!(shop.read(QUEUE), before);
}

#[test]
fn a_file_that_runs_replace_is_added_to_by_a_replay() {
    let spec = SPEC.replace("path: out.ndjson", "path: out.ndjson, mode: replace");
    let shop = Shop::new(&spec, 4);
    shop.exits(0, &["run", "shop.yaml"]);
    shop.write("shop.yaml", &spec.replace("event.payload.n % 2 == 0", "event.payload.n == 0"));
    shop.exits(0, &["dlq", "replay", "shop.yaml"]);
    assert_eq!(shop.arrived("counted"), [1, 2, 3, 4]);
}
