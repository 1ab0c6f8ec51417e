//! The first events of a batch as one request, and its answer as an outcome.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use reqwest::Client;

use super::answer::Answer;
use super::body::{Lines, idempotency_key, packed};
use super::client::{Parcel, Receiver};
use super::{BodyFormat, Compression, HttpSink};
use crate::event::Batch;
use crate::stage::{Outcome, Probe, Refusal, Retry, Sink, StageError};

/// Writes batches to a receiver.
pub(super) struct HttpWriter {
    receiver: Receiver,
    /// Made at opening.
    client: OnceLock<Client>,
    format: BodyFormat,
    compression: Compression,
    body_bytes_max: usize,
    /// How large a body the receiver took, where it has answered 413; else as large as may be.
    body_bytes_fit: AtomicUsize,
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
            body_bytes_fit: AtomicUsize::new(settings.max_body_bytes),
            bytes_sent: AtomicU64::new(0),
        }
    }

    /// The receiver answered 413: the next bodies are smaller.
    fn fit(&self, body_bytes: usize) {
        self.body_bytes_fit.fetch_min(body_bytes, Ordering::Relaxed);
    }

    /// The receiver took a body: the next may be a little larger, up to the limit of the settings.
    fn widen(&self) {
        let fit = self.body_bytes_fit.load(Ordering::Relaxed);
        if fit < self.body_bytes_max {
            let wider = fit.saturating_add(fit / 8 + 1).min(self.body_bytes_max);
            self.body_bytes_fit.store(wider, Ordering::Relaxed);
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

    /// The client connects with the first request.
    async fn reach(&self) -> Result<(), StageError> {
        match self.receiver.probe().await {
            Probe::Missing(why) => Err(StageError(why)),
            Probe::Found(_) | Probe::Nothing => Ok(()),
        }
    }

    /// One request, and after 413 smaller ones until the first events fit.
    async fn write(&self, batch: &Batch) -> Outcome {
        let Some(client) = self.client.get() else {
            return Outcome::Refused(Refusal::transient("connection", "the sink is not open"));
        };
        let body_bytes_max = self.body_bytes_fit.load(Ordering::Relaxed);
        let lines = Lines::first_of(batch.events(), self.format, body_bytes_max);
        let mut sent = lines.len();
        if sent == 0 {
            return Outcome::Delivered;
        }
        loop {
            let range = 0..sent;
            match self.send(client, &lines, &range).await {
                Answer::TooLarge(_) if sent > 1 => {
                    sent /= 2;
                    self.fit(lines.body_bytes(&(0..sent)));
                }
                Answer::Taken => {
                    self.widen();
                    return decided(batch.len(), sent, Vec::new());
                }
                Answer::Except(rejected) => {
                    self.widen();
                    return decided(batch.len(), sent, understood(sent, rejected));
                }
                Answer::Refused(refusal) if concerns_all(&refusal) => {
                    return Outcome::Refused(refusal);
                }
                Answer::TooLarge(refusal) | Answer::Refused(refusal) => {
                    return decided(batch.len(), sent, refused(range, &refusal));
                }
            }
        }
    }

    fn wants_batches(&self) -> bool {
        true
    }

    async fn probe(&self) -> Probe {
        self.receiver.probe().await
    }

    fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }
}

/// Whether the events that are still to come would fare no better; what may be taken later keeps
/// its place before them.
fn concerns_all(refusal: &Refusal) -> bool {
    is_transient(refusal) || ["unauthorized", "not_found"].contains(&refusal.failure.category)
}

fn is_transient(refusal: &Refusal) -> bool {
    refusal.retry != Retry::Never
}

fn refused(range: Range<usize>, refusal: &Refusal) -> Vec<(usize, Refusal)> {
    range.map(|place| (place, refusal.clone())).collect()
}

/// What a receiver rejects of a request, if it is in the request.
fn understood(sent: usize, rejected: Vec<(usize, Refusal)>) -> Vec<(usize, Refusal)> {
    let Some((index, _)) = rejected.iter().find(|(index, _)| *index >= sent) else {
        return rejected;
    };
    let reason = format!("it rejects event {index} of {sent}");
    refused(0..sent, &Refusal::permanent("rejected", reason))
}

/// What became of a batch of which the first so many were sent, and these failed.
fn decided(events: usize, sent: usize, mut failed: Vec<(usize, Refusal)>) -> Outcome {
    if let Some((_, later)) = failed.iter().find(|(_, refusal)| is_transient(refusal)) {
        // What comes behind an event that is sent again waits for it, and does not overtake it.
        let later = later.clone();
        failed.extend(refused(sent..events, &later));
    } else if sent < events {
        return Outcome::Partly { decided: sent, failed };
    }
    let Some((_, first)) = failed.first() else { return Outcome::Delivered };
    if failed.len() == events && failed.iter().all(|(_, refusal)| refusal == first) {
        return Outcome::Refused(first.clone());
    }
    Outcome::Except(failed)
}
