//! What the service allows, and how much of it a load needs.

/// Bytes that one throughput unit of the Standard tier takes in each second: 1 MB, whichever of this
/// and [`UNIT_EVENTS_A_SECOND`] comes first. What goes out is bounded at twice as many bytes and
/// 4096 events, over all readers.
///
/// From <https://learn.microsoft.com/azure/event-hubs/event-hubs-scalability>, read as 10^6 bytes,
/// which is the careful reading.
const UNIT_BYTES_A_SECOND: f64 = 1e6;
/// Events that one throughput unit takes in each second; the same source.
const UNIT_EVENTS_A_SECOND: f64 = 1000.0;

/// Bytes a second beyond which the service's documentation recommends another partition: 1 MB.
///
/// From <https://learn.microsoft.com/azure/event-hubs/event-hubs-faq>, "How many partitions do I
/// need?".
pub const PARTITION_BYTES_A_SECOND: f64 = 1e6;
/// How many partitions a hub of the Standard tier has at most.
///
/// From <https://learn.microsoft.com/azure/event-hubs/event-hubs-quotas>.
pub const PARTITIONS_MAX: usize = 32;
/// What one send may hold where the link does not say less: 1 MiB on Standard; the same source.
pub(super) const SEND_BYTES_MAX: u64 = 1024 * 1024;

/// How many throughput units a load needs, at least one.
pub fn throughput_units(events_a_second: f64, bytes_a_second: f64) -> u64 {
    let units = (events_a_second / UNIT_EVENTS_A_SECOND).max(bytes_a_second / UNIT_BYTES_A_SECOND);
    (units.ceil() as u64).max(1)
}

/// The least number of partitions with which none has to take more than
/// [`PARTITION_BYTES_A_SECOND`], where `hottest` tells the largest share of any number of
/// partitions. None where [`PARTITIONS_MAX`] are too few.
pub fn partitions_for(bytes_a_second: f64, hottest: impl Fn(usize) -> f64) -> Option<usize> {
    (1..=PARTITIONS_MAX)
        .find(|partitions| bytes_a_second * hottest(*partitions) <= PARTITION_BYTES_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_from_events_or_bytes_whichever_are_more() {
        assert_eq!(throughput_units(0.0, 0.0), 1);
        assert_eq!(throughput_units(1000.0, 1e6), 1);
        assert_eq!(throughput_units(1001.0, 1e6), 2);
        assert_eq!(throughput_units(2500.0, 4.2e6), 5);
    }

    #[test]
    fn a_hot_key_needs_more_partitions_or_no_number_helps() {
        let even = |partitions: usize| 1.0 / partitions as f64;
        assert_eq!(partitions_for(3.9e6, even), Some(4));
        assert_eq!(partitions_for(3.9e6, |partitions| 2.0 * even(partitions)), Some(8));
        assert_eq!(partitions_for(3.9e6, |partitions| even(partitions).max(0.5)), None);
    }
}
