use std::sync::Mutex;
use std::time::Duration;

use engine_plugin::{Delivery, Engine, Error, Events, Key, Outcome as Answer, Plugin, boundary};
use futures::FutureExt;
use serde_json::json;

use super::{event, stage};
use crate::event::{Batch, Event, Timestamp};
use crate::monitor::{MetricValue, StageMetrics};
use crate::stage::{Outcome, Refusal, Sink, Stage, StageError};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    #[serde(default)]
    fails_to_start: bool,
    #[serde(default)]
    never_flushes: bool,
}

/// Does with a batch what the field `do` of its first event says.
struct Receiver<const BLOCKS: bool> {
    settings: Settings,
    engine: Engine,
    what: Key,
    owed: Vec<Delivery>,
}

impl<const BLOCKS: bool> Plugin for Receiver<BLOCKS> {
    const NAME: &'static str = "receiver";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let what = engine.key("payload.do")?;
        Ok(Self { settings, engine: engine.clone(), what, owed: Vec::new() })
    }

    fn start(&mut self) -> Result<(), Error> {
        if self.settings.fails_to_start { Err(Error::retry("nobody there")) } else { Ok(()) }
    }
}

static FLUSHED: Mutex<u32> = Mutex::new(0);

impl<const BLOCKS: bool> engine_plugin::Sink for Receiver<BLOCKS> {
    const MAX_IN_FLIGHT: u32 = 2;
    const BLOCKING: bool = BLOCKS;

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
                    .except(0, Error::retry("busy")),
            ),
            Some("beyond") => delivery.complete(
                &Answer::delivered()
                    .except(1, Error::rejected("odd"))
                    .except(3, Error::rejected("there is no such row")),
            ),
            Some("owe") => self.owed.push(delivery),
            Some("pay") => {
                self.owed.drain(..).for_each(Delivery::delivered);
                delivery.delivered();
            }
            Some("break") => {
                let owed = self.owed.drain(..).chain([delivery]);
                owed.for_each(|delivery| delivery.refused(Error::fatal("broken")));
            }
            Some("until_stop") => {
                while !self.engine.stopping() {
                    std::thread::yield_now();
                }
                delivery.refused(Error::retry("stopped"));
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
        if self.settings.never_flushes { self.owed.push(done) } else { done.delivered() }
    }
}

fn receiver(settings: serde_json::Value) -> Box<dyn Sink> {
    match stage(boundary::sink::<Receiver<false>>("1.0.0"), settings) {
        Stage::Sink(sink) => sink,
        _ => panic!("not a sink"),
    }
}

fn blocking_receiver() -> Box<dyn Sink> {
    match stage(boundary::sink::<Receiver<true>>("1.0.0"), json!({})) {
        Stage::Sink(sink) => sink,
        _ => panic!("not a sink"),
    }
}

/// How often its instance was made anew.
fn remade(sink: &dyn Sink) -> MetricValue {
    StageMetrics::tally(&[sink.metrics().unwrap()])["remade_instances"].value
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
            "beyond",
            Outcome::Refused(Refusal::transient(
                "unavailable",
                "receiver: it refused row 3 of 3 events",
            )),
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
async fn of_several_writes_only_the_one_that_panics_is_refused_for_good() {
    for sink in [receiver(json!({})), blocking_receiver()] {
        sink.open().await.unwrap();
        // Both have a slot, and the second waits for its turn while the instance is lost.
        let (panics, other) = (batch("panic"), batch(""));
        let (refused, delivered) = futures::join!(sink.write(&panics), sink.write(&other));
        let panicked = Refusal::permanent("plugin", "receiver: panicked: a defect");
        assert_eq!(refused, Outcome::Refused(panicked));
        assert_eq!(delivered, Outcome::Delivered);
        assert_eq!(remade(&*sink), MetricValue::Counter { value: 1.0 });
    }
}

#[tokio::test]
async fn the_second_failure_of_an_instance_leaves_the_next_one_alone() {
    for sink in [receiver(json!({})), blocking_receiver()] {
        sink.open().await.unwrap();
        let broken = || Refusal::transient("unavailable", "receiver: broken");
        let (owed, breaks, other) = (batch("owe"), batch("break"), batch(""));
        let mut first = sink.write(&owed);
        // Its call is over when another one has had its turn.
        assert!(futures::poll!(&mut first).is_pending());
        assert_eq!(sink.write(&breaks).await, Outcome::Refused(broken()));
        assert_eq!(sink.write(&other).await, Outcome::Delivered);
        assert_eq!(first.await, Outcome::Refused(broken()));
        assert_eq!(sink.write(&other).await, Outcome::Delivered);
        assert_eq!(remade(&*sink), MetricValue::Counter { value: 1.0 });
    }
}

#[tokio::test]
async fn an_instance_that_broke_is_not_called_again_if_nobody_heard_of_it() {
    let sink = receiver(json!({}));
    sink.open().await.unwrap();
    let (owed, breaks, other) = (batch("owe"), batch("break"), batch(""));
    let mut first = sink.write(&owed);
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = sink.write(&breaks);
    // It says that it broke, and may be destroyed by the time that this is dropped.
    let _ = futures::poll!(&mut second);
    drop((first, second));
    assert_eq!(sink.write(&other).await, Outcome::Delivered);
    assert_eq!(remade(&*sink), MetricValue::Counter { value: 1.0 });
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_times_out_though_its_sink_blocks() {
    let mut sink = blocking_receiver();
    sink.set_timeout(Duration::from_secs(5));
    sink.open().await.unwrap();
    let late = Refusal::transient("timeout", "receiver: no answer within 5 s");
    // Two are pending then, and the third does not get to the plugin.
    for _ in 0..3 {
        assert_eq!(sink.write(&batch("owe")).await, Outcome::Refused(late.clone()));
    }
    sink.abandon().await.unwrap();
}

#[tokio::test]
async fn a_blocking_write_that_nobody_waits_for_is_asked_to_stop_and_ends() {
    let sink = blocking_receiver();
    sink.open().await.unwrap();
    let waits = batch("until_stop");
    assert!(sink.write(&waits).now_or_never().is_none());
    // It has the instance until it comes back.
    sink.abandon().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_never_answered_fails_the_run_by_name() {
    let sink = receiver(json!({ "never_flushes": true }));
    sink.open().await.unwrap();
    let reason = "receiver: `flush` was not answered within 10 s";
    assert_eq!(sink.close().await, Err(StageError(reason.to_owned())));
}

#[tokio::test]
async fn a_start_that_fails_says_why() {
    let sink = receiver(json!({ "fails_to_start": true }));
    assert_eq!(sink.open().await, Err(StageError("receiver: nobody there".to_owned())));
}
