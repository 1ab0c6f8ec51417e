//! What becomes of events by what the sink says.

use super::*;

#[tokio::test(start_paused = true)]
async fn only_what_failed_is_sent_again_and_what_never_will_be_taken_is_a_dead_letter_at_once() {
    let stand = Stand::new(plain());
    let batches = vec![stand.batch(&["a", "b", "c", "d"]), stand.batch(&["e"])];
    let delivery = stand.delivery(batches, |_, count| match count {
        0 => Reply::Say(Outcome::Except(vec![
            (1, Refusal::transient("throttled", "slow down")),
            (2, Refusal::permanent("rejected", "too large")),
            (3, Refusal::transient("throttled", "slow down")),
        ])),
        1 => Reply::Say(Outcome::Except(vec![(0, Refusal::transient("throttled", "slow down"))])),
        _ => delivered(),
    });
    delivery.await;
    assert_eq!(stand.ids(), [&["a", "b", "c", "d"][..], &["b", "d"], &["b"], &["e"]]);
    assert_eq!(seconds(&stand.times()), [0, 1, 3, 3]);
    let tally = stand.tally();
    assert_eq!((tally.delivered, counts(&tally.dead_lettered)), (4, vec![("rejected", 1)]));
    let figures = stand.figures();
    assert_eq!((figures.attempts_failed, figures.retried_events), (2, 3));
    assert_eq!((figures.connection_failures, figures.circuit_breaker_trips), (0, 0));
    let [letter] = &stand.dead()[..] else { panic!("{:?}", stand.dead()) };
    assert_eq!((&letter["event"]["trace_id"], &letter["attempts"]), (&json!("c"), &json!(1)));
    assert_eq!((stand.ledger.outstanding(), *stand.closed.lock().unwrap()), (0, 1));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_yet_is_sent_at_once_and_uses_up_no_attempt() {
    let stand = Stand::new(json!({
        "timeout": "2s",
        "retry": { "attempts": 1, "on_exhausted": "dead_letter" }
    }));
    let stand = Stand { takes: Duration::from_secs(1), ..stand };
    let batches = vec![stand.batch(&["a", "b", "c", "d", "e"])];
    let never = vec![(0, Refusal::permanent("rejected", "no"))];
    let delivery = stand.delivery(batches, move |_, count| match count {
        0 => Reply::Say(Outcome::Partly { decided: 2, failed: never.clone() }),
        1 | 2 => Reply::Say(Outcome::Partly { decided: 1, failed: Vec::new() }),
        _ => delivered(),
    });
    delivery.await;
    assert_eq!(
        stand.ids(),
        [&["a", "b", "c", "d", "e"][..], &["c", "d", "e"], &["d", "e"], &["e"]]
    );
    assert_eq!(seconds(&stand.times()), [0, 1, 2, 3]);
    let tally = stand.tally();
    assert_eq!((tally.delivered, counts(&tally.dead_lettered)), (4, vec![("rejected", 1)]));
    let figures = stand.figures();
    assert_eq!((figures.attempts_failed, figures.retried_events), (0, 0));
    assert_eq!(stand.ledger.outstanding(), 0);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn attempts_count_sends_in_all_and_the_letter_says_how_many_and_since_when() {
    let stand = Stand::new(json!({
        "retry": { "attempts": 3, "jitter": false, "on_exhausted": "dead_letter" }
    }));
    let batches = vec![stand.batch(&["a", "b"]), stand.batch(&["c"])];
    let script = |ids: &[String], _| if ids[0] == "c" { delivered() } else { unavailable() };
    stand.delivery(batches, script).await;
    assert_eq!(stand.ids().len(), 4, "three for the first batch, one for the second");
    assert_eq!(seconds(&stand.times()), [0, 1, 3, 3]);
    let dead = stand.dead();
    assert_eq!(dead.len(), 2);
    assert_eq!((&dead[0]["attempts"], &dead[0]["category"]), (&json!(3), &json!("connection")));
    let time = |key: &str| dead[0][key].as_str().unwrap().parse::<Timestamp>().unwrap();
    // Both are wall time in whole milliseconds, of clocks that began one after the other.
    let between = time("last_time").since(time("first_time"));
    assert!(between.abs_diff(Duration::from_secs(3)) <= Duration::from_millis(10), "{between:?}");
    assert_eq!((stand.figures().attempts_failed, stand.figures().connection_failures), (3, 3));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_servers_hint_goes_before_the_backoff() {
    let stand = Stand::new(json!({}));
    let hint = Duration::from_millis(7300);
    let script = move |_: &[String], count| match count {
        0 => Reply::Say(Outcome::Refused(Refusal::transient("throttled", "later").after(hint))),
        _ => delivered(),
    };
    stand.delivery(vec![stand.batch(&["a"])], script).await;
    assert_eq!(stand.times()[1], hint);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_made_again_after_the_timeout() {
    let stand = Stand::new(json!({ "timeout": "5s", "retry": { "jitter": false } }));
    let script = |_: &[String], count| if count == 0 { Reply::Hang } else { delivered() };
    stand.delivery(vec![stand.batch(&["a"])], script).await;
    assert_eq!(seconds(&stand.times()), [0, 6]);
    assert_eq!((stand.tally().delivered, stand.figures().attempts_failed), (1, 1));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_permanent_refusal_is_no_failure_for_the_breaker() {
    let stand = Stand::new(plain());
    let batches = (0..20).map(|_| stand.batch(&["a"])).collect();
    let refused = || Reply::Say(Outcome::Refused(Refusal::permanent("rejected", "no")));
    stand.delivery(batches, move |_, _| refused()).await;
    assert_eq!((stand.ids().len(), stand.figures().circuit_breaker_trips), (20, 0));
    assert_eq!(counts(&stand.tally().dead_lettered), [("rejected", 20)]);
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_token_is_resolved_when_the_fate_of_its_last_event_is_known() {
    let stand = Stand::new(plain());
    let batches = vec![stand.batch(&["a", "b"]), stand.batch(&["c"])];
    let ledger = stand.ledger.clone();
    let script = move |ids: &[String], count| {
        match count {
            0 | 1 => assert_eq!(ledger.acknowledged(), None),
            _ => {
                assert_eq!(ids, ["c"]);
                assert_eq!(ledger.acknowledged(), Some("a".into()));
            }
        }
        match count {
            0 => Reply::Say(Outcome::Except(vec![(1, Refusal::transient("busy", "busy"))])),
            _ => delivered(),
        }
    };
    stand.delivery(batches, script).await;
    assert_eq!((stand.ledger.acknowledged(), stand.ids().len()), (Some("c".into()), 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_receiver_that_left_did_not_get_is_dropped_counted_and_not_acknowledged() {
    let stand = Stand::new(plain());
    let batches = vec![stand.batch(&["a"]), stand.batch(&["b"]), stand.batch(&["c"])];
    let script = |_: &[String], count| match count {
        0 => delivered(),
        _ => Reply::Say(Outcome::Closed),
    };
    stand.delivery(batches, script).await;
    assert_eq!(stand.control.phase(), crate::control::Phase::Draining);
    assert_eq!((stand.ids().len(), counts(&stand.tally().dropped)), (2, vec![("sink_closed", 2)]));
    assert_eq!((stand.ledger.acknowledged(), stand.ledger.outstanding()), (Some("a".into()), 2));
    stand.assert_balanced();
}
