//! The simulated chain, measured. A small one by default; with `ENGINE_REALISM=full` (optimised,
//! please) the whole default chain with several seeds, as `.ci/run` does.

use std::time::Duration;

use engine::event::{Text, Timestamp, TraceIds};
use engine::retail::{
    Calendar, CellShard, EventType, Simulation, SimulationOptions, Volume, Weekend, World, weather,
};

use crate::band::{Verdict, table};
use crate::hours;
use crate::meter::Meter;
use crate::report;

/// A stretch of a chain's life.
struct Stretch {
    name: &'static str,
    seed: u64,
    volume: Volume,
    start: &'static str,
    days: u64,
    visitors_per_day: f64,
    weekend: Weekend,
}

const FORTNIGHT: Stretch = Stretch {
    name: "a fortnight",
    seed: 1,
    volume: Volume { stores: 40, dcs: 5, customers: 60_000, products: 4_000 },
    start: "2024-04-01T00:00:00Z",
    days: 15,
    visitors_per_day: 600.0,
    weekend: Weekend::Reduced,
};

/// A leap year of a chain with busy weekends; few visitors, so that it is told quickly.
const YEAR: Stretch = Stretch {
    name: "a year",
    seed: 1,
    volume: Volume { stores: 10, dcs: 10, customers: 8_000, products: 400 },
    start: "2024-01-01T12:00:00Z",
    days: 367,
    visitors_per_day: 40.0,
    weekend: Weekend::Busy,
};

/// What only a year shows.
const OF_A_YEAR: [&str; 5] = [
    "Saturday's receipts, % of the week",
    "December's receipts, of the year's mean day",
    "Black Friday's receipts, of a Friday near it",
    "entries and receipts on 25 December",
    "promotions per receipt near holidays, of usual",
];

/// Runs it, and gives what was measured of it to `judge`.
fn measure<T>(stretch: &Stretch, judge: impl FnOnce(&Meter<'_>) -> T) -> T {
    let start: Timestamp = stretch.start.parse().unwrap();
    let options = SimulationOptions {
        seed: stretch.seed,
        start,
        source: Text::from("test"),
        emit: EventType::DOCUMENT.iter().copied().collect(),
        calendar: Calendar { weekend: stretch.weekend },
        visitors_per_day: stretch.visitors_per_day,
        // As many as the visitors leave room for: those whom an ad leads come on top.
        ads_per_customer: 0.4 * stretch.visitors_per_day / 600.0,
        orders_per_customer: 0.0,
        incidents: Vec::new(),
        rates_interval: Duration::from_mins(15),
    };
    let world = World::generate(stretch.seed, stretch.volume);
    let known = world.clone();
    let trace_ids = TraceIds::new(stretch.seed, 0);
    let all = CellShard { index: 0, count: 1 };
    let mut simulation = Simulation::new(world, options, all, 2, &trace_ids, || None);
    let weekend = match stretch.weekend {
        Weekend::Reduced => hours::Weekend::Reduced,
        Weekend::Busy => hours::Weekend::Busy,
    };
    let mut meter = Meter::new(&known).weekend(weekend).weather(|store, date| {
        let climate = known.geographies[store.geography].climate;
        weather(stretch.seed, store.geography as u64, climate, date)
    });
    let end = start + Duration::from_hours(24) * stretch.days as u32;
    loop {
        let events = simulation.advance(end);
        if events.is_empty() {
            break;
        }
        for event in &events {
            meter.see(event);
        }
    }
    judge(&meter)
}

/// Whether all bands of a stretch hold; prints them.
fn holds(stretch: &Stretch) -> bool {
    measure(stretch, |meter| report(&format!("{}, seed {}", stretch.name, stretch.seed), meter))
}

fn is_full() -> bool {
    std::env::var("ENGINE_REALISM").is_ok_and(|value| value == "full")
}

#[test]
fn a_fortnight_looks_real() {
    let volume = if is_full() { Volume::default() } else { FORTNIGHT.volume };
    let seeds = if is_full() { 1..=3 } else { 1..=1 };
    let held: Vec<bool> = seeds.map(|seed| holds(&Stretch { seed, volume, ..FORTNIGHT })).collect();
    assert!(held.iter().all(|held| *held), "bands are out; the tables above say which");
}

#[test]
fn a_year_has_its_seasons() {
    let volume = if is_full() {
        Volume { stores: 40, dcs: 5, customers: 40_000, products: 2_000 }
    } else {
        YEAR.volume
    };
    measure(&Stretch { volume, ..YEAR }, |meter| {
        let bands = meter.bands();
        println!("{}", table(&bands));
        for name in OF_A_YEAR {
            let band = bands.iter().find(|band| band.name == name).expect(name);
            assert!(matches!(band.verdict(), Verdict::Ok), "{name}");
        }
    });
}
