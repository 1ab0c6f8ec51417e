//! How many ads lead somewhere: journeys that begin with an impression, by channel.

use std::collections::HashSet;

use engine::event::{CHANNEL, Event, Text, Value};
use rustc_hash::FxBuildHasher;

use crate::band::Band;
use crate::sample::percent;

/// Channels that convert alike, and of 100 impressions how many lead somewhere.
const GROUPS: [(&str, &[&str], f64); 5] = [
    ("social", &["FACEBOOK", "INSTAGRAM", "SOCIAL"], 1.2),
    ("search", &["SEARCH", "GOOGLE"], 3.5),
    ("display", &["DISPLAY"], 0.8),
    ("email", &["EMAIL"], 2.5),
    ("video", &["VIDEO", "YOUTUBE"], 1.5),
];
/// Where fewer journeys are to be expected, chance would decide.
const EXPECTED_MIN: f64 = 100.0;

/// Impressions and the journeys that begin with one.
#[derive(Default)]
pub(crate) struct Ads {
    shown: [u64; 5],
    led: [u64; 5],
    journeys: HashSet<Text, FxBuildHasher>,
}

impl Ads {
    /// An `ad_impression`. A journey that has begun may carry on over later ones.
    pub(crate) fn see(&mut self, event: &Event) {
        let Some(channel) = event.payload.get(CHANNEL).and_then(Value::as_text) else { return };
        let of =
            |(_, channels, _): &(&str, &[&str], f64)| channels.iter().any(|name| channel == name);
        let Some(group) = GROUPS.iter().position(of) else { return };
        self.shown[group] += 1;
        if let Some(journey) = &event.correlation_id
            && self.journeys.insert(journey.clone())
        {
            self.led[group] += 1;
        }
    }

    pub(crate) fn bands(&self) -> Vec<Band> {
        let groups = GROUPS.iter().zip(self.shown.iter().zip(&self.led));
        let band = |((name, _, rate), (shown, led)): (&(&str, &[&str], f64), (&u64, &u64))| {
            let bounds = rate * 0.8..=rate * 1.2;
            let band = Band::new(format!("ads that lead somewhere, {name}, %"), bounds);
            let text = format!("{led} of {shown} impressions");
            if *shown as f64 * rate / 100.0 < EXPECTED_MIN {
                return band.unmeasured(text);
            }
            band.number(percent(*led, *shown), text)
        };
        groups.map(band).collect()
    }
}
