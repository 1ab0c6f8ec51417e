//! The circuit breaker: one per sink, shared by its lanes.
//!
//! ```text
//! closed -- failures in a row --> open -- recovery timeout --> half-open: one trial
//!    ^                             ^                               |
//!    '---------- success ----------+---------- failure ------------'
//! ```

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::monitor::{Account, BreakerState};
use crate::spec::CircuitBreakerSettings;

pub(super) struct Breaker {
    /// None where there is no breaker, and sending goes on whatever happens.
    bounds: Option<(NonZeroU32, Duration)>,
    state: Mutex<State>,
    /// Wakes those who wait for the trial's outcome.
    decided: Notify,
    account: Arc<Account>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many attempts in a row have failed.
    Closed(u32),
    /// Nothing is sent until then.
    Open(Instant),
    /// The trial is on its way.
    HalfOpen,
}

/// Leave for one attempt, whose outcome is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Permit {
    /// One of many.
    Regular,
    /// The one that decides.
    Trial,
}

impl Breaker {
    pub(super) fn new(settings: &CircuitBreakerSettings, account: Arc<Account>) -> Self {
        let recovery = Duration::from_millis(settings.recovery_timeout_ms.get());
        Self {
            bounds: settings.enabled.then_some((settings.failure_threshold, recovery)),
            state: Mutex::new(State::Closed(0)),
            decided: Notify::new(),
            account,
        }
    }

    /// Waits until something may be sent. Whoever gets the trial has to tell its outcome, or
    /// nothing is ever sent again.
    pub(super) async fn permit(&self) -> Permit {
        // The usual case, without a place in the queue of those who wait.
        if let Ok(permit) = self.try_permit() {
            return permit;
        }
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            match self.try_permit() {
                Ok(permit) => return permit,
                Err(Some(until)) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = decided => {}
                },
                Err(None) => decided.await,
            }
        }
    }

    /// Leave, or when to ask again, if that is not when the trial is decided.
    fn try_permit(&self) -> Result<Permit, Option<Instant>> {
        let mut state = self.state();
        match *state {
            State::Closed(_) => Ok(Permit::Regular),
            State::Open(until) if until <= Instant::now() => {
                *state = State::HalfOpen;
                self.account.delivery.set_breaker(BreakerState::HalfOpen);
                Ok(Permit::Trial)
            }
            State::Open(until) => Err(Some(until)),
            State::HalfOpen => Err(None),
        }
    }

    /// The receiver answered, whatever it said.
    pub(super) fn succeeded(&self, permit: Permit) {
        let mut state = self.state();
        let is_decided = match (*state, permit) {
            (State::Closed(_), _) => false,
            (State::Open(_) | State::HalfOpen, Permit::Trial) => true,
            // An attempt from before it opened decides nothing.
            (State::Open(_) | State::HalfOpen, Permit::Regular) => return,
        };
        *state = State::Closed(0);
        drop(state);
        if is_decided {
            self.account.delivery.set_breaker(BreakerState::Closed);
            let (sink, waiting) = (&self.account.stage, self.account.delivery.waiting());
            tracing::warn!(sink, waiting, "the circuit closed: sending goes on");
            self.decided.notify_waiters();
        }
    }

    /// Nothing was delivered, and it may be another time.
    pub(super) fn failed(&self, permit: Permit) {
        let Some((threshold, recovery)) = self.bounds else { return };
        let mut state = self.state();
        let failures = match (*state, permit) {
            (State::Closed(failures), _) if failures + 1 < threshold.get() => {
                *state = State::Closed(failures + 1);
                return;
            }
            (State::Closed(failures), _) => failures + 1,
            (State::Open(_) | State::HalfOpen, Permit::Trial) => 1,
            (State::Open(_) | State::HalfOpen, Permit::Regular) => return,
        };
        *state = State::Open(Instant::now() + recovery);
        drop(state);
        self.account.delivery.set_breaker(BreakerState::Open);
        let (sink, waiting) = (&self.account.stage, self.account.delivery.waiting());
        let seconds = recovery.as_secs_f64();
        match permit {
            Permit::Regular => tracing::warn!(
                sink,
                waiting,
                "the circuit opened after {failures} failures in a row: the next attempt is in \
                 {seconds} s"
            ),
            Permit::Trial => {
                tracing::debug!(sink, waiting, "still failing: the next attempt is in {seconds} s");
            }
        }
        self.decided.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use futures::poll;
    use std::num::NonZeroU64;

    fn breaker() -> Breaker {
        let settings = CircuitBreakerSettings {
            recovery_timeout_ms: NonZeroU64::new(60_000).unwrap(),
            ..CircuitBreakerSettings::default()
        };
        Breaker::new(&settings, Arc::new(Account::new("hub", Kind::Sink, "test")))
    }

    fn shown(breaker: &Breaker) -> (BreakerState, u64) {
        breaker.account.delivery.begin(1, 1);
        let tally = breaker.account.delivery.tally().unwrap();
        (tally.circuit_breaker, tally.circuit_breaker_trips)
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_one_trial_after_its_time_decides() {
        let breaker = breaker();
        for _ in 0..4 {
            breaker.failed(breaker.permit().await);
        }
        breaker.succeeded(breaker.permit().await);
        for _ in 0..4 {
            breaker.failed(breaker.permit().await);
            assert_eq!(shown(&breaker), (BreakerState::Closed, 0));
        }
        breaker.failed(breaker.permit().await);
        assert_eq!(shown(&breaker), (BreakerState::Open, 1));

        for trips in [2, 3] {
            let opened = Instant::now();
            assert_eq!(breaker.permit().await, Permit::Trial);
            assert_eq!(opened.elapsed(), Duration::from_mins(1));
            assert_eq!(shown(&breaker).0, BreakerState::HalfOpen);
            breaker.failed(Permit::Trial);
            assert_eq!(shown(&breaker), (BreakerState::Open, trips));
        }
        let trial = breaker.permit().await;
        breaker.succeeded(trial);
        assert_eq!(shown(&breaker), (BreakerState::Closed, 3));
        assert_eq!(breaker.permit().await, Permit::Regular);
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_one_lane_tries_and_the_others_wait_for_what_it_learns() {
        let breaker = breaker();
        for _ in 0..5 {
            breaker.failed(breaker.permit().await);
        }
        let mut others = [Box::pin(breaker.permit()), Box::pin(breaker.permit())];
        let trial = breaker.permit().await;
        assert_eq!(trial, Permit::Trial);
        for other in &mut others {
            assert!(poll!(other).is_pending());
        }
        breaker.succeeded(Permit::Regular);
        assert_eq!(shown(&breaker).0, BreakerState::HalfOpen, "that attempt was an old one");
        breaker.succeeded(trial);
        for other in others {
            assert_eq!(other.await, Permit::Regular);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_breaker_sending_goes_on_whatever_happens() {
        let settings = CircuitBreakerSettings { enabled: false, ..Default::default() };
        let account = Arc::new(Account::new("hub", Kind::Sink, "test"));
        let breaker = Breaker::new(&settings, account);
        for _ in 0..100 {
            let permit = breaker.permit().await;
            assert_eq!(permit, Permit::Regular);
            breaker.failed(permit);
        }
    }
}
