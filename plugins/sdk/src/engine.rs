//! What a plugin may ask of the engine, from any thread.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::boundary::Host;
use crate::outcome::{Error, Level, MetricKind, Outcome};

/// The engine, as one instance sees it. Copies are cheap; one that outlives the instance does
/// nothing.
#[derive(Clone)]
pub struct Engine {
    pub(crate) host: Host,
    stops: Arc<Stops>,
}

type Stop = Box<dyn Fn() + Send + Sync>;

/// What is called when a stop is asked for; none once that was, or the instance is gone.
struct Stops(Mutex<Option<Vec<Stop>>>);

/// The number of a field of events; holds for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) crate::abi::Key);

/// A metric of the stage, which the engine shows with its own.
#[derive(Clone)]
pub struct Metric {
    host: Host,
    /// 0 if there was no room for it.
    number: u32,
}

impl Engine {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, stops: Arc::new(Stops(Mutex::new(Some(Vec::new())))) }
    }

    /// The field that a path leads to: a key of the envelope, such as `event_type` or
    /// `ingest_timestamp`, or `payload.total`, or deeper, `payload.address.city`. Ask once, in
    /// [`crate::Plugin::create`].
    pub fn key(&self, path: &str) -> Result<Key, Error> {
        let unknown =
            || Error::Config(format!("there is no field `{path}`, or there are too many"));
        self.host.key(path).map(Key).ok_or_else(unknown)
    }

    /// A line for the engine's log.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        if self.host.log_enabled(level) {
            self.host.log(level, "", &message.to_string());
        }
    }

    /// Something failed.
    pub fn error(&self, message: impl fmt::Display) {
        self.log(Level::Error, message);
    }

    /// Something is not as it should be.
    pub fn warn(&self, message: impl fmt::Display) {
        self.log(Level::Warn, message);
    }

    /// Something that a user wants to know.
    pub fn info(&self, message: impl fmt::Display) {
        self.log(Level::Info, message);
    }

    /// Something for whoever looks for a fault.
    pub fn debug(&self, message: impl fmt::Display) {
        self.log(Level::Debug, message);
    }

    /// A metric that only grows: what is recorded is added. The unit is a word, such as `bytes`.
    pub fn counter(&self, name: &str, unit: &str) -> Metric {
        self.metric(MetricKind::Counter, name, unit)
    }

    /// A metric that goes up and down: what is recorded is the value.
    pub fn gauge(&self, name: &str, unit: &str) -> Metric {
        self.metric(MetricKind::Gauge, name, unit)
    }

    /// A metric of how values are spread: what is recorded is one of them.
    pub fn histogram(&self, name: &str, unit: &str) -> Metric {
        self.metric(MetricKind::Histogram, name, unit)
    }

    fn metric(&self, kind: MetricKind, name: &str, unit: &str) -> Metric {
        Metric { host: self.host, number: self.host.metric(kind, name, unit) }
    }

    /// Whether a stop was asked for, or the instance is gone.
    pub fn stopping(&self) -> bool {
        self.host.stopping()
    }

    /// Has something called when a stop is asked for: once, from any thread, beside any other call.
    /// It returns at once. Where a stop was asked for already, or the instance is gone, it is called
    /// here and now.
    pub fn on_stop(&self, stop: impl Fn() + Send + Sync + 'static) {
        let mut stops = self.stops.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stops) = &mut *stops {
            stops.push(Box::new(stop));
            return;
        }
        // It may ask for more of the kind.
        drop(stops);
        stop();
    }

    /// What is to be called at a stop. From now on nothing is kept for one.
    pub(crate) fn take_stops(&self) -> Vec<Stop> {
        let mut stops = self.stops.0.lock().unwrap_or_else(PoisonError::into_inner);
        stops.take().unwrap_or_default()
    }

    /// A source that said [`crate::Poll::Again`] has something now.
    pub fn wake(&self) {
        self.host.wake();
    }

    /// Event time now, for a source, in milliseconds since 1970. At full speed it stands at the
    /// beginning. Events that are given ahead of it wait for their time.
    pub fn now_ms(&self) -> i64 {
        self.host.now()
    }

    /// A correlator wants a tick at this event time (milliseconds since 1970), in place of the one
    /// that it asked for before; none takes that back.
    pub fn next_tick(&self, ms: Option<i64>) {
        self.host.next_tick(ms);
    }
}

impl Metric {
    /// A value, as the kind of metric takes it.
    pub fn record(&self, value: f64) {
        self.host.record(self.number, value);
    }

    /// One more.
    pub fn increment(&self) {
        self.record(1.0);
    }
}

/// The one answer that a write, or a flush, gives; now or later, from any thread. One that is
/// dropped unanswered has the events tried again.
pub struct Delivery {
    host: Host,
    token: u64,
    is_answered: bool,
}

impl Delivery {
    pub(crate) fn new(host: Host, token: u64) -> Self {
        Self { host, token, is_answered: false }
    }

    /// All of it is with the receiver.
    pub fn delivered(self) {
        self.complete(&Outcome::delivered());
    }

    /// Nothing of it was taken: [`Error::Retry`] has it tried again, [`Error::Rejected`] makes dead
    /// letters of it, [`Error::Fatal`] tries it again with a new instance.
    pub fn refused(self, error: Error) {
        self.complete(&Outcome::refused(error));
    }

    /// Whatever became of it, event by event.
    pub fn complete(mut self, outcome: &Outcome) {
        self.is_answered = true;
        self.host.complete(self.token, outcome);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.is_answered {
            let error = Error::Retry("the plugin gave no answer".to_owned());
            self.host.complete(self.token, &Outcome::refused(error));
        }
    }
}
