//! Every pipeline that we ship runs, its events keep the contract, and its rules do something.

#[cfg(feature = "event_hubs")]
mod event_hubs;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::retail::{EventType, schema};
use serde_json::Value;

use crate::harness::Test;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("pipelines")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

/// What a pipeline writes to stdout, at full speed.
fn output(name: &str, arguments: &[&str]) -> Vec<Value> {
    let run = Command::new(env!("CARGO_BIN_EXE_engine"))
        .current_dir(root())
        .args(["run", &format!("pipelines/{name}.yaml"), "--speed", "max", "-q"])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{name}: {errors}");
    assert!(errors.is_empty(), "{name} has something to say: {errors}");
    let lines = String::from_utf8(run.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn assert_keeps_the_contract(events: &[Value]) {
    let mut validators: BTreeMap<String, jsonschema::Validator> = BTreeMap::new();
    for event in events {
        let name = event["event_type"].as_str().unwrap();
        let validator = validators.entry(name.to_owned()).or_insert_with(|| {
            jsonschema::validator_for(&schema(name.parse::<EventType>().unwrap())).unwrap()
        });
        if let Err(error) = validator.validate(event) {
            panic!("{error} at {} in {event}", error.instance_path());
        }
    }
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event_type"] == event_type).collect()
}

/// Each event names an earlier one as its cause.
fn assert_caused(events: &[Value], derived: &[&Value]) {
    let places: BTreeMap<&str, usize> = events
        .iter()
        .enumerate()
        .map(|(place, event)| (event["trace_id"].as_str().unwrap(), place))
        .collect();
    for event in derived {
        let own = places[event["trace_id"].as_str().unwrap()];
        let cause = event["parent_event_id"].as_str().unwrap_or_else(|| panic!("{event}"));
        assert!(places[cause] < own, "{event}");
    }
}

#[test]
fn every_pipeline_has_a_test_here() {
    let tests = [
        include_str!("pipelines.rs"),
        include_str!("pipelines/event_hubs.rs"),
        include_str!("pipelines/world.rs"),
    ]
    .concat();
    for path in shipped() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let runs = [format!("output(\"{name}\""), format!("join(\"pipelines/{name}.yaml\")")];
        let is_run = runs.iter().any(|run| tests.contains(run));
        assert!(is_run, "nothing runs {}", path.display());
    }
}

/// The rules of a spec: the stages of type `rhai`, as `enrichers.name`.
fn rules(spec: &str) -> Vec<String> {
    let mut kind = String::new();
    let mut name = String::new();
    let mut rules = Vec::new();
    for line in spec.lines() {
        let text = line.trim_start();
        match (line.len() - text.len(), text.split_once(':')) {
            (0, Some((key, _))) => key.clone_into(&mut kind),
            (2, Some((key, _))) => key.clone_into(&mut name),
            _ => {}
        }
        let is_stage = kind == "enrichers" || kind == "correlators";
        if is_stage && text.contains("type: rhai") {
            rules.push(format!("{kind}.{name}"));
        }
    }
    rules
}

#[test]
fn compiled_and_interpreted_rules_give_the_same_bytes_and_accounts() {
    let mut compared = 0;
    for path in shipped() {
        let rules = rules(&std::fs::read_to_string(&path).unwrap());
        let name = path.file_stem().unwrap().to_str().unwrap();
        // What goes to a namespace is the same as what goes to the console.
        if rules.is_empty() || name.contains("event-hubs") {
            continue;
        }
        let [compiled, interpreted] = [true, false].map(|compile| {
            let folder = tempfile::tempdir().unwrap();
            let report = folder.path().join("report.json");
            let mut arguments: Vec<String> =
                ["--seed", "11", "--events", "3000", "--report"].map(str::to_owned).to_vec();
            arguments.push(report.to_str().unwrap().to_owned());
            for rule in &rules {
                arguments.extend(["--set".into(), format!("{rule}.with.compile={compile}")]);
            }
            let run = Command::new(env!("CARGO_BIN_EXE_engine"))
                .current_dir(root())
                .args(["run", &format!("pipelines/{name}.yaml"), "--speed", "max", "-q"])
                // Several tests may run one of them at a time.
                .args(["--set", "monitoring.http=null"])
                .args(&arguments)
                .output()
                .unwrap();
            assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
            let report = std::fs::read_to_string(report).unwrap();
            (run.stdout, accounts(&serde_json::from_str(&report).unwrap()))
        });
        assert!(!compiled.1.is_empty() && compiled.1 == interpreted.1, "{name}: the accounts");
        assert!(compiled.0 == interpreted.0, "{name} differs");
        compared += rules.len();
    }
    assert!(compared >= 8, "{compared} rules");
}

/// What a report has of each stage's events.
fn accounts(report: &Value) -> Vec<Value> {
    let figures = ["stage", "received", "sent", "derived", "filtered", "absorbed", "dead_lettered"];
    let account = |stage: &Value| figures.iter().map(|name| stage[name].clone()).collect();
    report["statistics"]["stages"].as_array().unwrap().iter().map(account).collect()
}

#[test]
fn what_the_webhook_sends_its_receiver_gets_once() {
    let receiver = root().join("pipelines/webhook_receiver.yaml");
    let sender = root().join("pipelines/webhook.yaml");
    let [receiver, sender] = [&receiver, &sender].map(|path| path.to_str().unwrap());
    let any_port = ["--set", "sources.hook.with.listen=127.0.0.1:0"];
    let (receiving, mut stdout) = Test::new(&["run", receiver, any_port[0], any_port[1]]).start();
    let line = receiving.wait_for_line("listening at http://");
    let (_, address) = line.split_once("http://").unwrap();
    let url = format!("http://{}", address.split_whitespace().next().unwrap());
    let sent = Test::new(&["run", sender, "--speed", "max", "--events", "5000"])
        .env("WEBHOOK_URL", &url)
        .start();
    // Both work at once, so what comes out has to be read meanwhile.
    let lines: Vec<Value> = (0..5000)
        .map(|_| {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
            serde_json::from_str(&line).unwrap()
        })
        .collect();
    sent.0.end(String::new()).exits(0).says("5 000 delivered: the accounts add up");
    receiving.signal("INT");
    receiving.end(String::new()).exits(0).says("5 000 delivered: the accounts add up");
    assert_keeps_the_contract(&lines);
    let ids: BTreeSet<&str> = lines.iter().map(|it| it["trace_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 5000);
}

#[test]
fn hooks_look_on_and_change_nothing() {
    let events = output("hooks", &[]);
    assert_keeps_the_contract(&events);
    let without =
        ["event_generated", "batch_sent", "error"].map(|hook| format!("hooks.{hook}=null"));
    let [one, two, three] = without.each_ref().map(String::as_str);
    let arguments = ["--set", one, "--set", two, "--set", three];
    assert!(events.len() > 1000 && events == output("hooks", &arguments));
}

#[test]
fn a_line_that_is_sold_takes_its_goods_off_the_shelf() {
    let events = output("receipt_inventory", &[]);
    assert_keeps_the_contract(&events);
    let lines = of_type(&events, "receipt_line_added");
    let deltas = of_type(&events, "inventory_updated");
    let sales: Vec<&Value> =
        deltas.iter().filter(|delta| delta["payload"]["reason"] == "SALE").copied().collect();
    assert_caused(&events, &deltas);
    assert!(sales.len() > 100 && sales.len() <= lines.len(), "{} sales", sales.len());
    for sale in sales {
        assert!(sale["payload"]["quantity_on_hand"].as_i64().unwrap() >= 0, "{sale}");
        let line = lines.iter().find(|line| line["trace_id"] == sale["parent_event_id"]).unwrap();
        assert_eq!(sale["correlation_id"], line["payload"]["receipt_id"]);
    }
}

#[test]
fn low_stock_is_ordered_once_until_the_lead_time_is_over() {
    let events = output("low_stock", &[]);
    assert_keeps_the_contract(&events);
    let reorders = of_type(&events, "reorder_triggered");
    assert!(reorders.len() > 10, "{} reorders", reorders.len());
    assert_caused(&events, &reorders);
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for reorder in reorders {
        let payload = &reorder["payload"];
        assert!(payload["current_quantity"].as_i64() <= payload["reorder_point"].as_i64());
        let key = format!("{} {}", payload["store_id"], payload["product_id"]);
        let time: engine::event::Timestamp =
            reorder["ingest_timestamp"].as_str().unwrap().parse().unwrap();
        if let Some(before) = last.insert(key.clone(), time.as_millis()) {
            assert!(time.as_millis() - before >= 4 * 3_600_000, "{key} was ordered twice");
        }
    }
}

#[test]
fn a_rush_of_large_baskets_is_told() {
    let events = output("basket_rush", &[]);
    assert!(!events.is_empty());
    assert!(events.iter().all(|event| event["payload"]["baskets"] == 5), "{events:?}");
}

#[test]
fn many_high_payments_of_one_customer_are_suspected() {
    let events = output("card_fraud", &[]);
    let alerts = of_type(&events, "fraud_suspected");
    assert!(!alerts.is_empty());
    assert_caused(&events, &alerts);
    for alert in alerts {
        let customer = &alert["payload"]["customer_id"];
        let payments = of_type(&events, "payment_processed");
        let own = payments.iter().filter(|it| it["payload"]["customer_id"] == *customer);
        assert!(own.count() >= 3, "{alert}");
    }
}

#[test]
fn a_shopper_is_pinged_on_the_way_until_the_exit() {
    let events = output("entry_pings", &["--duration", "2h"]);
    assert_keeps_the_contract(&events);
    let pings = of_type(&events, "ble_ping_detected");
    assert!(pings.len() > 100, "{} pings", pings.len());
    assert_caused(&events, &pings);
    assert!(
        events.is_sorted_by_key(|event| event["ingest_timestamp"].as_str().unwrap().to_owned())
    );
    let mut zones: BTreeMap<&str, &str> = BTreeMap::new();
    for change in of_type(&events, "customer_zone_changed") {
        let (session, payload) = (change["session_id"].as_str().unwrap(), &change["payload"]);
        if let Some(zone) = zones.insert(session, payload["to_zone"].as_str().unwrap()) {
            assert_eq!(payload["from_zone"], zone, "zones chain: {change}");
        }
    }
    assert!(zones.len() > 20);
}

#[test]
fn who_saw_an_ad_and_buys_gets_the_promotion() {
    let events = output("impression_promotion", &["--duration", "4h"]);
    assert_keeps_the_contract(&events);
    let promotions = of_type(&events, "promotion_applied");
    assert!(promotions.len() > 20, "{} promotions", promotions.len());
    assert_caused(&events, &promotions);
    for promotion in promotions {
        let receipt =
            events.iter().find(|event| event["trace_id"] == promotion["parent_event_id"]).unwrap();
        assert_eq!(receipt["payload"]["receipt_id"], promotion["payload"]["receipt_id"]);
        let customer = &promotion["payload"]["customer_id"];
        let saw = of_type(&events, "ad_impression")
            .iter()
            .any(|ad| ad["payload"]["customer_id"] == *customer);
        assert!(saw, "customer {customer} saw no ad");
    }
}

#[test]
fn a_recording_is_replayed_and_filtered() {
    let events = output("replay", &[]);
    assert_keeps_the_contract(&events);
    let recording = std::fs::read_to_string(root().join("pipelines/data/morning.ndjson")).unwrap();
    let purchases = recording.lines().filter(|line| {
        ["receipt_created", "payment_processed"]
            .iter()
            .any(|name| line.starts_with(&format!("{{\"event_type\":\"{name}\"")))
    });
    assert_eq!(events.len(), purchases.count());
    assert!(!events.is_empty());
}

#[test]
fn a_receiver_that_fails_costs_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = root().join("pipelines/rehearse_outage.yaml");
    let run = |output: &str, further: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_engine"))
            .current_dir(folder.path())
            .args(["run", pipeline.to_str().unwrap(), "--speed", "max", "--duration", "60s", "-q"])
            .args(["--set", &format!("dead_letter.path={output}.dead")])
            .args(further)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let dead = std::fs::read(folder.path().join(format!("{output}.dead"))).unwrap_or_default();
        let lines = [run.stdout.as_slice(), &dead].concat();
        let id = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap();
            let event = value.get("event").unwrap_or(&value);
            event["trace_id"].as_str().unwrap().to_owned()
        };
        String::from_utf8(lines).unwrap().lines().map(id).collect::<Vec<_>>()
    };
    let calm = run("calm", &["--set", "sinks.out.delivery.chaos=null"]);
    let rough = run(
        "rough",
        &[
            "--set",
            "sinks.out.delivery.chaos.busy.retry_after_ms=1",
            "--set",
            "sinks.out.delivery.retry.initial_backoff_ms=1",
        ],
    );
    let distinct = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(calm.len(), 6000);
    assert!(rough.len() > 6000, "what is received twice shows");
    assert_eq!(distinct(&rough), distinct(&calm), "all arrived, or are kept as dead letters");
}

#[test]
fn what_is_observed_has_rushes_and_a_receiver_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (letters, report) = (folder.path().join("dead"), folder.path().join("report.json"));
    let run = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(["run", root().join("pipelines/observed.yaml").to_str().unwrap(), "-q"])
        .args(["--http", "127.0.0.1:0", "--speed", "max", "--duration", "1h"])
        .args(["--set", &format!("dead_letter.path={}", letters.display())])
        .args(["--set", "sinks.hub.delivery.chaos.outages=[]"])
        .args(["--set", "sinks.hub.delivery.chaos.latency.rate=0"])
        .args(["--set", "sinks.hub.delivery.retry.initial_backoff_ms=1"])
        .args(["--report", report.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let figures = &report["statistics"];
    let number = |value: &Value| value.as_u64().unwrap();
    assert!(number(&figures["events_derived"]) > 0, "no rush");
    assert!(number(&figures["delivery_attempts_failed"]) > 0, "no attempt failed");
    let stages = figures["stages"].as_array().unwrap();
    let [lake, hub] = ["lake", "hub"].map(|name| stages.iter().find(|it| it["stage"] == name));
    let (lake, hub) = (lake.unwrap(), hub.unwrap());
    let refused = number(&hub["dead_lettered"]["chaos"]);
    assert!(refused > 0, "{hub}");
    assert_eq!(number(&lake["sent"]), number(&hub["sent"]) + refused);
    let kept = std::fs::read_to_string(letters).unwrap();
    assert_eq!(kept.lines().count() as u64, refused);
}
