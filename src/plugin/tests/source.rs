use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine_plugin::{Engine, Error, Key, Output, Plugin, Poll, Value, boundary};
use serde_json::{Value as Json, json};

use super::stage;
use crate::clock::{Clock, Speed};
use crate::event::{Batch, Timestamp};
use crate::stage::{Feed, Hold, Source, SourceContext, Stage, State};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    /// How many events there are.
    count: i64,
    /// How many of them a poll gives.
    a_poll: i64,
    /// How far they are apart.
    every_ms: i64,
    /// Where calls are told.
    notes: usize,
}

static NOTES: Mutex<Vec<Arc<Mutex<Vec<String>>>>> = Mutex::new(Vec::new());

/// Counts.
struct Numbers {
    settings: Settings,
    next: i64,
    number: Key,
    time: Key,
}

impl Numbers {
    fn note(&self, text: String) {
        NOTES.lock().unwrap()[self.settings.notes].lock().unwrap().push(text);
    }
}

impl Plugin for Numbers {
    const NAME: &'static str = "numbers";
    const EXAMPLE: &'static str = "count: 1\na_poll: 1\nevery_ms: 1\nnotes: 0\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let (number, time) = (engine.key("payload.number")?, engine.key("ingest_timestamp")?);
        Ok(Self { settings, next: 0, number, time })
    }
}

impl engine_plugin::Source for Numbers {
    const REMEMBERS: bool = true;

    fn poll(&mut self, out: &mut Output<'_>, _: usize, _: Duration) -> Result<Poll, Error> {
        if self.next == self.settings.count {
            return Ok(Poll::End);
        }
        if self.next == 666 {
            return Err(Error::fatal("an evil number"));
        }
        let end = (self.next + self.settings.a_poll).min(self.settings.count);
        for number in self.next..end {
            let row = out.push("number");
            out.set(row, self.number, number);
            out.set(row, self.time, Value::Time(number * self.settings.every_ms));
        }
        self.next = end;
        Ok(Poll::Ready(end as u64))
    }

    fn ack(&mut self, place: u64) -> Result<(), Error> {
        self.note(format!("ack {place}"));
        Ok(())
    }

    fn save(&self) -> Json {
        json!(self.next)
    }

    fn restore(&mut self, state: Json) -> Result<(), Error> {
        self.next = state.as_i64().ok_or_else(|| Error::fatal("not a number"))?;
        Ok(())
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.note("end".to_owned());
    }
}

struct Fixture {
    settings: Json,
    notes: Arc<Mutex<Vec<String>>>,
    cx: SourceContext,
}

fn fixture(count: i64, a_poll: i64, every_ms: i64, clock: Clock) -> Fixture {
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut all = NOTES.lock().unwrap();
    all.push(notes.clone());
    let number = all.len() - 1;
    let settings =
        json!({ "count": count, "a_poll": a_poll, "every_ms": every_ms, "notes": number });
    let mut cx = SourceContext::for_test(clock);
    cx.batch_events = 7;
    Fixture { settings, notes, cx }
}

impl Fixture {
    fn source(&self) -> Box<dyn Source> {
        match stage(boundary::source::<Numbers>("1.0.0"), self.settings.clone()) {
            Stage::Source(source) => source,
            _ => panic!("not a source"),
        }
    }

    async fn open(&self, state: Option<&State>) -> Box<dyn Feed> {
        self.source().open(self.cx.clone(), state).await.unwrap()
    }
}

/// From 1970 on.
fn clock(speed: Speed) -> Clock {
    Clock::new(Some(Timestamp::from_millis(0)), speed, false)
}

fn ids(batch: &Batch) -> Vec<String> {
    batch.events().iter().map(|event| format!("{} {}", event.trace_id, event.to_json())).collect()
}

async fn rest(feed: &mut dyn Feed) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(batch) = feed.next().await.unwrap() {
        all.extend(ids(&batch));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_feed_goes_on_in_the_middle_of_what_a_poll_gave_with_the_same_events_and_ids() {
    let fixture = fixture(20, 7, 10, clock(Speed::Factor(1.0)));
    let all = rest(&mut *fixture.open(None).await).await;
    assert_eq!(all.len(), 20);
    for batches in 0..20 {
        // Events are due one by one again.
        let fixture = self::fixture(20, 7, 10, clock(Speed::Factor(1.0)));
        let mut feed = fixture.open(None).await;
        let mut seen = Vec::new();
        for _ in 0..batches {
            seen.extend(ids(&feed.next().await.unwrap().unwrap()));
        }
        assert_eq!(seen.len(), batches);
        let mut next = fixture.open(Some(&feed.state())).await;
        seen.extend(rest(&mut *next).await);
        assert_eq!(seen, all, "after {batches} batches");
    }
}

#[tokio::test(start_paused = true)]
async fn events_ahead_of_their_time_wait_for_it() {
    let clock = clock(Speed::Factor(1.0));
    let fixture = fixture(5, 5, 100, clock);
    let mut feed = fixture.open(None).await;
    for number in 0..5 {
        let batch = feed.next().await.unwrap().unwrap();
        assert_eq!(batch.len(), 1);
        assert!(clock.elapsed() >= Duration::from_millis(number * 100));
        assert_eq!(batch.watermark(), batch.events()[0].time);
    }
    assert!(feed.next().await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_made_at_or_after_the_end() {
    let mut fixture = fixture(20, 7, 10, clock(Speed::Max));
    fixture.cx.end = Some(Timestamp::from_millis(50));
    assert_eq!(rest(&mut *fixture.open(None).await).await.len(), 5);
}

#[tokio::test]
async fn what_was_given_beyond_the_end_is_given_by_a_longer_run() {
    let all = rest(&mut *self::fixture(20, 7, 10, clock(Speed::Max)).open(None).await).await;
    let mut short = self::fixture(20, 7, 10, clock(Speed::Max));
    short.cx.end = Some(Timestamp::from_millis(90));
    let (hold, over) = Hold::new();
    short.cx.holds = hold.holds();
    let mut feed = short.open(None).await;
    let mut seen = rest(&mut *feed).await;
    let longer = self::fixture(20, 7, 10, clock(Speed::Max));
    seen.extend(rest(&mut *longer.open(Some(&feed.state())).await).await);
    assert_eq!(seen, all);
    drop((feed, hold));
    over.await;
    assert_eq!(*short.notes.lock().unwrap(), ["ack 7", "end"], "half of a poll is not all of it");
}

#[tokio::test]
async fn a_run_that_stops_before_its_first_event_goes_on_from_where_its_source_began() {
    let fixture = fixture(20, 7, 10, clock(Speed::Max));
    let state = fixture.open(None).await.state();
    let json = serde_json::to_value(&state).unwrap();
    assert_eq!(json["plugin"], 0, "{json}");
    assert_eq!(rest(&mut *fixture.open(Some(&state)).await).await.len(), 20);
}

#[tokio::test]
async fn a_plugin_hears_what_was_delivered_also_after_its_last_poll_and_the_run_waits_for_it() {
    let mut fixture = fixture(9, 3, 0, clock(Speed::Max));
    let (hold, over) = Hold::new();
    fixture.cx.holds = hold.holds();
    let mut feed = fixture.open(None).await;
    let batches = [
        feed.next().await.unwrap().unwrap(),
        feed.next().await.unwrap().unwrap(),
        feed.next().await.unwrap().unwrap(),
    ];
    drop(feed);
    // The feed that is gone holds the run, not the one who gave the hold.
    drop(hold);
    drop(batches);
    over.await;
    assert_eq!(*fixture.notes.lock().unwrap(), ["ack 9", "end"]);
}

#[tokio::test]
async fn what_a_poll_cannot_do_fails_the_source() {
    let fixture = fixture(1000, 666, 0, clock(Speed::Max));
    let mut feed = fixture.open(None).await;
    let mut count = 0;
    let error = loop {
        match feed.next().await {
            Ok(batch) => count += batch.unwrap().len(),
            Err(error) => break error,
        }
    };
    // More than it may give at once is refused.
    assert_eq!((count, error.0.as_str()), (7, "numbers: an evil number"));
}
