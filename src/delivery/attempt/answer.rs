//! What a sink's answer to an attempt means.

use std::time::Duration;

use crate::stage::{Outcome, Refusal, Retry};

/// Whether the receiver is there: it took something, or said that it never will.
pub(super) fn is_answer(outcome: &Outcome, events: usize) -> bool {
    match outcome {
        Outcome::Delivered | Outcome::Closed => true,
        Outcome::Partly { decided, failed } => is_one_of(*decided, failed),
        Outcome::Except(failed) => is_one_of(events, failed),
        Outcome::Refused(refusal) => !is_transient(refusal),
    }
}

/// What an attempt came to, in a word.
pub(super) fn word_for(outcome: &Outcome, events: usize) -> &'static str {
    let of = |decided: usize, failed: &[(usize, Refusal)]| match failed {
        [] if decided > 0 => "delivered",
        failed if failed.len() < decided => "partly",
        failed if failed.iter().all(|(_, refusal)| is_transient(refusal)) => "retry",
        _ => "rejected",
    };
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Except(failed) => of(events, failed),
        Outcome::Partly { decided, failed } => of(*decided, failed),
        Outcome::Refused(refusal) if is_transient(refusal) => "retry",
        Outcome::Refused(_) => "rejected",
        Outcome::Closed => "closed",
    }
}

/// Of so many events, one was taken, or will never be.
fn is_one_of(events: usize, failed: &[(usize, Refusal)]) -> bool {
    failed.len() < events || !failed.iter().all(|(_, refusal)| is_transient(refusal))
}

/// The refusal of each event, where it has one.
pub(super) fn by_place(events: usize, failed: &[(usize, Refusal)]) -> Vec<Option<&Refusal>> {
    let mut refusals = vec![None; events];
    for (place, refusal) in failed {
        // A place that is not in the batch says nothing.
        if let Some(entry) = refusals.get_mut(*place) {
            *entry = Some(refusal);
        }
    }
    refusals
}

/// Whether another attempt may succeed.
pub(super) fn is_transient(refusal: &Refusal) -> bool {
    refusal.retry != Retry::Never
}

/// The longest time that the receiver asks for.
pub(super) fn hint(refusals: &[Option<&Refusal>]) -> Option<Duration> {
    let asked = refusals.iter().flatten().filter_map(|refusal| match refusal.retry {
        Retry::After(wait) => Some(wait),
        Retry::Later | Retry::Never => None,
    });
    asked.max()
}
