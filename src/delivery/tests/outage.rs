//! Receivers that are away for a while, and what waits for them.

use super::*;
use crate::control::Phase;

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_loses_nothing() {
    let stand = Stand::new(json!({
        "retry": { "jitter": false },
        "circuit_breaker": { "recovery_timeout_ms": 20_000 }
    }));
    let batches = (0..50).map(|_| stand.batch(&["a", "b"])).collect();
    let began = Instant::now();
    let script = move |_: &[String], _| {
        if began.elapsed() < Duration::from_mins(1) { unavailable() } else { delivered() }
    };
    stand.delivery(batches, script).await;
    // Four attempts 1, 2, 30 and 30 seconds apart find nobody; the fifth, 63 seconds on, does.
    let times = seconds(&stand.times());
    assert_eq!(times[..5], [0, 1, 3, 33, 63]);
    let tally = stand.tally();
    assert_eq!((tally.delivered, tally.dead_letters(), tally.losses()), (100, 0, 0));
    assert_eq!(stand.ledger.outstanding(), 0);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_circuit_for_all_lanes_and_one_trial_closes_it() {
    let stand = Stand::new(json!({ "lanes": 4, "retry": { "jitter": false } }));
    let keys: Vec<String> = (0..40).map(|key| format!("store_{key}")).collect();
    let events: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(key.as_str()))).collect();
    let began = Instant::now();
    let script = move |_: &[String], _| {
        if began.elapsed() < Duration::from_secs(100) { unavailable() } else { delivered() }
    };
    stand.delivery(vec![stand.keyed(&events)], script).await;
    // All four lanes at first; the fifth failure in a row opens it, with the lanes that were on
    // their way. Then one trial a minute, until one is answered; then the others.
    assert_eq!(seconds(&stand.times()), [0, 0, 0, 0, 1, 61, 121, 121, 121, 121]);
    assert_eq!(stand.figures().circuit_breaker_trips, 2);
    assert_eq!(stand.figures().circuit_breaker, BreakerState::Closed);
    assert_eq!(stand.tally().delivered, 40);
    stand.assert_balanced();
}

/// Three batches of four for a buffer of eight, in front of a sink that takes a minute for each.
async fn crowded(when_full: &str) -> Stand {
    let mut stand = Stand::new(json!({
        "timeout": "1h", "buffer": { "max_events": 8, "when_full": when_full }
    }));
    stand.takes = Duration::from_mins(1);
    let ids = ["a", "b", "c", "d"];
    let batches: Vec<_> = ids.iter().map(|id| stand.batch(&[id, "2", "3", "4"])).collect();
    // The first is on its way when the others come.
    let mut batches = batches.into_iter();
    let first = stream::iter(batches.next());
    let later = async { tokio::time::sleep(Duration::from_secs(1)).await };
    let others: Vec<_> = batches.collect();
    let others = stream::once(later).flat_map(move |()| stream::iter(others.clone()));
    stand.streaming(first.chain(others), |_, _| delivered()).await;
    stand.assert_balanced();
    stand
}

fn first_ids(stand: &Stand) -> Vec<String> {
    stand.ids().into_iter().map(|mut ids| ids.remove(0)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_the_source_back() {
    let stand = crowded("block").await;
    assert_eq!(first_ids(&stand), ["a", "b", "c", "d"]);
    assert_eq!(stand.tally().losses(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_drops_what_comes_if_it_is_told_to() {
    let stand = crowded("drop_newest").await;
    assert_eq!(first_ids(&stand), ["a", "b"]);
    assert_eq!(counts(&stand.tally().dropped), [("buffer_full", 8)]);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_drops_what_waited_longest_if_it_is_told_to() {
    let stand = crowded("drop_oldest").await;
    assert_eq!(first_ids(&stand), ["a", "d"], "what is on its way is not dropped");
    assert_eq!(counts(&stand.tally().dropped), [("buffer_full", 8)]);
}

#[tokio::test(start_paused = true)]
async fn bytes_bound_a_buffer_as_events_do() {
    let settings = json!({ "buffer": { "max_bytes": 1, "when_full": "drop_newest" } });
    let stand = Stand::new(settings);
    let batches = vec![stand.batch(&["a"]), stand.batch(&["b"])];
    stand.delivery(batches, |_, _| delivered()).await;
    assert_eq!(counts(&stand.tally().dropped), [("buffer_full", 1)]);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_run_cannot_send_becomes_dead_letters_with_what_was_on_its_way() {
    let stand = Stand::new(json!({ "timeout": "1h" }));
    let batches = vec![stand.batch(&["a", "b"]), stand.batch(&["c"])];
    let control = stand.control.clone();
    let keep = async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        control.keep();
    };
    tokio::join!(stand.delivery(batches, |_, _| Reply::Hang), keep);
    assert_eq!(stand.control.phase(), Phase::Keeping);
    assert_eq!(stand.ids().len(), 1, "nothing is sent any more");
    assert_eq!(counts(&stand.tally().dead_lettered), [("undelivered", 3)]);
    let attempts: Vec<_> = stand.dead().iter().map(|letter| letter["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 1, 0]);
    assert_eq!((stand.ledger.outstanding(), *stand.closed.lock().unwrap()), (0, 1));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_up_while_it_waits_out_an_outage_ends_at_once() {
    let stand = Stand::new(json!({}));
    let control = stand.control.clone();
    let began = Instant::now();
    let keep = async move {
        tokio::time::sleep(Duration::from_mins(10)).await;
        control.keep();
    };
    tokio::join!(stand.delivery(vec![stand.batch(&["a"])], |_, _| unavailable()), keep);
    assert_eq!(began.elapsed(), Duration::from_mins(10));
    assert_eq!(stand.figures().circuit_breaker, OPEN);
    assert_eq!(counts(&stand.tally().dead_lettered), [("undelivered", 1)]);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_run_can_neither_send_nor_keep_is_counted_and_not_acknowledged() {
    let clock = Clock::new(None, Speed::Max, false);
    let folder = tempfile::tempdir().unwrap();
    let full = DeadLetters::new(folder.path().join("dead"), 0, WhenFull::Drop, "", clock);
    for letters in [DeadLetters::off(), full] {
        let mut stand = Stand::new(plain());
        stand.letters = letters;
        let batches = vec![stand.batch(&["a"]), stand.batch(&["b"])];
        let control = stand.control.clone();
        let keep = async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            control.keep();
        };
        tokio::join!(stand.delivery(batches, |_, _| unavailable()), keep);
        assert_eq!(counts(&stand.tally().dropped), [("undelivered", 2)]);
        assert_eq!((stand.ledger.outstanding(), stand.control.errors()), (2, vec![]));
        stand.assert_balanced();
    }
}
