//! What becomes of events that are not sent any more: they are dead letters, or stay in a buffer
//! that outlasts the run, or are dropped and counted. Only what was refused for good, and dropped
//! as the spec says, is acknowledged all the same.

use crate::dead_letter::{Disposition, Failures};
use crate::event::{Batch, Event, Timestamp, Token};
use crate::failure::Failure;

/// The category of events that a run had no time to send.
pub const UNDELIVERED: &str = "undelivered";

/// Events of one batch that are not sent any more, each with the reason.
pub(super) struct Unsent<'a> {
    pub(super) batch: &'a Batch,
    /// Those of the batch that it is about.
    pub(super) failed: Vec<(&'a Event, &'a Failure)>,
    /// How often they were sent, and when in vain at first.
    pub(super) attempts: u32,
    pub(super) first_time: Option<Timestamp>,
    /// They were refused for good: a next run would fare no better, so that they may be dropped
    /// where dead letters are off, or full and told to drop.
    pub(super) is_refused: bool,
    /// They are in a buffer that outlasts the run too, and may stay there.
    pub(super) may_stay: bool,
}

impl Unsent<'_> {
    /// Makes dead letters of them. Says of how many, from the first, the fate is known and
    /// entered: of all, but where the others may stay and no letter can be written.
    #[must_use]
    pub(super) fn settle(self, failures: &Failures) -> usize {
        let Self { batch, failed, attempts, first_time, is_refused, may_stay } = self;
        let written = failures.delivery(failed.iter().copied(), attempts, first_time);
        let others = &failed[written.kept..];
        let is_on_purpose = match written.others {
            Disposition::Kept => true,
            Disposition::Dropped => is_refused,
            Disposition::Full(_) | Disposition::Error(_) if may_stay => return written.kept,
            Disposition::Full(_) | Disposition::Error(_) => false,
        };
        failures.lose(others.iter().map(|(_, failure)| *failure));
        if !is_on_purpose {
            others.iter().filter_map(|(event, _)| batch.token_of(event)).for_each(Token::withhold);
        }
        failed.len()
    }
}

/// Makes dead letters of a batch that a run had no time to send, and that no buffer holds.
pub(super) fn keep_undelivered(
    failures: &Failures,
    batch: &Batch,
    attempts: u32,
    first_time: Option<Timestamp>,
) {
    let failure = Failure::new(UNDELIVERED, "the run ended before they could be delivered");
    let failed = batch.events().iter().map(|event| (event, &failure)).collect();
    let (is_refused, may_stay) = (false, false);
    let unsent = Unsent { batch, failed, attempts, first_time, is_refused, may_stay };
    // Where nothing may stay, the fate of all is known.
    let _ = unsent.settle(failures);
}
