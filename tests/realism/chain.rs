//! A chain small enough to write by hand, and events in it: what the meter is tested on.

use engine::event::{Event, Key, STORE, TR, Text, Timestamp, Value};
use engine::retail::{
    Climate, Customer, Dc, Department, Format, Geography, Product, Region, Segment, Store, Tier,
    Truck, World,
};
use jiff::tz::TimeZone;

/// How many products it has; ids from 1, departments in turn.
pub(crate) const PRODUCTS: u32 = 40;

/// Four stores: 1 is a supermarket in New York, 2 an express there, 3 a department store and 4 an
/// express in Los Angeles.
pub(crate) fn small_world() -> World {
    let geography = |name: &str, region, climate, time_zone| Geography {
        name: name.to_owned(),
        region,
        climate,
        time_zone: TimeZone::get(time_zone).unwrap(),
        tax_rate: 800,
    };
    let store =
        |id, geography, tier, format, volume| Store { id, geography, dc: 0, tier, format, volume };
    let product = |id| Product {
        id,
        department: Department::ALL[id as usize % Department::ALL.len()],
        price_cents: 199,
        popularity: 1.0,
        shelf_life_days: 0,
    };
    World {
        geographies: vec![
            geography("New York", Region::Northeast, Climate::Continental, "America/New_York"),
            geography("Los Angeles", Region::West, Climate::Mediterranean, "America/Los_Angeles"),
        ],
        dcs: vec![Dc { id: 1, geography: 0 }],
        stores: vec![
            store(1, 0, Tier::High, Format::Supermarket, 2.0),
            store(2, 0, Tier::Kiosk, Format::Express, 0.3),
            store(3, 1, Tier::Medium, Format::Department, 1.0),
            store(4, 1, Tier::Low, Format::Express, 0.5),
        ],
        trucks: vec![Truck { number: 1, dc: 0 }],
        products: (1..=PRODUCTS).map(product).collect(),
        customers: vec![Customer { id: 1, home: 0, segment: Segment::Family, has_beacon: true }],
        campaigns: Vec::new(),
    }
}

/// An instant.
pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// An event with these fields.
pub(crate) fn event<const N: usize>(
    event_type: Key,
    time: Timestamp,
    fields: [(Key, Value); N],
) -> Event {
    let mut event = Event::new(event_type, Text::stamped(TR, time.as_seconds(), 1), time);
    event.payload = fields.into_iter().collect();
    event
}

/// An event of a store, with these fields.
pub(crate) fn store_event<const N: usize>(
    event_type: Key,
    time: Timestamp,
    store: u32,
    fields: [(Key, Value); N],
) -> Event {
    let mut event = event(event_type, time, fields);
    event.payload.set(engine::event::STORE_ID, store);
    event.partition_key = Some(Text::numbered(STORE, store.into()));
    event
}
