//! Merging as a whole: order, silence, barriers, and what is held.

use std::collections::VecDeque;

use futures::stream;
use proptest::prelude::*;

use super::merger::HELD_EVENTS_MAX;
use super::*;
use crate::clock::Speed;
use crate::event::{Event, Ledger, RECEIPT_CREATED, Text, Value};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn off() -> StageCheckpoint {
    Checkpoints::off().stage("merge", "")
}

fn account() -> Arc<Account> {
    Arc::new(Account::new("merge", crate::kind::Kind::Sink, "test"))
}

fn patience() -> Patience {
    Patience { timeout: Duration::from_secs(10), clock: Clock::new(None, Speed::Max, false) }
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
    let merged = as_they_come(vec![ahead.boxed(), behind.boxed()], patience());
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
    let mut merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
    let began = Instant::now();
    let first = merged.next().await.unwrap();
    assert_eq!(names(&[first]), ["0.1", "0.2"]);
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_paused_takes_nobody_for_silent() {
    let speaks = stream::iter(batches(0, &[vec![1], vec![2]])).chain(stream::pending()).boxed();
    let inputs = vec![speaks, stream::pending().boxed()];
    let patience = patience();
    let clock = patience.clock.clone();
    let mut merged = merge(inputs, patience, off(), Remainder(None), &account()).unwrap();
    let began = Instant::now();
    clock.pause();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_mins(10)).await;
        clock.resume();
    });
    assert_eq!(names(&[merged.next().await.unwrap()]), ["0.1", "0.2"]);
    assert_eq!(began.elapsed(), Duration::from_mins(10) + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_silent_input_does_not_hold_back_those_that_go_on_speaking() {
    let every = tokio::time::interval(Duration::from_secs(4));
    let speaks = stream::unfold((every, 0), |(mut every, time)| async move {
        every.tick().await;
        let batch = Batch::new(vec![event(0, time as usize, time)], at(time), None);
        Some((batch, (every, time + 4)))
    });
    let inputs = vec![speaks.boxed(), stream::pending().boxed()];
    let mut merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
    let began = Instant::now();
    assert_eq!(names(&[merged.next().await.unwrap()]), ["0.0", "0.4", "0.8"]);
    assert_eq!(began.elapsed(), Duration::from_secs(10), "and not from its last word on");
    assert_eq!(names(&[merged.next().await.unwrap()]), ["0.12"]);
    assert_eq!(began.elapsed(), Duration::from_secs(12), "it is not waited for any more");
}

#[tokio::test(start_paused = true)]
async fn each_input_is_silent_for_itself() {
    let (first, one) = tokio::sync::mpsc::channel(4);
    let (second, other) = tokio::sync::mpsc::channel(4);
    let inputs =
        [one, other].map(|input| tokio_stream::wrappers::ReceiverStream::new(input).boxed());
    let inputs = Vec::from(inputs);
    let mut merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
    let batch = |input, time| Batch::new(vec![event(input, 0, time)], at(time), None);
    first.send(batch(0, 50)).await.unwrap();
    assert!(futures::poll!(merged.next()).is_pending());
    tokio::time::advance(Duration::from_secs(9)).await;
    second.send(batch(1, 20)).await.unwrap();
    assert_eq!(names(&[merged.next().await.unwrap()]), ["1.0"]);
    // The other one has the whole of its time again, and the first one has spoken last at 0 s.
    tokio::time::advance(Duration::from_secs(5)).await;
    let began = Instant::now();
    assert_eq!(names(&[merged.next().await.unwrap()]), ["0.0"]);
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
    let mut merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
    assert!(futures::poll!(merged.next()).is_pending());
    assert_eq!(pulled.load(std::sync::atomic::Ordering::Relaxed), HELD_EVENTS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_barrier_passes_when_all_inputs_have_come_to_it_and_none_is_read_beyond() {
    let batch = |input, time| Batch::new(vec![event(input, 0, time)], at(time), None);
    let ahead = [batch(0, 10), Batch::barrier(1, at(10)), batch(0, 20)];
    let behind = [batch(1, 5), batch(1, 12), Batch::barrier(1, at(12))];
    let inputs = vec![stream::iter(ahead).boxed(), stream::iter(behind).boxed()];
    let merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
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
    let mut restored = Merger::restored(2, Some(&merger.state()), &Ledger::new()).unwrap();
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
    let mut merged = merge(inputs, patience(), off(), Remainder(None), &account()).unwrap();
    assert!(futures::poll!(merged.next()).is_pending());
    tokio::time::advance(Duration::from_secs(9)).await;
    sender.send(Batch::progress(at(5))).await.unwrap();
    let first = merged.next().await.unwrap();
    assert_eq!(names(&[first]), ["0.1"]);
    // The sink is held back for longer than the timeout, and with it the other input.
    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(futures::poll!(merged.next()).is_pending(), "the input is asked just now");
}

#[tokio::test(start_paused = true)]
async fn by_arrival_a_silent_input_does_not_hold_the_watermark_back_for_ever() {
    let speaks = stream::iter([Batch::new(vec![event(0, 0, 5)], at(9), None)]);
    let inputs = vec![speaks.chain(stream::pending()).boxed(), stream::pending().boxed()];
    let mut merged = as_they_come(inputs, patience());
    let began = Instant::now();
    assert_eq!(merged.next().await.unwrap().watermark(), Timestamp::MIN);
    assert_eq!(merged.next().await.unwrap().watermark(), at(9));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn what_was_held_by_the_run_before_is_covered_until_its_fate_is_known() {
    let mut before = Merger::new(2);
    before.push(0, Batch::new(vec![event(0, 1, 9)], at(9), None));
    let ledger = Ledger::new();
    let mut merger = Merger::restored(2, Some(&before.state()), &ledger).unwrap();
    assert!(!ledger.is_settled(ledger.mark()));
    merger.push(1, Batch::progress(at(50)));
    merger.push(0, Batch::progress(at(50)));
    let (_, on_its_way) = merger.take(false).unwrap();
    assert_eq!(names(std::slice::from_ref(&on_its_way)), ["0.1"]);
    assert!(!ledger.is_settled(ledger.mark()));
    drop(on_its_way);
    assert!(ledger.is_settled(ledger.mark()));
}

#[test]
fn what_is_held_keeps_its_types() {
    let mut held = event(0, 1, 9);
    held.payload.set(crate::event::RECEIPT_ID, Value::Time(at(7)));
    held.payload.set(crate::event::ORDER_ID, Value::Float(1.0));
    let mut before = Merger::new(2);
    before.push(0, Batch::new(vec![held.clone()], at(9), None));
    let mut merger = Merger::restored(2, Some(&before.state()), &Ledger::new()).unwrap();
    merger.push(1, Batch::progress(at(50)));
    merger.push(0, Batch::progress(at(50)));
    let (_, batch) = merger.take(false).unwrap();
    assert_eq!(batch.events(), [held]);
}
