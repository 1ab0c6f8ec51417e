//! Problems as SARIF 2.1.0, the format of code scanning.

use std::fmt::Write;

use engine::problem::{Place, Problem, Problems};
use serde_json::{Value, json};

/// The rule that every problem falls under: the pipeline cannot run as it is written.
const RULE: &str = "pipeline-spec";

/// The whole log, with one run.
pub(super) fn render(problems: &Problems) -> String {
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "engine",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [{
                    "id": RULE,
                    "shortDescription": { "text": "A pipeline has to be sound as a whole" },
                }],
            } },
            "columnKind": "unicodeCodePoints",
            "results": problems.0.iter().map(result).collect::<Value>(),
        }],
    });
    format!("{log:#}")
}

fn result(problem: &Problem) -> Value {
    let mut result = json!({
        "ruleId": RULE,
        "level": super::level(problem),
        "message": { "text": super::full_message(problem) },
    });
    if let Some(place) = &problem.place {
        result["locations"] = json!([{ "physicalLocation": location(place) }]);
    }
    result
}

fn location(place: &Place) -> Value {
    let (start, end) = (place.start(), place.end());
    json!({
        "artifactLocation": { "uri": uri(&place.source.name) },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    })
}

/// A path as a reference of a URI: what is not plain in one is escaped, byte by byte.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(byte.into());
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_reference() {
        assert_eq!(uri("./pipelines/a b#é.yaml"), "pipelines/a%20b%23%C3%A9.yaml");
    }
}
