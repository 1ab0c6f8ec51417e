//! Acknowledgement: a source hands out a token with each batch and learns when the last event
//! that it covers was delivered, dead-lettered or dropped on purpose.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a source still waits for. It belongs to one source.
///
/// A token is resolved when its last copy is let go, wherever that is: behind a sink's write, in a
/// filter, in a dead letter's writer. Whoever stops before its work is done calls
/// [`Ledger::close`] first; what is let go from then on, or by a panic, stays unresolved.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<State>>);

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
        Token(Arc::new(Share { ledger: self.clone(), ordinal }))
    }

    /// The last position up to which every token is resolved: the source may commit it.
    pub fn acknowledged(&self) -> Option<serde_json::Value> {
        self.state().acknowledged.clone()
    }

    /// How many tokens are not resolved, those behind an unresolved one included.
    pub fn outstanding(&self) -> usize {
        self.state().pending.len()
    }

    /// Resolves nothing from now on.
    pub fn close(&self) {
        self.state().closed = true;
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
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    /// Whether both are shares in the same batch.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !std::thread::panicking() {
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
