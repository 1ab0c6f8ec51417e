//! A sink in place of an engine's: events go in, what became of them comes out.

use engine_plugin::Outcome;
use engine_plugin::testing::{TestSink, sink};
use engine_plugin_nats::Nats;
use serde_json::Value;

/// A sink that was started.
pub(crate) struct Trial(TestSink);

impl Trial {
    /// Makes the sink and starts it, or says why not.
    pub(crate) fn new(settings: &Value) -> Result<Self, String> {
        sink::<Nats>(settings.clone()).map(Self).map_err(|failed| failed.reason)
    }

    /// Writes events, and waits for what became of them.
    pub(crate) fn write(&mut self, events: &[Value]) -> Outcome {
        self.0.write(events.to_vec()).unwrap()
    }

    /// Writes events; [`Trial::end`] waits for what became of them.
    pub(crate) fn begin(&mut self, events: &[Value]) -> u64 {
        self.0.begin(events.to_vec()).unwrap()
    }

    pub(crate) fn end(&mut self, token: u64) -> Outcome {
        self.0.answer(token).unwrap()
    }

    /// What a counter is at.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        self.0.host().metric(name).unwrap().sum as u64
    }
}
