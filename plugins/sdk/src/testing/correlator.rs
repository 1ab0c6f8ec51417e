//! Correlators under test.

use serde_json::Value;

use super::batch::{Access, Batch};
use super::enricher::Fate;
use super::event::{START_MS, time_of};
use super::running::{Running, common, failed};
use crate::boundary;
use crate::host::{Failed, Fault, Instance, Lent};
use crate::plugin::Correlator;

/// A correlator under test.
pub struct TestCorrelator(Running);

common!(TestCorrelator);

/// What a correlator made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What became of the event itself.
    pub event: Fate,
    /// The events that it derived.
    pub derived: Vec<Value>,
}

/// Creates a correlator and starts it.
///
/// ```
/// # use engine_plugin::{Correlator, Engine, Error, Observed, Output, Plugin, schemars, serde};
/// # /// Answers a ping with a pong, and one more a second later.
/// # #[derive(serde::Deserialize, schemars::JsonSchema)]
/// # struct Settings {}
/// # struct Pongs(Engine, engine_plugin::Key);
/// # impl Plugin for Pongs {
/// #     const NAME: &'static str = "pongs";
/// #     const EXAMPLE: &'static str = "";
/// #     type Settings = Settings;
/// #     fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
/// #         Ok(Self(engine.clone(), engine.key("ingest_timestamp")?))
/// #     }
/// # }
/// # impl Correlator for Pongs {
/// #     fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
/// #         for row in 0..events.len() {
/// #             out.push_caused_by("pong", events, row);
/// #             self.0.next_tick(events.i64(row, self.1).map(|ms| ms + 1000));
/// #         }
/// #         Ok(())
/// #     }
/// #     fn tick(&mut self, _: i64, out: &mut Output<'_>) -> Result<(), Error> {
/// #         out.push("pong");
/// #         Ok(())
/// #     }
/// # }
/// use engine_plugin::testing;
/// use serde_json::json;
///
/// let mut pongs = testing::correlator::<Pongs>(json!({}))?;
/// let seen = pongs.observe(json!({ "event_type": "ping", "trace_id": "TR_1" }))?;
/// assert_eq!(seen.derived[0]["event_type"], "pong");
/// assert_eq!(seen.derived[0]["parent_event_id"], "TR_1");
///
/// let later = pongs.next_tick().unwrap();
/// assert_eq!(later, testing::START_MS + 1000);
/// assert_eq!(pongs.tick(later)?.len(), 1);
/// # Ok::<(), testing::Failed>(())
/// ```
pub fn correlator<T: Correlator>(settings: Value) -> Result<TestCorrelator, Failed> {
    Running::new(boundary::correlator::<T>("0.0.0"), settings, None, false).map(TestCorrelator)
}

/// Creates a correlator that goes on from what another one [saved](TestCorrelator::save), and
/// starts it.
pub fn restored_correlator<T: Correlator>(
    settings: Value,
    state: &Value,
) -> Result<TestCorrelator, Failed> {
    let plugin = boundary::correlator::<T>("0.0.0");
    Running::new(plugin, settings, Some(state), false).map(TestCorrelator)
}

impl TestCorrelator {
    /// Shows it an event. After an error that it does not survive, the run has failed.
    pub fn observe(&mut self, event: Value) -> Result<Seen, Failed> {
        let events = self.0.complete([event], START_MS)?;
        let now_ms = events.first().map_or(START_MS, time_of);
        let mut input = Batch::new(Access::Observed, &self.0.host, events);
        let derived =
            self.derive(now_ms, |correlator, out| correlator.correlate(&mut input, out))?;
        let event = input.fates().pop().ok_or_else(|| failed(Fault::Config, "no event"))?;
        Ok(Seen { event, derived })
    }

    /// Tells it that event time has come to `now_ms` (milliseconds since 1970); what it derived.
    pub fn tick(&mut self, now_ms: i64) -> Result<Vec<Value>, Failed> {
        self.0.host.forget_tick(now_ms);
        self.derive(now_ms, |correlator, out| correlator.tick(now_ms, out))
    }

    /// Tells it that its input has ended, at this event time; what it derived.
    pub fn drain(&mut self, end_ms: i64) -> Result<Vec<Value>, Failed> {
        self.derive(end_ms, |correlator, out| correlator.drain(end_ms, out))
    }

    /// When it wants a tick (milliseconds since 1970), if it asked for one that did not come yet.
    pub fn next_tick(&self) -> Option<i64> {
        self.0.host.next_tick_ms()
    }

    /// What it remembers, for [`restored_correlator`].
    pub fn save(&mut self) -> Result<Value, Failed> {
        self.0.save()
    }

    fn derive(
        &mut self,
        now_ms: i64,
        call: impl FnOnce(&mut Instance, &mut dyn Lent) -> Result<(), Failed>,
    ) -> Result<Vec<Value>, Failed> {
        let mut out = Batch::new(Access::Derived(now_ms), &self.0.host, Vec::new());
        self.0.call(|correlator| call(correlator, &mut out))?;
        Ok(out.events())
    }
}
