//! The `retail_mix` source: bursts of retail events in a mix that the user weighs, on a schedule.

mod mix;

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::mix::Mixture;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event, Timestamp, TraceIds};
use crate::problem::{Problem, Problems};
use crate::retail::{EventFactory, EventWeights, FactoryState, Volume};
use crate::script::Weights;
use crate::spec::{Shard, SpecDuration};
use crate::stage::{Feed, Source, SourceContext, Stage, StageError, State, StateError};

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
    /// A script with `fn weight(event_type, ctx)`, or the path of a `.rhai` file, in place of
    /// `event_weights`: how often a type is drawn may depend on the time (UTC).
    pub weights: Option<String>,
    /// Event time for which the weights of the script hold before it is asked again.
    pub weights_interval: SpecDuration,
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
            weights: None,
            weights_interval: SpecDuration(Duration::from_mins(15)),
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

    const SHARES_OUT: bool = true;
    const SIMULATES: bool = true;

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let shard = cx.shard;
        if shard.count > self.stores.get() {
            let message = format!(
                "{} shards cannot share the stores: there are {}",
                shard.count, self.stores
            );
            let problem = Problem::error(message).at(cx.document.place("/shard"));
            return Err(problem.help("run as many shards as there are `stores` at most").into());
        }
        let mixture = self.mixture(cx)?;
        Ok(Stage::Source(Box::new(Mix::new(self, mixture, cx.seed, shard, cx.trace_ids.clone()))))
    }
}

impl RetailMix {
    fn mixture(&self, cx: &BuildContext<'_>) -> Result<Mixture, Problems> {
        let Some(script) = &self.weights else {
            return Ok(Mixture::Fixed(self.event_weights.clone()));
        };
        if self.weights_interval.0.is_zero() {
            return Err(cx
                .problem("/weights_interval", "an interval of no time never ends")
                .into());
        }
        if cx.has("/event_weights") {
            let message = "`event_weights` and `weights` both say how often each type is drawn";
            return Err(cx.problem("/event_weights", message).help("keep one of them").into());
        }
        let script = Weights::compile(cx.script("/weights", script)?)?;
        let problems = script.check_for_mix();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Mixture::scripted(script, self.weights_interval.0))
    }
}

/// The running source.
struct Mix {
    factory: EventFactory,
    mixture: Mixture,
    realistic_hours: bool,
    interval: Duration,
    burst: u32,
    shard: Shard,
}

impl Mix {
    fn new(
        settings: RetailMix,
        mixture: Mixture,
        seed: u64,
        shard: Shard,
        trace_ids: TraceIds,
    ) -> Self {
        let volume = Volume {
            stores: settings.stores.get(),
            dcs: settings.dcs.get(),
            customers: settings.customers.get(),
            products: settings.products.get(),
        };
        let factory = EventFactory::builder()
            .volume(volume)
            .shard(shard.index, shard.count)
            .seed(settings.seed.unwrap_or(seed))
            .source(settings.source)
            .trace_ids(trace_ids)
            .build();
        Self {
            factory,
            mixture,
            realistic_hours: settings.realistic_hours,
            interval: Duration::from_millis(settings.emit_interval_ms.get()),
            burst: settings.burst.get(),
            shard,
        }
    }

    /// How many events this shard draws at a tick: the bursts of all shards add up to the burst.
    fn burst_at(&self, tick: Timestamp, start: Timestamp) -> u32 {
        let round = tick.since(start).as_millis() / self.interval.as_millis().max(1);
        self.shard.part_of(self.burst, round as u64)
    }

    /// Up to `most` events of a tick, out of the `left` that its burst still has to draw. At quiet
    /// hours fewer come of a draw than at busy ones.
    fn draw(&mut self, tick: Timestamp, left: &mut u32, most: usize) -> Vec<Event> {
        let Some(weights) = self.mixture.at(tick) else {
            *left = 0;
            return Vec::new();
        };
        let mut events = Vec::with_capacity(most.min(*left as usize));
        while *left > 0 && events.len() < most {
            *left -= 1;
            let event_type = self.factory.draw_type(weights);
            if !self.realistic_hours || self.factory.should_generate_event(event_type, tick) {
                events.push(self.factory.generate_event(event_type, tick));
            }
        }
        events
    }
}

#[async_trait]
impl Source for Mix {
    fn keeps_contract(&self) -> bool {
        true
    }

    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let mut bursts = Bursts::new(*self, cx);
        if let Some(state) = state {
            bursts.restore(state)?;
        }
        Ok(Box::new(bursts))
    }
}

/// A point of the schedule, and what the factory remembers there.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BurstsState {
    tick: Timestamp,
    left: u32,
    /// The script that gave the weights, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    factory: FactoryState,
}

/// The source at a point of its schedule. Ticks are multiples of the interval from the start on,
/// so a late one delays none after it.
struct Bursts {
    mix: Mix,
    cx: SourceContext,
    end: Timestamp,
    /// The next tick; beyond the end once the last one is made, for the run that goes on from here.
    tick: Timestamp,
    /// How many events the burst of this tick still has to draw.
    left: u32,
    /// Whether the end was told.
    ended: bool,
}

impl Bursts {
    fn new(mix: Mix, cx: SourceContext) -> Self {
        let (tick, end) = (cx.clock.start(), cx.end.unwrap_or(Timestamp::MAX));
        Self { left: mix.burst_at(tick, tick), mix, cx, end, tick, ended: false }
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let BurstsState { tick, left, weights, factory } = state.read()?;
        if weights.as_deref() != self.mix.mixture.fingerprint() {
            return Err(StateError("the script of `weights` was changed".to_owned()));
        }
        let burst = self.mix.burst_at(tick, self.cx.clock.start());
        if left > burst || left == 0 && burst > 0 {
            return Err(StateError(format!("a burst of {burst} cannot have {left} left")));
        }
        self.mix.factory.restore(factory).map_err(StateError)?;
        (self.tick, self.left) = (tick, left);
        Ok(())
    }
}

#[async_trait]
impl Feed for Bursts {
    /// The next part of the burst that is due, of a batch's size at most.
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        if self.ended {
            return Ok(None);
        }
        self.cx.clock.sleep_until(self.tick.min(self.end)).await;
        if self.tick >= self.end {
            self.ended = true;
            return Ok(Some(Batch::progress(self.end)));
        }
        let tick = self.tick;
        let events = self.mix.draw(tick, &mut self.left, self.cx.batch_events.max(1));
        if self.left == 0 {
            self.tick = tick + self.mix.interval;
            self.left = self.mix.burst_at(self.tick, self.cx.clock.start());
        }
        let token = self.cx.ledger.issue(serde_json::Value::Null);
        Ok(Some(Batch::new(events, self.tick.min(self.end), Some(token))))
    }

    fn state(&self) -> State {
        let (tick, left) = (self.tick, self.left);
        let weights = self.mix.mixture.fingerprint().map(str::to_owned);
        State::of(&BurstsState { tick, left, weights, factory: self.mix.factory.state() })
    }
}

#[cfg(test)]
mod tests;
