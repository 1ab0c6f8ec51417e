//! The source by itself: bursts, mix, pace, and going on from a state.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::clock::{Clock, Speed};
use crate::problem::{Excerpt, SourceText};
use crate::retail::EventType;

const NOON: &str = "2024-11-29T12:00:00Z";

fn settings(yaml_like: serde_json::Value) -> RetailMix {
    serde_json::from_value(yaml_like).unwrap()
}

fn at(seconds: f64) -> Timestamp {
    NOON.parse::<Timestamp>().unwrap() + Duration::from_secs_f64(seconds)
}

fn clock(speed: Speed) -> Clock {
    Clock::new(Some(at(0.0)), speed, false)
}

fn bursts(settings: RetailMix, clock: Clock, seconds: f64, most: usize) -> Bursts {
    let mut cx = SourceContext::for_test(clock);
    (cx.end, cx.batch_events) = (Some(at(seconds)), most);
    let mixture = mixture(&settings);
    Bursts::new(Mix::new(settings, mixture, 42, Shard::WHOLE, TraceIds::new(42, 0)), cx)
}

fn mixture(settings: &RetailMix) -> Mixture {
    let Some(text) = &settings.weights else {
        return Mixture::Fixed(settings.event_weights.clone());
    };
    let source = SourceText { name: "weights.rhai".to_owned(), text: text.clone() };
    let script = Weights::compile(Excerpt::whole(Arc::new(source)));
    let script = script.unwrap_or_else(|problems| panic!("{problems}"));
    Mixture::scripted(script, settings.weights_interval.0)
}

async fn batches(settings: RetailMix, seconds: f64, most: usize) -> Vec<Batch> {
    rest_of(&mut bursts(settings, clock(Speed::Max), seconds, most)).await
}

async fn rest_of(bursts: &mut Bursts) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = bursts.next().await.unwrap() {
        batches.push(batch);
    }
    batches
}

fn lines(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(Batch::events).map(Event::to_json).collect()
}

#[tokio::test]
async fn each_tick_has_a_burst_at_its_time() {
    let batches = batches(RetailMix::default(), 5.0, 256).await;
    assert_eq!(batches.len(), 11, "ten ticks, and the end");
    for (tick, batch) in batches[..10].iter().enumerate() {
        let time = at(tick as f64 / 2.0);
        assert_eq!(batch.len(), 100);
        assert!(batch.events().iter().all(|event| event.time == time));
        assert_eq!(batch.watermark(), time + Duration::from_millis(500));
    }
    assert!(batches[10].is_empty() && batches[10].watermark() == at(5.0));
}

#[tokio::test]
async fn a_large_burst_comes_in_batches() {
    let batches = batches(settings(json!({ "burst": 10_000 })), 0.5, 256).await;
    let sizes: Vec<usize> = batches.iter().map(Batch::len).collect();
    assert_eq!(sizes, [vec![256; 39], vec![16, 0]].concat());
    assert!(batches[..39].iter().all(|batch| batch.watermark() == at(0.0)));
    assert_eq!(batches[39].watermark(), at(0.5));
}

#[tokio::test]
async fn a_tick_at_the_end_is_not_made() {
    let interval = json!({ "emit_interval_ms": 400, "burst": 1 });
    let batches = batches(settings(interval), 1.0, 256).await;
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 3);
    assert!(batches.iter().all(|batch| batch.watermark() <= at(1.0)));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_events_and_another_does_not() {
    let seeded = |seed: u64| batches(settings(json!({ "seed": seed })), 5.0, 256);
    let unseeded = batches(RetailMix::default(), 5.0, 256).await;
    assert_eq!(lines(&seeded(42).await), lines(&unseeded), "42 is the pipeline's");
    assert_ne!(lines(&seeded(43).await), lines(&unseeded));
}

#[tokio::test]
async fn the_size_of_batches_changes_no_event() {
    let one = batches(RetailMix::default(), 5.0, 256).await;
    let two = batches(RetailMix::default(), 5.0, 7).await;
    assert_eq!(lines(&one), lines(&two));
}

#[tokio::test]
async fn trace_ids_are_unique() {
    let batches = batches(settings(json!({ "burst": 1000 })), 20.0, 256).await;
    let ids: std::collections::HashSet<String> =
        batches.iter().flat_map(Batch::events).map(|event| event.trace_id.to_string()).collect();
    assert_eq!(ids.len(), 40_000);
}

#[tokio::test]
async fn the_mix_is_the_one_asked_for() {
    let weights = json!({ "receipt_created": 3, "customer_entered": 4, "inventory_updated": 3 });
    let asked = batches(settings(json!({ "event_weights": weights })), 100.0, 256).await;
    assert_mix(&asked, &serde_json::from_value(weights).unwrap());
    let default = batches(RetailMix::default(), 100.0, 256).await;
    assert_mix(&default, &EventWeights::default());
}

#[tokio::test]
async fn shards_that_have_less_than_an_event_of_each_burst_take_turns() {
    let shard = Shard { index: 2, count: 4 };
    let one = settings(json!({ "burst": 1, "stores": 4 }));
    let bursts = || {
        let mut cx = SourceContext::for_test(clock(Speed::Max));
        cx.end = Some(at(6.0));
        let mixture = mixture(&one);
        Bursts::new(Mix::new(one.clone(), mixture, 42, shard, TraceIds::new(42, 0).cell(3)), cx)
    };
    let whole = rest_of(&mut bursts()).await;
    let sizes: Vec<usize> = whole.iter().map(Batch::len).collect();
    assert_eq!(sizes, [0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);

    let mut first = bursts();
    for _ in 0..5 {
        first.next().await.unwrap();
    }
    let mut second = bursts();
    second.restore(&first.state()).unwrap();
    assert_eq!(lines(&rest_of(&mut second).await), lines(&whole)[1..]);
}

#[tokio::test]
async fn a_script_weighs_the_types_anew_in_each_interval() {
    let script = "fn weight(event_type, ctx) {
        if ctx.hour == 13 { return 0; }
        switch event_type {
            \"receipt_created\" | \"ad_impression\" => 1e307 * ctx.hour,
            \"store_opened\" => 1,
            _ => 0,
        }
    }";
    let hourly =
        json!({ "weights": script, "weights_interval": "1h", "emit_interval_ms": 600_000 });
    let batches = batches(settings(hourly), 3.0 * 3600.0, 256).await;
    let sizes: Vec<usize> = batches.iter().map(Batch::len).collect();
    assert_eq!(sizes[..18], [[100; 6], [0; 6], [100; 6]].concat());
    let large = [EventType::ReceiptCreated, EventType::AdImpression].map(EventType::key);
    let mut events = batches.iter().flat_map(Batch::events);
    assert!(events.all(|event| large.contains(&event.event_type)));
}

#[tokio::test]
async fn the_mix_of_a_script_is_the_one_asked_for() {
    let script = "fn weight(event_type, ctx) {
        if event_type in [\"receipt_created\", \"ad_impression\"] { 0.3 } else { 0.02 * ctx.weekday }
    }";
    let scripted = batches(settings(json!({ "weights": script })), 100.0, 256).await;
    let weight = |event_type| match event_type {
        EventType::ReceiptCreated | EventType::AdImpression => (event_type, 0.3),
        _ => (event_type, 0.1),
    };
    assert_mix(&scripted, &EventWeights::new(EventType::ALL.map(weight)).unwrap());
}

/// Chi-square against the shares; types without a share must not come at all.
fn assert_mix(batches: &[Batch], weights: &EventWeights) {
    let mut counts = [0.0; EventType::COUNT];
    for event in batches.iter().flat_map(Batch::events) {
        counts[EventType::from_key(event.event_type).unwrap() as usize] += 1.0;
    }
    let total: f64 = counts.iter().sum();
    let mut distance: f64 = 0.0;
    let mut degrees: f64 = -1.0;
    for event_type in EventType::ALL {
        let count: f64 = counts[event_type as usize];
        let expected = weights.share(event_type) * total;
        if expected > 0.0 {
            distance += (count - expected).powi(2) / expected;
            degrees += 1.0;
        } else {
            assert!(count < 1.0, "{event_type} has no weight");
        }
    }
    // The mean of the distribution is its degrees of freedom, its variance twice that.
    assert!(distance < degrees + 4.0 * (2.0 * degrees).sqrt(), "{distance}");
}

#[tokio::test]
async fn nights_are_quieter_with_realistic_hours() {
    let quiet = settings(json!({ "realistic_hours": true, "emit_interval_ms": 3_600_000 }));
    let batches = batches(quiet, 24.0 * 3600.0, 256).await;
    let burst = |hours_from_noon: usize| batches[hours_from_noon].len();
    assert!(burst(0) > 95, "noon: only stores do not open or close now");
    assert!(burst(14) < 30, "two at night");
    assert_eq!(batches.len(), 25, "a tick without events still tells the time");
}

#[tokio::test(start_paused = true)]
async fn ticks_are_paced_and_a_late_one_is_caught_up_with() {
    let clock = clock(Speed::Factor(2.0));
    let mut bursts = bursts(RetailMix::default(), clock.clone(), 4.0, 256);
    let millis = || clock.elapsed().as_millis();
    for tick in 0..3 {
        bursts.next().await.unwrap();
        assert_eq!(millis(), tick * 250);
    }
    tokio::time::advance(Duration::from_millis(600)).await;
    for _ in 3..5 {
        bursts.next().await.unwrap();
        assert_eq!(millis(), 1100, "due at 750 and 1000");
    }
    bursts.next().await.unwrap();
    assert_eq!(millis(), 1250, "on schedule again");
    rest_of(&mut bursts).await;
    assert_eq!(millis(), 2000, "the end");
}

#[tokio::test]
async fn each_batch_is_acknowledged_by_itself() {
    let mut bursts = bursts(RetailMix::default(), clock(Speed::Max), 1.0, 64);
    let batches = rest_of(&mut bursts).await;
    let ledger = &bursts.cx.ledger;
    assert_eq!((ledger.outstanding(), ledger.mark()), (4, 4));
    drop(batches);
    assert_eq!(ledger.outstanding(), 0);
}

/// The batches of a run that is stopped after `cut` of them, and gone on with from its state.
async fn cut(settings: RetailMix, seconds: f64, most: usize, cut: usize) -> Vec<Batch> {
    let mut first = bursts(settings.clone(), clock(Speed::Max), seconds, most);
    let mut batches = Vec::new();
    while batches.len() < cut
        && let Some(batch) = first.next().await.unwrap()
    {
        batches.push(batch);
    }
    let state = first.state();
    let kept: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    let mut second = bursts(settings, clock(Speed::Max), seconds, most);
    second.restore(&kept).unwrap();
    batches.append(&mut rest_of(&mut second).await);
    batches
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn a_run_that_goes_on_from_its_state_makes_the_events_of_one_that_was_never_stopped(
        seed: u64,
        interval in 1_u64..7_200_000,
        burst in 1_u32..400,
        most in 1_usize..64,
        part in 0.0..1.1,
        realistic_hours: bool,
        scripted: bool,
        stores in 1_u32..300,
        products in 1_u32..3_000,
    ) {
        let settings = settings(json!({
            "seed": seed, "emit_interval_ms": interval, "burst": burst,
            "realistic_hours": realistic_hours, "stores": stores, "products": products,
            "dcs": 1 + stores / 9, "customers": 50, "weights_interval": "7h",
            "weights": scripted.then_some(
                "fn weight(event_type, ctx) { if ctx.hour % 5 == 0 { 0 } else { ctx.hour } }"
            ),
        }));
        let seconds = (interval * (1 + 3_000 / u64::from(burst))) as f64 / 1000.0;
        futures::executor::block_on(async {
            let uncut = batches(settings.clone(), seconds, most).await;
            let place = (uncut.len() as f64 * part) as usize;
            let cut = cut(settings, seconds, most, place).await;
            assert!(lines(&cut) == lines(&uncut), "cut after batch {place}");
        });
    }
}

#[tokio::test]
async fn two_legs_make_the_events_of_one_run_that_is_as_long() {
    let odd = settings(json!({ "emit_interval_ms": 400 }));
    let mut first = bursts(odd.clone(), clock(Speed::Max), 1.0, 256);
    let mut both = rest_of(&mut first).await;
    let mut second = bursts(odd.clone(), clock(Speed::Max), 2.0, 256);
    second.restore(&first.state()).unwrap();
    both.append(&mut rest_of(&mut second).await);
    assert_eq!(lines(&both), lines(&batches(odd, 2.0, 256).await));
}

#[tokio::test]
async fn a_state_is_small_after_many_events() {
    let mut bursts = bursts(RetailMix::default(), clock(Speed::Max), 500.0, 256);
    rest_of(&mut bursts).await;
    let state = serde_json::to_string(&bursts.state()).unwrap();
    assert!(state.len() < 200_000, "{} bytes", state.len());
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let good = bursts(RetailMix::default(), clock(Speed::Max), 1.0, 256).state();
    let mut good: serde_json::Value = good.read().unwrap();
    // The tree of values has no room for numbers of 128 bits.
    good["factory"]["random"]["state"] = json!(7);
    for (pointer, wrong) in [
        ("", json!(null)),
        ("/left", json!(0)),
        ("/left", json!(101)),
        ("/factory/hours", json!(["o"])),
        ("/factory/hours/0", json!("x")),
        ("/factory/sequence", json!(u64::MAX)),
        ("/factory/stock", json!([[1, 1, i64::MAX]])),
        ("/factory/stock", json!([[1_u64 << 40, 1, 1]])),
        (
            "/factory/visits",
            json!([{
                "id": "V", "trace": null, "store": 1, "customer": 1, "zone": 6
            }]),
        ),
    ] {
        let mut state = good.clone();
        *state.pointer_mut(pointer).unwrap() = wrong;
        let mut bursts = bursts(RetailMix::default(), clock(Speed::Max), 1.0, 256);
        assert!(bursts.restore(&State::of(&state)).is_err(), "{pointer}");
    }
    let mut bursts = bursts(RetailMix::default(), clock(Speed::Max), 1.0, 256);
    bursts.restore(&State::of(&good)).unwrap();
}

#[test]
fn a_state_of_another_script_is_refused() {
    let scripted = |script: &str| {
        let settings = settings(json!({ "weights": script }));
        bursts(settings, clock(Speed::Max), 1.0, 256)
    };
    let script = "fn weight(event_type, ctx) { 1 }";
    let state = scripted(script).state();
    scripted(script).restore(&state).unwrap();
    let other = scripted("fn weight(event_type, ctx) { 2 }").restore(&state).unwrap_err();
    assert!(other.to_string().contains("the script of `weights` was changed"), "{other}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let schema = serde_json::to_value(schemars::schema_for!(RetailMix)).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&json!({ "burst": 100, "event_weights": { "truck_arrived": 1 } })));
    for wrong in [
        json!({ "burst": 0 }),
        json!({ "stores": 0 }),
        json!({ "brust": 100 }),
        json!({ "emit_interval_ms": 0 }),
        json!({ "event_weights": { "receipt": 1 } }),
        json!({ "event_weights": { "receipt_created": -1 } }),
        json!({ "event_weights": {} }),
    ] {
        assert!(!schema.is_valid(&wrong), "{wrong}");
        assert!(serde_json::from_value::<RetailMix>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn the_defaults_are_in_the_schema() {
    let schema = serde_json::to_value(schemars::schema_for!(RetailMix)).unwrap();
    assert_eq!(schema["properties"]["burst"]["default"], json!(100));
    let weight = &schema["properties"]["event_weights"]["default"]["receipt_created"];
    assert_eq!(*weight, json!(0.15));
}
