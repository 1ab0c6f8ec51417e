//! Taps: whoever wants to see what goes in and out of a stage, while it does.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;

use super::BatchStream;
use crate::event::{Batch, Event};
use crate::failure::Failure;

/// Sees what goes in and out of a stage. It is called in the stage's own task, so it neither
/// waits nor takes long. Batches without events, which carry a watermark, are seen, too.
pub trait Tap: Send + Sync {
    /// A batch goes into the stage; for a source there is none.
    fn enters(&self, batch: &Batch) {
        let _ = batch;
    }

    /// A batch comes out of the stage; for a sink there is none.
    fn leaves(&self, batch: &Batch) {
        let _ = batch;
    }

    /// The stage is asked for its next batch, and begins to work. What its inputs do for that lies
    /// between their own beginning and rest, within its own; a sink's part is what goes before
    /// the delivery.
    fn begins(&self) {}

    /// The stage has answered, with a batch or that there is none yet.
    fn rests(&self) {}

    /// An enricher drops an event on purpose.
    fn drops(&self, event: &Event) {
        let _ = event;
    }

    /// An enricher, a correlator or a `when:` fails on an event, which becomes a dead letter.
    fn fails(&self, event: &Event, failure: &Failure) {
        let _ = (event, failure);
    }
}

/// The taps of a run, by the stages' names.
#[derive(Clone, Default)]
pub struct Taps(HashMap<String, Arc<dyn Tap>>);

impl Taps {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one to a stage, beside those that it has.
    pub fn insert(&mut self, stage: String, tap: Arc<dyn Tap>) {
        let tap = match self.0.remove(&stage) {
            Some(first) => Arc::new(Both(first, tap)),
            None => tap,
        };
        self.0.insert(stage, tap);
    }

    /// The tap of a stage.
    pub(super) fn get(&self, stage: &str) -> Option<&Arc<dyn Tap>> {
        self.0.get(stage)
    }
}

impl FromIterator<(String, Arc<dyn Tap>)> for Taps {
    fn from_iter<I: IntoIterator<Item = (String, Arc<dyn Tap>)>>(taps: I) -> Self {
        let mut all = Self::new();
        taps.into_iter().for_each(|(stage, tap)| all.insert(stage, tap));
        all
    }
}

/// Two taps of one stage.
struct Both(Arc<dyn Tap>, Arc<dyn Tap>);

impl Tap for Both {
    fn enters(&self, batch: &Batch) {
        self.0.enters(batch);
        self.1.enters(batch);
    }

    fn leaves(&self, batch: &Batch) {
        self.0.leaves(batch);
        self.1.leaves(batch);
    }

    fn begins(&self) {
        self.0.begins();
        self.1.begins();
    }

    fn rests(&self) {
        self.1.rests();
        self.0.rests();
    }

    fn drops(&self, event: &Event) {
        self.0.drops(event);
        self.1.drops(event);
    }

    fn fails(&self, event: &Event, failure: &Failure) {
        self.0.fails(event, failure);
        self.1.fails(event, failure);
    }
}

/// Shows a stage's input to its tap, if it has one.
pub(super) fn entering(input: BatchStream, tap: Option<&Arc<dyn Tap>>) -> BatchStream {
    match tap.cloned() {
        Some(tap) => input.inspect(move |batch| tap.enters(batch)).boxed(),
        None => input,
    }
}

/// Shows a stage's output to its tap, if it has one.
pub(super) fn leaving(output: BatchStream, tap: Option<&Arc<dyn Tap>>) -> BatchStream {
    match tap {
        Some(tap) => {
            let seen = Arc::clone(tap);
            let output = output.inspect(move |batch| seen.leaves(batch)).boxed();
            working(output, Some(tap))
        }
        None => output,
    }
}

/// Tells a stage's tap when the stage works, if it has one.
pub(super) fn working(mut stream: BatchStream, tap: Option<&Arc<dyn Tap>>) -> BatchStream {
    let Some(tap) = tap.cloned() else { return stream };
    futures::stream::poll_fn(move |cx| {
        tap.begins();
        let asked = stream.poll_next_unpin(cx);
        tap.rests();
        asked
    })
    .boxed()
}
