//! What the connection tells the feed: events, and what became of the connection. The channel
//! between them is short: what has no room in it is not fetched.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::place::Place;
use crate::event::Timestamp;

/// How many messages wait for the feed; each has up to a batch of events.
const ROOM: usize = 4;

/// The ends of the channel.
pub(super) fn channel() -> (mpsc::Sender<News>, mpsc::Receiver<News>) {
    mpsc::channel(ROOM)
}

/// What there is to tell.
pub(super) enum News {
    /// Reading begins in these partitions, before any event of them is told.
    Began(Vec<Began>),
    /// Events of a partition, in order.
    Events { partition: Arc<str>, events: Vec<Received> },
    /// Events of a partition that had not come yet are gone for good.
    Lost { partition: Arc<str>, first: i64, events: u64 },
    /// A partition is not ours any more.
    Left { partition: Arc<str> },
    /// The connection is lost: silence says nothing until there is another.
    Away,
    /// There is another.
    Back,
    /// Reading has failed for good, and why.
    Failed(String),
}

/// Where reading of a partition begins.
pub(super) struct Began {
    pub(super) partition: Arc<str>,
    pub(super) place: Place,
    /// Whether nothing is waiting there.
    pub(super) at_end: bool,
}

/// A message as the hub has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Received {
    pub(super) sequence: i64,
    pub(super) offset: Option<String>,
    /// When the hub received it.
    pub(super) enqueued: Timestamp,
    pub(super) key: Option<String>,
    pub(super) body: Vec<u8>,
}
