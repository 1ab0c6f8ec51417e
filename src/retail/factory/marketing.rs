//! Ads: impressions, a few of which lead to a purchase later.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::EventFactory;
use crate::event::{
    CAMP, CAMPAIGN_ID, CHANNEL, COST, CREATIVE_ID, CUSTOMER_AD_ID, CUSTOMER_ID, DEVICE_TYPE, Event,
    IMP, IMPRESSION_ID, JRN, Text, Timestamp,
};
use crate::retail::enumerations::{CHANNELS, DEVICES};
use crate::retail::event_types::EventType;
use crate::retail::identity::ad_id;

/// Campaigns that run; each has one channel and a few creatives.
const CAMPAIGNS: u32 = 45;
const CREATIVES_PER_CAMPAIGN: u32 = 6;
/// For each of [`CHANNELS`]: how many impressions lead to a visit, and what one costs at least and
/// at most, in ten-thousandths.
const CONVERSION: [(f64, i64, i64); 9] = [
    (0.012, 50, 130),
    (0.035, 100, 400),
    (0.012, 60, 150),
    (0.015, 100, 300),
    (0.025, 5, 20),
    (0.008, 20, 60),
    (0.035, 120, 450),
    (0.012, 50, 140),
    (0.015, 110, 320),
];
/// Out of 100 impressions, how many are seen on each of [`DEVICES`].
const SEEN_ON: [u32; 3] = [62, 28, 10];

/// An impression that is going to lead to a purchase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lead {
    pub(super) journey: Text,
    pub(super) impression: Text,
    pub(super) campaign: Text,
    pub(super) customer: u32,
}

impl EventFactory {
    pub(super) fn ad_impression(&mut self, now: Timestamp) -> Event {
        let mut event = self.blank(EventType::AdImpression, now);
        let number = self.random.below(CAMPAIGNS);
        let channel = number as usize % CHANNELS.len();
        let (conversion, least, most) = CONVERSION[channel];
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

/// `<prefix>` and a number below 10 000 with four digits.
pub(super) fn four_digits(prefix: &str, number: u32) -> Text {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    let mut text = CompactString::new(prefix);
    text.push_str(&"0000"[digits.len().min(4)..]);
    text.push_str(digits);
    Text::Plain(text)
}
