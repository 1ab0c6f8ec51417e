//! `engine validate`

use super::SHOP;
use crate::harness::{Ended, Test};

/// Two problems: a setting and an input.
fn wrong() -> String {
    SHOP.replace("burst", "brust").replace("inputs: [stores]", "inputs: [stors]")
}

fn validate(arguments: &[&str]) -> Ended {
    let arguments: Vec<_> = ["validate"].iter().chain(arguments).copied().collect();
    let unread = SHOP.replace("sinks:", "  idle: { type: retail_mix }\nsinks:");
    Test::new(&arguments)
        .file("shop.yaml", SHOP)
        .file("wrong.yaml", &wrong())
        .file("unread.yaml", &unread)
        .run()
}

#[test]
fn all_problems_of_all_files_are_told() {
    validate(&["shop.yaml"]).exits(0).says("shop.yaml: ok (2 stages)").prints_lines(0);
    validate(&["wrong.yaml", "none.yaml", "shop.yaml"])
        .exits(2)
        .says("wrong.yaml:5:")
        .says("did you mean `burst`?")
        .says("wrong.yaml:7:")
        .says("did you mean `stores`?")
        .says("none.yaml")
        .says("shop.yaml: ok");
}

#[test]
fn warnings_may_be_denied() {
    validate(&["unread.yaml"]).exits(0).says("warning").says("idle");
    validate(&["unread.yaml", "--deny-warnings"]).exits(2).says("error").says("idle");
}

#[test]
fn edits_are_checked_with_the_file() {
    validate(&["shop.yaml", "--set", "sinks.out.inputs=nobody"]).exits(2).says("--set:1:");
}

#[test]
fn problems_can_be_json() {
    let json = validate(&["wrong.yaml", "--format", "json"]).exits(2).json();
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["place"]["file"], "wrong.yaml");
    assert_eq!(json[0]["place"]["line"], 5);
    assert_eq!(json[0]["help"], "did you mean `burst`?");
    assert_eq!(validate(&["shop.yaml", "--format", "json"]).exits(0).json(), serde_json::json!([]));
}

#[test]
fn problems_can_be_sarif() {
    let sarif = validate(&["wrong.yaml", "--format", "sarif"]).exits(2).json();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "engine");
    assert_eq!(run["results"].as_array().unwrap().len(), 2);
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], run["tool"]["driver"]["rules"][0]["id"]);
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "wrong.yaml");
    assert_eq!(location["region"]["startLine"], 5);
}

#[test]
fn problems_can_be_annotations() {
    validate(&["wrong.yaml", "--format", "github"])
        .exits(2)
        .prints("::error file=wrong.yaml,line=5,col=")
        .prints_lines(2);
}
