//! The official SDK for Rust, each client on a thread of its own: its calls hang where a connection
//! is lost in a call, and on a runtime with several threads even when nothing is lost.

use std::future::Future;
use std::sync::mpsc;
use std::time::Duration;

use azure_core::time::Duration as AzureDuration;
use azure_messaging_eventhubs::models::{EventData, ReceivedEventData};
use azure_messaging_eventhubs::{
    ConsumerClient, EventDataBatchOptions, OpenReceiverOptions, ProducerClient, RetryOptions,
    StartLocation, StartPosition,
};
use event_hubs_peer::{DEFAULT_POLICY, Peer};
use futures::StreamExt;

/// How long a call may take; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a client on a thread and a current-thread runtime of its own.
pub(crate) fn run<T, F>(client: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        done.send(runtime.block_on(client())).unwrap();
        // What the client has left running is not waited for.
        runtime.shutdown_background();
    });
    result.recv_timeout(Duration::from_mins(1)).expect("the client does not end")
}

/// What a call has brought, or that it has brought nothing in time.
pub(crate) async fn in_time<T, E: std::fmt::Debug>(
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(result) => result.map_err(|error| format!("{error:?}")),
        Err(_) => Err("nothing in time".into()),
    }
}

/// Where and as whom to connect, for the thread of a client.
#[derive(Clone)]
pub(crate) struct Address {
    endpoint: String,
    connection_string: String,
}

impl Address {
    pub(crate) fn of(peer: &Peer, hub: &str) -> Self {
        Self::with(peer, hub, DEFAULT_POLICY)
    }

    pub(crate) fn with(peer: &Peer, hub: &str, (policy, key): (&str, &str)) -> Self {
        Self {
            endpoint: format!("amqp://127.0.0.1:{}", peer.port()),
            connection_string: format!(
                "Endpoint=sb://localhost/;SharedAccessKeyName={policy};SharedAccessKey={key};\
                 EntityPath={hub}"
            ),
        }
    }

    /// A consumer of a group that tries once.
    pub(crate) async fn consumer(&self, group: &str) -> ConsumerClient {
        let client = ConsumerClient::builder()
            .with_custom_endpoint(self.endpoint.clone())
            .with_consumer_group(group.into())
            .with_retry_options(no_retries())
            .open_with_connection_string(&self.connection_string, None);
        in_time(client).await.unwrap()
    }

    /// A producer that tries once.
    pub(crate) async fn producer(&self) -> ProducerClient {
        let client = ProducerClient::builder()
            .with_custom_endpoint(self.endpoint.clone())
            .with_retry_options(no_retries())
            .open_with_connection_string(&self.connection_string, None);
        in_time(client).await.unwrap()
    }
}

/// Runs a client until the check is over, whether or not its call ends: it may hang by then.
pub(crate) fn meanwhile<F>(client: impl FnOnce() -> F + Send + 'static, check: impl FnOnce())
where
    F: Future,
{
    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                () = async { client().await; std::future::pending::<()>().await } => {}
                _ = is_over => {}
            }
        });
        runtime.shutdown_background();
    });
    check();
    drop(over);
    thread.join().unwrap();
}

pub(crate) fn no_retries() -> RetryOptions {
    RetryOptions {
        max_retries: 0,
        initial_delay: AzureDuration::milliseconds(1),
        max_delay: AzureDuration::milliseconds(1),
        max_total_elapsed: AzureDuration::seconds(0),
    }
}

/// Sends events as one batch.
pub(crate) async fn send(
    producer: &ProducerClient,
    options: EventDataBatchOptions,
    events: Vec<EventData>,
) -> Result<(), String> {
    let call = async {
        let batch = producer.create_batch(Some(options)).await?;
        for event in events {
            assert!(batch.try_add_event_data(event, None)?, "the event does not fit");
        }
        producer.send_batch(batch, None).await
    };
    in_time(call).await
}

/// A batch that any partition may get.
pub(crate) fn anywhere() -> EventDataBatchOptions {
    EventDataBatchOptions::default()
}

pub(crate) fn to_partition(number: usize) -> EventDataBatchOptions {
    EventDataBatchOptions { partition_id: Some(number.to_string()), ..anywhere() }
}

pub(crate) fn with_key(key: &str) -> EventDataBatchOptions {
    EventDataBatchOptions { partition_key: Some(key.into()), ..anywhere() }
}

/// An event with this text.
pub(crate) fn event(text: &str) -> EventData {
    EventData::builder().with_body(text.as_bytes().to_vec()).build()
}

/// Reads so many events of a partition, or says what has come in between.
pub(crate) async fn read(
    consumer: &ConsumerClient,
    partition: usize,
    location: StartLocation,
    inclusive: bool,
    count: usize,
) -> Result<Vec<ReceivedEventData>, String> {
    let start_position = Some(StartPosition { location, inclusive });
    let options = OpenReceiverOptions { start_position, ..OpenReceiverOptions::default() };
    read_with(consumer, partition, options, count).await
}

pub(crate) async fn read_with(
    consumer: &ConsumerClient,
    partition: usize,
    options: OpenReceiverOptions,
    count: usize,
) -> Result<Vec<ReceivedEventData>, String> {
    let receiver = consumer.open_receiver_on_partition(partition.to_string(), Some(options));
    let receiver = in_time(receiver).await?;
    let mut stream = std::pin::pin!(receiver.stream_events());
    let mut events = Vec::new();
    while events.len() < count {
        let next = async { stream.next().await.expect("the stream ends") };
        events.push(in_time(next).await?);
    }
    Ok(events)
}

/// The body of an event as text.
pub(crate) fn text(event: &ReceivedEventData) -> String {
    String::from_utf8(event.event_data().body().unwrap().to_vec()).unwrap()
}
