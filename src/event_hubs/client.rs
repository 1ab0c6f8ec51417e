//! The client: producers that wait to be used, one for each send that is under way.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::access::Access;
use super::description::HubDescription;
use super::fault::Fault;
use super::figures::{EventHubsStatistics, Figures};
use super::messages::{Partitioning, first_of};
use super::parcels::BATCH_BYTES_MAX;
use super::producer::{Producer, ProducerOptions};
use crate::event::Event;
use crate::stage::{Refusal, Retry};

/// How long a connection may lie idle before a new one is made in its place: the service drops
/// links after half an hour, and what is between drops connections without a word.
const IDLE_MAX: Duration = Duration::from_mins(10);

/// A client that sends events to one hub.
///
/// Calls may be made beside each other; each takes a producer of its own, which has one connection,
/// and leaves it for the next. No call takes longer than its timeouts. Nothing is sent again by
/// itself: what was refused is said, and why, and whether it may be taken another time.
///
/// ```no_run
/// # async fn send(events: Vec<engine::event::Event>) -> Result<(), Box<dyn std::error::Error>> {
/// use engine::event_hubs::{Access, EventHubsClient};
///
/// let text = std::env::var("AZURE_EVENTHUB_CONNECTION_STRING")?;
/// let client = EventHubsClient::new(Access::with_connection_string(&text, Some("retail-events"))?);
/// println!("{} partitions", client.connect().await?);
/// client.send_events(&events).await?;
/// println!("{:?}", client.statistics());
/// client.disconnect().await;
/// # Ok(()) }
/// ```
pub struct EventHubsClient {
    options: Arc<ProducerOptions>,
    idle: Mutex<Vec<Idle>>,
    figures: Figures,
}

struct Idle {
    producer: Producer,
    since: Instant,
}

/// What became of events that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The fate of so many, from the first, is known: at least of one. What is behind them did not
    /// fit, and was not sent.
    pub decided: usize,
    /// Those of them that were not taken, by their place (ascending).
    pub failed: Vec<(usize, Refusal)>,
}

/// Events that were not taken, by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsentEvents(pub Vec<(usize, Refusal)>);

impl fmt::Display for UnsentEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "event was" } else { "events were" };
        write!(f, "{count} {plural} not taken")?;
        match self.0.first() {
            Some((_, refusal)) => write!(f, ": {}", refusal.failure.reason),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnsentEvents {}

impl EventHubsClient {
    /// A client with the defaults of the sink. It connects when it is asked to, or when it sends.
    pub fn new(access: Access) -> Self {
        Self {
            options: Arc::new(ProducerOptions {
                access,
                partitioning: Partitioning::ByKey,
                connect_timeout: Duration::from_secs(10),
                send_timeout: Duration::from_secs(15),
                batch_bytes_max: AtomicU64::new(BATCH_BYTES_MAX),
                batch_bytes_fit: AtomicU64::new(BATCH_BYTES_MAX),
                has_worked: AtomicBool::new(false),
                partitions: AtomicUsize::new(0),
            }),
            idle: Mutex::default(),
            figures: Figures::default(),
        }
    }

    /// Shares events out over the partitions in another way than by their keys.
    #[must_use]
    pub fn with_partitioning(self, partitioning: Partitioning) -> Self {
        self.with(|options| options.partitioning = partitioning)
    }

    /// How long connecting, and attaching a link, may take, and how long the service may take to
    /// settle a batch.
    #[must_use]
    pub fn with_timeouts(self, connect: Duration, send: Duration) -> Self {
        self.with(|options| (options.connect_timeout, options.send_timeout) = (connect, send))
    }

    /// How large a batch may be at most, in bytes, where the service takes larger ones.
    #[must_use]
    pub fn with_batch_bytes_max(self, bytes: u64) -> Self {
        self.with(|options| options.batch_bytes_max = AtomicU64::new(bytes.min(BATCH_BYTES_MAX)))
    }

    /// Producers that are connected already keep the options that they have, and go.
    fn with(mut self, set: impl FnOnce(&mut ProducerOptions)) -> Self {
        let mut options = self.options.copy();
        set(&mut options);
        self.options = Arc::new(options);
        self.idle().clear();
        self
    }

    /// Where it sends to.
    pub fn access(&self) -> &Access {
        &self.options.access
    }

    /// How it shares out events.
    pub fn partitioning(&self) -> &Partitioning {
        &self.options.partitioning
    }

    /// The partition that an event goes to, where it has a key or all go to the same one; known once
    /// it was connected.
    pub fn partition_of(&self, event: &Event) -> Option<u32> {
        let partitions = self.options.partitions.load(Relaxed);
        self.options.partitioning.partition_of(event, partitions)
    }

    /// Connects: says how many partitions the hub has. With that it is there, and lets us in.
    pub async fn connect(&self) -> Result<usize, Refusal> {
        let producer = self.take().await?;
        let partitions = producer.partitions;
        self.give_back(producer);
        Ok(partitions)
    }

    /// Whether the hub answers, and what it is; on a connection that is there, or on a new one.
    pub async fn health_check(&self) -> Result<HubDescription, Refusal> {
        let producer = self.take().await?;
        match producer.describe().await {
            Ok(hub) => {
                self.give_back(producer);
                Ok(hub)
            }
            Err(fault) => Err(self.lose(&fault)),
        }
    }

    /// Sends all of these, in as many batches as it takes. What was not taken was refused, each
    /// event for its own reason; behind what may be taken another time nothing more is sent, so that
    /// keys keep their order.
    pub async fn send_events(&self, events: &[Event]) -> Result<(), UnsentEvents> {
        let mut unsent = Vec::new();
        let mut done = 0;
        while done < events.len() {
            match self.send_first(&events[done..]).await {
                Ok(Sent { decided, failed }) => {
                    let mut later = failed.iter().map(|(_, refusal)| refusal);
                    let later = later.find(|refusal| refusal.retry != Retry::Never).cloned();
                    unsent.extend(failed.into_iter().map(|(place, why)| (done + place, why)));
                    done += decided;
                    if let Some(refusal) = later {
                        unsent.extend((done..events.len()).map(|place| (place, refusal.clone())));
                        break;
                    }
                }
                Err(refusal) => {
                    unsent.extend((done..events.len()).map(|place| (place, refusal.clone())));
                    break;
                }
            }
        }
        if unsent.is_empty() { Ok(()) } else { Err(UnsentEvents(unsent)) }
    }

    /// Sends the first of these, as many as one batch for each partition holds. An error means
    /// that none was taken, as far as is known. A call that is dropped half way gives its
    /// connection up, and what was under way is of unknown fate.
    pub async fn send_first(&self, events: &[Event]) -> Result<Sent, Refusal> {
        let producer = self.take().await.inspect_err(|_| self.figures.refuse(events.len()))?;
        let options = &self.options;
        let fit = options.batch_bytes_fit.load(Relaxed);
        let limit = options.batch_bytes_max.load(Relaxed).min(fit);
        let messages = first_of(events, &options.partitioning, producer.partitions, limit);
        match producer.send(messages).await {
            Ok(settled) => {
                self.figures.settle(&settled);
                if settled.is_last {
                    self.figures.lose_connection();
                } else {
                    self.give_back(producer);
                }
                Ok(Sent { decided: settled.decided, failed: settled.failed })
            }
            Err(fault) => {
                self.figures.refuse(events.len());
                if !fault.leaves_client_usable() {
                    return Err(self.lose(&fault));
                }
                self.give_back(producer);
                Err(self.refusal(&fault))
            }
        }
    }

    /// Takes leave of the service. What is sent after this connects anew.
    pub async fn disconnect(&self) {
        let idle = std::mem::take(&mut *self.idle());
        join_all(idle.into_iter().map(|idle| idle.producer.close())).await;
    }

    /// The figures now.
    pub fn statistics(&self) -> EventHubsStatistics {
        self.figures.statistics()
    }

    /// How many bytes the service has taken.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.figures.bytes_sent()
    }

    /// A producer: the one that was used last, since its connection is the freshest, or a new one.
    async fn take(&self) -> Result<Producer, Refusal> {
        let fresh = |idle: &Idle| idle.since.elapsed() < IDLE_MAX;
        let idle = {
            let mut idle = self.idle();
            idle.retain(fresh);
            idle.pop()
        };
        if let Some(Idle { producer, .. }) = idle {
            return Ok(producer);
        }
        match Producer::connect(self.options.clone()).await {
            Ok(producer) => {
                self.figures.connect();
                Ok(producer)
            }
            Err(fault) => Err(self.lose(&fault)),
        }
    }

    fn give_back(&self, producer: Producer) {
        self.idle().push(Idle { producer, since: Instant::now() });
    }

    fn lose(&self, fault: &Fault) -> Refusal {
        self.figures.lose_connection();
        self.refusal(fault)
    }

    fn refusal(&self, fault: &Fault) -> Refusal {
        let mut refusal = fault.refusal(self.options.has_worked.load(Relaxed));
        refusal.failure.reason = format!("{}: {}", self.options.access.name(), fault.reason);
        refusal
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
