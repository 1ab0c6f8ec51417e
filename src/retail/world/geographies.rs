//! The towns that generated places are in, and the list in which every place finds its own.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::{Climate, Dc, Geography, Region, Store};

/// A row of the table: name, region, climate, IANA time zone, sales tax.
struct Town(&'static str, Region, Climate, &'static str, u32);

/// Five towns a region. The taxes are the combined state and local rates of 2024 in hundredths of a
/// percent, cut at 9.5 %.
const TOWNS: [Town; 25] = {
    use Climate::{Alpine, Continental, Desert, Mediterranean, Oceanic, Subtropical};
    use Region::{Midwest, Northeast, Southeast, Southwest, West};
    [
        Town("New York", Northeast, Continental, "America/New_York", 888),
        Town("Boston", Northeast, Continental, "America/New_York", 625),
        Town("Philadelphia", Northeast, Continental, "America/New_York", 800),
        Town("Pittsburgh", Northeast, Continental, "America/New_York", 700),
        Town("Burlington", Northeast, Alpine, "America/New_York", 700),
        Town("Atlanta", Southeast, Subtropical, "America/New_York", 890),
        Town("Miami", Southeast, Subtropical, "America/New_York", 700),
        Town("Tampa", Southeast, Subtropical, "America/New_York", 750),
        Town("Charlotte", Southeast, Subtropical, "America/New_York", 725),
        Town("Louisville", Southeast, Continental, "America/Kentucky/Louisville", 600),
        Town("Chicago", Midwest, Continental, "America/Chicago", 950),
        Town("Detroit", Midwest, Continental, "America/Detroit", 600),
        Town("Minneapolis", Midwest, Alpine, "America/Chicago", 903),
        Town("Indianapolis", Midwest, Continental, "America/Indiana/Indianapolis", 700),
        Town("Omaha", Midwest, Continental, "America/Chicago", 700),
        Town("Phoenix", Southwest, Desert, "America/Phoenix", 860),
        Town("Dallas", Southwest, Subtropical, "America/Chicago", 825),
        Town("Houston", Southwest, Subtropical, "America/Chicago", 825),
        Town("Albuquerque", Southwest, Desert, "America/Denver", 763),
        Town("Las Vegas", Southwest, Desert, "America/Los_Angeles", 838),
        Town("Los Angeles", West, Mediterranean, "America/Los_Angeles", 950),
        Town("San Francisco", West, Mediterranean, "America/Los_Angeles", 863),
        Town("Portland", West, Oceanic, "America/Los_Angeles", 0),
        Town("Seattle", West, Oceanic, "America/Los_Angeles", 950),
        Town("Denver", West, Alpine, "America/Denver", 881),
    ]
};

/// The towns of a region, by their places in the table.
pub(super) fn towns_of(region: Region) -> Vec<usize> {
    (0..TOWNS.len()).filter(|town| TOWNS[*town].1 == region).collect()
}

/// A town of the table.
pub(super) fn town(place: usize) -> Geography {
    let Town(name, region, climate, time_zone, tax_rate) = TOWNS[place];
    let time_zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    Geography { name: name.to_owned(), region, climate, time_zone, tax_rate }
}

/// Geographies, each once.
#[derive(Default)]
pub(super) struct Geographies {
    all: Vec<Geography>,
    places: HashMap<Identity, usize>,
}

/// What makes two geographies the same.
type Identity = (String, Region, Climate, String, u32);

impl Geographies {
    /// The place of a geography, which is added if it is new.
    pub(super) fn place_of(&mut self, geography: Geography) -> usize {
        let time_zone = geography.time_zone.iana_name().unwrap_or_default().to_owned();
        let Geography { name, region, climate, tax_rate, .. } = &geography;
        let identity = (name.clone(), *region, *climate, time_zone, *tax_rate);
        *self.places.entry(identity).or_insert_with(|| {
            self.all.push(geography);
            self.all.len() - 1
        })
    }

    /// The region of one.
    pub(super) fn region(&self, place: usize) -> Region {
        self.all[place].region
    }

    /// Those that are used, in the order of their first use: so the same places make the same
    /// list, wherever they come from.
    pub(super) fn in_order_of_use(self, dcs: &mut [Dc], stores: &mut [Store]) -> Vec<Geography> {
        let mut all: Vec<Option<Geography>> = self.all.into_iter().map(Some).collect();
        let mut moved = vec![0; all.len()];
        let mut used = Vec::new();
        let places = dcs.iter_mut().map(|dc| &mut dc.geography);
        for place in places.chain(stores.iter_mut().map(|store| &mut store.geography)) {
            if let Some(geography) = all[*place].take() {
                moved[*place] = used.len();
                used.push(geography);
            }
            *place = moved[*place];
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_town_has_a_time_zone_and_a_tax_within_bounds() {
        for (place, row) in TOWNS.iter().enumerate() {
            let town = town(place);
            assert_eq!(town.time_zone.iana_name(), Some(row.3), "{}", town.name);
            assert!(town.tax_rate <= 950, "{}", town.name);
        }
    }

    #[test]
    fn every_region_has_towns_and_every_climate_is_somewhere() {
        assert!(Region::ALL.iter().all(|region| towns_of(*region).len() == 5));
        assert!(Climate::ALL.iter().all(|climate| TOWNS.iter().any(|town| town.2 == *climate)));
    }
}
