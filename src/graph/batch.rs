//! Drives a batcher: it says where batches end, this holds the events until then.

use futures::StreamExt;

use super::BatchStream;
use crate::clock::Clock;
use crate::event::{Batch, BatchBuilder, Event, Timestamp, Token};
use crate::stage::Batcher;

/// Cuts a stream into the batches that the batcher asks for.
pub(super) fn batch(
    mut input: BatchStream,
    batcher: Box<dyn Batcher>,
    clock: Clock,
) -> BatchStream {
    async_stream::stream! {
        let mut open = OpenBatch {
            batcher,
            events: BatchBuilder::default(),
            earliest: None,
            done: Vec::new(),
        };
        let mut watermark = Timestamp::MIN;
        let mut barrier = None;
        loop {
            let deadline = open.batcher.deadline();
            let ring = async {
                match deadline {
                    Some(deadline) if clock.is_paced() => clock.sleep_until_wall(deadline).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = ring => open.close(),
                batch = input.next() => match batch {
                    None => break,
                    Some(batch) => {
                        watermark = batch.watermark();
                        barrier = batch.checkpoint();
                        // What is held goes first: it came before the barrier.
                        match barrier {
                            Some(_) => open.close(),
                            None => open.add(batch, &clock),
                        }
                    }
                },
            }
            for batch in open.take(watermark) {
                yield batch;
            }
            if let Some(checkpoint) = barrier.take() {
                yield Batch::barrier(checkpoint, watermark);
            }
        }
        open.close();
        for batch in open.take(watermark) {
            yield batch;
        }
    }
    .boxed()
}

struct OpenBatch {
    batcher: Box<dyn Batcher>,
    events: BatchBuilder,
    /// The least time of `events`: they need not be in order.
    earliest: Option<Timestamp>,
    /// Complete batches that have not gone out yet.
    done: Vec<BatchBuilder>,
}

impl OpenBatch {
    fn add(&mut self, batch: Batch, clock: &Clock) {
        let wall = clock.is_paced().then(|| clock.wall());
        let watermark = batch.watermark();
        let (events, tokens) = batch.into_parts();
        for event in events {
            let now = wall.unwrap_or(event.time);
            self.close_if_due(now);
            self.push(event, &tokens, now);
        }
        if wall.is_none() {
            self.close_if_due(watermark);
        }
    }

    fn push(&mut self, mut event: Event, tokens: &[Token], now: Timestamp) {
        if self.batcher.goes_before(&event) {
            self.close();
        }
        let complete = self.batcher.push(&mut event, now);
        self.earliest = Some(self.earliest.map_or(event.time, |least| least.min(event.time)));
        self.events.push(event, tokens);
        if complete {
            self.close();
        }
    }

    fn close_if_due(&mut self, now: Timestamp) {
        if self.batcher.deadline().is_some_and(|deadline| deadline <= now) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.batcher.reset();
        self.earliest = None;
        if !self.events.is_empty() {
            self.done.push(std::mem::take(&mut self.events));
        }
    }

    /// The complete batches. No watermark passes an event that is still held.
    fn take(&mut self, watermark: Timestamp) -> Vec<Batch> {
        let mut lowest = self.earliest.unwrap_or(watermark).min(watermark);
        let mut batches: Vec<Batch> = Vec::with_capacity(self.done.len());
        for events in std::mem::take(&mut self.done).into_iter().rev() {
            let batch = events.finish(lowest);
            lowest = batch.events().iter().map(|event| event.time).fold(lowest, Timestamp::min);
            batches.push(batch);
        }
        batches.reverse();
        if batches.is_empty() {
            batches.push(Batch::progress(lowest));
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;
    use crate::event::{RECEIPT_CREATED, Text};
    use futures::stream;
    use std::time::Duration;

    /// Three events, or what came within 100 ms of the first.
    #[derive(Default)]
    struct Three {
        held: usize,
        first: Option<Timestamp>,
    }

    impl Batcher for Three {
        fn goes_before(&mut self, _: &Event) -> bool {
            false
        }

        fn push(&mut self, _: &mut Event, now: Timestamp) -> bool {
            self.first.get_or_insert(now);
            self.held += 1;
            self.held == 3
        }

        fn deadline(&self) -> Option<Timestamp> {
            self.first.map(|first| first + Duration::from_millis(100))
        }

        fn reset(&mut self) {
            *self = Self::default();
        }
    }

    fn noon() -> Timestamp {
        "2024-11-29T12:00:00Z".parse().unwrap()
    }

    fn events(millis: &[u64]) -> Batch {
        let times: Vec<_> = millis.iter().map(|ms| noon() + Duration::from_millis(*ms)).collect();
        let events = times.iter().map(|time| Event::new(RECEIPT_CREATED, Text::default(), *time));
        let watermark = times.last().copied().unwrap_or(noon());
        Batch::new(events.collect(), watermark, None)
    }

    async fn sizes(input: BatchStream, clock: Clock) -> Vec<usize> {
        let batches = batch(input, Box::new(Three::default()), clock);
        let sizes = batches.map(|batch| batch.len()).collect::<Vec<_>>().await;
        sizes.into_iter().filter(|events| *events > 0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn half_full_batch_is_delivered_on_drain() {
        let clock = Clock::new(Some(noon()), Speed::Factor(1.0), false);
        let input = stream::iter([events(&[0, 1, 2, 3]), events(&[4])]).boxed();
        assert_eq!(sizes(input, clock).await, [3, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_paced_run_the_timeout_is_wall_time() {
        let clock = Clock::new(Some(noon()), Speed::Factor(60.0), false);
        let later = async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            events(&[9000])
        };
        let input = stream::iter([events(&[0, 8000])]).chain(stream::once(later)).boxed();
        assert_eq!(sizes(input, clock.clone()).await, [2, 1]);
        assert_eq!(clock.elapsed(), Duration::from_millis(150));
    }

    #[tokio::test(start_paused = true)]
    async fn at_full_speed_the_timeout_is_event_time_wherever_batches_are_cut() {
        let clock = Clock::new(Some(noon()), Speed::Max, false);
        let whole = stream::iter([events(&[0, 50, 100, 150, 199, 200])]).boxed();
        let cut = [&[0][..], &[50, 100], &[150], &[199, 200]].map(events);
        assert_eq!(sizes(whole, clock.clone()).await, [2, 3, 1]);
        assert_eq!(sizes(stream::iter(cut).boxed(), clock).await, [2, 3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_watermark_passes_an_event_that_is_held() {
        let clock = Clock::new(Some(noon()), Speed::Max, false);
        let input = stream::iter([events(&[0, 10, 20, 40, 30]), events(&[50])]).boxed();
        let batches: Vec<Batch> = batch(input, Box::new(Three::default()), clock).collect().await;
        for (place, batch) in batches.iter().enumerate() {
            let later = batches[place + 1..].iter().flat_map(Batch::events);
            assert!(later.clone().all(|event| event.time >= batch.watermark()));
        }
        assert_eq!(batches[0].watermark(), noon() + Duration::from_millis(30));
    }
}
