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
    /// So many after each other come in the opposite order of their times.
    #[serde(default = "one")]
    backwards: i64,
    /// Where calls are told.
    notes: usize,
}

fn one() -> i64 {
    1
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
            let back = self.settings.backwards;
            let at = number - number % back + (back - 1 - number % back);
            out.set(row, self.time, Value::Time(at * self.settings.every_ms));
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

/// Gives three events and is cut off, gives three more, and ends.
struct CutOff {
    polls: u32,
    engine: Engine,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

impl Plugin for CutOff {
    const NAME: &'static str = "cut_off";
    const EXAMPLE: &'static str = "{}\n";
    type Settings = Nothing;

    fn create(_: Nothing, engine: &Engine) -> Result<Self, Error> {
        Ok(Self { polls: 0, engine: engine.clone() })
    }
}

impl engine_plugin::Source for CutOff {
    fn poll(&mut self, out: &mut Output<'_>, _: usize, _: Duration) -> Result<Poll, Error> {
        self.polls += 1;
        if self.polls > 2 {
            return Ok(Poll::End);
        }
        for _ in 0..3 {
            out.push("number");
        }
        if self.polls == 1 {
            // It need not be waited for.
            self.engine.wake();
            return Err(Error::retry("the connection is lost"));
        }
        Ok(Poll::Ready(6))
    }
}

/// Gives as many events as it is asked for, a hundred thousand in all.
struct Many {
    left: usize,
}

impl Plugin for Many {
    const NAME: &'static str = "many";
    const EXAMPLE: &'static str = "{}\n";
    type Settings = Nothing;

    fn create(_: Nothing, _: &Engine) -> Result<Self, Error> {
        Ok(Self { left: 100_000 })
    }
}

impl engine_plugin::Source for Many {
    fn poll(&mut self, out: &mut Output<'_>, max: usize, _: Duration) -> Result<Poll, Error> {
        if self.left == 0 {
            return Ok(Poll::End);
        }
        for _ in 0..max.min(self.left) {
            out.push("number");
            self.left -= 1;
        }
        Ok(Poll::Ready(self.left as u64))
    }
}

/// A feed of a plugin without settings.
async fn feed(plugin: boundary::Exported, cx: &SourceContext) -> Box<dyn Feed> {
    let Stage::Source(source) = stage(plugin, json!({})) else { panic!("not a source") };
    source.open(cx.clone(), None).await.unwrap()
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
async fn nothing_is_lost_or_comes_twice_where_polls_are_cut_otherwise_after_a_restart() {
    let cut = |a_poll: i64| {
        // Events are due one by one.
        let mut fixture = self::fixture(32, a_poll, 10, clock(Speed::Factor(1.0)));
        fixture.settings["backwards"] = 4.into();
        fixture.cx.batch_events = 8;
        fixture
    };
    let mut all = rest(&mut *cut(8).open(None).await).await;
    assert_eq!(all.len(), 32);
    all.sort_unstable();
    for batches in 0..32 {
        let mut feed = cut(8).open(None).await;
        let mut seen = Vec::new();
        for _ in 0..batches {
            seen.extend(ids(&feed.next().await.unwrap().unwrap()));
        }
        // In the middle of what was handed on already, too.
        for (a_poll, batches) in [(2, 1), (3, 1), (1, 2)] {
            feed = cut(a_poll).open(Some(&feed.state())).await;
            for _ in 0..batches {
                seen.extend(feed.next().await.unwrap().iter().flat_map(ids));
            }
        }
        seen.extend(rest(&mut *cut(5).open(Some(&feed.state())).await).await);
        seen.sort_unstable();
        assert_eq!(seen, all, "after {batches} batches");
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_in_one_second_share_no_id() {
    let mut cx = SourceContext::for_test(clock(Speed::Max));
    cx.batch_events = 10_000;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2 {
        let mut feed = feed(boundary::source::<Many>("1.0.0"), &cx).await;
        while let Some(batch) = feed.next().await.unwrap() {
            seen.extend(batch.events().iter().map(|event| event.trace_id.to_string()));
        }
        // Both give events of the same second, which the start says.
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(seen.len(), 200_000);
}

#[tokio::test]
async fn what_a_poll_gave_before_it_could_not_go_on_is_handed_on() {
    let mut feed =
        feed(boundary::source::<CutOff>("1.0.0"), &SourceContext::for_test(clock(Speed::Max)))
            .await;
    assert_eq!(rest(&mut *feed).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn events_ahead_of_their_time_wait_for_it() {
    let clock = clock(Speed::Factor(1.0));
    let fixture = fixture(5, 5, 100, clock.clone());
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
