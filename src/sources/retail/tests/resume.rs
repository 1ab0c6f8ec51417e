//! Going on from a state, at any moment and in both paces.

use proptest::prelude::*;

use super::*;

/// What a state is after it was kept in a file.
fn kept(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn a_run_that_goes_on_from_its_state_gives_what_one_gives_that_was_never_stopped(
        seed in 0_u64..1000,
        most in 1_usize..300,
        part in 0.0..1.1,
        in_bursts: bool,
        burst in 1_u32..400,
    ) {
        let mut more = json!({ "seed": seed });
        if in_bursts {
            more["emit_interval_ms"] = json!(1000);
            more["burst"] = json!(burst);
        }
        futures::executor::block_on(async {
            let uncut = rest_of(&mut feed(more.clone(), clock(Speed::Max), 90, most).await).await;
            let place = (uncut.len() as f64 * part) as usize;
            let mut first = feed(more.clone(), clock(Speed::Max), 90, most).await;
            let mut events = Vec::new();
            for _ in 0..place {
                events.extend(first.next().await.unwrap());
            }
            let state = kept(&first.state());
            let end = Some(noon() + Duration::from_mins(90));
            let second = open(settings(&more), clock(Speed::Max), end, most, Some(&state)).await;
            let mut second = second.unwrap();
            // What it remembers at once is what it was told.
            let (state, again): (serde_json::Value, serde_json::Value) =
                (state.read().unwrap(), second.state().read().unwrap());
            assert_eq!(state, again);
            events.append(&mut rest_of(&mut second).await);
            assert!(lines(&events) == lines(&uncut), "cut after batch {place} of {}", uncut.len());
        });
    }

    #[test]
    fn a_damaged_state_is_refused_or_read_and_never_a_panic(
        place: prop::sample::Index, byte in 0x20_u8..0x7f,
    ) {
        futures::executor::block_on(async {
            let mut first = feed(json!({}), clock(Speed::Max), 90, 5).await;
            first.next().await.unwrap();
            let mut text = serde_json::to_string(&first.state()).unwrap().into_bytes();
            let place = place.index(text.len());
            let before = std::mem::replace(&mut text[place], byte);
            let Ok(state) = serde_json::from_slice::<State>(&text) else { return };
            let chain = String::from_utf8(text).unwrap().find("\",\"pace\"").unwrap_or(usize::MAX);
            let opened = open(settings(&json!({})), clock(Speed::Max), None, 5, Some(&state)).await;
            let in_the_chain = ("{\"simulation\":\"".len()..chain).contains(&place);
            if in_the_chain && before != byte {
                assert!(opened.is_err(), "{place}: {} for {}", byte as char, before as char);
            } else if let Ok(mut second) = opened {
                second.next().await.unwrap();
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_goes_on_at_its_pace() {
    let paced = clock(Speed::Factor(60.0));
    let mut first = feed(json!({}), paced.clone(), 90, 256).await;
    let mut batches = Vec::new();
    while paced.elapsed() < Duration::from_secs(30) {
        batches.extend(first.next().await.unwrap());
    }
    let state = kept(&first.state());
    let half = paced.now();
    let paced = clock(Speed::Factor(60.0)).going_on_from(half);
    let end = noon() + Duration::from_mins(90);
    let second = open(settings(&json!({})), paced.clone(), Some(end), 256, Some(&state)).await;
    let mut second = second.unwrap();
    while let Some(batch) = second.next().await.unwrap() {
        assert!(
            batch.events().iter().all(|event| event.time <= paced.now() + Duration::from_millis(1))
        );
        batches.push(batch);
    }
    let rest = paced.elapsed().as_secs_f64();
    assert!((59.0..60.1).contains(&rest), "{rest} s");
    assert_eq!(batches.last().unwrap().watermark(), end);
    let uncut = rest_of(&mut feed(json!({}), clock(Speed::Max), 90, 256).await).await;
    assert!(lines(&batches) == lines(&uncut));
}

#[tokio::test(start_paused = true)]
async fn bursts_go_on_where_the_schedule_was() {
    let more = json!({ "emit_interval_ms": 500, "burst": 40 });
    let paced = clock(Speed::Factor(1.0));
    let mut first = feed(more.clone(), paced, 60, 16).await;
    let mut told = 0;
    // Two bursts and a batch of the third.
    while told < 2 * 40 + 16 {
        told += first.next().await.unwrap().unwrap().len();
    }
    let rest = 3 * 40 - told;
    assert!(rest > 0);
    let state = kept(&first.state());
    let paced = clock(Speed::Factor(1.0)).going_on_from(noon() + Duration::from_secs(1));
    let end = Some(noon() + Duration::from_hours(1));
    let mut second = open(settings(&more), paced.clone(), end, 16, Some(&state)).await.unwrap();
    for (count, millis) in [(rest, 0), (40, 500), (40, 1_000)] {
        let mut told = 0;
        while told < count {
            told += second.next().await.unwrap().unwrap().len();
        }
        assert_eq!((told, paced.elapsed().as_millis()), (count, millis));
    }
}

#[tokio::test]
async fn two_legs_give_the_events_of_one_run_that_is_as_long() {
    let mut first = feed(json!({}), clock(Speed::Max), 45, 256).await;
    let mut both = rest_of(&mut first).await;
    let state = kept(&first.state());
    let end = Some(noon() + Duration::from_mins(90));
    let mut second =
        open(settings(&json!({})), clock(Speed::Max), end, 256, Some(&state)).await.unwrap();
    both.append(&mut rest_of(&mut second).await);
    let whole = rest_of(&mut feed(json!({}), clock(Speed::Max), 90, 256).await).await;
    assert!(lines(&both) == lines(&whole));
}

#[tokio::test]
async fn a_state_of_another_chain_is_refused() {
    let mut first = feed(json!({}), clock(Speed::Max), 30, 256).await;
    first.next().await.unwrap();
    let state = first.state();
    for more in [json!({ "seed": 7 }), json!({ "stores": 4 }), json!({ "products": 61 })] {
        let opened = open(settings(&more), clock(Speed::Max), None, 256, Some(&state)).await;
        let Err(refused) = opened else { panic!("{more} was taken") };
        assert!(refused.to_string().contains("master data are others"), "{refused}");
    }
}
