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

/// Twenty stores' events to a hub, at sixty times the pace of event time.
#[cfg(feature = "event_hubs")]
const TO_A_HUB: &str = "\
clock: { start: 2024-11-29T10:00:00Z, speed: 60 }
sources:
  stores: { type: retail_mix, with: { stores: 20 } }
  hook: { type: http, with: { listen: \"127.0.0.1:0\" } }
sinks:
  hub:
    type: event_hubs
    inputs: [stores]
    with: { namespace: contoso.servicebus.windows.net, entra: {}, hub: retail-events }
  hooked:
    type: event_hubs
    inputs: [hook]
    with: { namespace: contoso.servicebus.windows.net, entra: {}, hub: hooked }
";

#[cfg(feature = "event_hubs")]
fn capacity(arguments: &[&str]) -> Ended {
    let arguments: Vec<_> =
        ["validate", "hub.yaml", "--capacity", "--over", "10m"].iter().chain(arguments).collect();
    let arguments: Vec<_> = arguments.into_iter().copied().collect();
    Test::new(&arguments).file("hub.yaml", TO_A_HUB).file("shop.yaml", SHOP).run()
}

#[cfg(feature = "event_hubs")]
#[test]
fn capacity_is_predicted_without_a_hub() {
    // 200 events a second of event time.
    capacity(&[])
        .exits(0)
        .prints("assumed 4 partitions in each hub, at speed 60")
        .prints("12 000")
        .prints("throughput units")
        .prints("times the even share of 25.0 %")
        .prints("what `hook` will give")
        .prints("add up those of the sinks that share one");
    capacity(&["--set", "clock.speed=max"]).exits(0).prints("as fast as the hub takes it");
    capacity(&["shop.yaml"]).exits(0).prints("There is no `event_hubs` sink");
    capacity(&["--format", "sarif"]).exits(2).says("`--capacity` goes with");
    Test::new(&["validate", "x.yaml", "--partitions", "8"]).run().exits(2).says("--capacity");
}

#[cfg(feature = "event_hubs")]
#[test]
fn capacity_can_be_json() {
    let json = capacity(&["--partitions", "8", "--format", "json"]).exits(0).json();
    assert_eq!(json["problems"], serde_json::json!([]));
    let prediction = &json["capacity"][0];
    assert_eq!((&prediction["file"], &prediction["speed"]), (&"hub.yaml".into(), &60.0.into()));
    let measured = &prediction["sinks"][0]["measured"];
    assert_eq!(measured["partition_shares"].as_array().unwrap().len(), 8);
    let typical = &measured["typical"];
    assert!((typical["events_a_second"].as_f64().unwrap() - 12_000.0).abs() < 100.0, "{typical}");
    assert!(typical["throughput_units"].as_u64().unwrap() >= 12);
    assert_eq!(prediction["sinks"][1]["unknown_sources"], serde_json::json!(["hook"]));
    assert!(prediction["sinks"][1]["measured"].is_null());
}
