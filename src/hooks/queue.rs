//! What waits for the hooks' thread: bounded, and for each hook by itself, so that events do not crowd
//! out failures.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::monitor::{HookKind, waiting};

/// How many batches may wait for a hook, or how many failures.
const WAITING_MAX: [usize; 3] = [64, 64, 1024];

/// A queue of one reader.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// There is something to take, or nothing comes any more.
    filled: Condvar,
    /// Something was taken, or the reader has ended.
    emptied: Condvar,
}

struct State<T> {
    waiting: VecDeque<(HookKind, T)>,
    /// How many wait for each hook.
    counts: [usize; 3],
    /// Whether nothing comes any more.
    is_closed: bool,
    /// Whether the reader is not to take anything any more.
    is_given_up: bool,
    has_ended: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            counts: [0; 3],
            is_closed: false,
            is_given_up: false,
            has_ended: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Puts something in, which is made where there is room. Says whether it is in; with `waits`
    /// it is, sooner or later, unless the queue is closed meanwhile.
    pub(super) fn push(&self, hook: HookKind, waits: bool, make: impl FnOnce() -> T) -> bool {
        let mut state = self.state();
        if waits && !state.has_room(hook) && !state.is_closed {
            drop(state);
            let is_full = |state: &mut State<T>| !state.has_room(hook) && !state.is_closed;
            let waited = waiting(|| self.emptied.wait_while(self.state(), is_full));
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed || !state.has_room(hook) {
            return false;
        }
        state.counts[hook as usize] += 1;
        drop(state);
        let item = make();
        let mut state = self.state();
        if state.is_closed {
            // Whoever takes out may have seen that nothing is left.
            state.counts[hook as usize] -= 1;
            return false;
        }
        state.waiting.push_back((hook, item));
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Takes what came first, once there is something; none when nothing comes any more.
    pub(super) fn pop(&self) -> Option<T> {
        let is_idle = |state: &mut State<T>| state.waiting.is_empty() && !state.is_closed;
        let state = self.filled.wait_while(self.state(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let (hook, taken) = state.waiting.pop_front()?;
        state.counts[hook as usize] -= 1;
        self.emptied.notify_all();
        Some(taken)
    }

    /// Nothing comes any more; what is there can still be taken.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Nothing is to be taken any more, either. What waited is returned.
    pub(super) fn give_up(&self) -> Vec<T> {
        let mut state = self.state();
        state.is_given_up = true;
        let left = state.waiting.drain(..).map(|(_, left)| left).collect();
        drop(state);
        self.close();
        left
    }

    /// Whether the reader is to stop in the middle of what it took.
    pub(super) fn is_given_up(&self) -> bool {
        self.state().is_given_up
    }

    /// The reader has ended.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.emptied.notify_all();
    }

    /// Waits until the reader has ended. Says whether it has.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let goes_on = |state: &mut State<T>| !state.has_ended;
        let waited = self.emptied.wait_timeout_while(self.state(), timeout, goes_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn has_room(&self, hook: HookKind) -> bool {
        self.counts[hook as usize] < WAITING_MAX[hook as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HookKind::{BatchSent, Error, EventGenerated};

    fn full() -> Queue<usize> {
        let queue = Queue::new();
        for number in 0..WAITING_MAX[0] {
            assert!(queue.push(EventGenerated, false, || number));
        }
        queue
    }

    #[test]
    fn what_does_not_fit_is_refused_without_being_made_and_crowds_out_nothing_else() {
        let queue = full();
        assert!(!queue.push(EventGenerated, false, || unreachable!("there is no room")));
        assert!(queue.push(BatchSent, false, || 1000) && queue.push(Error, false, || 1001));
        assert_eq!(queue.pop(), Some(0), "what came first");
        assert!(queue.push(EventGenerated, false, || 64));
        queue.close();
        let rest: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, (1..64).chain([1000, 1001, 64]).collect::<Vec<_>>());
        assert!(!queue.push(Error, true, || 1002), "nothing comes after the end");
    }

    #[test]
    fn what_is_made_while_the_queue_closes_is_refused_and_not_lost() {
        let ends: [fn(&Queue<u8>); 2] = [Queue::close, |queue| drop(queue.give_up())];
        for end in ends {
            let queue = Queue::new();
            let is_in = queue.push(Error, true, || {
                end(&queue);
                assert_eq!(queue.pop(), None, "the reader ends here");
                7
            });
            assert!(!is_in && queue.pop().is_none());
        }
    }

    #[test]
    fn who_waits_goes_on_when_something_is_taken() {
        let queue = full();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(EventGenerated, true, || 64));
            assert_eq!(queue.pop(), Some(0));
            assert!(waiting.join().unwrap());
        });
        assert_eq!(
            std::iter::from_fn(|| {
                queue.close();
                queue.pop()
            })
            .last(),
            Some(64)
        );
    }

    #[test]
    fn who_waits_is_let_go_when_nothing_is_taken_any_more() {
        let queue = full();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(EventGenerated, true, || 64));
            assert_eq!(queue.give_up().len(), 64);
            assert!(!waiting.join().unwrap());
        });
        assert!(queue.is_given_up() && queue.pop().is_none());
        assert!(!queue.wait_for_end(Duration::ZERO));
        queue.end();
        assert!(queue.wait_for_end(Duration::from_mins(1)));
    }
}
