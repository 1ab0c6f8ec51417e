//! Plan to streams: the only file that wires. One arm per kind; a plugin looks like a built-in.

mod batch;
mod budget;
mod calls;
mod correlate;
mod enrich;
mod fan_out;
mod merge;
mod select;
mod tap;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream};
use futures::{FutureExt, StreamExt};

use crate::batchers::count_or_time::default_batcher;
use crate::checkpoint::{Checkpoints, StageCheckpoint};
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::dead_letter::{DeadLetters, Failures};
use crate::delivery::{Chaos, Delivery};
use crate::event::{BATCH_EVENTS, Batch, Event, Timestamp, mix};
use crate::kind::Kind;
use crate::monitor::{Account, Observers, StageSpan};
use crate::plan::{Plan, PlannedStage, RunId};
use crate::problem::{Problem, Problems};
use crate::spec::Order;
use crate::stage::{Enricher, Hold, Sink, Source, SourceContext, Stage, StageError};
use crate::state::StateError;

use batch::batch;
use budget::{Budget, Enough};
use calls::{asking, polling};
use correlate::{Memory, correlate};
use enrich::enrich;
use fan_out::share;
use merge::{Patience, Remainder, as_they_come, in_order, merge};
use select::{StageContext, keep};

pub use tap::{Tap, Taps};

/// What flows along an edge.
pub(crate) type BatchStream = BoxStream<'static, Batch>;

/// How many events a source's batch holds at full speed, where none waits for others to come: the
/// larger the batches, the fewer hand-overs from thread to thread.
const BATCH_EVENTS_AT_FULL_SPEED: usize = 4 * BATCH_EVENTS;

/// How many batches wait between two tasks.
const CHANNEL_BATCHES: usize = 4;

/// How long a silent input holds the others back where the spec does not say.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A wired pipeline: tasks that are done when their streams end.
pub struct Graph {
    /// What has to run, each in a task of its own.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// One account per stage, in the order of the plan.
    pub accounts: Vec<Arc<Account>>,
}

/// What a pipeline runs with.
pub struct Surroundings {
    /// Its clock.
    pub clock: Clock,
    /// The instant at which event time ends.
    pub end: Option<Timestamp>,
    /// How many source events the run lasts.
    pub events: Option<u64>,
    /// Where events go that a stage failed on.
    pub dead_letters: DeadLetters,
    /// The same for sinks that have their own, by their names.
    pub own_dead_letters: HashMap<String, DeadLetters>,
    /// What keeps the stages' states.
    pub checkpoints: Checkpoints,
    /// The signals of the run.
    pub control: Control,
    /// In a replay or a test: what enters in place of the sources' events.
    pub entries: Option<Entries>,
    /// Who sees what goes in and out of stages.
    pub taps: Taps,
    /// Who is told what happens.
    pub observers: Observers,
}

/// Events that enter at stages, by the stages' names: behind a source, in front of any other.
pub type Entries = HashMap<String, Vec<Event>>;

impl Graph {
    /// Wires a plan: each stage to its inputs, a task wherever streams part or end.
    pub fn wire(plan: &Plan, around: &Surroundings) -> Result<Self, Problems> {
        let mut wiring = Wiring::new(plan, around);
        let mut budget = Budget::new(around.events, &around.checkpoints, &around.control);
        for (place, planned) in plan.stages.iter().enumerate() {
            let cx = wiring.context(place);
            let input = wiring.input_of(place)?;
            if planned.kind == Kind::Source && around.entries.is_some() {
                let entering = generated(wiring.entering(planned), &cx);
                wiring.give_out(place, keep(entering, cx));
                continue;
            }
            let output = match plan.build(planned, wiring.run_id(place))? {
                Stage::Source(source) => {
                    wiring.is_replayed[place] = source.replays();
                    let batches = wiring.source(place, source, &cx, budget.enough());
                    let batches = budget.limit(tap::working(batches, cx.tap.as_ref()));
                    keep(generated(batches, &cx), cx)
                }
                Stage::Enricher(first) => enrich(input, wiring.team(planned, first)?, cx),
                Stage::Correlator(correlator) => {
                    let checkpoint = wiring.checkpoint(planned, "/order");
                    let input = in_order(input, checkpoint, wiring.remainder(), &cx.account)
                        .map_err(|error| wiring.stale(planned, &error))?;
                    let memory = wiring.memory(planned);
                    correlate(input, correlator, cx, memory)
                        .map_err(|error| wiring.stale(planned, &error))?
                }
                Stage::Batcher(batcher) => batch(keep(input, cx), batcher, around.clock.clone()),
                Stage::Sink(sink) => {
                    let input = keep(input, cx.clone());
                    wiring.sink(planned, sink, input, cx);
                    continue;
                }
            };
            wiring.give_out(place, output);
        }
        let task = budget
            .into_task(wiring.patience(IDLE_TIMEOUT), wiring.remainder())
            .map_err(stale_budget)?;
        wiring.graph.tasks.extend(task);
        Ok(wiring.graph)
    }
}

/// A graph that is being wired.
struct Wiring<'a> {
    plan: &'a Plan,
    around: &'a Surroundings,
    graph: Graph,
    /// The streams that lead to each stage and are not taken yet, with the place they come from.
    inputs: Vec<Vec<(usize, BatchStream)>>,
    /// Whether a run that goes on from a snapshot sees the same events again at each stage, in the
    /// same order.
    is_replayed: Vec<bool>,
    /// What is traced of each stage.
    spans: Vec<StageSpan>,
}

impl<'a> Wiring<'a> {
    fn new(plan: &'a Plan, around: &'a Surroundings) -> Self {
        let account = |stage: &PlannedStage| {
            let account = Account::new(&stage.name, stage.kind, stage.component.name);
            account.observe(around.observers.clone());
            Arc::new(account)
        };
        let accounts: Vec<_> = plan.stages.iter().map(account).collect();
        let spans = accounts.iter().map(|account| StageSpan::begin(account)).collect();
        let graph = Graph { tasks: Vec::new(), accounts };
        let inputs = plan.stages.iter().map(|_| Vec::new()).collect();
        Self { plan, around, graph, inputs, is_replayed: vec![true; plan.stages.len()], spans }
    }

    /// What the trace ids of a stage follow from: where the same events do not come again, they
    /// must not be those of the run before.
    fn run_id(&mut self, place: usize) -> RunId {
        let planned = &self.plan.stages[place];
        let comes_again = planned.inputs.iter().all(|input| self.is_replayed[*input])
            && (planned.inputs.len() < 2 || planned.order == Order::EventTime)
            // One that counts its ids from the first again gives them to other events.
            && !self.around.checkpoints.begins_anew(&planned.name);
        self.is_replayed[place] &= comes_again;
        let restarts = if self.is_replayed[place] { 0 } else { self.around.checkpoints.restarts() };
        RunId { restarts, ..RunId::of(self.around.clock.start()) }
    }

    fn context(&self, place: usize) -> StageContext {
        let account = Arc::clone(&self.graph.accounts[place]);
        let own = self.around.own_dead_letters.get(&self.plan.stages[place].name);
        let letters = own.unwrap_or(&self.around.dead_letters).clone();
        let failures = Failures::new(account.clone(), letters, self.around.control.clone());
        let PlannedStage { when, name, .. } = &self.plan.stages[place];
        let (when, tap) = (when.clone(), self.around.taps.get(name).cloned());
        let control = self.around.control.clone();
        let span = self.spans[place].clone();
        StageContext { account, failures, control, when, span, tap }
    }

    /// A stage's part in the checkpoints, or that of something in front of it.
    fn checkpoint(&self, planned: &PlannedStage, part: &str) -> StageCheckpoint {
        let spec = self.plan.fingerprint(planned);
        let checkpoint = self.around.checkpoints.stage(&format!("{}{part}", planned.name), &spec);
        self.around.control.watch_over(checkpoint.ledger().clone());
        checkpoint
    }

    fn patience(&self, timeout: Duration) -> Patience {
        Patience { timeout, clock: self.around.clock.clone() }
    }

    fn remainder(&self) -> Remainder {
        Remainder::new(&self.around.checkpoints, &self.around.control)
    }

    fn memory(&self, planned: &PlannedStage) -> Memory {
        let is_new_leg = self.around.checkpoints.is_new_leg();
        let checkpoint = self.checkpoint(planned, "");
        Memory { checkpoint, is_new_leg, control: self.around.control.clone() }
    }

    /// A state that a stage cannot go on from.
    fn stale(&self, planned: &PlannedStage, error: &StateError) -> Problems {
        let place = self.plan.document.key_place(&planned.pointer);
        stale(format!("`{}` cannot go on from its state: {error}", planned.name)).at(place).into()
    }

    /// A source's batches, until it ends, fails or is told to stop.
    fn source(
        &mut self,
        place: usize,
        source: Box<dyn Source>,
        cx: &StageContext,
        enough: Enough,
    ) -> BatchStream {
        let run = self.run_id(place);
        let planned = &self.plan.stages[place];
        let checkpoint = self.checkpoint(planned, "");
        let (hold, done) = Hold::new();
        self.graph.tasks.push(done.boxed());
        let is_paced = self.around.clock.is_paced();
        let context = SourceContext {
            stage: planned.name.clone(),
            clock: self.around.clock.clone(),
            end: self.around.end,
            ledger: checkpoint.ledger().clone(),
            trace_ids: self.plan.trace_ids(planned, run),
            failures: cx.failures.clone(),
            batch_events: if is_paced { BATCH_EVENTS } else { BATCH_EVENTS_AT_FULL_SPEED },
            holds: hold.holds(),
        };
        let (control, account) = (self.around.control.clone(), Arc::clone(&cx.account));
        cx.account.show_metrics(source.metrics().into_iter().collect());
        let batches = feed(source, context, checkpoint, self.around.control.clone(), enough, hold);
        asking(batches.boxed(), Arc::clone(&cx.account))
            .scan((), move |(), batch| {
                let batch = batch.map_err(|error| {
                    account.break_off(&error.0);
                    control.fail(format!("source `{}`: {error}", account.stage));
                });
                std::future::ready(batch.ok())
            })
            .boxed()
    }

    /// What a stage reads: its inputs in one stream, entered in its account.
    fn input_of(&mut self, place: usize) -> Result<BatchStream, Problems> {
        let planned = &self.plan.stages[place];
        let mut inputs = std::mem::take(&mut self.inputs[place]);
        // Ties of event time go by the order that the spec gives.
        inputs.sort_by_key(|(from, _)| planned.inputs.iter().position(|input| input == from));
        let mut inputs: Vec<_> = inputs.into_iter().map(|(_, stream)| stream).collect();
        if self.around.entries.is_some() && planned.kind != Kind::Source {
            let account = Arc::clone(&self.graph.accounts[place]);
            let entering = self.entering(planned);
            inputs.push(entering.inspect(move |batch| account.recover(batch.len())).boxed());
        }
        let patience = self.patience(planned.idle_timeout);
        let input = match (inputs.len(), planned.order) {
            (0, _) => return Ok(futures::stream::empty().boxed()),
            (1, _) => inputs.remove(0),
            (_, Order::EventTime) => {
                let checkpoint = self.checkpoint(planned, "/inputs");
                let account = &self.graph.accounts[place];
                merge(inputs, patience, checkpoint, self.remainder(), account)
                    .map_err(|error| self.stale(planned, &error))?
            }
            (_, Order::Arrival) => as_they_come(inputs, patience),
        };
        let account = Arc::clone(&self.graph.accounts[place]);
        let input = input.inspect(move |batch| account.receive(batch)).boxed();
        Ok(tap::entering(input, self.around.taps.get(&planned.name)))
    }

    /// The events that enter at a stage, in the order of their times and at their times, and then
    /// the word that event time has come to its end.
    fn entering(&self, planned: &PlannedStage) -> BatchStream {
        let entries = self.around.entries.as_ref();
        let mut events = entries.and_then(|it| it.get(&planned.name)).cloned().unwrap_or_default();
        events.sort_by_key(|event| event.time);
        let (clock, end) = (&self.around.clock, self.around.end);
        // On a clock that goes, those of one instant come together.
        let is_paced = clock.is_paced();
        let goes_together = move |one: &Event, next: &Event| !is_paced || one.time == next.time;
        let together = events.chunk_by(goes_together).flat_map(|some| some.chunks(BATCH_EVENTS));
        let batches: Vec<Batch> =
            together.map(entering_batch).chain(end.map(Batch::progress)).collect();
        let clock = clock.clone();
        let at_its_time = move |batch: Batch| {
            let clock = clock.clone();
            async move {
                clock.sleep_until(batch.watermark()).await;
                batch
            }
        };
        futures::stream::iter(batches).then(at_its_time).boxed()
    }

    /// The further instances that a stage asks for.
    fn team(
        &self,
        planned: &PlannedStage,
        first: Box<dyn Enricher>,
    ) -> Result<Vec<Box<dyn Enricher>>, Problems> {
        let mut team = vec![first];
        let run = RunId::of(self.around.clock.start());
        while team.len() < planned.parallelism {
            if let Stage::Enricher(next) = self.plan.build(planned, run)? {
                team.push(next);
            }
        }
        Ok(team)
    }

    /// Ends a branch: a task that delivers what comes, behind a default batcher where the sink
    /// wants batches and the spec has no batcher.
    fn sink(
        &mut self,
        planned: &PlannedStage,
        sink: Box<dyn Sink>,
        input: BatchStream,
        cx: StageContext,
    ) {
        let (faults, seed) = (planned.delivery.chaos.as_ref(), self.plan.spec.seed);
        cx.account.show_metrics(sink.metrics().into_iter().collect());
        let sink = Chaos::around(sink, faults, &planned.name, seed, self.around.clock.clone());
        let is_batched = |input: &usize| matches!(self.plan.stages[*input].kind, Kind::Batcher);
        let input = if sink.wants_batches() && !planned.inputs.iter().all(is_batched) {
            batch(input, default_batcher(), self.around.clock.clone())
        } else {
            input
        };
        let input = tap::working(input, cx.tap.as_ref());
        let account = Arc::clone(&cx.account);
        let delivery = Delivery {
            sink,
            settings: planned.delivery.clone(),
            account: cx.account,
            failures: cx.failures,
            control: self.around.control.clone(),
            clock: self.around.clock.clone(),
            seed: self.plan.spec.seed ^ mix(planned.ordinal),
            buffer_path: self.plan.buffer_path(planned),
            span: cx.span,
        };
        let (taken_in, sent) = delivery.of(input);
        self.graph.tasks.extend([taken_in.boxed(), polling(sent, account).boxed()]);
    }

    /// Gives a stage's events to those that read them.
    fn give_out(&mut self, place: usize, output: BatchStream) {
        let output = tap::leaving(output, self.around.taps.get(&self.plan.stages[place].name));
        let output = self.spans[place].traced(output);
        let account = Arc::clone(&self.graph.accounts[place]);
        let stages = self.plan.stages.iter().enumerate();
        let readers: Vec<usize> = stages
            .flat_map(|(reader, stage)| {
                stage.inputs.iter().filter(|input| **input == place).map(move |_| reader)
            })
            .collect();
        let entry = Arc::clone(&account);
        if readers.is_empty() {
            let unread = output.for_each(move |batch| {
                entry.filter(batch.len());
                // Nothing here waits for anything, so the task has to offer its turn.
                tokio::task::consume_budget()
            });
            self.graph.tasks.push(unread.boxed());
            return;
        }
        let output = output.inspect(move |batch| entry.send(batch)).boxed();
        let streams = if readers.len() == 1 {
            vec![output]
        } else {
            share(output, readers.len(), account, &mut self.graph.tasks)
        };
        for (reader, stream) in readers.into_iter().zip(streams) {
            self.inputs[reader].push((place, stream));
        }
    }
}

/// What a source gives, with barriers where checkpoints are due.
fn feed(
    source: Box<dyn Source>,
    cx: SourceContext,
    mut checkpoint: StageCheckpoint,
    control: Control,
    enough: Enough,
    hold: Hold,
) -> impl Stream<Item = Result<Batch, StageError>> + Send {
    async_stream::try_stream! {
        // Until here the source may ask that the run waits for it.
        let _hold = hold;
        let mut stopped = Box::pin(async move {
            tokio::select! {
                () = control.reached(Phase::Draining) => {}
                () = enough.reached() => {}
            }
        });
        let mut watermark = Timestamp::MIN;
        let clock = cx.clock.clone();
        let mut feed = source.open(cx, checkpoint.restored()).await?;
        loop {
            let step = tokio::select! {
                biased;
                () = &mut stopped => break,
                number = checkpoint.due() => Err(number),
                batch = async { clock.goes().await; feed.next().await } => Ok(batch),
            };
            match step {
                Ok(batch) => {
                    let Some(batch) = batch? else { break };
                    watermark = batch.watermark();
                    yield batch;
                }
                Err(number) => {
                    checkpoint.note(number, || feed.state());
                    yield Batch::barrier(number, watermark);
                }
            }
        }
        checkpoint.note_end(|| feed.state());
    }
}

fn stale(message: String) -> Problem {
    Problem::error(message).help("begin anew with `--reset-state`")
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` asks for")]
fn stale_budget(error: StateError) -> Problems {
    stale(format!("the sources cannot go on from their state: {error}")).into()
}

/// Some of the events that enter, in order: nothing earlier than the last of them comes behind.
fn entering_batch(events: &[Event]) -> Batch {
    let watermark = events.last().map_or(Timestamp::MIN, |event| event.time);
    Batch::new(events.to_vec(), watermark, None)
}

/// Enters what a source made, after the budget has cut off what the run does not take.
fn generated(batches: BatchStream, cx: &StageContext) -> BatchStream {
    let account = Arc::clone(&cx.account);
    batches.inspect(move |batch| account.generate(batch)).boxed()
}
