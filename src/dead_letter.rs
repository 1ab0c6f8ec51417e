//! What becomes of events that a stage or a sink fails on: kept with the reason, never lost in
//! silence.

mod failures;
mod queue;

pub use failures::Failures;
pub use queue::{Content, DeadLetter, DeadLetterCount, DeadLetters, Disposition};
