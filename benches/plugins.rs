//! What the boundary of a plugin costs: the same enricher, correlator and sink built in, and as
//! libraries in Rust and C that are loaded and adapted as in any pipeline.
//!
//! `cargo bench --bench plugins` prints them; compare the rows of one run with each other, not with
//! other machines.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::engine::Engine;
use engine::event::{
    AD_IMPRESSION, BATCH_EVENTS, Batch, Event, JsonWriter, Key, STORE_ID, TOTAL, Timestamp,
    TraceIds, Value,
};
use engine::plan::RunId;
use engine::retail::{EventFactory, EventType, EventWeights};
use engine::script::{KeyPart, KeyedState, StateKey};
use engine::stage::{Correlator, Enricher, Output, Rows, Sink, Stage};

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The library of the crate beside this file, as its author builds it.
fn rust_library() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "bench-plugin", "--message-format", "json"])
        .current_dir(project("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let library = messages.lines().filter(|line| line.contains("\"bench_plugin\""));
    let mut files = library.flat_map(|line| line.split('"'));
    files.find(|text| text.ends_with(std::env::consts::DLL_SUFFIX)).unwrap().into()
}

/// `marks.c`, compiled as its author compiles it.
fn c_library(folder: &Path) -> PathBuf {
    let path = folder.join("marks.so");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-O2", "-shared", "-fPIC", "-I"])
        .arg(project("plugins/sdk/include"))
        .arg(project("benches/plugins/marks.c"))
        .arg("-o")
        .arg(&path)
        .status()
        .unwrap();
    assert!(compiled.success());
    path
}

/// A plugin of a library as a stage.
fn stage(library: &Path, kind: &str, plugin: &str) -> Stage {
    let probe = format!("{kind}s: {{ probe: {{ type: {plugin}, inputs: stores }} }}\n");
    let sink = if kind == "sink" {
        ""
    } else {
        "sinks: { nowhere: { type: blackhole, inputs: probe } }\n"
    };
    let spec = format!(
        "plugins: [\"{}\"]\nsources: {{ stores: {{ type: retail_mix }} }}\n{probe}{sink}",
        library.display()
    );
    let engine = Engine::from_yaml(&spec).unwrap_or_else(|problems| panic!("{problems}"));
    let plan = engine.into_plan();
    let planned = plan.stages.iter().find(|stage| stage.name == "probe").unwrap();
    plan.build(planned, RunId::of(start())).unwrap()
}

fn enricher(library: &Path, plugin: &str) -> Box<dyn Enricher> {
    match stage(library, "enricher", plugin) {
        Stage::Enricher(mut enricher) => {
            enricher.open().unwrap();
            enricher
        }
        _ => unreachable!(),
    }
}

fn correlator(library: &Path, plugin: &str) -> Box<dyn Correlator> {
    match stage(library, "correlator", plugin) {
        Stage::Correlator(mut correlator) => {
            correlator.open().unwrap();
            correlator
        }
        _ => unreachable!(),
    }
}

fn start() -> Timestamp {
    "2024-11-29T10:00:00Z".parse().unwrap()
}

fn batch() -> Vec<Event> {
    let mut factory = EventFactory::builder().seed(42).build();
    factory.generate_mixed_events(BATCH_EVENTS, start(), &EventWeights::default())
}

fn receipts() -> Vec<Event> {
    let mut factory = EventFactory::builder().seed(42).build();
    let weights = EventWeights::new([(EventType::ReceiptCreated, 1.0)]).unwrap();
    factory.generate_mixed_events(BATCH_EVENTS, start(), &weights)
}

/// `bench_marks`, built in.
struct Marks {
    high_value: Key,
    channel_group: Key,
}

impl Enricher for Marks {
    fn enrich(&mut self, rows: &mut Rows<'_>) {
        for row in 0..rows.len() {
            let event = rows.get_mut(row);
            let total = event.payload.get(TOTAL).and_then(Value::as_f64);
            let is_here = event.payload.get(STORE_ID).is_some_and(|store| *store != Value::Null);
            let group = if event.event_type == AD_IMPRESSION { "ads" } else { "store" };
            event.payload.set(self.high_value, is_here && total.is_some_and(|total| total > 100.0));
            event.payload.set(self.channel_group, group);
        }
    }
}

/// `bench_rush`, built in.
struct BuiltIn {
    states: KeyedState<(i64, f64)>,
    ids: TraceIds,
    basket_rush: Key,
    receipts: Key,
}

impl BuiltIn {
    fn observe(&mut self, event: &Event, out: &mut Output) {
        let store = event.payload.get(STORE_ID).cloned().unwrap_or_default();
        let state = self.states.access(&StateKey::One(KeyPart::from(&store)), event.time);
        state.0 += 1;
        state.1 += event.payload.get(TOTAL).and_then(Value::as_f64).unwrap_or_default();
        if state.0 % 10 == 0 {
            let id = self.ids.next(event.time);
            let mut rush = Event::caused_by(event, self.basket_rush, id);
            rush.payload.push(self.receipts, state.0);
            rush.payload.push(STORE_ID, store);
            out.events.push(rush);
        }
    }
}

fn enrich(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (rust, c) = (rust_library(), c_library(folder.path()));
    let key = |name| Key::intern(name).unwrap();
    let built_in = Marks { high_value: key("high_value"), channel_group: key("channel_group") };
    let mut group = criterion.benchmark_group("enrich: read 3, write 2");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    for (name, mut enricher) in [
        ("built in", Box::new(built_in) as Box<dyn Enricher>),
        ("plugin in Rust", enricher(&rust, "bench_marks")),
        ("plugin in C, field by field", enricher(&c, "bench_by_field")),
        ("plugin in C, gather and scatter", enricher(&c, "bench_by_batch")),
    ] {
        let mut events = batch();
        group.bench_function(name, |bench| {
            bench.iter(|| enricher.enrich(&mut Rows::new(black_box(&mut events), None)));
        });
    }
    group.finish();
}

fn observe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("observe: read 2, derive every tenth");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let events = receipts();
    let mut out = Output::default();
    let mut rush = BuiltIn {
        states: KeyedState::new(100_000, None),
        ids: TraceIds::new(42, 0),
        basket_rush: Key::intern("basket_rush").unwrap(),
        receipts: Key::intern("receipts").unwrap(),
    };
    group.bench_function("built in", |bench| {
        bench.iter(|| {
            for event in &events {
                rush.observe(black_box(event), &mut out);
            }
            out.events.clear();
        });
    });
    let mut plugin = correlator(&rust_library(), "bench_rush");
    group.bench_function("plugin in Rust", |bench| {
        bench.iter(|| {
            for event in &events {
                plugin.observe(black_box(event), &mut out).unwrap();
            }
            out.events.clear();
        });
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write: lines of JSON");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    let events = batch();
    let mut writer = JsonWriter::new();
    group.bench_function("built in", |bench| {
        bench.iter(|| {
            writer.clear();
            for event in black_box(&events) {
                writer.line(event);
            }
            black_box(writer.as_bytes());
        });
    });
    let Stage::Sink(sink) = stage(&rust_library(), "sink", "bench_lines") else { unreachable!() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Sink::open(&*sink)).unwrap();
    let batch = Batch::new(events, start(), None);
    group.bench_function("plugin in Rust", |bench| {
        bench.iter(|| runtime.block_on(sink.write(black_box(&batch))));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).sample_size(30);
    targets = enrich, observe, write
}
criterion_main!(benches);
