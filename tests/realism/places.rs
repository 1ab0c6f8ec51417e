//! Where and when an event is: its store by place in the master data, and the store's local time.

use engine::event::{Event, STORE_ID, Text, Timestamp};
use engine::retail::{Store, World};
use rustc_hash::FxHashMap;

use crate::days::{DAY, HOUR};

/// Daylight saving begins and ends on one of these.
const QUARTER: i64 = HOUR / 4;

/// The master data, by the ids that events carry.
pub(crate) struct Places<'w> {
    /// What the ids stand for.
    pub(crate) world: &'w World,
    stores: FxHashMap<i64, usize>,
    products: FxHashMap<i64, usize>,
    /// For each geography the quarter of an hour that was last asked for, and the milliseconds from
    /// UTC to local time in it.
    offsets: Vec<(i64, i64)>,
}

/// A local time: milliseconds since 1970 by the clock on the store's wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local(pub(crate) i64);

impl Local {
    /// Days since 1970.
    pub(crate) fn day(self) -> i32 {
        self.0.div_euclid(DAY) as i32
    }

    /// From 0 to 23.
    pub(crate) fn hour(self) -> usize {
        (self.0.rem_euclid(DAY) / HOUR) as usize
    }
}

impl<'w> Places<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let stores = world.stores.iter().map(|store| i64::from(store.id));
        let products = world.products.iter().map(|product| i64::from(product.id));
        Self {
            stores: stores.zip(0..).collect(),
            products: products.zip(0..).collect(),
            offsets: vec![(i64::MIN, 0); world.geographies.len()],
            world,
        }
    }

    /// The store that the payload names, by its place.
    pub(crate) fn store(&self, event: &Event) -> Option<usize> {
        self.stores.get(&event.payload.get(STORE_ID)?.as_i64()?).copied()
    }

    /// The store that the partition key names: a line has no other.
    pub(crate) fn store_of_key(&self, event: &Event) -> Option<usize> {
        let id = match event.partition_key.as_ref()? {
            Text::Numbered { prefix, number } if *prefix == engine::event::STORE => *number as i64,
            text => text.with_str(|text| text.strip_prefix("store_")?.parse().ok())?,
        };
        self.stores.get(&id).copied()
    }

    /// A product by its id.
    pub(crate) fn product(&self, id: i64) -> Option<usize> {
        self.products.get(&id).copied()
    }

    /// A store by its place.
    pub(crate) fn store_at(&self, store: usize) -> &'w Store {
        &self.world.stores[store]
    }

    /// The number of a store's region.
    pub(crate) fn region(&self, store: usize) -> usize {
        self.world.geographies[self.store_at(store).geography].region as usize
    }

    /// What the clock in a store shows.
    pub(crate) fn local(&mut self, store: usize, time: Timestamp) -> Local {
        let geography = self.store_at(store).geography;
        let quarter = time.as_millis().div_euclid(QUARTER);
        let (known, offset) = &mut self.offsets[geography];
        if *known != quarter {
            let time_zone = &self.world.geographies[geography].time_zone;
            *offset = i64::from(time_zone.to_offset(time.to_jiff()).seconds()) * 1000;
            *known = quarter;
        }
        Local(time.as_millis() + *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{at, small_world};

    #[test]
    fn the_clock_in_a_store_is_put_forward_in_march() {
        let world = small_world();
        let mut places = Places::new(&world);
        let mut hour = |time| places.local(0, at(time)).hour();
        assert_eq!(hour("2024-03-10T06:59:59Z"), 1);
        assert_eq!(hour("2024-03-10T07:00:00Z"), 3);
        assert_eq!(hour("2024-03-09T07:00:00Z"), 2);
        assert_eq!(hour("2024-11-03T06:00:00Z"), 1, "again, in November");
    }
}
