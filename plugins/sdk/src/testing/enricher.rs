//! Enrichers under test.

use serde_json::Value;

use super::batch::{Access, Batch};
use super::event::START_MS;
use super::running::{Running, common};
use crate::boundary;
use crate::host::{Failed, Lent};
use crate::plugin::Enricher;

/// An enricher under test.
pub struct TestEnricher(Running);

common!(TestEnricher);

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<T = Value> {
    /// It goes on, as it is now.
    Kept(T),
    /// It was dropped on purpose.
    Dropped,
    /// It becomes a dead letter, with this reason.
    Failed(String),
}

impl Fate {
    /// The event, if it goes on.
    pub fn kept(&self) -> Option<&Value> {
        match self {
            Self::Kept(event) => Some(event),
            Self::Dropped | Self::Failed(_) => None,
        }
    }
}

/// Creates an enricher and starts it.
///
/// ```
/// # use engine_plugin::{Engine, Enricher, Error, Key, Plugin, Rows, schemars, serde};
/// # /// Doubles a field.
/// # #[derive(serde::Deserialize, schemars::JsonSchema)]
/// # struct Settings {}
/// # struct Doubles(Key);
/// # impl Plugin for Doubles {
/// #     const NAME: &'static str = "doubles";
/// #     const EXAMPLE: &'static str = "";
/// #     type Settings = Settings;
/// #     fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
/// #         Ok(Self(engine.key("payload.x")?))
/// #     }
/// # }
/// # impl Enricher for Doubles {
/// #     fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
/// #         for row in 0..rows.len() {
/// #             match rows.i64(row, self.0) {
/// #                 Some(x) => _ = rows.set(row, self.0, 2 * x),
/// #                 None => rows.fail(row, "no x"),
/// #             }
/// #         }
/// #         Ok(())
/// #     }
/// # }
/// use engine_plugin::testing::{self, Fate};
/// use serde_json::json;
///
/// let mut doubles = testing::enricher::<Doubles>(json!({}))?;
/// let fates = doubles.enrich([json!({ "payload": { "x": 21 } }), json!({})])?;
/// assert_eq!(fates[0].kept().unwrap()["payload"]["x"], 42);
/// assert_eq!(fates[1], Fate::Failed("no x".to_owned()));
/// # Ok::<(), testing::Failed>(())
/// ```
pub fn enricher<T: Enricher>(settings: Value) -> Result<TestEnricher, Failed> {
    Running::new(boundary::enricher::<T>("0.0.0"), settings, None, true).map(TestEnricher)
}

impl TestEnricher {
    /// Enriches a batch; what became of each event. After an error that the instance does not
    /// survive, the next call is answered by a new one.
    pub fn enrich(&mut self, events: impl IntoIterator<Item = Value>) -> Result<Vec<Fate>, Failed> {
        let events = self.0.complete(events, START_MS)?;
        let mut rows = Batch::new(Access::Rows, &self.0.host, events);
        self.0.call(|enricher| enricher.process(&mut rows as &mut dyn Lent))?;
        Ok(rows.fates())
    }
}
