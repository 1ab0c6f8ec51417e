//! A batch of messages onto a connection: sent in order without waiting for each other, and what
//! became of each one by its acknowledgement.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error as _;
use std::future::{IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_nats::header::{HeaderMap, HeaderValue, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::context::{
    GetStreamByNameErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use engine_plugin::{Engine, Error, Metric, Outcome, Refusal};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::connection::{Address, Connection, NoConnection};

/// An event as it goes out.
pub(crate) struct Message {
    /// Its place in the batch.
    pub(crate) row: usize,
    pub(crate) subject: String,
    pub(crate) id: HeaderValue,
    pub(crate) body: Bytes,
}

/// Publishes batches on the connection that is up, and connects again where none is.
pub(crate) struct Publisher {
    pub(crate) address: Address,
    stream: HeaderValue,
    in_flight: usize,
    ack_timeout: Duration,
    /// None before the first one.
    connection: Mutex<Option<Arc<Connection>>>,
    metrics: Metrics,
}

struct Metrics {
    messages: Metric,
    bytes: Metric,
    duplicates: Metric,
    connections: Metric,
}

/// What a batch adds to them.
#[derive(Default)]
struct Tally {
    messages: usize,
    bytes: usize,
    duplicates: usize,
}

impl Metrics {
    fn record(&self, tally: &Tally) {
        self.messages.record(tally.messages as f64);
        self.bytes.record(tally.bytes as f64);
        self.duplicates.record(tally.duplicates as f64);
    }
}

impl Publisher {
    pub(crate) fn new(
        address: Address,
        stream: HeaderValue,
        in_flight: usize,
        ack_timeout: Duration,
        engine: &Engine,
    ) -> Self {
        let metrics = Metrics {
            messages: engine.counter("messages", "messages"),
            bytes: engine.counter("bytes", "bytes"),
            duplicates: engine.counter("duplicates", "messages"),
            connections: engine.counter("connections", "connections"),
        };
        let connection = Mutex::new(None);
        Self { address, stream, in_flight, ack_timeout, connection, metrics }
    }

    /// The connection, which is made where there is none or the last one was lost.
    pub(crate) async fn connection(&self) -> Result<Arc<Connection>, NoConnection> {
        let mut connection = self.connection.lock().await;
        if let Some(connection) = connection.as_ref().filter(|connection| connection.is_up()) {
            return Ok(connection.clone());
        }
        // Nothing of the one before goes out any more.
        *connection = None;
        let new = Arc::new(self.address.connect().await?);
        self.metrics.connections.increment();
        *connection = Some(new.clone());
        Ok(new)
    }

    /// Publishes messages; the refusals of those that were none are in the outcome, too.
    pub(crate) async fn publish(&self, messages: Vec<Message>, refused: Vec<Refusal>) -> Outcome {
        let connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => {
                let refused = refused.into_iter().chain(messages.iter().map(|message| Refusal {
                    row: message.row,
                    error: Error::Retry(error.reason.clone()),
                }));
                return outcome(refused.collect());
            }
        };
        let mut batch = Sending {
            publisher: self,
            connection: &connection,
            waiting: VecDeque::new(),
            tally: Tally::default(),
            end: None,
            homeless: Vec::new(),
            refusals: refused,
        };
        for message in messages {
            batch.send(message).await;
        }
        batch.finish().await
    }

    /// Waits for the client, but no longer than the connection lasts and an answer may take.
    async fn in_time<T>(
        &self,
        connection: &Connection,
        work: impl IntoFuture<Output = Result<T, PublishError>>,
    ) -> Result<T, Failed> {
        let mut work = pin!(work.into_future());
        if let Some(done) = at_once(work.as_mut()).await {
            return done.map_err(|error| failed(&error));
        }
        let done = tokio::select! {
            biased;
            done = timeout(self.ack_timeout, work) => done,
            why = connection.lost() => {
                return Err(Failed::Later(format!("{why}: {}", self.address.shown())));
            }
        };
        if let Ok(done) = done {
            return done.map_err(|error| failed(&error));
        }
        connection.give_up();
        let wait = self.ack_timeout.as_millis();
        Err(Failed::Later(format!("no answer from {} within {wait} ms", self.address.shown())))
    }

    async fn why_unheard(&self, connection: &Connection, subject: &str) -> Error {
        let found = connection.jetstream.stream_by_subject(subject);
        match timeout(self.ack_timeout, found).await {
            Ok(Err(error)) if error.kind() == GetStreamByNameErrorKind::NotFound => {
                Error::Rejected(format!("no stream takes messages of the subject `{subject}`"))
            }
            Ok(Ok(stream)) => Error::Retry(format!("stream `{stream}` did not answer")),
            Ok(Err(error)) => Error::Retry(format!("no stream answered, and {error}")),
            Err(_) => Error::Retry("no stream answered".to_owned()),
        }
    }
}

fn outcome(mut refusals: Vec<Refusal>) -> Outcome {
    refusals.sort_by_key(|refusal| refusal.row);
    Outcome { refusals, ..Outcome::delivered() }
}

type Acknowledgement = Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>;

/// A message that was sent.
struct Sent {
    row: usize,
    subject: String,
    bytes: usize,
    acknowledgement: Acknowledgement,
}

/// A batch on its way.
struct Sending<'a> {
    publisher: &'a Publisher,
    connection: &'a Connection,
    /// Sent and not answered, in order.
    waiting: VecDeque<Sent>,
    tally: Tally,
    /// Why nothing more is sent: what is behind a message that may come later has to come later,
    /// too.
    end: Option<String>,
    /// Messages that no stream heard of: rows by subject.
    homeless: Vec<(String, usize)>,
    refusals: Vec<Refusal>,
}

impl Sending<'_> {
    async fn send(&mut self, message: Message) {
        if self.waiting.len() >= self.publisher.in_flight {
            self.settle_one().await;
        }
        if let Some(reason) = &self.end {
            let error = Error::Retry(reason.clone());
            return self.refusals.push(Refusal { row: message.row, error });
        }
        let Message { row, subject, id, body } = message;
        let bytes = body.len();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        headers.insert(NATS_EXPECTED_STREAM, self.publisher.stream.clone());
        headers.insert("content-type", "application/json");
        let publish = PublishMessage::build().payload(body).headers(headers);
        let sent = self.connection.jetstream.send_publish(subject.clone(), publish);
        match self.publisher.in_time(self.connection, sent).await {
            Ok(acknowledgement) => {
                let acknowledgement = PublishAckFuture::into_future(acknowledgement);
                self.waiting.push_back(Sent { row, subject, bytes, acknowledgement });
            }
            Err(error) => self.refuse(row, error),
        }
    }

    /// Waits for the answer to the message that was sent first.
    async fn settle_one(&mut self) {
        let Some(Sent { row, subject, bytes, mut acknowledgement }) = self.waiting.pop_front()
        else {
            return;
        };
        let answer = match &self.end {
            None => self.publisher.in_time(self.connection, acknowledgement).await,
            // It may be there already; there is no sense in waiting for it.
            Some(reason) => match at_once(acknowledgement.as_mut()).await {
                Some(answer) => answer.map_err(|error| failed(&error)),
                None => Err(Failed::Later(reason.clone())),
            },
        };
        match answer {
            Ok(acknowledgement) => {
                self.tally.messages += 1;
                self.tally.bytes += bytes;
                self.tally.duplicates += usize::from(acknowledgement.duplicate);
            }
            Err(Failed::Unheard) => self.homeless.push((subject, row)),
            Err(error) => self.refuse(row, error),
        }
    }

    fn refuse(&mut self, row: usize, failed: Failed) {
        let error = match failed {
            Failed::Never(reason) => Error::Rejected(reason),
            Failed::Later(reason) => {
                self.end.get_or_insert_with(|| reason.clone());
                Error::Retry(reason)
            }
            Failed::Unheard => Error::Retry("no stream answered".to_owned()),
        };
        self.refusals.push(Refusal { row, error });
    }

    async fn finish(mut self) -> Outcome {
        while !self.waiting.is_empty() {
            self.settle_one().await;
        }
        self.publisher.metrics.record(&self.tally);
        // Nobody answers for a subject that no stream has, and nobody does while a stream has no
        // leader; what streams there are tells them apart.
        let mut errors: BTreeMap<String, Error> = BTreeMap::new();
        for (subject, row) in std::mem::take(&mut self.homeless) {
            let error = match errors.get(&subject) {
                Some(error) => error.clone(),
                None => self.publisher.why_unheard(self.connection, &subject).await,
            };
            self.refusals.push(Refusal { row, error: error.clone() });
            errors.insert(subject, error);
        }
        outcome(self.refusals)
    }
}

/// What is there already, without waiting for it and without asking the clock.
async fn at_once<F: Future + ?Sized>(mut work: Pin<&mut F>) -> Option<F::Output> {
    let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    match polled {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// Why a message was not taken.
enum Failed {
    Never(String),
    Later(String),
    /// Nobody listens to its subject, as far as the server knows.
    Unheard,
}

fn failed(error: &PublishError) -> Failed {
    match error.kind() {
        PublishErrorKind::StreamNotFound => Failed::Unheard,
        PublishErrorKind::MaxPayloadExceeded => Failed::Never(error.to_string()),
        PublishErrorKind::Other => {
            let answer = error.source().and_then(|source| source.downcast_ref());
            match answer.map(async_nats::jetstream::Error::code) {
                // As in HTTP: what the stream does not take today it does not take tomorrow.
                Some(400..500) => Failed::Never(format!("the stream refused it: {error}")),
                _ => Failed::Later(error.to_string()),
            }
        }
        _ => Failed::Later(error.to_string()),
    }
}
