//! The two times: event time, which a pipeline's clock starts, speeds up and ends, and wall time.
//!
//! The only file that asks the machine's clock. Waiting goes through tokio's timer, so in a paused
//! runtime all of it is virtual.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::event::Timestamp;

/// How fast event time goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// That many seconds of event time in a second of wall time.
    Factor(f64),
    /// As fast as the sinks take it; nothing waits.
    Max,
}

/// A pipeline's clock; copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Timestamp,
    speed: Speed,
    /// Full speed up to the wall's now, then live.
    catch_up: bool,
    began: Instant,
    began_wall: Timestamp,
    /// How far event time was already when the clock began.
    before: Duration,
}

impl Clock {
    /// A clock that begins now; event time begins at `start`, or with the wall.
    #[expect(clippy::disallowed_methods, reason = "the place that asks the machine's clock")]
    pub fn new(start: Option<Timestamp>, speed: Speed, catch_up: bool) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began_wall = Timestamp::from_millis(since_epoch.as_millis() as i64);
        let start = start.unwrap_or(began_wall);
        let before = Duration::ZERO;
        Self { start, speed, catch_up, began: Instant::now(), began_wall, before }
    }

    /// The same clock, on which event time goes on from an instant.
    #[must_use]
    pub fn going_on_from(self, time: Timestamp) -> Self {
        Self { before: time.since(self.start), ..self }
    }

    /// The instant event time began at.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Whether event time follows the wall, so that something may be late.
    pub fn is_paced(&self) -> bool {
        self.speed != Speed::Max
    }

    /// The machine's time.
    pub fn wall(&self) -> Timestamp {
        self.began_wall + self.began.elapsed()
    }

    /// Event time now; at [`Speed::Max`] it stands at the start, so that it is the same in each run.
    pub fn now(&self) -> Timestamp {
        match self.speed {
            Speed::Max => self.start,
            Speed::Factor(_) if self.catch_up => self.wall(),
            Speed::Factor(speed) => {
                let seconds = self.elapsed().as_secs_f64() * speed;
                let since = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                self.start + self.before.saturating_add(since)
            }
        }
    }

    /// Wall time since the clock began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits until event time gets to `time`; at [`Speed::Max`] it is there already.
    pub async fn sleep_until(&self, time: Timestamp) {
        if let Some(wait) = self.wait_for(time) {
            self.sleep(wait).await;
        }
    }

    /// Whether event time got to `time`, so that waiting for it would not wait.
    pub fn is_due(&self, time: Timestamp) -> bool {
        self.wait_for(time).is_none_or(|wait| wait <= self.began.elapsed())
    }

    /// How long after the clock began event time gets to `time`; none where nothing waits.
    fn wait_for(&self, time: Timestamp) -> Option<Duration> {
        let Speed::Factor(speed) = self.speed else { return None };
        Some(if self.catch_up {
            time.since(self.began_wall)
        } else {
            // At a speed near nothing it takes longer than can be said.
            let seconds = time.since(self.start + self.before).as_secs_f64() / speed;
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        })
    }

    /// Waits until the machine's clock shows `time`.
    pub async fn sleep_until_wall(&self, time: Timestamp) {
        self.sleep(time.since(self.began_wall)).await;
    }

    /// Waits until so much wall time has gone by since the clock began; for ever where that is
    /// more than the machine can count.
    async fn sleep(&self, since_it_began: Duration) {
        match self.began.checked_add(since_it_began) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

/// Wall time from one moment on: for what is measured, never for when something happens.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// One that counts from now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What has gone by since.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Processor time, as the system counts it: what work costs, whoever else uses the machine. Where
/// the system does not say, it is the wall time since it was first asked for.
#[derive(Clone, Copy, Debug)]
pub enum ProcessorTime {
    /// Of the thread that asks.
    Thread,
    /// Of all threads of the program.
    Process,
}

impl ProcessorTime {
    /// How much there was until now.
    #[cfg(unix)]
    pub fn now(self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
        });
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }

    /// How much there was until now.
    #[cfg(not(unix))]
    pub fn now(self) -> Duration {
        static FIRST: std::sync::LazyLock<Stopwatch> = std::sync::LazyLock::new(Stopwatch::start);
        FIRST.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Timestamp {
        "2024-11-29T12:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_at_speed_sixty_takes_a_second() {
        let clock = Clock::new(Some(noon()), Speed::Factor(60.0), false);
        clock.sleep_until(noon() + Duration::from_mins(1)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn at_a_speed_near_nothing_time_waits_and_nothing_panics() {
        for speed in [1e-20, 1e-300, f64::MIN_POSITIVE] {
            let clock = Clock::new(Some(noon()), Speed::Factor(speed), false);
            let next = clock.sleep_until(noon() + Duration::from_secs(1));
            assert!(futures::poll!(Box::pin(next)).is_pending());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn event_time_goes_on_from_where_it_was() {
        let minute = Duration::from_mins(1);
        let clock =
            Clock::new(Some(noon()), Speed::Factor(60.0), false).going_on_from(noon() + minute);
        assert_eq!((clock.start(), clock.now()), (noon(), noon() + minute));
        clock.sleep_until(noon() + 2 * minute).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn at_full_speed_nothing_waits() {
        let clock = Clock::new(Some(noon()), Speed::Max, false);
        clock.sleep_until(Timestamp::MAX).await;
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn catching_up_waits_only_for_the_future() {
        let clock = Clock::new(Some(noon()), Speed::Factor(1.0), true);
        clock.sleep_until(noon() + Duration::from_hours(1)).await;
        assert_eq!(clock.elapsed(), Duration::ZERO, "that hour is past");
        clock.sleep_until(clock.wall() + Duration::from_secs(5)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(5));
    }
}
