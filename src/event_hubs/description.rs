//! What the service says of a hub.

use std::fmt;
use std::time::SystemTime;

use azure_messaging_eventhubs::models::EventHubPartitionProperties;

/// A hub, as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubDescription {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// Its partitions.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition, as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its id.
    pub id: String,
    /// The sequence number of the first event that is kept.
    pub first_sequence: i64,
    /// The sequence number of the last event.
    pub last_sequence: i64,
    /// When the last event came.
    pub last_time: Option<SystemTime>,
    /// Whether it keeps no event.
    pub is_empty: bool,
}

impl HubDescription {
    /// About how many events are kept: sequence numbers have no gaps.
    pub fn events(&self) -> u64 {
        let kept = |it: &&PartitionDescription| !it.is_empty;
        let count = |it: &PartitionDescription| (it.last_sequence - it.first_sequence + 1).max(0);
        self.partitions.iter().filter(kept).map(|partition| count(partition) as u64).sum()
    }
}

/// `4 partitions, 1200 events kept, created 2026-01-31`
impl fmt::Display for HubDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = self.partitions.len();
        let plural = if partitions == 1 { "" } else { "s" };
        write!(f, "{partitions} partition{plural}, {} events kept", self.events())?;
        let created = self.created.and_then(|time| jiff::Timestamp::try_from(time).ok());
        match created {
            Some(time) => write!(f, ", created {}", time.strftime("%Y-%m-%d")),
            None => Ok(()),
        }
    }
}

impl From<EventHubPartitionProperties> for PartitionDescription {
    fn from(said: EventHubPartitionProperties) -> Self {
        Self {
            id: said.id,
            first_sequence: said.beginning_sequence_number,
            last_sequence: said.last_enqueued_sequence_number,
            last_time: said.last_enqueued_time_utc,
            is_empty: said.is_empty,
        }
    }
}
