//! The `blackhole` sink: takes everything and keeps nothing, to measure what stands before it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, JsonWriter};
use crate::problem::Problems;
use crate::stage::{Outcome, Sink, Stage, StageError};

/// Takes every event and keeps none: for measuring a pipeline, and for trying one out.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blackhole {
    /// Whether each event is written as JSON before it is thrown away, as a sink that sends it
    /// would do.
    pub encode: bool,
}

impl Settings for Blackhole {
    const NAME: &'static str = "blackhole";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "encode: true\n";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Sink(Box::new(self.sink())))
    }
}

impl Blackhole {
    fn sink(&self) -> BlackholeSink {
        BlackholeSink { encoded: self.encode.then(Mutex::default) }
    }
}

struct BlackholeSink {
    /// The writer, and how many bytes it wrote in all.
    encoded: Option<Mutex<(JsonWriter, u64)>>,
}

#[async_trait]
impl Sink for BlackholeSink {
    async fn write(&self, batch: &Batch) -> Outcome {
        if let Some(encoded) = &self.encoded {
            let mut encoded = encoded.lock().unwrap_or_else(PoisonError::into_inner);
            let (writer, bytes) = &mut *encoded;
            for event in batch.events() {
                writer.line(event);
            }
            // The bytes are looked at, so that no compiler may leave the writing out.
            *bytes += std::hint::black_box(writer.as_bytes()).len() as u64;
            writer.clear();
        }
        Outcome::Delivered
    }

    async fn close(&self) -> Result<(), StageError> {
        if let Some(encoded) = &self.encoded {
            let bytes = encoded.lock().unwrap_or_else(PoisonError::into_inner).1;
            tracing::info!(bytes, "events were encoded and thrown away");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, RECEIPT_CREATED, Text, Timestamp};

    #[tokio::test]
    async fn events_are_rendered_only_where_that_is_asked_for() {
        let event = Event::new(RECEIPT_CREATED, Text::from("TR_1"), Timestamp::from_millis(0));
        let line_bytes = event.to_json().len() as u64 + 1;
        let batch = Batch::new(vec![event.clone(), event], Timestamp::MIN, None);
        let plain = Blackhole { encode: false }.sink();
        assert_eq!(plain.write(&batch).await, Outcome::Delivered);
        assert!(plain.encoded.is_none());
        let encoding = Blackhole { encode: true }.sink();
        assert_eq!(encoding.write(&batch).await, Outcome::Delivered);
        assert_eq!(encoding.write(&batch).await, Outcome::Delivered);
        assert_eq!(encoding.encoded.unwrap().into_inner().unwrap().1, 4 * line_bytes);
    }
}
