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
pub type Taps = HashMap<String, Arc<dyn Tap>>;

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
