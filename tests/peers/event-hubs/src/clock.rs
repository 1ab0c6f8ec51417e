//! The only file that asks the machine's clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the time is; events are stamped with it and tokens run out by it.
#[expect(clippy::disallowed_methods, reason = "this is where the peer asks for the time")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// The instant that is so far away.
#[expect(clippy::disallowed_methods, reason = "this is where the peer asks for the time")]
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait
}

/// Milliseconds since 1970, as AMQP counts them.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The other way round; what is before 1970 counts as 1970.
pub(crate) fn from_milliseconds(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds.max(0) as u64)
}
