//! The `event_hubs` source: the partitions of a hub beside each other, each read in order and gone
//! on from where it was left.

mod balance;
mod connection;
mod decode;
mod feed;
mod hub;
mod message;
mod news;
mod outage;
mod partition;
mod place;
mod settings;
mod share;
mod start;
mod store;
mod supervise;
mod watermark;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use self::decode::Decoder;
use self::feed::HubFeed;
use self::news::News;
use self::place::{Places, Positions};
pub use self::settings::CheckpointStoreSettings;
use self::share::{Assignment, Shared, Sharing};
use self::start::Start;
use self::supervise::Reading;
use self::watermark::Watermarks;
use super::records::Format;
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Key, TraceIds};
use crate::event_hubs::{Access, AccessSettings};
use crate::problem::{Problem, Problems};
use crate::retail::Random;
use crate::spec::{Shard, SpecDuration};
use crate::stage::{Feed, Probe, Source, SourceContext, Stage, StageError, State};

/// Receives events from Azure Event Hubs, by AMQP and with the service's official client.
///
/// A message is one event: its body is an envelope (it has `event_type` and `payload`), or an object
/// that becomes the payload of a new event. An event without a partition key gets the message's; one
/// without an id gets one that follows from hub, partition and sequence number, so that it is the
/// same whenever and by whomever the message is read.
///
/// Events of a partition keep their order. Partitions are read beside each other, and between them
/// the order is that of arrival. Event time goes on with the partition that is furthest behind;
/// one that is silent for longer than `idle_timeout` is not waited for.
///
/// With `state:`, a run goes on exactly behind the last event of the snapshot. Without it, or where
/// a partition is new, reading begins at `start`. After a loss of the connection it goes on where it
/// was, and nothing comes twice. Of events that the hub no longer keeps, a warning says how many
/// they were.
///
/// Several engines share a hub with a `checkpoint_store`, which also remembers what was delivered, or
/// with `--shard` and a state for each.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EventHubsSource {
    #[serde(flatten)]
    #[allow(missing_docs, reason = "its fields are documented one by one")]
    pub access: AccessSettings,
    /// The consumer group to read as. It has to be there already.
    #[serde(default = "default_group")]
    pub consumer_group: String,
    /// Where to begin in partitions that no state says anything of: `earliest`, which is all that
    /// the hub keeps, `latest`, which is what comes from now on, or an instant such as
    /// `2024-11-29T10:00:00Z`, from which on the hub has received what is read. What a hub keeps may be
    /// days of events, so that is nothing to begin with unasked: as the service's own clients do.
    #[serde(default)]
    pub start: Start,
    /// The partitions to read, by their ids; all of them by default.
    pub partitions: Option<Vec<String>>,
    /// What an object is.
    #[serde(default)]
    pub format: Format,
    /// The type of the events that are made from objects that are no envelopes.
    #[serde(default = "default_event_type")]
    pub event_type: String,
    /// The field of such an object that holds its time: RFC 3339, or seconds or milliseconds since
    /// 1970 (numbers from 100 000 000 000 on are milliseconds). By default the time at which the hub
    /// received it.
    pub time_field: Option<String>,
    /// What becomes of a message that is no event.
    #[serde(default)]
    pub on_malformed: OnMalformed,
    /// How far event times of a partition may go back from one event to the next. What needs
    /// events in order waits for so long.
    #[serde(default = "no_lateness")]
    pub lateness: SpecDuration,
    /// For how long a partition may be silent before event time goes on without it.
    #[serde(default = "default_idle_timeout")]
    pub idle_timeout: SpecDuration,
    /// How long connecting may take, and the answer to a question.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout: SpecDuration,
    /// After how long a silence the service is asked whether it is still there, and whether it has
    /// events that do not arrive.
    #[serde(default = "default_check_after")]
    pub check_after: SpecDuration,
    /// How many events of each partition may be on their way to the engine.
    #[serde(default = "default_prefetch")]
    #[schemars(range(min = 1, max = 100_000))]
    pub prefetch: u32,
    /// The level (epoch) with which partitions are read exclusively: receivers of the group with a
    /// lower level, or with none, have to leave. By default they are shared with others, who
    /// get all events, too.
    #[schemars(range(min = 0))]
    pub owner_level: Option<i64>,
    /// Where engines that share the hub write down who reads which partition and how far.
    pub checkpoint_store: Option<CheckpointStoreSettings>,
}

/// What becomes of a message that is no event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// It is kept as a dead letter with its hub, partition and sequence number, and reading goes on.
    #[default]
    DeadLetter,
    /// The run fails, and names them.
    Fail,
}

impl Settings for EventHubsSource {
    const NAME: &'static str = "event_hubs";
    const KIND: Kind = Kind::Source;
    const EXAMPLE: &'static str = "namespace: contoso.servicebus.windows.net\n\
         entra: { credential: managed_identity }\n\
         hub: retail-events\n\
         consumer_group: analytics\n\
         start: earliest\n";
    const SHARES_OUT: bool = true;

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Problems::default();
        problems.extend(self.wrong_settings(cx));
        let access = self.access.access(cx, "").map_err(|problem| problems.push(problem)).ok();
        let mut key = |setting: &str, name: &str| {
            let key = Key::intern(name);
            key.map_err(|error| problems.push(cx.problem(setting, error.to_string()))).ok()
        };
        let event_type = key("/event_type", &self.event_type);
        let time_field = self.time_field.as_deref().map(|name| key("/time_field", name));
        let (Some(access), Some(event_type), true) = (access, event_type, problems.is_empty())
        else {
            return Err(problems);
        };
        let (time_field, shard, seed) = (time_field.flatten(), cx.shard, cx.seed);
        let receiver = HubReceiver { settings: self, access, event_type, time_field, shard, seed };
        Ok(Stage::Source(Box::new(receiver)))
    }
}

impl EventHubsSource {
    fn wrong_settings(&self, cx: &BuildContext<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.consumer_group.is_empty() || self.consumer_group.contains(['/', ' ']) {
            problems.push(cx.problem("/consumer_group", "this is no name of a consumer group"));
        }
        for (setting, span) in [
            ("/connect_timeout", self.connect_timeout),
            ("/check_after", self.check_after),
            ("/idle_timeout", self.idle_timeout),
        ] {
            if span.0.is_zero() {
                problems.push(cx.problem(setting, "the span has to be a millisecond or more"));
            }
        }
        if let Some(store) = &self.checkpoint_store {
            problems.extend(store.problems(cx));
        }
        if self.partitions.as_ref().is_some_and(Vec::is_empty) {
            problems.push(cx.problem("/partitions", "the list of partitions is empty"));
        }
        let mut met = BTreeSet::new();
        for (place, id) in self.partitions.iter().flatten().enumerate() {
            let setting = format!("/partitions/{place}");
            if id.parse::<u32>().is_err() {
                let message = "a partition's id is a number, such as `0`";
                problems.push(cx.problem(&setting, message));
            } else if !met.insert(id) {
                problems.push(cx.problem(&setting, format!("partition `{id}` is named twice")));
            }
        }
        problems
    }
}

/// The settings with their names as keys, and with the access that they give.
struct HubReceiver {
    settings: EventHubsSource,
    access: Access,
    event_type: Key,
    time_field: Option<Key>,
    shard: Shard,
    seed: u64,
}

#[async_trait]
impl Source for HubReceiver {
    async fn open(
        self: Box<Self>,
        cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let positions = state.map(Positions::read).transpose()?.unwrap_or_default();
        let (tell, news) = news::channel();
        let decoder = self.decoder(&cx.trace_ids);
        let settings = &self.settings;
        let watermarks = Watermarks::new(settings.lateness.0, settings.idle_timeout.0);
        let shared = settings.checkpoint_store.as_ref();
        let shared = shared.map(|store| self.share(store, &cx, &tell)).transpose()?;
        let is_shared = shared.is_some();
        let reading = Reading {
            access: self.access,
            group: settings.consumer_group.clone(),
            start: settings.start,
            partitions: settings.partitions.clone(),
            shard: self.shard,
            connect_timeout: settings.connect_timeout.0,
            check_after: settings.check_after.0,
            prefetch: settings.prefetch,
            // Whoever gets a partition takes it from the one before.
            owner_level: settings.owner_level.or(is_shared.then_some(0)),
            shared,
            batch_events: cx.batch_events.max(1),
            stage: cx.stage.clone(),
            seed: self.seed,
        };
        let places = Places::of(&positions);
        tokio::spawn(supervise::supervise(Arc::new(reading), places, tell, cx.holds.take()));
        Ok(Box::new(HubFeed::new(cx, decoder, news, positions, watermarks, is_shared)))
    }

    /// The order between several partitions is another one each time, so what is derived from
    /// their events must not have the ids of the run before. Their own ids are the hub's.
    fn replays(&self) -> bool {
        self.settings.checkpoint_store.is_none()
            && self.settings.partitions.as_ref().is_some_and(|partitions| partitions.len() == 1)
    }

    async fn probe(&mut self) -> Probe {
        let (access, group) = (self.access.clone(), self.settings.consumer_group.clone());
        match hub::look(access, group, self.settings.connect_timeout.0).await {
            Ok(hub) => Probe::Found(format!("{}, {hub}", self.access.name())),
            Err(fault) => Probe::Missing(format!("{}: {}", self.access.name(), fault.reason)),
        }
    }
}

impl HubReceiver {
    /// Takes part in the sharing of the hub, for as long as the feed is there.
    fn share(
        &self,
        settings: &CheckpointStoreSettings,
        cx: &SourceContext,
        tell: &mpsc::Sender<News>,
    ) -> Result<Shared, StageError> {
        let names = [self.access.namespace(), self.access.hub(), &self.settings.consumer_group];
        let (assign, assignment) = watch::channel(Assignment::new());
        let (partitions, known) = watch::channel(Vec::new());
        let interval = settings.balance_interval.0;
        let me: Arc<str> = azure_core::Uuid::new_v4().to_string().into();
        let sharing = Sharing {
            store: settings.store(names, cx.clock.clone())?,
            random: Random::new(self.seed, u64::from(crc32fast::hash(me.as_bytes()))),
            me,
            stage: cx.stage.clone(),
            ledger: cx.ledger.clone(),
            interval,
            checkpoint_interval: settings.checkpoint_interval.0,
            expiry: settings.expiry.0,
            assignment: assign,
            partitions: known,
            noted: BTreeMap::new(),
            leases: 0,
            failing_since: None,
        };
        let (hold, tell) = (cx.holds.take(), tell.clone());
        tokio::spawn(async move { sharing.take_part(tell.closed(), hold).await });
        Ok(Shared { partitions, assignment, interval })
    }

    fn decoder(&self, trace_ids: &TraceIds) -> Decoder {
        let (format, on_malformed) = (self.settings.format, self.settings.on_malformed);
        let hub = self.access.hub();
        // The stage tells its ids from others of the pipeline; the hub's name those of one hub from
        // those of another. What a run is called plays no part.
        let name = format!("{}/{hub}", self.access.namespace());
        let run = u64::from(crc32fast::hash(name.to_ascii_lowercase().as_bytes()));
        let trace_ids = TraceIds::new(run, trace_ids.cell(0).origin());
        Decoder::new(hub, format, self.event_type, self.time_field, on_malformed, trace_ids)
    }
}

fn default_group() -> String {
    "$Default".to_owned()
}

fn default_event_type() -> String {
    "record".to_owned()
}

fn no_lateness() -> SpecDuration {
    SpecDuration(Duration::ZERO)
}

fn default_idle_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(5))
}

fn default_connect_timeout() -> SpecDuration {
    SpecDuration(Duration::from_secs(10))
}

fn default_check_after() -> SpecDuration {
    SpecDuration(Duration::from_secs(30))
}

fn default_prefetch() -> u32 {
    300
}
