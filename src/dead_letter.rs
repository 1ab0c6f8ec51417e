//! What becomes of events that a stage or a sink fails on: kept with the reason, never lost in
//! silence, and looked at, taken out or sent again later.

mod collected;
mod failures;
mod file;
mod filter;
mod letter;
mod queue;
mod replaying;

pub use collected::{Collected, CollectedLetter, Found};
pub use failures::Failures;
pub use file::{QueueError, purge};
pub use filter::Filter;
pub use letter::{Entry, Letter, Letters, count, read};
pub use queue::{Content, DeadLetter, DeadLetterCount, DeadLetters, Disposition, Written};
pub use replaying::Replaying;
