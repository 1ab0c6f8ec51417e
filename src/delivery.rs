//! What stands between the graph and a sink:
//!
//! ```text
//! stream -> buffer -> lanes -> breaker -> attempt with a timeout -> the sink
//!                       ^                        | what may be taken another time
//!                       '------- backoff --------'--> dead letters: what never will be
//! ```

mod attempt;
mod backoff;
mod breaker;
mod buffer;
mod chaos;
pub mod disk;
mod lane;
mod memory;
mod spool;
#[cfg(test)]
mod tests;
mod unsent;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::{BoxStream, unfold};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::clock::Clock;
use crate::control::Control;
use crate::dead_letter::Failures;
use crate::event::{Batch, Event};
use crate::monitor::{Account, StageSpan};
use crate::retail::Random;
use crate::spec::{BufferType, DeliverySettings};
use crate::stage::Sink;

pub use chaos::Chaos;
pub use unsent::UNDELIVERED;

use attempt::Attempts;
use backoff::Backoff;
use buffer::{Buffer, Held};
use lane::{Lane, deal};
use memory::MemoryBuffer;
use spool::DiskBuffer;

/// How many batches wait in front of each lane, where there are several: so far a lane that is
/// stuck lets the others go ahead.
const LANE_BATCHES: usize = 16;

/// The delivery in front of one sink.
pub struct Delivery {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// How to get events to it.
    pub settings: DeliverySettings,
    /// Where outcomes are entered; says already what came in.
    pub account: Arc<Account>,
    /// Where events go that are never taken.
    pub failures: Failures,
    /// The signals of the run.
    pub control: Control,
    /// Tells when an event failed first.
    pub clock: Clock,
    /// What jitter derives from.
    pub seed: u64,
    /// The folder of a buffer on disk.
    pub buffer_path: PathBuf,
    /// What is traced of it.
    pub span: StageSpan,
}

impl Delivery {
    /// Delivers a stream, in two parts that work beside each other: one takes events in, the other
    /// sends them, and is done when the fate of all is known. Tokens are let go of then, too.
    pub fn of(
        self,
        input: impl Stream<Item = Batch> + Send + 'static,
    ) -> (impl Future<Output = ()> + Send, impl Future<Output = ()> + Send) {
        let buffer = self.buffer();
        let taken_in = take_in(self.span.traced(input.boxed()), buffer.clone());
        (taken_in, self.send(EndOfSending(buffer)))
    }

    fn buffer(&self) -> Arc<dyn Buffer> {
        let settings = &self.settings.buffer;
        self.account.delivery.begin(settings.max_events.get(), settings.max_bytes.get());
        let account = self.account.clone();
        match settings.r#type {
            BufferType::Memory => Arc::new(MemoryBuffer::new(settings, account)),
            BufferType::Disk => {
                let (failures, control) = (self.failures.clone(), self.control.clone());
                let folder = self.buffer_path.clone();
                Arc::new(DiskBuffer::new(settings, folder, account, failures, control))
            }
        }
    }

    async fn send(self, end: EndOfSending) {
        let buffer = end.0.clone();
        let Self { sink, settings, account, failures, control, clock, seed, span, .. } = self;
        let attempts =
            Attempts::new(sink, &settings, buffer.clone(), account, failures, control, clock)
                .traced(span);
        let (streams, dealt) =
            lanes(&buffer, settings.lanes.get(), |event| attempts.lane_key(event));
        let lanes = streams.into_iter().enumerate().map(|(number, stream)| {
            let backoff = Backoff::new(&settings.retry, Random::new(seed, number as u64));
            Lane::new(&attempts, number, backoff).send(stream)
        });
        // A sink that takes its time to open holds up what is sent, and not what is kept.
        let sent = async {
            attempts.open().await;
            let reached = async {
                attempts.reach().await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                // What is connected when it is open is so before the first attempt.
                biased;
                () = reached => {}
                _ = async { tokio::join!(dealt, join_all(lanes)) } => {}
            }
        };
        tokio::join!(buffer.drive(), sent);
        attempts.close().await;
    }
}

/// Puts a stream into a buffer.
async fn take_in(input: impl Stream<Item = Batch>, buffer: Arc<dyn Buffer>) {
    let end = EndOfInput(buffer);
    let mut input = pin!(input);
    while let Some(batch) = input.next().await {
        // Watermarks and barriers end here.
        if !batch.is_empty() {
            end.0.put(batch).await;
        }
    }
}

/// Tells a buffer that nothing comes any more, also where whoever put in panicked.
struct EndOfInput(Arc<dyn Buffer>);

impl Drop for EndOfInput {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Tells a buffer that nothing is taken out any more, also where the sink panicked.
struct EndOfSending(Arc<dyn Buffer>);

impl Drop for EndOfSending {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What each lane sends, and the work of dealing it out; a single lane takes what comes next.
fn lanes<'a>(
    buffer: &Arc<dyn Buffer>,
    lanes: usize,
    key_of: impl Fn(&Event) -> Option<u32> + 'a,
) -> (Vec<BoxStream<'static, Held>>, impl Future<Output = ()> + 'a) {
    let (mut streams, mut senders) = (Vec::with_capacity(lanes), Vec::new());
    if lanes == 1 {
        let next = |buffer: Arc<dyn Buffer>| async move { Some((buffer.next().await?, buffer)) };
        streams.push(unfold(buffer.clone(), next).boxed());
    } else {
        for _ in 0..lanes {
            let (sender, receiver) = mpsc::channel(LANE_BATCHES);
            streams.push(ReceiverStream::new(receiver).boxed());
            senders.push(sender);
        }
    }
    (streams, deal(buffer.clone(), senders, key_of))
}
