//! The `retail` source: the simulated chain, told at the pace of the clock or in bursts.

mod emit;
mod incident;
mod master_data;
mod pace;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::emit::Emit;
use self::incident::IncidentSettings;
use self::master_data::MasterDataSettings;
use self::pace::{Pace, PaceState};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Text, Timestamp, TraceIds};
use crate::problem::{Problem, Problems};
use crate::retail::{
    Calendar, CellShard, Simulation, SimulationOptions, Volume, Weekend, Weigh, World,
};
use crate::script::Weights;
use crate::spec::{Document, Shard, SpecDuration};
use crate::stage::{Feed, Source, SourceContext, Stage, StageError, State, StateError};

/// A simulated retail chain in which everything agrees with everything: a receipt has its lines,
/// each line its stock movement, each reorder its truck, each visit its shopper, each attributed
/// purchase its ad.
///
/// It is one world behind all events: stores in time zones, with tiers, formats, hours and weather;
/// products, customers, trucks, campaigns, promotions. The same seed gives the same events, at any
/// speed and in any number of threads.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retail {
    /// What every choice derives from; the pipeline's seed by default.
    pub seed: Option<u64>,
    /// Stores; their ids go from 1 to this number.
    #[schemars(range(max = 100_000))]
    pub stores: NonZeroU32,
    /// Distribution centres. Each supplies its own stores, and is a cell of the simulation.
    #[schemars(range(max = 1_000))]
    pub dcs: NonZeroU32,
    /// Customers.
    #[schemars(range(max = 50_000_000))]
    pub customers: NonZeroU32,
    /// Products.
    #[schemars(range(max = 1_000_000))]
    pub products: NonZeroU32,
    /// Files with your own stores, distribution centres, products, customers and trucks.
    pub master_data: MasterDataSettings,
    /// What is told, by families (`transactions`, `inventory`, `customers`, `operations`,
    /// `marketing`, `online`, `incidents`) or by single types; all of the first five by default.
    /// The world is the same whatever is told of it, but that nobody orders online where nothing of
    /// `online` is told.
    pub emit: Emit,
    /// How weekends differ from weekdays.
    pub weekend: Weekend,
    /// How many groups come into a store of a mean medium volume on a mean day. Raise it for more
    /// events from the same stores.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub visitors_per_day: f64,
    /// How many ads a customer is shown on a mean day.
    #[schemars(range(min = 0, max = 1_000))]
    pub ads_per_customer: f64,
    /// How many orders a customer makes online on a mean day.
    #[schemars(range(min = 0, max = 100))]
    pub orders_per_customer: f64,
    /// A script with `fn weight(event_type, ctx)`, or the path of a `.rhai` file: how many times as
    /// often something happens at a time in a store. It may weigh `customer_entered` (how many come
    /// in), `receipt_created` (how many of them buy), `ble_ping_detected` (how often beacons hear
    /// them), `promotion_applied` (how much more of promoted products is bought), `ad_impression`
    /// and `online_order_created`; all else follows from these.
    pub weights: Option<String>,
    /// How long the rates of a store stay as they are before hour and weights are looked at again,
    /// in event time.
    pub weights_interval: SpecDuration,
    /// What goes wrong, and when.
    pub incidents: Vec<IncidentSettings>,
    /// In place of the clock's pace: every so many milliseconds a burst. Event time then goes as
    /// fast as that.
    pub emit_interval_ms: Option<NonZeroU64>,
    /// How many events a burst has; 100 by default, with `emit_interval_ms`.
    pub burst: Option<NonZeroU32>,
    /// How many threads simulate; by default one less than the machine has cores. The events are
    /// the same.
    pub threads: Option<NonZeroUsize>,
    /// The `source` of the envelopes.
    #[schemars(length(min = 1))]
    pub source: String,
}

/// How many distribution centres ids can tell apart.
const CELLS_MOST: usize = 1_000;
/// Threads beyond these do not pay: what follows the simulation is one stream.
const THREADS_MOST: usize = 8;
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();

impl Default for Retail {
    fn default() -> Self {
        let Volume { stores, dcs, customers, products } = Volume::default();
        let volume = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            seed: None,
            stores: volume(stores),
            dcs: volume(dcs),
            customers: volume(customers),
            products: volume(products),
            master_data: MasterDataSettings::default(),
            emit: Emit::default(),
            weekend: Weekend::default(),
            visitors_per_day: 600.0,
            ads_per_customer: 0.4,
            orders_per_customer: 0.02,
            weights: None,
            weights_interval: SpecDuration(Duration::from_mins(15)),
            incidents: Vec::new(),
            emit_interval_ms: None,
            burst: None,
            threads: None,
            source: "retail-datagen".to_owned(),
        }
    }
}

impl Settings for Retail {
    const NAME: &'static str = "retail";
    const KIND: Kind = Kind::Source;
    const SHARES_OUT: bool = true;
    const SIMULATES: bool = true;
    const EXAMPLE: &'static str = "\
seed: 42
stores: 20
customers: 20000
products: 1000
emit: [transactions, inventory, customers, operations, marketing]
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Problems::default();
        if self.burst.is_some() && self.emit_interval_ms.is_none() {
            let problem = cx.problem("/burst", "`burst` has no interval");
            problems.push(problem.help("set `emit_interval_ms`, or leave the pace to the clock"));
        }
        if self.weights_interval.0 < Duration::from_secs(1) {
            let message = "`weights_interval` is shorter than a second";
            problems.push(cx.problem("/weights_interval", message));
        }
        let seed = self.seed.unwrap_or(cx.seed);
        let weights = self.weights(cx).unwrap_or_else(|found| {
            problems.append(found);
            None
        });
        match self.world(cx.seed, cx.document, &format!("{}/with", cx.pointer)) {
            Ok(world) => {
                problems.extend(cell_problem(&world, cx));
                problems.extend(self.incident_problems(&world, cx));
                if problems.has_errors() {
                    return Err(problems);
                }
                let (shard, trace_ids) = (cx.shard, cx.trace_ids.clone());
                let chain = Chain { settings: self, seed, world, weights, shard, trace_ids };
                Ok(Stage::Source(Box::new(chain)))
            }
            Err(found) => {
                problems.append(found);
                Err(problems)
            }
        }
    }
}

/// What is wrong with the number of cells: shards share them out, and ids tell them apart.
fn cell_problem(world: &World, cx: &BuildContext<'_>) -> Option<Problem> {
    let cells = world.dcs.len();
    if cells > CELLS_MOST {
        let message = format!("there are {cells} distribution centres; {CELLS_MOST} is the limit");
        return Some(cx.problem("", message));
    }
    let count = cx.shard.count as usize;
    (count > cells).then(|| {
        let message =
            format!("{count} shards cannot share the distribution centres: there are {cells}");
        let problem = Problem::error(message).at(cx.document.place("/shard"));
        problem.help("run as many shards as there are `dcs` at most")
    })
}

impl Retail {
    /// The master data that the events refer to. `pointer` is where these settings stand in the
    /// spec, and `pipeline_seed` its seed.
    pub fn world(
        &self,
        pipeline_seed: u64,
        document: &Document,
        pointer: &str,
    ) -> Result<World, Problems> {
        let seed = self.seed.unwrap_or(pipeline_seed);
        let pointer = format!("{pointer}/master_data");
        self.master_data.world(seed, self.volume(), document, &pointer)
    }

    fn weights(&self, cx: &BuildContext<'_>) -> Result<Option<Weights>, Problems> {
        let Some(script) = &self.weights else { return Ok(None) };
        let weights = Weights::compile(cx.script("/weights", script)?)?;
        let problems = weights.check_for_world();
        if problems.is_empty() { Ok(Some(weights)) } else { Err(problems) }
    }

    fn volume(&self) -> Volume {
        Volume {
            stores: self.stores.get(),
            dcs: self.dcs.get(),
            customers: self.customers.get(),
            products: self.products.get(),
        }
    }

    fn incident_problems(&self, world: &World, cx: &BuildContext<'_>) -> Vec<Problem> {
        let check = |(place, incident): (usize, &IncidentSettings)| {
            let at = format!("/incidents/{place}");
            incident.check(world).err().map(|message| cx.problem(&at, message))
        };
        self.incidents.iter().enumerate().filter_map(check).collect()
    }

    fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map_or_else(|| cores().saturating_sub(1), NonZeroUsize::get);
        threads.clamp(1, THREADS_MOST)
    }
}

/// The source before it is opened.
struct Chain {
    settings: Retail,
    seed: u64,
    world: World,
    weights: Option<Weights>,
    shard: Shard,
    trace_ids: TraceIds,
}

#[async_trait]
impl Source for Chain {
    fn keeps_contract(&self) -> bool {
        true
    }

    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let Self { settings, seed, world, weights, shard, trace_ids } = *self;
        let start = cx.clock.start();
        let options = SimulationOptions {
            seed,
            start,
            source: Text::from(settings.source.as_str()),
            emit: settings.emit.types(),
            calendar: Calendar { weekend: settings.weekend },
            visitors_per_day: settings.visitors_per_day,
            ads_per_customer: settings.ads_per_customer,
            orders_per_customer: settings.orders_per_customer,
            incidents: settings.incidents.iter().map(|it| it.at(start)).collect(),
            rates_interval: settings.weights_interval.0,
        };
        let shard = CellShard { index: shard.index, count: shard.count };
        let threads = settings.threads();
        let weigh = || weights.clone().map(|weights| Box::new(weights) as Box<dyn Weigh>);
        let simulation = Simulation::new(world, options, shard, threads, &trace_ids, weigh);
        let pace = match settings.emit_interval_ms {
            Some(interval) => {
                let burst = settings.burst.unwrap_or(BURST).get();
                Pace::bursts(start, Duration::from_millis(interval.get()), burst)
            }
            None => Pace::Clock,
        };
        let mut telling = Telling::new(simulation, pace, cx);
        if let Some(state) = state {
            telling.restore(state)?;
        }
        Ok(Box::new(telling))
    }
}

/// What is kept of the source.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct TellingState {
    simulation: String,
    pace: PaceState,
}

/// The chain as it is told.
struct Telling {
    simulation: Simulation,
    pace: Pace,
    cx: SourceContext,
    end: Timestamp,
    /// Nothing before this will be told any more.
    watermark: Timestamp,
    ended: bool,
}

impl Telling {
    fn new(simulation: Simulation, pace: Pace, cx: SourceContext) -> Self {
        let end = cx.end.unwrap_or(Timestamp::MAX);
        let watermark = cx.clock.start();
        Self { simulation, pace, cx, end, watermark, ended: false }
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let TellingState { simulation, pace } = state.read()?;
        let wrong = |error: String| StateError(format!("the chain cannot be read: {error}"));
        let memory = STANDARD_NO_PAD.decode(simulation).map_err(|it| wrong(it.to_string()))?;
        self.simulation.restore(&memory).map_err(wrong)?;
        self.pace.restore(pace);
        Ok(())
    }

    /// The next events up to an instant, of a batch's size at most.
    fn tell(&mut self, until: Timestamp, most: usize) -> Batch {
        let most = most.min(self.cx.batch_events.max(1));
        let mut events = Vec::with_capacity(most);
        self.simulation.take(until, most, &mut events);
        let told = events.last().map_or(self.watermark, |event| event.time);
        // What has not happened yet on the clock may still be overtaken by what a rule plans.
        let ahead = self.simulation.next_time(self.end).unwrap_or(self.end);
        self.watermark = ahead.min(until.max(told)).max(self.watermark);
        let token = self.cx.ledger.issue(serde_json::Value::Null);
        Batch::new(events, self.watermark, Some(token))
    }
}

#[async_trait]
impl Feed for Telling {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        if self.ended {
            return Ok(None);
        }
        let Some(next) = self.simulation.next_time(self.end) else {
            self.cx.clock.sleep_until(self.end).await;
            self.ended = true;
            return Ok(Some(Batch::progress(self.end)));
        };
        let (until, most) = self.pace.wait(&self.cx.clock, next, self.watermark).await;
        let batch = self.tell(until.min(self.end), most);
        self.pace.told(batch.len());
        Ok(Some(batch))
    }

    fn state(&self) -> State {
        let simulation = STANDARD_NO_PAD.encode(self.simulation.memory());
        State::of(&TellingState { simulation, pace: self.pace.state() })
    }
}

#[cfg(test)]
mod tests;
