//! The time between two attempts: grows by a factor up to a bound, jittered from a seed.

use std::time::Duration;

use crate::retail::Random;
use crate::spec::RetrySettings;

/// The longest time that a receiver may ask for: what it means by more is a mistake.
const HINT_MAX: Duration = Duration::from_hours(1);

/// The waits of one lane.
pub(super) struct Backoff {
    initial: f64,
    multiplier: f64,
    max: f64,
    attempts: u32,
    random: Option<Random>,
}

impl Backoff {
    pub(super) fn new(settings: &RetrySettings, random: Random) -> Self {
        Self {
            initial: settings.initial_backoff_ms as f64 / 1000.0,
            multiplier: settings.backoff_multiplier,
            max: settings.max_backoff_ms as f64 / 1000.0,
            attempts: settings.attempts.get(),
            random: settings.jitter.then_some(random),
        }
    }

    /// How long to wait after so many attempts. What the receiver asks for goes first; attempts
    /// beyond those of the settings are the longest wait apart.
    pub(super) fn wait(&mut self, attempts: u32, hint: Option<Duration>) -> Duration {
        if let Some(hint) = hint {
            return hint.min(HINT_MAX);
        }
        let longest = if attempts >= self.attempts {
            self.max
        } else {
            let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
            (self.initial * self.multiplier.powi(exponent)).min(self.max)
        };
        // Half of it is certain, so that nobody hammers by chance.
        let part = match &mut self.random {
            Some(random) => 0.5 + f64::from(random.below(1 << 20)) / f64::from(1 << 21),
            None => 1.0,
        };
        Duration::try_from_secs_f64(longest * part).unwrap_or(HINT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn backoff(jitter: bool, seed: u64) -> Backoff {
        let attempts = NonZeroU32::new(8).unwrap();
        let settings = RetrySettings { attempts, jitter, ..RetrySettings::default() };
        Backoff::new(&settings, Random::new(seed, 0))
    }

    #[test]
    fn waits_double_up_to_the_bound_and_are_the_longest_once_attempts_are_used_up() {
        let mut backoff = backoff(false, 1);
        let waits = [1, 2, 3, 4, 5, 6, 7, 1000].map(|after| backoff.wait(after, None).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        let mut few = Backoff { attempts: 2, ..backoff };
        assert_eq!(few.wait(2, None).as_secs(), 30);
    }

    #[test]
    fn jitter_takes_at_most_half_and_is_the_same_for_a_seed() {
        let waits = |seed| {
            let mut backoff = backoff(true, seed);
            (1..200).map(|after| backoff.wait(after % 5 + 1, None)).collect::<Vec<_>>()
        };
        for (after, wait) in (1..200).zip(waits(7)) {
            let longest = Duration::from_secs(1 << (after % 5));
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
        }
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }

    #[test]
    fn what_the_receiver_asks_for_goes_before_the_backoff() {
        let mut backoff = backoff(true, 1);
        let asked = Duration::from_millis(4200);
        assert_eq!(backoff.wait(1, Some(asked)), asked);
        assert_eq!(backoff.wait(1, Some(Duration::MAX)), HINT_MAX);
    }
}
