//! A connection: finds out where to begin in each partition, and reads all that are ours until one
//! of them cannot go on with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use azure_messaging_eventhubs::ConsumerClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};

use super::hub;
use super::news::{Began, News};
use super::partition::{Halt, PartitionReader};
use super::place::{Beginning, Place, Places};
use super::share::{Assignment, Lease};
use super::supervise::{Health, Reading};
use crate::event_hubs::{Class, Fault};

/// How a connection ended.
pub(super) enum Ended {
    /// The feed is gone.
    Left,
    /// It cannot be used any longer.
    Lost(Fault),
    /// No other one would do better.
    Failed(String),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Lost(fault)
    }
}

/// What a connection works with.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) reading: Arc<Reading>,
    pub(super) places: Places,
    pub(super) health: Health,
    pub(super) tell: mpsc::Sender<News>,
}

/// A partition that is read. Whoever drops the sender ends that.
struct Active {
    lease: u64,
    _release: oneshot::Sender<()>,
}

impl Connection {
    /// Connects and reads.
    pub(super) async fn read(&self) -> Ended {
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = self.tell.closed() => return Ended::Left,
        };
        let (client, mut assigned) = match opened {
            Ok(opened) => opened,
            Err(fault) => return fault.into(),
        };
        let ended = tokio::select! {
            ended = self.read_assigned(&client, &mut assigned) => ended,
            () = self.tell.closed() => Ended::Left,
        };
        if matches!(ended, Ended::Left) {
            hub::close(client).await;
        }
        ended
    }

    /// Connects, and finds out which partitions are ours.
    async fn open(&self) -> Result<(ConsumerClient, Assigned), Fault> {
        let Reading { access, group, connect_timeout, .. } = &*self.reading;
        let (client, hub) = hub::open(access, group, *connect_timeout).await?;
        let all = hub.partition_ids.len();
        let partitions = wanted(&self.reading, hub.partition_ids)?;
        let (source, count) = (&self.reading.stage, partitions.len());
        if count == 0 {
            tracing::warn!(source, "nothing to read: the {} has {all} partitions", access.name());
        } else {
            tracing::info!(source, partitions = count, group, "connected to the {}", access.name());
        }
        let assigned = if let Some(shared) = &self.reading.shared {
            shared.partitions.send_replace(partitions);
            Assigned::Shared(shared.assignment.clone())
        } else {
            let leases = partitions.into_iter().map(|id| (id, Lease::for_good()));
            Assigned::ForGood(leases.collect())
        };
        Ok((client, assigned))
    }

    /// Reads what is ours, as that changes.
    async fn read_assigned(&self, client: &ConsumerClient, assigned: &mut Assigned) -> Ended {
        let mut active: BTreeMap<Arc<str>, Option<Active>> = BTreeMap::new();
        let mut readers = FuturesUnordered::new();
        loop {
            let ours = assigned.now();
            for (id, reader) in &mut active {
                // It stays until its reader has ended, so that no two of them tell its events.
                let is_ours =
                    |it: &Active| ours.get(id).is_some_and(|ours| ours.number == it.lease);
                *reader = reader.take().filter(is_ours);
            }
            let new: Vec<_> = ours.iter().filter(|(id, _)| !active.contains_key(*id)).collect();
            if let Err(ended) = self.begin(client, &new).await {
                return ended;
            }
            for (id, Lease { number, .. }) in new {
                let (release, released) = oneshot::channel();
                let reader = Active { lease: *number, _release: release };
                active.insert(id.clone(), Some(reader));
                let reader = PartitionReader::new(id.clone(), *number, self, client);
                readers.push(reader.read(released));
            }
            tokio::select! {
                Some(halt) = readers.next() => match halt {
                    Halt::Fault(fault) => return fault.into(),
                    Halt::NobodyListens => return Ended::Left,
                    Halt::Released(partition) => {
                        active.remove(&partition);
                        if self.tell.send(News::Left { partition }).await.is_err() {
                            return Ended::Left;
                        }
                    }
                },
                () = assigned.change() => {}
            }
        }
    }

    /// Tells where reading begins in each of these. That comes before the first event: what is in
    /// no snapshot must not have a place that another run would not find again.
    async fn begin(
        &self,
        client: &ConsumerClient,
        partitions: &[(&Arc<str>, &Lease)],
    ) -> Result<(), Ended> {
        let reading = &self.reading;
        let mut news = Vec::with_capacity(partitions.len());
        let mut beginnings = Vec::with_capacity(partitions.len());
        for (id, lease) in partitions {
            let partition = hub::partition(client, id, reading.connect_timeout).await?;
            let place = self.places.enter(id, lease);
            let beginning = Place::begin(place, reading.start, &partition);
            let beginning = beginning.map_err(|last| Ended::Failed(self.not_the_same(id, last)))?;
            let Beginning { place: at, lost, at_end } = beginning;
            if let (1.., Some(Place::Sequence(first))) = (lost, place) {
                news.push(News::Lost { partition: (*id).clone(), first, events: lost });
            }
            self.places.set(id, lease.number, at);
            if let Place::Sequence(next) = at {
                // After a loss, it stays where the lease began.
                let _ = lease.began.set(next);
            }
            beginnings.push(Began { partition: (*id).clone(), place: at, at_end });
        }
        if !beginnings.is_empty() {
            news.push(News::Began(beginnings));
        }
        for news in news {
            self.tell.send(news).await.map_err(|_| Ended::Left)?;
        }
        Ok(())
    }

    fn not_the_same(&self, partition: &str, last: i64) -> String {
        let hub = self.reading.access.name();
        let help = match self.reading.shared {
            Some(_) => "an empty checkpoint store begins anew",
            None => "`--reset-state` begins anew",
        };
        format!(
            "{hub}: partition `{partition}` ends at sequence {last}, which was passed already: it \
             is not the hub that was read before; {help}"
        )
    }
}

/// Which partitions are ours.
enum Assigned {
    /// The same ones all the time.
    ForGood(Assignment),
    /// Those that others leave us.
    Shared(watch::Receiver<Assignment>),
}

impl Assigned {
    fn now(&mut self) -> Assignment {
        match self {
            Self::ForGood(assignment) => assignment.clone(),
            Self::Shared(assignment) => assignment.borrow_and_update().clone(),
        }
    }

    /// Waits until they are others.
    async fn change(&mut self) {
        if let Self::Shared(assignment) = self
            && assignment.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// The partitions to read, of those that there are.
fn wanted(reading: &Reading, all: Vec<String>) -> Result<Vec<Arc<str>>, Fault> {
    let chosen = match &reading.partitions {
        None => all,
        Some(named) => {
            if let Some(missing) = named.iter().find(|id| !all.contains(id)) {
                let count = all.len();
                let reason =
                    format!("there is no partition `{missing}`, of {count} that there are");
                return Err(Fault { class: Class::NotFound, reason });
            }
            named.clone()
        }
    };
    let shard = reading.shard;
    let is_ours = |(place, _): &(usize, String)| *place as u32 % shard.count == shard.index;
    Ok(chosen.into_iter().enumerate().filter(is_ours).map(|(_, id)| Arc::from(id)).collect())
}
