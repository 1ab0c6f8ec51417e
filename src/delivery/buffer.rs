//! Where events wait for their sink. Memory and disk are two of one kind.

use async_trait::async_trait;

use tokio::time::Instant;

use crate::event::Batch;

/// Batches between a graph and the lanes that send them, first in, first out; bounded, counting
/// what is being sent until its fate is known.
#[async_trait]
pub(super) trait Buffer: Send + Sync {
    /// Takes a batch in. When there is no room it waits, or something is dropped and counted.
    async fn put(&self, batch: Batch);

    /// Nothing is put in any more.
    fn end(&self);

    /// Nothing is taken out any more: what is left, and what still comes, is dropped, counted and
    /// not acknowledged, unless it is kept.
    fn close(&self);

    /// What comes next; none at the end, or when nothing is handed out any more. Cancel safe.
    async fn next(&self) -> Option<Held>;

    /// The fate of so many events of a batch is known, and entered in the account.
    fn settle(&self, receipt: Receipt, events: usize);

    /// Whether what it holds outlasts the run.
    fn outlasts_the_run(&self) -> bool;

    /// Hands nothing out any more; only asked of one that outlasts the run.
    fn stop_handing_out(&self);

    /// Does what has to be done beside the calls above, until all is settled, or kept.
    async fn drive(&self);
}

/// A batch, or a part of one, that was handed out.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) batch: Batch,
    pub(super) receipt: Receipt,
}

/// By what a buffer knows a batch that it handed out; its parts have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) number: u64,
    pub(super) bytes_per_event: u64,
    /// When a source gave out the oldest of its events, where that is known.
    pub(super) emitted: Option<Instant>,
}
