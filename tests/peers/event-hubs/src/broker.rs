//! What all connections share: hubs, policies, faults, counts, and who is connected.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fe2o3_amqp_types::definitions::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::claim::Policy;
use crate::connection::Connection;
use crate::fault::Faults;
use crate::statistics::{Open, Statistics};
use crate::store::Hub;

/// The service.
#[derive(Default)]
pub(crate) struct Broker {
    /// By name, in lower case.
    hubs: HashMap<String, Arc<Hub>>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) message_bytes_max: u64,
    faults: Mutex<Faults>,
    statistics: Mutex<Statistics>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    /// What ends each link on which events go.
    links: Mutex<HashMap<u64, UnboundedSender<Error>>>,
    next_number: AtomicU64,
    settle_after: Mutex<Duration>,
    only_counts: AtomicBool,
    /// How often something has changed that a test may wait for.
    changes: Mutex<u64>,
    changed: Condvar,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    pub(crate) fn new(hubs: Vec<Hub>, policies: Vec<Policy>, message_bytes_max: u64) -> Self {
        let hubs = hubs.into_iter().map(|hub| (hub.name.to_lowercase(), Arc::new(hub))).collect();
        Self { hubs, policies, message_bytes_max, ..Self::default() }
    }

    pub(crate) fn hub(&self, name: &str) -> Option<&Arc<Hub>> {
        self.hubs.get(&name.to_lowercase())
    }

    pub(crate) fn hubs(&self) -> impl Iterator<Item = &Arc<Hub>> {
        self.hubs.values()
    }

    /// Sets faults, or asks for what goes wrong now.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        held(&self.faults)
    }

    /// What goes wrong this time, counted.
    pub(crate) fn strike<F>(&self, strike: impl FnOnce(&mut Faults) -> Option<F>) -> Option<F> {
        let fault = strike(&mut self.faults());
        if fault.is_some() {
            self.count(|counts| counts.faults += 1);
        }
        fault
    }

    /// Changes the counts, and wakes tests that wait.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Statistics)) {
        change(&mut held(&self.statistics));
        self.tell_change();
    }

    pub(crate) fn statistics(&self) -> Statistics {
        held(&self.statistics).clone()
    }

    /// Lets tests that wait look again.
    pub(crate) fn tell_change(&self) {
        *held(&self.changes) += 1;
        self.changed.notify_all();
    }

    /// Waits until the condition is true, looking again whenever something has changed. False if it
    /// is not by the deadline.
    pub(crate) fn wait_until(&self, deadline: Instant, condition: impl Fn() -> bool) -> bool {
        loop {
            let seen = *held(&self.changes);
            if condition() {
                return true;
            }
            let left = deadline.saturating_duration_since(crate::clock::after(Duration::ZERO));
            let waited = self
                .changed
                .wait_timeout_while(held(&self.changes), left, |changes| *changes == seen)
                .unwrap_or_else(PoisonError::into_inner);
            let timed_out = waited.1.timed_out();
            drop(waited);
            if timed_out {
                return condition();
            }
        }
    }

    pub(crate) fn settle_after(&self) -> Duration {
        *held(&self.settle_after)
    }

    pub(crate) fn set_settle_after(&self, wait: Duration) {
        *held(&self.settle_after) = wait;
    }

    pub(crate) fn only_counts(&self) -> bool {
        self.only_counts.load(Ordering::Relaxed)
    }

    pub(crate) fn set_only_counts(&self, only: bool) {
        self.only_counts.store(only, Ordering::Relaxed);
    }

    /// Everyone who is connected.
    pub(crate) fn connections(&self) -> Vec<Arc<Connection>> {
        held(&self.connections).values().cloned().collect()
    }

    /// Enters a connection; it is there until the entry is dropped.
    pub(crate) fn enter_connection(self: &Arc<Self>, connection: Arc<Connection>) -> Entry {
        let number = self.number();
        held(&self.connections).insert(number, connection);
        self.count(|counts| counts.connections += 1);
        self.entry(number, |open| &mut open.connections)
    }

    /// Enters a session, which is only counted.
    pub(crate) fn enter_session(self: &Arc<Self>) -> Entry {
        self.count(|counts| counts.sessions += 1);
        self.entry(self.number(), |open| &mut open.sessions)
    }

    /// Enters a link on which events go; what comes out of the channel ends it.
    pub(crate) fn enter_link(
        self: &Arc<Self>,
        open: fn(&mut Open) -> &mut u64,
    ) -> (Entry, UnboundedReceiver<Error>) {
        let number = self.number();
        let (end, ended) = unbounded_channel();
        held(&self.links).insert(number, end);
        (self.entry(number, open), ended)
    }

    /// What ends a link.
    pub(crate) fn end_of(&self, link: &Entry) -> Option<UnboundedSender<Error>> {
        held(&self.links).get(&link.number).cloned()
    }

    /// Ends all links on which events go.
    pub(crate) fn end_links(&self, error: &Error) {
        for end in held(&self.links).values() {
            // A link that is about to end by itself does not listen any more.
            let _ = end.send(error.clone());
        }
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn entry(self: &Arc<Self>, number: u64, open: fn(&mut Open) -> &mut u64) -> Entry {
        self.count(|counts| *open(&mut counts.open) += 1);
        Entry { broker: Arc::clone(self), number, open }
    }
}

/// Something that is open, for as long as this is.
pub(crate) struct Entry {
    broker: Arc<Broker>,
    pub(crate) number: u64,
    open: fn(&mut Open) -> &mut u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        held(&self.broker.connections).remove(&self.number);
        held(&self.broker.links).remove(&self.number);
        self.broker.count(|counts| *(self.open)(&mut counts.open) -= 1);
    }
}
