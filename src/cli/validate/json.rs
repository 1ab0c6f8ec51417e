//! Problems as a JSON array, for programs.

use engine::problem::{Place, Problem, Problems};
use serde_json::{Value, json};

/// The array as text.
pub(super) fn render(problems: &Problems) -> String {
    format!("{:#}", array(problems))
}

/// The array.
pub(super) fn array(problems: &Problems) -> Value {
    problems.0.iter().map(object).collect()
}

fn object(problem: &Problem) -> Value {
    json!({
        "severity": super::level(problem),
        "message": problem.message,
        "label": problem.label,
        "help": problem.help,
        "place": problem.place.as_ref().map(place),
    })
}

fn place(place: &Place) -> Value {
    let (start, end) = (place.start(), place.end());
    json!({
        "file": place.source.name,
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}
