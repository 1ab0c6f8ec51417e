//! Plugins that misbehave, one fault after the other, in whole runs: each is told by a clear message
//! or makes dead letters, every event is where the accounts say, and the engine goes on or ends in
//! order.

mod crashes;
mod misuse;
mod panics;
mod stuck;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::{Ended, Test};
use crate::libraries;
use crate::plugins::build;

/// How many events the source of a trial gives.
const EVENTS: usize = 1000;

/// The library of the crate `faulty-plugin`.
fn faulty() -> PathBuf {
    build::library("faulty-plugin")
}

/// `faults.c` as a library, compiled once for each way to call it.
fn faults(is_blocking: bool) -> PathBuf {
    static COMPILED: [OnceLock<(tempfile::TempDir, PathBuf)>; 2] =
        [OnceLock::new(), OnceLock::new()];
    let (_, path) = COMPILED[usize::from(is_blocking)].get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.so");
        libraries::c_library(&path, "faults", if is_blocking { &["BLOCKING"] } else { &[] });
        (folder, path)
    });
    path.clone()
}

/// A pipeline with one plugin in it, as the stage `probe`. What comes into that stage is in
/// `all.ndjson`, what leaves it in `out.ndjson`.
struct Trial {
    library: PathBuf,
    /// Such as `faulty_enricher`: what it is follows from its name.
    plugin: &'static str,
    /// What stands under `with:`, in braces.
    with: String,
    /// More keys of the spec.
    more: String,
    arguments: Vec<&'static str>,
}

impl Trial {
    fn new(library: PathBuf, plugin: &'static str, with: &str) -> Self {
        let (with, more) = (with.to_owned(), String::new());
        Self { library, plugin, with, more, arguments: vec!["run", "p.yaml"] }
    }

    /// A plugin in Rust with a fault in one of its calls.
    fn faulty(plugin: &'static str, fault: &str, at: &str, after: u64) -> Self {
        let with = format!("{{ fault: {fault}, at: {at}, after: {after} }}");
        Self::new(faulty(), plugin, &with)
    }

    fn kind(&self) -> &'static str {
        self.plugin.split_once('_').unwrap().1
    }

    fn spec(&self) -> String {
        let Self { plugin, with, more, .. } = self;
        let library = self.library.display();
        let mut spec = format!("name: p\nplugins: [\"{library}\"]\n{more}");
        let probe =
            |inputs: &str| format!("{{ probe: {{ type: {plugin}, {inputs}with: {with} }} }}");
        if self.kind() == "source" {
            writeln!(spec, "clock: {{ start: 2024-11-29T10:00:00Z, speed: max }}").unwrap();
            writeln!(spec, "sources: {}", probe("")).unwrap();
        } else {
            let clock = format!("{{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}");
            writeln!(spec, "clock: {clock}").unwrap();
            spec += "sources: { shop: { type: retail_mix, with: { burst: 50, seed: 1 } } }\n";
        }
        match self.kind() {
            "enricher" => writeln!(spec, "enrichers: {}", probe("inputs: shop, ")).unwrap(),
            "correlator" => writeln!(spec, "correlators: {}", probe("inputs: shop, ")).unwrap(),
            _ => {}
        }
        spec += "sinks:\n";
        if self.kind() == "sink" {
            let delivery = "delivery: { timeout: 300ms, \
                            retry: { attempts: 3, initial_backoff_ms: 1, max_backoff_ms: 2, \
                            on_exhausted: dead_letter }, circuit_breaker: { enabled: false } }";
            writeln!(spec, "  probe: {{ type: {plugin}, inputs: shop, with: {with}, {delivery} }}")
                .unwrap();
        } else {
            spec += "  out: { type: file, inputs: probe, with: { path: out.ndjson } }\n";
        }
        if self.kind() != "source" {
            spec += "  all: { type: file, inputs: shop, with: { path: all.ndjson } }\n";
        }
        spec
    }

    fn test(&self) -> Test {
        let mut arguments = self.arguments.clone();
        if arguments[0] == "run" {
            arguments.extend(["--report", "report.json"]);
        }
        Test::new(&arguments).file("p.yaml", &self.spec())
    }

    /// Runs it to its end, which has this exit code.
    #[track_caller]
    fn exits(&self, code: i32) -> Outcome {
        Outcome::of(self, self.test().run().exits(code))
    }
}

/// What a run left.
struct Outcome {
    ended: Ended,
    /// The events that came to the plugin, by trace id; of a source none.
    all: BTreeMap<String, Value>,
    /// What left it.
    out: Vec<Value>,
    /// Dead letters.
    dead: Vec<Value>,
    report: Value,
    label: String,
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(event: &Value) -> String {
    event["trace_id"].as_str().unwrap().to_owned()
}

impl Outcome {
    fn of(trial: &Trial, ended: Ended) -> Self {
        let read = |name: &str| std::fs::read_to_string(ended.path(name)).unwrap_or_default();
        let all = lines(&read("all.ndjson")).into_iter().map(|event| (id(&event), event)).collect();
        let report = serde_json::from_str(&read("report.json")).unwrap_or_default();
        let label = format!("{} {}\n{}", trial.plugin, trial.with, ended.stderr);
        let (out, dead) = (lines(&read("out.ndjson")), lines(&read("dead_letters/p.ndjson")));
        Self { ended, all, out, dead, report, label }
    }

    fn account(&self) -> &Value {
        let stages = self.report["statistics"]["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["stage"] == "probe").unwrap()
    }

    /// The events that came out, of those that came in.
    fn passed(&self) -> BTreeSet<String> {
        self.out.iter().map(id).filter(|id| self.all.contains_key(id)).collect()
    }

    /// The accounts balance, and every event that came to the plugin is with the sink, or a dead
    /// letter.
    #[track_caller]
    fn adds_up(&self) -> &Self {
        let label = &self.label;
        assert_eq!(self.report["balanced"], true, "{label}");
        let passed = self.passed();
        let dead: BTreeSet<_> = self.dead.iter().map(|letter| id(&letter["event"])).collect();
        let sent = self.account()["sent"].as_u64().unwrap() as usize;
        assert_eq!(self.all.len(), EVENTS, "{label}");
        if self.account()["kind"] == "sink" {
            assert_eq!(sent + dead.len(), EVENTS, "{label}");
        } else {
            assert!(passed.is_disjoint(&dead), "{label}");
            assert_eq!(passed.len() + dead.len(), EVENTS, "{label}");
        }
        self
    }

    /// No dead letter shows what the plugin had begun.
    #[track_caller]
    fn takes_back(&self) -> &Self {
        for letter in &self.dead {
            let event = &letter["event"];
            assert_eq!(self.all[&id(event)], *event, "it was changed\n{}", self.label);
        }
        self
    }

    /// Whether some events are dead letters, and some are not.
    #[track_caller]
    fn loses_some(&self) -> &Self {
        let dead = self.dead.len();
        assert!(0 < dead && dead < EVENTS, "{dead} dead letters\n{}", self.label);
        self
    }

    /// All events are through.
    #[track_caller]
    fn loses_none(&self) -> &Self {
        assert_eq!(self.dead.len(), 0, "{}", self.label);
        self
    }

    /// Each dead letter has this category and a reason with this text.
    #[track_caller]
    fn because(&self, category: &str, reason: &str) -> &Self {
        for letter in &self.dead {
            assert_eq!(letter["category"], category, "{letter:#}\n{}", self.label);
            let said = letter["reason"].as_str().unwrap();
            assert!(said.contains(reason), "{said}\n{}", self.label);
        }
        self
    }

    /// A text in the log.
    #[track_caller]
    fn says(&self, text: &str) -> &Self {
        assert!(self.ended.stderr.contains(text), "no {text:?} in: {}", self.label);
        self
    }

    #[track_caller]
    fn never_says(&self, text: &str) -> &Self {
        assert!(!self.ended.stderr.contains(text), "{text:?} in: {}", self.label);
        self
    }
}
