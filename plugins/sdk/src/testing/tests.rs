//! The kit runs one plugin of each kind, which behave well and badly as their events say.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{
    Failed, Fate, Fault, START_MS, correlator, enricher, restored_correlator, restored_source,
    sink, source,
};
use crate::{
    Correlator, Delivery, Engine, Enricher, Error, Events, Key, Metric, Observed, Outcome, Output,
    Plugin, Poll, Retained, Rows, Sink, Source, Value,
};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What is done at the start: nothing, or `fail`.
    #[serde(default)]
    start: String,
}

/// All kinds at once: what it does with an event stands in `payload.do`.
struct Obeys {
    engine: Engine,
    start: String,
    order: Key,
    value: Key,
    inside: Key,
    deep: Key,
    time: Key,
    link: Key,
    count: Metric,
    next: u64,
    kept: Vec<Retained>,
}

impl Plugin for Obeys {
    const NAME: &'static str = "obeys";
    const EXAMPLE: &'static str = "start: ''\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            engine: engine.clone(),
            start: settings.start,
            order: engine.key("payload.do")?,
            value: engine.key("payload.value")?,
            inside: engine.key("payload.value.x")?,
            deep: engine.key("payload.a.b")?,
            time: engine.key("ingest_timestamp")?,
            link: engine.key("session_id")?,
            count: engine.counter("rows", "events"),
            next: 0,
            kept: Vec::new(),
        })
    }

    fn start(&mut self) -> Result<(), Error> {
        self.engine.info("started");
        if self.start == "fail" { Err(Error::config("told to fail")) } else { Ok(()) }
    }
}

impl Enricher for Obeys {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            self.count.increment();
            match rows.str(row, self.order).unwrap_or_default().to_owned().as_str() {
                "drop" => rows.drop_row(row),
                "fail" => rows.fail(row, "told to"),
                "retry" => return Err(Error::retry("told to")),
                "panic" => panic!("told to"),
                "drop and fail" => {
                    rows.drop_row(row);
                    rows.fail(row, "after all");
                }
                "move" => assert!(rows.set(row, self.time, Value::Time(START_MS + 1500))),
                "link" => assert!(rows.set(row, self.link, "S1")),
                "nan" => assert!(rows.set(row, self.value, f64::NAN)),
                "deep" => assert!(rows.set(row, self.deep, 1.5)),
                "misuse" => {
                    assert!(!rows.set(row, self.time, "noon"), "no instant");
                    assert!(rows.set(row, self.time, "2026-01-05T10:00:00+01:00"), "an instant");
                    assert!(!rows.set(row, self.link, 1), "a link is a text");
                    assert!(!rows.set(row, self.value, Value::Json("[1,")), "half a list");
                    assert!(!rows.set(row, self.inside, 1), "a list has no fields");
                    assert!(rows.remove(row, self.inside), "there is nothing to take out");
                    assert!(!rows.set(rows.len(), self.value, 1), "there is no such row");
                }
                "describe" => {
                    let said = format!("{:?}", rows.get(row, self.value));
                    assert!(rows.set(row, self.value, &said));
                }
                _ => assert!(rows.remove(row, self.value)),
            }
        }
        Ok(())
    }
}

impl Correlator for Obeys {
    const REMEMBERS: bool = true;

    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
        self.next += 1;
        match events.str(0, self.order).unwrap_or_default() {
            "drop" => events.drop_row(0),
            "fatal" => return Err(Error::fatal("told to")),
            "later" => self.engine.next_tick(Some(START_MS + 60_000)),
            _ => {
                let row = out.push_caused_by("derived", events, 0);
                assert!(out.set(row, self.value, self.next as i64));
                assert!(out.push_json(r#"{"event_type":"x"}"#).is_err(), "no source");
            }
        }
        Ok(())
    }

    fn tick(&mut self, _: i64, out: &mut Output<'_>) -> Result<(), Error> {
        out.push("ticked");
        Ok(())
    }

    fn drain(&mut self, _: i64, out: &mut Output<'_>) -> Result<(), Error> {
        out.push("drained");
        Ok(())
    }

    fn save(&self) -> Json {
        json!({ "next": self.next })
    }

    fn restore(&mut self, state: Json) -> Result<(), Error> {
        self.next = state["next"].as_u64().ok_or_else(|| Error::fatal("no `next`"))?;
        Ok(())
    }
}

impl Source for Obeys {
    const REMEMBERS: bool = true;

    fn poll(&mut self, out: &mut Output<'_>, max: usize, _: Duration) -> Result<Poll, Error> {
        self.next += 1;
        match self.next {
            1 => {
                let row = out.push("made");
                out.set(row, self.value, max as i64);
                out.push_json(
                    r#"{"event_type":"read","ingest_timestamp":"2026-01-05T10:00:00Z"}"#,
                )?;
                assert!(out.push_json("{}").is_err(), "an event without a type");
                assert!(out.push_json(r#"{"event_type":"x","y":1}"#).is_err(), "no such key");
                while out.len() < max {
                    out.push("more");
                }
                let row = out.push("too many");
                assert!(!out.set(row, self.value, 1), "there is no such row");
                out.watermark(self.engine.now_ms());
                Ok(Poll::Ready(1))
            }
            2 => {
                let engine = self.engine.clone();
                std::thread::spawn(move || engine.wake());
                Ok(Poll::Again)
            }
            _ => Ok(Poll::End),
        }
    }

    fn ack(&mut self, place: u64) -> Result<(), Error> {
        self.engine.info(format_args!("delivered up to {place}"));
        Ok(())
    }

    fn save(&self) -> Json {
        json!({ "next": self.next })
    }

    fn restore(&mut self, state: Json) -> Result<(), Error> {
        self.next = state["next"].as_u64().ok_or_else(|| Error::fatal("no `next`"))?;
        Ok(())
    }
}

impl Sink for Obeys {
    const MAX_IN_FLIGHT: u32 = 2;

    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        match events.str(0, self.order).unwrap_or_default() {
            "later" => *LATER.lock().unwrap() = Some(delivery),
            "keep" => {
                self.kept.extend(events.retain());
                let kept = events.retain().unwrap();
                let (order, engine) = (self.order, self.engine.clone());
                std::thread::spawn(move || {
                    engine.info(kept.events().str(0, order).unwrap_or("gone"));
                    delivery.complete(&Outcome::delivered().except(1, Error::retry("full")));
                });
            }
            "hoard" => {
                std::mem::forget(events.retain());
                delivery.delivered();
            }
            "panic" => panic!("told to"),
            _ => drop(delivery),
        }
    }
}

static LATER: Mutex<Option<Delivery>> = Mutex::new(None);

fn order(order: &str) -> Json {
    json!({ "payload": { "do": order, "value": [1, { "x/y": null }] } })
}

#[test]
fn an_enricher_says_what_became_of_each_event() -> Result<(), Failed> {
    let mut obeys = enricher::<Obeys>(json!({}))?;
    let orders = [
        "drop",
        "fail",
        "drop and fail",
        "move",
        "link",
        "deep",
        "misuse",
        "describe",
        "remove",
        "nan",
    ];
    let fates = obeys.enrich(orders.map(order))?;
    assert_eq!(fates[0], Fate::Dropped);
    assert_eq!(fates[1], Fate::Failed("told to".to_owned()));
    assert_eq!(fates[2], Fate::Failed("after all".to_owned()), "the last word counts");
    let kept: Vec<_> = fates[3..].iter().map(|fate| fate.kept().unwrap()).collect();
    assert_eq!(kept[0]["ingest_timestamp"], "2026-01-05T09:00:01.500Z");
    assert_eq!(kept[1]["session_id"], "S1");
    assert_eq!(kept[2]["payload"]["a"], json!({ "b": 1.5 }));
    assert_eq!(kept[3]["payload"], order("misuse")["payload"]);
    assert_eq!(kept[4]["payload"]["value"], r#"Json("[1,{\"x/y\":null}]")"#);
    assert_eq!(kept[5]["payload"], json!({ "do": "remove" }));
    assert_eq!(
        kept[6]["payload"],
        json!({ "do": "nan", "value": null }),
        "JSON has no such number"
    );
    let rows = obeys.host().metric("rows").unwrap();
    assert_eq!((rows.count, rows.unit.as_str()), (10, "events"));
    Ok(())
}

#[test]
fn what_an_event_lacks_is_filled_in_and_what_it_must_not_have_is_told() -> Result<(), Failed> {
    let mut obeys = enricher::<Obeys>(json!({}))?;
    let fates = obeys.enrich([json!({}), json!({ "event_type": "sold", "session_id": "S" })])?;
    let (first, second) = (fates[0].kept().unwrap(), fates[1].kept().unwrap());
    let whole = json!({
        "event_type": "test_event",
        "payload": {},
        "trace_id": "TR_test_1",
        "ingest_timestamp": "2026-01-05T09:00:00.000Z",
        "schema_version": "1.0",
        "source": "test",
        "correlation_id": null,
        "partition_key": null,
        "session_id": null,
        "parent_event_id": null,
    });
    assert_eq!(first.to_string(), whole.to_string());
    assert_eq!((&second["event_type"], &second["session_id"]), (&json!("sold"), &json!("S")));
    let mut wrong = |event| obeys.enrich([event]).unwrap_err().reason;
    assert_eq!(wrong(json!(1)), "an event is a JSON object, not `1`");
    assert_eq!(
        wrong(json!({ "total": 1 })),
        "`total` is no key of an event; is it one of the `payload`?"
    );
    assert_eq!(wrong(json!({ "ingest_timestamp": "noon" })), "`ingest_timestamp` does not fit");
    Ok(())
}

#[test]
fn an_enricher_that_panics_is_followed_by_a_new_one_and_its_panic_is_in_the_log()
-> Result<(), Failed> {
    let mut obeys = enricher::<Obeys>(json!({}))?;
    let failed = obeys.enrich([order("panic")]).unwrap_err();
    assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Panic, "panicked: told to"));
    assert_eq!(obeys.enrich([order("retry")]).unwrap_err().fault, Fault::Retry);
    assert_eq!(obeys.enrich([order("remove")])?.len(), 1);
    let lines: Vec<_> = obeys.host().lines().into_iter().map(|line| line.message).collect();
    assert_eq!((lines.len(), lines[0].as_str()), (3, "started"));
    assert!(lines[1].contains("testing/tests.rs"), "{lines:?}");
    assert_eq!(lines[2], "started", "once for each instance");
    Ok(())
}

#[test]
fn settings_that_are_wrong_and_a_start_that_fails_make_no_instance() {
    let failed = enricher::<Obeys>(json!({ "begin": "now" })).err().unwrap();
    assert_eq!(failed.fault, Fault::Config);
    assert!(failed.reason.contains("unknown field `begin`"), "{failed}");
    let failed = enricher::<Obeys>(json!({ "start": "fail" })).err().unwrap();
    assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Config, "told to fail"));
}

#[test]
fn a_correlator_derives_events_with_the_links_of_their_cause() -> Result<(), Failed> {
    let mut obeys = correlator::<Obeys>(json!({}))?;
    let event = json!({
        "trace_id": "TR_1",
        "ingest_timestamp": "2026-01-05T10:00:00.250Z",
        "correlation_id": "C1",
        "payload": { "x": 1 },
    });
    let seen = obeys.observe(event)?;
    assert_eq!(seen.event.kept().unwrap()["payload"], json!({ "x": 1 }));
    let derived = &seen.derived[0];
    assert_eq!(derived["ingest_timestamp"], "2026-01-05T10:00:00.250Z");
    assert_eq!(
        (&derived["correlation_id"], &derived["parent_event_id"]),
        (&json!("C1"), &json!("TR_1"))
    );
    assert_eq!(derived["payload"], json!({ "value": 1 }));
    assert_eq!(obeys.observe(order("drop"))?.event, Fate::Dropped);
    Ok(())
}

#[test]
fn a_correlator_gets_the_ticks_that_it_asks_for() -> Result<(), Failed> {
    let mut obeys = correlator::<Obeys>(json!({}))?;
    assert_eq!(obeys.next_tick(), None);
    obeys.observe(order("later"))?;
    assert_eq!(obeys.next_tick(), Some(START_MS + 60_000));
    obeys.tick(START_MS + 1)?;
    assert_eq!(obeys.next_tick(), Some(START_MS + 60_000), "it is not time yet");
    let ticked = obeys.tick(START_MS + 60_000)?;
    assert_eq!(ticked[0]["event_type"], "ticked");
    assert_eq!(ticked[0]["ingest_timestamp"], "2026-01-05T09:01:00.000Z");
    assert_eq!(obeys.next_tick(), None);
    assert_eq!(obeys.drain(START_MS)?[0]["event_type"], "drained");
    Ok(())
}

#[test]
fn a_correlator_goes_on_from_what_it_remembers_and_not_after_it_failed() -> Result<(), Failed> {
    let mut obeys = correlator::<Obeys>(json!({}))?;
    obeys.observe(json!({}))?;
    let state = obeys.save()?;
    assert_eq!(obeys.observe(order("fatal")).unwrap_err().fault, Fault::Fatal);
    assert_eq!(obeys.observe(json!({})).unwrap_err().reason, "the run has failed already");
    let mut obeys = restored_correlator::<Obeys>(json!({}), &state)?;
    assert_eq!(obeys.observe(json!({}))?.derived[0]["payload"]["value"], 2);
    let failed = restored_correlator::<Obeys>(json!({}), &json!({})).err().unwrap();
    assert_eq!(failed.reason, "no `next`");
    Ok(())
}

#[test]
fn a_source_gives_events_wakes_its_host_and_goes_on_where_it_was() -> Result<(), Failed> {
    let mut obeys = source::<Obeys>(json!({}))?;
    let polled = obeys.poll_for(7, Duration::ZERO)?;
    assert_eq!((polled.poll, polled.watermark_ms), (Poll::Ready(1), Some(START_MS)));
    assert_eq!((&polled.events[0]["payload"]["value"], polled.events.len()), (&json!(7), 7));
    assert_eq!(polled.events[1]["ingest_timestamp"], "2026-01-05T10:00:00Z");
    obeys.ack(1)?;
    let state = obeys.save()?;
    assert_eq!(obeys.poll()?.poll, Poll::Again);
    assert!(obeys.woken());
    assert_eq!(obeys.poll()?.poll, Poll::End);
    let said = obeys.host().lines();
    assert_eq!(said.last().unwrap().message, "delivered up to 1");
    assert_eq!(restored_source::<Obeys>(json!({}), &state)?.poll()?.poll, Poll::Again);
    Ok(())
}

#[test]
fn a_sink_is_waited_for_and_no_more_writes_are_on_their_way_than_it_takes() -> Result<(), Failed> {
    let mut obeys = sink::<Obeys>(json!({}))?;
    let outcome = obeys.write([order("keep"), json!({})])?;
    assert_eq!(outcome, Outcome::delivered().except(1, Error::retry("full")));
    assert_eq!(obeys.host().lines()[1].message, "keep", "read on a thread, after the call");
    let unanswered = obeys.write([order("forget")])?;
    assert_eq!(unanswered.error.unwrap().reason(), "the plugin gave no answer");
    assert_eq!(obeys.write([order("panic")]).unwrap_err().fault, Fault::Panic);
    let token = obeys.begin([order("later")])?;
    obeys.begin([order("hoard")])?;
    assert_eq!(obeys.answer(token + 1)?, Outcome::delivered());
    let second = obeys.begin([order("hoard")])?;
    obeys.answer(second)?;
    LATER.lock().unwrap().take().unwrap().delivered();
    assert_eq!(obeys.answer(token)?, Outcome::delivered());
    assert_eq!(obeys.flush()?, Outcome::delivered());
    let host = obeys.host();
    drop(obeys);
    let last = host.lines().pop().unwrap().message;
    assert_eq!(last, "2 batches were retained and never released");
    Ok(())
}

#[test]
fn a_sink_that_has_as_many_writes_unanswered_as_it_takes_gets_no_more() -> Result<(), Failed> {
    let mut keeps = sink::<Keeps>(json!({}))?;
    keeps.begin([json!({})])?;
    let failed = keeps.begin([json!({})]).unwrap_err();
    assert_eq!(failed.reason, "`MAX_IN_FLIGHT` is 1, and as many writes are unanswered");
    Ok(())
}

/// Never answers.
struct Keeps(Vec<Delivery>);

impl Plugin for Keeps {
    const NAME: &'static str = "keeps";
    const EXAMPLE: &'static str = "";
    type Settings = Settings;

    fn create(_: Settings, _: &Engine) -> Result<Self, Error> {
        Ok(Self(Vec::new()))
    }
}

impl Sink for Keeps {
    fn write(&mut self, _: &Events<'_>, delivery: Delivery) {
        self.0.push(delivery);
    }
}
