//! One attempt to write, and what becomes of each event by what the sink says.

mod answer;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::Instrument;

use super::breaker::Breaker;
use super::buffer::{Buffer, Held, Receipt};
use super::unsent::{Unsent, keep_undelivered};
use crate::clock::Clock;
use crate::control::{Control, Phase};
use crate::dead_letter::Failures;
use crate::event::{Batch, Event, Timestamp};
use crate::failure::Failure;
use crate::monitor::{Account, Attempt, Fate, PartitionOf, StageSpan};
use crate::security::{Refusals, SECURITY};
use crate::spec::{DeliverySettings, OnExhausted};
use crate::stage::{Outcome, Refusal, Sink};

use answer::{by_place, hint, is_answer, is_transient, word_for};

/// How long to wait after the first look for the receiver; after each other one twice as long.
const REACH_PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long at most.
const REACH_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What the lanes of a sink share: they make attempts, and enter their outcomes.
pub(super) struct Attempts {
    sink: Box<dyn Sink>,
    /// None where an attempt takes as long as it takes.
    timeout: Option<Duration>,
    /// After how many attempts events become dead letters, if ever.
    sends_max: Option<u32>,
    breaker: Breaker,
    buffer: Arc<dyn Buffer>,
    account: Arc<Account>,
    failures: Failures,
    pub(super) control: Control,
    clock: Clock,
    /// The sink takes nothing any more.
    is_closed: AtomicBool,
    /// Opening the sink took longer than the run; it is not to be asked anything.
    is_stuck: AtomicBool,
    /// Categories of failures that were warned of.
    warned_of: Mutex<BTreeSet<&'static str>>,
    /// Attempts of which the receiver said that we may not.
    unauthorized: Refusals,
    /// None where nobody traces.
    span: Option<StageSpan>,
}

/// Events of a lane's head whose fate is not known yet.
pub(super) struct Undelivered {
    batch: Batch,
    receipt: Receipt,
    /// The lane that it is in.
    lane: usize,
    /// How often they were sent.
    pub(super) attempts: u32,
    first_time: Option<Timestamp>,
}

impl Undelivered {
    pub(super) fn new(held: Held, lane: usize) -> Self {
        let Held { batch, receipt } = held;
        Self { batch, receipt, lane, attempts: 0, first_time: None }
    }

    /// An attempt at all of it, with success.
    fn as_attempt<'a>(&'a self, sink: &'a str, partition_of: PartitionOf<'a>) -> Attempt<'a> {
        Attempt {
            sink,
            lane: self.lane,
            batch: self.receipt.number,
            attempt: self.attempts,
            events: &self.batch,
            tried: self.batch.len(),
            delivered: self.batch.len(),
            rejected: 0,
            failure: None,
            partition_of,
        }
    }

    /// The events at some places, for whoever wants to see them.
    fn of_those(&self, wanted: impl Fn(usize) -> bool) -> Batch {
        // Behind the refusals nothing was sent.
        let places = self.batch.events().iter().enumerate();
        let events = places.filter(|(place, _)| wanted(*place)).map(|(_, event)| event.clone());
        Batch::new(events.collect(), self.batch.watermark(), None)
    }
}

/// What to do with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// Send them.
    Send,
    /// Keep them, for nothing is sent any more.
    Keep,
    /// Drop them, for the receiver is gone.
    Drop,
}

/// What comes after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The fate of all events is known.
    Done,
    /// What is left was not sent yet, and is to be sent now.
    Next,
    /// What is left is to be sent again, after the time that the receiver asks for.
    Again(Option<Duration>),
}

impl Attempts {
    pub(super) fn new(
        mut sink: Box<dyn Sink>,
        settings: &DeliverySettings,
        buffer: Arc<dyn Buffer>,
        account: Arc<Account>,
        failures: Failures,
        control: Control,
        clock: Clock,
    ) -> Self {
        let retry = &settings.retry;
        sink.set_timeout(settings.timeout.0);
        Self {
            timeout: sink.times_out().then_some(settings.timeout.0),
            sends_max: match retry.on_exhausted {
                OnExhausted::Buffer => None,
                OnExhausted::DeadLetter => Some(retry.attempts.get()),
            },
            breaker: Breaker::new(&settings.circuit_breaker, account.clone()),
            sink,
            buffer,
            account,
            failures,
            control,
            clock,
            is_closed: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            warned_of: Mutex::default(),
            unauthorized: Refusals::default(),
            span: None,
        }
    }

    /// With a span for each attempt, if the stage is traced.
    pub(super) fn traced(self, span: StageSpan) -> Self {
        Self { span: span.is_enabled().then_some(span), ..self }
    }

    /// Opens the sink. Where that fails the run has failed, and nothing is sent. Where it takes
    /// longer than the run has time, it is left at that.
    pub(super) async fn open(&self) {
        tokio::select! {
            biased;
            opened = self.at_work(self.sink.open()) => match opened {
                Ok(()) => {}
                Err(error) => {
                    self.account.delivery.miss(&error.0);
                    self.break_off(&error.0);
                    self.stop_sending();
                }
            },
            () = self.control.reached(Phase::Keeping) => {
                tracing::warn!(sink = self.account.stage, "it did not open in the time of the run");
                self.is_stuck.store(true, Relaxed);
            }
        }
    }

    /// Looks for the receiver, beside what is sent, until it is found or something got through: that
    /// a sink is open does not say that anybody takes what it sends.
    pub(super) async fn reach(&self) {
        let (sink, delivery) = (&self.account.stage, &self.account.delivery);
        let mut pause = REACH_PAUSE_MIN;
        let mut was_missed = false;
        while !self.is_stuck.load(Relaxed) && !self.is_closed.load(Relaxed) {
            let reached = self.at_work(self.sink.reach()).await;
            if delivery.has_connected() {
                return;
            }
            let Err(why) = reached else {
                delivery.connect();
                if was_missed {
                    tracing::info!(sink, "connected");
                }
                return;
            };
            delivery.miss(&why.0);
            if !was_missed {
                tracing::warn!(sink, "not connected yet: {}", why.0);
            }
            was_missed = true;
            tokio::time::sleep(pause).await;
            if delivery.has_connected() {
                return;
            }
            pause = (pause * 2).min(REACH_PAUSE_MAX);
        }
    }

    /// Closes the sink, when the fate of everything is known.
    pub(super) async fn close(&self) {
        if self.is_stuck.load(Relaxed) {
            return;
        }
        let is_well = self.control.errors().is_empty();
        let ended = if is_well {
            self.at_work(self.sink.close()).await
        } else {
            self.at_work(self.sink.abandon()).await
        };
        self.account.delivery.set_bytes_sent(self.sink.bytes_sent());
        if let Err(error) = ended {
            self.break_off(&error.0);
        }
    }

    fn break_off(&self, error: &str) {
        self.account.break_off(error);
        self.control.fail(format!("sink `{}`: {error}", self.account.stage));
    }

    /// What decides which lane an event takes.
    pub(super) fn lane_key(&self, event: &Event) -> Option<u32> {
        self.sink.lane_key(event)
    }

    /// What to do with events now.
    pub(super) fn course(&self) -> Course {
        let is_closed = self.is_closed.load(Relaxed);
        if is_closed && !self.buffer.outlasts_the_run() {
            Course::Drop
        } else if is_closed || self.control.phase() >= Phase::Keeping {
            Course::Keep
        } else {
            Course::Send
        }
    }

    /// Sends events once, as soon as the breaker lets them, and enters what became of them.
    pub(super) async fn attempt(&self, left: &mut Undelivered) -> Step {
        let permit = self.breaker.permit().await;
        if left.attempts > 0 {
            self.account.delivery.retry(left.batch.len());
        }
        left.attempts = left.attempts.saturating_add(1);
        let outcome = match &self.span {
            None => self.write(&left.batch).await,
            Some(stage) => {
                let span = stage.delivery(left.batch.len(), left.attempts);
                let outcome = self.write(&left.batch).instrument(span.clone()).await;
                StageSpan::end_delivery(&span, word_for(&outcome, left.batch.len()));
                outcome
            }
        };
        if is_answer(&outcome, left.batch.len()) {
            self.account.delivery.connect();
            self.breaker.succeeded(permit);
        } else {
            self.breaker.failed(permit);
        }
        self.account.delivery.set_bytes_sent(self.sink.bytes_sent());
        self.enter(left, outcome)
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        let written = self.at_work(self.sink.write(batch));
        let Some(timeout) = self.timeout else { return written.await };
        match tokio::time::timeout(timeout, written).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Refused(Refusal::transient(
                "timeout",
                format!("no answer within {} s", timeout.as_secs_f64()),
            )),
        }
    }

    /// Waits for the sink. While it has the thread the stage counts as called, so it is known which one
    /// does not give it back.
    async fn at_work<R>(&self, call: impl Future<Output = R>) -> R {
        let mut call = pin!(call);
        poll_fn(|cx| {
            let _working = self.account.work();
            call.as_mut().poll(cx)
        })
        .await
    }

    fn enter(&self, left: &mut Undelivered, outcome: Outcome) -> Step {
        let events = left.batch.len();
        let partition_of = |event: &Event| self.sink.partition(event);
        match outcome {
            Outcome::Delivered => {
                self.account.deliver(&left.batch, events, left.receipt.emitted);
                self.account.tell(|observer, sink| {
                    observer.attempted(&left.as_attempt(sink, PartitionOf(&partition_of)));
                    observer.delivered(sink, &left.batch);
                });
                self.buffer.settle(left.receipt, events);
                Step::Done
            }
            Outcome::Except(failed) => self.enter_refusals(left, &by_place(events, &failed)),
            Outcome::Partly { decided, failed } => {
                let refusals = by_place(decided.min(events), &failed);
                let step = self.enter_refusals(left, &refusals);
                if refusals.iter().flatten().any(|refusal| is_transient(refusal)) {
                    return step;
                }
                // The receiver goes on taking, and these were not refused.
                left.attempts = 0;
                if step == Step::Done { step } else { Step::Next }
            }
            Outcome::Refused(refusal) => self.enter_refusals(left, &vec![Some(&refusal); events]),
            Outcome::Closed => {
                tracing::debug!(sink = self.account.stage, "the receiver closed");
                let failure = Failure::new("sink_closed", "the receiver closed");
                self.account.tell(|observer, sink| {
                    let (delivered, failure) = (0, Some(&failure));
                    let attempt = left.as_attempt(sink, PartitionOf(&partition_of));
                    observer.attempted(&Attempt { delivered, failure, ..attempt });
                });
                self.control.stop();
                self.stop_sending();
                // What becomes of them is the same as for all others from now on.
                Step::Again(Some(Duration::ZERO))
            }
        }
    }

    /// Delivered is what has no refusal; what has one is a dead letter or is sent again. What is
    /// behind the refusals was not sent.
    fn enter_refusals(&self, left: &mut Undelivered, refusals: &[Option<&Refusal>]) -> Step {
        let is_exhausted = self.sends_max.is_some_and(|max| left.attempts >= max);
        let stays = |refusal: Option<&Refusal>| refusal.is_some_and(is_transient) && !is_exhausted;
        let delivered = refusals.iter().filter(|refusal| refusal.is_none()).count();
        if delivered > 0 {
            self.account.deliver(&left.batch, delivered, left.receipt.emitted);
        }
        let mut transient = refusals.iter().flatten().filter(|refusal| is_transient(refusal));
        if let Some(refusal) = transient.next() {
            self.warn_of(&refusal.failure);
            self.account.delivery.fail_attempt(&refusal.failure);
            if !is_exhausted {
                self.account.incident(&refusal.failure, left.batch.events().first(), Fate::Retried);
            }
        }
        let unauthorized = |refusal: &&&Refusal| refusal.failure.category == "unauthorized";
        if let Some(refusal) = refusals.iter().flatten().find(unauthorized) {
            self.tell_of_refusal(&refusal.failure.reason);
        }
        if delivered < refusals.len() {
            left.first_time.get_or_insert_with(|| self.clock.wall());
        }
        let events = left.batch.events().iter().zip(refusals);
        let failed = events.filter(|(_, refusal)| !stays(**refusal));
        let failed = failed.filter_map(|(event, refusal)| Some((event, &(*refusal)?.failure)));
        let failed: Vec<_> = failed.collect();
        let gone = failed.len();
        let partition_of = |event: &Event| self.sink.partition(event);
        self.account.tell(|observer, sink| {
            let failure = refusals.iter().flatten().next().map(|refusal| &refusal.failure);
            let (tried, rejected) = (refusals.len(), gone);
            let attempt = left.as_attempt(sink, PartitionOf(&partition_of));
            observer.attempted(&Attempt { tried, delivered, rejected, failure, ..attempt });
            if delivered > 0 {
                observer.delivered(
                    sink,
                    &left.of_those(|place| matches!(refusals.get(place), Some(None))),
                );
            }
        });
        let unsent = Unsent {
            batch: &left.batch,
            failed,
            attempts: left.attempts,
            first_time: left.first_time,
            is_refused: true,
            may_stay: self.buffer.outlasts_the_run(),
        };
        let known = unsent.settle(&self.failures);
        if known < gone {
            // They stay in the buffer for the next run, and nothing goes past them.
            self.stop_sending();
        }

        let mut places = refusals.iter();
        let rest = left.batch.split_off(|_| places.next().is_none_or(|refusal| stays(*refusal)));
        // The tokens of what is settled go with the batch that it was in.
        left.batch = rest;
        self.buffer.settle(left.receipt, delivered + known);
        if left.batch.is_empty() || known < gone { Step::Done } else { Step::Again(hint(refusals)) }
    }

    /// The first failure of a kind is said aloud; the statistics have the others.
    fn warn_of(&self, failure: &Failure) {
        let Failure { category, reason } = failure;
        let sink = &self.account.stage;
        let mut warned_of = self.warned_of.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_of.insert(category) {
            tracing::warn!(sink, category, "an attempt failed and will be made again: {reason}");
        } else {
            tracing::debug!(sink, category, "an attempt failed: {reason}");
        }
    }

    fn tell_of_refusal(&self, reason: &str) {
        if let Some(withheld) = self.unauthorized.note() {
            let sink = &self.account.stage;
            tracing::warn!(
                target: SECURITY, event = "auth_failed", stage = sink, withheld,
                "the receiver does not let us in: {reason}"
            );
        }
    }

    fn stop_sending(&self) {
        self.is_closed.store(true, Relaxed);
        if self.buffer.outlasts_the_run() {
            self.buffer.stop_handing_out();
        }
    }

    /// Leaves events in a buffer that outlasts the run, or makes them dead letters.
    pub(super) fn keep(&self, left: &Undelivered) {
        if self.buffer.outlasts_the_run() {
            return;
        }
        keep_undelivered(&self.failures, &left.batch, left.attempts, left.first_time);
        self.buffer.settle(left.receipt, left.batch.len());
    }

    /// Drops events for which there is no receiver any more. They were not delivered, so their
    /// source is not told that they were.
    pub(super) fn drop_closed(&self, left: &Undelivered) {
        left.batch.withhold();
        self.account.drop_events("sink_closed", left.batch.len());
        self.buffer.settle(left.receipt, left.batch.len());
    }
}
