//! Joins at the level of the trait, and against all pairs of the same events.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::correlators::harness::{Run, at, event, problems};
use crate::event::Text;

const ORDERS: &str = "left: { on: [order] }
right: { on: [payment], when: event.payload.ok }
key: payload.id
within: 10s
emit: paid
select: { id: left.payload.id, total: left.payload.total, by: right.payload.by, at: right.ingest_timestamp }";

fn order(second: i64, id: i64) -> Event {
    event(second, "order", &json!({ "id": id, "total": 0.1 }))
}

fn payment(second: i64, id: i64) -> Event {
    event(second, "payment", &json!({ "id": id, "by": "CASH", "ok": true }))
}

fn run(with: &str, events: &[Event]) -> Run {
    Run::of::<JoinSettings>(with, events)
}

#[test]
fn two_of_a_key_within_the_time_are_a_pair_whichever_is_first() {
    let run =
        run(ORDERS, &[order(0, 1), order(5, 2), payment(10, 1), payment(12, 3), order(22, 3)]);
    assert_eq!(
        run.said(),
        [
            r#"10 paid {"id":1,"total":0.1,"by":"CASH","at":"00:10.000Z"}"#,
            r#"22 paid {"id":3,"total":0.1,"by":"CASH","at":"00:12.000Z"}"#,
        ]
    );
    let parent = |place: usize| run.out.events[place].parent_event_id.clone();
    assert_eq!(parent(0), Some(Text::from("TR_1704067210_00001")), "the later one");
    assert_eq!(parent(1), Some(Text::from("TR_1704067222_00001")));
}

#[test]
fn beyond_the_time_and_with_other_keys_there_is_no_pair() {
    let refused = event(1, "payment", &json!({ "id": 1, "ok": false }));
    let mut run = run(ORDERS, &[order(0, 1), refused, payment(3, 2), payment(11, 1)]);
    run.pass(at(3600));
    assert_eq!(run.said(), [""; 0]);
    assert_eq!(run.correlator.next_timer(), None, "nothing is kept");
}

#[test]
fn every_pair_is_told_in_the_order_in_which_they_came() {
    let run = run(ORDERS, &[order(0, 1), order(1, 1), payment(2, 1), payment(3, 1)]);
    assert_eq!(run.out.events.len(), 4);
}

#[test]
fn the_order_of_the_sides_may_matter() {
    let events = [payment(0, 1), order(1, 1), payment(2, 1)];
    for (order, times) in [("left_first", vec![2]), ("right_first", vec![1]), ("any", vec![1, 2])] {
        let run = run(&format!("{ORDERS}\norder: {order}"), &events);
        let found: Vec<i64> =
            run.out.events.iter().map(|event| event.time.since(at(0)).as_secs() as i64).collect();
        assert_eq!(found, times, "{order}");
    }
}

#[test]
fn who_finds_nobody_is_told_when_the_time_is_over() {
    let with = format!("{ORDERS}\nunmatched: left\nemit_unmatched: unpaid");
    let mut run = run(&with, &[order(0, 1), order(1, 2), payment(2, 2), payment(4, 4)]);
    run.pass(at(3600));
    let said = run.said();
    assert_eq!(said.len(), 2);
    assert_eq!(said[1], r#"10 unpaid {"id":1,"total":0.1,"by":null,"at":null}"#);
    assert_eq!(run.out.events[1].parent_event_id, Some(Text::from("TR_1704067200_00001")));
    let both = format!("{ORDERS}\nunmatched: both");
    let mut both = self::run(&both, &[order(0, 1), payment(4, 4)]);
    both.pass(at(3600));
    assert_eq!(both.said()[1], r#"14 paid {"id":null,"total":null,"by":"CASH","at":"00:04.000Z"}"#);
}

#[test]
fn what_waits_at_the_end_is_counted() {
    let with = format!("{ORDERS}\nunmatched: left");
    let mut run = run(&with, &[order(0, 1), order(1, 2), payment(2, 2), payment(3, 3)]);
    assert_eq!(run.correlator.drain(at(3), &mut run.out), 1, "one order is not told");
}

#[test]
fn an_event_without_a_key_matches_nothing() {
    let with = format!("{ORDERS}\nunmatched: left");
    let keyless = event(0, "order", &json!({ "total": 1 }));
    let other = event(1, "payment", &json!({ "ok": true }));
    let run = run(&with, &[keyless, other]);
    assert_eq!(run.said(), [r#"0 paid {"id":null,"total":1,"by":null,"at":null}"#]);
    assert_eq!(run.correlator.next_timer(), None);
}

#[test]
fn an_event_of_both_sides_is_no_pair_with_itself() {
    let with = "left: { on: [scan] }\nright: { on: [scan] }\nkey: payload.id\nwithin: 10s
order: left_first\nemit: twice\nselect: { first: left.ingest_timestamp, then: right.ingest_timestamp }";
    let scan = |second| event(second, "scan", &json!({ "id": 1 }));
    let run = run(with, &[scan(0), scan(3)]);
    assert_eq!(run.said(), [r#"3 twice {"first":"00:00.000Z","then":"00:03.000Z"}"#]);
}

#[test]
fn what_comes_when_its_own_time_is_over_is_late() {
    let with = format!("{ORDERS}\nunmatched: left");
    let mut run = run(&with, &[payment(20, 1), order(9, 1), order(10, 1)]);
    assert_eq!(run.late, 1);
    assert_eq!(run.said().len(), 1, "a straggler finds what waits");
    assert_eq!(run.out.events[0].time, at(20));
    run.watermark(at(40));
    run.see(&order(25, 2));
    assert_eq!(run.late, 2, "the watermark has passed it");
}

#[test]
fn there_is_a_bound_on_what_waits() {
    let with = format!("{ORDERS}\nmax_waiting: 2");
    let full = run(&with, &[order(0, 1), order(0, 2), order(1, 3), order(11, 4)]);
    assert_eq!(full.reasons(), ["there are as many events waiting as `max_waiting` allows"]);
    let with = format!("{ORDERS}\nmax_per_key: 1");
    let full = run(&with, &[order(0, 1), order(1, 1), order(1, 2)]);
    let reason = "there are as many events of this key waiting as `max_per_key` allows";
    assert_eq!(full.reasons(), [reason]);
}

#[test]
fn a_hundred_thousand_keys_leave_nothing_behind() {
    let mut run = Run::new::<JoinSettings>(&format!("{ORDERS}\nmax_waiting: 500"));
    for id in 0..100_000 {
        run.see(&order(id / 10, id));
    }
    run.pass(at(100_000));
    assert_eq!(run.reasons(), [""; 0]);
    assert!(serde_json::to_string(&run.correlator.state()).unwrap().len() < 200);
}

#[test]
fn settings_that_contradict_each_other_are_told_all_at_once() {
    let with = "left: {}\nright: { on: [b], key: [payload.x, payload.y] }\nkey: payload.x
within: 1m\nemit: c\nemit_unmatched: d
select: { a: lft.payload.x, b: payload.x, c: right.x }";
    let said = problems::<JoinSettings>(with);
    for problem in [
        "this takes any event",
        "the keys of `left` and `right` have not as many fields",
        "nothing unmatched is told",
        "`lft.payload.x` does not say of which event",
        "did you mean `left.payload.x`?",
        "write `left.FIELD` or `right.FIELD`",
        "`x` is not a key of the envelope",
    ] {
        assert!(said.contains(problem), "no {problem} in:\n{said}");
    }
    let with = "left: { on: [a] }\nright: { on: [b] }\nwithin: 1m\nemit: c\nselect: {}";
    let said = problems::<JoinSettings>(with);
    assert!(said.contains("nothing says what both sides have in common"), "{said}");
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let good = run(ORDERS, &[order(0, 1), payment(1, 2)]).correlator.state();
    let good = serde_json::to_string(&good).unwrap();
    for (from, to) in [
        ("\"side\":1", "\"side\":2"),
        ("\"timers_set\":2", "\"timers_set\":1"),
        ("\"horizon\":", "\"more\":1,\"horizon\":"),
    ] {
        assert!(good.contains(from), "{from} in {good}");
        let state: State = serde_json::from_str(&good.replace(from, to)).unwrap();
        let mut join = Run::new::<JoinSettings>(ORDERS).correlator;
        assert!(join.restore(&state).is_err(), "{to}");
    }
}

/// Events as (seconds since the one before, seconds behind, whether it is an order, key).
fn stream() -> impl Strategy<Value = Vec<(i64, i64, bool, i64)>> {
    prop::collection::vec((0_i64..6, 0_i64..15, any::<bool>(), 0_i64..4), 1..80)
}

fn events(steps: &[(i64, i64, bool, i64)], disorder: bool) -> Vec<Event> {
    let mut now = 0;
    let made = steps.iter().map(|(step, behind, is_order, id)| {
        now += step;
        let second = if disorder { now - behind } else { now };
        if *is_order { order(second, *id) } else { payment(second, *id) }
    });
    made.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_finds_all_pairs_and_all_that_have_none(steps in stream()) {
        let events = events(&steps, false);
        let with = format!("{ORDERS}\nunmatched: both").replace(
            "total: left.payload.total, by: right.payload.by, at: right.ingest_timestamp",
            "l: left.trace_id, r: right.trace_id, lt: left.ingest_timestamp, rt: right.ingest_timestamp",
        );
        let mut run = run(&with, &events);
        run.pass(at(100_000));
        let id = Key::intern("id").unwrap();
        let mut expected = Vec::new();
        let is_order = |event: &Event| event.event_type.as_str() == "order";
        let of = |event: &Event| (event.payload.get(id).unwrap().as_i64().unwrap(), event.time);
        let is_pair = |one: &Event, other: &Event| {
            let ((a, one), (b, other)) = (of(one), of(other));
            a == b && one.since(other).max(other.since(one)) <= Duration::from_secs(10)
        };
        for event in &events {
            let others = || events.iter().filter(|other| is_order(other) != is_order(event));
            let pairs = others().filter(|other| is_pair(event, other));
            if is_order(event) {
                expected.extend(pairs.clone().map(|other| (Some(event.time), Some(other.time))));
            }
            if pairs.count() == 0 {
                let time = Some(event.time);
                expected.push(if is_order(event) { (time, None) } else { (None, time) });
            }
        }
        let time = |event: &Event, name: &str| {
            let value = event.payload.get(Key::intern(name).unwrap()).unwrap();
            value.as_text().map(|text| text.to_string().parse::<Timestamp>().unwrap())
        };
        let mut told: Vec<_> =
            run.out.events.iter().map(|event| (time(event, "lt"), time(event, "rt"))).collect();
        told.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(told, expected);
        prop_assert!(run.out.events.is_sorted_by_key(|event| event.time));
        let ids: BTreeSet<String> =
            run.out.events.iter().map(|event| event.trace_id.to_string()).collect();
        prop_assert_eq!(ids.len(), run.out.events.len());
    }

    #[test]
    fn it_goes_on_with_the_same_pairs_wherever_it_was_stopped(steps in stream(), every in 5_usize..20) {
        let with = format!("{ORDERS}\nunmatched: both\nmax_per_key: 3\nmax_waiting: 9");
        let (mut uncut, mut cut) = (run(&with, &[]), run(&with, &[]));
        for (place, event) in events(&steps, true).iter().enumerate() {
            uncut.see(event);
            cut.see(event);
            if place % every == 0 { cut.restart::<JoinSettings>(&with); }
        }
        for run in [&mut uncut, &mut cut] {
            run.pass(at(steps.len() as i64 * 3));
        }
        let drain = |run: &mut Run| run.correlator.drain(Timestamp::MAX, &mut run.out);
        prop_assert_eq!(drain(&mut cut), drain(&mut uncut));
        prop_assert_eq!(cut.all(), uncut.all());
    }
}
