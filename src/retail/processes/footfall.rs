//! Footfall: groups come into a store at random, at a rate that changes with the hour, the day, the
//! weather, and what goes on. Within an interval the rate is constant, so entries are a Poisson
//! process; an exponential wait that reaches beyond the interval is drawn anew from its end, which
//! makes no difference, as such a wait has no memory.

use super::marketing::wait;
use crate::retail::cell::Cell;
use crate::retail::event_types::EventType;
use crate::retail::hours::hour_shares;
use crate::retail::incidents::IncidentType;
use crate::retail::schedule::{HOUR, MINUTE, Millis, Task};

/// How long before it closes a store has its last entry.
const LAST_ENTRY: Millis = 10 * MINUTE;
/// How many times as many people a spike brings at most, beside those who come anyway.
const SPIKE: f64 = 4.0;
/// Which part of the people bad weather keeps away at most.
const STAY_AWAY: f64 = 0.5;

impl Cell {
    /// A group comes in, or the rates change; and the next footfall is planned.
    pub(in crate::retail) fn footfall(&mut self, store: u32, now: Millis) {
        if self.shops[store as usize].rates.is_entry {
            self.enter(store, now, None);
        }
        let last = self.shops[store as usize].closes - LAST_ENTRY;
        if now >= last {
            return;
        }
        if now >= self.shops[store as usize].rates.until {
            self.set_rates(store, now);
        }
        let shop = &mut self.shops[store as usize];
        let until = shop.rates.until.min(last);
        let wait = wait(shop.rates.entries, &mut shop.footfall);
        shop.rates.is_entry = wait < (until - now) as f64;
        let next = if shop.rates.is_entry { now + wait as Millis } else { until };
        self.schedule.at(next, Task::Footfall(store));
    }

    fn set_rates(&mut self, store: u32, now: Millis) {
        let moment = self.moment(store, now);
        let it = &self.scene.world.stores[self.ground.stores[store as usize]];
        let share = hour_shares(it.format, it.tier, moment.date)[moment.hour as usize];
        let entries = self.shops[store as usize].today.visitors * share / HOUR as f64;
        let spike = self.severity_at_store(IncidentType::DemandSpike, store);
        let weather = self.severity_at_store(IncidentType::WeatherDelay, store);
        let weighted = self.weight(EventType::CustomerEntered, &moment);
        let purchases = self.weight(EventType::ReceiptCreated, &moment);
        let pings = self.weight(EventType::BlePingDetected, &moment);
        let promotions = self.weight(EventType::PromotionApplied, &moment);
        let until = self.next_interval(now);
        let rates = &mut self.shops[store as usize].rates;
        rates.until = until;
        rates.entries = entries * (1.0 + SPIKE * spike) * (1.0 - STAY_AWAY * weather) * weighted;
        (rates.purchases, rates.pings, rates.promotions) = (purchases, pings, promotions);
    }
}
