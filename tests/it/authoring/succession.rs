//! One version of a pipeline takes over from another, as embedders use it.

use std::path::{Path, PathBuf};

use engine::control::Control;
use engine::engine::{Changes, Engine, Succession};
use engine::monitor::StageStatistics;
use engine::registry::built_in;
use engine::spec::{Document, Environment};

const SPEC: &str = "\
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 40 }
sources:
  a: { type: retail_mix, with: { stores: 2, event_weights: { receipt_created: 1 } } }
  b: { type: retail_mix, with: { stores: 2, seed: 7, event_weights: { receipt_created: 1 } } }
enrichers:
  mark: { type: rhai, inputs: [a, b], with: { script: mark.rhai } }
correlators:
  counts: { type: rhai, inputs: [mark], with: { script: counts.rhai } }
  sums: { type: rhai, inputs: [mark], with: { script: counts.rhai } }
sinks:
  out: { type: blackhole, inputs: [counts, sums] }
";

const COUNTS: &str = "fn on_event(event, state, out) {
    state.n = (state.n ?? 0) + 1;
    if state.n == 60 { out.emit(\"sixty\", #{}); }
}";

/// Versions of a pipeline in one folder, with one state.
struct Versions(tempfile::TempDir);

impl Versions {
    fn new() -> Self {
        let versions = Self(tempfile::tempdir().unwrap());
        versions.file("mark.rhai", "fn enrich(event) { event.payload.mark = 1; }");
        versions.file("counts.rhai", COUNTS);
        versions
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn version(&self, spec: &str) -> Engine {
        let folder: &Path = self.0.path();
        let document = Document::parse("a.yaml", spec, folder, &Environment::default()).unwrap();
        let engine = Engine::new(document, &built_in());
        engine.unwrap_or_else(|problems| panic!("{problems}")).with_state(folder.join("state"))
    }

    /// Runs a version to its end: 40 source events, after those of the run before.
    async fn run(&self, engine: &Engine) -> Vec<StageStatistics> {
        let report = engine.run(Control::new()).await.unwrap_or_else(|all| panic!("{all}"));
        assert!(report.is_success(), "{:?}", report.errors);
        assert_eq!(report.statistics.events_generated, 40);
        report.statistics.stages
    }
}

/// What a correlator has derived.
fn derived(stages: &[StageStatistics], name: &str) -> u64 {
    stages.iter().find(|stage| stage.stage == name).unwrap().derived
}

fn anew(names: &[&str]) -> Succession {
    Succession::GoesOn { anew: names.iter().map(ToString::to_string).collect() }
}

#[tokio::test]
async fn stages_that_are_the_same_go_on_beside_changed_new_and_gone_ones() {
    let versions = Versions::new();
    let first = versions.version(SPEC);
    let stages = versions.run(&first).await;
    assert_eq!((derived(&stages, "counts"), derived(&stages, "sums")), (0, 0));

    let spec = SPEC
        .replace(
            "[mark], with: { script: counts.rhai } }\n  sums",
            "[mark], with: { script: counts.rhai, max_keys: 9 } }\n  sums",
        )
        .replace(
            "\nsinks",
            "\n  more: { type: rhai, inputs: [a, mark], with: { script: counts.rhai } }\nsinks",
        );
    let second = versions.version(&spec.replace("[counts, sums]", "[counts, sums, more]"));
    let changes = second.changes_since(first.plan(), &[]);
    let expected = Changes {
        changed: vec!["counts".to_owned(), "out".to_owned()],
        new: vec!["more".to_owned()],
        ..Changes::default()
    };
    assert_eq!(changes, expected);
    assert_eq!(second.take_over(first.plan(), &[]).unwrap(), anew(&["counts"]));
    let stages = versions.run(&second).await;
    assert_eq!(derived(&stages, "sums"), 1, "it has seen 40 events in the run before");
    assert_eq!(derived(&stages, "counts"), 0, "it begins anew");
    assert_eq!(derived(&stages, "more"), 1, "it has two inputs of 40 in this run");

    // Back again: what is gone is forgotten.
    let third = versions.version(SPEC);
    assert_eq!(third.changes_since(second.plan(), &[]).gone, ["more"]);
    assert_eq!(third.take_over(second.plan(), &[]).unwrap(), anew(&["counts"]));
    versions.run(&third).await;
}

#[tokio::test]
async fn a_changed_script_file_is_a_change_of_the_stages_that_read_it() {
    let versions = Versions::new();
    let first = versions.version(SPEC);
    versions.run(&first).await;
    let mark = versions.file("mark.rhai", "fn enrich(event) { event.payload.mark = 2; }");
    let counts = versions.file("counts.rhai", &format!("// Changed.\n{COUNTS}"));
    let second = versions.version(SPEC);
    assert_eq!(second.changes_since(first.plan(), std::slice::from_ref(&mark)).changed, ["mark"]);
    let changes = second.changes_since(first.plan(), &[mark.clone(), counts.clone()]);
    assert_eq!(changes.changed, ["mark", "counts", "sums"]);
    let succession = second.take_over(first.plan(), &[mark, counts]).unwrap();
    assert_eq!(succession, anew(&["counts", "sums"]));
    versions.run(&second).await;
}

#[tokio::test]
async fn other_events_begin_at_the_beginning() {
    let versions = Versions::new();
    let first = versions.version(SPEC);
    for (part, other) in
        [("stores: 2, s", "stores: 3, s"), ("clock", "seed: 9\nclock"), ("10:00:00Z", "11:00:00Z")]
    {
        versions.run(&first).await;
        let second = versions.version(&SPEC.replacen(part, other, 1));
        assert!(!second.changes_since(first.plan(), &[]).is_empty());
        assert_eq!(
            second.take_over(first.plan(), &[]).unwrap(),
            Succession::BeginsAgain,
            "{other}"
        );
        assert!(!versions.0.path().join("state").exists());
    }
    versions.run(&first).await;
    let second = versions.version(&SPEC.replace("speed: max", "speed: 900"));
    let changes = second.changes_since(first.plan(), &[]);
    assert_eq!(changes, Changes { others: true, ..Changes::default() });
    assert_eq!(second.take_over(first.plan(), &[]).unwrap(), anew(&[]));
}
