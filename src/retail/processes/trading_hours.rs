//! Trading hours: each store opens and closes by its local time, weekdays, Sundays and holidays.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::replenishment::OrderLine;
use super::{Stream, stream};
use crate::event::{OPERATION_TIME, OPERATION_TYPE, STORE, STORE_ID, STORE_OPS, Text, Timestamp};
use crate::retail::calendar::{self, Holiday};
use crate::retail::cell::Cell;
use crate::retail::demand;
use crate::retail::event_types::EventType;
use crate::retail::hours::opening;
use crate::retail::promotions::week_of;
use crate::retail::random::Random;
use crate::retail::reporter::Links;
use crate::retail::scene::Scene;
use crate::retail::schedule::{DAY, HOUR, MINUTE, Millis, Task, date_of, day_of};
use crate::retail::weather::{footfall, mean_footfall, weather};
use crate::retail::weigh::{Moment, StoreMoment};
use crate::retail::world::{Department, Weather};

/// How much earlier or later than planned a store opens and closes at most.
const PUNCTUAL: Millis = 3 * MINUTE;
/// How long a store waits for its last shoppers before it looks again.
const LAST_SHOPPERS: Millis = MINUTE;

/// A store as it is now.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Shop {
    pub(super) is_open: bool,
    /// The local day, counted from 1970.
    pub(super) day: i32,
    /// When it stops letting people in, while it is open.
    pub(super) closes: Millis,
    /// Shoppers inside who are known or are going to buy something.
    pub(super) inside: u32,
    pub(super) rates: Rates,
    /// What it has ordered and the centre has not yet sent.
    pub(super) orders: Vec<OrderLine>,
    pub(super) hours: Random,
    pub(super) footfall: Random,
    pub(super) visits: Random,
    pub(super) baskets: Random,
    pub(super) checkout: Random,
    pub(super) returns: Random,
    pub(super) upkeep: Random,
    /// What follows from the day.
    #[serde(skip)]
    pub(super) today: Today,
}

/// What is true of a store on a day.
#[derive(Clone, Debug)]
pub(super) struct Today {
    pub(super) date: Date,
    pub(super) holiday: Option<Holiday>,
    pub(super) weather: Weather,
    /// How many groups come in over the day.
    pub(super) visitors: f64,
    /// Shares of the departments, added up.
    pub(super) departments: [f64; Department::ALL.len()],
    pub(super) promotion_week: u32,
}

impl Default for Today {
    fn default() -> Self {
        Self {
            date: Date::constant(1970, 1, 1),
            holiday: None,
            weather: Weather::Clouds,
            visitors: 0.0,
            departments: [0.0; Department::ALL.len()],
            promotion_week: 0,
        }
    }
}

/// What holds in a store until the next look at the clock.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rates {
    /// Until when.
    pub(super) until: Millis,
    /// Groups that come in, per millisecond.
    pub(super) entries: f64,
    /// Whether the next footfall is an entry, or only a look at the rates.
    pub(super) is_entry: bool,
    /// What the user weighs purchases, pings and promotions with.
    pub(super) purchases: f64,
    pub(super) pings: f64,
    pub(super) promotions: f64,
}

impl Shop {
    pub(in crate::retail) fn new(scene: &Scene, store: usize) -> Self {
        let random = |process| stream(scene.options.seed, process, store);
        Self {
            is_open: false,
            day: 0,
            closes: Millis::MIN,
            inside: 0,
            rates: Rates::default(),
            orders: Vec::new(),
            hours: random(Stream::Hours),
            footfall: random(Stream::Footfall),
            visits: random(Stream::Visits),
            baskets: random(Stream::Baskets),
            checkout: random(Stream::Checkout),
            returns: random(Stream::Returns),
            upkeep: random(Stream::Upkeep),
            today: Today::default(),
        }
    }
}

impl Cell {
    /// Plans a store's local day: its opening and closing, its upkeep at night, its delivery, and
    /// the day after.
    pub(in crate::retail) fn begin_day(&mut self, store: u32, now: Millis) {
        let date = self.local(store, now).date();
        self.shops[store as usize].day = day_of(date);
        self.recall_day(store);
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        if let Some((opens, closes)) = opening(it.format, it.tier, date) {
            let hours = &mut self.shops[store as usize].hours;
            let (late, later) =
                (hours.between(-PUNCTUAL, PUNCTUAL), hours.between(-PUNCTUAL, PUNCTUAL));
            let opens = self.instant(store, date.to_datetime(opens)) + late;
            let closes = self.instant(store, date.to_datetime(closes)) + later;
            if now < closes {
                self.shops[store as usize].closes = closes;
                self.schedule.at(opens.max(now), Task::Open(store));
            }
        }
        let night = self.instant(store, date.at(2, 0, 0, 0));
        let night = night + self.shops[store as usize].hours.between(0, 3 * HOUR);
        if night >= now {
            self.schedule.at(night, Task::Upkeep(store));
        }
        let evening = self.instant(store, date.at(19, 0, 0, 0));
        let evening = evening + self.shops[store as usize].hours.between(0, 4 * HOUR);
        if evening >= now {
            self.schedule.at(evening, Task::Dispatch(store));
        }
        // A calendar ends: a store that lives to see it stays as it is.
        let midnight = date.tomorrow().map(|day| self.instant(store, day.at(0, 0, 0, 0)));
        self.schedule.at(midnight.unwrap_or(now + DAY).max(now + HOUR), Task::Day(store));
    }

    /// What follows from a store's day.
    pub(in crate::retail) fn recall_day(&mut self, store: u32) {
        let place = self.ground.stores[store as usize];
        let world = &self.scene.world;
        let it = &world.stores[place];
        let geography = &world.geographies[it.geography];
        let date = date_of(self.shops[store as usize].day);
        let seed = self.scene.options.seed;
        let weather = weather(seed, it.geography as u64, geography.climate, date);
        let demand = |department| {
            demand::season_of(department, date.month())
                * demand::region_of(department, geography.region)
        };
        let today = Today {
            date,
            holiday: calendar::holiday(date),
            weather,
            visitors: self.scene.options.visitors_per_day
                * it.volume
                * self.scene.options.calendar.traffic(date)
                * footfall(weather)
                // The season knows what weather it mostly has.
                / mean_footfall(geography.climate, date.month()),
            departments: self.scene.assortment(it.format).cumulative(it.format, demand),
            promotion_week: week_of(self.shops[store as usize].day),
        };
        self.shops[store as usize].today = today;
    }

    pub(in crate::retail) fn open(&mut self, store: u32, now: Millis) {
        let shop = &mut self.shops[store as usize];
        shop.is_open = true;
        shop.rates.until = now;
        shop.rates.is_entry = false;
        let closes = shop.closes;
        self.tell_hours(EventType::StoreOpened, store, now);
        self.schedule.at(now, Task::Footfall(store));
        self.schedule.at(closes, Task::Close(store));
    }

    /// Nobody is let in any more; the doors close behind the last shopper.
    pub(in crate::retail) fn close(&mut self, store: u32, now: Millis) {
        if self.shops[store as usize].inside > 0 {
            self.schedule.at(now + LAST_SHOPPERS, Task::Close(store));
            return;
        }
        self.shops[store as usize].is_open = false;
        self.tell_hours(EventType::StoreClosed, store, now);
    }

    fn tell_hours(&mut self, event_type: EventType, store: u32, now: Millis) {
        let id = self.store_id(store);
        let links = Links {
            correlation: Some(Text::numbered(STORE_OPS, id.into())),
            ..Links::of(Text::numbered(STORE, id.into()))
        };
        let what = if event_type == EventType::StoreOpened { "opened" } else { "closed" };
        self.reporter.tell(event_type, now, links, |payload| {
            payload.push(STORE_ID, id);
            payload.push(OPERATION_TIME, Timestamp::from_millis(now));
            payload.push(OPERATION_TYPE, what);
        });
    }

    pub(super) fn store_id(&self, store: u32) -> u32 {
        self.scene.world.stores[self.ground.stores[store as usize]].id
    }

    /// A store's local time.
    pub(super) fn local(&self, store: u32, now: Millis) -> jiff::civil::DateTime {
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let zone = &self.scene.world.geographies[it.geography].time_zone;
        zone.to_datetime(Timestamp::from_millis(now).to_jiff())
    }

    /// The instant of a local time of a store; where clocks are put forward over it, just after.
    pub(super) fn instant(&self, store: u32, local: jiff::civil::DateTime) -> Millis {
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let zone = &self.scene.world.geographies[it.geography].time_zone;
        let instant = zone.to_ambiguous_timestamp(local).compatible();
        instant.map_or(Millis::MAX / 2, jiff::Timestamp::as_millisecond)
    }

    /// What a weight may depend on in a store now.
    pub(super) fn moment(&self, store: u32, now: Millis) -> Moment {
        let place = &self.scene.world.stores[self.ground.stores[store as usize]];
        let today = &self.shops[store as usize].today;
        Moment {
            date: today.date,
            hour: self.local(store, now).hour(),
            holiday: today.holiday.map(Holiday::name),
            store: Some(StoreMoment {
                id: place.id,
                tier: place.tier,
                region: self.scene.world.geographies[place.geography].region,
                weather: today.weather,
            }),
        }
    }
}
