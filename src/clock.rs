//! The two times: event time, which a pipeline's clock starts, speeds up and ends, and wall time.
//!
//! The only file that asks the machine's clock. Waiting goes through tokio's timer, so in a paused
//! runtime all of it is virtual.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
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

/// The highest factor: a hundred days of event time in a second. Where that is not enough, nothing
/// should wait at all.
pub const SPEED_MAX: f64 = 10_000_000.0;

/// A pipeline's clock; copies agree, also when its speed is changed.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Timestamp,
    /// Full speed up to the wall's now, then live.
    catch_up: bool,
    /// Whether nothing waits for event time, from the beginning to the end.
    is_at_full_speed: bool,
    began: Instant,
    began_wall: Timestamp,
    pace: Arc<watch::Sender<Pace>>,
}

/// How event time goes, from some moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// Seconds of event time in a second of wall time.
    speed: f64,
    is_paused: bool,
    /// How far event time was when this pace began.
    event: Duration,
    /// When that was, in wall time since the clock began.
    wall: Duration,
    /// For how much of that time event time was paused.
    paused: Duration,
}

impl Pace {
    /// For how much of so much wall time since the clock began it was paused.
    fn paused_until(&self, elapsed: Duration) -> Duration {
        let since = if self.is_paused { elapsed.saturating_sub(self.wall) } else { Duration::ZERO };
        self.paused + since
    }
}

/// Why a clock's speed cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeedError {
    /// Nothing waits for event time, and batches are closed by it.
    AtFullSpeed,
    /// Event time is the wall's.
    FollowsTheWall,
    /// It is no number above 0, or beyond [`SPEED_MAX`].
    NoSpeed,
}

impl fmt::Display for SpeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtFullSpeed => "the run goes at full speed, where nothing waits for event time",
            Self::FollowsTheWall => "event time catches up with the wall's, and follows it",
            Self::NoSpeed => "a speed is a number above 0, and at most 10 000 000",
        })
    }
}

impl Clock {
    /// A clock that begins now; event time begins at `start`, or with the wall.
    pub fn new(start: Option<Timestamp>, speed: Speed, catch_up: bool) -> Self {
        let began_wall = wall_now();
        let start = start.unwrap_or(began_wall);
        let (is_at_full_speed, speed) = match speed {
            Speed::Max => (true, 1.0),
            Speed::Factor(speed) => (false, speed),
        };
        let zero = Duration::ZERO;
        let pace = Pace { speed, is_paused: false, event: zero, wall: zero, paused: zero };
        let pace = watch::Sender::new(pace);
        let (began, pace) = (Instant::now(), Arc::new(pace));
        Self { start, catch_up, is_at_full_speed, began, began_wall, pace }
    }

    /// The same clock, on which event time goes on from an instant.
    #[must_use]
    pub fn going_on_from(self, time: Timestamp) -> Self {
        self.pace.send_modify(|pace| pace.event = time.since(self.start));
        self
    }

    /// The instant event time began at.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Whether event time follows the wall, so that something may be late.
    pub fn is_paced(&self) -> bool {
        !self.is_at_full_speed
    }

    /// How fast event time goes, when it is not paused.
    pub fn speed(&self) -> Speed {
        if self.is_at_full_speed { Speed::Max } else { Speed::Factor(self.pace.borrow().speed) }
    }

    /// Changes how fast event time goes, from where it is.
    pub fn set_speed(&self, speed: f64) -> Result<(), SpeedError> {
        if self.is_at_full_speed {
            return Err(SpeedError::AtFullSpeed);
        }
        if self.catch_up {
            return Err(SpeedError::FollowsTheWall);
        }
        if !(speed > 0.0 && speed <= SPEED_MAX) {
            return Err(SpeedError::NoSpeed);
        }
        self.change(|pace| pace.speed = speed);
        Ok(())
    }

    /// Lets event time stand still, and sources with it.
    pub fn pause(&self) {
        self.change(|pace| pace.is_paused = true);
    }

    /// Lets event time go on from where it stands. One that follows the wall catches up with it.
    pub fn resume(&self) {
        self.change(|pace| pace.is_paused = false);
    }

    /// Whether event time stands still.
    pub fn is_paused(&self) -> bool {
        self.pace.borrow().is_paused
    }

    /// Waits until event time goes; at once where it does.
    pub async fn goes(&self) {
        if self.is_paused() {
            // The sender is this clock's own, so waiting cannot fail.
            let _ = self.pace.subscribe().wait_for(|pace| !pace.is_paused).await;
        }
    }

    /// A change of pace counts from now on.
    fn change(&self, change: impl FnOnce(&mut Pace)) {
        self.pace.send_modify(|pace| {
            let elapsed = self.began.elapsed();
            pace.paused = pace.paused_until(elapsed);
            (pace.event, pace.wall) = (self.event_time(pace, elapsed), elapsed);
            change(pace);
        });
    }

    /// The machine's time.
    pub fn wall(&self) -> Timestamp {
        self.began_wall + self.began.elapsed()
    }

    /// Event time now; at [`Speed::Max`] it stands at the start, so that it is the same in each run.
    pub fn now(&self) -> Timestamp {
        if self.is_at_full_speed {
            return self.start;
        }
        let pace = *self.pace.borrow();
        if self.catch_up && !pace.is_paused {
            return self.wall();
        }
        self.start + self.event_time(&pace, self.began.elapsed())
    }

    /// How far event time is, so long after the clock began.
    fn event_time(&self, pace: &Pace, elapsed: Duration) -> Duration {
        if pace.is_paused || self.is_at_full_speed {
            return pace.event;
        }
        if self.catch_up {
            return (self.began_wall + elapsed).since(self.start);
        }
        let seconds = elapsed.saturating_sub(pace.wall).as_secs_f64() * pace.speed;
        let since = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        pace.event.saturating_add(since)
    }

    /// Wall time since the clock began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Wall time since the clock began in which it was not paused: for how long somebody has waited for
    /// what a pause holds back.
    pub fn going(&self) -> Duration {
        let elapsed = self.began.elapsed();
        elapsed.saturating_sub(self.pace.borrow().paused_until(elapsed))
    }

    /// Waits until event time gets to `time`; at [`Speed::Max`] it is there already.
    pub async fn sleep_until(&self, time: Timestamp) {
        if self.is_at_full_speed {
            return;
        }
        let mut paces = self.pace.subscribe();
        loop {
            let pace = *paces.borrow_and_update();
            tokio::select! {
                biased;
                // The sender is this clock's own, so it is a change: what was waited for by the pace
                // before it may not be due any more.
                _ = paces.changed() => {}
                () = self.sleep(self.wait_for(&pace, time)) => return,
            }
        }
    }

    /// Whether event time got to `time`, so that waiting for it would not wait.
    pub fn is_due(&self, time: Timestamp) -> bool {
        self.is_at_full_speed || self.wait_for(&self.pace.borrow(), time) <= self.began.elapsed()
    }

    /// How long after the clock began event time gets to `time`, as things are.
    fn wait_for(&self, pace: &Pace, time: Timestamp) -> Duration {
        if pace.is_paused {
            // What is there already stays due.
            return if time <= self.start + pace.event { Duration::ZERO } else { Duration::MAX };
        }
        if self.catch_up {
            return time.since(self.began_wall);
        }
        // At a speed near nothing it takes longer than can be said.
        let seconds = time.since(self.start + pace.event).as_secs_f64() / pace.speed;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        pace.wall.saturating_add(wait)
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

/// The machine's time, for what belongs to no run's clock.
#[expect(clippy::disallowed_methods, reason = "the place that asks the machine's clock")]
pub fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since_epoch.as_millis() as i64)
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

    #[tokio::test(start_paused = true)]
    async fn a_pause_stops_event_time_and_whoever_waits_for_it() {
        let clock = Clock::new(Some(noon()), Speed::Factor(60.0), false);
        let minute = Duration::from_mins(1);
        let waits = clock.sleep_until(noon() + 2 * minute);
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        tokio::time::advance(Duration::from_secs(1)).await;
        clock.pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!((clock.now(), clock.is_paused()), (noon() + minute, true));
        assert_eq!(clock.going(), Duration::from_secs(1));
        assert!(futures::poll!(&mut waits).is_pending());
        clock.resume();
        waits.await;
        assert_eq!((clock.elapsed(), clock.now()), (Duration::from_secs(12), noon() + 2 * minute));
        assert_eq!(clock.going(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn another_speed_counts_from_where_event_time_is() {
        let clock = Clock::new(Some(noon()), Speed::Factor(1.0), false);
        let minute = Duration::from_mins(1);
        let waits = clock.sleep_until(noon() + 2 * minute);
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        tokio::time::advance(minute).await;
        clock.set_speed(60.0).unwrap();
        assert_eq!((clock.now(), clock.speed()), (noon() + minute, Speed::Factor(60.0)));
        waits.await;
        assert_eq!(clock.elapsed(), minute + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_speed_that_means_nothing_is_refused() {
        let noon = Some(noon());
        let clock = Clock::new(noon, Speed::Factor(1.0), false);
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(clock.set_speed(speed), Err(SpeedError::NoSpeed));
        }
        let refused = |clock: Clock| clock.set_speed(2.0).unwrap_err();
        assert_eq!(refused(Clock::new(noon, Speed::Max, false)), SpeedError::AtFullSpeed);
        let follows = Clock::new(noon, Speed::Factor(1.0), true);
        assert_eq!(refused(follows), SpeedError::FollowsTheWall);
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_the_wall_stands_while_it_is_paused_and_catches_up_then() {
        let clock = Clock::new(Some(noon()), Speed::Factor(1.0), true);
        let paused_at = clock.now();
        clock.pause();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), paused_at);
        clock.resume();
        assert_eq!(clock.now(), paused_at + Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn at_full_speed_a_pause_is_told_to_who_asks() {
        let clock = Clock::new(Some(noon()), Speed::Max, false);
        clock.goes().await;
        clock.pause();
        let goes = clock.goes();
        tokio::pin!(goes);
        assert!(futures::poll!(&mut goes).is_pending());
        clock.resume();
        goes.await;
    }
}
