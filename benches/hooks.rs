//! What hooks cost a run at full speed: none, one that is for a type, one that is called for every
//! event and does nothing, and the same where the run waits for it.
//!
//! `cargo bench --bench hooks` prints them; compare the rows of one run with each other, not with
//! other machines.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::engine::Engine;

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: u64 = 200_000;

const GUARDED: &str = "
hooks:
  event_generated: |
    fn event_generated(event) { if event.event_type == \"store_opened\" { count(\"opened\") } }
";
const EVERY_EVENT: &str = "
hooks: { event_generated: 'fn event_generated(event) { }' }
";
const WAITING: &str = "
hooks: { when_behind: wait, event_generated: 'fn event_generated(event) { }' }
";
const BATCHES: &str = "
hooks: { batch_sent: 'fn batch_sent(events) { count(\"sent\", events.len()) }' }
";

/// Runs a pipeline with a rule that changes every event, so that a hook's copies are copies.
fn run(hooks: &str) {
    let spec = format!(
        "
clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}
sources: {{ stores: {{ type: retail_mix }} }}
enrichers:
  mark:
    type: rhai
    inputs: [stores]
    with: {{ script: 'fn enrich(event) {{ event.payload.mark = 1; }}' }}
sinks: {{ nowhere: {{ type: blackhole, inputs: [mark] }} }}
{hooks}"
    );
    let engine = Engine::from_yaml(&spec).unwrap_or_else(|problems| panic!("{problems}"));
    let report = engine.start().unwrap_or_else(|problems| panic!("{problems}")).wait();
    assert_eq!(report.statistics.events_sent_successfully, EVENTS);
}

fn hooks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hooks");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    for (name, hooks) in [
        ("none", ""),
        ("event_generated, for a type of 0.5 %", GUARDED),
        ("event_generated, for every event, skipping", EVERY_EVENT),
        ("event_generated, for every event, waited for", WAITING),
        ("batch_sent", BATCHES),
    ] {
        group.bench_function(name, |bench| bench.iter(|| run(hooks)));
    }
    group.finish();
}

criterion_group!(benches, hooks);
criterion_main!(benches);
