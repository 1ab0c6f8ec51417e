//! `engine bench`: what the stages of a pipeline cost.

use serde_json::Value;

use crate::harness::{Ended, Test};

/// A rule and its sink, which writes a file where it runs for real.
fn spec(compile: bool, body: &str) -> String {
    format!(
        "name: shop
clock: {{ start: 2024-11-29T10:00:00Z }}
sources: {{ stores: {{ type: retail_mix, with: {{ event_weights: {{ receipt_created: 1 }} }} }} }}
enrichers:
  high_value:
    type: rhai
    inputs: [stores]
    with:
      compile: {compile}
      script: |
        fn enrich(event) {{ {body} }}
sinks: {{ out: {{ type: file, inputs: [high_value], with: {{ path: out.ndjson }} }} }}
"
    )
}

const BODY: &str = "event.payload.high_value = event.payload.total > 100.0;";

fn bench(arguments: &[&str]) -> Ended {
    let bounds = ["--events", "2000", "--passes", "2"];
    let arguments: Vec<&str> = ["bench"].iter().chain(arguments).chain(&bounds).copied().collect();
    Test::new(&arguments)
        .file("shop.yaml", &spec(true, BODY))
        .file("slow.yaml", &spec(false, BODY))
        .file("loop.yaml", &spec(true, "for i in 0..3 { event.payload.n = i; }"))
        .run()
}

#[test]
fn each_stage_is_told_and_nothing_is_written() {
    let ended = bench(&["shop.yaml"]).exits(0);
    for text in [
        "EVENTS/CPU S",
        "stores ",
        "source retail_mix",
        "high_value ",
        "enricher rhai",
        "sink write JSON",
        "(total)",
        "`enrich` of `high_value` runs compiled",
        "the quickest of 2 passes",
    ] {
        assert!(ended.stdout.contains(text), "no {text:?} in\n{}", ended.stdout);
    }
    assert_eq!(ended.files(), ["loop.yaml", "shop.yaml", "slow.yaml"]);
}

#[test]
fn figures_for_programs_are_consistent() {
    let all = bench(&["shop.yaml", "--format", "json"]).exits(0).json();
    let bench = &all[0];
    assert_eq!((&bench["events"], &bench["passes"]), (&2000.into(), &2.into()));
    let stages = bench["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["stores", "high_value", "out"]);
    for stage in stages {
        let figure = |name: &str| stage[name].as_f64().unwrap_or_else(|| panic!("{name}: {stage}"));
        let events = if stage["kind"] == "source" { "events_out" } else { "events_in" };
        assert_eq!(stage[events], 2000);
        let seconds = figure("cpu_seconds_per_million") * 2000.0 / 1e6;
        assert!((seconds / figure("cpu_seconds") - 1.0).abs() < 1e-6, "{stage}");
    }
    assert_eq!(stages[1]["functions"]["enrich"], Value::Null);
}

#[test]
fn two_versions_of_a_rule_are_compared() {
    let ended = bench(&["shop.yaml", "slow.yaml", "--stage", "high_value"]).exits(0);
    let ended = ended.prints("RATIO").prints("shop.yaml, then slow.yaml");
    let ended = ended.prints("runs interpreted: compiling is turned off");
    let rows = ended.stdout.lines().filter(|line| line.starts_with("high_value ")).count();
    assert_eq!(rows, 3, "one of each pipeline, and one of both\n{}", ended.stdout);
    assert!(!ended.stdout.contains("write JSON"), "only the stage that is asked for");
}

#[test]
fn a_rule_that_is_interpreted_says_why() {
    bench(&["loop.yaml"]).exits(0).prints("`enrich` of `high_value` runs interpreted: ");
}

#[test]
fn what_cannot_be_measured_is_said() {
    bench(&["shop.yaml", "--stage", "high_valu"])
        .exits(2)
        .says("there is no stage `high_valu`")
        .says("did you mean `high_value`?");
    let text = "sources: { old: { type: file, with: { path: none.ndjson } } }
sinks: { out: { type: blackhole, inputs: [old] } }
";
    Test::new(&["bench", "x.yaml"]).file("x.yaml", text).run().exits(1).says("none.ndjson");
    Test::new(&["bench", "x.yaml", "--events", "0"]).run().exits(2).says("--events");
}
