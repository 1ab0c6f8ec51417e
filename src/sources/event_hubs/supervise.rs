//! One connection after the other, each on a thread of its own, until the feed is gone or there is
//! no use in another try.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connection::{Connection, Ended};
use super::news::News;
use super::outage::{Next, Outage};
use super::place::Places;
use super::share::Shared;
use super::start::Start;
use crate::event_hubs::{Access, Class, Fault, run_apart};
use crate::retail::Random;
use crate::security::SECURITY;
use crate::spec::Shard;
use crate::stage::Hold;

/// How long the run waits for a connection to take leave of the service.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// What is read, and how.
pub(super) struct Reading {
    pub(super) access: Access,
    pub(super) group: String,
    pub(super) start: Start,
    pub(super) partitions: Option<Vec<String>>,
    pub(super) shard: Shard,
    pub(super) connect_timeout: Duration,
    pub(super) check_after: Duration,
    pub(super) prefetch: u32,
    pub(super) owner_level: Option<i64>,
    pub(super) batch_events: usize,
    /// What it has to do with other engines.
    pub(super) shared: Option<Shared>,
    /// The stage's name in the spec.
    pub(super) stage: String,
    pub(super) seed: u64,
}

impl Reading {
    /// Random numbers for one purpose.
    pub(super) fn random(&self, purpose: &str) -> Random {
        let name = format!("{}/{purpose}", self.stage);
        Random::new(self.seed, u64::from(crc32fast::hash(name.as_bytes())))
    }

    /// What a fault says to a user.
    pub(super) fn text(&self, fault: &Fault) -> String {
        format!("{}: {}", self.access.name(), fault.reason)
    }
}

/// How the connections fare, for all of them.
#[derive(Clone)]
pub(super) struct Health(Arc<Mutex<Outage>>);

impl Health {
    pub(super) fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(Outage::new(random))))
    }

    /// All is well. True where it was not before.
    pub(super) fn is_back(&self) -> bool {
        self.outage().end()
    }

    fn note(&self, fault: &Fault) -> Next {
        self.outage().note(fault, Instant::now())
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the feed is gone; the run waits for the hold.
pub(super) async fn supervise(
    reading: Arc<Reading>,
    places: Places,
    tell: mpsc::Sender<News>,
    hold: Option<Hold>,
) {
    let health = Health::new(reading.random("reconnect"));
    let connection = Connection { reading, places, health, tell };
    let Connection { reading, health, tell, .. } = &connection;
    loop {
        let fault = match connect(&connection).await {
            Ended::Left => break,
            Ended::Failed(reason) => {
                // Whoever is told may have gone.
                let _ = tell.send(News::Failed(reason)).await;
                break;
            }
            Ended::Lost(fault) => fault,
        };
        let source = &reading.stage;
        let text = reading.text(&fault);
        let next = health.note(&fault);
        if fault.class == Class::Unauthorized && !matches!(next, Next::Wait { is_first: false, .. })
        {
            tracing::warn!(
                target: SECURITY, event = "auth_failed", stage = source,
                "the service does not let us in: {text}"
            );
        }
        let wait = match next {
            Next::GiveUp => {
                let _ = tell.send(News::Failed(text)).await;
                break;
            }
            Next::Wait { wait, is_first: true } => {
                tracing::warn!(source, "not reading: {text}; trying again from now on");
                wait
            }
            Next::Wait { wait, is_first: false } => {
                tracing::debug!(source, ?wait, "still not reading: {text}");
                wait
            }
        };
        let pause = async {
            // A feed that is not asked must not hold a new connection back.
            let _ = tell.try_send(News::Away);
            tokio::time::sleep(wait).await;
        };
        tokio::select! {
            () = tell.closed() => break,
            () = pause => {}
        }
    }
    drop(hold);
}

/// One connection, from its beginning to its end. Its thread is waited for, so that no two of them
/// tell events.
async fn connect(connection: &Connection) -> Ended {
    let (end, ended) = oneshot::channel();
    let work = {
        let connection = connection.clone();
        move || async move {
            // The run may have ended.
            let _ = end.send(connection.read().await);
        }
    };
    if let Err(error) = run_apart("event-hubs-read", work) {
        return Ended::Failed(format!("cannot start a thread: {error}"));
    }
    let left = async {
        connection.tell.closed().await;
        tokio::time::sleep(LEAVE_TIMEOUT).await;
    };
    tokio::select! {
        how = ended => how.unwrap_or_else(|_| Ended::Lost(Fault::client_gone())),
        () = left => Ended::Left,
    }
}
