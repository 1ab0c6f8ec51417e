//! A lane: one write on its way at a time, so that what is in it keeps its order.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::attempt::{Attempts, Course, Step, Undelivered};
use super::backoff::Backoff;
use super::buffer::{Buffer, Held};
use crate::control::Phase;
use crate::event::{Batch, BatchBuilder, Event};

/// Sends one part of a sink's events after the other, each until its fate is known.
pub(super) struct Lane<'a> {
    attempts: &'a Attempts,
    backoff: Backoff,
    /// Its number among the sink's lanes.
    number: usize,
    /// Done when nothing is to be sent any more.
    keeping: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(attempts: &'a Attempts, number: usize, backoff: Backoff) -> Self {
        let keeping = Box::pin(attempts.control.reached(Phase::Keeping));
        Self { attempts, backoff, number, keeping }
    }

    pub(super) async fn send(mut self, parts: impl Stream<Item = Held>) {
        let mut parts = std::pin::pin!(parts);
        while let Some(held) = parts.next().await {
            self.deliver(Undelivered::new(held, self.number)).await;
            // Where no sink and no buffer makes it wait, the task has to offer its turn.
            tokio::task::consume_budget().await;
        }
    }

    /// What fails stays at the head of the lane, so that nothing overtakes it.
    async fn deliver(&mut self, mut left: Undelivered) {
        loop {
            match self.attempts.course() {
                Course::Send => {}
                Course::Keep => return self.attempts.keep(&left),
                Course::Drop => return self.attempts.drop_closed(&left),
            }
            let step = tokio::select! {
                biased;
                step = self.attempts.attempt(&mut left) => step,
                // What was on its way is of unknown fate; it is kept, and may come twice.
                () = &mut self.keeping => continue,
            };
            match step {
                Step::Done => return,
                Step::Next => {}
                Step::Again(hint) => {
                    let wait = self.backoff.wait(left.attempts, hint);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = &mut self.keeping => {}
                    }
                }
            }
        }
    }
}

/// Deals a buffer's batches out over lanes. What the sink wants to keep in order goes the same
/// way; a batch in which nothing is stays whole, and each lane has its turn.
pub(super) async fn deal(
    buffer: Arc<dyn Buffer>,
    lanes: Vec<mpsc::Sender<Held>>,
    key_of: impl Fn(&Event) -> Option<u32>,
) {
    if lanes.is_empty() {
        return;
    }
    let mut turn = 0;
    while let Some(held) = buffer.next().await {
        let Held { batch, receipt } = held;
        for (lane, batch) in shared_out(batch, lanes.len(), &mut turn, &key_of) {
            // A lane ends after this, never before.
            let _ = lanes[lane].send(Held { batch, receipt }).await;
        }
    }
}

/// The parts of a batch, with the lane of each.
fn shared_out(
    batch: Batch,
    lanes: usize,
    turn: &mut usize,
    key_of: &impl Fn(&Event) -> Option<u32>,
) -> Vec<(usize, Batch)> {
    let keys: Vec<Option<u32>> = batch.events().iter().map(key_of).collect();
    let unkeyed = *turn;
    if keys.contains(&None) {
        *turn = (unkeyed + 1) % lanes;
    }
    if keys.iter().all(Option::is_none) {
        return vec![(unkeyed, batch)];
    }
    let watermark = batch.watermark();
    let (events, tokens) = batch.into_parts();
    let mut parts: Vec<BatchBuilder> = (0..lanes).map(|_| BatchBuilder::default()).collect();
    for (event, key) in events.into_iter().zip(keys) {
        let lane = key.map_or(unkeyed, |key| key as usize % lanes);
        parts[lane].push(event, &tokens);
    }
    let parts = parts.into_iter().map(|part| part.finish(watermark)).enumerate();
    parts.filter(|(_, part)| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Key, Text, Timestamp};

    fn batch(keys: &[Option<u32>]) -> Batch {
        let events = keys.iter().map(|key| {
            let mut event = Event::new(Key::intern("x").unwrap(), Text::default(), Timestamp::MIN);
            event.partition_key = key.map(|key| Text::from(key.to_string().as_str()));
            event
        });
        Batch::new(events.collect(), Timestamp::MIN, None)
    }

    fn key_of(event: &Event) -> Option<u32> {
        event.partition_key.as_ref().map(|key| key.with_str(|key| key.parse().unwrap()))
    }

    fn lanes(keys: &[Option<u32>], turn: &mut usize) -> Vec<(usize, usize)> {
        let parts = shared_out(batch(keys), 3, turn, &key_of);
        parts.into_iter().map(|(lane, part)| (lane, part.len())).collect()
    }

    #[test]
    fn a_key_has_its_lane_and_what_has_none_takes_turns_in_whole_batches() {
        let mut turn = 0;
        assert_eq!(lanes(&[Some(4), Some(1), Some(2), Some(4)], &mut turn), [(1, 3), (2, 1)]);
        assert_eq!(lanes(&[None, None], &mut turn), [(0, 2)]);
        assert_eq!(lanes(&[None; 5], &mut turn), [(1, 5)]);
        assert_eq!(lanes(&[None, Some(0)], &mut turn), [(0, 1), (2, 1)]);
        assert_eq!(lanes(&[None], &mut turn), [(0, 1)]);
    }
}
