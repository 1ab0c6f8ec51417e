//! The `retail_mix` source: bursts of retail events in a mix that the user weighs, on a schedule.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use async_stream::stream;
use futures::stream::{BoxStream, Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Clock;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event, Ledger, Timestamp, TraceIds};
use crate::problem::Problems;
use crate::retail::{EventFactory, EventWeights, Volume};
use crate::stage::{Source, SourceContext, Stage, StageError};

/// Retail events for load and shape: every interval a burst, each event drawn by weight.
///
/// Every event is valid by itself and refers to recent ones where its type does; that a payment
/// has a receipt before it, or a stockout its sales, is promised by the `retail` source only.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetailMix {
    /// What every choice derives from; the pipeline's seed by default.
    pub seed: Option<u64>,
    /// Event time between two bursts, in milliseconds.
    pub emit_interval_ms: NonZeroU64,
    /// Events per burst.
    pub burst: NonZeroU32,
    /// How often each event type is drawn. Types that are left out get 0; weights are of any
    /// scale.
    pub event_weights: EventWeights,
    /// Makes nights (UTC) and weekends quieter: events are left out of a burst by the hour and the
    /// day.
    pub realistic_hours: bool,
    /// Stores; their ids go from 1 to this number.
    #[schemars(range(max = 1_000_000))]
    pub stores: NonZeroU32,
    /// Distribution centres.
    pub dcs: NonZeroU32,
    /// Customers.
    pub customers: NonZeroU32,
    /// Products.
    pub products: NonZeroU32,
    /// The `source` of the envelopes.
    #[schemars(length(min = 1))]
    pub source: String,
}

impl Default for RetailMix {
    fn default() -> Self {
        const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
        const INTERVAL_MS: NonZeroU64 = NonZeroU64::new(500).unwrap();
        let Volume { stores, dcs, customers, products } = Volume::default();
        let volume = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            seed: None,
            emit_interval_ms: INTERVAL_MS,
            burst: BURST,
            event_weights: EventWeights::default(),
            realistic_hours: false,
            stores: volume(stores),
            dcs: volume(dcs),
            customers: volume(customers),
            products: volume(products),
            source: "retail-datagen".to_owned(),
        }
    }
}

impl Settings for RetailMix {
    const NAME: &'static str = "retail_mix";
    const KIND: Kind = Kind::Source;
    const EXAMPLE: &'static str = "\
seed: 42
emit_interval_ms: 500
burst: 100
event_weights:
  receipt_created: 0.3
  customer_entered: 0.4
  inventory_updated: 0.3
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Source(Box::new(Mix::new(self, cx.seed, cx.trace_ids.clone()))))
    }
}

/// The running source.
struct Mix {
    factory: EventFactory,
    weights: EventWeights,
    realistic_hours: bool,
    interval: Duration,
    burst: u32,
}

impl Mix {
    fn new(settings: RetailMix, seed: u64, trace_ids: TraceIds) -> Self {
        let volume = Volume {
            stores: settings.stores.get(),
            dcs: settings.dcs.get(),
            customers: settings.customers.get(),
            products: settings.products.get(),
        };
        let factory = EventFactory::builder()
            .volume(volume)
            .seed(settings.seed.unwrap_or(seed))
            .source(settings.source)
            .trace_ids(trace_ids)
            .build();
        Self {
            factory,
            weights: settings.event_weights,
            realistic_hours: settings.realistic_hours,
            interval: Duration::from_millis(settings.emit_interval_ms.get()),
            burst: settings.burst.get(),
        }
    }

    /// Up to `most` events of a tick, out of the `left` that its burst still has to draw. At quiet
    /// hours fewer come of a draw than at busy ones.
    fn draw(&mut self, tick: Timestamp, left: &mut u32, most: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(most.min(*left as usize));
        while *left > 0 && events.len() < most {
            *left -= 1;
            let event_type = self.factory.draw_type(&self.weights);
            if !self.realistic_hours || self.factory.should_generate_event(event_type, tick) {
                events.push(self.factory.generate_event(event_type, tick));
            }
        }
        events
    }
}

impl Source for Mix {
    fn batches(
        self: Box<Self>,
        cx: SourceContext,
    ) -> BoxStream<'static, Result<Batch, StageError>> {
        Box::pin(self.bursts(cx.clock, cx.end, cx.ledger, cx.batch_events.max(1)).map(Ok))
    }
}

impl Mix {
    /// The bursts, in batches of at most `most` events. Ticks are multiples of the interval from
    /// the start on, so a late one delays none after it.
    fn bursts(
        mut self: Box<Self>,
        clock: Clock,
        end: Option<Timestamp>,
        ledger: Ledger,
        most: usize,
    ) -> impl Stream<Item = Batch> {
        let end = end.unwrap_or(Timestamp::MAX);
        stream! {
            let mut tick = clock.start();
            for number in 0_u64.. {
                if tick >= end {
                    break;
                }
                clock.sleep_until(tick).await;
                let next = (tick + self.interval).min(end);
                let mut left = self.burst;
                while left > 0 {
                    let events = self.draw(tick, &mut left, most);
                    let watermark = if left > 0 { tick } else { next };
                    let token = ledger.issue(json!({ "tick": number }));
                    yield Batch::new(events, watermark, Some(token));
                }
                tick = next;
            }
            clock.sleep_until(end).await;
            yield Batch::progress(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;
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

    fn bursts(settings: RetailMix, seconds: f64, most: usize) -> impl Stream<Item = Batch> {
        let mix = Box::new(Mix::new(settings, 42, TraceIds::new(42, 0)));
        mix.bursts(clock(Speed::Max), Some(at(seconds)), Ledger::new(), most)
    }

    async fn batches(settings: RetailMix, seconds: f64, most: usize) -> Vec<Batch> {
        bursts(settings, seconds, most).collect().await
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
        let ids: std::collections::HashSet<String> = batches
            .iter()
            .flat_map(Batch::events)
            .map(|event| event.trace_id.to_string())
            .collect();
        assert_eq!(ids.len(), 40_000);
    }

    #[tokio::test]
    async fn the_mix_is_the_one_asked_for() {
        let weights =
            json!({ "receipt_created": 3, "customer_entered": 4, "inventory_updated": 3 });
        let asked = batches(settings(json!({ "event_weights": weights })), 100.0, 256).await;
        assert_mix(&asked, &serde_json::from_value(weights).unwrap());
        let default = batches(RetailMix::default(), 100.0, 256).await;
        assert_mix(&default, &EventWeights::default());
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
        let mix = Box::new(Mix::new(RetailMix::default(), 42, TraceIds::new(42, 0)));
        let clock = clock(Speed::Factor(2.0));
        let mut bursts = Box::pin(mix.bursts(clock, Some(at(4.0)), Ledger::new(), 256));
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
        while bursts.next().await.is_some() {}
        assert_eq!(millis(), 2000, "the end");
    }

    #[tokio::test]
    async fn the_ticks_are_acknowledged_in_order() {
        let ledger = Ledger::new();
        let mix = Box::new(Mix::new(RetailMix::default(), 42, TraceIds::new(42, 0)));
        let bursts = mix.bursts(clock(Speed::Max), Some(at(1.0)), ledger.clone(), 64);
        let batches: Vec<Batch> = bursts.collect().await;
        assert_eq!((ledger.outstanding(), ledger.acknowledged()), (4, None));
        drop(batches);
        assert_eq!(ledger.acknowledged(), Some(json!({ "tick": 1 })));
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
}
