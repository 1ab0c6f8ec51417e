use engine_plugin::{Engine, Error, Key, Observed, Output as Out, Plugin, Value, boundary};
use serde_json::{Value as Json, json};

use super::{event, stage};
use crate::event::{Text, Timestamp};
use crate::stage::{Correlator, Output, Stage, State};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {}

/// Counts events; says the count behind each, and once more a second after the first.
struct Counter {
    what: Key,
    count: Key,
    time: Key,
    counted: i64,
    /// Asks for another tick in each, at a time that is over.
    asks_again: bool,
    engine: Engine,
}

impl Plugin for Counter {
    const NAME: &'static str = "counter";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            what: engine.key("payload.do")?,
            count: engine.key("payload.count")?,
            time: engine.key("ingest_timestamp")?,
            counted: 0,
            asks_again: false,
            engine: engine.clone(),
        })
    }
}

impl engine_plugin::Correlator for Counter {
    const REMEMBERS: bool = true;

    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        for row in 0..events.len() {
            let what = events.str(row, self.what).map(str::to_owned);
            self.counted += 1;
            if self.counted == 1 {
                self.engine.next_tick(events.i64(row, self.time).map(|time| time + 1000));
            }
            let derived = out.push_caused_by("counted", events, row);
            out.set(derived, self.count, self.counted);
            match what.as_deref() {
                Some("fail") => events.fail(row, "it said so"),
                Some("drop") => events.drop_row(row),
                Some("again") => {
                    self.asks_again = true;
                    self.engine.next_tick(Some(0));
                }
                Some("too early") => _ = out.set(derived, self.time, Value::Time(0)),
                Some("error") => return Err(Error::rejected("not this one")),
                Some("panic") => panic!("a defect"),
                _ => {}
            }
        }
        Ok(())
    }

    fn tick(&mut self, now_ms: i64, out: &mut Out<'_>) -> Result<(), Error> {
        if self.asks_again {
            self.engine.next_tick(Some(0));
        }
        if now_ms % 1000 == 0 {
            let row = out.push("ticked");
            out.set(row, self.count, self.counted);
        }
        Ok(())
    }

    fn save(&self) -> Json {
        assert_ne!(self.counted, 13, "unlucky");
        json!(self.counted)
    }

    fn restore(&mut self, state: Json) -> Result<(), Error> {
        self.counted = state.as_i64().ok_or_else(|| Error::fatal("not a count"))?;
        Ok(())
    }
}

fn counter() -> Box<dyn Correlator> {
    match stage(boundary::correlator::<Counter>("1.0.0"), json!({})) {
        Stage::Correlator(counter) => counter,
        _ => panic!("not a correlator"),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn what_it_derives_has_a_cause_or_a_time() {
    let (mut counter, mut out) = (counter(), Output::default());
    counter.open().unwrap();
    assert_eq!(counter.next_timer(), None);
    let cause = event(500, json!({}));
    counter.observe(&cause, &mut out).unwrap();
    assert_eq!(counter.next_timer(), Some(at(1500)));
    let derived = &out.events[0];
    assert_eq!(derived.event_type.as_str(), "counted");
    assert_eq!(derived.parent_event_id, Some(Text::from("T500")));
    assert_eq!((derived.time, derived.partition_key.clone()), (at(500), cause.partition_key));
    assert!(derived.trace_id.as_stamped().is_some(), "it has an id of its own");
    counter.advance(at(2000), &mut out);
    assert_eq!((counter.next_timer(), out.events.len()), (None, 2));
    assert_eq!((out.events[1].time, out.events[1].parent_event_id.clone()), (at(2000), None));
    assert!(counter.passes_through());
}

#[test]
fn what_fails_about_an_event_is_its_own_affair() {
    let (mut counter, mut out) = (counter(), Output::default());
    let failure = counter.observe(&event(1, json!({ "do": "fail" })), &mut out).unwrap_err();
    assert_eq!((failure.category, failure.reason.as_str()), ("plugin", "counter: it said so"));
    let failure = counter.observe(&event(2, json!({ "do": "error" })), &mut out).unwrap_err();
    assert_eq!(failure.reason, "counter: not this one");
    assert!(out.events.is_empty() && out.broken.is_none());
    counter.observe(&event(3, json!({ "do": "drop" })), &mut out).unwrap();
    assert!(out.drops);
    let failure = counter.observe(&event(4, json!({ "do": "panic" })), &mut out).unwrap_err();
    assert_eq!(failure.reason, "counter: panicked: a defect");
    assert_eq!(out.broken.unwrap().0, "counter: panicked: a defect", "what it knew is gone");
}

#[test]
fn a_tick_that_is_asked_for_too_late_comes_at_once_and_time_goes_on_all_the_same() {
    let (mut counter, mut out) = (counter(), Output::default());
    counter.open().unwrap();
    counter.observe(&event(500, json!({ "do": "again" })), &mut out).unwrap();
    assert_eq!(counter.next_timer(), Some(at(500)), "not before the event");
    for ms in 500..600 {
        assert_eq!(counter.next_timer(), Some(at(ms)));
        counter.advance(at(ms), &mut out);
    }
    counter.advance(at(2000), &mut out);
    assert_eq!(counter.next_timer(), Some(at(2001)));
    counter.advance(Timestamp::MAX, &mut out);
    assert_eq!(counter.next_timer(), None, "no time is left");
    assert!(out.failures.is_empty() && out.broken.is_none());
}

#[test]
fn what_is_derived_is_not_before_what_led_to_it() {
    let (mut counter, mut out) = (counter(), Output::default());
    let failure = counter.observe(&event(5, json!({ "do": "too early" })), &mut out).unwrap_err();
    let reason = "counter: the event in row 0 is at 1970-01-01T00:00:00.000Z, which is before \
                  1970-01-01T00:00:00.005Z, when it was derived";
    assert_eq!((failure.category, failure.reason.as_str()), ("plugin", reason));
    assert!(out.events.is_empty() && out.broken.is_none());
}

#[test]
fn another_instance_goes_on_from_its_state_with_other_ids_and_the_same_tick() {
    let (mut one, mut out) = (counter(), Output::default());
    one.observe(&event(500, json!({})), &mut out).unwrap();
    let state = one.state();
    let mut two = counter();
    two.restore(&state).unwrap();
    assert_eq!(two.next_timer(), Some(at(1500)));
    two.observe(&event(500, json!({})), &mut out).unwrap();
    assert!(out.events[1].to_json().contains(r#""count":2"#));
    assert_ne!(out.events[0].trace_id, out.events[1].trace_id);
    assert!(two.restore(&State::of(&7)).is_err());
}

#[test]
fn a_state_that_cannot_be_said_ends_the_run_and_is_not_gone_on_from() {
    let (mut counter, mut out) = (counter(), Output::default());
    for ms in 0..13 {
        counter.observe(&event(ms, json!({})), &mut out).unwrap();
    }
    let state = counter.state();
    counter.advance(at(14), &mut out);
    assert!(out.broken.unwrap().0.contains("unlucky"));
    let error = self::counter().restore(&state).unwrap_err();
    assert!(error.0.contains("could not save"), "{error}");
}
