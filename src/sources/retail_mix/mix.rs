//! What a mix is made of: weights that stay, or those that a script gives for each interval.

use std::time::Duration;

use crate::event::Timestamp;
use crate::retail::{EventType, EventWeights, Moment, Weigh};
use crate::script::Weights;

/// How often each type is drawn, at a time.
pub(super) enum Mixture {
    Fixed(EventWeights),
    Scripted(Box<Scripted>),
}

/// A script's weights, asked for once in each interval. Intervals are counted from 1970, so what
/// holds at a time does not depend on when the run began.
pub(super) struct Scripted {
    script: Weights,
    /// In milliseconds, 1 or more.
    interval: i64,
    /// The beginning of the interval that was asked for last, if one was.
    from: Option<Timestamp>,
    /// What holds in it; none where no type has any weight.
    weights: Option<EventWeights>,
}

impl Mixture {
    pub(super) fn scripted(script: Weights, interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        Self::Scripted(Box::new(Scripted { script, interval, from: None, weights: None }))
    }

    /// The weights at a time; none where nothing is to come.
    pub(super) fn at(&mut self, time: Timestamp) -> Option<&EventWeights> {
        match self {
            Self::Fixed(weights) => Some(weights),
            Self::Scripted(scripted) => scripted.at(time),
        }
    }

    /// Tells the script from another one, where there is one.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        match self {
            Self::Fixed(_) => None,
            Self::Scripted(scripted) => Some(scripted.script.fingerprint()),
        }
    }
}

impl Scripted {
    fn at(&mut self, time: Timestamp) -> Option<&EventWeights> {
        let millis = time.as_millis();
        let from = Timestamp::from_millis(millis - millis.rem_euclid(self.interval));
        if self.from != Some(from) {
            self.from = Some(from);
            self.weights = self.ask(from);
        }
        self.weights.as_ref()
    }

    fn ask(&mut self, from: Timestamp) -> Option<EventWeights> {
        let moment = Moment::utc(from);
        let weights = EventType::ALL.map(|known| (known, self.script.weight(known, &moment)));
        // Only the proportions count, and a sum of large weights may be beyond all numbers.
        let largest = weights.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        EventWeights::new(weights.map(|(known, weight)| (known, weight / largest))).ok()
    }
}
