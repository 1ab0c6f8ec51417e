//! The audit log: a line for each attempt of a sink to deliver. Lines are written by a thread of
//! their own; a file that cannot be written costs lines, which are counted, and never the run.

mod file;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::clock::{Clock, Stopwatch};
use crate::event::{Event, Text, Timestamp};
use crate::monitor::{Attempt, Observer, waiting};
use crate::spec::AuditSettings;

use file::AuditFile;

/// How many lines wait for the disk; whoever adds one more waits with it.
const LINES_WAITING_MAX: usize = 64;
/// How long a line stays in memory at most.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// How long what waits at the end may take.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// How many partition keys a line names.
const KEYS_MAX: usize = 32;

/// Blots secrets out of a text.
type Mask = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Writes down each attempt to deliver.
pub struct AuditLog {
    pipeline: String,
    clock: Clock,
    mask: Mask,
    /// None once the run has ended.
    lines: Mutex<Option<SyncSender<Vec<u8>>>>,
    /// Told when all is written.
    done: Mutex<Receiver<()>>,
}

impl AuditLog {
    /// Opens the file, behind what is in it.
    ///
    /// # Errors
    /// It cannot be opened or written, or another engine writes it.
    pub fn open(
        settings: &AuditSettings,
        pipeline: String,
        clock: Clock,
        mask: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let file = AuditFile::open(settings)?;
        let (lines, waiting) = sync_channel(LINES_WAITING_MAX);
        let (tell, done) = sync_channel(1);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                write(file, &waiting);
                // Whoever waits may have given up.
                let _ = tell.send(());
            })
            .map_err(|error| format!("there is no thread to write it: {error}"))?;
        let (lines, done) = (Mutex::new(Some(lines)), Mutex::new(done));
        Ok(Self { pipeline, clock, mask: Box::new(mask), lines, done })
    }

    fn line(&self, attempt: &Attempt<'_>) -> Option<Vec<u8>> {
        let events = tried(attempt);
        let reason = attempt.failure.map(|failure| (self.mask)(&failure.reason));
        let line = Line {
            time: self.clock.wall(),
            pipeline: &self.pipeline,
            sink: attempt.sink,
            lane: attempt.lane,
            batch: (attempt.batch > 0).then_some(attempt.batch),
            attempt: attempt.attempt,
            outcome: outcome(attempt),
            events: events.len(),
            delivered: attempt.delivered,
            trace_ids: TraceIds(events),
            partition_keys: partition_keys(events),
            partitions: partitions(attempt),
            category: attempt.failure.map(|failure| failure.category),
            reason: reason.as_deref(),
        };
        let mut text = serde_json::to_vec(&line).ok()?;
        text.push(b'\n');
        Some(text)
    }
}

impl Observer for AuditLog {
    fn attempted(&self, attempt: &Attempt<'_>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(lines), Some(line)) = (lines, self.line(attempt))
            && let Err(TrySendError::Full(line)) = lines.try_send(line)
        {
            // It has a reader until the run has ended.
            let _ = waiting(|| lines.send(line));
        }
    }

    fn ended(&self) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.recv_timeout(END_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            let seconds = END_TIMEOUT.as_secs();
            tracing::error!("the audit log was not written to its end within {seconds} s");
        }
    }
}

/// The events that were tried.
fn tried<'a>(attempt: &Attempt<'a>) -> &'a [Event] {
    let events = attempt.events.events();
    &events[..attempt.tried.min(events.len())]
}

/// What an attempt came to, in a word.
fn outcome(attempt: &Attempt<'_>) -> &'static str {
    let events = attempt.tried;
    if attempt.delivered == events {
        "delivered"
    } else if attempt.delivered > 0 {
        "partly"
    } else if attempt.rejected == events {
        "rejected"
    } else if attempt.failure.is_some_and(|failure| failure.category == "sink_closed") {
        "closed"
    } else {
        "retry"
    }
}

/// The keys of events, each once, in the order in which they come.
fn partition_keys(events: &[Event]) -> Vec<&Text> {
    let mut keys: Vec<&Text> = Vec::new();
    for key in events.iter().filter_map(|event| event.partition_key.as_ref()) {
        if keys.len() == KEYS_MAX {
            break;
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The partitions that events go to, where the sink knows, in order.
fn partitions(attempt: &Attempt<'_>) -> Vec<u32> {
    let partition_of = attempt.partition_of.0;
    let mut partitions: Vec<u32> = tried(attempt).iter().filter_map(partition_of).collect();
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    pipeline: &'a str,
    sink: &'a str,
    lane: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    attempt: u32,
    outcome: &'static str,
    events: usize,
    delivered: usize,
    trace_ids: TraceIds<'a>,
    partition_keys: Vec<&'a Text>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partitions: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The ids of all events of an attempt.
struct TraceIds<'a>(&'a [Event]);

impl Serialize for TraceIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|event| &event.trace_id))
    }
}

/// Writes lines until there are no more to come.
fn write(mut file: AuditFile, lines: &Receiver<Vec<u8>>) {
    let mut since = Stopwatch::start();
    loop {
        match lines.recv_timeout(FLUSH_INTERVAL.saturating_sub(since.elapsed())) {
            Ok(line) => file.add(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return file.end(),
        }
        if since.elapsed() >= FLUSH_INTERVAL {
            file.flush();
            since = Stopwatch::start();
        }
    }
}
