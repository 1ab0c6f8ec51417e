//! Who is to read which partition, when several engines share a hub: each renews what is its own,
//! takes what nobody reads up to its fair share, and one partition at a time from who has too many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::store::Entry;
use crate::event::Timestamp;
use crate::retail::Random;

/// What an engine looks at to decide.
pub(super) struct Balance<'a> {
    pub(super) me: &'a Arc<str>,
    /// The partitions that there are.
    pub(super) partitions: &'a [Arc<str>],
    /// What the store knows.
    pub(super) entries: &'a [Entry],
    pub(super) now: Timestamp,
    /// After how long without a word an owner is gone.
    pub(super) expiry: Duration,
}

impl Balance<'_> {
    /// The entries to claim: first one's own, to renew them.
    pub(super) fn claims(&self, random: &mut Random) -> Vec<Entry> {
        let known: BTreeMap<_, _> =
            self.entries.iter().map(|entry| (&entry.partition, entry)).collect();
        let mut shares: BTreeMap<&Arc<str>, Vec<&Entry>> = BTreeMap::from([(self.me, Vec::new())]);
        let mut free = Vec::new();
        for partition in self.partitions {
            let entry = known.get(partition).copied();
            match entry.and_then(|entry| Some((entry, self.owner(entry)?))) {
                Some((entry, owner)) => shares.entry(owner).or_default().push(entry),
                None => free.push(entry.cloned().unwrap_or(Entry::unknown(partition.clone()))),
            }
        }
        let least = self.partitions.len() / shares.len();
        let is_uneven = !self.partitions.len().is_multiple_of(shares.len());
        let mut claims: Vec<Entry> = shares[self.me].iter().map(|entry| (*entry).clone()).collect();
        let mine = claims.len();
        while claims.len() < least + usize::from(is_uneven) && !free.is_empty() {
            let place = random.below(free.len() as u32) as usize;
            claims.push(free.swap_remove(place));
        }
        let richest = shares.values().max_by_key(|entries| entries.len());
        if claims.len() == mine
            && mine < least
            && let Some(richest) = richest.filter(|richest| richest.len() > mine + 1)
        {
            claims.push(random.pick(richest).clone());
        }
        claims
    }

    /// Who reads a partition, if somebody does.
    fn owner<'e>(&self, entry: &'e Entry) -> Option<&'e Arc<str>> {
        let is_alive = self.now.since(entry.modified) < self.expiry;
        entry.owner.as_ref().filter(|owner| !owner.is_empty() && is_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|number| Arc::from(number.to_string())).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    /// A table of owners, which engines change in turn.
    struct Table {
        partitions: Vec<Arc<str>>,
        entries: BTreeMap<Arc<str>, Entry>,
        random: Random,
    }

    impl Table {
        fn new(partitions: usize) -> Self {
            let random = Random::new(3, 3);
            Self { partitions: ids(partitions), entries: BTreeMap::new(), random }
        }

        fn turn_of(&mut self, me: &str, now: Timestamp) {
            let (me, entries): (Arc<str>, Vec<_>) =
                (me.into(), self.entries.values().cloned().collect());
            let balance = Balance {
                me: &me,
                partitions: &self.partitions,
                entries: &entries,
                now,
                expiry: Duration::from_mins(1),
            };
            for claim in balance.claims(&mut self.random) {
                let claimed = Entry { owner: Some(me.clone()), modified: now, ..claim };
                self.entries.insert(claimed.partition.clone(), claimed);
            }
        }

        fn shares(&self) -> BTreeMap<String, usize> {
            let mut shares = BTreeMap::new();
            for owner in self.entries.values().filter_map(|entry| entry.owner.as_ref()) {
                *shares.entry(owner.to_string()).or_default() += 1;
            }
            shares
        }
    }

    #[test]
    fn one_engine_takes_all_and_others_get_their_fair_share_of_it() {
        let mut table = Table::new(10);
        table.turn_of("a", at(0));
        assert_eq!(table.shares(), [("a".to_owned(), 10)].into());
        for round in 1..8 {
            for name in ["a", "b", "c"] {
                table.turn_of(name, at(round * 10));
            }
        }
        let shares = table.shares();
        assert!(shares.len() == 3 && shares.values().all(|share| (3..=4).contains(share)));
        let before = table.shares();
        for name in ["a", "b", "c"] {
            table.turn_of(name, at(90));
        }
        assert_eq!(table.shares(), before, "what is even stays as it is");
    }

    #[test]
    fn what_an_engine_leaves_that_is_gone_goes_to_the_others() {
        let mut table = Table::new(5);
        for round in 0..5 {
            table.turn_of("a", at(round * 10));
            table.turn_of("b", at(round * 10));
        }
        table.turn_of("a", at(99));
        assert!(table.shares()["b"] >= 2, "it may come back yet");
        table.turn_of("a", at(101));
        assert_eq!(table.shares(), [("a".to_owned(), 5)].into());
    }
}
