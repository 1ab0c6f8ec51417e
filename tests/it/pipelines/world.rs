//! The pipelines over a `retail` source: what they show is there, and their rules see it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{assert_caused, assert_keeps_the_contract, of_type, output, root};

#[test]
fn quickstart_streams_correlated_events_that_keep_the_contract() {
    let events = output("quickstart", &["--duration", "30m"]);
    let (rushes, told): (Vec<Value>, Vec<Value>) =
        events.iter().cloned().partition(|event| event["event_type"] == "door_rush");
    assert_keeps_the_contract(&told);
    let receipts = of_type(&events, "receipt_created");
    assert!(receipts.len() > 50, "{} receipts", receipts.len());
    for receipt in receipts {
        let payload = &receipt["payload"];
        assert_eq!(payload["high_value"], payload["total"].as_f64().unwrap() > 100.0);
    }
    let stock = of_type(&events, "inventory_updated");
    let sales: Vec<&Value> =
        stock.into_iter().filter(|movement| movement["payload"]["reason"] == "SALE").collect();
    assert!(sales.len() > 500, "{} sales", sales.len());
    assert_caused(&events, &sales);
    assert!(rushes.len() > 10, "{} rushes", rushes.len());
    assert_caused(&events, &rushes.iter().collect::<Vec<_>>());
}

#[test]
fn the_first_ten_minutes_of_the_quickstart_have_something_of_everything() {
    let events = output("quickstart", &["--duration", "10m"]);
    for name in [
        "receipt_created",
        "receipt_line_added",
        "payment_processed",
        "promotion_applied",
        "inventory_updated",
        "reorder_triggered",
        "customer_entered",
        "customer_zone_changed",
        "ble_ping_detected",
        "ad_impression",
        "store_opened",
        "door_rush",
    ] {
        assert!(!of_type(&events, name).is_empty(), "no {name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let seven = output("quickstart", &["--events", "2000", "--seed", "7"]);
    assert!(seven == output("quickstart", &["--events", "2000", "--seed", "7"]));
    assert!(seven != output("quickstart", &["--events", "2000", "--seed", "8"]));
}

#[test]
fn black_friday_has_more_receipts_than_thanksgiving_and_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let days = format!("sinks.days.with.path={}/{{date}}.ndjson.gz", folder.path().display());
    // Thursday and Friday, in a small chain.
    let small = [
        ["--set", "clock.start=2024-11-28T05:00:00Z"],
        ["--duration", "48h"],
        ["--set", "sources.chain.with.stores=2"],
        ["--set", "sources.chain.with.customers=500"],
        ["--set", &days],
    ];
    let hours = output("black_friday_week", &small.concat());
    let by_itself = [small.concat(), vec!["--set", "sources.chain.with.weights=null"]].concat();
    let by_itself = output("black_friday_week", &by_itself);
    let receipts = |hours: &[Value], day: &str| -> i64 {
        let of_day = |hour: &&Value| hour["payload"]["hour"].as_str().unwrap().starts_with(day);
        let of_day = hours.iter().filter(of_day);
        of_day.map(|hour| hour["payload"]["receipts"].as_i64().unwrap()).sum()
    };
    assert!(hours.len() > 15, "{} hours", hours.len());
    let [thursday, friday] = ["2024-11-28", "2024-11-29"].map(|day| receipts(&hours, day));
    assert!(friday > 2 * thursday && thursday > 20, "{thursday} and {friday} receipts");
    let unweighted = receipts(&by_itself, "2024-11-29");
    assert!(friday * 10 > unweighted * 14, "{friday} with the script, {unweighted} without");
    assert!(folder.path().join("2024-11-29.ndjson.gz").exists());
}

#[test]
fn silent_tills_are_noticed_while_their_outage_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.ndjson");
    let set = format!("sinks.truth.with.path={}", path.display());
    let alerts = output("store_outage", &["--duration", "20h", "--set", &set]);
    let truth = std::fs::read_to_string(path).unwrap();
    let truth: Vec<Value> = truth.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_keeps_the_contract(&truth);
    let [begin, end] = &truth[..] else { panic!("one incident begins and ends: {truth:?}") };
    assert_eq!(begin["payload"]["incident_type"], "TILL_OUTAGE");
    let silent = of_type(&alerts, "tills_silent");
    let heard = of_type(&alerts, "tills_heard_again");
    let of_store = |alerts: &[&Value]| {
        let store = &begin["payload"]["store_id"];
        let of_store = alerts.iter().filter(|alert| alert["payload"]["store_id"] == *store);
        let times: Vec<String> =
            of_store.map(|alert| alert["ingest_timestamp"].as_str().unwrap().into()).collect();
        times
    };
    let [[noticed], [over]] = [&of_store(&silent)[..], &of_store(&heard)[..]] else {
        panic!("one alert: {alerts:?}")
    };
    let instant = |event: &Value| event["ingest_timestamp"].as_str().unwrap().to_owned();
    assert!(instant(begin) < *noticed && *noticed < instant(end), "{noticed}");
    assert!(instant(end) < *over, "{over}");
}

#[test]
fn what_sold_most_in_the_last_hour_is_told_every_ten_minutes() {
    let events = output("hot_products", &[]);
    let (hot, records) = (of_type(&events, "product_hour"), of_type(&events, "product_record"));
    assert!(hot.len() > 100 && records.len() >= 18, "{} {}", hot.len(), records.len());
    let instant = |event: &Value, name: &str| {
        event["payload"][name].as_str().unwrap().parse::<engine::event::Timestamp>().unwrap()
    };
    for product in &hot {
        let (start, end) = (instant(product, "window_start"), instant(product, "window_end"));
        assert_eq!(end.since(start).as_secs(), 3600, "{product}");
        assert_eq!(end.as_seconds() % 600, 0, "{product}");
        assert!(product["payload"]["units"].as_i64().unwrap() >= 25, "{product}");
        // Results are in the next stage's window by their time, the last instant of their own.
        let in_record = |record: &&&Value| instant(record, "window_end") == end;
        let record = records.iter().find(in_record).unwrap();
        let most = record["payload"]["most_units"].as_i64().unwrap();
        assert!(most >= product["payload"]["units"].as_i64().unwrap(), "{product}");
    }
}

#[test]
fn who_leaves_without_a_purchase_is_told_and_counted_by_the_hour() {
    let events =
        output("abandoned_visits", &["--set", "correlators.abandoned.with.passthrough=true"]);
    let abandoned = of_type(&events, "visit_abandoned");
    assert!(abandoned.len() > 100, "{}", abandoned.len());
    assert_caused(&events, &abandoned);
    let session = |event: &Value| event["session_id"].as_str().unwrap().to_owned();
    let buyers: BTreeSet<String> =
        of_type(&events, "receipt_created").iter().map(|receipt| session(receipt)).collect();
    let mut visits = BTreeSet::new();
    for visit in &abandoned {
        assert!(visits.insert(session(visit)), "twice: {visit}");
        assert!(!buyers.contains(&session(visit)), "{visit}");
    }
    let entries = of_type(&events, "customer_entered");
    let early = entries.iter().filter(|entry| {
        entry["ingest_timestamp"].as_str().unwrap() < "2024-11-29T17:30"
            && !buyers.contains(&session(entry))
    });
    assert_eq!(early.count(), abandoned.len(), "and nobody is left out");
    let only = output("abandoned_visits", &[]);
    let hours = of_type(&only, "abandoned_hour");
    let told = of_type(&only, "visit_abandoned").len() as i64;
    let counted: i64 = hours.iter().map(|hour| hour["payload"]["visits"].as_i64().unwrap()).sum();
    assert_eq!(counted, told);
}

#[test]
fn a_receipt_is_joined_with_its_payment_once_or_told_as_unpaid() {
    let events = output("paid_receipts", &["--set", "correlators.paid.with.passthrough=true"]);
    let (paid, unpaid) = (of_type(&events, "receipt_paid"), of_type(&events, "receipt_unpaid"));
    assert!(paid.len() > 80 && unpaid.len() > 1, "{} {}", paid.len(), unpaid.len());
    assert_caused(&events, &[paid.clone(), unpaid.clone()].concat());
    let mut receipts = BTreeSet::new();
    for event in paid.iter().chain(&unpaid) {
        assert!(receipts.insert(event["payload"]["receipt_id"].as_str().unwrap()), "{event}");
    }
    for event in paid {
        assert_eq!(event["payload"]["paid"], event["payload"]["total"], "{event}");
    }
    for event in unpaid {
        let id = &event["payload"]["receipt_id"];
        let mut payments = of_type(&events, "payment_processed").into_iter();
        let payment = payments.find(|payment| payment["payload"]["receipt_id"] == *id);
        assert!(payment.is_none_or(|it| it["payload"]["status"] != "APPROVED"), "{event}");
    }
}

#[test]
fn a_backfill_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = root().join("pipelines/backfill_90_days.yaml");
    let leg = || {
        let arguments = ["--duration", "8h", "--set", "clock.start=2024-09-02T12:00:00Z", "-q"];
        let run = Command::new(env!("CARGO_BIN_EXE_engine"))
            .current_dir(folder.path())
            .args(["run", pipeline.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        std::fs::read(folder.path().join("out/backfill_90_days/2024-09-02.ndjson.gz")).unwrap()
    };
    let unpack = |bytes: &[u8]| {
        let mut text = String::new();
        let mut file = flate2::read::MultiGzDecoder::new(bytes);
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let first = unpack(&leg());
    let both = unpack(&leg());
    assert_keeps_the_contract(&both);
    assert!(!first.is_empty() && both.len() > first.len());
    let ids: BTreeSet<&str> = both.iter().map(|it| it["trace_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), both.len(), "the second leg repeats nothing");
}

#[test]
fn the_default_world_keeps_its_invariants() {
    let count = ["--set", "sources.chain.with.customers=20000", "--events", "30000"];
    assert!(output("check_world", &count).is_empty());
}
