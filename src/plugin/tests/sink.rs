use std::sync::Mutex;
use std::time::Duration;

use engine_plugin::{Delivery, Engine, Error, Events, Key, Outcome as Answer, Plugin, boundary};
use serde_json::json;

use super::{event, stage};
use crate::event::{Batch, Event, Timestamp};
use crate::stage::{Outcome, Refusal, Sink, Stage, StageError};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    #[serde(default)]
    fails_to_start: bool,
}

/// Does with a batch what the field `do` of its first event says.
struct Receiver {
    fails_to_start: bool,
    what: Key,
    owed: Vec<Delivery>,
}

impl Plugin for Receiver {
    const NAME: &'static str = "receiver";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let what = engine.key("payload.do")?;
        Ok(Self { fails_to_start: settings.fails_to_start, what, owed: Vec::new() })
    }

    fn start(&mut self) -> Result<(), Error> {
        if self.fails_to_start { Err(Error::retry("nobody there")) } else { Ok(()) }
    }
}

static FLUSHED: Mutex<u32> = Mutex::new(0);

impl engine_plugin::Sink for Receiver {
    const MAX_IN_FLIGHT: u32 = 2;

    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        match events.str(0, self.what) {
            Some("retry") => {
                let answer = Answer::refused(Error::retry("busy"));
                delivery.complete(&answer.retry_after(Duration::from_secs(4)));
            }
            Some("reject") => delivery.refused(Error::rejected("never")),
            Some("some") => delivery.complete(
                &Answer::delivered()
                    .except(2, Error::rejected("odd"))
                    .except(0, Error::retry("busy"))
                    .except(99, Error::rejected("there is no such row")),
            ),
            Some("owe") => self.owed.push(delivery),
            Some("pay") => {
                self.owed.drain(..).for_each(Delivery::delivered);
                delivery.delivered();
            }
            Some("forget") => drop(delivery),
            Some("fatal") => delivery.refused(Error::fatal("broken")),
            Some("panic") => panic!("a defect"),
            Some("elsewhere") => {
                let kept = events.retain().unwrap();
                let what = self.what;
                std::thread::spawn(move || {
                    assert_eq!(kept.events().str(0, what), Some("elsewhere"));
                    delivery.delivered();
                });
            }
            _ => delivery.delivered(),
        }
    }

    fn flush(&mut self, done: Delivery) {
        *FLUSHED.lock().unwrap() += 1;
        done.delivered();
    }
}

fn receiver(settings: serde_json::Value) -> Box<dyn Sink> {
    match stage(boundary::sink::<Receiver>("1.0.0"), settings) {
        Stage::Sink(sink) => sink,
        _ => panic!("not a sink"),
    }
}

fn batch(what: &str) -> Batch {
    let events: Vec<Event> = (0..3).map(|ms| event(ms, json!({ "do": what }))).collect();
    Batch::new(events, Timestamp::MIN, None)
}

#[tokio::test]
async fn what_a_plugin_answers_is_what_became_of_the_batch() {
    let sink = receiver(json!({}));
    sink.open().await.unwrap();
    let busy = || Refusal::transient("unavailable", "receiver: busy");
    let expected = [
        ("", Outcome::Delivered),
        ("elsewhere", Outcome::Delivered),
        ("retry", Outcome::Refused(busy().after(Duration::from_secs(4)))),
        ("reject", Outcome::Refused(Refusal::permanent("rejected", "receiver: never"))),
        (
            "some",
            Outcome::Except(vec![
                (0, busy()),
                (2, Refusal::permanent("rejected", "receiver: odd")),
            ]),
        ),
        (
            "forget",
            Outcome::Refused(Refusal::transient(
                "unavailable",
                "receiver: the plugin gave no answer",
            )),
        ),
        ("fatal", Outcome::Refused(Refusal::transient("unavailable", "receiver: broken"))),
        ("", Outcome::Delivered),
        ("panic", Outcome::Refused(Refusal::permanent("plugin", "receiver: panicked: a defect"))),
        ("", Outcome::Delivered),
    ];
    for (what, outcome) in expected {
        assert_eq!(sink.write(&batch(what)).await, outcome, "{what}");
    }
    let before = *FLUSHED.lock().unwrap();
    sink.close().await.unwrap();
    assert_eq!(*FLUSHED.lock().unwrap(), before + 1);
}

#[tokio::test]
async fn no_more_writes_are_pending_than_the_plugin_takes_whoever_waits() {
    let sink = receiver(json!({}));
    sink.open().await.unwrap();
    let (one, two, pay) = (batch("owe"), batch("owe"), batch("pay"));
    let mut first = sink.write(&one);
    assert!(futures::poll!(&mut first).is_pending());
    // Nobody waits for this one any more, and the plugin still works on it.
    let mut second = sink.write(&two);
    assert!(futures::poll!(&mut second).is_pending());
    drop(second);
    let mut third = sink.write(&pay);
    assert!(futures::poll!(&mut third).is_pending(), "two are pending");
    drop((first, third));
    // An instance that is lost owes nothing.
    sink.abandon().await.unwrap();
}

#[tokio::test]
async fn an_instance_that_is_lost_leaves_no_one_waiting() {
    let sink = receiver(json!({}));
    sink.open().await.unwrap();
    let (owed, panic) = (batch("owe"), batch("panic"));
    let mut first = sink.write(&owed);
    assert!(futures::poll!(&mut first).is_pending());
    sink.write(&panic).await;
    // The delivery that it held was dropped with it, unanswered.
    let Outcome::Refused(refusal) = first.await else { panic!("taken") };
    assert_eq!(refusal.failure.category, "unavailable");
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let sink = receiver(json!({ "fails_to_start": true }));
    assert_eq!(sink.open().await, Err(StageError("receiver: nobody there".to_owned())));
}
