//! The buffer in memory: a queue under a lock that is taken once for a batch.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::buffer::{Buffer, Held, Receipt};
use crate::event::Batch;
use crate::monitor::Account;
use crate::spec::{BufferSettings, WhenBufferFull};

/// Gone when the process is.
pub(super) struct MemoryBuffer {
    state: Mutex<State>,
    max_events: u64,
    max_bytes: u64,
    when_full: WhenBufferFull,
    account: Arc<Account>,
    /// Wakes the one who takes out.
    came: Notify,
    /// Wakes the one who puts in.
    left: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Held>,
    /// Events that wait or are being sent.
    events: u64,
    bytes: u64,
    ended: bool,
    /// Nothing is taken out any more.
    is_closed: bool,
}

impl MemoryBuffer {
    pub(super) fn new(settings: &BufferSettings, account: Arc<Account>) -> Self {
        Self {
            state: Mutex::default(),
            max_events: settings.max_events.get(),
            max_bytes: settings.max_bytes.get(),
            when_full: settings.when_full,
            account,
            came: Notify::new(),
            left: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it in if there is room. A batch that is larger than the buffer finds it in an empty
    /// one, or it would wait for ever.
    fn try_put(&self, held: Held) -> Result<(), Held> {
        let (events, bytes) = size(&held);
        let mut state = self.state();
        if state.is_closed {
            return Err(held);
        }
        if self.when_full == WhenBufferFull::DropOldest {
            while !self.has_room(&state, events, bytes)
                && let Some(oldest) = state.waiting.pop_front()
            {
                self.remove(&mut state, oldest.receipt, oldest.batch.len());
                self.account.drop_events("buffer_full", oldest.batch.len());
            }
        }
        if !self.has_room(&state, events, bytes) {
            return Err(held);
        }
        state.events += events;
        state.bytes += bytes;
        state.waiting.push_back(held);
        self.account.delivery.set_waiting(state.events, state.bytes);
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// What comes next, or that nothing does, if that is known.
    fn try_next(&self) -> Poll<Option<Held>> {
        let mut state = self.state();
        match state.waiting.pop_front() {
            None if !state.ended => Poll::Pending,
            held => Poll::Ready(held),
        }
    }

    /// Drops what nobody takes out any more.
    fn give_up(&self, batch: &Batch) {
        batch.withhold();
        self.account.drop_events("sink_closed", batch.len());
    }

    fn has_room(&self, state: &State, events: u64, bytes: u64) -> bool {
        state.events == 0
            || (state.events + events <= self.max_events && state.bytes + bytes <= self.max_bytes)
    }

    fn remove(&self, state: &mut State, receipt: Receipt, events: usize) {
        state.events -= events as u64;
        state.bytes -= events as u64 * receipt.bytes_per_event;
        self.account.delivery.set_waiting(state.events, state.bytes);
    }
}

fn size(held: &Held) -> (u64, u64) {
    let events = held.batch.len() as u64;
    (events, events * held.receipt.bytes_per_event)
}

#[async_trait]
impl Buffer for MemoryBuffer {
    async fn put(&self, batch: Batch) {
        let (bytes_per_event, emitted) = (batch.bytes_per_event(), batch.emitted());
        let receipt = Receipt { number: 0, bytes_per_event, emitted };
        let mut held = Held { batch, receipt };
        while let Err(refused) = self.try_put(held) {
            if self.state().is_closed {
                return self.give_up(&refused.batch);
            }
            if self.when_full != WhenBufferFull::Block {
                // All that could make room for it is being sent, where the oldest was to go.
                self.account.drop_events("buffer_full", refused.batch.len());
                return;
            }
            held = refused;
            self.left.notified().await;
        }
    }

    fn end(&self) {
        self.state().ended = true;
        self.came.notify_one();
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        for held in std::mem::take(&mut state.waiting) {
            self.remove(&mut state, held.receipt, held.batch.len());
            self.give_up(&held.batch);
        }
        drop(state);
        self.left.notify_one();
    }

    async fn next(&self) -> Option<Held> {
        loop {
            if let Poll::Ready(held) = self.try_next() {
                return held;
            }
            self.came.notified().await;
        }
    }

    fn settle(&self, receipt: Receipt, events: usize) {
        self.remove(&mut self.state(), receipt, events);
        self.left.notify_one();
    }

    fn outlasts_the_run(&self) -> bool {
        false
    }

    fn stop_handing_out(&self) {}

    async fn drive(&self) {}
}
