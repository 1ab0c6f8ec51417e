//! Where streams part: a task that hands each batch to bounded channels. Copies share the events.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{BatchStream, CHANNEL_BATCHES};
use crate::monitor::Account;

/// The same stream for several readers; a slow one holds the others back.
pub(super) fn share(
    stream: BatchStream,
    readers: usize,
    account: Arc<Account>,
    tasks: &mut Vec<BoxFuture<'static, ()>>,
) -> Vec<BatchStream> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..readers).map(|_| mpsc::channel(CHANNEL_BATCHES)).unzip();
    let counted = stream.inspect(move |batch| account.copy(batch.len() * (readers - 1)));
    tasks.push(pump(counted.boxed(), senders).boxed());
    receivers.into_iter().map(|receiver| ReceiverStream::new(receiver).boxed()).collect()
}

async fn pump(mut stream: BatchStream, readers: Vec<mpsc::Sender<crate::event::Batch>>) {
    while let Some(batch) = stream.next().await {
        let Some((last, others)) = readers.split_last() else { return };
        for reader in others {
            // A reader goes only when its task panicked, and that fails the run.
            let _ = reader.send(batch.clone()).await;
        }
        let _ = last.send(batch).await;
    }
}
