//! `engine test --watch` tests again when a file changes that the spec names.

use std::io::BufRead;

use crate::harness::Test;

const SPEC: &str = "
sources: { mix: { type: retail_mix } }
enrichers:
  rule: { type: rhai, inputs: [mix], with: { script: rule.rhai } }
sinks: { out: { type: console, inputs: [rule] } }
tests:
  - name: it is marked
    input: [ { event_type: sale } ]
    expect: [ { payload: { mark: 1 } } ]
";

#[test]
fn a_changed_script_is_tested_again_and_a_wrong_one_is_waited_out() {
    let rule = |mark: &str| format!("fn enrich(event) {{ event.payload.mark = {mark}; }}");
    let test = Test::new(&["test", "spec.yaml", "--watch"]).file("spec.yaml", SPEC);
    let test = test.file("rule.rhai", &rule("1"));
    let path = test.path("rule.rhai");
    let (running, stdout) = test.start();
    let mut lines = stdout.lines().map(Result::unwrap);
    let mut summary = || lines.find(|line| line.contains(" ok") && line.contains("test:")).unwrap();
    assert!(summary().starts_with("1 test: 1 ok"));
    running.wait_for("waiting for changes");
    std::fs::write(&path, rule("23")).unwrap();
    running.wait_for("rule.rhai changed");
    assert!(summary().starts_with("1 test: 0 ok, 1 failed"));
    running.wait_for("waiting for changes");
    std::fs::write(&path, rule("no_such_name")).unwrap();
    running.wait_for("`no_such_name` is not defined");
    running.wait_for("waiting for changes");
    std::fs::write(&path, rule("1")).unwrap();
    assert!(lines.any(|line| line.starts_with("1 test: 1 ok")));
    running.signal("TERM");
    running.end(String::new());
}
