//! Random streams, with stragglers: the same results as from plain sums, and the same wherever the
//! correlator was stopped and gone on with.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Events as (second, key, quantity): they go forward, and some are behind.
fn stream() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    let step = (0_i64..30, prop_oneof![3 => Just(0_i64), 1 => 0_i64..200], 0_i64..4, -9_i64..10);
    prop::collection::vec(step, 1..120).prop_map(|steps| {
        let mut now = 0;
        let event = |(step, behind, key, quantity)| {
            now += step;
            (now - behind, key, quantity)
        };
        steps.into_iter().map(event).collect()
    })
}

/// What was told last of each window: (key, start) to (end, count, sum).
type Results = BTreeMap<(i64, i64), (i64, i64, i64)>;

fn results(run: &Run) -> Results {
    let mut results = Results::new();
    for event in &run.out.events {
        let field = |name: &str| event.payload.get(Key::intern(name).unwrap()).unwrap().clone();
        let number = |name: &str| field(name).as_i64().unwrap();
        let second = |name: &str| match field(name) {
            Value::Time(time) => (time.as_millis() - at(0).as_millis()) / 1000,
            other => panic!("{other:?}"),
        };
        let result = (second("window_end"), number("n"), number("units"));
        results.insert((number("product_id"), second("window_start")), result);
    }
    results
}

fn settings(shape: &str, lateness: i64) -> String {
    format!(
        "{shape}\nkey: payload.product_id\nemit: x\nallowed_lateness: {lateness}s
aggregates: {{ n: count, units: {{ sum: payload.quantity }}, most: {{ max: payload.quantity }},
  kinds: {{ distinct: payload.quantity }}, price: {{ avg: payload.price }} }}"
    )
}

fn fed(with: &str, events: &[(i64, i64, i64)]) -> Run {
    let events: Vec<Event> =
        events.iter().map(|(second, key, quantity)| sale(*second, *key, *quantity)).collect();
    let mut run = super::run(with, &events);
    run.watermark(at(100_000));
    run
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_say_what_plain_sums_say(
        events in stream(), size in 1_i64..120, hops in 1_i64..5, lateness in 0_i64..200,
    ) {
        let every = (size / hops).max(1);
        let with = settings(&format!("kind: hopping\nsize: {size}s\nevery: {every}s"), lateness);
        let run = fed(&with, &events);
        let (mut expected, mut late, mut horizon) = (Results::new(), 0, i64::MIN);
        for (second, key, quantity) in &events {
            horizon = horizon.max(*second);
            let mut found = false;
            // The beginning of the tests is not a multiple of every size.
            let first = crate::correlators::harness::START.rem_euclid(every);
            for start in second - size..=*second {
                let is_start = (start + first).rem_euclid(every) == 0;
                // A window is over at the millisecond before its end.
                if !is_start || start + size <= *second || start + size + lateness <= horizon {
                    continue;
                }
                found = true;
                let result = expected.entry((*key, start)).or_insert((start + size, 0, 0));
                (result.1, result.2) = (result.1 + 1, result.2 + quantity);
            }
            late += usize::from(!found);
        }
        prop_assert_eq!(results(&run), expected);
        prop_assert_eq!(run.late, late);
        prop_assert_eq!(run.correlator.next_timer(), None);
    }

    #[test]
    fn sessions_say_what_plain_sums_say(events in stream(), gap in 1_i64..60, sorted in any::<bool>()) {
        let mut events = events;
        let lateness = if sorted { events.sort_by_key(|event| event.0); 0 } else { 10_000 };
        let run = fed(&settings(&format!("kind: session\ngap: {gap}s"), lateness), &events);
        events.sort_by_key(|event| event.0);
        let mut expected = BTreeSet::new();
        for key in 0..4 {
            let of_key: Vec<_> = events.iter().filter(|event| event.1 == key).collect();
            for session in of_key.chunk_by(|one, next| next.0 - one.0 < gap) {
                let (first, last) = (session[0].0, session[session.len() - 1].0);
                let units = session.iter().map(|event| event.2).sum();
                expected.insert(((key, first), (last + gap, session.len() as i64, units)));
            }
        }
        let told: BTreeSet<_> = results(&run).into_iter().collect();
        prop_assert!(told.is_superset(&expected), "{told:?}\n{expected:?}");
        if sorted {
            prop_assert_eq!(told, expected);
        }
        prop_assert_eq!(run.late, 0);
        prop_assert_eq!(run.correlator.next_timer(), None);
    }

    #[test]
    fn windows_go_on_with_the_same_results_wherever_they_were_stopped(
        events in stream(), every in 1_usize..12, lateness in 0_i64..100, shape in 0_usize..3,
    ) {
        let shape = ["kind: tumbling\nsize: 40s", "kind: hopping\nsize: 60s\nevery: 25s",
            "kind: session\ngap: 20s"][shape];
        let with = settings(shape, lateness);
        let (mut uncut, mut cut) = (run(&with, &[]), run(&with, &[]));
        for (place, (second, key, quantity)) in events.iter().enumerate() {
            for run in [&mut uncut, &mut cut] {
                run.see(&sale(*second, *key, *quantity));
                if place % 7 == 0 { run.watermark(at(*second)); }
            }
            if place % every == 0 { cut.restart::<WindowSettings>(&with); }
        }
        for run in [&mut uncut, &mut cut] {
            run.pass(at(events.len() as i64 * 15));
            run.correlator.drain(Timestamp::MAX, &mut run.out);
        }
        prop_assert_eq!(cut.all(), uncut.all());
    }
}
