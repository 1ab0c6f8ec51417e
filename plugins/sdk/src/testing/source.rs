//! Sources under test.

use std::time::Duration;

use serde_json::Value;

use super::batch::{Access, Batch};
use super::running::{Running, common};
use crate::boundary;
use crate::host::{self, Failed};
use crate::plugin::{Poll, Source};

/// How many events are asked for, where a test does not say.
const EVENTS: usize = 256;

/// How long a poll may wait, where a test does not say.
const TIMEOUT: Duration = Duration::from_millis(100);

/// A source under test.
pub struct TestSource(Running);

common!(TestSource);

/// What a poll gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The events, with whole envelopes.
    pub events: Vec<Value>,
    /// Nothing earlier than this will come (milliseconds since 1970), if the source said so.
    pub watermark_ms: Option<i64>,
    /// What the poll came to.
    pub poll: Poll,
}

/// Creates a source and starts it.
///
/// ```
/// # use engine_plugin::{Engine, Error, Output, Plugin, Source, schemars, serde};
/// # /// Counts down.
/// # #[derive(serde::Deserialize, schemars::JsonSchema)]
/// # struct Settings { from: u64 }
/// # struct Countdown(u64);
/// # impl Plugin for Countdown {
/// #     const NAME: &'static str = "countdown";
/// #     const EXAMPLE: &'static str = "from: 3\n";
/// #     type Settings = Settings;
/// #     fn create(settings: Settings, _: &Engine) -> Result<Self, Error> {
/// #         Ok(Self(settings.from))
/// #     }
/// # }
/// # impl Source for Countdown {
/// #     fn poll(&mut self, out: &mut Output<'_>, max: usize, _: Duration) -> Result<Poll, Error> {
/// #         for _ in 0..max.min(self.0 as usize) {
/// #             out.push("second");
/// #             self.0 -= 1;
/// #         }
/// #         Ok(if out.is_empty() { Poll::End } else { Poll::Ready(self.0) })
/// #     }
/// # }
/// # use std::time::Duration;
/// use engine_plugin::{Poll, testing};
/// use serde_json::json;
///
/// let mut countdown = testing::source::<Countdown>(json!({ "from": 3 }))?;
/// let polled = countdown.poll_for(2, Duration::ZERO)?;
/// assert_eq!((polled.events.len(), polled.poll), (2, Poll::Ready(1)));
/// assert_eq!(countdown.poll()?.events.len(), 1);
/// assert_eq!(countdown.poll()?.poll, Poll::End);
/// # Ok::<(), testing::Failed>(())
/// ```
pub fn source<T: Source>(settings: Value) -> Result<TestSource, Failed> {
    Running::new(boundary::source::<T>("0.0.0"), settings, None, false).map(TestSource)
}

/// Creates a source that goes on from where another one [was](TestSource::save), and starts it.
pub fn restored_source<T: Source>(settings: Value, state: &Value) -> Result<TestSource, Failed> {
    Running::new(boundary::source::<T>("0.0.0"), settings, Some(state), false).map(TestSource)
}

impl TestSource {
    /// Asks for up to 256 events; the source may wait for a tenth of a second.
    pub fn poll(&mut self) -> Result<Polled, Failed> {
        self.poll_for(EVENTS, TIMEOUT)
    }

    /// Asks for up to `max` events; the source may wait for `timeout`. After an error that it does
    /// not survive, the run has failed.
    pub fn poll_for(&mut self, max: usize, timeout: Duration) -> Result<Polled, Failed> {
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let mut out = Batch::new(Access::Made(max), &self.0.host, Vec::new());
        let polled = self.0.call(|source| source.poll(&mut out, max, timeout_ms))?;
        let poll = match polled {
            host::Polled::Ready(place) => Poll::Ready(place),
            host::Polled::Again => Poll::Again,
            host::Polled::End => Poll::End,
        };
        Ok(Polled { watermark_ms: out.watermark_ms, events: out.events(), poll })
    }

    /// Tells it that all up to a place was delivered.
    pub fn ack(&mut self, place: u64) -> Result<(), Failed> {
        self.0.call(|source| source.ack(place))
    }

    /// Waits until it says that it has something ([`crate::Engine::wake`]), at most
    /// [`PATIENCE_SECONDS`](super::PATIENCE_SECONDS); whether it did since this was asked last.
    pub fn woken(&self) -> bool {
        self.0.host.woken()
    }

    /// Where it is, for [`restored_source`].
    pub fn save(&mut self) -> Result<Value, Failed> {
        self.0.save()
    }
}
