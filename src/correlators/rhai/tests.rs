//! Rules at the level of the trait: what they emit, when, and what a failure leaves behind.

mod resume;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::{
    INVENTORY_UPDATED, PRODUCT_ID, QUANTITY_DELTA, QUANTITY_ON_HAND, REASON, RECEIPT_CREATED,
    REORDER_TRIGGERED, STORE_ID, STORE_OPENED, Text, Value,
};
use crate::problem::{Excerpt, SourceText};

const LOW_STOCK: &str = include_str!("../../../pipelines/rules/low_stock.rhai");

fn settings(key: &[&str]) -> RhaiSettings {
    let key: Vec<String> = key.iter().map(|&path| path.to_owned()).collect();
    let settings = serde_json::json!({ "script": "", "key": key });
    serde_json::from_value(settings).unwrap()
}

fn rule_with(text: &str, settings: &RhaiSettings) -> Rule {
    let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
    let script = compile(Excerpt::whole(Arc::new(source)), Sandbox::new(1))
        .unwrap_or_else(|problems| panic!("{problems}"));
    let KeySettings::Many(paths) = &settings.key else { panic!("a list of paths") };
    let key = KeyFields::new(paths.iter().map(|path| path.parse().unwrap()).collect());
    let on = settings.on.iter().map(|name| Key::intern(name).unwrap()).collect();
    Rule::new(script, TraceIds::new(42, 1), settings, key, on)
}

fn rule(text: &str, key: &[&str]) -> Rule {
    rule_with(text, &settings(key))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(1_704_067_200_000 + second * 1000)
}

fn stock(second: i64, product: i64, on_hand: i64) -> Event {
    let trace_id = Text::from(format!("TR_1704067200_{second:05}"));
    let mut event = Event::new(INVENTORY_UPDATED, trace_id, at(second));
    event.payload.set(STORE_ID, 7_i64);
    event.payload.set(PRODUCT_ID, product);
    event.payload.set(QUANTITY_DELTA, -1_i64);
    event.payload.set(REASON, "SALE");
    event.payload.set(QUANTITY_ON_HAND, on_hand);
    event.partition_key = Some(Text::from("store_7"));
    event.correlation_id = Some(Text::from("RCP_1704067200_00001"));
    event
}

/// Feeds a rule as the graph does: timers due before an event fire first.
fn feed(rule: &mut Rule, events: &[Event]) -> Output {
    let mut out = Output::default();
    for event in events {
        rule.advance(event.time - Duration::from_millis(1), &mut out);
        let before = out.events.len();
        if let Err(failure) = rule.observe(event, &mut out) {
            out.events.truncate(before);
            out.failures.push(failure);
        }
    }
    out
}

fn seen(out: &Output) -> Vec<String> {
    let line = |event: &Event| {
        let seconds = event.time.since(at(0)).as_millis();
        let payload = serde_json::to_string(&event.payload).unwrap();
        format!("{seconds} {} {payload}", event.event_type)
    };
    out.events.iter().map(line).collect()
}

fn reasons(out: &Output) -> Vec<&str> {
    out.failures.iter().map(|failure| failure.reason.as_str()).collect()
}

#[test]
fn a_low_stock_is_reordered_once_until_the_lead_time_has_passed() {
    let mut rule = rule(LOW_STOCK, &["payload.store_id", "payload.product_id"]);
    let hours = |hours: i64| hours * 3600;
    let out = feed(
        &mut rule,
        &[
            stock(0, 1, 11),
            stock(1, 1, 10),
            stock(2, 1, 9),
            stock(3, 2, 5),
            stock(hours(4), 1, 8),
            stock(hours(4) + 2, 1, 7),
        ],
    );
    assert_eq!(reasons(&out), [""; 0]);
    let of_product = |event: &Event| event.payload.get(PRODUCT_ID).cloned().unwrap();
    let seen: Vec<(i64, Value)> = out
        .events
        .iter()
        .map(|event| (event.time.since(at(0)).as_secs() as i64, of_product(event)))
        .collect();
    assert_eq!(
        seen,
        [(1, Value::Int(1)), (3, Value::Int(2)), (hours(4) + 2, Value::Int(1))],
        "the event at the timer's very instant is seen before it"
    );
    let first = &out.events[0];
    assert_eq!(first.event_type, REORDER_TRIGGERED);
    assert_eq!(first.parent_event_id, Some(Text::from("TR_1704067200_00001")));
    assert_eq!(first.partition_key, Some(Text::from("store_7")));
    assert_eq!(first.correlation_id, Some(Text::from("reorder_7_1")), "the rule of its type");
    assert!(first.to_json().contains(r#""dc_id":null"#), "{}", first.to_json());
    assert_ne!(first.trace_id, out.events[1].trace_id);
    assert_eq!(rule.drain(at(hours(5)), &mut Output::default()), 2, "two lead times are open");
}

#[test]
fn timers_and_later_events_come_in_the_order_of_their_times_with_the_links_of_their_cause() {
    let mut rule = rule(
        r#"
        fn on_event(event, state, out) {
            out.timer("b", "2s");
            out.emit_after("3s", "later", #{ n: 1 }, #{ session_id: "mine", correlation_id: () });
            out.emit_after(1000, "later", #{ n: 2 });
            out.timer("a", 2000);
            out.timer("gone", "1s");
            out.cancel("gone");
            out.timer("b", "4s");
        }
        fn on_timer(name, state, out) {
            out.emit("timer", #{ name: name });
            if name == "a" { out.timer("again", "1ms"); }
        }"#,
        &["payload.store_id"],
    );
    let mut out = feed(&mut rule, &[stock(0, 1, 1)]);
    assert_eq!(rule.next_timer(), Some(at(1)));
    rule.advance(at(10), &mut out);
    assert_eq!(
        seen(&out),
        [
            r#"1000 later {"n":2}"#,
            r#"2000 timer {"name":"a"}"#,
            r#"2001 timer {"name":"again"}"#,
            r#"3000 later {"n":1}"#,
            r#"4000 timer {"name":"b"}"#,
        ]
    );
    for event in &out.events {
        assert_eq!(event.parent_event_id, Some(Text::from("TR_1704067200_00000")));
        assert_eq!(event.partition_key, Some(Text::from("store_7")));
        assert!(event.trace_id.to_string().starts_with("TR_17040672"), "{}", event.trace_id);
    }
    let later = &out.events[3];
    assert_eq!((&later.session_id, &later.correlation_id), (&Some(Text::from("mine")), &None));
    assert_eq!(rule.next_timer(), None);
}

#[test]
fn what_a_failing_call_emitted_set_and_changed_is_taken_back() {
    let mut rule = rule(
        r#"
        fn on_event(event, state, out) {
            state.count += 1;
            state.list = [state.count];
            out.emit("seen", #{ count: state.count });
            out.timer("t", "1s");
            if event.payload.quantity_on_hand == 0 { state.clear(); throw "no stock"; }
        }
        fn on_timer(name, state, out) { state.count += 10; out.emit("x", #{}); throw `late ${name}`; }"#,
        &["payload.store_id"],
    );
    let failures = feed(&mut rule, &[stock(0, 1, 5)]);
    assert!(reasons(&failures)[0].starts_with("`+` does not work on nothing and an integer"));
    let text = "fn on_event(event, state, out) {
            state.count = (state.count ?? 0) + 1;
            out.emit(\"seen\", #{ count: state.count });
            out.timer(\"t\", \"1s\");
            if event.payload.quantity_on_hand == 0 { state.clear(); throw \"no stock\"; }
        }
        fn on_timer(name, state, out) { state.count += 10; out.emit(\"x\", #{}); throw `late ${name}`; }";
    let mut rule = self::rule(text, &["payload.store_id"]);
    let out = feed(&mut rule, &[stock(0, 1, 5), stock(0, 1, 0), stock(0, 1, 5), stock(9, 1, 5)]);
    assert_eq!(
        seen(&out),
        [r#"0 seen {"count":1}"#, r#"0 seen {"count":2}"#, r#"9000 seen {"count":3}"#]
    );
    assert_eq!(
        reasons(&out),
        ["no stock (rules/x.rhai, line 5, column 69)", "late t (rules/x.rhai, line 7, column 80)"]
    );
}

#[test]
fn the_event_of_a_correlator_can_only_be_read() {
    let mut rule = rule("fn on_event(event, state, out) { event.payload.x = 1; }", &[]);
    assert!(reasons(&feed(&mut rule, &[stock(0, 1, 1)]))[0].contains("only be read"));
}

#[test]
fn a_method_that_changes_nothing_may_be_called_on_what_can_only_be_read() {
    let text = "fn on_event(event, state, out) {
        let text = event.payload.product_id.to_string() + event.time_ms.to_string();
        out.emit(\"n\", #{ p: text });
    }";
    let mut rule = rule(text, &[]);
    let out = feed(&mut rule, &[stock(1, 7, 1)]);
    assert_eq!(
        (reasons(&out), seen(&out)),
        (vec![], vec![r#"1000 n {"p":"71704067201000"}"#.to_owned()])
    );
}

#[test]
fn state_is_forgotten_after_its_ttl_and_beyond_its_bound() {
    let count = "fn on_event(event, state, out) {
        state.n = (state.n ?? 0) + 1;
        out.emit(\"n\", #{ n: state.n, p: event.payload.product_id });
    }";
    let mut settings = settings(&["payload.product_id"]);
    settings.ttl = Some(SpecDuration(Duration::from_secs(10)));
    let out = feed(
        &mut rule_with(count, &settings),
        &[stock(0, 1, 1), stock(5, 1, 1), stock(15, 1, 1), stock(26, 1, 1)],
    );
    let counts = |out: &Output| -> Vec<String> {
        seen(out).iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    assert_eq!(
        counts(&out),
        [r#"n {"n":1,"p":1}"#, r#"n {"n":2,"p":1}"#, r#"n {"n":3,"p":1}"#, r#"n {"n":1,"p":1}"#]
    );
    settings.ttl = None;
    settings.max_keys = 1;
    let mut rule = rule_with(count, &settings);
    let out = feed(&mut rule, &[stock(0, 1, 1), stock(1, 2, 1), stock(2, 1, 1)]);
    assert_eq!(counts(&out), [r#"n {"n":1,"p":1}"#, r#"n {"n":1,"p":2}"#, r#"n {"n":1,"p":1}"#]);
    assert_eq!((rule.states.len(), rule.states.forgotten()), (1, 2));
}

#[test]
fn more_timers_than_may_be_open_are_a_failure_that_changes_nothing() {
    let mut settings = settings(&[]);
    settings.max_timers = 2;
    let text = "fn on_event(event, state, out) {
        state.n = (state.n ?? 0) + 1;
        for i in 0..event.payload.quantity_on_hand { out.emit_after(\"1s\", \"x\", #{ i: i }); }
    }
    fn on_end(state, out) { out.emit(\"end\", #{ n: state.n }); }";
    let mut rule = rule_with(text, &settings);
    let mut out = feed(&mut rule, &[stock(0, 1, 3), stock(0, 1, 2), stock(0, 1, 1)]);
    let reason =
        "there are as many open timers as `max_timers` allows (rules/x.rhai, line 1, column 4)";
    assert_eq!(reasons(&out), [reason; 2]);
    assert_eq!(rule.drain(at(0), &mut out), 2);
    assert_eq!(seen(&out), [r#"0 end {"n":1}"#]);
}

#[test]
fn at_the_end_each_key_is_called_in_the_order_it_was_first_seen() {
    let text = "fn on_event(event, state, out) { state.p = event.payload.product_id; }
        fn on_end(state, out) { out.emit(\"end\", #{ p: state.p }); out.timer(\"t\", \"1s\"); }
        fn on_timer(name, state, out) { }";
    let mut rule = rule(text, &["payload.product_id", "partition_key"]);
    let events: Vec<Event> = [5, 3, 9, 3, 1].iter().map(|p| stock(*p, *p, 1)).collect();
    let mut out = feed(&mut rule, &events);
    assert_eq!(rule.drain(at(60), &mut out), 4);
    assert_eq!(seen(&out), [5, 3, 9, 1].map(|product| format!(r#"60000 end {{"p":{product}}}"#)));
    assert_eq!(out.events[0].parent_event_id, None);
}

#[test]
fn a_rule_is_not_entered_for_types_it_is_not_on_for_and_a_missing_key_is_a_key() {
    let mut settings = settings(&["payload.store_id"]);
    settings.on = vec!["inventory_updated".to_owned()];
    let text = "fn on_event(event, state, out) {
        state.n = (state.n ?? 0) + 1; out.emit(\"n\", #{ n: state.n }); }";
    let mut rule = rule_with(text, &settings);
    let other = Event::new(STORE_OPENED, Text::from("TR_1_00001"), at(0));
    let mut keyless = stock(1, 1, 1);
    keyless.payload.remove(STORE_ID);
    let out = feed(&mut rule, &[other, stock(0, 1, 1), keyless.clone(), keyless]);
    assert_eq!(seen(&out), [r#"0 n {"n":1}"#, r#"1000 n {"n":1}"#, r#"1000 n {"n":2}"#]);
}

#[test]
fn the_same_events_give_the_same_events() {
    let text = "fn on_event(event, state, out) {
        out.emit_after(rand_int(1, 5000), \"x\", #{ r: rand() });
    }";
    let run = || {
        let mut rule = rule(text, &["payload.product_id"]);
        let events: Vec<Event> = (0..50).map(|n| stock(n, n % 7, 1)).collect();
        let mut out = feed(&mut rule, &events);
        rule.advance(Timestamp::MAX, &mut out);
        out.events
    };
    let events = run();
    assert_eq!(events, run());
    assert!(events.is_sorted_by_key(|event| event.time));
    let ids: std::collections::HashSet<String> =
        events.iter().map(|event| event.trace_id.to_string()).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn what_is_asked_of_out_wrongly_is_a_failure_with_a_reason() {
    for (call, reason) in [
        ("out.emit(\"x\", 5)", "the payload of an event is a map, not `i64`"),
        (
            "out.emit(\"x\", #{}, #{ sesion_id: \"\" })",
            "an envelope has no field `sesion_id`; did you mean `session_id`?",
        ),
        (
            "out.emit(\"x\", #{}, #{ session_id: 5 })",
            "`session_id` is a string or `()`, not an integer",
        ),
        ("out.emit(\"x\", #{}, #{ ingest_timestamp: \"\" })", "events come in order of time"),
        ("out.timer(\"x\", \"5 weeks\")", "`5 weeks` is not a duration"),
        ("out.timer(\"x\", 0)", "a timer is at least a millisecond away"),
        ("loop { out.emit(\"x\", #{}) }", "one call may emit 10000 events"),
        ("state.x = event", "a value of type `event` cannot be kept"),
    ] {
        let text = format!(
            "fn on_event(event, state, out) {{ {call}; }} fn on_timer(name, state, out) {{ }}"
        );
        let out = feed(&mut rule(&text, &[]), &[stock(0, 1, 1)]);
        assert!(reasons(&out)[0].starts_with(reason), "{:?}", reasons(&out));
        assert!(out.events.is_empty());
    }
}

#[test]
fn a_timer_without_a_function_is_a_problem_at_its_place() {
    let text = "fn on_event(event, state, out) {\n    out.timer(\"x\", \"5m\");\n}";
    let source = SourceText { name: "x".to_owned(), text: text.to_owned() };
    let problems = compile(Excerpt::whole(Arc::new(source)), Sandbox::new(1)).err().unwrap();
    let place = problems.0[0].place.clone().unwrap();
    assert_eq!(&text[place.span], "timer");
}

#[test]
fn a_derived_event_has_the_token_of_its_cause() {
    let mut rule = rule("fn on_event(event, state, out) { out.emit(\"x\", event.payload); }", &[]);
    let mut cause = stock(0, 1, 1);
    cause.token = crate::event::TokenIndex(3);
    let out = feed(&mut rule, &[cause.clone()]);
    assert_eq!(out.events[0].token.0, 3);
    assert_eq!(out.events[0].payload, cause.payload);
    assert_ne!(out.events[0].event_type, RECEIPT_CREATED);
}

/// In a build for debugging a million takes too long to be run each time.
const MANY_KEYS: i64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn a_rule_with_as_many_keys_as_it_may_have_forgets_and_goes_on() {
    let mut settings = settings(&["payload.product_id"]);
    settings.max_keys = MANY_KEYS as usize;
    settings.ttl = Some(serde_json::from_str("\"10m\"").unwrap());
    let text = "fn on_event(event, state, out) { state.n = (state.n ?? 0) + 1;
        if state.n == 2 { out.emit(\"again\", #{}); } }";
    let mut rule = rule_with(text, &settings);
    let mut event = stock(0, 0, 5);
    let mut observe = |rule: &mut Rule, second: i64, keys: std::ops::Range<i64>| {
        let mut out = Output::default();
        event.time = at(second);
        rule.advance(at(second) - Duration::from_millis(1), &mut out);
        for product in keys {
            event.payload.set(PRODUCT_ID, product);
            rule.observe(&event, &mut out).unwrap();
        }
        out.events.iter().filter(|event| event.event_type.as_str() == "again").count() as i64
    };
    assert_eq!(observe(&mut rule, 0, 0..MANY_KEYS), 0);
    assert_eq!(observe(&mut rule, 60, 0..MANY_KEYS), MANY_KEYS, "all are remembered");
    assert_eq!(observe(&mut rule, 120, MANY_KEYS..MANY_KEYS + 10), 0);
    assert_eq!((rule.states.len() as i64, rule.states.evicted()), (MANY_KEYS, 10));
    assert_eq!(observe(&mut rule, 60 + 601, 20..21), 0, "the ttl has passed");
    assert_eq!(rule.states.len(), 11, "the ten that came last, and the one of now");
}
