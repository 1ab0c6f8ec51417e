//! The sink `nats`: each event becomes a message in a `JetStream` stream.

mod connection;
mod publish;
mod settings;
mod subject;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::HeaderValue;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use engine_plugin::{Delivery, Engine, Error, Events, Key, Plugin, Refusal, Sink, export_plugins};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::connection::{Address, Connection, NoConnection, Threads};
use crate::publish::{Message, Publisher};
use crate::subject::Template;

pub use crate::settings::{Credentials, Settings, Stream, Tls};

/// How many batches may be on their way at once: each of the delivery's lanes sends its own.
pub(crate) const WRITES_MAX: u32 = 16;
/// The wait between two attempts to connect at the start.
const PAUSE: Duration = Duration::from_millis(250);

/// The sink.
pub struct Nats {
    stream: Stream,
    subject: Template,
    trace_id: Key,
    publisher: Arc<Publisher>,
    /// Told when the run stops.
    stop: Arc<Notify>,
    /// Where batches are published; none before the start.
    threads: Option<Threads>,
}

impl Plugin for Nats {
    const NAME: &'static str = "nats";
    const EXAMPLE: &'static str = "\
servers: [nats://127.0.0.1:4222]
subject: retail.{event_type}
stream: { name: RETAIL, create: true }
";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        settings.check().map_err(Error::Config)?;
        let address = Address::new(&settings).map_err(Error::Config)?;
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        engine.on_stop(move || stopped.notify_one());
        let name: HeaderValue = settings.stream.name.parse().map_err(Error::config)?;
        let ack_timeout = Duration::from_millis(settings.ack_timeout_ms);
        let publisher = Publisher::new(address, name, settings.max_in_flight, ack_timeout, engine);
        Ok(Self {
            subject: Template::parse(&settings.subject, engine).map_err(Error::Config)?,
            stream: settings.stream,
            trace_id: engine.key("trace_id")?,
            publisher: Arc::new(publisher),
            stop,
            threads: None,
        })
    }

    fn start(&mut self) -> Result<(), Error> {
        let threads = Threads::new().map_err(Error::fatal)?;
        threads.runtime().block_on(async {
            tokio::select! {
                biased;
                started = self.connect() => started,
                () = self.stop.notified() => {
                    let servers = self.publisher.address.shown();
                    Err(Error::Fatal(format!("stopped while connecting to {servers}")))
                }
            }
        })?;
        self.threads = Some(threads);
        Ok(())
    }
}

impl Sink for Nats {
    const NETWORK: bool = true;
    const MAX_IN_FLIGHT: u32 = WRITES_MAX;

    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        let Some(threads) = &self.threads else {
            return delivery.refused(Error::Fatal("it was not started".to_owned()));
        };
        let (messages, refused) = self.messages(events);
        let publisher = self.publisher.clone();
        threads.runtime().spawn(async move {
            delivery.complete(&publisher.publish(messages, refused).await);
        });
    }
}

impl Nats {
    /// Connects, and sees to the stream.
    async fn connect(&self) -> Result<(), Error> {
        let address = &self.publisher.address;
        let deadline = Instant::now() + address.timeout();
        let mut last = format!("cannot connect to {}: no answer", address.shown());
        let connection = loop {
            match timeout_at(deadline, self.publisher.connection()).await {
                Ok(Ok(connection)) => break connection,
                Ok(Err(NoConnection { reason, is_final: true })) => {
                    return Err(Error::Fatal(reason));
                }
                Ok(Err(error)) => last = error.reason,
                Err(_) => {}
            }
            if timeout_at(deadline, sleep(PAUSE)).await.is_err() {
                let tried = address.timeout().as_millis();
                return Err(Error::Fatal(format!("{last}, after {tried} ms")));
            }
        };
        match timeout(address.timeout(), self.find_stream(&connection)).await {
            Ok(found) => found.map_err(Error::Fatal),
            Err(_) => Err(Error::Fatal(format!("JetStream of {} gave no answer", address.shown()))),
        }
    }

    async fn find_stream(&self, connection: &Connection) -> Result<(), String> {
        let (servers, name) = (self.publisher.address.shown(), &self.stream.name);
        if self.stream.create {
            let config = Config {
                name: name.clone(),
                subjects: vec![self.subject.filter()],
                num_replicas: self.stream.replicas,
                duplicate_window: Duration::from_secs(self.stream.duplicate_window_s),
                ..Config::default()
            };
            return match connection.jetstream.get_or_create_stream(config).await {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == CreateStreamErrorKind::JetStreamUnavailable => {
                    Err(format!("{servers} has no JetStream"))
                }
                Err(error) => Err(format!("cannot make stream `{name}` on {servers}: {error}")),
            };
        }
        match connection.jetstream.get_stream(name).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.kind() {
                GetStreamErrorKind::Request if is_unheard(&error) => {
                    format!("{servers} has no JetStream")
                }
                GetStreamErrorKind::JetStream(answer) if answer.code() == 404 => format!(
                    "there is no stream `{name}` on {servers}; `create: true` under `stream` makes it"
                ),
                _ => format!("cannot look up stream `{name}` on {servers}: {error}"),
            }),
        }
    }

    /// The messages of a batch, and the refusals of events that can be none.
    fn messages(&self, events: &Events<'_>) -> (Vec<Message>, Vec<Refusal>) {
        // All bodies in one piece.
        let mut bodies = Vec::new();
        let mut headers = Vec::with_capacity(events.len());
        let mut refused = Vec::new();
        for row in 0..events.len() {
            match self.head(events, row) {
                Ok((subject, id)) => {
                    let start = bodies.len();
                    events.write_json(row, &mut bodies);
                    headers.push((row, subject, id, start..bodies.len()));
                }
                Err(reason) => refused.push(Refusal { row, error: Error::Rejected(reason) }),
            }
        }
        let bodies = Bytes::from(bodies);
        let message =
            |(row, subject, id, span)| Message { row, subject, id, body: bodies.slice(span) };
        (headers.into_iter().map(message).collect(), refused)
    }

    fn head(&self, events: &Events<'_>, row: usize) -> Result<(String, HeaderValue), String> {
        let subject = self.subject.render(events, row)?;
        let id = events.str(row, self.trace_id).unwrap_or_default();
        let id = id.parse().map_err(|_| "its `trace_id` has a line break in it".to_owned())?;
        Ok((subject, id))
    }
}

/// Whether nobody listens to requests for streams.
fn is_unheard(error: &GetStreamError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<RequestError>());
    source.is_some_and(|source| source.kind() == RequestErrorKind::NoResponders)
}

impl Drop for Nats {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.end();
        }
    }
}

export_plugins!(sink Nats);
