//! Several streams to one, in the order of (event time, place in `inputs`, position), up to the
//! lowest watermark. The result depends on the inputs, never on scheduling.

mod inputs;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep};

use self::inputs::{Arrival, Inputs};
use super::BatchStream;
use crate::checkpoint::{Checkpoints, StageCheckpoint};
use crate::control::{Control, Phase};
use crate::event::{BATCH_EVENTS, Batch, BatchBuilder, Event, Timestamp, Token};
use crate::monitor::Account;
use crate::state::{State, StateError};

/// How many events of one input are held while another is behind.
const HELD_EVENTS_MAX: usize = 16 * BATCH_EVENTS;

/// Brings inputs into one order. An input that says nothing for `idle_timeout` stops holding the
/// others back until it speaks again.
pub(super) fn merge(
    inputs: Vec<BatchStream>,
    idle_timeout: Duration,
    checkpoint: StageCheckpoint,
    remainder: Remainder,
    account: &Arc<Account>,
) -> Result<BatchStream, StateError> {
    let merger = Merger::restored(inputs.len(), checkpoint.restored())?;
    account.recover(merger.held());
    let ordered = Merged::new(inputs, idle_timeout, false, merger, remainder);
    Ok(noting(ordered, checkpoint, Arc::clone(account)).map(|(_, batch)| batch).boxed())
}

/// No order: batches as they come, each with the lowest watermark of the inputs that are open, or
/// with the greatest of all once none is.
pub(super) fn as_they_come(inputs: Vec<BatchStream>) -> BatchStream {
    let mut watermarks = vec![Timestamp::MIN; inputs.len()];
    let mut greatest = Timestamp::MIN;
    let mut inputs = Inputs::new(inputs);
    let arrivals = futures::stream::poll_fn(move |cx| inputs.poll(cx, |_| true));
    arrivals
        .map(move |arrival| {
            match &arrival {
                Arrival::Closed(place) => watermarks[*place] = Timestamp::MAX,
                Arrival::Batch(place, batch) => {
                    greatest = greatest.max(batch.watermark());
                    watermarks[*place] = batch.watermark();
                }
                Arrival::Barrier(_) => {}
            }
            let lowest = watermarks.iter().copied().fold(greatest, Timestamp::min);
            match arrival {
                Arrival::Closed(_) => Batch::progress(lowest),
                Arrival::Barrier(checkpoint) => Batch::barrier(checkpoint, lowest),
                Arrival::Batch(_, batch) => batch.with_watermark(lowest),
            }
        })
        .boxed()
}

/// The same order, in runs of events of one input, each with the place of that input.
pub(super) fn merge_apart(
    inputs: Vec<BatchStream>,
    idle_timeout: Duration,
    merger: Merger,
    remainder: Remainder,
) -> Merged {
    Merged::new(inputs, idle_timeout, true, merger, remainder)
}

/// One stream in order of event time, where events of a batch may be ahead of its watermark or
/// stray behind each other.
pub(super) fn in_order(
    mut input: BatchStream,
    checkpoint: StageCheckpoint,
    remainder: Remainder,
    account: &Arc<Account>,
) -> Result<BatchStream, StateError> {
    let account = Arc::clone(account);
    let mut merger = Merger::restored(1, checkpoint.restored())?;
    account.recover_inside(merger.held());
    let ordered = async_stream::stream! {
        while let Some(batch) = input.next().await {
            if let Some(number) = batch.checkpoint() {
                checkpoint.note(number, || merger.state(), None);
                yield batch.with_watermark(merger.told);
                continue;
            }
            if merger.passes(&batch) {
                yield batch;
                continue;
            }
            merger.push(0, batch);
            while let Some((_, batch)) = merger.take(false) {
                yield batch;
            }
        }
        if !remainder.is_due() {
            merger.close(0);
        }
        while let Some((_, batch)) = merger.take(false) {
            yield batch;
        }
        account.absorb(merger.held());
        checkpoint.note_end(|| merger.state(), None);
    };
    Ok(ordered.boxed())
}

/// Notes what is held wherever a barrier passes, and at the end.
fn noting(
    mut merged: Merged,
    checkpoint: StageCheckpoint,
    account: Arc<Account>,
) -> impl Stream<Item = (usize, Batch)> + Send {
    async_stream::stream! {
        while let Some((place, batch)) = merged.next().await {
            if let Some(number) = batch.checkpoint() {
                checkpoint.note(number, || merged.merger.state(), None);
            }
            yield (place, batch);
        }
        account.leave(merged.merger.held());
        checkpoint.note_end(|| merged.merger.state(), None);
    }
}

/// Whether what is not settled stays for the run that goes on from this one, once it is stopped.
#[derive(Clone)]
pub(super) struct Remainder(Option<Control>);

impl Remainder {
    /// It does where states are kept.
    pub(super) fn new(checkpoints: &Checkpoints, control: &Control) -> Self {
        Self(checkpoints.are_on().then(|| control.clone()))
    }

    fn is_due(&self) -> bool {
        self.0.as_ref().is_some_and(|control| control.phase() >= Phase::Draining)
    }
}

/// Inputs in one order; a barrier comes once all of them have come to it.
pub(super) struct Merged {
    inputs: Inputs,
    pub(super) merger: Merger,
    /// Whether a batch has events of one input only.
    apart: bool,
    remainder: Remainder,
    idle: Pin<Box<Sleep>>,
    /// Whether `idle` runs. It does only while inputs are waited for: time in which nobody asked
    /// for a batch is no silence of theirs.
    waits: bool,
    idle_timeout: Duration,
}

impl Stream for Merged {
    type Item = (usize, Batch);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(batch) = this.merger.take(this.apart) {
                this.waits = false;
                return Poll::Ready(Some(batch));
            }
            let Merged { inputs, merger, .. } = this;
            let Poll::Ready(arrival) = inputs.poll(cx, |place| merger.wants(place)) else {
                ready!(this.silence(cx));
                continue;
            };
            this.waits = false;
            match arrival {
                None => return Poll::Ready(None),
                Some(Arrival::Batch(place, batch)) => this.merger.push(place, batch),
                // What is ahead of an input that was stopped waits for the rest of that input.
                Some(Arrival::Closed(_)) if this.remainder.is_due() => {}
                Some(Arrival::Closed(place)) => this.merger.close(place),
                Some(Arrival::Barrier(checkpoint)) => {
                    return Poll::Ready(Some((0, Batch::barrier(checkpoint, this.merger.told))));
                }
            }
        }
    }
}

impl Merged {
    fn new(
        inputs: Vec<BatchStream>,
        idle_timeout: Duration,
        apart: bool,
        merger: Merger,
        remainder: Remainder,
    ) -> Self {
        let idle = Box::pin(tokio::time::sleep(idle_timeout));
        Self {
            inputs: Inputs::new(inputs),
            merger,
            apart,
            remainder,
            idle,
            waits: false,
            idle_timeout,
        }
    }

    /// Takes in what comes until all inputs have ended; it stays held.
    pub(super) async fn close(&mut self) {
        let Self { inputs, merger, .. } = self;
        while let Some(arrival) = poll_fn(|cx| inputs.poll(cx, |_| true)).await {
            if let Arrival::Batch(place, batch) = arrival {
                merger.push(place, batch);
            }
        }
    }

    /// Waits for the idle timeout; the inputs that hold the others back are silent then.
    fn silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waits {
            self.waits = true;
            self.idle.as_mut().reset(Instant::now() + self.idle_timeout);
        }
        ready!(self.idle.as_mut().poll(cx));
        self.waits = false;
        self.merger.ignore_silent();
        Poll::Ready(())
    }
}

/// What a merger holds, as it is kept between two runs.
#[derive(Default, Serialize, Deserialize)]
struct Held {
    inputs: Vec<HeldInput>,
    told: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct HeldInput {
    /// In milliseconds: it may be before or after all that can be written as a date.
    watermark: i64,
    events: Vec<Event>,
}

/// The order itself, without streams: batches are pushed, and taken as far as they are settled.
pub(super) struct Merger {
    inputs: Vec<Input>,
    /// The watermark that was last given out.
    told: Timestamp,
}

struct Input {
    /// Events that are not settled yet, in order of time over all segments.
    segments: VecDeque<Segment>,
    held: usize,
    /// Nothing earlier will come on this input.
    watermark: Timestamp,
    closed: bool,
    /// It has said nothing for so long that it is not waited for.
    silent: bool,
}

/// What is left of one batch.
struct Segment {
    events: std::vec::IntoIter<Event>,
    tokens: Vec<Token>,
}

impl Merger {
    pub(super) fn new(inputs: usize) -> Self {
        let input = || Input {
            segments: VecDeque::new(),
            held: 0,
            watermark: Timestamp::MIN,
            closed: false,
            silent: false,
        };
        Self { inputs: (0..inputs).map(|_| input()).collect(), told: Timestamp::MIN }
    }

    /// A merger that goes on with what another one held.
    pub(super) fn restored(inputs: usize, state: Option<&State>) -> Result<Self, StateError> {
        let mut merger = Self::new(inputs);
        let held = state.map_or_else(|| Ok(Held::default()), State::read::<Held>)?;
        if held.inputs.len() > inputs {
            return Err(StateError("there were more inputs".to_owned()));
        }
        for (place, HeldInput { watermark, events }) in held.inputs.into_iter().enumerate() {
            merger.push(place, Batch::new(events, Timestamp::from_millis(watermark), None));
        }
        merger.told = held.told.map_or(merger.told, Timestamp::from_millis);
        Ok(merger)
    }

    /// What is held.
    pub(super) fn state(&self) -> State {
        let events = |input: &Input| {
            let segments = input.segments.iter();
            segments.flat_map(|segment| segment.events.as_slice()).cloned().collect()
        };
        let held = |input: &Input| HeldInput {
            watermark: input.watermark.as_millis(),
            events: events(input),
        };
        let inputs = self.inputs.iter().map(held).collect();
        State::of(&Held { inputs, told: Some(self.told.as_millis()) })
    }

    /// How many events are held.
    pub(super) fn held(&self) -> usize {
        self.inputs.iter().map(|input| input.held).sum()
    }

    pub(super) fn push(&mut self, place: usize, batch: Batch) {
        self.inputs[place].push(batch);
    }

    /// Holds events again that were taken last.
    pub(super) fn put_back(&mut self, place: usize, batch: Batch) {
        let input = &mut self.inputs[place];
        input.held += batch.len();
        let (events, tokens) = batch.into_parts();
        input.segments.push_front(Segment { events: events.into_iter(), tokens });
    }

    /// No more comes on this input.
    pub(super) fn close(&mut self, place: usize) {
        self.inputs[place].closed = true;
    }

    /// Whether more of this input can be held. The one that holds the others back always is.
    pub(super) fn wants(&self, place: usize) -> bool {
        let input = &self.inputs[place];
        input.held < HELD_EVENTS_MAX || input.bound() <= self.lowest_bound()
    }

    /// Stops waiting for the inputs that hold the others back.
    fn ignore_silent(&mut self) {
        let lowest = self.lowest_bound();
        for input in &mut self.inputs {
            input.silent |= !input.closed && input.bound() <= lowest;
        }
    }

    /// Whether this batch of the only input is settled as it is, with nothing before it.
    fn passes(&mut self, batch: &Batch) -> bool {
        let input = &mut self.inputs[0];
        let events = batch.events();
        let passes = input.held == 0
            && events.is_sorted_by_key(|event| event.time)
            && events.last().is_none_or(|last| last.time <= batch.watermark())
            && batch.watermark() >= input.watermark;
        if passes {
            input.watermark = batch.watermark();
            self.told = batch.watermark();
        }
        passes
    }

    /// The next settled events, or the word that the watermark has moved. With `apart`, only
    /// events of one input, whose place is returned.
    pub(super) fn take(&mut self, apart: bool) -> Option<(usize, Batch)> {
        let mut builder = BatchBuilder::default();
        let mut first = None;
        while builder.len() < BATCH_EVENTS {
            let Some(place) = self.next_settled() else { break };
            if apart && first.is_some_and(|first| first != place) {
                break;
            }
            first.get_or_insert(place);
            self.inputs[place].pop_into(&mut builder);
        }
        let watermark = self.watermark().max(self.told);
        if builder.is_empty() && watermark == self.told {
            return None;
        }
        self.told = watermark;
        Some((first.unwrap_or(0), builder.finish(watermark)))
    }

    /// The input whose first event comes next, if nothing can come before it any more.
    fn next_settled(&self) -> Option<usize> {
        let heads = self.inputs.iter().enumerate();
        let (time, place) =
            heads.filter_map(|(place, input)| Some((input.head()?, place))).min()?;
        let settled = self.inputs.iter().enumerate().all(|(other, input)| {
            // At the same instant, what comes on an input before this one goes first.
            input.bound() > time || (input.bound() == time && other >= place)
        });
        settled.then_some(place)
    }

    fn lowest_bound(&self) -> Timestamp {
        self.inputs.iter().map(Input::bound).min().unwrap_or(Timestamp::MAX)
    }

    /// What can still come, or is still held, is not before this.
    fn watermark(&self) -> Timestamp {
        let open = self.inputs.iter().filter(|input| !input.closed && !input.silent);
        let held = self.inputs.iter().filter_map(Input::head);
        match open.map(|input| input.watermark).chain(held).min() {
            Some(lowest) => lowest,
            None => self.inputs.iter().map(|input| input.watermark).max().unwrap_or(self.told),
        }
    }
}

impl Input {
    fn push(&mut self, batch: Batch) {
        self.watermark = self.watermark.max(batch.watermark());
        self.silent = false;
        if batch.is_empty() {
            return;
        }
        self.held += batch.len();
        let last = self.segments.back().and_then(|segment| segment.events.as_slice().last());
        let follows = last.is_none_or(|last| last.time <= batch.events()[0].time);
        let (events, tokens) = batch.into_parts();
        let in_order = follows && events.is_sorted_by_key(|event| event.time);
        self.segments.push_back(Segment { events: events.into_iter(), tokens });
        if !in_order {
            self.sort();
        }
    }

    /// Brings everything held into order; only an input with stragglers comes here.
    fn sort(&mut self) {
        let mut builder = BatchBuilder::with_capacity(self.held);
        for segment in self.segments.drain(..) {
            for event in segment.events {
                builder.push(event, &segment.tokens);
            }
        }
        let (mut events, tokens) = builder.finish(self.watermark).into_parts();
        events.sort_by_key(|event| event.time);
        self.segments.push_back(Segment { events: events.into_iter(), tokens });
    }

    fn head(&self) -> Option<Timestamp> {
        self.segments.front()?.events.as_slice().first().map(|event| event.time)
    }

    fn pop_into(&mut self, builder: &mut BatchBuilder) {
        let Some(segment) = self.segments.front_mut() else { return };
        if let Some(event) = segment.events.next() {
            builder.push(event, &segment.tokens);
            self.held -= 1;
        }
        if segment.events.as_slice().is_empty() {
            self.segments.pop_front();
        }
    }

    /// Nothing earlier than this is to be waited for.
    fn bound(&self) -> Timestamp {
        if self.closed || self.silent { Timestamp::MAX } else { self.watermark }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Text};
    use futures::stream;
    use proptest::prelude::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn off() -> StageCheckpoint {
        Checkpoints::off().stage("merge", "")
    }

    fn account() -> Arc<Account> {
        Arc::new(Account::new("merge", crate::kind::Kind::Sink, "test"))
    }

    /// An event that says which input it came from and as which of its events.
    fn event(input: usize, position: usize, millis: i64) -> Event {
        Event::new(RECEIPT_CREATED, Text::from(format!("{input}.{position}")), at(millis))
    }

    /// Inputs of non-decreasing times, cut into batches whose watermarks are the next batch's
    /// first time.
    fn inputs() -> impl Strategy<Value = Vec<Vec<Vec<i64>>>> {
        let batch = prop::collection::vec(0_i64..5, 0..4);
        let input = prop::collection::vec(batch, 0..6).prop_map(|steps| {
            let mut now = 0;
            let mut time = |step: i64| {
                now += step;
                now
            };
            steps.into_iter().map(|batch| batch.into_iter().map(&mut time).collect()).collect()
        });
        prop::collection::vec(input, 1..4)
    }

    fn batches(input: usize, times: &[Vec<i64>]) -> Vec<Batch> {
        let mut position = 0;
        let mut watermark = Timestamp::MIN;
        times
            .iter()
            .enumerate()
            .map(|(place, batch)| {
                let events: Vec<Event> = batch
                    .iter()
                    .map(|time| {
                        position += 1;
                        event(input, position, *time)
                    })
                    .collect();
                let next = times[place + 1..].iter().flatten().next();
                watermark = next.map_or(at(1000), |next| at(*next)).max(watermark);
                Batch::new(events, watermark, None)
            })
            .collect()
    }

    fn names(batches: &[Batch]) -> Vec<String> {
        let events = batches.iter().flat_map(Batch::events);
        events.map(|event| event.trace_id.to_string()).collect()
    }

    proptest! {
        #[test]
        fn the_order_is_by_time_then_input_then_position_however_it_is_scheduled(
            inputs in inputs(),
            schedule in prop::collection::vec(0_usize..4, 0..64),
        ) {
            let mut expected: Vec<(i64, usize, usize)> = Vec::new();
            for (input, times) in inputs.iter().enumerate() {
                let times = times.iter().flatten().enumerate();
                expected.extend(times.map(|(position, time)| (*time, input, position + 1)));
            }
            expected.sort_unstable();
            let expected: Vec<String> =
                expected.iter().map(|(_, input, position)| format!("{input}.{position}")).collect();

            let mut merger = Merger::new(inputs.len());
            let mut waiting: Vec<VecDeque<Batch>> =
                inputs.iter().enumerate().map(|(input, times)| batches(input, times).into()).collect();
            let mut merged = Vec::new();
            let turns = schedule.into_iter().chain((0..4).cycle().take(64));
            for turn in turns.map(|turn| turn % inputs.len()) {
                match waiting[turn].pop_front() {
                    Some(batch) => merger.push(turn, batch),
                    None => merger.close(turn),
                }
                while let Some((_, batch)) = merger.take(false) {
                    let early = merged.iter().flat_map(Batch::events).map(|event| event.time).max();
                    prop_assert!(batch.events().iter().all(|event| Some(event.time) >= early));
                    merged.push(batch);
                }
            }
            prop_assert_eq!(names(&merged), expected);
            prop_assert!(merged.is_sorted_by_key(Batch::watermark));
            for (place, batch) in merged.iter().enumerate() {
                let later = merged[place + 1..].iter().flat_map(Batch::events);
                prop_assert!(later.clone().all(|event| event.time >= batch.watermark()));
            }
        }

        #[test]
        fn stragglers_within_the_watermark_are_brought_into_order(
            mut times in prop::collection::vec(0_i64..100, 1..200),
        ) {
            let events = times.iter().enumerate().map(|(n, time)| event(0, n, *time)).collect();
            let input = vec![Batch::new(events, at(0), None), Batch::progress(at(100))];
            let ordered = futures::executor::block_on(
                in_order(stream::iter(input).boxed(), off(), Remainder(None), &account()).unwrap().collect::<Vec<_>>(),
            );
            times.sort_unstable();
            let ordered: Vec<i64> =
                ordered.iter().flat_map(Batch::events).map(|event| event.time.as_millis()).collect();
            prop_assert_eq!(ordered, times);
        }
    }

    #[tokio::test]
    async fn what_comes_by_arrival_carries_the_lowest_watermark() {
        let ahead = stream::iter([Batch::new(vec![event(0, 0, 50)], at(100), None)]);
        let behind = stream::iter([Batch::new(vec![event(1, 0, 10)], at(20), None)]);
        let merged = as_they_come(vec![ahead.boxed(), behind.boxed()]);
        let told: Vec<_> = merged.map(|batch| batch.watermark()).collect().await;
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told[..2], [Timestamp::MIN, at(20)]);
        assert_eq!(told.last(), Some(&at(100)), "all inputs have ended");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_input_holds_the_others_back_only_for_the_idle_timeout() {
        let speaks = stream::iter(batches(0, &[vec![1], vec![2]])).chain(stream::pending()).boxed();
        let silent = stream::pending().boxed();
        let inputs = vec![speaks, silent];
        let mut merged =
            merge(inputs, Duration::from_secs(10), off(), Remainder(None), &account()).unwrap();
        let began = Instant::now();
        let first = merged.next().await.unwrap();
        assert_eq!(names(&[first]), ["0.1", "0.2"]);
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_that_is_ahead_is_held_in_bounded_memory() {
        let pulled = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = pulled.clone();
        let ahead = stream::iter(0..100_000_i64).map(move |time| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Batch::new(vec![event(0, 0, time)], at(time), None)
        });
        let behind = stream::pending().boxed();
        let inputs = vec![ahead.boxed(), behind];
        let mut merged =
            merge(inputs, Duration::from_secs(10), off(), Remainder(None), &account()).unwrap();
        assert!(futures::poll!(merged.next()).is_pending());
        assert_eq!(pulled.load(std::sync::atomic::Ordering::Relaxed), HELD_EVENTS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_barrier_passes_when_all_inputs_have_come_to_it_and_none_is_read_beyond() {
        let batch = |input, time| Batch::new(vec![event(input, 0, time)], at(time), None);
        let ahead = [batch(0, 10), Batch::barrier(1, at(10)), batch(0, 20)];
        let behind = [batch(1, 5), batch(1, 12), Batch::barrier(1, at(12))];
        let inputs = vec![stream::iter(ahead).boxed(), stream::iter(behind).boxed()];
        let merged =
            merge(inputs, Duration::from_secs(10), off(), Remainder(None), &account()).unwrap();
        let merged: Vec<Batch> = merged.collect().await;
        let barrier = merged.iter().position(|batch| batch.checkpoint() == Some(1)).unwrap();
        assert_eq!(names(&merged[..barrier]), ["1.0", "0.0"], "what is settled goes first");
        assert_eq!(names(&merged[barrier..]), ["1.0", "0.0"]);
        assert_eq!(merged.iter().filter(|batch| batch.checkpoint().is_some()).count(), 1);
    }

    #[test]
    fn what_is_held_is_held_again_by_a_merger_that_goes_on() {
        let mut merger = Merger::new(2);
        merger.push(0, Batch::new(vec![event(0, 1, 5), event(0, 2, 9)], at(9), None));
        merger.push(1, Batch::progress(at(6)));
        let (_, settled) = merger.take(false).unwrap();
        assert_eq!(names(&[settled]), ["0.1"]);
        let mut restored = Merger::restored(2, Some(&merger.state())).unwrap();
        assert_eq!(restored.held(), 1);
        for merger in [&mut merger, &mut restored] {
            merger.push(1, Batch::new(vec![event(1, 1, 7)], at(20), None));
            let (_, next) = merger.take(false).unwrap();
            assert_eq!(names(&[next]), ["1.1", "0.2"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asked_is_no_silence() {
        let (sender, late) = tokio::sync::mpsc::channel(1);
        let speaks = stream::iter(batches(0, &[vec![1], vec![20]])).chain(stream::pending());
        let late = tokio_stream::wrappers::ReceiverStream::new(late);
        let inputs = vec![speaks.boxed(), late.boxed()];
        let mut merged =
            merge(inputs, Duration::from_secs(10), off(), Remainder(None), &account()).unwrap();
        assert!(futures::poll!(merged.next()).is_pending());
        tokio::time::advance(Duration::from_secs(9)).await;
        sender.send(Batch::progress(at(5))).await.unwrap();
        let first = merged.next().await.unwrap();
        assert_eq!(names(&[first]), ["0.1"]);
        // The sink is held back for longer than the timeout, and with it the other input.
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(futures::poll!(merged.next()).is_pending(), "the input is asked just now");
    }
}
