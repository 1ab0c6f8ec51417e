//! What is found about rules before they run, and what is none of its business. What is said word
//! for word stands in `tests/wrong/scripts`.

use std::path::Path;

use engine::plan::Plan;
use engine::registry::built_in;
use engine::spec::{Document, Environment};

use crate::harness::project;

const MIX: &str = "{ type: retail_mix }";

/// What is said about an enricher behind a source, and one before it that adds a field.
fn said(source: &str, settings: &str, script: &str) -> Vec<String> {
    let script = script.replace('\n', "\n        ");
    let text = format!(
        "sources:
  s: {source}
enrichers:
  first:
    type: rhai
    inputs: [s]
    with: {{ script: 'fn enrich(event) {{ event.payload.marked = 1; }}' }}
  rule:
    type: rhai
    inputs: [first]
    with:
      on: {settings}
      script: |
        {script}
sinks:
  out: {{ type: blackhole, inputs: [rule] }}
"
    );
    let document = Document::parse("a.yaml", text, "", &Environment::default()).unwrap();
    let problems = match Plan::new(document, &built_in()) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    problems.0.into_iter().map(|problem| problem.message).collect()
}

fn nothing(settings: &str, script: &str) {
    let none: [String; 0] = [];
    assert_eq!(said(MIX, settings, script), none, "{script}");
}

#[test]
fn fields_that_may_be_there_are_no_matter() {
    let receipts = "[receipt_created]";
    // Another stage adds it, this one does itself, or it is looked for with care.
    nothing(receipts, "fn enrich(event) { event.payload.n = event.payload.marked + 1; }");
    nothing(receipts, "fn enrich(event) { event.payload.totl = 1; event.payload.totl += 1; }");
    nothing(receipts, "fn enrich(event) { event.payload.n = event.payload.wholly_other ?? 3; }");
    nothing(receipts, "fn enrich(event) { if event.payload.wholly_other == () { return; } }");
    nothing(
        receipts,
        "fn enrich(event) { if \"totl\" in event.payload { return event.payload.totl > 1; } }",
    );
    // One of the types has it.
    nothing("[receipt_created, store_opened]", "fn enrich(event) { event.payload.total > 1 }");
    nothing("[]", "fn enrich(event) { event.payload.dwell_time ?? 1 > 1 }");
    // Types of one's own have any fields.
    nothing("[my_own]", "fn enrich(event) { event.payload.n = event.payload.totl + 1; }");
    // The name means something else here.
    nothing(
        receipts,
        "fn enrich(event) { let event = #{ payload: #{ totl: 1 } }; event.payload.totl == 1 }",
    );
}

#[test]
fn a_slip_is_an_error_where_nobody_else_can_have_meant_it() {
    let slip = "fn enrich(event) { event.payload.n = event.payload.totl; }";
    let message = "`receipt_created` has no field `totl`";
    assert_eq!(said(MIX, "[receipt_created]", slip), [message]);
    let file = "{ type: file, with: { path: x.ndjson } }";
    assert_eq!(said(file, "[receipt_created]", slip), [message]);
    let document = |source: &str| {
        let text = format!(
            "sources: {{ s: {source} }}\nenrichers: {{ r: {{ type: rhai, inputs: [s], with: {{ \
             on: [receipt_created], script: '{slip}' }} }} }}\nsinks: {{ o: {{ type: blackhole, \
             inputs: [r] }} }}\n"
        );
        Document::parse("a.yaml", text, "", &Environment::default()).unwrap()
    };
    assert!(Plan::new(document(MIX), &built_in()).is_err());
    assert!(Plan::new(document(file), &built_in()).is_ok(), "somebody may have written it so");
    // What is no slip, others may have added.
    let other = "fn enrich(event) { event.payload.n = event.payload.wholly_other; }";
    assert_eq!(said(file, "[receipt_created]", other).len(), 0);
    assert_eq!(
        said(MIX, "[receipt_created]", other),
        ["`receipt_created` never has a field `wholly_other`"]
    );
}

#[test]
fn calls_that_are_meant_to_fail_or_fail_only_sometimes_are_no_matter() {
    nothing("[]", "fn enrich(event) { throw \"no\"; }");
    nothing("[]", "fn enrich(event) { check(event); }\nfn check(event) { throw #{ code: 1 }; }");
    nothing(
        "[receipt_created]",
        "fn enrich(event) { if event.payload.item_count % 2 == 0 { event.payload.total.foo } }",
    );
    // Without `on:` it is not known which types come: those that have no total may not.
    nothing("[]", "fn enrich(event) { event.payload.n = event.payload.total + 1; }");
    nothing("[]", "fn enrich(event) { let all = event.payload; event.payload.n = all.total + 1; }");
}

#[test]
fn a_record_that_a_sample_does_not_have_is_no_matter() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stores.csv"), "store_id,region\n977,north\n").unwrap();
    let text = "
sources:
  s: { type: retail_mix }
enrichers:
  region:
    type: rhai
    inputs: [s]
    with:
      on: [receipt_created]
      tables: { stores: stores.csv }
      script: |
        fn enrich(event) {
            let store = lookup(\"stores\", event.payload.store_id);
            event.payload.region = store.region.to_upper();
        }
sinks:
  out: { type: blackhole, inputs: [region] }
";
    let path = folder.path().join("a.yaml");
    std::fs::write(&path, text).unwrap();
    assert_eq!(warnings(&path).len(), 0);
}

#[test]
fn without_types_a_rule_is_tried_on_all_of_them() {
    let fails = |script: &str| said(MIX, "[]", script).join("\n");
    let of_one = fails(
        "fn enrich(event) { if event.event_type == \"store_opened\" { event.trace_id.len() + #{} } }",
    );
    assert!(of_one.contains("fails on every `store_opened` it is tried on: `+` does not work"));
    let of_all = fails("fn enrich(event) { let all = event.payload; all.wholly_other / 2 }");
    assert!(of_all.contains("and 16 further types it is tried on: `/` does not work on nothing"));
}

#[test]
fn what_a_host_function_refuses_is_found() {
    let unknown = "fn enrich(event) { event.payload.n = lookup(\"stores\", 1); }";
    let said = said(MIX, "[receipt_created]", unknown);
    assert_eq!(
        said,
        ["`enrich` fails on every `receipt_created` it is tried on: there is no table `stores`"]
    );
}

/// Every pipeline in a folder, which has nothing to be warned of.
#[test]
fn no_shipped_pipeline_raises_a_false_alarm() {
    let mut checked = 0;
    for entry in std::fs::read_dir(project("pipelines")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        // Those need what a build without Event Hubs does not have.
        let of_hubs = path.display().to_string().contains("event-hubs");
        if of_hubs && !cfg!(feature = "event_hubs") {
            continue;
        }
        let warnings = warnings(&path);
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
        checked += 1;
    }
    assert!(checked > 10);
}

fn warnings(path: &Path) -> Vec<String> {
    let document = Document::read(path, &Environment::default()).unwrap();
    let (_, warnings) = Plan::new(document, &built_in()).unwrap_or_else(|all| panic!("{all}"));
    warnings.0.into_iter().map(|problem| problem.message).collect()
}
