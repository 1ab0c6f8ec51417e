//! A small chain by itself: however it is stepped, shared out, cut and gone on with, the events are
//! the same; and stores keep their hours.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::event::{Text, TraceIds};
use crate::retail::{
    Calendar, EventType, EventTypes, Family, Incident, IncidentType, Target, Volume,
};

mod memory;

const NOON: &str = "2024-11-29T17:00:00Z";
const WHOLE: CellShard = CellShard { index: 0, count: 1 };
const SMALL: Volume = Volume { stores: 5, dcs: 3, customers: 300, products: 120 };

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn all() -> EventTypes {
    EventType::ALL.into_iter().collect()
}

fn options(seed: u64, start: &str) -> SimulationOptions {
    let start = at(start);
    let shortage = Incident {
        incident_type: IncidentType::InventoryShortage,
        begin: start + Duration::from_hours(1),
        end: start + Duration::from_hours(5),
        severity: 0.9,
        target: Target::Everywhere,
        department: None,
    };
    SimulationOptions {
        seed,
        start,
        source: Text::from("test"),
        emit: all(),
        calendar: Calendar::default(),
        visitors_per_day: 60.0,
        ads_per_customer: 1.0,
        orders_per_customer: 0.2,
        incidents: vec![shortage],
        rates_interval: Duration::from_mins(15),
    }
}

fn chain(
    volume: Volume,
    options: SimulationOptions,
    shard: CellShard,
    threads: usize,
) -> Simulation {
    let seed = options.seed;
    let world = World::generate(seed, volume);
    Simulation::new(world, options, shard, threads, &TraceIds::new(seed, 0), || None)
}

fn run(simulation: &mut Simulation, end: Timestamp) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let events = simulation.advance(end);
        if events.is_empty() {
            return all;
        }
        all.extend(events);
    }
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::to_json).collect()
}

/// The lines of a chain from noon on.
fn day_of(seed: u64, hours: u64, threads: usize) -> Vec<String> {
    let mut simulation = chain(SMALL, options(seed, NOON), WHOLE, threads);
    lines(&run(&mut simulation, at(NOON) + Duration::from_hours(hours)))
}

fn types_of(events: &[Event]) -> BTreeMap<EventType, usize> {
    let mut types = BTreeMap::new();
    for event in events {
        *types.entry(EventType::from_key(event.event_type).unwrap()).or_default() += 1;
    }
    types
}

/// The cell that an id was given by.
fn cell_of(event: &Event) -> u64 {
    let id = event.trace_id.to_string();
    let sequence: u64 = id.rsplit('_').next().unwrap().parse().unwrap();
    (sequence >> 28) & TraceIds::CELL_MAX
}

#[test]
fn a_day_has_events_of_nearly_every_type_in_the_order_of_time() {
    let mut simulation = chain(SMALL, options(1, NOON), WHOLE, 1);
    let events = run(&mut simulation, at(NOON) + Duration::from_hours(36));
    let types = types_of(&events);
    assert_eq!(types.len(), EventType::COUNT, "{types:?}");
    assert!(events.is_sorted_by_key(|event| event.time));
    assert!(events.iter().all(|event| event.time >= at(NOON)));
    assert_eq!(simulation.now(), at(NOON) + Duration::from_hours(36));
}

#[test]
fn threads_change_nothing_and_the_seed_does() {
    let one = day_of(1, 8, 1);
    for threads in [1, 2, 3, 8] {
        assert!(day_of(1, 8, threads) == one, "{threads} threads");
    }
    let other = day_of(2, 8, 1);
    let ids = |lines: &[String]| -> HashSet<String> {
        let id = |line: &String| line.split("\"trace_id\":\"").nth(1).unwrap()[..40].to_owned();
        lines.iter().map(id).collect()
    };
    assert!(ids(&one).is_disjoint(&ids(&other)), "seeds share a trace id");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn steps_of_any_length_give_the_events_of_one(
        seed in 0_u64..50,
        steps in prop::collection::vec(1_u64..9_000_000, 1..20),
    ) {
        let end = at(NOON) + Duration::from_hours(5);
        let mut whole = chain(SMALL, options(seed, NOON), WHOLE, 1);
        let mut stepped = chain(SMALL, options(seed, NOON), WHOLE, 1);
        let mut events = Vec::new();
        let mut until = at(NOON);
        for step in steps {
            until = (until + Duration::from_millis(step)).min(end);
            let more = run(&mut stepped, until);
            prop_assert!(more.iter().all(|event| event.time < until));
            prop_assert_eq!(stepped.now(), until);
            events.extend(more);
        }
        events.extend(run(&mut stepped, end));
        prop_assert!(lines(&events) == lines(&run(&mut whole, end)));
    }
}

#[test]
fn shards_together_are_the_whole_and_share_no_id() {
    let end = at(NOON) + Duration::from_hours(12);
    let volume = Volume { dcs: 5, ..SMALL };
    let whole = run(&mut chain(volume, options(3, NOON), WHOLE, 1), end);
    for count in [2, 3, 5] {
        let mut events: Vec<Event> = Vec::new();
        for index in 0..count {
            let shard = CellShard { index, count };
            let own = run(&mut chain(volume, options(3, NOON), shard, 2), end);
            assert!(
                own.iter().all(|event| (cell_of(event) - 1) % u64::from(count) == u64::from(index))
            );
            events.extend(own);
        }
        let ids: HashSet<Text> = events.iter().map(|event| event.trace_id.clone()).collect();
        assert_eq!(ids.len(), events.len(), "an id comes twice");
        events.sort_by_key(|event| (event.time, cell_of(event)));
        assert!(lines(&events) == lines(&whole), "{count} shards");
    }
}

#[test]
fn what_is_not_emitted_changes_nothing_about_the_rest() {
    let end = at(NOON) + Duration::from_hours(30);
    let whole = run(&mut chain(SMALL, options(4, NOON), WHOLE, 1), end);
    let online: Vec<EventType> = vec![EventType::OnlineOrderShipped];
    for told in [
        vec![EventType::ReceiptCreated, EventType::TruckArrived],
        vec![EventType::StockoutDetected],
        Family::Customers.event_types().collect(),
        Vec::new(),
    ] {
        // Without any of the online types nobody orders, which is another world.
        let emit: EventTypes = told.iter().chain(&online).copied().collect();
        let mut part = chain(SMALL, SimulationOptions { emit, ..options(4, NOON) }, WHOLE, 1);
        let expected: Vec<Event> = whole
            .iter()
            .filter(|event| emit.contains(EventType::from_key(event.event_type).unwrap()))
            .cloned()
            .collect();
        assert!(!expected.is_empty());
        assert!(lines(&run(&mut part, end)) == lines(&expected), "{told:?}");
    }
}

#[test]
fn nobody_orders_online_where_nothing_of_it_is_told() {
    let emit = EventType::DOCUMENT.iter().copied().collect();
    let mut offline = chain(SMALL, SimulationOptions { emit, ..options(4, NOON) }, WHOLE, 1);
    let events = run(&mut offline, at(NOON) + Duration::from_hours(30));
    let of_an_order = events.iter().filter(|event| event.to_json().contains("ONL")).count();
    assert!(events.len() > 1000);
    assert_eq!(of_an_order, 0);
}

#[test]
fn a_step_ends_though_nothing_is_told_of_it() {
    let options = SimulationOptions { emit: EventTypes::default(), ..options(1, NOON) };
    let mut silent = chain(SMALL, options, WHOLE, 1);
    for _ in 0..10 {
        let before = silent.now();
        assert_eq!(silent.next_time(Timestamp::MAX), Some(silent.now()));
        assert!(silent.now() > before && silent.now() <= before + Duration::from_mins(20));
    }
}

/// The openings of the stores of a chain, each with its local time.
fn openings(
    volume: Volume,
    start: &str,
    hours: u64,
) -> Vec<(i64, Timestamp, jiff::civil::DateTime)> {
    let emit = [EventType::StoreOpened].into_iter().collect();
    let options = SimulationOptions { emit, visitors_per_day: 0.0, ..options(1, start) };
    let mut simulation = chain(volume, options, WHOLE, 1);
    let events = run(&mut simulation, at(start) + Duration::from_hours(hours));
    let world = simulation.world();
    let opening = |event: &Event| {
        let crate::event::Value::Int(id) = event.payload.get(crate::event::STORE_ID).unwrap()
        else {
            panic!("{}", event.to_json());
        };
        let store = &world.stores[*id as usize - 1];
        let zone = &world.geographies[store.geography].time_zone;
        (*id, event.time, zone.to_datetime(event.time.to_jiff()))
    };
    events.iter().map(opening).collect()
}

#[test]
fn stores_that_are_open_at_the_start_open_then() {
    let openings = openings(SMALL, NOON, 1);
    let mut stores: Vec<i64> = openings.iter().map(|(store, ..)| *store).collect();
    stores.sort_unstable();
    assert_eq!(stores, [1, 2, 3, 4, 5]);
    assert!(openings.iter().all(|(_, time, _)| *time == at(NOON)));
}

#[test]
fn a_store_opens_at_the_same_local_hour_on_both_sides_of_a_change_of_the_clocks() {
    let volume = Volume { stores: 12, dcs: 5, customers: 50, products: 20 };
    // Weekdays before and after the Sundays 10 March and 3 November 2024.
    for (start, before, after) in [
        ("2024-03-07T00:00:00Z", date(2024, 3, 8), date(2024, 3, 11)),
        ("2024-10-31T00:00:00Z", date(2024, 11, 1), date(2024, 11, 4)),
    ] {
        let openings = openings(volume, start, 6 * 24);
        let mut shifted = 0;
        for store in 1..=12 {
            let opened_on = |day| {
                let found =
                    openings.iter().find(|(id, _, local)| *id == store && local.date() == day);
                let (_, time, local) =
                    found.unwrap_or_else(|| panic!("{store} stays closed on {day}"));
                (*time, local.time())
            };
            let ((first, one), (second, other)) = (opened_on(before), opened_on(after));
            let minutes =
                |time: jiff::civil::Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
            // Three minutes early or late is punctual.
            assert!((minutes(one) - minutes(other)).abs() <= 7, "store {store}: {one} and {other}");
            let apart = second.since(first).as_millis() as i64 - 3 * 24 * 3_600_000;
            shifted += i32::from(apart.abs() > 3_000_000);
        }
        assert!(shifted >= 8, "{shifted} stores have daylight saving");
    }
}

#[test]
fn no_store_opens_on_christmas_day() {
    let volume = Volume { stores: 12, dcs: 5, customers: 50, products: 20 };
    let openings = openings(volume, "2024-12-24T00:00:00Z", 72);
    let on =
        |day| openings.iter().filter(|(.., local)| local.date() == date(2024, 12, day)).count();
    assert_eq!([on(24), on(25), on(26)], [12, 0, 12]);
}
