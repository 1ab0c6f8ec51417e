//! Which of two hubs a batch goes to: the first one, or the other while that is away.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::event_hubs::{EventHubsClient, Sent};
use crate::stage::{Refusal, Retry};

/// A hub, and perhaps another.
pub(super) struct Hubs {
    primary: EventHubsClient,
    failover: Option<Failover>,
}

/// The other hub, and how long to wait for the first one.
pub(super) struct Failover {
    /// The sink's name in the spec.
    sink: String,
    client: EventHubsClient,
    after: Duration,
    retry_primary: Duration,
    course: Mutex<Course>,
}

/// Which hub is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// The first one, which is well.
    Primary,
    /// The first one, which nothing got through to since then.
    Waiting { since: Instant },
    /// The other one; the first is tried at that time.
    Other { until: Instant },
}

impl Hubs {
    pub(super) fn new(primary: EventHubsClient, failover: Option<Failover>) -> Self {
        Self { primary, failover }
    }

    pub(super) fn primary(&self) -> &EventHubsClient {
        &self.primary
    }

    /// The first one, where there is no other.
    pub(super) fn only(&self) -> Option<&EventHubsClient> {
        self.failover.is_none().then_some(&self.primary)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &EventHubsClient> {
        std::iter::once(&self.primary).chain(self.failover.as_ref().map(|other| &other.client))
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.all().map(EventHubsClient::bytes_sent).sum()
    }

    pub(super) async fn disconnect(&self) {
        for client in self.all() {
            client.disconnect().await;
        }
    }

    /// Sends to the hub whose turn it is.
    pub(super) async fn send_first(&self, events: &[Event]) -> Result<Sent, Refusal> {
        let Some(failover) = &self.failover else { return self.primary.send_first(events).await };
        if failover.is_turn_of_other(Instant::now()) {
            let sent = failover.client.send_first(events).await;
            // What it will never take the first one may, when it is back.
            return sent.map_err(|refusal| Refusal { retry: Retry::Later, ..refusal });
        }
        // An attempt that is given up from outside has found out as much.
        let mut attempt = Attempt { failover, is_away: true };
        let sent = self.primary.send_first(events).await;
        attempt.is_away = is_away(&sent);
        sent
    }
}

/// An attempt at the first hub; how it went is entered when it is over.
struct Attempt<'a> {
    failover: &'a Failover,
    is_away: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.failover.note(self.is_away, Instant::now());
    }
}

/// Of what was sent nothing got through, for a reason that is the hub's and not the events'.
fn is_away(sent: &Result<Sent, Refusal>) -> bool {
    match sent {
        Err(refusal) => refusal.retry == Retry::Later,
        Ok(Sent { decided, failed }) => {
            let later = |(_, refusal): &&(usize, Refusal)| refusal.retry == Retry::Later;
            let refused = failed.len();
            let away = failed.iter().filter(later).count();
            away > 0 && refused == *decided
        }
    }
}

impl Failover {
    pub(super) fn new(
        sink: &str,
        client: EventHubsClient,
        after: Duration,
        retry_primary: Duration,
    ) -> Self {
        let sink = sink.to_owned();
        Self { sink, client, after, retry_primary, course: Mutex::new(Course::Primary) }
    }

    fn is_turn_of_other(&self, now: Instant) -> bool {
        let mut course = self.course();
        match *course {
            Course::Primary => false,
            Course::Waiting { since } if now.duration_since(since) < self.after => false,
            Course::Waiting { .. } => {
                let (sink, other) = (&self.sink, self.client.access().name());
                tracing::warn!(sink, "sending to the {other} from now on");
                *course = Course::Other { until: now + self.retry_primary };
                true
            }
            Course::Other { until } if now < until => true,
            Course::Other { .. } => {
                // This batch finds out; the others stay where they are meanwhile.
                *course = Course::Other { until: now + self.retry_primary };
                false
            }
        }
    }

    /// Enters how the first hub took a batch.
    fn note(&self, is_away: bool, now: Instant) {
        let mut course = self.course();
        match (*course, is_away) {
            (Course::Primary, true) => *course = Course::Waiting { since: now },
            (Course::Primary, false) | (Course::Waiting { .. } | Course::Other { .. }, true) => {}
            (Course::Waiting { .. }, false) => *course = Course::Primary,
            (Course::Other { .. }, false) => {
                tracing::info!(
                    sink = self.sink,
                    "the first hub is back, sending there from now on"
                );
                *course = Course::Primary;
            }
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_hubs::Access;

    fn failover() -> Failover {
        let text = "Endpoint=sb://h.example/;SharedAccessKeyName=a;SharedAccessKey=b;EntityPath=e";
        let client = EventHubsClient::new(Access::with_connection_string(text, None).unwrap());
        Failover::new("hub", client, Duration::from_mins(1), Duration::from_mins(5))
    }

    #[test]
    fn the_other_hub_has_its_turn_when_the_first_was_away_for_long_enough_and_until_it_is_back() {
        let failover = failover();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!failover.is_turn_of_other(at(0)));
        failover.note(true, at(0));
        assert!(!failover.is_turn_of_other(at(59)));
        failover.note(true, at(59));
        assert!(failover.is_turn_of_other(at(60)));
        assert!(failover.is_turn_of_other(at(359)));
        assert!(!failover.is_turn_of_other(at(360)), "one batch looks whether the first is back");
        assert!(failover.is_turn_of_other(at(361)), "and no other does");
        failover.note(true, at(362));
        assert!(failover.is_turn_of_other(at(363)));
        assert!(!failover.is_turn_of_other(at(660)));
        failover.note(false, at(660));
        assert!(!failover.is_turn_of_other(at(661)));
    }

    #[test]
    fn one_success_begins_the_count_anew() {
        let failover = failover();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        failover.note(true, at(0));
        failover.note(false, at(50));
        failover.note(true, at(55));
        assert!(!failover.is_turn_of_other(at(100)));
        assert!(failover.is_turn_of_other(at(115)));
    }

    #[test]
    fn a_busy_hub_is_not_away_and_neither_is_one_that_refuses_some_events() {
        let busy = Refusal::transient("throttled", "x").after(Duration::from_secs(4));
        let down = Refusal::transient("connection", "x");
        let sent = |failed| Ok(Sent { decided: 2, failed });
        let never = Refusal::permanent("too_large", "x");
        assert!(!is_away(&Err(busy)));
        assert!(is_away(&Err(down.clone())));
        assert!(!is_away(&sent(vec![(0, down.clone())])));
        assert!(is_away(&sent(vec![(0, down.clone()), (1, down.clone())])));
        assert!(is_away(&sent(vec![(0, never.clone()), (1, down)])));
        assert!(!is_away(&sent(vec![(0, never.clone()), (1, never)])));
        assert!(!is_away(&sent(Vec::new())));
    }
}
