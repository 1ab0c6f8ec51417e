//! Events per second on one core, step by step: generate, enrich, correlate, write, read, deliver.
//!
//! `cargo bench` prints them; compare the rows of one run with each other, not with other machines.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::clock::{Clock, Speed};
use engine::control::Control;
use engine::dead_letter::{DeadLetters, Failures};
use engine::delivery::Delivery;
use engine::event::{
    BATCH_EVENTS, Batch, BatchBuilder, Event, JsonReader, JsonWriter, Ledger, Timestamp, Token,
};
use engine::kind::Kind;
use engine::monitor::{Account, StageSpan};
use engine::plan::{Plan, RunId};
use engine::registry::built_in;
use engine::retail::{EventFactory, EventWeights};
use engine::spec::{BufferType, DeliverySettings, Document, Environment};
use engine::stage::{Outcome, Output, Rows, Sink, Stage};

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
    plan.build(planned, RunId::of(start())).unwrap()
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
    group.bench_function("JSON -> event -> JSON", |bench| {
        bench.iter(|| {
            writer.clear();
            for line in &lines {
                writer.line(&reader.event(line.as_bytes()).unwrap());
            }
            black_box(writer.as_bytes());
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

/// How many batches go through a delivery at a time.
const DELIVERED_BATCHES: usize = 64;

/// Takes everything at once, or nothing ever.
struct Receiver {
    answers: bool,
}

#[async_trait]
impl Sink for Receiver {
    async fn write(&self, batch: &Batch) -> Outcome {
        black_box(batch.events());
        if !self.answers {
            std::future::pending::<()>().await;
        }
        Outcome::Delivered
    }
}

fn delivery(answers: bool, settings: DeliverySettings, folder: &Path) -> Delivery {
    let account = Arc::new(Account::new("nowhere", Kind::Sink, "bench"));
    let control = Control::new();
    Delivery {
        sink: Box::new(Receiver { answers }),
        settings,
        failures: Failures::new(account.clone(), DeadLetters::off(), control.clone()),
        span: StageSpan::begin(&account),
        account,
        control,
        clock: Clock::new(None, Speed::Max, false),
        seed: 42,
        buffer_path: folder.join("buffer"),
    }
}

fn buffered(kind: BufferType) -> DeliverySettings {
    let mut settings = DeliverySettings::default();
    settings.buffer.r#type = kind;
    settings
}

/// What stands before a sink, with and without the making of what goes through it.
fn deliveries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delivery");
    group.throughput(Throughput::Elements((DELIVERED_BATCHES * BATCH_EVENTS) as u64));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut generator = Generator::new();
    let mut batches = |count| -> Vec<Batch> {
        (0..count).map(|_| Batch::new(generator.batch(), start(), None)).collect()
    };
    let ready = batches(DELIVERED_BATCHES);

    group.bench_function("generate -> blackhole, nothing between", |bench| {
        bench.iter(|| {
            let sink = Receiver { answers: true };
            runtime.block_on(async {
                for batch in batches(DELIVERED_BATCHES) {
                    sink.write(&batch).await;
                }
            });
        });
    });
    for (name, kind) in [("memory", BufferType::Memory), ("disk", BufferType::Disk)] {
        let through = |made: Vec<Batch>| {
            let delivery = delivery(true, buffered(kind), folder.path());
            let (taken_in, sent) = delivery.of(futures::stream::iter(made));
            runtime.block_on(async { tokio::join!(taken_in, sent) });
        };
        group.bench_function(format!("{name} buffer -> blackhole"), |bench| {
            bench.iter(|| through(ready.clone()));
        });
        group.bench_function(format!("generate -> {name} buffer -> blackhole"), |bench| {
            bench.iter(|| through(batches(DELIVERED_BATCHES)));
        });
    }
    group.finish();
    runtime.block_on(memory_of_buffered_events(&mut batches, folder.path()));
}

/// Fills a buffer in memory in front of a receiver that never answers, and prints what it takes.
async fn memory_of_buffered_events(batches: &mut impl FnMut(usize) -> Vec<Batch>, folder: &Path) {
    const EVENTS: usize = 100_000;
    let mut settings = buffered(BufferType::Memory);
    settings.buffer.max_events = NonZeroU64::MAX;
    settings.buffer.max_bytes = NonZeroU64::MAX;
    let (before, delivery) = (resident_bytes(), delivery(false, settings, folder));
    let account = delivery.account.clone();
    let input = (0..EVENTS.div_ceil(BATCH_EVENTS)).flat_map(|_| batches(1));
    let input: Vec<Batch> = input.collect();
    let (taken_in, sent) = delivery.of(futures::stream::iter(input));
    tokio::select! {
        () = sent => {}
        () = async { taken_in.await; tokio::task::yield_now().await } => {}
    }
    let waiting = account.delivery.tally().unwrap();
    println!(
        "delivery/memory: {} events in a buffer, estimated at {} bytes each, resident {} bytes each",
        waiting.buffer_size,
        waiting.buffer_bytes / waiting.buffer_size.max(1),
        resident_bytes().saturating_sub(before) / waiting.buffer_size.max(1),
    );
}

/// Linux only; 0 elsewhere.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// What it costs to know the fate of every event: batches are gathered anew, as a batcher does,
/// with a token and without.
fn acknowledgement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("acknowledgement");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let ledger = Ledger::new();
    let mut events = Generator::new().batch();
    let mut gather = |token: Option<Token>| {
        let batch = Batch::new(std::mem::take(&mut events), start(), token);
        let copy = black_box(batch.clone());
        drop(copy);
        let (gathered, tokens) = batch.into_parts();
        let mut builder = BatchBuilder::with_capacity(gathered.len());
        for event in gathered {
            builder.push(event, &tokens);
        }
        drop(tokens);
        events = builder.finish(start()).into_parts().0;
    };
    group.bench_function("gather without tokens", |bench| bench.iter(|| gather(None)));
    group.bench_function("gather with a token, which is resolved", |bench| {
        bench.iter(|| gather(Some(ledger.issue(serde_json::Value::Null))));
    });
    assert_eq!(ledger.outstanding(), 0);
    group.finish();
}

criterion_group!(benches, throughput, deliveries, acknowledgement);
criterion_main!(benches);
