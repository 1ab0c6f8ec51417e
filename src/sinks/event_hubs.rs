//! The `event_hubs` sink: batches to Azure Event Hubs, and to another hub while that is away.

mod failover;

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::failover::{Failover, Hubs};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, Event};
use crate::event_hubs::{AccessSettings, EventHubsClient, Partitioning, Sent};
use crate::problem::{Problem, Problems};
use crate::security::SECURITY;
use crate::spec::SpecDuration;
use crate::stage::{Outcome, Probe, Retry, Sink, Stage, StageError};

/// Sends events to Azure Event Hubs, by AMQP and with the service's official client.
///
/// Each event is a message: its JSON envelope with `content-type` `application/json`. Message id and
/// application property `trace_id` are its trace id, the application property `event_type` its
/// type, so that consumers can route and recognise duplicates.
///
/// With `partition_by: key` the partition of an event is worked out from its `partition_key` as the
/// service would: events of one key keep their order, and a batch still holds many keys. A batch of
/// the pipeline becomes one batch for each partition; `delivery.lanes` is how many connections send
/// at a time, and lanes share out partitions where the number of one is a multiple of the other's.
///
/// Throttling is waited for, an event that is too large becomes a dead letter alone, and after a
/// loss a new connection is made. A batch whose settlement did not come may have been stored: it is
/// sent again, with the same message ids. A batch that the service calls released or modified
/// counts as delivered, since the client does not tell.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventHubsSink {
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its fields are documented one by one")]
    pub access: AccessSettings,
    /// What decides which partition an event goes to.
    #[serde(default)]
    pub partition_by: PartitionBy,
    /// The partition that all events go to, with `partition_by: id`.
    pub partition_id: Option<String>,
    /// How large a batch may be at most, in bytes. By default as large as the service takes: 1 MiB,
    /// or 256 KiB in the Basic tier.
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub max_batch_bytes: Option<NonZeroU64>,
    /// How long connecting may take, and attaching a link.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: SpecDuration,
    /// How long the service may take to settle a batch. `delivery.timeout` is for all of an
    /// attempt, connecting included.
    #[serde(default = "default_send_timeout")]
    pub send_timeout: SpecDuration,
    /// Another hub to send to while this one is away.
    pub failover: Option<FailoverSettings>,
}

/// What decides which partition an event goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// Its partition key: those of one key keep their order.
    #[default]
    Key,
    /// The service, batch by batch: no order is kept, and batches stay whole.
    RoundRobin,
    /// All go to the one that `partition_id` names.
    Id,
}

/// Another hub, and when to send to it.
///
/// What was on its way to one hub when it went away may be in both. Events of one key keep their
/// order within each hub.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FailoverSettings {
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its fields are documented one by one")]
    pub access: AccessSettings,
    /// For how long the first hub has to be away: no attempt got through.
    #[serde(default = "default_after")]
    pub after: SpecDuration,
    /// How long to stay with the other hub before the first one is tried again.
    #[serde(default = "default_retry_primary")]
    pub retry_primary: SpecDuration,
}

impl Settings for EventHubsSink {
    const NAME: &'static str = "event_hubs";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "namespace: contoso.servicebus.windows.net\n\
         entra: { credential: managed_identity }\n\
         hub: retail-events\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Problems::default();
        let partitioning = self.partitioning(cx).map_err(|problem| problems.push(problem)).ok();
        let failover = self.failover.as_ref();
        let spans = [
            ("/connect_timeout", Some(self.connect_timeout)),
            ("/send_timeout", Some(self.send_timeout)),
            ("/failover/retry_primary", failover.map(|failover| failover.retry_primary)),
        ];
        for (setting, span) in spans.into_iter().filter_map(|(name, span)| Some((name, span?))) {
            if span.0.is_zero() {
                problems.push(cx.problem(setting, "the span has to be a millisecond or more"));
            }
        }
        let primary = self.access.access(cx, "").map_err(|problem| problems.push(problem)).ok();
        let other = self.failover.as_ref().and_then(|failover| {
            failover.access.access(cx, "/failover").map_err(|problem| problems.push(problem)).ok()
        });
        let (Some(primary), Some(partitioning), true) =
            (primary, partitioning, problems.is_empty())
        else {
            return Err(problems);
        };
        let client = |access| {
            let client = EventHubsClient::new(access)
                .with_partitioning(partitioning.clone())
                .with_timeouts(self.connect_timeout.0, self.send_timeout.0);
            match self.max_batch_bytes {
                Some(bytes) => client.with_batch_bytes_max(bytes.get()),
                None => client,
            }
        };
        let failover = self.failover.as_ref().zip(other).map(|(settings, access)| {
            Failover::new(cx.stage, client(access), settings.after.0, settings.retry_primary.0)
        });
        let hubs = Hubs::new(client(primary), failover);
        Ok(Stage::Sink(Box::new(EventHubsWriter {
            stage: cx.stage.to_owned(),
            hubs,
            found: Mutex::default(),
        })))
    }
}

impl EventHubsSink {
    fn partitioning(&self, cx: &BuildContext<'_>) -> Result<Partitioning, Problem> {
        match (self.partition_by, &self.partition_id) {
            (PartitionBy::Id, Some(id)) if id.parse::<u32>().is_ok() => {
                Ok(Partitioning::To(id.clone()))
            }
            (PartitionBy::Id, Some(_)) => {
                Err(cx.problem("/partition_id", "a partition's id is a number, such as `0`"))
            }
            (PartitionBy::Id, None) => Err(cx
                .problem("/partition_by", "nothing says which partition")
                .help("set `partition_id`")),
            (_, Some(_)) => Err(cx
                .problem("/partition_id", "it is for `partition_by: id` only")
                .help("set `partition_by: id`, or leave it out")),
            (PartitionBy::Key, None) => Ok(Partitioning::ByKey),
            (PartitionBy::RoundRobin, None) => Ok(Partitioning::RoundRobin),
        }
    }
}

fn default_connect_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(10))
}

fn default_send_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(15))
}

fn default_after() -> SpecDuration {
    SpecDuration(Duration::from_mins(1))
}

fn default_retry_primary() -> SpecDuration {
    SpecDuration(Duration::from_mins(5))
}

/// Writes batches to a hub.
struct EventHubsWriter {
    stage: String,
    hubs: Hubs,
    /// Whether opening found a hub, until that was told.
    found: Mutex<Option<Result<(), StageError>>>,
}

impl EventHubsWriter {
    fn found(&self) -> MutexGuard<'_, Option<Result<(), StageError>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for EventHubsWriter {
    /// A hub that is away now may be there later: that is the delivery's to wait for. One that does
    /// not let us in will not do so later, and one in reserve has to be of use when it is needed.
    async fn open(&self) -> Result<(), StageError> {
        let sink = &self.stage;
        let opened = join_all(self.hubs.all().map(EventHubsClient::connect)).await;
        let is_reached = opened.iter().any(Result::is_ok);
        let mut found = Ok(());
        for (client, opened) in self.hubs.all().zip(opened) {
            match opened {
                Ok(partitions) => {
                    tracing::info!(sink, partitions, "connected to the {}", client.access().name());
                }
                Err(refusal) if refusal.retry == Retry::Never => {
                    if refusal.failure.category == "unauthorized" {
                        tracing::warn!(
                            target: SECURITY, event = "auth_failed", stage = sink,
                            "the service does not let us in: {}", refusal.failure.reason
                        );
                    }
                    return Err(StageError(refusal.failure.reason));
                }
                Err(refusal) if is_reached => {
                    tracing::warn!(sink, "not connected yet: {}", refusal.failure.reason);
                }
                Err(refusal) => found = Err(StageError(refusal.failure.reason)),
            }
        }
        *self.found() = Some(found);
        Ok(())
    }

    /// What opening came to, and then another try; one hub of two is enough.
    async fn reach(&self) -> Result<(), StageError> {
        let found = self.found().take();
        if let Some(found) = found {
            return found;
        }
        let mut why = StageError(String::new());
        for client in self.hubs.all() {
            match client.connect().await {
                Ok(_) => return Ok(()),
                Err(refusal) => why = StageError(refusal.failure.reason),
            }
        }
        Err(why)
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        let events = batch.len();
        match self.hubs.send_first(batch.events()).await {
            Ok(Sent { decided, failed }) if decided < events => Outcome::Partly { decided, failed },
            Ok(Sent { failed, .. }) if failed.is_empty() => Outcome::Delivered,
            Ok(Sent { failed, .. }) => Outcome::Except(failed),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    async fn close(&self) -> Result<(), StageError> {
        self.hubs.disconnect().await;
        Ok(())
    }

    fn wants_batches(&self) -> bool {
        true
    }

    /// The hash of the partition key: where the numbers of lanes and partitions divide each other,
    /// a lane has partitions of its own.
    fn lane_key(&self, event: &Event) -> Option<u32> {
        self.hubs.primary().partitioning().order_key(event).map(u32::from)
    }

    /// With another hub in reserve it is not known which of both an event goes to.
    fn partition(&self, event: &Event) -> Option<u32> {
        self.hubs.only().and_then(|hub| hub.partition_of(event))
    }

    fn bytes_sent(&self) -> u64 {
        self.hubs.bytes_sent()
    }

    async fn probe(&self) -> Probe {
        let looked = join_all(self.hubs.all().map(EventHubsClient::health_check)).await;
        let mut found = Vec::new();
        for (client, hub) in self.hubs.all().zip(looked) {
            match hub {
                Ok(hub) => found.push(format!("{}, {hub}", client.access().name())),
                Err(refusal) => return Probe::Missing(refusal.failure.reason),
            }
        }
        self.hubs.disconnect().await;
        Probe::Found(found.join("; in its place, the "))
    }
}
