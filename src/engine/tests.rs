//! Stages that open and close, block, cannot go on, or never come back, in whole pipelines.

mod ready;

use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use super::*;
use crate::component::{BuildContext, Origin};
use crate::event::{Batch, Event, INVENTORY_UPDATED, Ledger, RECEIPT_CREATED, Text, Timestamp};
use crate::failure::Failure;
use crate::kind::Kind;
use crate::monitor::{MetricKind, StageMetrics};
use crate::runtime::{Ending, Threads};
use crate::spec::Environment;
use crate::stage::{
    Correlator, Enricher, Feed, Outcome, Output, Rows, Sink, Source, SourceContext, Stage,
    StageError, State, StateError,
};

/// How many batches of two events the source gives.
const BATCHES: usize = 4;

/// What the stages of a test did, and with what.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<SeenInside>>);

#[derive(Default)]
struct SeenInside {
    calls: Vec<String>,
    threads: Vec<ThreadId>,
    delivered: Vec<String>,
    ledger: Option<Ledger>,
    asked: usize,
}

impl Seen {
    fn note<R>(&self, note: impl FnOnce(&mut SeenInside) -> R) -> R {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn call(&self, call: impl Into<String>) {
        self.note(|seen| {
            seen.calls.push(call.into());
            seen.threads.push(std::thread::current().id());
        });
    }

    fn calls(&self) -> Vec<String> {
        self.note(|seen| seen.calls.clone())
    }

    fn delivered(&self) -> Vec<String> {
        self.note(|seen| seen.delivered.clone())
    }

    /// How many tokens were acknowledged: they are numbered from 1.
    fn acknowledged(&self) -> u64 {
        let acknowledged = self.note(|seen| seen.ledger.as_ref().and_then(Ledger::acknowledged));
        acknowledged.and_then(|position| position.as_u64()).unwrap_or(0)
    }
}

/// Gives two events at a time, each batch with a token.
struct Ticks {
    seen: Seen,
    given: usize,
}

#[async_trait::async_trait]
impl Source for Ticks {
    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        _: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        self.seen.note(|seen| seen.ledger = Some(cx.ledger.clone()));
        Ok(self)
    }
}

#[async_trait::async_trait]
impl Feed for Ticks {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        self.given += 1;
        if self.given > BATCHES {
            return Ok(None);
        }
        let event = |number: usize| {
            let time = Timestamp::from_millis(number as i64);
            Event::new(RECEIPT_CREATED, Text::from(format!("tick {number}")), time)
        };
        let events = vec![event(2 * self.given - 1), event(2 * self.given)];
        let watermark = events[1].time;
        let token = self.seen.note(|seen| {
            seen.asked += 1;
            seen.ledger.as_ref().map(|ledger| ledger.issue(self.given.into()))
        });
        Ok(Some(Batch::new(events, watermark, token)))
    }

    fn state(&self) -> State {
        State::none()
    }
}

/// Notes what it is given.
struct Collect(Seen);

#[async_trait::async_trait]
impl Sink for Collect {
    async fn write(&self, batch: &Batch) -> Outcome {
        let ids = batch.events().iter().map(|event| event.trace_id.to_string());
        self.0.note(|seen| seen.delivered.extend(ids));
        Outcome::Delivered
    }
}

/// An enricher or correlator that does what a test wants.
#[derive(Clone, Default)]
struct Odd {
    seen: Seen,
    metrics: StageMetrics,
    blocks: bool,
    fails_to_open: bool,
    fails_to_close: bool,
    /// The event, from 1, at which it cannot go on.
    breaks_at: Option<usize>,
    /// It comes back when the other end is gone.
    hangs: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
    is_called: Arc<tokio::sync::Notify>,
    events: usize,
}

impl Odd {
    fn sees(&mut self, event: &Event) -> Result<(), StageError> {
        self.events += 1;
        self.seen.call(event.trace_id.to_string());
        let number = self.metrics.add(MetricKind::Counter, "seen", "events").unwrap();
        self.metrics.record(number, 1.0);
        self.is_called.notify_one();
        if let Some(hangs) = &self.hangs {
            let _ = hangs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
        if self.breaks_at == Some(self.events) {
            return Err(StageError("its memory is gone".to_owned()));
        }
        Ok(())
    }

    fn opens(&mut self) -> Result<(), StageError> {
        self.seen.call("open");
        let error = StageError("nobody answers".to_owned());
        if self.fails_to_open { Err(error) } else { Ok(()) }
    }

    fn closes(&mut self) -> Result<(), StageError> {
        self.seen.call("close");
        let error = StageError("not said good-bye".to_owned());
        if self.fails_to_close { Err(error) } else { Ok(()) }
    }

    fn run(&self, kind: Kind) -> Report {
        self.run_with(kind, "")
    }

    fn run_with(&self, kind: Kind, settings: &str) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(self.engine(kind, settings).run(Control::new())).unwrap()
    }

    fn engine(&self, kind: Kind, settings: &str) -> Engine {
        let kinds = kind.section();
        let yaml = format!(
            "clock: {{ start: 1970-01-01T00:00:00Z, speed: max }}\n\
             sources: {{ ticks: {{ type: ticks }} }}\n\
             {kinds}: {{ odd: {{ type: odd, inputs: ticks {settings} }} }}\n\
             sinks: {{ out: {{ type: collect, inputs: odd }} }}\n"
        );
        let document =
            Document::parse("a.yaml", yaml, Path::new("."), &Environment::default()).unwrap();
        let (ticks, odd, collect) = (self.seen.clone(), self.clone(), self.seen.clone());
        let components = [
            component("ticks", Kind::Source, move || {
                Stage::Source(Box::new(Ticks { seen: ticks.clone(), given: 0 }))
            }),
            component("odd", kind, move || {
                // Each instance measures by itself.
                let odd = Odd { metrics: StageMetrics::default(), ..odd.clone() };
                match kind {
                    Kind::Enricher => Stage::Enricher(Box::new(odd)),
                    _ => Stage::Correlator(Box::new(odd)),
                }
            }),
            component("collect", Kind::Sink, move || {
                Stage::Sink(Box::new(Collect(collect.clone())))
            }),
        ];
        Engine::new(document, &components)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }
}

/// Nothing to set.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct NoSettings {}

fn component(
    name: &'static str,
    kind: Kind,
    stage: impl Fn() -> Stage + Send + Sync + 'static,
) -> Component {
    let schema = Arc::new(|| schemars::schema_for!(NoSettings));
    let build = Arc::new(move |_: serde_json::Value, _: &BuildContext<'_>| Ok(stage()));
    let (shares_out, simulates, origin) = (false, false, Origin::BuiltIn);
    Component { name, kind, example: "", shares_out, simulates, origin, schema, build }
}

impl Enricher for Odd {
    fn enrich(&mut self, rows: &mut Rows<'_>) {
        for row in 0..rows.len() {
            if let Err(error) = self.sees(rows.get(row)) {
                return rows.break_off(error);
            }
        }
    }

    fn open(&mut self) -> Result<(), StageError> {
        self.opens()
    }

    fn close(&mut self) -> Result<(), StageError> {
        self.closes()
    }

    fn blocks(&self) -> bool {
        self.blocks
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.metrics.clone())
    }
}

impl Correlator for Odd {
    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        out.broken = self.sees(event).err();
        let id = Text::from(format!("of {}", event.trace_id));
        out.events.push(Event::caused_by(event, INVENTORY_UPDATED, id));
        Ok(())
    }

    fn next_timer(&self) -> Option<Timestamp> {
        None
    }

    fn advance(&mut self, _: Timestamp, _: &mut Output) {}

    fn drain(&mut self, _: Timestamp, _: &mut Output) -> u64 {
        self.seen.call("drain");
        0
    }

    fn state(&self) -> State {
        State::none()
    }

    fn restore(&mut self, _: &State) -> Result<(), StateError> {
        Ok(())
    }

    fn open(&mut self) -> Result<(), StageError> {
        self.opens()
    }

    fn close(&mut self) -> Result<(), StageError> {
        self.closes()
    }

    fn blocks(&self) -> bool {
        self.blocks
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.metrics.clone())
    }
}

const BOTH: [Kind; 2] = [Kind::Enricher, Kind::Correlator];

fn ticks(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| format!("tick {number}")).collect()
}

#[test]
fn a_stage_is_opened_before_its_first_event_and_closed_behind_its_last() {
    for kind in BOTH {
        for blocks in [false, true] {
            let odd = Odd { blocks, ..Odd::default() };
            let report = odd.run(kind);
            assert_eq!((report.ending, report.errors.len()), (Ending::Finished, 0));
            let end = if kind == Kind::Correlator { &["drain", "close"][..] } else { &["close"] };
            let calls = odd.seen.calls();
            assert_eq!(calls[0], "open");
            assert_eq!(calls[1..=2 * BATCHES], ticks(1..=2 * BATCHES));
            assert_eq!(calls[2 * BATCHES + 1..], *end);
            assert_eq!(odd.seen.acknowledged(), BATCHES as u64);
            // The runtime has this thread alone: whatever blocks must not be on it.
            let here = std::thread::current().id();
            let threads = odd.seen.note(|seen| seen.threads.clone());
            let events = &threads[1..=2 * BATCHES];
            assert!(events.iter().all(|thread| (*thread != here) == blocks), "{kind:?} {blocks}");
            assert!([threads[0], threads[threads.len() - 1]].iter().all(|thread| *thread != here));
        }
    }
}

#[test]
fn a_team_that_blocks_keeps_the_order_and_each_of_it_is_opened_and_closed() {
    let odd = Odd { blocks: true, ..Odd::default() };
    let report = odd.run_with(Kind::Enricher, ", parallelism: 3");
    assert!(report.is_success(), "{:?}", report.errors);
    assert_eq!(odd.seen.delivered(), ticks(1..=2 * BATCHES));
    let count = |call: &str| odd.seen.calls().iter().filter(|seen| *seen == call).count();
    assert_eq!((count("open"), count("close")), (3, 3));
}

#[test]
fn a_stage_that_does_not_open_fails_the_run_before_anything_is_read() {
    for kind in BOTH {
        let odd = Odd { fails_to_open: true, ..Odd::default() };
        let report = odd.run(kind);
        assert_eq!(report.ending, Ending::Failed);
        assert_eq!(report.errors, [format!("{} `odd`: nobody answers", kind.singular())]);
        assert_eq!(odd.seen.calls(), ["open"]);
        assert_eq!((odd.seen.note(|seen| seen.asked), odd.seen.acknowledged()), (0, 0));
    }
}

#[test]
fn a_stage_that_does_not_close_fails_the_run() {
    for kind in BOTH {
        let odd = Odd { fails_to_close: true, ..Odd::default() };
        let report = odd.run(kind);
        assert_eq!(report.ending, Ending::Failed);
        assert_eq!(report.errors, [format!("{} `odd`: not said good-bye", kind.singular())]);
    }
}

#[test]
fn an_enricher_that_cannot_go_on_fails_the_run_and_its_batch_is_not_acknowledged() {
    for (blocks, team) in [(false, ""), (true, ""), (false, ", parallelism: 2")] {
        let odd = Odd { breaks_at: Some(2), blocks, ..Odd::default() };
        let report = odd.run_with(Kind::Enricher, team);
        assert_eq!(report.errors, ["enricher `odd`: its memory is gone"]);
        assert_eq!((odd.seen.delivered().len(), odd.seen.acknowledged()), (0, 0));
        assert!(!odd.seen.calls().contains(&"close".to_owned()));
        let stage = report.statistics.stages.iter().find(|stage| stage.stage == "odd").unwrap();
        assert!(stage.dropped["broken_off"] >= 2);
    }
}

#[test]
fn a_correlator_that_cannot_go_on_passes_on_what_it_saw_before_and_nothing_else() {
    for blocks in [false, true] {
        let odd = Odd { breaks_at: Some(4), blocks, ..Odd::default() };
        let report = odd.run(Kind::Correlator);
        assert_eq!(report.errors, ["correlator `odd`: its memory is gone"]);
        let whole = ["tick 1", "of tick 1", "tick 2", "of tick 2", "tick 3", "of tick 3"];
        assert_eq!(odd.seen.delivered(), whole);
        assert!(odd.seen.acknowledged() < 2, "the second batch is half done");
        assert!(!odd.seen.calls().contains(&"drain".to_owned()));
        let stage = report.statistics.stages.iter().find(|stage| stage.stage == "odd").unwrap();
        assert_eq!((stage.dropped["broken_off"], stage.balances), (1, true));
    }
}

#[test]
fn what_a_stage_measures_is_in_the_report() {
    let report = Odd::default().run_with(Kind::Enricher, ", parallelism: 2");
    let report = serde_json::to_value(&report).unwrap();
    let metrics = |place: usize| &report["statistics"]["stages"][place]["metrics"];
    let counter = serde_json::json!({ "unit": "events", "kind": "counter", "value": 8.0 });
    assert_eq!(metrics(1)["seen"], counter);
    assert!(metrics(0).is_null(), "a stage that measures nothing says nothing");
}

#[test]
fn a_stage_that_never_comes_back_is_named_and_left_behind() {
    for kind in BOTH {
        for (blocks, team) in [(false, ""), (true, ""), (false, ", parallelism: 8")] {
            if kind == Kind::Correlator && !team.is_empty() {
                continue;
            }
            let (lets_go, hangs) = mpsc::channel();
            let hangs = Some(Arc::new(Mutex::new(hangs)));
            let odd = Odd { blocks, hangs, ..Odd::default() };
            let engine = odd.engine(kind, team);
            let control = Control::new();
            let stages = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let run = {
                let _inside = stages.enter();
                engine.prepare(control.clone()).unwrap()
            };
            // The time of whoever watches over the run is virtual: the deadlines pass at once.
            let watch = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            let stop = async {
                odd.is_called.notified().await;
                control.stop();
            };
            let (report, ()) = watch.block_on(async { tokio::join!(run.finish(), stop) });
            stages.shutdown_background();
            drop(lets_go);
            let stuck = format!(
                "{} `odd`: it did not come back from a call within 3 s after the run was given up, \
                 and its thread was left behind",
                kind.singular()
            );
            assert_eq!(report.ending, Ending::Failed);
            assert_eq!(report.errors[0], stuck);
            assert_eq!(odd.seen.acknowledged(), 0);
        }
    }
}

#[test]
fn threads_that_are_stuck_hold_up_nobody_who_drops_them() {
    let (lets_go, hangs) = mpsc::channel::<()>();
    let threads = Threads::new().unwrap();
    let (began, begins) = tokio::sync::oneshot::channel();
    threads.stages().spawn(async move {
        let _ = began.send(());
        let _ = hangs.recv();
    });
    threads.block_on(begins).unwrap();
    drop(threads);
    drop(lets_go);
}
