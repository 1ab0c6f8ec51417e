//! Acknowledgement: a source hands out a token with each batch and learns when the last event
//! that it covers was delivered, dead-lettered or dropped on purpose.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// What a source still waits for. It belongs to one source.
///
/// A token is resolved when its last copy is let go, wherever that is: behind a sink's write, in a
/// filter, in a dead letter's writer. Whoever stops before its work is done calls
/// [`Ledger::close`] first; what is let go from then on, or by a panic, stays unresolved.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Book>);

#[derive(Debug, Default)]
struct Book {
    state: Mutex<State>,
    /// Wakes those who wait for tokens to resolve.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The ordinal of the first token in `pending`.
    first: u64,
    /// Tokens in the order they were issued; those at the front leave as they resolve.
    pending: VecDeque<Pending>,
    acknowledged: Option<serde_json::Value>,
    closed: bool,
}

#[derive(Debug)]
struct Pending {
    position: serde_json::Value,
    resolved: bool,
}

/// A share in one batch of a source; all copies of its events and all events derived from them
/// hold it.
#[derive(Clone, Debug)]
pub struct Token(Arc<Share>);

#[derive(Debug)]
struct Share {
    ledger: Ledger,
    ordinal: u64,
    issued: Instant,
    /// Something under the token was not done, and will not be.
    withheld: AtomicBool,
}

impl Ledger {
    /// A ledger with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token for what the source read up to `position`, which it understands itself.
    pub fn issue(&self, position: serde_json::Value) -> Token {
        let mut state = self.state();
        let ordinal = state.first + state.pending.len() as u64;
        state.pending.push_back(Pending { position, resolved: false });
        let (ledger, withheld) = (self.clone(), AtomicBool::new(false));
        Token(Arc::new(Share { ledger, ordinal, issued: Instant::now(), withheld }))
    }

    /// The last position up to which every token is resolved: the source may commit it.
    pub fn acknowledged(&self) -> Option<serde_json::Value> {
        self.state().acknowledged.clone()
    }

    /// A mark behind all tokens that were issued so far.
    pub fn mark(&self) -> u64 {
        let state = self.state();
        state.first + state.pending.len() as u64
    }

    /// Waits until every token before the mark is resolved; for ever, if the ledger was closed.
    pub async fn settled(&self, mark: u64) {
        loop {
            let progress = self.0.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.is_settled(mark) {
                return;
            }
            progress.await;
        }
    }

    /// Waits for the fate of the tokens from one mark to the other, whatever becomes of those
    /// before them. False if the ledger was closed before it was known.
    pub async fn resolved(&self, first: u64, mark: u64) -> bool {
        loop {
            let progress = self.0.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            {
                let state = self.state();
                let is_resolved = |ordinal: u64| match ordinal.checked_sub(state.first) {
                    Some(place) => state.pending.get(place as usize).is_some_and(|it| it.resolved),
                    None => true,
                };
                if (first..mark).all(is_resolved) {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            progress.await;
        }
    }

    /// Whether every token before the mark is resolved.
    pub fn is_settled(&self, mark: u64) -> bool {
        self.state().first >= mark
    }

    /// How many tokens are not resolved, those behind an unresolved one included.
    pub fn outstanding(&self) -> usize {
        self.state().pending.len()
    }

    /// Resolves nothing from now on.
    pub fn close(&self) {
        self.state().closed = true;
        self.0.progress.notify_waiters();
    }

    fn resolve(&self, ordinal: u64) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let place = (ordinal - state.first) as usize;
        state.pending[place].resolved = true;
        while state.pending.front().is_some_and(|pending| pending.resolved) {
            state.first += 1;
            state.acknowledged = state.pending.pop_front().map(|pending| pending.position);
        }
        drop(state);
        self.0.progress.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    /// Whether both are shares in the same batch.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// When its source gave it out, in wall time.
    pub fn issued(&self) -> Instant {
        self.0.issued
    }

    /// Keeps it unresolved for good: an event under it was given up undelivered, so the source must
    /// not go on behind it.
    pub fn withhold(&self) {
        self.0.withheld.store(true, Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !std::thread::panicking() && !*self.withheld.get_mut() {
            self.ledger.resolve(self.ordinal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_is_acknowledged_when_all_before_it_are() {
        let ledger = Ledger::new();
        let [first, second, third] = [1, 2, 3].map(|line| ledger.issue(json!(line)));
        drop(second);
        assert_eq!(ledger.acknowledged(), None);
        drop(first);
        assert_eq!(ledger.acknowledged(), Some(json!(2)));
        let copy = third.clone();
        drop(third);
        assert_eq!(ledger.outstanding(), 1);
        drop(copy);
        assert_eq!((ledger.acknowledged(), ledger.outstanding()), (Some(json!(3)), 0));
    }

    #[test]
    fn what_is_let_go_after_closing_is_not_acknowledged() {
        let ledger = Ledger::new();
        let token = ledger.issue(json!(1));
        ledger.close();
        drop(token);
        assert_eq!((ledger.acknowledged(), ledger.outstanding()), (None, 1));
    }

    #[test]
    fn a_withheld_token_is_never_resolved_and_keeps_those_behind_it() {
        let ledger = Ledger::new();
        let [first, second] = [1, 2].map(|position| ledger.issue(json!(position)));
        first.clone().withhold();
        drop((first, second));
        assert_eq!((ledger.acknowledged(), ledger.outstanding()), (None, 2));
    }

    #[tokio::test]
    async fn a_mark_is_settled_when_all_tokens_before_it_are_resolved() {
        let ledger = Ledger::new();
        ledger.settled(ledger.mark()).await;
        let [first, second] = [1, 2].map(|position| ledger.issue(json!(position)));
        let mark = ledger.mark();
        let _later = ledger.issue(json!(3));
        let settled = ledger.settled(mark);
        tokio::pin!(settled);
        drop(second);
        assert!(futures::poll!(&mut settled).is_pending());
        drop(first);
        settled.await;
    }

    #[tokio::test]
    async fn the_fate_of_some_tokens_is_known_before_that_of_earlier_ones() {
        let ledger = Ledger::new();
        let earlier = ledger.issue(json!(1));
        let first = ledger.mark();
        let token = ledger.issue(json!(2));
        let resolved = ledger.resolved(first, ledger.mark());
        tokio::pin!(resolved);
        assert!(futures::poll!(&mut resolved).is_pending());
        drop(token);
        assert!(resolved.await);
        let given_up = ledger.resolved(0, 1);
        tokio::pin!(given_up);
        assert!(futures::poll!(&mut given_up).is_pending());
        ledger.close();
        drop(earlier);
        assert!(!given_up.await);
    }

    #[test]
    fn a_panic_acknowledges_nothing() {
        let ledger = Ledger::new();
        let token = ledger.issue(json!(1));
        let stage = std::thread::spawn(move || {
            let _held = token;
            panic!("on purpose");
        });
        assert!(stage.join().is_err());
        assert_eq!(ledger.acknowledged(), None);
    }
}
