//! Windows at the level of the trait, and against plain sums over the same events.

mod model;

use serde_json::json;

use super::*;
use crate::correlators::harness::{Run, at, event, problems};
use crate::event::Text;

fn sale(second: i64, product: i64, quantity: i64) -> Event {
    let payload = json!({ "product_id": product, "quantity": quantity, "price": 0.1 });
    event(second, "sale", &payload)
}

fn run(with: &str, events: &[Event]) -> Run {
    Run::of::<WindowSettings>(with, events)
}

const MINUTES: &str = "kind: tumbling
size: 1m
key: payload.product_id
on: [sale]
aggregates: { n: count, units: { sum: payload.quantity } }
emit: minute";

#[test]
fn a_tumbling_window_has_its_start_and_not_its_end() {
    let mut run = run(
        MINUTES,
        &[sale(0, 7, 2), sale(59, 7, 3), event(59, "other", &json!({})), sale(60, 7, 1)],
    );
    let first = r#"59.999 minute {"product_id":7,"window_start":"00:00.000Z","window_end":"01:00.000Z","n":2,"units":5,"complete":true}"#;
    assert_eq!(run.said(), [first]);
    run.watermark(at(120));
    assert!(run.said()[1].starts_with("119.999 "), "{:?}", run.said());
    run.watermark(at(3600));
    assert_eq!(run.said().len(), 2, "windows without events tell nothing");
    assert_eq!(run.correlator.next_timer(), None);
}

#[test]
fn the_windows_of_one_time_are_told_in_the_order_in_which_their_keys_came() {
    let mut run = run(MINUTES, &[sale(0, 9, 1), sale(1, 3, 1), sale(2, 9, 1)]);
    run.watermark(at(60));
    let product = Key::intern("product_id").unwrap();
    let products: Vec<_> = run.out.events.iter().map(|event| event.payload.get(product)).collect();
    assert_eq!(products, [Some(&Value::Int(9)), Some(&Value::Int(3))]);
}

#[test]
fn hopping_windows_overlap() {
    let with = "kind: hopping\nsize: 1m\nevery: 20s\naggregates: { n: count }\nemit: hop";
    let mut run = run(with, &[sale(0, 1, 1), sale(19, 1, 1), sale(20, 1, 1), sale(65, 1, 1)]);
    run.watermark(at(3600));
    let spans: Vec<(String, Value)> = run
        .out
        .events
        .iter()
        .map(|event| {
            let field = |name: &str| event.payload.get(Key::intern(name).unwrap()).unwrap().clone();
            (format!("{}", (event.time + STEP).since(at(0)).as_secs()), field("n"))
        })
        .collect();
    let expected = [("20", 2), ("40", 3), ("60", 3), ("80", 2), ("100", 1), ("120", 1)];
    let expected: Vec<(String, Value)> =
        expected.iter().map(|(end, n)| ((*end).to_owned(), Value::Int(*n))).collect();
    assert_eq!(spans, expected);
}

#[test]
fn windows_lie_as_a_clock_does_unless_an_offset_moves_them() {
    let with = "kind: tumbling\nsize: 1d\noffset: 5h\naggregates: { n: count }\nemit: day";
    let mut run = run(with, &[sale(0, 1, 1)]);
    run.watermark(at(86_400));
    let line = &run.said()[0];
    assert!(line.contains(r#""window_start":"2023-12-31T05:00:00.000Z""#), "{line}");
    assert!(line.contains(r#""window_end":"2024-01-01T05:00:00.000Z""#), "{line}");
}

#[test]
fn events_before_1970_have_windows_too() {
    let mut early = sale(0, 7, 1);
    early.time = Timestamp::from_millis(-1);
    let mut run = run(MINUTES, &[early]);
    run.watermark(Timestamp::from_millis(0));
    assert!(run.said()[0].contains("1969-12-31T23:59:00.000Z"), "{:?}", run.said());
}

#[test]
fn the_ends_of_the_calendar_are_no_trouble() {
    let (mut first, mut last) = (sale(0, 7, 1), sale(0, 7, 1));
    (first.time, last.time) = (Timestamp::MIN, Timestamp::MAX);
    for with in [MINUTES, "kind: session\ngap: 1h\naggregates: { n: count }\nemit: visit"] {
        let mut run = run(with, &[first.clone(), last.clone()]);
        run.pass(Timestamp::MAX);
        run.correlator.drain(Timestamp::MAX, &mut run.out);
        assert_eq!(run.out.events.len() + run.late, 2, "no window ends behind the calendar");
    }
}

const VISITS: &str = "kind: session
gap: 30s
key: payload.product_id
aggregates: { n: count, units: { sum: payload.quantity } }
emit: visit
allowed_lateness: 5m";

#[test]
fn a_session_is_over_when_nothing_comes_for_the_gap() {
    let mut run = run(VISITS, &[sale(0, 7, 1), sale(29, 7, 1), sale(58, 7, 1), sale(88, 7, 1)]);
    assert_eq!(
        run.said(),
        [
            r#"87.999 visit {"product_id":7,"window_start":"00:00.000Z","window_end":"01:28.000Z","n":3,"units":3,"complete":true,"revision":0}"#
        ]
    );
    run.watermark(at(3600));
    assert_eq!(run.said().len(), 2);
    assert_eq!(run.correlator.next_timer(), None, "nothing is kept");
}

#[test]
fn a_late_event_joins_two_sessions_that_were_told() {
    let mut run = run(VISITS, &[sale(0, 7, 1), sale(50, 7, 2)]);
    run.watermark(at(100));
    assert_eq!(run.said().len(), 2);
    run.see(&sale(25, 7, 4));
    assert_eq!(
        run.said()[2],
        r#"79.999 visit {"product_id":7,"window_start":"00:00.000Z","window_end":"01:20.000Z","n":3,"units":7,"complete":true,"revision":1}"#
    );
    assert_eq!(run.out.events[2].parent_event_id, Some(Text::from("TR_1704067225_00001")));
    run.watermark(at(3600));
    assert_eq!((run.said().len(), run.late), (3, 0));
}

#[test]
fn a_session_that_was_told_goes_on_where_a_late_event_makes_it_long_enough() {
    let mut run = run(VISITS, &[sale(0, 7, 1)]);
    run.watermark(at(40));
    assert_eq!(run.said().len(), 1);
    run.see(&sale(20, 7, 1));
    assert_eq!(run.said().len(), 1, "it lasts until 50 s now");
    run.see(&sale(45, 7, 1));
    run.watermark(at(3600));
    assert!(run.said()[1].contains(r#""window_end":"01:15.000Z","n":3,"#), "{:?}", run.said());
    assert!(run.said()[1].ends_with(r#""revision":1}"#));
    assert_eq!(run.said().len(), 2);
}

#[test]
fn what_comes_late_corrects_a_result_and_what_comes_later_than_allowed_is_counted() {
    let with = format!("{MINUTES}\nallowed_lateness: 2m");
    let mut run = run(&with, &[sale(10, 7, 1), sale(61, 7, 1), sale(20, 7, 4), sale(21, 8, 2)]);
    let told: Vec<String> = run.said();
    assert!(told[0].ends_with(r#""n":1,"units":1,"complete":true,"revision":0}"#), "{}", told[0]);
    assert!(told[1].ends_with(r#""n":2,"units":5,"complete":true,"revision":1}"#), "{}", told[1]);
    assert!(told[2].contains(r#""product_id":8"#) && told[2].ends_with(r#""revision":0}"#));
    assert_eq!(run.out.events[1].time, run.out.events[0].time);
    assert_eq!(run.late, 0);
    run.watermark(at(180) - STEP);
    run.see(&sale(59, 7, 1));
    assert_eq!(run.late, 0, "the last instant at which it is taken");
    run.watermark(at(180));
    let said = run.said().len();
    run.see(&sale(59, 7, 1));
    assert_eq!((run.late, run.said().len()), (1, said));
}

#[test]
fn a_watermark_that_no_event_has_reached_makes_events_late() {
    let mut run = run(MINUTES, &[sale(10, 7, 1)]);
    run.watermark(at(600));
    run.see(&sale(70, 7, 1));
    assert_eq!((run.late, run.said().len()), (1, 1));
}

#[test]
fn what_the_end_cuts_off_is_told_as_far_as_it_got_and_again_when_it_is_over() {
    for with in [MINUTES, VISITS] {
        let mut run = run(with, &[sale(0, 7, 1)]);
        run.pass(at(20));
        assert_eq!(run.correlator.drain(at(20), &mut run.out), 0);
        assert_eq!(run.out.events[0].time, at(20));
        assert!(run.said()[0].contains(r#""complete":false"#));
        run.see(&sale(25, 7, 1));
        run.watermark(at(600));
        assert!(run.said()[1].contains(r#""n":2,"units":2,"complete":true"#), "{:?}", run.said());
    }
}

#[test]
fn a_result_has_in_its_envelope_what_is_in_its_key() {
    let mut linked = sale(0, 7, 1);
    linked.session_id = Some(Text::from("VIS_1_00001"));
    linked.partition_key = Some(Text::from("store_1"));
    let envelope = |key: &str| {
        let with = MINUTES.replace("key: payload.product_id", key);
        let mut run = run(&with, std::slice::from_ref(&linked));
        run.watermark(at(60));
        let result = run.out.events.remove(0);
        assert_eq!(result.parent_event_id, None);
        let text = |text: Option<Text>| text.map_or("-".to_owned(), |text| text.to_string());
        [text(result.partition_key), text(result.session_id), text(result.correlation_id)]
    };
    assert_eq!(envelope("key: [payload.product_id, payload.price]"), ["7_0.1", "-", "-"]);
    assert_eq!(envelope("key: session_id"), ["VIS_1_00001", "VIS_1_00001", "-"]);
    assert_eq!(envelope("key: [partition_key, payload.product_id]"), ["store_1", "-", "-"]);
    assert_eq!(envelope("key: []"), ["-", "-", "-"]);
}

#[test]
fn a_result_of_a_type_of_the_contract_keeps_its_rules() {
    let with = "kind: tumbling\nsize: 1m\nkey: [payload.store_id, payload.product_id]
aggregates: { current_quantity: { min: payload.quantity } }\nemit: stockout_detected";
    let payload = json!({ "store_id": 3, "product_id": 7, "quantity": 0 });
    let mut run = run(with, &[event(0, "sale", &payload)]);
    run.watermark(at(60));
    assert_eq!(run.out.events[0].partition_key, Some(Text::from("store_3")));
}

#[test]
fn aggregates_take_what_is_there_and_leave_null_out() {
    let with = "kind: tumbling\nsize: 1m\nemit: all
aggregates:
  n: count
  sum: { sum: payload.v }
  avg: { avg: payload.v }
  min: { min: payload.v }
  max: { max: payload.w }
  kinds: { distinct: payload.w }
  none: { avg: payload.gone }
  zero: { sum: payload.gone }";
    let values = [
        json!({ "v": 1, "w": "b" }),
        json!({ "v": 2.5, "w": "a" }),
        json!({ "v": null, "w": 9 }),
        json!({ "w": "b" }),
    ];
    let events: Vec<Event> = values.iter().map(|payload| event(0, "x", payload)).collect();
    let mut run = run(with, &events);
    run.watermark(at(60));
    let line = &run.said()[0];
    let expected =
        r#""n":4,"sum":3.5,"avg":1.75,"min":1,"max":"b","kinds":3,"none":null,"zero":0,"#;
    assert!(line.contains(expected), "{line}");
}

#[test]
fn an_event_that_an_aggregate_cannot_take_fails_and_counts_nowhere() {
    let payload = json!({ "product_id": 7, "quantity": "two" });
    let mut run = run(MINUTES, &[event(0, "sale", &payload), sale(1, 7, 1)]);
    run.watermark(at(60));
    assert_eq!(run.reasons(), ["`payload.quantity` is a string, of which there is no `sum`"]);
    assert!(run.said()[0].contains(r#""n":1,"units":1"#));
}

#[test]
fn there_is_a_bound_on_windows_and_on_distinct_values() {
    let with = format!("{MINUTES}\nmax_windows: 2");
    let mut bounded = run(&with, &[sale(0, 1, 1), sale(0, 2, 1), sale(0, 3, 1), sale(1, 1, 1)]);
    assert_eq!(bounded.reasons(), ["there are as many windows as `max_windows` allows"]);
    bounded.see(&sale(60, 3, 1));
    assert_eq!(bounded.reasons().len(), 1, "windows that are over make room");

    let with = "kind: session\ngap: 1m\nkey: payload.product_id\nmax_windows: 2
aggregates: { n: count }\nemit: visit";
    let mut bounded = run(with, &[sale(0, 1, 1), sale(0, 2, 1), sale(0, 3, 1), sale(1, 1, 1)]);
    assert_eq!(bounded.reasons(), ["there are as many windows as `max_windows` allows"]);
    bounded.see(&sale(60, 3, 1));
    assert_eq!(bounded.reasons().len(), 1);

    let with =
        "kind: tumbling\nsize: 1m\naggregates: { n: count, q: { distinct: payload.quantity } }
max_distinct: 2\nemit: x";
    let mut run = run(with, &[sale(0, 1, 1), sale(0, 1, 2), sale(0, 1, 3), sale(0, 1, 2)]);
    run.watermark(at(60));
    assert_eq!(run.reasons(), ["the window has as many distinct values as `max_distinct` allows"]);
    assert!(run.said()[0].contains(r#""n":3,"q":2"#), "{:?}", run.said());
}

#[test]
fn a_hundred_thousand_keys_leave_nothing_behind() {
    let with = format!("{MINUTES}\nmax_windows: 1000");
    let mut run = Run::new::<WindowSettings>(&with);
    for key in 0..100_000 {
        run.see(&sale(key / 10, key, 1));
        run.out.events.clear();
    }
    run.watermark(at(100_000));
    assert_eq!(run.reasons(), [""; 0]);
    let state = serde_json::to_string(&run.correlator.state()).unwrap();
    assert!(state.len() < 200, "{state}");
}

#[test]
fn settings_that_contradict_each_other_are_told_all_at_once() {
    let with = "kind: hopping\nsize: 10m\ngap: 5m\nkey: [payload.a, payload.deep.a]\nemit: x
aggregates: { window_end: count, a: { sum: payload.x }, b: { sum: quantity } }";
    let said = problems::<WindowSettings>(with);
    for problem in [
        "`hopping` windows need `every`",
        "`hopping` windows have no `gap`",
        "the payload has a `window_end` already",
        "the payload has a `a` already",
        "`quantity` is not a key of the envelope",
        "two fields of the key are called `a`",
    ] {
        assert!(said.contains(problem), "no {problem} in:\n{said}");
    }
    let with = |more: &str| format!("{more}\naggregates: {{ n: count }}\nemit: x");
    for (settings, problem) in [
        ("kind: tumbling\nsize: 0s", "`size` has to be longer"),
        ("kind: hopping\nsize: 1m\nevery: 2m", "there are gaps between windows of 1m every 2m"),
        ("kind: hopping\nsize: 1d\nevery: 1s", "an event would be in more than 1000 windows"),
        ("kind: session\ngap: 1m\noffset: 1m", "`session` windows have no `offset`"),
    ] {
        let said = problems::<WindowSettings>(&with(settings));
        assert!(said.contains(problem), "no {problem} in:\n{said}");
    }
}

#[test]
fn the_state_of_other_windows_is_refused() {
    let state = run(MINUTES, &[sale(0, 1, 1)]).correlator.state();
    let mut sessions = Run::new::<WindowSettings>(VISITS).correlator;
    assert_eq!(sessions.restore(&state).unwrap_err().0, "it has windows of another kind");
    let with = MINUTES.replace("sum:", "avg:");
    let mut others = Run::new::<WindowSettings>(&with).correlator;
    assert_eq!(others.restore(&state).unwrap_err().0, "it has other aggregates");
    let mut fewer = Run::new::<WindowSettings>(&format!("{MINUTES}\nmax_windows: 1")).correlator;
    let two = run(MINUTES, &[sale(0, 1, 1), sale(0, 2, 1)]).correlator.state();
    assert!(fewer.restore(&two).is_err());
}
