//! What pipelines would send, against what their settings say.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Assumptions, Measured, Prediction, SinkPrediction, predict};
use crate::component::{BuildContext, Component, Kind, Settings};
use crate::plan::Plan;
use crate::problem::Problems;
use crate::registry::built_in;
use crate::spec::{Document, Environment};
use crate::stage::Stage;

/// Takes the settings that matter here, and must never be built: nothing may be sent.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "settings are read from the spec")]
struct Hub {
    partition_by: Option<String>,
    partition_id: Option<String>,
    max_batch_bytes: Option<u64>,
}

impl Settings for Hub {
    const NAME: &'static str = "event_hubs";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "{}\n";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Sink(Box::new(MustNotBeOpened)))
    }
}

struct MustNotBeOpened;

#[async_trait::async_trait]
impl crate::stage::Sink for MustNotBeOpened {
    async fn open(&self) -> Result<(), crate::stage::StageError> {
        panic!("a prediction opened the sink")
    }

    async fn write(&self, _: &crate::event::Batch) -> crate::stage::Outcome {
        panic!("a prediction wrote to the sink")
    }
}

fn components() -> Vec<Component> {
    let others = built_in().into_iter().filter(|it| (it.name, it.kind) != (Hub::NAME, Hub::KIND));
    others.chain([Component::of::<Hub>()]).collect()
}

async fn predicted(yaml: &str, partitions: usize, minutes: u64) -> Result<Prediction, Problems> {
    let document = Document::parse("test.yaml", yaml, ".", &Environment::default()).unwrap();
    let plan = Plan::new(document, &components()).map_err(|it| it.to_string()).unwrap().0;
    let span = Some(Duration::from_mins(minutes));
    predict(plan, Assumptions { partitions, span }).await
}

async fn only_sink(yaml: &str, partitions: usize, minutes: u64) -> SinkPrediction {
    let prediction = predicted(yaml, partitions, minutes).await.unwrap();
    let [sink] = &prediction.sinks[..] else { panic!("{prediction:?}") };
    sink.clone()
}

async fn measured(yaml: &str, partitions: usize, minutes: u64) -> Measured {
    only_sink(yaml, partitions, minutes).await.measured.unwrap()
}

/// A hundred events in half a second of event time.
fn mix(speed: &str, sink: &str) -> String {
    format!(
        "clock: {{ start: 2024-11-29T10:00:00Z, speed: {speed} }}\n\
         sources:\n  stores: {{ type: retail_mix }}\n\
         sinks:\n  hub: {{ type: event_hubs, inputs: [stores]{sink} }}\n"
    )
}

fn assert_near(value: f64, wanted: f64, tolerance: f64) {
    assert!((value - wanted).abs() <= wanted * tolerance, "{value} is not near {wanted}");
}

#[tokio::test]
async fn the_wall_rate_is_the_rate_of_event_time_times_the_speed() {
    for speed in ["1", "60"] {
        let load = measured(&mix(speed, ""), 4, 10).await.typical.unwrap();
        let factor: f64 = speed.parse().unwrap();
        assert_near(load.events_a_second, 200.0 * factor, 0.01);
        let units = (load.events_a_second / 1000.0).max(load.bytes_a_second / 1e6).ceil();
        assert_eq!(load.throughput_units, (units as u64).max(1));
    }
}

#[tokio::test]
async fn at_full_speed_there_are_figures_of_an_event_but_no_rate() {
    let measured = measured(&mix("max", ""), 4, 10).await;
    assert_eq!((measured.typical, measured.busiest), (None, None));
    assert_eq!(measured.events, 120_000);
    assert!(measured.sent_bytes > measured.json_bytes + 100.0 && measured.json_bytes > 300.0);
    assert!(measured.largest_bytes as f64 > measured.sent_bytes);
}

#[tokio::test]
async fn a_batch_that_waits_a_second_is_a_second_of_the_wall() {
    // 200 events a second, and a batch goes after one, with 256 at most.
    let slow = measured(&mix("1", ", with: { partition_by: round_robin }"), 4, 10).await;
    assert_near(slow.events_a_send, 200.0, 0.51);
    assert_near(slow.typical.unwrap().sends_a_second, 1.0, 0.51);
    // 12 000 a second fill it.
    let fast = measured(&mix("60", ", with: { partition_by: round_robin }"), 4, 10).await;
    assert_near(fast.events_a_send, 256.0, 0.02);
    assert_near(fast.typical.unwrap().sends_a_second, 12_000.0 / 256.0, 0.05);
}

#[tokio::test]
async fn a_batch_is_parted_by_partition_and_by_size() {
    let by_key = measured(&mix("60", ""), 4, 10).await;
    assert!(by_key.events_a_send < 256.0 / 3.0, "{}", by_key.events_a_send);
    let with = ", with: { partition_by: round_robin, max_batch_bytes: 20000 }";
    let by_size = measured(&mix("60", with), 4, 10).await;
    assert!(by_size.events_a_send * by_size.sent_bytes < 20_000.0, "{}", by_size.events_a_send);
}

#[tokio::test]
async fn shares_of_partitions_follow_the_keys() {
    let one_store = mix("1", "").replace("retail_mix", "retail_mix, with: { stores: 1, dcs: 1 }");
    let hot = measured(&one_store, 8, 10).await;
    assert_eq!(hot.partition_shares.len(), 8);
    assert_near(hot.partition_shares.iter().sum(), 1.0, 1e-9);
    assert!(hot.skew() > 3.0, "{:?}", hot.partition_shares);
    let keys = hot.keys.as_ref().unwrap();
    let hottest = keys.hottest.as_ref().unwrap();
    let partition = crate::event_hubs::partition_key::partition_of(&hottest.key, 8);
    assert_eq!(partition, hot.hottest_partition());
    let many = measured(&mix("1", ""), 8, 10).await;
    assert!(many.skew() < hot.skew() && many.keys.unwrap().distinct > keys.distinct);
}

#[tokio::test]
async fn without_keys_partitions_are_even_and_with_an_id_there_is_one() {
    let even = measured(&mix("1", ", with: { partition_by: round_robin }"), 4, 1).await;
    assert_eq!((even.partition_shares, even.keys), (vec![0.25; 4], None));
    let one = measured(&mix("1", ", with: { partition_by: id, partition_id: \"2\" }"), 4, 1).await;
    assert_eq!(one.partition_shares, [0.0, 0.0, 1.0, 0.0]);
}

#[tokio::test]
async fn what_comes_from_outside_is_said_to_be_unknown() {
    let hook = "  hook: { type: http, with: { listen: \"127.0.0.1:0\" } }\n";
    let both = mix("1", "").replace("[stores]", "[stores, hook]");
    let both = both.replace("sinks:\n", &format!("{hook}sinks:\n"));
    let sink = only_sink(&both, 4, 5).await;
    assert_eq!(sink.unknown_sources, ["hook"]);
    assert_near(sink.measured.unwrap().typical.unwrap().events_a_second, 200.0, 0.01);
    let alone = both.replace("[stores, hook]", "[hook]");
    let sink = only_sink(&alone, 4, 5).await;
    assert_eq!((sink.unknown_sources, sink.measured), (vec!["hook".to_owned()], None));
}

#[tokio::test]
async fn each_sink_is_measured_by_what_its_condition_lets_in() {
    let yaml = mix("1", ", when: event.event_type == \"receipt_created\"")
        + "  rest: { type: event_hubs, inputs: [stores], when: event.event_type != \"receipt_created\" }\n";
    let prediction = predicted(&yaml, 4, 5).await.unwrap();
    let events = |place: usize| prediction.sinks[place].measured.as_ref().unwrap().events;
    assert_eq!([&prediction.sinks[0].sink, &prediction.sinks[1].sink], ["hub", "rest"]);
    assert_eq!(events(0) + events(1), 60_000);
    assert!(events(0) > 1000 && events(1) > events(0));
}

#[tokio::test]
async fn the_busiest_part_of_a_day_is_busier_than_its_typical_hour() {
    let yaml = "\
clock: { start: 2024-11-29T05:00:00Z, speed: 60 }
sources:
  chain: { type: retail, with: { stores: 2, dcs: 1, customers: 500, products: 200 } }
sinks:
  hub: { type: event_hubs, inputs: [chain] }
";
    let day = measured(yaml, 4, 24 * 60).await;
    let (typical, busiest) = (day.typical.unwrap(), day.busiest.unwrap());
    assert!(busiest.events_a_second > typical.events_a_second, "{typical:?} {busiest:?}");
    assert_near(typical.seconds, 3600.0, 1e-9);
    assert_near(busiest.seconds, 60.0, 1e-9);
}

#[tokio::test]
async fn a_run_that_its_spec_ends_is_measured_until_then() {
    let yaml = mix("1", "").replace("speed: 1", "speed: 1, events: 1000");
    let prediction = predicted(&yaml, 4, 60).await.unwrap();
    assert!(prediction.is_cut_short);
    let load = prediction.sinks[0].measured.as_ref().unwrap().typical.unwrap();
    assert_near(load.events_a_second, 200.0, 0.15);
}

#[tokio::test]
async fn lanes_share_out_partitions_and_so_cost_no_sends() {
    let in_lanes = |lanes| {
        let yaml = mix("60", "") + format!("    delivery: {{ lanes: {lanes} }}\n").as_str();
        let yaml = yaml.replace(
            "hub: { type: event_hubs, inputs: [stores] }",
            "hub:\n    type: event_hubs\n    inputs: [stores]",
        );
        async move { measured(&yaml, 4, 10).await.events_a_send }
    };
    let (one, two) = (in_lanes(1).await, in_lanes(2).await);
    assert_near(two, one, 0.05);
    assert!(in_lanes(3).await < 0.7 * one);
}
