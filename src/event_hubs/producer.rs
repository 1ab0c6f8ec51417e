//! A producer: a connection with its links, on a thread of its own, and the handle to it. Whoever
//! drops the handle while it works gives the connection up as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use azure_messaging_eventhubs::{EventHubsError, ProducerClient};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::access::Access;
use super::description::HubDescription;
use super::fault::Fault;
use super::messages::{Message, Partitioning};
use super::parcels::{Packing, Settled};
use super::thread::run_apart;

/// How long a good-bye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer than its parts a call may take before it is given up from outside: a name that
/// is looked up blocks the producer's own timers.
const GRACE: Duration = Duration::from_secs(1);

/// What all producers of a client have in common.
#[derive(Debug)]
pub(super) struct ProducerOptions {
    pub(super) access: Access,
    pub(super) partitioning: Partitioning,
    pub(super) connect_timeout: Duration,
    pub(super) send_timeout: Duration,
    /// How large a batch may be.
    pub(super) batch_bytes_max: AtomicU64,
    /// How large batches are made: less, for a while, where the service has refused larger ones.
    pub(super) batch_bytes_fit: AtomicU64,
    /// Whether the service has taken a batch of any of them: what it refuses now, it may allow again.
    pub(super) has_worked: AtomicBool,
    /// How many partitions the hub has; 0 before any of them is connected.
    pub(super) partitions: AtomicUsize,
}

impl ProducerOptions {
    /// The same, for others: what this client has found out is not known to them.
    pub(super) fn copy(&self) -> Self {
        Self {
            access: self.access.clone(),
            partitioning: self.partitioning.clone(),
            connect_timeout: self.connect_timeout,
            send_timeout: self.send_timeout,
            batch_bytes_max: AtomicU64::new(self.batch_bytes_max.load(Relaxed)),
            batch_bytes_fit: AtomicU64::new(self.batch_bytes_fit.load(Relaxed)),
            has_worked: AtomicBool::new(false),
            partitions: AtomicUsize::new(0),
        }
    }
}

/// The handle of a producer that is connected.
pub(super) struct Producer {
    jobs: mpsc::Sender<Job>,
    options: Arc<ProducerOptions>,
    pub(super) partitions: usize,
}

enum Job {
    Send { messages: Vec<Message>, answer: oneshot::Sender<Result<Settled, Fault>> },
    Describe(oneshot::Sender<Result<HubDescription, Fault>>),
    Close(oneshot::Sender<()>),
}

impl Producer {
    /// Connects, and learns how many partitions there are. With that it is known that the hub is
    /// there and that we may send to it: opening alone would not tell.
    pub(super) async fn connect(options: Arc<ProducerOptions>) -> Result<Self, Fault> {
        let limit = options.connect_timeout;
        let (jobs, inbox) = mpsc::channel(1);
        let (ready, connected) = oneshot::channel();
        let shared = options.clone();
        let started = run_apart("event-hubs-send", move || work(shared, inbox, ready));
        started.map_err(|_| Fault::client_gone())?;
        match timeout(limit, connected).await {
            Ok(Ok(partitions)) => {
                let partitions = partitions?;
                options.partitions.store(partitions, Relaxed);
                Ok(Self { jobs, options, partitions })
            }
            Ok(Err(_)) => Err(Fault::client_gone()),
            Err(_) => Err(Fault::timeout("connecting", limit)),
        }
    }

    /// Sends messages: all of them, or the first that fit. An error means that none was sent, or
    /// that nobody knows.
    pub(super) async fn send(&self, messages: Vec<Message>) -> Result<Settled, Fault> {
        let limit = self.options.connect_timeout + self.options.send_timeout + GRACE;
        self.ask("sending", limit, |answer| Job::Send { messages, answer }).await?
    }

    /// Asks the service what the hub is.
    pub(super) async fn describe(&self) -> Result<HubDescription, Fault> {
        self.ask("describing the hub", self.options.connect_timeout, Job::Describe).await?
    }

    /// Takes leave of the service; it does not take long.
    pub(super) async fn close(self) {
        // Where it does not answer it is given up, which is as good.
        let _ = self.ask("closing", CLOSE_TIMEOUT + GRACE, Job::Close).await;
    }

    async fn ask<T>(
        &self,
        doing: &str,
        limit: Duration,
        job: impl FnOnce(oneshot::Sender<T>) -> Job,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| Fault::client_gone())?;
        match timeout(limit, answered).await {
            Ok(answered) => answered.map_err(|_| Fault::client_gone()),
            Err(_) => Err(Fault::timeout(doing, limit)),
        }
    }
}

/// What the thread does: connects, and then one job after the other, until nobody asks any more.
async fn work(
    options: Arc<ProducerOptions>,
    mut inbox: mpsc::Receiver<Job>,
    mut ready: oneshot::Sender<Result<usize, Fault>>,
) {
    let connected = tokio::select! {
        connected = open(&options.access, &options.partitioning) => connected,
        () = ready.closed() => return,
    };
    let (client, partition_ids) = match connected {
        Ok(connected) => connected,
        Err(fault) => {
            // Whoever connected may have given up.
            let _ = ready.send(Err(fault));
            return;
        }
    };
    if ready.send(Ok(partition_ids.len())).is_err() {
        return;
    }
    while let Some(job) = inbox.recv().await {
        match job {
            Job::Send { messages, mut answer } => {
                let packing = Packing {
                    client: &client,
                    partitioning: &options.partitioning,
                    partition_ids: &partition_ids,
                    batch_bytes_max: &options.batch_bytes_max,
                    batch_bytes_fit: &options.batch_bytes_fit,
                    connect_timeout: options.connect_timeout,
                    send_timeout: options.send_timeout,
                    has_worked: &options.has_worked,
                };
                tokio::select! {
                    settled = packing.send(messages) => drop(answer.send(settled)),
                    // What is on its way is of unknown fate, and closing would wait for it.
                    () = answer.closed() => return,
                }
            }
            Job::Describe(mut answer) => tokio::select! {
                described = describe(&client, &options.access) => drop(answer.send(described)),
                () = answer.closed() => return,
            },
            Job::Close(answer) => {
                let _ = timeout(CLOSE_TIMEOUT, client.close()).await;
                let _ = answer.send(());
                return;
            }
        }
    }
}

async fn open(
    access: &Access,
    partitioning: &Partitioning,
) -> Result<(ProducerClient, Vec<String>), Fault> {
    let client = access.open_producer().await?;
    let properties = client.get_eventhub_properties().await;
    let properties = properties.map_err(|error| Fault::of(&error))?;
    if let Partitioning::To(id) = partitioning
        && !properties.partition_ids.contains(id)
    {
        let count = properties.partition_ids.len();
        return Err(Fault::not_found(format!("it has no partition `{id}`, but {count} others")));
    }
    // Its link is attached now, which takes the right to send.
    client.create_batch(None).await.map_err(|error| Fault::of(&error))?;
    Ok((client, properties.partition_ids))
}

async fn describe(client: &ProducerClient, access: &Access) -> Result<HubDescription, Fault> {
    let fault = |error: EventHubsError| Fault::of(&error);
    let hub = client.get_eventhub_properties().await.map_err(fault)?;
    let mut partitions = Vec::with_capacity(hub.partition_ids.len());
    for id in &hub.partition_ids {
        let partition = client.get_partition_properties(id).await.map_err(fault)?;
        partitions.push(partition.into());
    }
    let name = if hub.name.is_empty() { access.hub().to_owned() } else { hub.name };
    Ok(HubDescription { name, created: hub.created_on, partitions })
}
