//! Results as one JSON object, for programs.

use engine::problem::{Place, Problem};
use serde_json::{Value, json};

use super::{TestResult, Tested};

/// The object as text.
pub(super) fn render(all: &[Tested]) -> String {
    let tests: Vec<Value> = all
        .iter()
        .flat_map(|tested| tested.results.iter().map(|result| test(&tested.file, result)))
        .collect();
    let problems: Vec<Value> =
        all.iter().flat_map(|tested| tested.problems.0.iter().map(problem)).collect();
    let failed: usize = all.iter().map(Tested::failures).sum();
    let passed = tests.len() - failed;
    format!(
        "{:#}",
        json!({ "passed": passed, "failed": failed, "tests": tests, "problems": problems })
    )
}

fn test(file: &str, result: &TestResult) -> Value {
    let outcome = &result.outcome;
    json!({
        "file": file,
        "line": outcome.place.as_ref().map(|place| place.start().line),
        "name": outcome.name,
        "status": if outcome.is_success() { "ok" } else { "failed" },
        "seconds": result.seconds,
        "failures": outcome.failures.0.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn problem(problem: &Problem) -> Value {
    let place = |place: &Place| {
        let start = place.start();
        json!({ "file": place.source.name, "line": start.line, "column": start.column })
    };
    json!({
        "message": problem.message,
        "label": problem.label,
        "note": problem.note,
        "help": problem.help,
        "place": problem.place.as_ref().map(place),
    })
}
