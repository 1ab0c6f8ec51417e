//! Rules of marketing: last touch and journeys.

use super::memory::{KnownIds, Map};
use super::rules::Rule;
use super::seen::{Id, Seen};
use super::watch::Watch;
use crate::event::{CAMPAIGN_ID, CUSTOMER_ID, IMPRESSION_ID, Timestamp};
use crate::retail::EventType;

const DAY: i64 = 86_400_000;
/// How long an impression may lead to a purchase.
const TOUCH_SPAN: i64 = 7 * DAY;
/// How long a journey may last: a first touch, seven days, and its purchase's fulfilment.
const JOURNEY_SPAN: i64 = 14 * DAY;

/// The latest impression of each customer, and the journeys that began.
pub(super) struct Touches {
    latest: Map<i64, Touch>,
    journeys: KnownIds,
    entries_max: usize,
    has_forgotten: bool,
    /// When old touches were last looked for.
    swept: i64,
}

#[derive(Clone, Copy, Debug)]
struct Touch {
    impression: Id,
    campaign: Id,
    journey: Id,
    time: i64,
}

impl Touches {
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            latest: Map::default(),
            journeys: KnownIds::new(JOURNEY_SPAN, entries_max),
            entries_max,
            has_forgotten: false,
            swept: i64::MIN,
        }
    }

    pub(super) fn show(&mut self, seen: &Seen<'_>, watch: &mut Watch) {
        let read = || {
            let (impression, campaign) = (seen.id(IMPRESSION_ID)?, seen.id(CAMPAIGN_ID)?);
            Some((seen.integer(CUSTOMER_ID)?, impression, campaign))
        };
        let Some((customer, impression, campaign)) = read() else { return watch.unreadable(seen) };
        let touch = Touch { impression, campaign, journey: seen.correlation, time: seen.time };
        if self.latest.len() >= self.entries_max && watch.now.saturating_sub(self.swept) >= DAY {
            self.latest.retain(|_, touch| watch.now.saturating_sub(touch.time) <= TOUCH_SPAN);
            self.swept = watch.now;
        }
        if self.latest.len() < self.entries_max || self.latest.contains_key(&customer) {
            self.latest.insert(customer, touch);
        } else {
            self.has_forgotten = true;
        }
        if !seen.correlation.is_none() {
            self.journeys.insert(seen.correlation, watch.now);
        }
    }

    /// A purchase, which an ad may have led to.
    pub(super) fn attribute(&mut self, seen: &Seen<'_>, customer: i64, watch: &mut Watch) {
        let read = || Some((seen.nullable_id(IMPRESSION_ID)?, seen.nullable_id(CAMPAIGN_ID)?));
        let Some((impression, campaign)) = read() else { return watch.unreadable(seen) };
        let is_attributed = !impression.is_none();
        let has_journey = !seen.correlation.is_none();
        watch.check(Rule::PurchaseCarriesJourney, seen, has_journey == is_attributed, || {
            let word = |is_there| if is_there { "with" } else { "without" };
            format!("{} an impression, {} a journey", word(is_attributed), word(has_journey))
        });
        if !is_attributed && !campaign.is_none() {
            watch.violate(Rule::LastTouch, seen, || "a campaign without an impression".to_owned());
        }
        if !watch.has(EventType::AdImpression) {
            return;
        }
        if has_journey
            && !self.journeys.contains(seen.correlation)
            && watch.never_was(self.journeys.has_forgotten(), JOURNEY_SPAN)
        {
            watch.violate(Rule::JourneyBeginsWithAd, seen, || {
                "no impression came before with its journey".to_owned()
            });
        }
        if is_attributed {
            self.judge_touch(seen, customer, impression, campaign, watch);
        }
    }

    fn judge_touch(
        &self,
        seen: &Seen<'_>,
        customer: i64,
        impression: Id,
        campaign: Id,
        watch: &mut Watch,
    ) {
        let Some(touch) = self.latest.get(&customer) else {
            if watch.never_was(self.has_forgotten, TOUCH_SPAN) {
                watch.violate(Rule::LastTouch, seen, || {
                    format!("no impression came before for customer {customer}")
                });
            }
            return;
        };
        // The latest one of before the stream was joined, or of what was forgotten, may be this.
        let is_latest = touch.impression == impression;
        if !is_latest && !watch.never_was(self.has_forgotten, TOUCH_SPAN) {
            return;
        }
        let is_recent = seen.time.saturating_sub(touch.time) <= TOUCH_SPAN;
        let is_of_campaign = touch.campaign == campaign;
        let is_right = is_latest && is_recent && is_of_campaign;
        watch.check(Rule::LastTouch, seen, is_right, || {
            let shown = Timestamp::from_millis(touch.time);
            match (is_latest, is_recent) {
                (false, _) => {
                    format!("customer {customer}'s latest impression, of {shown}, is another")
                }
                (true, false) => {
                    format!("its impression was shown more than seven days ago, {shown}")
                }
                (true, true) => "its campaign is not that of the impression".to_owned(),
            }
        });
        let is_of_journey = !is_latest || touch.journey == seen.correlation;
        watch.check(Rule::PurchaseCarriesJourney, seen, is_of_journey, || {
            "its journey is not that of its impression".to_owned()
        });
    }
}
