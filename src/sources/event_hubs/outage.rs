//! How long to wait before the next connection, and when to give up.

use std::time::Duration;

use tokio::time::Instant;

use crate::event_hubs::Fault;
use crate::retail::Random;

/// The first wait. Most connections are back at once.
const WAIT_MIN: Duration = Duration::from_millis(200);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// For how long a service that had let us in may refuse us before that is final: a token that ran out
/// is refused in the same words as a wrong one, and so is a hub that is being moved.
const REFUSED_MAX: Duration = Duration::from_mins(5);

/// What comes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another try after so long. `is_first` where all was well before.
    Wait { wait: Duration, is_first: bool },
    /// Nothing: the next try would be refused, too.
    GiveUp,
}

/// The tries since all was well.
#[derive(Debug)]
pub(super) struct Outage {
    random: Random,
    tries: u32,
    has_worked: bool,
    /// Since when nothing came but refusals that last.
    refused_since: Option<Instant>,
}

impl Outage {
    pub(super) fn new(random: Random) -> Self {
        Self { random, tries: 0, has_worked: false, refused_since: None }
    }

    /// All is well. True where it was not before.
    pub(super) fn end(&mut self) -> bool {
        self.has_worked = true;
        self.refused_since = None;
        std::mem::take(&mut self.tries) > 0
    }

    /// Something went wrong.
    pub(super) fn note(&mut self, fault: &Fault, now: Instant) -> Next {
        if fault.is_lasting() {
            let since = *self.refused_since.get_or_insert(now);
            if !self.has_worked || now.duration_since(since) >= REFUSED_MAX {
                return Next::GiveUp;
            }
        } else {
            self.refused_since = None;
        }
        let is_first = self.tries == 0;
        self.tries = self.tries.saturating_add(1);
        Next::Wait { wait: self.wait(), is_first }
    }

    /// Twice as long each time, and between half of it and all of it, so that many who lost
    /// their connections together do not come back together.
    fn wait(&mut self) -> Duration {
        let doublings = (self.tries - 1).min(16);
        let most = WAIT_MIN.saturating_mul(1 << doublings).min(WAIT_MAX);
        let millis = most.as_millis() as i64;
        Duration::from_millis(self.random.between(millis / 2, millis) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_hubs::Class;

    fn fault(class: Class) -> Fault {
        Fault { class, reason: String::new() }
    }

    fn outage() -> Outage {
        Outage::new(Random::new(1, 1))
    }

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_when_all_was_well() {
        let mut outage = outage();
        let now = Instant::now();
        let mut waits = Vec::new();
        for place in 0..20 {
            let Next::Wait { wait, is_first } = outage.note(&fault(Class::Connection), now) else {
                panic!("a lost connection is tried again");
            };
            assert_eq!(is_first, place == 0);
            waits.push(wait);
        }
        assert!(waits[0] >= WAIT_MIN / 2 && waits[0] <= WAIT_MIN, "{waits:?}");
        assert!(waits[12..].iter().all(|wait| (WAIT_MAX / 2..=WAIT_MAX).contains(wait)));
        assert!(outage.end() && !outage.end());
        let Next::Wait { wait, is_first } = outage.note(&fault(Class::Timeout), now) else {
            panic!("a timeout is tried again");
        };
        assert!(wait <= WAIT_MIN && is_first);
    }

    #[test]
    fn a_refusal_is_final_where_nothing_ever_worked_or_after_some_minutes_of_nothing_else() {
        let mut outage = outage();
        let begin = Instant::now();
        assert_eq!(outage.note(&fault(Class::Unauthorized), begin), Next::GiveUp);
        outage.end();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut gives_up = |class, seconds| outage.note(&fault(class), at(seconds)) == Next::GiveUp;
        assert!(!gives_up(Class::Unauthorized, 0));
        assert!(!gives_up(Class::NotFound, 299));
        assert!(!gives_up(Class::Connection, 300), "it is away, and refuses nothing");
        assert!(!gives_up(Class::Unauthorized, 301));
        assert!(!gives_up(Class::Unauthorized, 600));
        assert!(gives_up(Class::Unauthorized, 601));
    }
}
