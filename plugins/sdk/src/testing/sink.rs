//! Sinks under test.

use serde_json::Value;

use super::PATIENCE_SECONDS;
use super::batch::{Access, Batch};
use super::event::START_MS;
use super::running::{Running, common, failed};
use crate::boundary;
use crate::host::{Failed, Fault, Instance, Written};
use crate::outcome::Outcome;
use crate::plugin::Sink;

/// A sink under test. Dropped without [`TestSink::flush`], it is as if the run had failed.
pub struct TestSink(Running);

common!(TestSink);

/// Creates a sink and starts it.
///
/// ```
/// # use engine_plugin::{Delivery, Engine, Error, Events, Key, Outcome, Plugin, Sink, schemars, serde};
/// # /// Takes what has an x.
/// # #[derive(serde::Deserialize, schemars::JsonSchema)]
/// # struct Settings {}
/// # struct Takes(Key);
/// # impl Plugin for Takes {
/// #     const NAME: &'static str = "takes";
/// #     const EXAMPLE: &'static str = "";
/// #     type Settings = Settings;
/// #     fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
/// #         Ok(Self(engine.key("payload.x")?))
/// #     }
/// # }
/// # impl Sink for Takes {
/// #     fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
/// #         let lacking = (0..events.len()).filter(|row| events.get(*row, self.0).is_null());
/// #         let outcome = lacking.fold(Outcome::delivered(), |outcome, row| {
/// #             outcome.except(row, Error::rejected("no x"))
/// #         });
/// #         std::thread::spawn(move || delivery.complete(&outcome));
/// #     }
/// # }
/// use engine_plugin::testing;
/// use serde_json::json;
///
/// let mut takes = testing::sink::<Takes>(json!({}))?;
/// let outcome = takes.write([json!({ "payload": { "x": 1 } }), json!({})])?;
/// assert_eq!(outcome.refusals[0].row, 1);
/// assert_eq!(takes.flush()?.error, None);
/// # Ok::<(), testing::Failed>(())
/// ```
pub fn sink<T: Sink>(settings: Value) -> Result<TestSink, Failed> {
    Running::new(boundary::sink::<T>("0.0.0"), settings, None, true).map(TestSink)
}

impl TestSink {
    /// Has it write a batch, and waits for the answer: at most [`PATIENCE_SECONDS`].
    pub fn write(&mut self, events: impl IntoIterator<Item = Value>) -> Result<Outcome, Failed> {
        let token = self.begin(events)?;
        self.answer(token)
    }

    /// Has it write a batch without waiting for the answer; the token for [`TestSink::answer`].
    /// No more may be unanswered at a time than [`Sink::MAX_IN_FLIGHT`]. After an error that the
    /// instance does not survive, the next call is answered by a new one.
    pub fn begin(&mut self, events: impl IntoIterator<Item = Value>) -> Result<u64, Failed> {
        let max = self.0.max_in_flight();
        if self.0.host.unanswered() >= max {
            let reason = format!("`MAX_IN_FLIGHT` is {max}, and as many writes are unanswered");
            return Err(failed(Fault::Config, reason));
        }
        let events = self.0.complete(events, START_MS)?;
        let mut batch = Batch::new(Access::Written, &self.0.host, events);
        self.pending(|sink, token| sink.write(&mut batch, token))
    }

    /// Waits for the answer to a write that was begun: at most [`PATIENCE_SECONDS`].
    pub fn answer(&mut self, token: u64) -> Result<Outcome, Failed> {
        self.0.host.answer(token).ok_or_else(|| {
            let reason = format!("no answer within {PATIENCE_SECONDS} s");
            failed(Fault::Panic, reason)
        })
    }

    /// Has it finish what is half done, as at the end of a run that went well.
    pub fn flush(&mut self) -> Result<Outcome, Failed> {
        let token = self.pending(Instance::flush)?;
        self.answer(token)
    }

    fn pending(
        &mut self,
        call: impl FnOnce(&mut Instance, u64) -> Result<Written, Failed>,
    ) -> Result<u64, Failed> {
        use crate::host::Context as _;

        let host = self.host();
        let token = host.new_token();
        match self.0.call(|sink| call(sink, token)) {
            Ok(Written::Pending) => Ok(token),
            Ok(Written::Done) => {
                host.complete(token, Outcome::delivered());
                Ok(token)
            }
            Err(failed) => {
                host.forget_token(token);
                Err(failed)
            }
        }
    }
}
