//! Ads: impressions, a few of which lead to a purchase later.

use super::EventFactory;
use crate::event::{
    CAMP, CAMPAIGN_ID, CHANNEL, COST, CREATIVE_ID, CUSTOMER_AD_ID, CUSTOMER_ID, DEVICE_TYPE, Event,
    IMP, IMPRESSION_ID, JRN, Text, Timestamp,
};
use crate::retail::enumerations::{CHANNELS, DEVICES};
use crate::retail::event_types::EventType;
use crate::retail::identity::ad_id;
use crate::retail::payload::{CHANNEL_FIGURES, Lead, SEEN_ON, four_digits};

/// Campaigns that run; each has one channel and a few creatives.
const CAMPAIGNS: u32 = 45;
const CREATIVES_PER_CAMPAIGN: u32 = 6;

impl EventFactory {
    pub(super) fn ad_impression(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::AdImpression, now);
        let number = self.random.below(CAMPAIGNS);
        let channel = number as usize % CHANNELS.len();
        let (conversion, least, most) = CHANNEL_FIGURES[channel];
        let creative = number * CREATIVES_PER_CAMPAIGN + self.random.below(CREATIVES_PER_CAMPAIGN);
        let campaign = Text::numbered(CAMP, u64::from(number) + 1);
        let impression = self.id(IMP, now);
        let customer = self.any_customer();
        let payload = &mut event.payload;
        payload.push(CHANNEL, CHANNELS[channel]);
        payload.push(CAMPAIGN_ID, campaign.clone());
        payload.push(CREATIVE_ID, four_digits("CRE_", creative + 1));
        payload.push(CUSTOMER_AD_ID, ad_id(customer));
        payload.push(IMPRESSION_ID, impression.clone());
        payload.push(COST, self.random.between(least, most) as f64 / 10_000.0);
        payload.push(DEVICE_TYPE, DEVICES[self.random.pick_weighted(&SEEN_ON)]);
        payload.push(CUSTOMER_ID, customer);
        if self.random.chance(conversion) {
            let journey = self.id(JRN, now);
            event.correlation_id = Some(journey.clone());
            self.leads.push(Lead { journey, impression, campaign, customer });
        }
        event
    }
}
