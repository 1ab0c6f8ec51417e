//! Counts events by type, and writes the counts when the run ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use engine::component::{BuildContext, Kind, Settings};
use engine::event::{Batch, Key};
use engine::problem::Problems;
use engine::stage::{Outcome, Sink, Stage, StageError};

/// Counts events by type, and writes the counts to a file when the run ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// The file, relative to the working directory; replaced if it is there.
    path: PathBuf,
}

impl Settings for Tally {
    const NAME: &'static str = "tally";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "path: counts.json";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Sink(Box::new(TallySink { path: self.path, counts: Mutex::default() })))
    }
}

struct TallySink {
    path: PathBuf,
    counts: Mutex<BTreeMap<Key, u64>>,
}

#[async_trait]
impl Sink for TallySink {
    async fn write(&self, batch: &Batch) -> Outcome {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for event in batch.events() {
            *counts.entry(event.event_type).or_default() += 1;
        }
        Outcome::Delivered
    }

    async fn close(&self) -> Result<(), StageError> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let named = counts.iter().map(|(key, count)| (key.as_str(), count));
        let json = serde_json::json!(named.collect::<BTreeMap<_, _>>()).to_string();
        std::fs::write(&self.path, json)
            .map_err(|error| StageError(format!("cannot write {}: {error}", self.path.display())))
    }
}
