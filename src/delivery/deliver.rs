//! The last step of the flow: batches to a sink, each with its outcome entered in the account.

use std::sync::Arc;

use futures::{Stream, StreamExt};

use crate::control::Control;
use crate::dead_letter::Failures;
use crate::event::Batch;
use crate::monitor::Account;
use crate::stage::{Outcome, Sink};

/// Writes every batch of a stream to a sink; the account says already that they came in. Tokens are let go of when an event's fate is known.
pub async fn deliver(
    mut batches: impl Stream<Item = Batch> + Unpin,
    sink: Box<dyn Sink>,
    account: Arc<Account>,
    failures: Failures,
    control: Control,
) {
    let mut open = match sink.open().await {
        Ok(()) => true,
        Err(error) => {
            account.break_off(&error.0);
            control.fail(format!("sink `{}`: {error}", account.stage));
            false
        }
    };
    while let Some(batch) = batches.next().await {
        if batch.is_empty() {
            continue;
        }
        if !open {
            account.drop_events("sink_closed", batch.len());
            continue;
        }
        match sink.write(&batch).await {
            Outcome::Delivered => account.deliver(&batch, batch.len()),
            Outcome::Except(failed) => {
                account.deliver(&batch, batch.len() - failed.len());
                for (place, failure) in &failed {
                    failures.event(&batch.events()[*place], failure);
                }
            }
            Outcome::Rejected(failure) => {
                for event in batch.events() {
                    failures.event(event, &failure);
                }
            }
            Outcome::Closed => {
                tracing::debug!(sink = account.stage, "the receiver closed");
                account.drop_events("sink_closed", batch.len());
                control.stop();
                open = false;
            }
        }
    }
    let ended = if control.errors().is_empty() { sink.close().await } else { sink.abandon().await };
    if let Err(error) = ended {
        account.break_off(&error.0);
        control.fail(format!("sink `{}`: {error}", account.stage));
    }
}
