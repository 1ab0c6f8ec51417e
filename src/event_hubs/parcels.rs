//! Messages packed into a batch for each partition, and what became of each batch.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use azure_messaging_eventhubs::error::ErrorKind;
use azure_messaging_eventhubs::{EventDataBatch, EventDataBatchOptions, ProducerClient};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::fault::{Class, Fault};
use super::messages::{Message, Partitioning};
use crate::stage::Refusal;

/// How much a batch holds where nobody says less: as much as the service takes at its largest.
pub(super) const BATCH_BYTES_MAX: u64 = 1 << 20;

/// How long a batch goes unsettled before it is in doubt whether the connection is still there.
const DOUBT_AFTER: Duration = Duration::from_secs(1);

/// What became of messages.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The fate of so many, from the first, is known. What is behind them did not fit.
    pub(super) decided: usize,
    /// Those of them that were not taken, by their place (ascending).
    pub(super) failed: Vec<(usize, Refusal)>,
    /// How many batches were taken, and how large they were in all.
    pub(super) batches: u64,
    pub(super) bytes: u64,
    /// Something happened after which the client is of no more use.
    pub(super) is_last: bool,
}

/// What batches are packed with.
pub(super) struct Packing<'a> {
    pub(super) client: &'a ProducerClient,
    pub(super) partitioning: &'a Partitioning,
    pub(super) partition_ids: &'a [String],
    /// How large a batch may be; lowered where the link takes less.
    pub(super) batch_bytes_max: &'a AtomicU64,
    /// How large batches of several events are made.
    pub(super) batch_bytes_fit: &'a AtomicU64,
    pub(super) connect_timeout: Duration,
    pub(super) send_timeout: Duration,
    /// Whether the service has taken a batch before.
    pub(super) has_worked: &'a AtomicBool,
}

/// A batch for one partition, or for the service to choose one.
struct Parcel<'a> {
    batch: EventDataBatch<'a>,
    /// The places of its messages.
    places: Vec<usize>,
}

impl<'a> Packing<'a> {
    /// Sends the first messages: all of them, or as many as one batch for each partition holds.
    /// An error means that none was sent.
    pub(super) async fn send(&self, messages: Vec<Message>) -> Result<Settled, Fault> {
        let (parcels, mut settled) = self.pack(messages).await?;
        let sent = join_all(parcels.into_iter().map(|parcel| self.send_parcel(parcel))).await;
        for (places, bytes, result) in sent {
            match result {
                Ok(()) => {
                    self.has_worked.store(true, Relaxed);
                    self.widen();
                    settled.batches += 1;
                    settled.bytes += bytes;
                }
                Err(fault) => {
                    settled.is_last |= !fault.leaves_client_usable();
                    let refusal = self.refusal(&fault, places.len(), bytes);
                    settled.failed.extend(places.into_iter().map(|place| (place, refusal.clone())));
                }
            }
        }
        settled.failed.sort_by_key(|(place, _)| *place);
        Ok(settled)
    }

    async fn pack(&self, messages: Vec<Message>) -> Result<(Vec<Parcel<'a>>, Settled), Fault> {
        let mut settled = Settled { decided: messages.len(), ..Settled::default() };
        let partitions = self.partition_ids.len();
        let fit = self.batch_bytes_fit.load(Relaxed);
        let mut slots: Vec<Option<Parcel<'a>>> = (0..=partitions).map(|_| None).collect();
        for (place, message) in messages.into_iter().enumerate() {
            let key = message.key_hash.filter(|_| partitions > 0);
            let slot = key.map_or(partitions, |hash| usize::from(hash) % partitions);
            let parcel = match &mut slots[slot] {
                Some(parcel) => parcel,
                empty => {
                    let batch = self.batch(self.partition_ids.get(slot)).await?;
                    empty.insert(Parcel { batch, places: Vec::new() })
                }
            };
            if !parcel.places.is_empty() && parcel.batch.size() >= fit {
                settled.decided = place;
                break;
            }
            match parcel.batch.try_add_amqp_message(message.amqp, None) {
                Ok(true) => parcel.places.push(place),
                Ok(false) if parcel.places.is_empty() => {
                    let limit = self.batch_bytes_max.load(Relaxed);
                    let reason = format!("the event is larger than a batch of {limit} bytes");
                    settled.failed.push((place, Refusal::permanent("too_large", reason)));
                }
                Ok(false) => {
                    settled.decided = place;
                    break;
                }
                Err(error) => {
                    let refusal = Refusal::permanent("rejected", Fault::of(&error).reason);
                    settled.failed.push((place, refusal));
                }
            }
        }
        let parcels = slots.into_iter().flatten().filter(|parcel| !parcel.places.is_empty());
        Ok((parcels.collect(), settled))
    }

    /// An empty batch for a partition; for the one that all goes to, or for the service to choose
    /// one, where no key says which.
    async fn batch(&self, partition: Option<&String>) -> Result<EventDataBatch<'a>, Fault> {
        let partition_id = match self.partitioning {
            Partitioning::To(id) => Some(id.clone()),
            Partitioning::ByKey | Partitioning::RoundRobin => partition.cloned(),
        };
        loop {
            let limit = self.batch_bytes_max.load(Relaxed);
            let options = EventDataBatchOptions {
                max_size_in_bytes: Some(limit),
                partition_id: partition_id.clone(),
                partition_key: None,
            };
            let created = timeout(self.connect_timeout, self.client.create_batch(Some(options)));
            match created.await {
                Err(_) => return Err(Fault::timeout("attaching a link", self.connect_timeout)),
                Ok(Ok(batch)) => return Ok(batch),
                Ok(Err(error)) => match error.kind {
                    // The link takes less than we thought.
                    ErrorKind::InvalidBatchSize { max_allowed, .. } if max_allowed < limit => {
                        self.batch_bytes_max.fetch_min(max_allowed, Relaxed);
                    }
                    _ => return Err(Fault::of(&error)),
                },
            }
        }
    }

    async fn send_parcel(&self, parcel: Parcel<'a>) -> (Vec<usize>, u64, Result<(), Fault>) {
        let Parcel { batch, places } = parcel;
        let bytes = batch.size();
        let result = tokio::select! {
            sent = self.client.send_batch(batch, None) => sent.map_err(|error| Fault::of(&error)),
            fault = self.connection_lost() => Err(fault),
            () = sleep(self.send_timeout) => {
                Err(Fault::timeout("settling a batch", self.send_timeout))
            }
        };
        (places, bytes, result)
    }

    /// Done when the connection turns out to be gone. A send that is under way does not notice that
    /// by itself, but a question that is asked on the same connection fails.
    async fn connection_lost(&self) -> Fault {
        loop {
            sleep(DOUBT_AFTER).await;
            if let Err(error) = self.client.get_eventhub_properties().await {
                let fault = Fault::of(&error);
                if fault.class == Class::Connection {
                    return fault;
                }
            }
        }
    }

    /// The service took a batch: the next may be a little larger, up to what may be.
    fn widen(&self) {
        let fit = self.batch_bytes_fit.load(Relaxed);
        if fit < BATCH_BYTES_MAX {
            let wider = fit.saturating_add(fit / 8 + 1).min(BATCH_BYTES_MAX);
            self.batch_bytes_fit.store(wider, Relaxed);
        }
    }

    fn refusal(&self, fault: &Fault, events: usize, bytes: u64) -> Refusal {
        if fault.class == Class::TooLarge && events > 1 {
            self.batch_bytes_fit.fetch_min((bytes / 2).max(1), Relaxed);
            let reason = format!("{}; they are sent again in smaller batches", fault.reason);
            return Refusal::transient("too_large", reason);
        }
        fault.refusal(self.has_worked.load(Relaxed))
    }
}
