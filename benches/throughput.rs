//! Events per second on one core, step by step: generate, enrich, correlate, write, read.
//!
//! `cargo bench` prints them; compare the rows of one run with each other, not with other machines.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::event::{BATCH_EVENTS, Event, JsonReader, JsonWriter, Timestamp};
use engine::plan::Plan;
use engine::registry::built_in;
use engine::retail::{EventFactory, EventWeights};
use engine::spec::{Document, Environment};
use engine::stage::{Output, Rows, Stage};

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PIPELINE: &str = r#"
sources: { stores: { type: retail_mix } }
enrichers:
  every_event:
    type: rhai
    inputs: [stores]
    with:
      script: |
        fn enrich(event) {
            event.payload.high_value = event.payload.total > 100.0;
            event.payload.channel_group = if event.event_type == "ad_impression" { "ads" } else { "store" };
        }
correlators:
  receipts:
    type: rhai
    inputs: [every_event]
    with:
      key: payload.store_id
      on: [receipt_created]
      script: |
        fn on_event(event, state, out) {
            state.receipts = (state.receipts ?? 0) + 1;
            if state.receipts % 10 == 0 {
                out.emit("basket_rush", #{ store_id: event.payload.store_id, receipts: state.receipts });
            }
        }
sinks: { nowhere: { type: blackhole, inputs: [receipts] } }
"#;

/// A stage of the pipeline above, as the engine builds it.
fn stage(name: &str) -> Stage {
    let document =
        Document::parse("bench.yaml", PIPELINE, Path::new("."), &Environment::default()).unwrap();
    let (plan, _) = Plan::new(document, &built_in()).unwrap();
    let planned = plan.stages.iter().find(|stage| stage.name == name).unwrap();
    plan.build(planned, start()).unwrap()
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
        self.tick = self.tick + std::time::Duration::from_millis(500);
        self.factory.generate_mixed_events(BATCH_EVENTS, self.tick, &self.weights)
    }
}

fn write(writer: &mut JsonWriter, events: &[Event]) {
    writer.clear();
    for event in events {
        writer.line(event);
    }
    black_box(writer.as_bytes());
}

fn throughput(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));

    let (mut generator, mut writer) = (Generator::new(), JsonWriter::new());
    group.bench_function("generate", |bench| bench.iter(|| black_box(generator.batch())));
    group.bench_function("generate -> JSON", |bench| {
        bench.iter(|| write(&mut writer, &generator.batch()));
    });

    let events = generator.batch();
    group.bench_function("write JSON", |bench| bench.iter(|| write(&mut writer, &events)));

    let Stage::Enricher(mut enricher) = stage("every_event") else { unreachable!() };
    group.bench_function("generate -> Rhai enrich on every event -> JSON", |bench| {
        bench.iter(|| {
            let mut events = generator.batch();
            enricher.enrich(&mut Rows::new(&mut events, None));
            write(&mut writer, &events);
        });
    });

    let Stage::Correlator(mut correlator) = stage("receipts") else { unreachable!() };
    group.bench_function("generate -> Rhai correlate, entered by 15 % -> JSON", |bench| {
        bench.iter(|| {
            let (events, mut out) = (generator.batch(), Output::default());
            for event in &events {
                correlator.observe(event, &mut out).unwrap();
            }
            write(&mut writer, &events);
            write(&mut writer, &out.events);
        });
    });

    let lines: Vec<String> = generator.batch().iter().map(Event::to_json).collect();
    let mut reader = JsonReader::new();
    group.bench_function("JSON -> event", |bench| {
        bench.iter(|| {
            for line in &lines {
                black_box(reader.event(line.as_bytes()).unwrap());
            }
        });
    });
    group.bench_function("JSON -> event, serde_json's tree for comparison", |bench| {
        bench.iter(|| {
            for line in &lines {
                black_box(serde_json::from_str::<serde_json::Value>(line).unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, throughput);
criterion_main!(benches);
