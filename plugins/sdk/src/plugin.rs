//! The four kinds of plugin, as their authors write them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::{Events, Observed, Output, Rows};
use crate::engine::{Delivery, Engine};
use crate::outcome::Error;

/// What every plugin is: a name, settings, and a way to make an instance from them.
///
/// An instance is called by one thread at a time, not always the same. It is dropped when its stage
/// ends: end your threads there.
pub trait Plugin: Sized + Send + 'static {
    /// The `type:` in a pipeline: `[a-z][a-z0-9_]*`, at most 64 letters.
    const NAME: &'static str;

    /// The settings of a working stage, as the YAML under `with:`.
    const EXAMPLE: &'static str;

    /// What stands under `with:`. The doc comment of the type describes the plugin (its first
    /// paragraph is the summary), those of the fields the settings. A secret is marked with
    /// `#[schemars(extend("writeOnly" = true))]`.
    type Settings: DeserializeOwned + JsonSchema;

    /// Makes an instance. No I/O here: a pipeline that is only checked is created, too.
    fn create(settings: Self::Settings, engine: &Engine) -> Result<Self, Error>;

    /// Opens and connects, once before the first event. May wait.
    fn start(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Changes or drops events one by one.
pub trait Enricher: Plugin {
    /// Whether `enrich` may wait; then it is called off the engine's workers.
    const BLOCKING: bool = false;

    /// Looks at each row: changes it, drops it, fails it. An error takes all changes of this call
    /// back, and makes dead letters of all its rows.
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error>;
}

/// Derives events from several. Events come in the order of their times.
pub trait Correlator: Plugin {
    /// Whether `observe` and `tick` may wait.
    const BLOCKING: bool = false;

    /// Whether only derived events go on, unless the settings have `passthrough: true`.
    const DERIVED_ONLY: bool = false;

    /// Whether `save` and `restore` do anything. Without them, what the correlator knows is lost
    /// when a run is gone on with.
    const REMEMBERS: bool = false;

    /// Sees events (today one at a time), which may be dropped or failed, and derives others. An
    /// error makes dead letters of them, and forgets what was derived.
    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error>;

    /// Event time has come to `now_ms` (milliseconds since 1970): asked for with
    /// [`Engine::next_tick`], and behind each batch.
    fn tick(&mut self, now_ms: i64, out: &mut Output<'_>) -> Result<(), Error> {
        let _ = (now_ms, out);
        Ok(())
    }

    /// The input has ended, at this event time.
    fn drain(&mut self, end_ms: i64, out: &mut Output<'_>) -> Result<(), Error> {
        let _ = (end_ms, out);
        Ok(())
    }

    /// All that it knows.
    fn save(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Goes on from what another instance with the same settings knew; before the start.
    fn restore(&mut self, state: serde_json::Value) -> Result<(), Error> {
        let _ = state;
        Ok(())
    }
}

/// Makes or reads events.
pub trait Source: Plugin {
    /// Whether `save` and `restore` do anything: the source can go back, and gives the same events
    /// again from there.
    const REMEMBERS: bool = false;

    /// Gives up to `max` events, and may wait for `timeout`. It is called on a thread of the
    /// source's own, only when there is room for events.
    fn poll(&mut self, out: &mut Output<'_>, max: usize, timeout: Duration) -> Result<Poll, Error>;

    /// All events up to this place ([`Poll::Ready`]) were delivered, or are dead letters, or were
    /// dropped on purpose. On the same thread, between two polls.
    fn ack(&mut self, place: u64) -> Result<(), Error> {
        let _ = place;
        Ok(())
    }

    /// Where it is, behind the poll before.
    fn save(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Goes on from where another instance was; before the start.
    fn restore(&mut self, state: serde_json::Value) -> Result<(), Error> {
        let _ = state;
        Ok(())
    }
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// There may be events; the number names this place to [`Source::ack`].
    Ready(u64),
    /// Nothing yet.
    Again,
    /// Nothing more, ever.
    End,
}

/// Hands events to the outside. Retries, the circuit breaker, the buffer and dead letters are the
/// host's work.
pub trait Sink: Plugin {
    /// Whether `write` may wait.
    const BLOCKING: bool = false;

    /// Whether events are better batched: then a default batcher stands before it.
    const NETWORK: bool = false;

    /// How many writes may be unanswered at a time.
    const MAX_IN_FLIGHT: u32 = 1;

    /// Writes a batch, and says through `delivery` what became of it: at once, or later from any
    /// thread. What is delivered is with the receiver.
    fn write(&mut self, events: &Events<'_>, delivery: Delivery);

    /// The last call of a run that went well: finishes what is half done. An instance that is
    /// dropped without it makes nothing incomplete look complete.
    fn flush(&mut self, done: Delivery) {
        done.delivered();
    }
}
