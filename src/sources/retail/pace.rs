//! When the next events are told: as they are due on the clock, or in bursts on a schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::event::Timestamp;

/// How long the clock may go on without a word of it, where nothing happens: then the watermark is
/// told alone.
const WORD_EVERY: Duration = Duration::from_secs(1);

/// The pace at which a chain is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// Each event at its time on the clock.
    Clock,
    /// Every interval of the clock a burst, whatever the time of its events.
    Bursts {
        /// When the next burst is due: ticks are multiples of the interval, so a late one delays
        /// none after it.
        tick: Timestamp,
        interval: Duration,
        burst: u32,
        /// How much of it is left to tell.
        left: u32,
    },
}

/// The point of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct PaceState {
    tick: Option<Timestamp>,
    left: u32,
}

impl Pace {
    pub(super) fn bursts(start: Timestamp, interval: Duration, burst: u32) -> Self {
        Self::Bursts { tick: start, interval, burst, left: burst }
    }

    /// Waits until something may be told; gives up to which event time, and how much at most. May
    /// be dropped while it waits.
    pub(super) async fn wait(
        &self,
        clock: &Clock,
        next: Timestamp,
        watermark: Timestamp,
    ) -> (Timestamp, usize) {
        match *self {
            Self::Clock if !clock.is_paced() => (Timestamp::MAX, usize::MAX),
            Self::Clock => {
                clock.sleep_until(next.min(watermark + WORD_EVERY)).await;
                // A timer may be early by less than it can tell.
                (clock.now().max(next.min(watermark + WORD_EVERY)), usize::MAX)
            }
            Self::Bursts { tick, left, .. } => {
                clock.sleep_until(tick).await;
                (Timestamp::MAX, left as usize)
            }
        }
    }

    /// Goes on in the schedule after so many were told.
    pub(super) fn told(&mut self, count: usize) {
        if let Self::Bursts { tick, interval, burst, left } = self {
            *left = left.saturating_sub(count as u32);
            if *left == 0 {
                *tick = *tick + *interval;
                *left = *burst;
            }
        }
    }

    pub(super) fn state(&self) -> PaceState {
        match *self {
            Self::Clock => PaceState { tick: None, left: 0 },
            Self::Bursts { tick, left, .. } => PaceState { tick: Some(tick), left },
        }
    }

    pub(super) fn restore(&mut self, state: PaceState) {
        if let (Self::Bursts { tick, left, burst, .. }, Some(then)) = (self, state.tick) {
            (*tick, *left) = (then, state.left.clamp(1, *burst));
        }
    }
}
