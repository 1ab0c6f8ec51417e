//! Marketing: campaigns show ads to customers, and some of those come in or order within days. What
//! they buy then is attributed to the last ad that they saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Stream, stream};
use crate::event::{
    CAMP, CAMPAIGN_ID, CHANNEL, COST, CREATIVE_ID, CUSTOMER_AD_ID, CUSTOMER_ID, DEVICE_TYPE, IMP,
    IMPRESSION_ID, JRN, Text, mix,
};
use crate::retail::calendar;
use crate::retail::cell::Cell;
use crate::retail::enumerations::{CHANNELS, DEVICES};
use crate::retail::event_types::EventType;
use crate::retail::identity::ad_id;
use crate::retail::payload::{CHANNEL_FIGURES, Lead, SEEN_ON, four_digits};
use crate::retail::random::Random;
use crate::retail::reporter::Links;
use crate::retail::schedule::{DAY, HOUR, MINUTE, Millis, Task};
use crate::retail::weigh::Moment;
use crate::retail::world::Campaign;

/// How many of the day's ads are shown in each hour, of a thousand.
const HOURS: [f64; 24] = [
    8.0, 4.0, 2.0, 2.0, 3.0, 8.0, 20.0, 34.0, 42.0, 46.0, 48.0, 50.0, 56.0, 54.0, 50.0, 50.0, 52.0,
    56.0, 64.0, 76.0, 88.0, 90.0, 68.0, 29.0,
];
/// How long a journey takes in ads.
const JOURNEY: Millis = 7 * DAY;
/// How long an ad counts for a purchase.
const ATTRIBUTED_WITHIN: Millis = 7 * DAY;
/// Of those whom an ad leads somewhere, how many order online, where they can.
const LED_ONLINE: f64 = 0.35;
/// How likely they are to come on the day, else on the next, and so on for at most so many days.
const ON_THE_DAY: f64 = 0.45;
const DAYS_MOST: i64 = 5;
/// A campaign runs for so many weeks at a time, and this part of the time.
const FLIGHT_WEEKS: Millis = 3;
const IN_FLIGHT: u64 = 60;

/// Ads of a cell, and where they lead.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::retail) struct Marketing {
    random: Random,
    until: Millis,
    /// Ads per millisecond.
    rate: f64,
    /// Whether what comes next is an ad, or only a look at the rate.
    is_ad: bool,
    /// By the customer's place in the world.
    journeys: BTreeMap<u32, Journey>,
}

/// What an ad began: the ads that the customer sees within a week, up to a purchase. One that comes
/// later ends it.
#[derive(Debug, Serialize, Deserialize)]
struct Journey {
    /// When the first ad was shown.
    began: Millis,
    /// The last ad.
    lead: Lead,
    shown: Millis,
}

impl Marketing {
    pub(in crate::retail) fn new(seed: u64, dc: usize) -> Self {
        let random = stream(seed, Stream::Marketing, dc);
        Self { random, until: Millis::MIN, rate: 0.0, is_ad: false, journeys: BTreeMap::new() }
    }
}

impl Cell {
    /// An ad is shown, or the rate changes; and the next is planned.
    pub(in crate::retail) fn advertise(&mut self, now: Millis) {
        if self.marketing.is_ad {
            self.show_ad(now);
        }
        if now >= self.marketing.until {
            let moment = self.moment_at_centre(now);
            let weight = self.weight(EventType::AdImpression, &moment);
            let of_day = HOURS[moment.hour as usize] / HOURS.iter().sum::<f64>();
            let ads = self.ground.customers.len() as f64 * self.scene.options.ads_per_customer;
            // Campaigns are heavier where there is more to advertise.
            let season = calendar::promotions(moment.date).sqrt();
            self.marketing.rate = ads * season * of_day / HOUR as f64 * weight;
            self.marketing.until = self.next_interval(now);
        }
        let marketing = &mut self.marketing;
        let wait = wait(marketing.rate, &mut marketing.random);
        marketing.is_ad = wait < (marketing.until - now) as f64;
        let next = if marketing.is_ad { now + wait as Millis } else { marketing.until };
        self.schedule.at(next, Task::Ad);
    }

    /// When rates are looked at again.
    pub(super) fn next_interval(&self, now: Millis) -> Millis {
        let interval = self.scene.options.rates_interval.as_millis() as Millis;
        (now.div_euclid(interval) + 1) * interval
    }

    /// What a weight may depend on at the centre, where no single store is meant.
    pub(super) fn moment_at_centre(&self, now: Millis) -> Moment {
        let geography = self.scene.world.dcs[self.ground.dc].geography;
        let zone = &self.scene.world.geographies[geography].time_zone;
        let time = crate::event::Timestamp::from_millis(now).to_jiff();
        let local = zone.to_datetime(time);
        let holiday = calendar::holiday(local.date()).map(calendar::Holiday::name);
        Moment { date: local.date(), hour: local.hour(), holiday, store: None }
    }

    fn show_ad(&mut self, now: Millis) {
        let Some(customer) = self.ground.draw_customer(&mut self.marketing.random) else { return };
        let campaign = self.draw_campaign(now);
        let random = &mut self.marketing.random;
        let channel = campaign.channel;
        let (conversion, least, most) = CHANNEL_FIGURES[channel];
        let creatives = campaign.creatives();
        let creative = random.between((*creatives.start()).into(), (*creatives.end()).into());
        let cost = random.between(least, most) as f64 / 10_000.0;
        let device = DEVICES[random.pick_weighted(&SEEN_ON)];
        let leads = random.chance(conversion);
        let impression = self.reporter.id(IMP, now);
        let campaign = Text::numbered(CAMP, campaign.number.into());
        let customer_id = self.scene.world.customers[customer as usize].id;
        let journey = self.touch(customer, leads, &impression, &campaign, now);
        let partition = self.scene.channel_keys[channel].clone();
        let links = Links { correlation: journey, ..Links::of(partition) };
        self.reporter.tell(EventType::AdImpression, now, links, |payload| {
            payload.push(CHANNEL, CHANNELS[channel]);
            payload.push(CAMPAIGN_ID, campaign);
            payload.push(CREATIVE_ID, four_digits("CRE_", creative as u32));
            payload.push(CUSTOMER_AD_ID, ad_id(customer_id));
            payload.push(IMPRESSION_ID, impression);
            payload.push(COST, cost);
            payload.push(DEVICE_TYPE, device);
            payload.push(CUSTOMER_ID, customer_id);
        });
    }

    /// A campaign that runs just now.
    fn draw_campaign(&mut self, now: Millis) -> Campaign {
        let flight = now.div_euclid(7 * DAY * FLIGHT_WEEKS) as u64;
        let seed = self.scene.options.seed;
        let runs = |campaign: &&Campaign| {
            mix(seed ^ mix(flight << 16 | u64::from(campaign.number))) % 100 < IN_FLIGHT
        };
        let campaigns = &self.scene.world.campaigns;
        let first = self.marketing.random.below(campaigns.len() as u32) as usize;
        let channel = campaigns[first].channel;
        let (before, from) = campaigns.split_at(first);
        // Else the next one of the same channel, so that channels keep their shares.
        let mut others = from.iter().chain(before).filter(|it| it.channel == channel);
        *others.find(runs).unwrap_or(&campaigns[first])
    }

    /// The journey that an ad is part of: one that goes on, or a new one if it is going to lead
    /// somewhere.
    fn touch(
        &mut self,
        customer: u32,
        leads: bool,
        impression: &Text,
        campaign: &Text,
        now: Millis,
    ) -> Option<Text> {
        let customer_id = self.scene.world.customers[customer as usize].id;
        let known = self.marketing.journeys.remove(&customer);
        let known = known.filter(|it| now - it.began <= JOURNEY);
        let (journey, began) = match known {
            Some(known) => (known.lead.journey, known.began),
            None if leads => {
                self.plan_visit_of(customer, now);
                (self.reporter.id(JRN, now), now)
            }
            None => return None,
        };
        let (impression, campaign) = (impression.clone(), campaign.clone());
        let lead = Lead { journey: journey.clone(), impression, campaign, customer: customer_id };
        self.marketing.journeys.insert(customer, Journey { began, lead, shown: now });
        Some(journey)
    }

    /// Plans when a customer comes whom an ad has reached: today or in the days after.
    fn plan_visit_of(&mut self, customer: u32, now: Millis) {
        let Some(home) = self.ground.home_of(&self.scene.world, customer) else { return };
        let random = &mut self.marketing.random;
        let mut days = 0;
        while days < DAYS_MOST && !random.chance(ON_THE_DAY) {
            days += 1;
        }
        let minutes = random.between(0, 570);
        let date = self.local(home, now + days * DAY).date();
        let time = self.instant(home, date.at(10, 0, 0, 0)) + minutes * MINUTE;
        let time = if time < now + 20 * MINUTE { time + DAY } else { time };
        self.schedule.at(time.max(now), Task::Lead(customer));
    }

    /// A customer whom an ad has reached orders or comes to their store, unless they did so
    /// already; where it is closed, they come a day later.
    pub(in crate::retail) fn follow_ad(&mut self, customer: u32, now: Millis) {
        let Some(journey) = self.marketing.journeys.get(&customer) else { return };
        if now - journey.shown > ATTRIBUTED_WITHIN - DAY {
            return;
        }
        if self.is_ordering() && self.marketing.random.chance(LED_ONLINE) {
            self.place_order(customer, now);
            return;
        }
        let Some(home) = self.ground.home_of(&self.scene.world, customer) else { return };
        let shop = &self.shops[home as usize];
        if !shop.is_open || now >= shop.closes - 30 * MINUTE {
            self.schedule.at(now + DAY, Task::Lead(customer));
        } else if !self.ground.is_inside(customer) {
            self.enter(home, now, Some(customer));
        }
    }

    /// The ad that a customer's purchase follows, if there is one; it counts for one purchase.
    pub(super) fn claim_lead(&mut self, customer: u32, now: Millis) -> Option<Lead> {
        let journey = self.marketing.journeys.remove(&customer)?;
        (now - journey.shown <= ATTRIBUTED_WITHIN).then_some(journey.lead)
    }

    /// Forgets journeys that led nowhere.
    pub(super) fn forget_journeys(&mut self, now: Millis) {
        self.marketing.journeys.retain(|_, journey| now - journey.shown <= ATTRIBUTED_WITHIN);
    }
}

/// How long it is until the next of what happens at a rate per millisecond.
pub(super) fn wait(rate: f64, random: &mut Random) -> f64 {
    if rate > 0.0 { random.exponential() / rate } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::event::{Timestamp, TraceIds};
    use crate::retail::{
        Calendar, CellShard, Simulation, SimulationOptions, Volume, Weekend, World,
    };

    #[test]
    fn a_journey_is_over_after_a_week_of_ads_however_many_are_shown() {
        let start = Timestamp::from_millis(20_000 * DAY);
        let options = SimulationOptions {
            seed: 1,
            start,
            source: Text::from("test"),
            emit: [EventType::AdImpression].into_iter().collect(),
            calendar: Calendar { weekend: Weekend::Reduced },
            visitors_per_day: 0.0,
            ads_per_customer: 2.0,
            orders_per_customer: 0.0,
            incidents: Vec::new(),
            rates_interval: Duration::from_mins(15),
        };
        let volume = Volume { stores: 1, dcs: 1, customers: 300, products: 1 };
        let (world, ids) = (World::generate(1, volume), TraceIds::new(1, 0));
        let all = CellShard { index: 0, count: 1 };
        let mut simulation = Simulation::new(world, options, all, 1, &ids, || None);
        let mut journeys: HashMap<Text, Vec<Millis>> = HashMap::new();
        loop {
            let events = simulation.advance(start + Duration::from_hours(24) * 30);
            if events.is_empty() {
                break;
            }
            for event in events {
                let Some(journey) = event.correlation_id else { continue };
                journeys.entry(journey).or_default().push(event.time.as_millis());
            }
        }
        let longest = journeys.values().map(|ads| ads[ads.len() - 1] - ads[0]).max().unwrap();
        assert!((JOURNEY - DAY..=JOURNEY).contains(&longest), "{longest}");
        assert!(journeys.len() > 100, "{}", journeys.len());
    }
}
