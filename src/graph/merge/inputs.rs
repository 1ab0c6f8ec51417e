//! The inputs of a merge: read as they come, but none beyond a barrier that others have not reached.

use std::task::{Context, Poll};

use futures::StreamExt;

use crate::event::Batch;
use crate::graph::BatchStream;

/// What came.
pub(super) enum Arrival {
    /// A batch of the input at this place.
    Batch(usize, Batch),
    /// The end of the input at this place.
    Closed(usize),
    /// The barrier of a checkpoint, which all open inputs have come to.
    Barrier(u64),
}

/// Several streams. The one that is looked at first changes, so that none starves.
pub(super) struct Inputs {
    streams: Vec<Option<BatchStream>>,
    /// The barrier that each input has come to.
    barriers: Vec<Option<u64>>,
    first: usize,
}

impl Inputs {
    pub(super) fn new(streams: Vec<BatchStream>) -> Self {
        let barriers = vec![None; streams.len()];
        Self { streams: streams.into_iter().map(Some).collect(), barriers, first: 0 }
    }

    /// The next thing that comes on an input that is wanted; none when all have ended. Where an
    /// input has come to a barrier, all others are wanted up to it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wants: impl Fn(usize) -> bool,
    ) -> Poll<Option<Arrival>> {
        if let Some(checkpoint) = self.complete_barrier() {
            return Poll::Ready(Some(Arrival::Barrier(checkpoint)));
        }
        let inputs = self.streams.len();
        for turn in 0..inputs {
            let place = (self.first + turn) % inputs;
            if !self.asks(place, &wants) {
                continue;
            }
            let Some(stream) = &mut self.streams[place] else { continue };
            let arrival = match stream.poll_next_unpin(cx) {
                Poll::Pending => continue,
                Poll::Ready(None) => {
                    self.streams[place] = None;
                    Arrival::Closed(place)
                }
                Poll::Ready(Some(batch)) => match batch.checkpoint() {
                    None => Arrival::Batch(place, batch),
                    Some(checkpoint) => {
                        self.barriers[place] = Some(checkpoint);
                        return self.poll(cx, wants);
                    }
                },
            };
            self.first = (place + 1) % inputs;
            return Poll::Ready(Some(arrival));
        }
        let ended = self.streams.iter().all(Option::is_none);
        if ended { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Whether the next call of [`Inputs::poll`] looks at an input.
    pub(super) fn asks(&self, place: usize, wants: impl Fn(usize) -> bool) -> bool {
        let is_at_barrier = |barrier: &Option<u64>| barrier.is_some();
        self.streams[place].is_some()
            && !is_at_barrier(&self.barriers[place])
            && (self.barriers.iter().any(is_at_barrier) || wants(place))
    }

    /// The checkpoint whose barrier all open inputs have come to.
    fn complete_barrier(&mut self) -> Option<u64> {
        let open =
            || self.streams.iter().zip(&self.barriers).filter(|(stream, _)| stream.is_some());
        if open().next().is_none() || !open().all(|(_, barrier)| barrier.is_some()) {
            return None;
        }
        self.barriers.iter_mut().filter_map(Option::take).max()
    }
}
