//! A receiver of one partition: attaches it where reading is, tells what comes, and looks after it
//! when nothing does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use azure_messaging_eventhubs::models::ReceivedEventData;
use azure_messaging_eventhubs::{
    ConsumerClient, EventHubsError, EventReceiver, OpenReceiverOptions, StartLocation,
    StartPosition,
};
use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::Connection;
use super::hub;
use super::message::{received, size_of};
use super::news::News;
use super::place::Place;
use super::supervise::Reading;
use crate::event_hubs::{Class, Fault, PartitionDescription};

/// How long a link may take to be detached.
const DETACH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before a partition is taken back that another receiver took: at first, and at
/// most.
const STOLEN_WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How many bytes of bodies are told at a time, about.
const BYTES_MAX: usize = 1 << 20;

/// Why reading of a partition halted.
pub(super) enum Halt {
    /// The connection, or what is on it, has failed.
    Fault(Fault),
    /// The feed is gone.
    NobodyListens,
    /// The partition is not ours any more.
    Released(Arc<str>),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<EventHubsError> for Halt {
    fn from(error: EventHubsError) -> Self {
        Self::Fault(Fault::of(&error))
    }
}

/// Reads one partition with a client that it shares with others.
pub(super) struct PartitionReader<'a> {
    id: Arc<str>,
    lease: u64,
    connection: &'a Connection,
    reading: &'a Reading,
    client: &'a ConsumerClient,
    /// Whether the link that is open has shown that it works.
    link_works: bool,
    /// Why the link before this one was lost, until this one works: what comes of another try says
    /// less.
    lost: Option<Fault>,
    /// How long to wait when another receiver takes the partition.
    stolen_wait: Duration,
}

impl<'a> PartitionReader<'a> {
    pub(super) fn new(
        id: Arc<str>,
        lease: u64,
        connection: &'a Connection,
        client: &'a ConsumerClient,
    ) -> Self {
        let reading = &*connection.reading;
        let (link_works, lost, stolen_wait) = (false, None, STOLEN_WAIT.0);
        Self { id, lease, connection, reading, client, link_works, lost, stolen_wait }
    }

    /// Reads until the connection fails, or until the partition is released.
    pub(super) async fn read(mut self, release: oneshot::Receiver<()>) -> Halt {
        let halt = tokio::select! {
            halt = self.read_on() => Some(halt),
            _ = release => None,
        };
        if let Some(halt) = halt {
            return halt;
        }
        // The client has kept the link; a receiver of the same partition is a handle to it.
        if let Ok(receiver) = self.receiver(self.place()).await {
            let _ = timeout(DETACH_TIMEOUT, receiver.close()).await;
        }
        Halt::Released(self.id)
    }

    /// Reads until the connection fails. A link that had worked is attached once more on the same
    /// connection: the service detaches links by themselves, such as idle ones.
    async fn read_on(&mut self) -> Halt {
        loop {
            let place = self.place();
            let receiver = match self.receiver(place).await {
                Ok(receiver) => receiver,
                Err(halt) => return halt,
            };
            self.link_works = false;
            let Err(Halt::Fault(fault)) = self.follow(&receiver, place).await else {
                return Halt::NobodyListens;
            };
            if fault.class == Class::Stolen {
                self.wait_for_turn(&fault).await;
            } else if fault.is_lasting() {
                return fault.into();
            } else if !self.link_works {
                return self.lost.take().unwrap_or(fault).into();
            } else {
                let (source, partition) = (&self.reading.stage, &*self.id);
                tracing::debug!(source, partition, "the link is lost: {}", fault.reason);
                self.lost = Some(fault);
            }
            // The client keeps a link that has failed, and would go on with it.
            let _ = timeout(DETACH_TIMEOUT, receiver.close()).await;
        }
    }

    fn place(&self) -> Place {
        // It was set when the connection began.
        self.connection.places.get(&self.id, self.lease).unwrap_or(Place::Sequence(0))
    }

    async fn receiver(&self, place: Place) -> Result<EventReceiver, Halt> {
        let location = match place {
            Place::Sequence(next) => StartLocation::SequenceNumber(next),
            Place::Time(instant) => {
                let since = Duration::from_millis(instant.as_millis().max(0) as u64);
                StartLocation::EnqueuedTime(std::time::UNIX_EPOCH + since)
            }
        };
        let options = OpenReceiverOptions {
            owner_level: self.reading.owner_level,
            prefetch: Some(self.reading.prefetch),
            start_position: Some(StartPosition { location, inclusive: true }),
            receive_timeout: None,
        };
        Ok(self.client.open_receiver_on_partition(self.id.to_string(), Some(options)).await?)
    }

    /// Tells what comes. It ends with a fault, and never by itself.
    async fn follow(&mut self, receiver: &EventReceiver, mut place: Place) -> Result<(), Halt> {
        let mut events = pin!(receiver.stream_events());
        let mut patience = self.reading.connect_timeout;
        let mut was_behind = false;
        loop {
            let Ok(first) = timeout(patience, events.next()).await else {
                (patience, was_behind) = self.look(place, was_behind).await?;
                continue;
            };
            let first = first.ok_or_else(Fault::client_gone)??;
            let (arrived, ended) = self.gather(first, &mut events);
            place = self.pass_on(arrived, place).await?;
            ended?;
            (patience, was_behind) = (self.reading.check_after, false);
        }
    }

    /// What has come by now, up to a batch; and what came behind it, if that is an error.
    fn gather(
        &self,
        first: ReceivedEventData,
        events: &mut (impl Stream<Item = Result<ReceivedEventData, EventHubsError>> + Unpin),
    ) -> (Vec<ReceivedEventData>, Result<(), Halt>) {
        let mut bytes = 0;
        let mut arrived = vec![first];
        while arrived.len() < self.reading.batch_events && bytes < BYTES_MAX {
            match events.next().now_or_never() {
                None => break,
                Some(Some(Ok(event))) => {
                    bytes += size_of(&event);
                    arrived.push(event);
                }
                Some(Some(Err(error))) => return (arrived, Err(error.into())),
                Some(None) => return (arrived, Err(Fault::client_gone().into())),
            }
        }
        (arrived, Ok(()))
    }

    /// Tells events, and returns the place behind them.
    async fn pass_on(
        &mut self,
        arrived: Vec<ReceivedEventData>,
        place: Place,
    ) -> Result<Place, Halt> {
        let mut events = Vec::with_capacity(arrived.len());
        let mut place = place;
        for message in &arrived {
            let event = received(message)?;
            if let Place::Sequence(next) = place {
                if event.sequence < next {
                    continue;
                }
                if event.sequence > next {
                    self.tell_lost(next, event.sequence).await?;
                }
            }
            place = Place::Sequence(event.sequence.saturating_add(1));
            events.push(event);
        }
        self.works().await?;
        self.stolen_wait = STOLEN_WAIT.0;
        if !events.is_empty() {
            let partition = self.id.clone();
            self.tell(News::Events { partition, events }).await?;
            self.connection.places.set(&self.id, self.lease, place);
        }
        Ok(place)
    }

    /// A sequence number came too early: either the hub no longer keeps what is before it, or there
    /// never was anything, as in a hub that keeps only the last event of each key.
    async fn tell_lost(&mut self, next: i64, came: i64) -> Result<(), Halt> {
        let partition = self.ask().await?;
        let lost = partition.first_sequence.min(came).saturating_sub(next);
        if let Ok(events @ 1..) = u64::try_from(lost) {
            self.tell(News::Lost { partition: self.id.clone(), first: next, events }).await?;
        }
        Ok(())
    }

    /// Nothing came for a while: either there is nothing, or nobody is at the other end, or the link
    /// is none. Returns how long to wait for the next look, and whether events are missing.
    async fn look(&mut self, place: Place, was_behind: bool) -> Result<(Duration, bool), Halt> {
        let partition = self.ask().await?;
        if !place.is_before_end_of(&partition) {
            self.works().await?;
            return Ok((self.reading.check_after, false));
        }
        if was_behind {
            self.link_works = false;
            let reason = format!("events of partition `{}` do not arrive", self.id);
            return Err(Fault { class: Class::Timeout, reason }.into());
        }
        Ok((self.reading.connect_timeout, true))
    }

    /// Asks what the partition holds. Where nobody answers, another link would not do better.
    async fn ask(&mut self) -> Result<PartitionDescription, Fault> {
        let asked = hub::partition(self.client, &self.id, self.reading.connect_timeout).await;
        self.link_works &= asked.is_ok();
        asked
    }

    /// The link works, and so does the connection.
    async fn works(&mut self) -> Result<(), Halt> {
        self.link_works = true;
        self.lost = None;
        if self.connection.health.is_back() {
            let source = &self.reading.stage;
            tracing::info!(source, "reading the {} again", self.reading.access.name());
            self.tell(News::Back).await?;
        }
        Ok(())
    }

    async fn tell(&self, news: News) -> Result<(), Halt> {
        self.connection.tell.send(news).await.map_err(|_| Halt::NobodyListens)
    }

    /// Another receiver has the partition, by a level that is as high as ours or higher.
    async fn wait_for_turn(&mut self, fault: &Fault) {
        if let Some(shared) = &self.reading.shared {
            // It is its turn to read; the store will say so.
            tracing::debug!(
                source = self.reading.stage,
                partition = &*self.id,
                "another engine took the partition"
            );
            tokio::time::sleep(shared.interval * 2).await;
            return;
        }
        let wait = self.stolen_wait;
        self.stolen_wait = (wait * 2).min(STOLEN_WAIT.1);
        if wait == STOLEN_WAIT.0 {
            tracing::warn!(
                source = self.reading.stage,
                partition = &*self.id,
                "another receiver took the partition: {}; it is asked for again from now on",
                fault.reason
            );
        }
        tokio::time::sleep(wait).await;
    }
}
