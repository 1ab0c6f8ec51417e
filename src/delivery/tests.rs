//! A sink that says what a test wants it to, and the delivery in front of it. Time is virtual.

mod disk;
mod failing;
mod order;
mod outage;
mod outcomes;
mod reach;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;

use super::Delivery;
use crate::clock::{Clock, Speed};
use crate::control::Control;
use crate::dead_letter::{DeadLetters, Failures};
use crate::event::{Batch, Event, Ledger, RECEIPT_CREATED, Text, Timestamp};
use crate::kind::Kind;
use crate::monitor::{Account, BreakerState, DeliveryTally, StageSpan, Tally};
use crate::spec::{DeliverySettings, WhenFull};
use crate::stage::{Outcome, Refusal, Sink};

/// What a sink does with a write.
enum Reply {
    Say(Outcome),
    /// It never answers.
    Hang,
}

/// Decides by what is written: the ids, and how many writes came before.
type Script = Box<dyn FnMut(&[String], usize) -> Reply + Send>;

/// A write that came to the sink.
#[derive(Clone, Debug)]
struct Write {
    /// Since the test began.
    at: Duration,
    ids: Vec<String>,
}

struct Scripted {
    script: Mutex<Script>,
    began: Instant,
    writes: Arc<Mutex<Vec<Write>>>,
    closed: Arc<Mutex<u32>>,
    /// How long a write takes.
    takes: Duration,
}

#[async_trait]
impl Sink for Scripted {
    async fn write(&self, batch: &Batch) -> Outcome {
        let ids: Vec<String> =
            batch.events().iter().map(|event| event.trace_id.to_string()).collect();
        let count = {
            let mut writes = self.writes.lock().unwrap();
            writes.push(Write { at: self.began.elapsed(), ids: ids.clone() });
            writes.len() - 1
        };
        tokio::time::sleep(self.takes).await;
        let reply = (self.script.lock().unwrap())(&ids, count);
        match reply {
            Reply::Say(outcome) => outcome,
            Reply::Hang => std::future::pending().await,
        }
    }

    async fn close(&self) -> Result<(), crate::stage::StageError> {
        *self.closed.lock().unwrap() += 1;
        Ok(())
    }
}

/// A delivery with all that a test looks at.
struct Stand {
    settings: DeliverySettings,
    account: Arc<Account>,
    control: Control,
    ledger: Ledger,
    writes: Arc<Mutex<Vec<Write>>>,
    closed: Arc<Mutex<u32>>,
    letters: DeadLetters,
    folder: Arc<tempfile::TempDir>,
    takes: Duration,
}

impl Stand {
    fn new(settings: serde_json::Value) -> Self {
        Self::within(Arc::new(tempfile::tempdir().unwrap()), settings)
    }

    /// The next run of the same pipeline.
    fn next_run(&self) -> Self {
        Self { settings: self.settings.clone(), ..Self::within(self.folder.clone(), json!({})) }
    }

    fn within(folder: Arc<tempfile::TempDir>, settings: serde_json::Value) -> Self {
        let clock = Clock::new(None, Speed::Max, false);
        let letters =
            DeadLetters::new(folder.path().join("dead"), 100_000, WhenFull::Stop, "", clock);
        let control = Control::new();
        let ledger = Ledger::new();
        control.watch_over(ledger.clone());
        Self {
            settings: serde_json::from_value(settings).unwrap(),
            account: Arc::new(Account::new("hub", Kind::Sink, "test")),
            control,
            ledger,
            writes: Arc::default(),
            closed: Arc::default(),
            letters,
            folder,
            takes: Duration::ZERO,
        }
    }

    /// A batch under a token of its own.
    fn batch(&self, ids: &[&str]) -> Batch {
        let keyed: Vec<_> = ids.iter().map(|id| (*id, None)).collect();
        self.keyed(&keyed)
    }

    fn keyed(&self, events: &[(&str, Option<&str>)]) -> Batch {
        let event = |(id, key): &(&str, Option<&str>)| {
            let mut event = Event::new(RECEIPT_CREATED, Text::from(*id), Timestamp::MIN);
            event.partition_key = key.map(Text::from);
            event
        };
        let token = self.ledger.issue(json!(events.first().map(|(id, _)| *id)));
        let batch = Batch::new(events.iter().map(event).collect(), Timestamp::MIN, Some(token));
        self.account.derive(batch.len());
        batch
    }

    /// The delivery of batches, until all is settled.
    fn delivery(
        &self,
        batches: Vec<Batch>,
        script: impl FnMut(&[String], usize) -> Reply + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        self.streaming(stream::iter(batches), script)
    }

    fn streaming(
        &self,
        batches: impl stream::Stream<Item = Batch> + Send + 'static,
        script: impl FnMut(&[String], usize) -> Reply + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let sink = Box::new(Scripted {
            script: Mutex::new(Box::new(script)),
            began: Instant::now(),
            writes: self.writes.clone(),
            closed: self.closed.clone(),
            takes: self.takes,
        });
        let (taken_in, sent) = self.parts(sink, batches);
        async { tokio::join!(taken_in, sent) }.map(drop)
    }

    /// The two parts of a delivery to any sink.
    fn parts(
        &self,
        sink: Box<dyn Sink>,
        batches: impl stream::Stream<Item = Batch> + Send + 'static,
    ) -> (impl Future<Output = ()> + Send + 'static, impl Future<Output = ()> + Send + 'static)
    {
        let (account, control) = (self.account.clone(), self.control.clone());
        let failures = Failures::new(account.clone(), self.letters.clone(), control.clone());
        let delivery = Delivery {
            sink,
            settings: self.settings.clone(),
            account,
            failures,
            control,
            clock: Clock::new(None, Speed::Max, false),
            seed: 42,
            buffer_path: self.folder.path().join("buffer"),
            span: StageSpan::for_test(),
        };
        delivery.of(batches.boxed())
    }

    fn tally(&self) -> Tally {
        self.account.tally()
    }

    fn figures(&self) -> DeliveryTally {
        self.tally().delivery.unwrap()
    }

    fn ids(&self) -> Vec<Vec<String>> {
        self.writes.lock().unwrap().iter().map(|write| write.ids.clone()).collect()
    }

    fn times(&self) -> Vec<Duration> {
        self.writes.lock().unwrap().iter().map(|write| write.at).collect()
    }

    /// The records of the dead-letter file.
    fn dead(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("dead")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn assert_balanced(&self) {
        let tally = self.tally();
        assert!(tally.balances(), "{tally:#?}");
        let buffered = tally.delivery.unwrap().buffer_size;
        assert_eq!(buffered, tally.buffered, "nothing else is left in the buffer");
    }
}

fn delivered() -> Reply {
    Reply::Say(Outcome::Delivered)
}

fn unavailable() -> Reply {
    Reply::Say(Outcome::Refused(Refusal::transient("connection", "no route")))
}

fn counts(all: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    all.iter().map(|(name, count)| (*name, *count)).collect()
}

fn seconds(times: &[Duration]) -> Vec<u64> {
    times.iter().map(Duration::as_secs).collect()
}

/// Settings under which time is easy to tell.
fn plain() -> serde_json::Value {
    json!({ "retry": { "jitter": false } })
}

const OPEN: BreakerState = BreakerState::Open;
