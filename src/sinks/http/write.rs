//! A batch as one request or several, and their answers as one outcome.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use reqwest::Client;

use super::answer::Answer;
use super::body::{Lines, idempotency_key, packed};
use super::client::{Parcel, Receiver};
use super::{BodyFormat, Compression, HttpSink};
use crate::event::Batch;
use crate::stage::{Outcome, Refusal, Retry, Sink, StageError};

/// Writes batches to a receiver.
pub(super) struct HttpWriter {
    receiver: Receiver,
    /// Made at opening.
    client: OnceLock<Client>,
    format: BodyFormat,
    compression: Compression,
    body_bytes_max: usize,
    bytes_sent: AtomicU64,
}

impl HttpWriter {
    pub(super) fn new(settings: &HttpSink, receiver: Receiver) -> Self {
        Self {
            receiver,
            client: OnceLock::new(),
            format: settings.format,
            compression: settings.compression,
            body_bytes_max: settings.max_body_bytes,
            bytes_sent: AtomicU64::new(0),
        }
    }

    /// Sends the events of a range.
    async fn send(&self, client: &Client, lines: &Lines, range: &Range<usize>) -> Answer {
        let body_bytes = lines.body_bytes(range);
        if body_bytes > self.body_bytes_max {
            let limit = self.body_bytes_max;
            let reason = format!("a body of {body_bytes} bytes, where {limit} are allowed");
            return Answer::TooLarge(Refusal::permanent("too_large", reason));
        }
        let body = lines.body(range);
        let idempotency_key = idempotency_key(&body);
        let is_gzip = self.compression == Compression::Gzip;
        let bytes = if is_gzip {
            // Packing takes its time, and others have to go on.
            let packing = tokio::task::spawn_blocking(move || packed(&body)).await;
            match packing.map_err(std::io::Error::other).and_then(|packed| packed) {
                Ok(packed) => packed,
                Err(error) => {
                    return Answer::Refused(Refusal::transient("io", error.to_string()));
                }
            }
        } else {
            body
        };
        let wire_bytes = bytes.len() as u64;
        let content_type = lines.content_type();
        let parcel = Parcel { bytes, content_type, is_gzip, idempotency_key };
        match self.receiver.send(client, parcel).await {
            Ok(answer) => {
                self.bytes_sent.fetch_add(wire_bytes, Ordering::Relaxed);
                answer
            }
            Err(refusal) => Answer::Refused(refusal),
        }
    }
}

#[async_trait]
impl Sink for HttpWriter {
    async fn open(&self) -> Result<(), StageError> {
        let client = self.receiver.client()?;
        // It is opened once.
        let _ = self.client.set(client);
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        let Some(client) = self.client.get() else {
            return Outcome::Refused(Refusal::transient("connection", "the sink is not open"));
        };
        let lines = Lines::of(batch.events(), self.format);
        let mut todo = lines.pieces(self.body_bytes_max);
        todo.reverse();
        let mut fates = Fates { events: batch.len(), refused: Vec::new() };
        while let Some(range) = todo.pop() {
            match self.send(client, &lines, &range).await {
                Answer::Taken => {}
                Answer::TooLarge(_) if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    todo.push(middle..range.end);
                    todo.push(range.start..middle);
                }
                Answer::Except(rejected) => fates.except(&range, rejected),
                Answer::TooLarge(refusal) => fates.refuse(range, &refusal),
                Answer::Refused(refusal) => {
                    let holds_for_all = concerns_all(&refusal);
                    fates.refuse(range, &refusal);
                    if holds_for_all {
                        todo.drain(..).rev().for_each(|range| fates.refuse(range, &refusal));
                    }
                }
            }
        }
        fates.outcome()
    }

    fn wants_batches(&self) -> bool {
        true
    }

    fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }
}

/// Whether the events that are still to come would fare no better; what may be taken later keeps
/// its place before them.
fn concerns_all(refusal: &Refusal) -> bool {
    refusal.retry != Retry::Never
        || ["unauthorized", "not_found"].contains(&refusal.failure.category)
}

/// What became of the events of a batch.
struct Fates {
    events: usize,
    /// By place, ascending.
    refused: Vec<(usize, Refusal)>,
}

impl Fates {
    fn refuse(&mut self, range: Range<usize>, refusal: &Refusal) {
        self.refused.extend(range.map(|place| (place, refusal.clone())));
    }

    /// Some events of a request were not taken; their places count from its first.
    fn except(&mut self, range: &Range<usize>, rejected: Vec<(usize, Refusal)>) {
        if let Some((index, _)) = rejected.iter().find(|(index, _)| *index >= range.len()) {
            let reason = format!("it rejects event {index} of {}", range.len());
            return self.refuse(range.clone(), &Refusal::permanent("rejected", reason));
        }
        let places = rejected.into_iter().map(|(index, refusal)| (range.start + index, refusal));
        self.refused.extend(places);
    }

    fn outcome(mut self) -> Outcome {
        if self.refused.is_empty() {
            return Outcome::Delivered;
        }
        let first = &self.refused[0].1;
        let is_one = self.refused.iter().all(|(_, refusal)| refusal == first);
        if is_one && self.refused.len() == self.events {
            return Outcome::Refused(self.refused.swap_remove(0).1);
        }
        Outcome::Except(self.refused)
    }
}
