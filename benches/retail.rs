//! The simulated chain: events per second on one core, alone and with their JSON, and on two; and
//! what it takes to begin, to keep and to go on.
//!
//! `cargo bench --bench retail` prints them; compare the rows of one run with each other, not with
//! other machines. It is the default chain with all types of the contract, from a Monday on: nights
//! and days as they come.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::event::{BATCH_EVENTS, Event, JsonWriter, Text, Timestamp, TraceIds};
use engine::retail::{
    Calendar, CellShard, EventType, Simulation, SimulationOptions, Volume, World,
};

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn world() -> World {
    World::generate(42, Volume::default())
}

fn simulation(world: World, threads: usize) -> Simulation {
    let options = SimulationOptions {
        seed: 42,
        start: "2024-04-01T05:00:00Z".parse().unwrap(),
        source: Text::from_static("retail-datagen"),
        emit: EventType::DOCUMENT.iter().copied().collect(),
        calendar: Calendar::default(),
        visitors_per_day: 600.0,
        ads_per_customer: 0.4,
        orders_per_customer: 0.0,
        incidents: Vec::new(),
        rates_interval: Duration::from_mins(15),
    };
    let all = CellShard { index: 0, count: 1 };
    Simulation::new(world, options, all, threads, &TraceIds::new(42, 0), || None)
}

fn batch(simulation: &mut Simulation) -> Vec<Event> {
    let mut events = Vec::with_capacity(BATCH_EVENTS);
    while events.len() < BATCH_EVENTS {
        simulation.next_time(Timestamp::MAX);
        let missing = BATCH_EVENTS - events.len();
        simulation.take(Timestamp::MAX, missing, &mut events);
    }
    events
}

fn retail(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retail");
    group.throughput(Throughput::Elements(BATCH_EVENTS as u64));
    // Long enough for nights to count as much as days.
    group.measurement_time(Duration::from_secs(10));
    let mut chain = simulation(world(), 1);
    group.bench_function("simulate", |bench| bench.iter(|| black_box(batch(&mut chain))));
    let mut writer = JsonWriter::new();
    let mut chain = simulation(world(), 1);
    group.bench_function("simulate -> JSON", |bench| {
        bench.iter(|| {
            writer.clear();
            for event in &batch(&mut chain) {
                writer.line(event);
            }
            black_box(writer.as_bytes());
        });
    });
    let mut chain = simulation(world(), 2);
    group.bench_function("simulate, two threads", |bench| {
        bench.iter(|| black_box(batch(&mut chain)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("retail, whole");
    group.sample_size(10);
    group.bench_function("generate the world", |bench| bench.iter(|| black_box(world())));
    let ready = world();
    group.bench_function("begin the simulation", |bench| {
        bench.iter_with_setup(|| ready.clone(), |world| black_box(simulation(world, 1)));
    });
    group.bench_function("snapshot after a few days", |bench| {
        bench.iter(|| black_box(chain.memory()));
    });
    let memory = chain.memory();
    group.bench_function("restore the snapshot", |bench| {
        bench.iter(|| chain.restore(&memory).unwrap());
    });
    group.finish();
}

criterion_group!(benches, retail);
criterion_main!(benches);
