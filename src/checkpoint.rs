//! Checkpoints: one consistent snapshot of what all stages remember, taken while events flow.
//!
//! At each interval sources send a barrier behind the batch that they gave last. It takes the way
//! of the events, and each stage notes its state as it passes. When all have, and the fate of every
//! event before the barrier is known, the snapshot takes the place of the one before it.

mod coordinator;
mod snapshot;

pub use coordinator::{Checkpoints, StageCheckpoint};
pub use snapshot::{Snapshot, SnapshotFile, StageSnapshot};
