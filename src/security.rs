//! What whoever guards the engine wants to see: a target of the log of its own, and a bound on how
//! often others can make it speak.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Stopwatch;

/// The target of entries about security. Their field `event` says what happened:
///
/// - `token_rejected`: somebody came without a token, or with a wrong one
/// - `auth_failed`: a receiver or a service does not let the engine in
/// - `plugin_refused`: a library that was named is not the one that is meant, or none that may run
pub const SECURITY: &str = "engine::security";

/// How often the same thing is said.
const INTERVAL: Duration = Duration::from_mins(1);

/// Refusals of one kind: the first is told at once, and those of the next minute with the first one
/// after it, so that nobody fills a disk by trying.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Stopwatch>,
    withheld: u64,
}

impl Refusals {
    /// Enters one: if it is to be told, how many there were since the last that was.
    pub fn note(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            told.withheld += 1;
            return None;
        }
        told.last = Some(Stopwatch::start());
        Some(std::mem::take(&mut told.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_tries_again_and_again_is_told_once_a_minute() {
        let refusals = Refusals::default();
        assert_eq!(refusals.note(), Some(0));
        for _ in 0..7 {
            assert_eq!(refusals.note(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(refusals.note(), Some(7));
        assert_eq!(refusals.note(), None);
    }
}
