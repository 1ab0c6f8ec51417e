//! A rule that goes on from another one's state says what that one would have said.

use proptest::prelude::*;

use super::*;

/// Uses all that a rule can remember.
const BUSY: &str = r#"
fn on_event(event, state, out) {
    let count = if state.count == () { 0 } else { state.count };
    state.count = count + 1;
    state.whole = 1.0;
    state.share = rand() / 3.0;
    state.seen = [event.time_ms, event.ingest_timestamp, #{ "deep": [count, 0.1 * count] }];
    let draw = rand_int(0, 9);
    if draw < 3 { out.emit("low", #{ n: state.count, share: state.share, seen: state.seen }); }
    if draw < 5 { out.emit_after(`${draw + 1}s`, "later", #{ whole: state.whole, draw: draw }); }
    if draw < 7 { out.timer(`t${draw % 3}`, `${draw * 3 + 1}s`); }
    if draw == 8 { out.cancel("t1"); }
    if draw == 9 { throw "nine"; }
}
fn on_timer(name, state, out) {
    out.emit("rang", #{ name: name, state: `${state}`, draw: rand() });
    state.rung = name;
    if rand() < 0.3 { out.timer("again", "2s"); }
}
fn on_end(state, out) { out.emit("over", #{ state: `${state}`, draw: rand() }); }
"#;

fn busy(text: &str, max_keys: usize, ttl: Option<u64>) -> Rule {
    let settings = serde_json::json!({
        "script": "", "key": ["payload.product_id"], "max_keys": max_keys,
        "ttl": ttl.map(|seconds| format!("{seconds}s")), "max_timers": 12,
    });
    rule_with(text, &serde_json::from_value(settings).unwrap())
}

fn said(out: &Output) -> Vec<String> {
    let failures = out.failures.iter().map(|failure| failure.reason.clone());
    out.events.iter().map(Event::to_json).chain(failures).collect()
}

/// A state as it comes back from a file.
fn kept(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

fn step(rule: &mut Rule, event: &Event, out: &mut Output) {
    rule.advance(event.time - Duration::from_millis(1), out);
    if let Err(failure) = rule.observe(event, out) {
        out.failures.push(failure);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_rule_goes_on_with_the_same_events_wherever_it_was_stopped(
        events in prop::collection::vec((0_i64..4, 0_i64..6), 1..120),
        max_keys in 1_usize..8,
        ttl in prop::option::of(1_u64..20),
        every in 1_usize..12,
    ) {
        let mut second = 0;
        let events: Vec<Event> = events
            .into_iter()
            .map(|(step, product)| {
                second += step;
                stock(second, product, 5)
            })
            .collect();
        let mut uncut = (busy(BUSY, max_keys, ttl), Output::default());
        let mut cut = (busy(BUSY, max_keys, ttl), Output::default());
        for (place, event) in events.iter().enumerate() {
            step(&mut uncut.0, event, &mut uncut.1);
            step(&mut cut.0, event, &mut cut.1);
            if place % every == 0 {
                let state = kept(&cut.0.state());
                cut.0 = busy(BUSY, max_keys, ttl);
                cut.0.restore(&state).unwrap();
                prop_assert_eq!(cut.0.next_timer(), uncut.0.next_timer());
            }
        }
        for (rule, out) in [&mut uncut, &mut cut] {
            rule.advance(at(second + 5), out);
            rule.drain(at(second + 5), out);
        }
        prop_assert_eq!(said(&cut.1), said(&uncut.1));
    }
}

#[test]
fn the_state_of_another_script_is_refused() {
    let state = busy(BUSY, 4, None).state();
    let changed = BUSY.replace("nine", "ten");
    let error = busy(&changed, 4, None).restore(&state).unwrap_err();
    assert_eq!(error.0, "the script was changed");
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let mut rule = busy(BUSY, 4, None);
    let mut out = Output::default();
    for place in 0..20 {
        step(&mut rule, &stock(place, place % 3, 5), &mut out);
    }
    let good = serde_json::to_string(&rule.state()).unwrap();
    let wrong = [
        ("\"born\":3", "\"born\":2"),
        ("\"born\":3", "\"born\":18446744073709551615"),
        ("\"timers_set\":", "\"timers_set\":0,\"more\":"),
        ("\"keys\":[", "\"keys\":[[1],"),
        ("\"keys\":[", "\"keys\":[[true,1,0,{}],"),
        ("\"trace_ids\":", "\"trace_ids\":\"x\",\"y\":"),
    ];
    for (from, to) in wrong {
        assert!(good.contains(from), "{from} in {good}");
        let state: State = serde_json::from_str(&good.replace(from, to)).unwrap();
        assert!(busy(BUSY, 4, None).restore(&state).is_err(), "{to}");
    }
    assert!(busy(BUSY, 4, None).restore(&State::none()).is_err());
    let state: State = serde_json::from_str(&good).unwrap();
    assert!(busy(BUSY, 2, None).restore(&state).is_err(), "more keys than there may be");
    busy(BUSY, 4, None).restore(&state).unwrap();
}
