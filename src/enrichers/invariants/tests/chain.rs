//! A stream of the real simulated chain, and the ways in which a generator may spoil it.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::event::{Event, Key, REASON, STATUS, Text, Timestamp, TraceIds, Value};
use crate::retail::{
    Calendar, CellShard, EventType, Simulation, SimulationOptions, Volume, Weekend, World,
};

const DAYS: u32 = 6;

/// What a small chain with many ads and much to reorder tells in a few days; made once.
static TOLD: LazyLock<Vec<Event>> = LazyLock::new(|| {
    let seed = 7;
    let start: Timestamp = "2024-11-25T05:00:00Z".parse().unwrap();
    let options = SimulationOptions {
        seed,
        start,
        source: Text::from("test"),
        emit: EventType::ALL.into_iter().collect(),
        calendar: Calendar { weekend: Weekend::Reduced },
        visitors_per_day: 32.0,
        ads_per_customer: 1.2,
        orders_per_customer: 0.06,
        incidents: Vec::new(),
        rates_interval: Duration::from_mins(15),
    };
    let world = World::generate(seed, Volume { stores: 3, dcs: 2, customers: 300, products: 40 });
    let (shard, ids) = (CellShard { index: 0, count: 1 }, TraceIds::new(seed, 0));
    let mut simulation = Simulation::new(world, options, shard, 1, &ids, || None);
    let end = start + Duration::from_hours(24) * DAYS;
    let mut told = Vec::new();
    loop {
        let events = simulation.advance(end);
        if events.is_empty() {
            return told;
        }
        told.extend(events);
    }
});

/// Settings under which what is missing is noticed within these days.
pub(super) fn settings() -> Json {
    json!({ "order_within": "48h", "delivery_within": "120h" })
}

/// Events in order.
pub(super) struct Chain {
    pub(super) events: Vec<Event>,
    /// How many events were added.
    added: usize,
}

impl Chain {
    /// The days as they were told.
    pub(super) fn told() -> Self {
        Self { events: TOLD.clone(), added: 0 }
    }

    /// Changes all events of a kind.
    pub(super) fn each(&mut self, is: impl Fn(&Event) -> bool, change: impl FnMut(&mut Event)) {
        self.events.iter_mut().filter(|event| is(event)).for_each(change);
    }

    /// Sets a field of all events of a kind to what follows from what it was.
    pub(super) fn set<V: Into<Value>>(
        &mut self,
        is: impl Fn(&Event) -> bool,
        key: Key,
        value: impl Fn(&Event) -> V,
    ) {
        self.each(is, |event| {
            let value = value(event);
            event.payload.set(key, value);
        });
    }

    /// Does not tell events of a kind.
    pub(super) fn lose(&mut self, is: impl Fn(&Event) -> bool) {
        self.events.retain(|event| !is(event));
    }

    /// Tells every second event of a kind only.
    pub(super) fn lose_every_second(&mut self, is: impl Fn(&Event) -> bool) {
        let mut count = 0;
        self.lose_some(|event| {
            count += usize::from(is(event));
            is(event) && count % 2 == 0
        });
    }

    /// Does not tell events that are chosen one after the other.
    pub(super) fn lose_some(&mut self, mut is_lost: impl FnMut(&Event) -> bool) {
        self.events.retain(|event| !is_lost(event));
    }

    /// Tells each event of a kind again right behind it, with a trace id of its own.
    pub(super) fn repeat(
        &mut self,
        is: impl Fn(&Event) -> bool,
        mut change: impl FnMut(&mut Event),
    ) {
        let events = std::mem::take(&mut self.events);
        for event in events {
            let again = is(&event).then(|| event.clone());
            self.events.push(event);
            if let Some(mut again) = again {
                again.trace_id = Text::from(format!("again {}", self.added));
                self.added += 1;
                change(&mut again);
                self.events.push(again);
            }
        }
    }

    /// Lets all events of a kind happen later, or earlier, by so many milliseconds.
    pub(super) fn delay(&mut self, is: impl Fn(&Event) -> bool, by: i64) {
        self.retime(|event| if is(event) { millis(event) + by } else { millis(event) });
    }

    /// Lets each event happen at another time, and brings them in that order.
    pub(super) fn retime(&mut self, time: impl Fn(&Event) -> i64) {
        for event in &mut self.events {
            event.time = Timestamp::from_millis(time(event));
        }
        self.events.sort_by_key(|event| event.time);
    }

    /// Moves each event of a kind behind the next one that belongs to it, to its time.
    pub(super) fn put_behind(
        &mut self,
        is: impl Fn(&Event) -> bool,
        next: impl Fn(&Event, &Event) -> bool,
    ) {
        let mut waiting: Vec<Event> = Vec::new();
        for event in std::mem::take(&mut self.events) {
            if is(&event) {
                waiting.push(event);
                continue;
            }
            let (now, rest): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|earlier| next(earlier, &event));
            waiting = rest;
            let time = event.time;
            self.events.push(event);
            self.events.extend(now.into_iter().map(|earlier| Event { time, ..earlier }));
        }
    }
}

/// Events of a type.
pub(super) fn of(event_type: EventType) -> impl Fn(&Event) -> bool + Copy {
    move |event| event.event_type == event_type.key()
}

/// Movements of stock for a reason.
pub(super) fn moved(reason: &'static str) -> impl Fn(&Event) -> bool + Copy {
    move |event| reads(event, REASON, reason)
}

/// Payments of a status.
pub(super) fn paid(status: &'static str) -> impl Fn(&Event) -> bool + Copy {
    move |event| reads(event, STATUS, status)
}

/// Whether a field is this text.
pub(super) fn reads(event: &Event, key: Key, text: &str) -> bool {
    event.payload.get(key).and_then(Value::as_text).is_some_and(|value| value == text)
}

/// Whether a field is there and not null.
pub(super) fn has(event: &Event, key: Key) -> bool {
    event.payload.get(key).is_some_and(|value| *value != Value::Null)
}

pub(super) fn int(event: &Event, key: Key) -> i64 {
    event.payload.get(key).and_then(Value::as_i64).unwrap()
}

pub(super) fn money(event: &Event, key: Key) -> f64 {
    event.payload.get(key).and_then(Value::as_f64).unwrap()
}

pub(super) fn millis(event: &Event) -> i64 {
    event.time.as_millis()
}
