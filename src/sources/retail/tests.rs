//! The source by itself: how it keeps the pace, what its watermarks promise, and going on from a
//! state.

use futures::FutureExt;
use serde_json::json;

use super::*;
use crate::clock::{Clock, Speed};
use crate::event::Event;

mod resume;

const NOON: &str = "2024-11-29T17:00:00Z";

fn settings(more: &serde_json::Value) -> Retail {
    let mut settings = json!({
        "stores": 3, "dcs": 2, "customers": 200, "products": 60, "visitors_per_day": 80,
        "emit": ["transactions", "inventory", "customers", "operations", "marketing", "online"],
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn clock(speed: Speed) -> Clock {
    Clock::new(Some(noon()), speed, false)
}

fn source(settings: Retail) -> Box<Chain> {
    let seed = settings.seed.unwrap_or(42);
    let world = World::generate(seed, settings.volume());
    let trace_ids = TraceIds::new(seed, 0);
    Box::new(Chain { settings, seed, world, weights: None, shard: Shard::WHOLE, trace_ids })
}

/// The source on a clock, up to an end, with batches of at most so many events.
async fn open(
    settings: Retail,
    clock: Clock,
    end: Option<Timestamp>,
    most: usize,
    state: Option<&State>,
) -> Result<Box<dyn Feed>, StageError> {
    let mut cx = SourceContext::for_test(clock);
    (cx.end, cx.batch_events) = (end, most);
    source(settings).open(cx, state).await
}

/// The same from the begin, for some minutes.
async fn feed(more: serde_json::Value, clock: Clock, minutes: u64, most: usize) -> Box<dyn Feed> {
    let end = noon() + Duration::from_mins(minutes);
    open(settings(&more), clock, Some(end), most, None).await.unwrap()
}

async fn rest_of(feed: &mut Box<dyn Feed>) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        batches.push(batch);
    }
    batches
}

fn lines(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(Batch::events).map(Event::to_json).collect()
}

/// Watermarks never go back, and nothing comes that one of them has ruled out.
fn assert_promises_are_kept(batches: &[Batch]) {
    let mut promised = Timestamp::MIN;
    for batch in batches {
        let first = batch.events().first().map_or(Timestamp::MAX, |event| event.time);
        assert!(first >= promised, "an event of {first} after a watermark of {promised}");
        assert!(batch.events().is_sorted_by_key(|event| event.time));
        assert!(batch.watermark() >= promised);
        promised = batch.watermark();
    }
}

#[tokio::test]
async fn at_full_speed_the_watermark_gets_to_the_end_and_keeps_what_it_promises() {
    let batches = rest_of(&mut feed(json!({}), clock(Speed::Max), 300, 256).await).await;
    assert_promises_are_kept(&batches);
    assert_eq!(batches.last().unwrap().watermark(), noon() + Duration::from_hours(5));
    let events: usize = batches.iter().map(Batch::len).sum();
    assert!(events > 1000, "{events} events");
    assert!(batches.iter().all(|batch| batch.len() <= 256));
}

#[tokio::test(start_paused = true)]
async fn the_size_of_batches_and_the_speed_change_no_event() {
    let fast = rest_of(&mut feed(json!({}), clock(Speed::Max), 120, 256).await).await;
    let small = rest_of(&mut feed(json!({}), clock(Speed::Max), 120, 7).await).await;
    let paced = rest_of(&mut feed(json!({}), clock(Speed::Factor(60.0)), 120, 256).await).await;
    let bursts = json!({ "emit_interval_ms": 10, "burst": 33 });
    let bursts = rest_of(&mut feed(bursts, clock(Speed::Factor(1.0)), 120, 256).await).await;
    let events = lines(&fast);
    for (name, other) in [("small", small), ("paced", paced), ("bursts", bursts)] {
        assert!(lines(&other) == events, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_clock_each_event_comes_at_its_time() {
    let clock = clock(Speed::Factor(30.0));
    let mut feed = feed(json!({}), clock.clone(), 90, 256).await;
    let mut batches = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        let now = clock.now();
        for event in batch.events() {
            assert!(event.time <= now + Duration::from_millis(1), "{} at {now}", event.time);
            // Timers go by whole milliseconds of the wall.
            assert!(event.time + Duration::from_millis(60) > now, "{} at {now}", event.time);
        }
        assert!(batch.watermark() <= now + Duration::from_millis(1));
        batches.push(batch);
    }
    assert_promises_are_kept(&batches);
    assert!(lines(&batches).len() > 300, "{}", lines(&batches).len());
    assert_eq!(clock.elapsed().as_secs(), 180, "90 minutes at 30 times the speed");
}

#[tokio::test(start_paused = true)]
async fn bursts_are_whole_and_on_schedule_and_a_late_one_is_caught_up_with() {
    let clock = clock(Speed::Factor(1.0));
    let mut feed =
        feed(json!({ "emit_interval_ms": 500, "burst": 40 }), clock.clone(), 60, 16).await;
    let millis = || clock.elapsed().as_millis() as u64;
    let mut burst = async || {
        let (mut told, mut at) = (0, 0);
        while told < 40 {
            let batch = feed.next().await.unwrap().unwrap();
            told += batch.len();
            at = if batch.is_empty() { at } else { millis() };
        }
        assert_eq!(told, 40);
        at
    };
    for tick in 0..5 {
        assert_eq!(burst().await, tick * 500);
    }
    tokio::time::advance(Duration::from_millis(1_600)).await;
    for _ in 5..8 {
        assert_eq!(burst().await, 3_600, "due at 2500, 3000 and 3500");
    }
    for tick in 8..11 {
        assert_eq!(burst().await, tick * 500, "on schedule again");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_past_comes_at_once_and_then_the_source_is_live() {
    let wall = clock(Speed::Max).wall();
    let clock = Clock::new(Some(wall - Duration::from_hours(2)), Speed::Factor(1.0), true);
    // There are ads by night, too.
    let more = json!({ "emit": ["ad_impression"], "ads_per_customer": 1000 });
    let end = wall + Duration::from_mins(10);
    let mut feed = open(settings(&more), clock.clone(), Some(end), 256, None).await.unwrap();
    let (mut past, mut live) = (0, 0);
    let mut batches = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        for event in batch.events() {
            if event.time <= wall {
                past += 1;
                assert!(clock.elapsed() < Duration::from_millis(5), "{:?}", clock.elapsed());
            } else {
                live += 1;
                assert!(event.time <= clock.wall() + Duration::from_millis(1));
                assert!(event.time + Duration::from_millis(5) > clock.wall());
            }
        }
        batches.push(batch);
    }
    assert_promises_are_kept(&batches);
    assert!(past > 10 && live > 0, "{past} past and {live} live ads");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_told_the_watermark_goes_with_the_clock_and_the_source_gives_way() {
    let silent = settings(&json!({ "emit": ["incident_started"] }));
    let clock = clock(Speed::Factor(10.0));
    let mut feed = open(silent.clone(), clock.clone(), None, 256, None).await.unwrap();
    for _ in 0..1_000 {
        let batch = feed.next().await.unwrap().unwrap();
        assert!(batch.is_empty());
        assert!(batch.watermark() <= clock.now() + Duration::from_millis(1));
        assert!(batch.watermark() + Duration::from_secs(2) > clock.now());
    }
    assert!(clock.elapsed() > Duration::from_secs(90), "{:?}", clock.elapsed());

    let mut feed = open(silent, self::clock(Speed::Max), None, 256, None).await.unwrap();
    let mut watermark = noon();
    for _ in 0..10 {
        let batch = feed.next().now_or_never().expect("it does not wait").unwrap().unwrap();
        assert!(batch.is_empty() && batch.watermark() > watermark);
        watermark = batch.watermark();
    }
}

#[tokio::test]
async fn each_batch_is_acknowledged_by_itself() {
    let cx = SourceContext::for_test(clock(Speed::Max));
    let ledger = cx.ledger.clone();
    let mut feed = source(settings(&json!({}))).open(cx, None).await.unwrap();
    let mut batches = Vec::new();
    for _ in 0..5 {
        batches.push(feed.next().await.unwrap().unwrap());
    }
    assert_eq!((ledger.outstanding(), ledger.mark()), (5, 5));
    batches.remove(0);
    assert_eq!(ledger.outstanding(), 4);
    drop(batches);
    assert_eq!(ledger.outstanding(), 0);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let schema = serde_json::to_value(schemars::schema_for!(Retail)).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let incident = |more: serde_json::Value| {
        let mut incident = json!({ "type": "dc_outage", "begin": "1h", "length": "2h" });
        incident.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "incidents": [incident] })
    };
    for right in [json!({ "stores": 1 }), incident(json!({})), incident(json!({ "dc": 3 }))] {
        assert!(schema.is_valid(&right), "{right}");
        assert!(serde_json::from_value::<Retail>(right.clone()).is_ok(), "{right}");
    }
    for wrong in [
        json!({ "stores": 0 }),
        json!({ "burst": 0 }),
        json!({ "shops": 4 }),
        json!({ "emit": ["receipts"] }),
        json!({ "weekend": "quiet" }),
        json!({ "threads": 0 }),
        json!({ "visitors_per_day": "many" }),
        incident(json!({ "type": "fire" })),
        incident(json!({ "where": "here" })),
    ] {
        assert!(!schema.is_valid(&wrong), "{wrong}");
        assert!(serde_json::from_value::<Retail>(wrong.clone()).is_err(), "{wrong}");
    }
}
