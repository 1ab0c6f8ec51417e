//! An engine's part of a hub that several engines share: which partitions are its own, and what it
//! notes in the store of what was delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::balance::Balance;
use super::place::{Position, Positions};
use super::store::{Entry, Listing, Store};
use crate::event::Ledger;
use crate::retail::Random;
use crate::stage::Hold;

/// How long taking leave of the store may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the run waits for the fate of what was read, while it makes no progress.
const PATIENCE: Duration = Duration::from_secs(5);

/// A partition that is this engine's, for as long as it is.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    /// Tells it from an earlier one of the same partition.
    pub(super) number: u64,
    /// How far it was delivered by whoever had it before.
    pub(super) checkpoint: Option<Position>,
    /// Where reading began, once that is known.
    pub(super) began: Arc<OnceLock<i64>>,
}

/// The partitions to read.
pub(super) type Assignment = BTreeMap<Arc<str>, Lease>;

impl Lease {
    /// The one of a partition that is not shared.
    pub(super) fn for_good() -> Self {
        Self { number: 0, checkpoint: None, began: Arc::default() }
    }
}

/// What the connections know of the sharing.
pub(super) struct Shared {
    /// Told which partitions there are.
    pub(super) partitions: watch::Sender<Vec<Arc<str>>>,
    /// Says which of them to read.
    pub(super) assignment: watch::Receiver<Assignment>,
    /// How often it may change.
    pub(super) interval: Duration,
}

/// Shares out.
pub(super) struct Sharing {
    pub(super) store: Box<dyn Store>,
    /// The name of this engine among the others.
    pub(super) me: Arc<str>,
    pub(super) stage: String,
    pub(super) ledger: Ledger,
    pub(super) random: Random,
    pub(super) interval: Duration,
    pub(super) checkpoint_interval: Duration,
    pub(super) expiry: Duration,
    pub(super) assignment: watch::Sender<Assignment>,
    pub(super) partitions: watch::Receiver<Vec<Arc<str>>>,
    /// What was noted in the store last.
    pub(super) noted: BTreeMap<Arc<str>, i64>,
    pub(super) leases: u64,
    /// When the store was reached last; none while it always was.
    pub(super) failing_since: Option<Instant>,
}

impl Sharing {
    /// Takes part until the feed is gone (`closed`); then notes what is delivered yet, and lets the
    /// partitions go.
    pub(super) async fn take_part(mut self, closed: impl Future<Output = ()>, hold: Option<Hold>) {
        let mut closed = std::pin::pin!(closed);
        let mut next_round = Instant::now();
        let mut next_note = next_round + self.checkpoint_interval;
        loop {
            let is_known = !self.partitions.borrow().is_empty();
            tokio::select! {
                () = &mut closed => break,
                changed = self.partitions.changed(), if !is_known => {
                    if changed.is_err() {
                        break;
                    }
                    next_round = Instant::now();
                }
                () = tokio::time::sleep_until(next_round), if is_known => {
                    let Some(done) = self.in_time(&mut closed, Self::round).await else { break };
                    self.say(done);
                    next_round = Instant::now() + self.interval;
                }
                () = tokio::time::sleep_until(next_note) => {
                    let Some(done) = self.in_time(&mut closed, Self::note).await else { break };
                    // Whether the store is there at all, the rounds tell: often nothing is to be noted.
                    if let Err(error) = done {
                        self.say(Err(error));
                    }
                    next_note = Instant::now() + self.checkpoint_interval;
                }
            }
        }
        self.leave().await;
        drop(hold);
    }

    /// Does something at the store, which may hang: not for longer than others wait for us, and not
    /// beyond the end of the feed. None at that.
    async fn in_time(
        &mut self,
        closed: impl Future<Output = ()>,
        act: impl AsyncFnOnce(&mut Self) -> Result<(), String>,
    ) -> Option<Result<(), String>> {
        let limit = self.expiry / 2;
        tokio::select! {
            () = closed => None,
            done = tokio::time::timeout(limit, act(self)) => Some(done.unwrap_or_else(|_| {
                Err(format!("the checkpoint store did not answer within {} s", limit.as_secs_f64()))
            })),
        }
    }

    /// Looks who has what, and claims.
    async fn round(&mut self) -> Result<(), String> {
        let Listing { entries, now } = self.store.list().await?;
        let partitions = self.partitions.borrow().clone();
        let (me, expiry) = (&self.me, self.expiry);
        let balance = Balance { me, partitions: &partitions, entries: &entries, now, expiry };
        let claims = balance.claims(&mut self.random);
        let mut owned = Assignment::new();
        for entry in claims {
            if self.store.claim(&entry, Some(&self.me)).await? {
                let lease = self.lease(&entry);
                owned.insert(entry.partition, lease);
            }
        }
        self.assign(owned);
        Ok(())
    }

    /// The lease of a partition that was claimed: the one that there is, or a new one.
    fn lease(&mut self, entry: &Entry) -> Lease {
        let held = self.assignment.borrow().get(&entry.partition).cloned();
        if let Some(held) = held.filter(|_| entry.owner.as_ref() == Some(&self.me)) {
            return held;
        }
        self.leases += 1;
        let checkpoint = entry.checkpoint.clone();
        let next = checkpoint.as_ref().map_or(-1, |position| position.next);
        self.noted.insert(entry.partition.clone(), next);
        Lease { number: self.leases, checkpoint, began: Arc::default() }
    }

    fn assign(&mut self, owned: Assignment) {
        let numbers = |it: &Assignment| it.values().map(|lease| lease.number).collect::<Vec<_>>();
        if numbers(&self.assignment.borrow()) == numbers(&owned) {
            return;
        }
        let names: Vec<&str> = owned.keys().map(|id| &**id).collect();
        tracing::info!(source = self.stage, "reading partitions [{}]", names.join(", "));
        self.assignment.send_replace(owned);
    }

    /// Notes what was delivered since the last time.
    async fn note(&mut self) -> Result<(), String> {
        let acknowledged = self.ledger.acknowledged();
        let delivered: Positions =
            acknowledged.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
        let owned = self.assignment.borrow().clone();
        for (partition, lease) in &owned {
            let noted = self.noted.get(partition).copied().unwrap_or(-1);
            // Where nothing was delivered yet, reading of whoever comes next begins where this one's
            // did: what comes meanwhile is not lost.
            let began = lease.began.get().map(|next| Position { next: *next, offset: None });
            let positions = delivered.partitions.get(partition).cloned().into_iter().chain(began);
            let position = positions.max_by_key(|position| position.next);
            let Some(position) = position.filter(|position| position.next > noted) else {
                continue;
            };
            self.store.note(partition, &self.me, &position).await?;
            self.noted.insert(partition.clone(), position.next);
        }
        Ok(())
    }

    /// The store may be out of reach for a while; but not for longer than others wait for us.
    fn say(&mut self, done: Result<(), String>) {
        let source = &self.stage;
        match (done, self.failing_since) {
            (Ok(()), Some(_)) => {
                tracing::info!(source, "the checkpoint store is there again");
                self.failing_since = None;
            }
            (Err(error), None) => {
                tracing::warn!(source, "{error}; trying again from now on");
                self.failing_since = Some(Instant::now());
            }
            (Err(_), Some(since)) if since.elapsed() >= self.expiry => {
                self.assign(Assignment::new());
            }
            (Ok(()), None) | (Err(_), Some(_)) => {}
        }
    }

    /// Notes the last of what was delivered, and lets everything go.
    async fn leave(&mut self) {
        let mark = self.ledger.mark();
        loop {
            let before = self.ledger.outstanding();
            let resolved = self.ledger.resolved(mark - before as u64, mark);
            let is_over = tokio::time::timeout(PATIENCE, resolved).await.is_ok();
            if is_over || self.ledger.outstanding() == before {
                break;
            }
        }
        // What cannot be noted comes again, and what cannot be let go others get when it has expired.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, self.let_go()).await;
    }

    async fn let_go(&mut self) {
        if let Err(error) = self.note().await {
            tracing::warn!(source = self.stage, "{error}; what was delivered last comes again");
        }
        let Ok(listing) = self.store.list().await else { return };
        for entry in listing.entries.iter().filter(|entry| entry.owner.as_ref() == Some(&self.me)) {
            let _ = self.store.claim(entry, None).await;
        }
    }
}
