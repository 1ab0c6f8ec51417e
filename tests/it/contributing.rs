//! "Add a sink in ten minutes" is true to the letter: the code of CONTRIBUTING.md is compiled here,
//! registered with one row, and run.

#[rustfmt::skip]
#[expect(unreachable_pub, reason = "it is public where it belongs")]
mod tally;

use std::path::Path;

use engine::component::Component;
use engine::control::Control;
use engine::engine::Engine;
use engine::registry::built_in;
use engine::spec::{Document, Environment};

#[test]
fn the_code_in_contributing_is_the_code_that_is_tested() {
    let contributing = include_str!("../../CONTRIBUTING.md");
    let (_, rest) = contributing.split_once("```rust\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    let compiled = include_str!("contributing/tally.rs");
    assert_eq!(code.replace("crate::", "engine::"), compiled);
}

#[tokio::test]
async fn a_sink_that_was_added_so_counts_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counts.json");
    let spec = format!(
        "
clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }}
sources: {{ stores: {{ type: retail_mix }} }}
sinks: {{ counts: {{ type: tally, inputs: [stores], with: {{ path: {} }} }} }}
",
        path.display()
    );
    let document =
        Document::parse("tally.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    let mut components = built_in();
    components.push(Component::of::<tally::Tally>());
    let report = Engine::new(document, &components).unwrap().run(Control::new()).await.unwrap();
    assert!(report.is_success(), "{:?}", report.errors);
    let counts: std::collections::BTreeMap<String, u64> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(counts.values().sum::<u64>(), 1000);
    assert_eq!(counts.len(), 15);
}
