//! How far event time has come, over partitions that are read beside each other: as far as the one
//! that is furthest behind, of those that are not silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Timestamp;

/// The event times of partitions.
#[derive(Debug)]
pub(super) struct Watermarks {
    lateness: Duration,
    idle_timeout: Duration,
    partitions: BTreeMap<Arc<str>, Heard>,
    /// The last one that was given out.
    told: Timestamp,
    /// Whether there is no connection: silence is no partition's own then.
    is_away: bool,
}

#[derive(Debug)]
struct Heard {
    latest: Timestamp,
    /// When it was heard of last; none where it has nothing to say, so that nobody waits.
    at: Option<Instant>,
}

impl Watermarks {
    pub(super) fn new(lateness: Duration, idle_timeout: Duration) -> Self {
        let (partitions, told) = (BTreeMap::new(), Timestamp::MIN);
        Self { lateness, idle_timeout, partitions, told, is_away: false }
    }

    /// Reading of a partition begins; `at_end` where nothing waits there.
    pub(super) fn begin(&mut self, partition: &Arc<str>, at_end: bool, now: Instant) {
        let heard = self.partitions.entry(partition.clone());
        let heard = heard.or_insert(Heard { latest: Timestamp::MIN, at: None });
        heard.at = (!at_end).then_some(now);
    }

    /// A partition is not read any more.
    pub(super) fn end(&mut self, partition: &str) {
        self.partitions.remove(partition);
    }

    /// An event of a partition came.
    pub(super) fn hear(&mut self, partition: &Arc<str>, time: Timestamp, now: Instant) {
        // Most of the time it is known, and its name need not be copied.
        if !self.partitions.contains_key(partition) {
            self.begin(partition, false, now);
        }
        if let Some(heard) = self.partitions.get_mut(partition) {
            heard.latest = heard.latest.max(time);
            heard.at = Some(now);
        }
    }

    /// The connection is lost, or there is another.
    pub(super) fn set_away(&mut self, is_away: bool, now: Instant) {
        if self.is_away && !is_away {
            for heard in self.partitions.values_mut().filter(|heard| heard.at.is_some()) {
                heard.at = Some(now);
            }
        }
        self.is_away = is_away;
    }

    /// Takes back so much silence: nobody listened.
    pub(super) fn skip(&mut self, span: Duration) {
        for at in self.partitions.values_mut().filter_map(|heard| heard.at.as_mut()) {
            *at += span;
        }
    }

    /// How far event time has come.
    pub(super) fn advance(&mut self, now: Instant) -> Timestamp {
        let waited_for = |heard: &&Heard| self.is_waited_for(heard, now);
        let lowest = self.partitions.values().filter(waited_for).map(|heard| heard.latest).min();
        let reached = match lowest {
            Some(Timestamp::MIN) => Timestamp::MIN,
            Some(lowest) => lowest - self.lateness,
            // All are silent: what has come is all there is.
            None => self.partitions.values().map(|heard| heard.latest).max().unwrap_or(self.told),
        };
        self.told = self.told.max(reached);
        self.told
    }

    /// When event time goes on though nothing comes, if it does.
    pub(super) fn next_advance(&self, now: Instant) -> Option<Instant> {
        if self.is_away {
            return None;
        }
        let waited_for = |heard: &&Heard| self.is_waited_for(heard, now);
        let heard = self.partitions.values().filter(waited_for).filter_map(|heard| heard.at);
        heard.min().map(|at| at + self.idle_timeout)
    }

    fn is_waited_for(&self, heard: &Heard, now: Instant) -> bool {
        heard.at.is_some_and(|at| self.is_away || now.duration_since(at) < self.idle_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    #[test]
    fn event_time_goes_on_with_the_partition_that_is_furthest_behind() {
        let now = Instant::now();
        let [a, b]: [Arc<str>; 2] = ["0".into(), "1".into()];
        let mut watermarks = Watermarks::new(Duration::from_secs(1), IDLE);
        watermarks.begin(&a, false, now);
        watermarks.begin(&b, false, now);
        watermarks.hear(&a, at(100), now);
        assert_eq!(watermarks.advance(now), Timestamp::MIN, "the other has said nothing yet");
        watermarks.hear(&b, at(50), now);
        assert_eq!(watermarks.advance(now), at(49), "with what may still be late");
        watermarks.hear(&b, at(40), now);
        assert_eq!(watermarks.advance(now), at(49), "it never goes back");
    }

    #[test]
    fn a_silent_partition_is_not_waited_for_and_neither_is_one_at_its_end() {
        let now = Instant::now();
        let [a, b, c]: [Arc<str>; 3] = ["0".into(), "1".into(), "2".into()];
        let mut watermarks = Watermarks::new(Duration::from_secs(1), IDLE);
        watermarks.begin(&a, false, now);
        watermarks.begin(&b, false, now);
        watermarks.begin(&c, true, now);
        watermarks.hear(&a, at(100), now + IDLE / 2);
        assert_eq!(watermarks.next_advance(now), Some(now + IDLE));
        assert_eq!(watermarks.advance(now + IDLE), at(99));
        assert_eq!(watermarks.next_advance(now + IDLE), Some(now + IDLE * 3 / 2));
        assert_eq!(watermarks.advance(now + IDLE * 2), at(100), "all are silent");
        assert_eq!(watermarks.next_advance(now + IDLE * 2), None);
    }

    #[test]
    fn time_in_which_nobody_listened_is_no_silence() {
        let now = Instant::now();
        let partition: Arc<str> = "0".into();
        let mut watermarks = Watermarks::new(Duration::ZERO, IDLE);
        watermarks.begin(&partition, false, now);
        watermarks.skip(IDLE * 3);
        assert_eq!(watermarks.next_advance(now + IDLE * 3), Some(now + IDLE * 4));
    }

    #[test]
    fn without_a_connection_silence_is_no_partitions_own() {
        let now = Instant::now();
        let [a, b]: [Arc<str>; 2] = ["0".into(), "1".into()];
        let mut watermarks = Watermarks::new(Duration::ZERO, IDLE);
        watermarks.hear(&a, at(100), now);
        watermarks.hear(&b, at(10), now);
        watermarks.set_away(true, now);
        assert_eq!(watermarks.advance(now + IDLE * 9), at(10));
        assert_eq!(watermarks.next_advance(now + IDLE * 9), None);
        watermarks.set_away(false, now + IDLE * 9);
        assert_eq!(watermarks.advance(now + IDLE * 9), at(10));
        assert_eq!(watermarks.advance(now + IDLE * 10), at(100));
    }
}
