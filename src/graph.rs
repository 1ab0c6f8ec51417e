//! Plan to streams: the only file that wires. One arm per kind; a plugin looks like a built-in.

mod batch;
mod budget;
mod correlate;
mod enrich;
mod fan_out;
mod merge;
mod select;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use crate::batchers::count_or_time::default_batcher;
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::dead_letter::{DeadLetters, Failures};
use crate::delivery::deliver;
use crate::event::{BATCH_EVENTS, Batch, Ledger, Timestamp};
use crate::kind::Kind;
use crate::monitor::Account;
use crate::plan::{Plan, PlannedStage};
use crate::problem::Problems;
use crate::spec::Order;
use crate::stage::{Enricher, Sink, Source, SourceContext, Stage};

use batch::batch;
use budget::Budget;
use correlate::correlate;
use enrich::enrich;
use fan_out::{hand_over, share};
use merge::{as_they_come, in_order, merge};
use select::{StageContext, keep};

/// What flows along an edge.
pub(crate) type BatchStream = BoxStream<'static, Batch>;

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
    /// The signals of the run.
    pub control: Control,
}

impl Graph {
    /// Wires a plan: each stage to its inputs, a task wherever streams part or end.
    pub fn wire(plan: &Plan, around: &Surroundings) -> Result<Self, Problems> {
        let mut wiring = Wiring::new(plan, around);
        let mut budget = Budget::new(around.events);
        for (place, planned) in plan.stages.iter().enumerate() {
            let cx = wiring.context(place);
            let input = wiring.input_of(place);
            let output = match plan.build(planned, around.clock.start())? {
                Stage::Source(source) => {
                    let batches = budget.limit(wiring.source(planned, source, &cx));
                    keep(generated(batches, &cx), cx)
                }
                Stage::Enricher(first) => enrich(input, wiring.team(planned, first)?, cx),
                Stage::Correlator(correlator) => correlate(in_order(input), correlator, cx),
                Stage::Batcher(batcher) => batch(keep(input, cx), batcher, around.clock),
                Stage::Sink(sink) => {
                    let input = keep(input, cx.clone());
                    wiring.sink(planned, sink, input, cx);
                    continue;
                }
            };
            wiring.give_out(place, output);
        }
        wiring.graph.tasks.extend(budget.into_task(IDLE_TIMEOUT));
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
}

impl<'a> Wiring<'a> {
    fn new(plan: &'a Plan, around: &'a Surroundings) -> Self {
        let account = |stage: &PlannedStage| {
            Arc::new(Account::new(&stage.name, stage.kind, stage.component.name))
        };
        let accounts = plan.stages.iter().map(account).collect();
        let graph = Graph { tasks: Vec::new(), accounts };
        Self { plan, around, graph, inputs: plan.stages.iter().map(|_| Vec::new()).collect() }
    }

    fn context(&self, place: usize) -> StageContext {
        let account = Arc::clone(&self.graph.accounts[place]);
        let letters = self.around.dead_letters.clone();
        let failures = Failures::new(account.clone(), letters, self.around.control.clone());
        StageContext { account, failures, when: self.plan.stages[place].when.clone() }
    }

    /// A source's batches, until it ends, fails or is told to stop.
    fn source(
        &mut self,
        planned: &PlannedStage,
        source: Box<dyn Source>,
        cx: &StageContext,
    ) -> BatchStream {
        let ledger = Ledger::new();
        self.around.control.watch_over(ledger.clone());
        let batches = source.batches(SourceContext {
            stage: planned.name.clone(),
            clock: self.around.clock,
            end: self.around.end,
            ledger,
            trace_ids: self.plan.trace_ids(planned, self.around.clock.start()),
            failures: cx.failures.clone(),
            batch_events: BATCH_EVENTS,
        });
        let control = self.around.control.clone();
        let stopped = {
            let control = control.clone();
            async move { control.reached(Phase::Draining).await }
        };
        let account = Arc::clone(&cx.account);
        batches
            .take_until(stopped.boxed())
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
    fn input_of(&mut self, place: usize) -> BatchStream {
        let planned = &self.plan.stages[place];
        let mut inputs = std::mem::take(&mut self.inputs[place]);
        // Ties of event time go by the order that the spec gives.
        inputs.sort_by_key(|(from, _)| planned.inputs.iter().position(|input| input == from));
        let mut inputs: Vec<_> = inputs.into_iter().map(|(_, stream)| stream).collect();
        let input = match (inputs.len(), planned.order) {
            (0, _) => return futures::stream::empty().boxed(),
            (1, _) => inputs.remove(0),
            (_, Order::EventTime) => merge(inputs, planned.idle_timeout),
            (_, Order::Arrival) => as_they_come(inputs),
        };
        let account = Arc::clone(&self.graph.accounts[place]);
        input.inspect(move |batch| account.receive(batch)).boxed()
    }

    /// The further instances that a stage asks for.
    fn team(
        &self,
        planned: &PlannedStage,
        first: Box<dyn Enricher>,
    ) -> Result<Vec<Box<dyn Enricher>>, Problems> {
        let mut team = vec![first];
        while team.len() < planned.parallelism {
            if let Stage::Enricher(next) = self.plan.build(planned, self.around.clock.start())? {
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
        let is_batched = |input: &usize| matches!(self.plan.stages[*input].kind, Kind::Batcher);
        let input = if sink.wants_batches() && !planned.inputs.iter().all(is_batched) {
            batch(input, default_batcher(), self.around.clock)
        } else {
            input
        };
        let input = hand_over(input, &mut self.graph.tasks);
        let control = self.around.control.clone();
        self.graph.tasks.push(deliver(input, sink, cx.account, cx.failures, control).boxed());
    }

    /// Gives a stage's events to those that read them.
    fn give_out(&mut self, place: usize, output: BatchStream) {
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

/// Enters what a source made, after the budget has cut off what the run does not take.
fn generated(batches: BatchStream, cx: &StageContext) -> BatchStream {
    let account = Arc::clone(&cx.account);
    batches.inspect(move |batch| account.generate(batch)).boxed()
}
