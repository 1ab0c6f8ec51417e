//! What a rule costs: written in Rust, as a script that is compiled, as a script that is
//! interpreted. All three do the same to the same events.
//!
//! `cargo bench --bench rules` prints them; compare the rows of one run with each other, not with
//! other machines.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::event::{
    AD_IMPRESSION, BATCH_EVENTS, Event, JsonReader, JsonWriter, Key, RECEIPT_CREATED, STORE_ID,
    TOTAL, Text, Timestamp, TraceIds, Value,
};
use engine::plan::{Plan, RunId};
use engine::registry::built_in;
use engine::retail::{EventFactory, EventType, EventWeights};
use engine::script::{KeyPart, KeyedState, StateKey};
use engine::spec::{Document, Environment};
use engine::stage::{Correlator, Enricher, Output, Rows, Stage};

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ENRICH: &str = r#"
fn enrich(event) {
    event.payload.high_value = event.payload.total > 100.0;
    event.payload.channel_group = if event.event_type == "ad_impression" { "ads" } else { "store" };
}"#;

const CORRELATE: &str = r#"
fn on_event(event, state, out) {
    state.receipts = (state.receipts ?? 0) + 1;
    state.takings = (state.takings ?? 0.0) + event.payload.total;
    if state.receipts % 10 == 0 {
        out.emit("basket_rush", #{ store_id: event.payload.store_id, receipts: state.receipts });
    }
}"#;

/// A pipeline with both rules, compiled or interpreted.
fn stage(name: &str, compile: bool) -> Stage {
    let indented = |script: &str| script.trim().replace('\n', "\n        ");
    let text = format!(
        "sources: {{ stores: {{ type: retail_mix }} }}
enrichers:
  enrich:
    type: rhai
    inputs: [stores]
    with:
      compile: {compile}
      script: |
        {}
correlators:
  correlate:
    type: rhai
    inputs: [enrich]
    with:
      compile: {compile}
      key: payload.store_id
      on: [receipt_created]
      script: |
        {}
sinks: {{ nowhere: {{ type: blackhole, inputs: [correlate] }} }}
",
        indented(ENRICH),
        indented(CORRELATE)
    );
    let document =
        Document::parse("bench.yaml", text, Path::new("."), &Environment::default()).unwrap();
    let (plan, _) =
        Plan::new(document, &built_in()).unwrap_or_else(|problems| panic!("{problems}"));
    let planned = plan.stages.iter().find(|stage| stage.name == name).unwrap();
    plan.build(planned, RunId::of(start())).unwrap()
}

fn enricher(compile: bool) -> Box<dyn Enricher> {
    match stage("enrich", compile) {
        Stage::Enricher(enricher) => enricher,
        _ => unreachable!(),
    }
}

fn correlator(compile: bool) -> Box<dyn Correlator> {
    match stage("correlate", compile) {
        Stage::Correlator(correlator) => correlator,
        _ => unreachable!(),
    }
}

fn start() -> Timestamp {
    "2024-11-29T10:00:00Z".parse().unwrap()
}

/// Batches of the default mix, without end.
struct Generator {
    factory: EventFactory,
    weights: EventWeights,
    tick: Timestamp,
}

impl Generator {
    fn new() -> Self {
        let factory = EventFactory::builder().seed(42).build();
        Self { factory, weights: EventWeights::default(), tick: start() }
    }

    fn batch(&mut self) -> Vec<Event> {
        self.tick = self.tick + Duration::from_millis(500);
        self.factory.generate_mixed_events(BATCH_EVENTS, self.tick, &self.weights)
    }

    fn receipts(&mut self) -> Vec<Event> {
        let weights = EventWeights::new([(EventType::ReceiptCreated, 1.0)]).unwrap();
        self.factory.generate_mixed_events(BATCH_EVENTS, self.tick, &weights)
    }
}

/// The enricher above, in Rust.
struct Native {
    high_value: Key,
    channel_group: Key,
}

impl Native {
    fn new() -> Self {
        let key = |name| Key::intern(name).unwrap();
        Self { high_value: key("high_value"), channel_group: key("channel_group") }
    }

    fn enrich(&self, event: &mut Event) {
        let total = event.payload.get(TOTAL).and_then(Value::as_f64);
        event.payload.set(self.high_value, total.is_some_and(|total| total > 100.0));
        let group = if event.event_type == AD_IMPRESSION { "ads" } else { "store" };
        event.payload.set(self.channel_group, group);
    }
}

/// The correlator above, in Rust, over the same keyed state.
struct NativeRush {
    states: KeyedState<(i64, f64)>,
    ids: TraceIds,
    basket_rush: Key,
    receipts: Key,
}

impl NativeRush {
    fn new() -> Self {
        let key = |name| Key::intern(name).unwrap();
        Self {
            states: KeyedState::new(100_000, None),
            ids: TraceIds::new(42, 0),
            basket_rush: key("basket_rush"),
            receipts: key("receipts"),
        }
    }

    fn observe(&mut self, event: &Event, out: &mut Output) {
        if event.event_type != RECEIPT_CREATED {
            return;
        }
        let store = event.payload.get(STORE_ID).cloned().unwrap_or_default();
        let state = self.states.access(&StateKey::One(KeyPart::from(&store)), event.time);
        state.0 += 1;
        state.1 += event.payload.get(TOTAL).and_then(Value::as_f64).unwrap_or_default();
        if state.0 % 10 == 0 {
            let id: Text = self.ids.next(event.time);
            let mut rush = Event::caused_by(event, self.basket_rush, id);
            rush.payload.push(self.receipts, state.0);
            rush.payload.push(STORE_ID, store);
            out.events.push(rush);
        }
    }
}

fn enrich(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("enrich");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let native = Native::new();
    let mut events = Generator::new().batch();
    group.bench_function("native", |bench| {
        bench.iter(|| {
            for event in &mut events {
                native.enrich(black_box(event));
            }
        });
    });
    for (name, compile) in [("compiled", true), ("interpreted", false)] {
        let mut enricher = enricher(compile);
        let mut events = Generator::new().batch();
        group.bench_function(name, |bench| {
            bench.iter(|| enricher.enrich(&mut Rows::new(black_box(&mut events), None)));
        });
    }
    group.finish();
}

fn correlate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("correlate, each event enters");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let events = Generator::new().receipts();
    let mut native = NativeRush::new();
    let mut out = Output::default();
    group.bench_function("native", |bench| {
        bench.iter(|| {
            for event in &events {
                native.observe(black_box(event), &mut out);
            }
            out.events.clear();
        });
    });
    for (name, compile) in [("compiled", true), ("interpreted", false)] {
        let mut correlator = correlator(compile);
        group.bench_function(name, |bench| {
            bench.iter(|| {
                for event in &events {
                    correlator.observe(black_box(event), &mut out).unwrap();
                }
                out.events.clear();
            });
        });
    }
    group.finish();
}

fn write(writer: &mut JsonWriter, events: &[Event]) {
    writer.clear();
    for event in events {
        writer.line(event);
    }
    black_box(writer.as_bytes());
}

/// From one end to the other, on one core.
fn end_to_end(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("end to end");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let mut writer = JsonWriter::new();
    let native = Native::new();
    let mut generator = Generator::new();
    group.bench_function("generate -> rule -> JSON, native", |bench| {
        bench.iter(|| {
            let mut events = generator.batch();
            for event in &mut events {
                native.enrich(event);
            }
            write(&mut writer, &events);
        });
    });
    for (name, compile) in [("compiled", true), ("interpreted", false)] {
        let mut enricher = enricher(compile);
        group.bench_function(format!("generate -> rule -> JSON, {name}"), |bench| {
            bench.iter(|| {
                let mut events = generator.batch();
                enricher.enrich(&mut Rows::new(&mut events, None));
                write(&mut writer, &events);
            });
        });
    }
    let lines: Vec<String> = generator.batch().iter().map(Event::to_json).collect();
    let mut reader = JsonReader::new();
    for (name, compile) in [("compiled", true), ("interpreted", false)] {
        let mut enricher = enricher(compile);
        group.bench_function(format!("JSON -> rule -> JSON, {name}"), |bench| {
            bench.iter(|| {
                let read = |line: &String| reader.event(line.as_bytes()).unwrap();
                let mut events: Vec<Event> = lines.iter().map(read).collect();
                enricher.enrich(&mut Rows::new(&mut events, None));
                write(&mut writer, &events);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).sample_size(30);
    targets = enrich, correlate, end_to_end
}
criterion_main!(benches);
