//! The thread of a source: it starts the instance, polls it when it is asked to, tells it what was
//! delivered, and ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use engine_plugin::host::{Failed, Fault, Instance, Polled, Stopper};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::clock::{Clock, Stopwatch};
use crate::dead_letter::Failures;
use crate::event::{Event, Ledger, Timestamp};
use crate::plugin::loan::NewEvents;
use crate::plugin::made::{END_TIMEOUT, Working, stop_aside};
use crate::stage::{SourceContext, StageError};

/// How long a poll may wait: so long a stop may go unnoticed by a plugin that does not heed it.
const POLL_TIMEOUT: Duration = Duration::from_millis(250);

/// How long it is left alone at most after it said that it cannot give anything now.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);

/// What a thread is asked to do.
enum Request {
    /// To give events.
    Poll,
    /// To poll again before the time: the plugin has something.
    Woken,
    /// To end.
    End,
}

/// What comes of it.
pub(super) enum Answer {
    /// The instance was started; what it remembers then.
    Started(Option<Box<RawValue>>),
    /// It gave something.
    Gave(Gave),
    /// It gives nothing more.
    Ended,
    /// It cannot go on.
    Failed(StageError),
}

/// What a poll gave.
pub(super) struct Gave {
    /// In the plugin's order.
    pub(super) events: Vec<Event>,
    /// The plugin's place behind them.
    pub(super) place: Option<u64>,
    /// What it remembers behind them.
    pub(super) state: Option<Box<RawValue>>,
    /// What it said about what is still to come.
    pub(super) watermark: Option<Timestamp>,
}

/// The way to a source's thread. Dropped, the thread ends when all that it gave has met its fate.
pub(super) struct Link {
    requests: Sender<Request>,
    answers: mpsc::Receiver<Answer>,
    stopper: Option<Stopper>,
    /// Whether a stop was asked for.
    is_stopped: Arc<AtomicBool>,
    ended: Option<Receiver<()>>,
    cx: SourceContext,
}

struct SourceThread {
    working: Working,
    requests: Receiver<Request>,
    answers: mpsc::Sender<Answer>,
    is_woken: Arc<AtomicBool>,
    is_stopped: Arc<AtomicBool>,
    out: NewEvents,
    clock: Clock,
    ledger: Ledger,
    failures: Failures,
    /// How many events a poll may give.
    most: usize,
    /// The place that the plugin was last told about.
    acknowledged: Option<u64>,
    /// The plugin has said that nothing more comes.
    has_ended: bool,
    /// A request that came while another one was being done.
    is_told_to_end: bool,
    /// For how long it is left alone after it could not give anything.
    retry_wait: Duration,
    /// For how long it is left alone now.
    rest: Option<Duration>,
    /// Gone when the thread is.
    _ended: SyncSender<()>,
}

impl Link {
    /// Begins a thread that starts the instance, from what it remembered.
    pub(super) fn begin(
        working: Working,
        cx: &SourceContext,
        state: Option<Box<RawValue>>,
    ) -> Result<Self, StageError> {
        let (requests, asked) = channel();
        let (answer, answers) = mpsc::channel(1);
        let (is_gone, ended) = sync_channel(1);
        let stopper = working.current().map(Instance::stopper);
        let is_woken = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::new(AtomicBool::new(false));
        working.maker.context.on_wake({
            let (is_woken, requests) = (Arc::clone(&is_woken), requests.clone());
            move || {
                // However often it wakes, it is woken once.
                if !is_woken.swap(true, Relaxed) {
                    let _ = requests.send(Request::Woken);
                }
            }
        });
        let most = cx.batch_events.max(1);
        let out = NewEvents::new(true, most).ok_or_else(|| {
            StageError("there are too many names already for the events of a plugin".to_owned())
        })?;
        let thread = SourceThread {
            working,
            requests: asked,
            answers: answer,
            is_woken,
            is_stopped: Arc::clone(&is_stopped),
            out,
            clock: cx.clock.clone(),
            ledger: cx.ledger.clone(),
            failures: cx.failures.clone(),
            most,
            acknowledged: None,
            has_ended: false,
            is_told_to_end: false,
            retry_wait: POLL_TIMEOUT,
            rest: None,
            _ended: is_gone,
        };
        let named = std::thread::Builder::new().name(format!("source {}", cx.stage));
        let begun = named.spawn(move || thread.run(state));
        begun.map_err(|error| StageError(format!("no thread for it: {error}")))?;
        let (ended, cx) = (Some(ended), cx.clone());
        Ok(Self { requests, answers, stopper, is_stopped, ended, cx })
    }

    /// Asks for events.
    pub(super) fn ask(&self) {
        let _ = self.requests.send(Request::Poll);
    }

    /// What comes of it; none if the thread is gone. Loses nothing when it is dropped.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.is_stopped.store(true, Relaxed);
        // Asked now, so that a poll that waits comes back.
        if let Some(stopper) = self.stopper.take() {
            stop_aside(stopper);
        }
        let (requests, cx) = (self.requests.clone(), self.cx.clone());
        let (Some(ended), Ok(runtime)) = (self.ended.take(), tokio::runtime::Handle::try_current())
        else {
            let _ = requests.send(Request::End);
            return;
        };
        // The run waits until the plugin knows what was delivered, and has ended.
        let hold = cx.holds.take();
        runtime.spawn(async move {
            let mark = cx.ledger.mark();
            let first = mark - cx.ledger.outstanding() as u64;
            cx.ledger.resolved(first, mark).await;
            let _ = requests.send(Request::End);
            let wait = move || ended.recv_timeout(END_TIMEOUT * 2);
            let waited = tokio::task::spawn_blocking(wait).await;
            if let Ok(Err(RecvTimeoutError::Timeout)) = waited {
                let seconds = (END_TIMEOUT * 2).as_secs();
                cx.failures.fail_run(&format!(
                    "its plugin did not end within {seconds} s, and its thread is left behind"
                ));
            }
            drop(hold);
        });
    }
}

impl SourceThread {
    fn run(mut self, state: Option<Box<RawValue>>) {
        let started = match self.start(state).and_then(|()| self.remembers()) {
            Ok(state) => Answer::Started(state),
            Err(failed) => self.failure(&failed),
        };
        let is_started = matches!(started, Answer::Started(_));
        if self.answers.blocking_send(started).is_err() || !is_started {
            return;
        }
        while !self.is_told_to_end {
            match self.requests.recv() {
                Ok(Request::Poll) => {
                    let answer = self.poll();
                    let goes_on = matches!(answer, Some(Answer::Gave(_) | Answer::Ended));
                    if let Some(answer) = answer {
                        let _ = self.answers.blocking_send(answer);
                    }
                    if !goes_on && !self.is_told_to_end {
                        return;
                    }
                }
                Ok(Request::Woken) => {
                    self.is_woken.store(false, Relaxed);
                    self.rest = None;
                }
                Ok(Request::End) | Err(_) => break,
            }
        }
        self.end();
    }

    fn start(&mut self, state: Option<Box<RawValue>>) -> Result<(), Failed> {
        let instance = self.working.instance()?;
        if let Some(state) = state {
            instance.restore(state.get())?;
        }
        instance.start()
    }

    /// Polls until there is something; none if it is told to end meanwhile.
    fn poll(&mut self) -> Option<Answer> {
        while !self.has_ended {
            if let Some(rest) = self.rest.take()
                && !self.waits(rest)
            {
                return None;
            }
            if let Err(failed) = self.acknowledge() {
                return Some(self.failure(&failed));
            }
            self.out.begin(self.clock.now());
            let began = Stopwatch::start();
            let timeout = POLL_TIMEOUT.as_millis() as u32;
            let polled = match self.working.instance() {
                Ok(instance) => instance.poll(&mut self.out, self.most, timeout),
                Err(failed) => Err(failed),
            };
            if polled.is_ok() {
                self.retry_wait = POLL_TIMEOUT;
            }
            let place = match polled {
                Ok(Polled::Ready(place)) => Some(place),
                Ok(Polled::Again) => {
                    // One that did not wait itself is left alone for a while.
                    let rest = POLL_TIMEOUT.saturating_sub(began.elapsed());
                    self.rest = (!self.out.has_something()).then_some(rest);
                    None
                }
                Ok(Polled::End) => {
                    self.has_ended = true;
                    None
                }
                Err(failed) if failed.fault == Fault::Retry => {
                    tracing::warn!("{}", self.working.maker.reason(&failed));
                    self.rest = Some(self.retry_wait);
                    self.retry_wait = (self.retry_wait * 2).min(RETRY_WAIT_MAX);
                    None
                }
                // It gave up since it was told to stop; nobody waits for more.
                Err(failed) if failed.fault == Fault::Stopped && self.is_stopped.load(Relaxed) => {
                    self.has_ended = true;
                    None
                }
                Err(Failed { fault: Fault::Stopped, reason }) => {
                    let reason = format!("it gave up as if it had been told to stop: {reason}");
                    return Some(self.failure(&Failed { fault: Fault::Stopped, reason }));
                }
                Err(failed) => return Some(self.failure(&failed)),
            };
            // What it gave before it could not go on does not come again.
            if place.is_some() || self.out.has_something() {
                return Some(self.gave(place));
            }
        }
        Some(Answer::Ended)
    }

    /// Waits for so long, or until the plugin has something. False if it is told to end.
    fn waits(&mut self, wait: Duration) -> bool {
        match self.requests.recv_timeout(wait) {
            Ok(Request::Woken) => self.is_woken.store(false, Relaxed),
            Ok(Request::End) | Err(RecvTimeoutError::Disconnected) => self.is_told_to_end = true,
            Ok(Request::Poll) | Err(RecvTimeoutError::Timeout) => {}
        }
        !self.is_told_to_end
    }

    /// What a poll gave, with what the plugin remembers behind it.
    fn gave(&mut self, place: Option<u64>) -> Answer {
        let watermark = self.out.watermark();
        let maker = &self.working.maker;
        let events = match self.out.take() {
            Ok(events) => events,
            Err(error) => {
                let reason = error;
                return self.failure(&Failed { fault: Fault::Panic, reason });
            }
        };
        match self.remembers() {
            Ok(state) => Answer::Gave(Gave { events, place, state, watermark }),
            Err(failed) => Answer::Failed(maker.error(&failed)),
        }
    }

    /// What the plugin remembers, if it remembers anything.
    fn remembers(&self) -> Result<Option<Box<RawValue>>, Failed> {
        let saved = self.working.current().map_or(Ok(None), Instance::save);
        saved.and_then(|json| json.map(read_state).transpose())
    }

    /// Tells the plugin up to which place everything was delivered.
    fn acknowledge(&mut self) -> Result<(), Failed> {
        let place = self.ledger.acknowledged().and_then(|place| place.as_u64());
        if place.is_some() && place != self.acknowledged {
            self.acknowledged = place;
            if let Some(place) = place {
                self.working.instance()?.ack(place)?;
            }
        }
        Ok(())
    }

    fn failure(&self, failed: &Failed) -> Answer {
        Answer::Failed(self.working.maker.error(failed))
    }

    /// The last calls: what was delivered, and that it is over.
    fn end(mut self) {
        let told = self.acknowledge().map_err(|failed| self.working.maker.error(&failed));
        if let Err(error) = told.and_then(|()| self.working.flush_and_end()) {
            self.failures.fail_run(&error.0);
        }
    }
}

fn read_state(json: String) -> Result<Box<RawValue>, Failed> {
    RawValue::from_string(json).map_err(|error| Failed {
        fault: Fault::Panic,
        reason: format!("`save` wrote what is not JSON: {error}"),
    })
}
