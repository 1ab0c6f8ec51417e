//! A sink that fails on purpose, round a real one: what a receiver may do, to rehearse with.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::event::{Batch, Event};
use crate::retail::Random;
use crate::script::seed_of;
use crate::spec::ChaosSettings;
use crate::stage::{Outcome, Probe, Refusal, Sink, StageError};

/// A sink with faults.
pub struct Chaos {
    sink: Box<dyn Sink>,
    stage: String,
    settings: ChaosSettings,
    seed: u64,
    clock: Clock,
    /// How many attempts there were: the n-th one always meets the same faults.
    attempts: AtomicU64,
}

/// What becomes of one attempt.
#[derive(Clone, Debug, PartialEq)]
enum Fault {
    /// It goes through.
    None,
    /// Nothing is sent.
    Refused(Refusal),
    /// Some events are not sent; which, the generator says.
    Partial(Random),
    /// It is sent, and does not look like it.
    Disconnected,
}

impl Chaos {
    /// Puts faults round a sink, as the settings say; round others nothing is put.
    pub fn around(
        sink: Box<dyn Sink>,
        settings: Option<&ChaosSettings>,
        stage: &str,
        pipeline_seed: u64,
        clock: Clock,
    ) -> Box<dyn Sink> {
        let Some(settings) = settings.cloned() else { return sink };
        let seed = seed_of(settings.seed.unwrap_or(pipeline_seed), stage);
        let (stage, attempts) = (stage.to_owned(), AtomicU64::new(0));
        Box::new(Self { sink, stage, settings, seed, clock, attempts })
    }

    /// How much longer this attempt takes, and what becomes of it.
    fn next(&self) -> (Duration, Fault) {
        let mut random = Random::new(self.seed, self.attempts.fetch_add(1, Relaxed));
        let ChaosSettings { latency, busy, .. } = &self.settings;
        // Each is drawn for each attempt, so that changing one rate leaves the other faults.
        let is_slow = random.chance(latency.map_or(0.0, |latency| latency.rate));
        let is_busy = random.chance(busy.map_or(0.0, |busy| busy.rate));
        let [errs, is_permanent, is_partial, disconnects] = [
            self.settings.error_rate,
            self.settings.permanent_rate,
            self.settings.partial_rate,
            self.settings.disconnect_rate,
        ]
        .map(|rate| random.chance(rate));
        let longer = latency.filter(|_| is_slow).map_or(0, |latency| latency.ms);
        let fault = if self.is_out() {
            Fault::Refused(Refusal::transient("connection", "chaos: an outage"))
        } else if is_busy {
            let wait = Duration::from_millis(busy.map_or(0, |busy| busy.retry_after_ms));
            Fault::Refused(Refusal::transient("busy", "chaos: the receiver is busy").after(wait))
        } else if errs {
            Fault::Refused(Refusal::transient("chaos", "chaos: an error that passes"))
        } else if is_permanent {
            Fault::Refused(Refusal::permanent("chaos", "chaos: an error that stays"))
        } else if is_partial {
            Fault::Partial(random)
        } else if disconnects {
            Fault::Disconnected
        } else {
            Fault::None
        };
        (Duration::from_millis(longer), fault)
    }

    fn is_out(&self) -> bool {
        let now = self.clock.elapsed();
        self.settings.outages.iter().any(|outage| {
            now.checked_sub(outage.after.0).is_some_and(|since| since < outage.r#for.0)
        })
    }

    /// Sends about half of the events, at least one not.
    async fn write_part(&self, batch: &Batch, mut random: Random) -> Outcome {
        let mut goes: Vec<bool> = batch.events().iter().map(|_| random.chance(0.5)).collect();
        if goes.iter().all(|goes| *goes)
            && let Some(last) = goes.last_mut()
        {
            *last = false;
        }
        let mut next = goes.iter();
        let sent = batch.clone().split_off(|_| next.next().is_some_and(|goes| *goes));
        let outcome =
            if sent.is_empty() { Outcome::Delivered } else { self.sink.write(&sent).await };
        // The places of those that were sent, in the whole batch.
        let places: Vec<usize> = (0..goes.len()).filter(|place| goes[*place]).collect();
        let refusal = || Refusal::transient("chaos", "chaos: not with the others");
        let mut refused: Vec<(usize, Refusal)> = match outcome {
            Outcome::Closed => return Outcome::Closed,
            Outcome::Delivered => Vec::new(),
            Outcome::Except(refused) => {
                refused.into_iter().map(|(place, refusal)| (places[place], refusal)).collect()
            }
            // What was not sent yet is held back with the others.
            Outcome::Partly { decided, failed } => {
                let failed = failed.into_iter().map(|(place, why)| (places[place], why));
                let unsent = places.iter().skip(decided).map(|place| (*place, refusal()));
                failed.chain(unsent).collect()
            }
            Outcome::Refused(refusal) => {
                places.iter().map(|place| (*place, refusal.clone())).collect()
            }
        };
        let held_back = (0..goes.len()).filter(|place| !goes[*place]);
        refused.extend(held_back.map(|place| (place, refusal())));
        refused.sort_by_key(|(place, _)| *place);
        Outcome::Except(refused)
    }
}

#[async_trait]
impl Sink for Chaos {
    async fn open(&self) -> Result<(), StageError> {
        tracing::warn!("chaos is on for the sink `{}`: it fails on purpose", self.stage);
        self.sink.open().await
    }

    async fn reach(&self) -> Result<(), StageError> {
        self.sink.reach().await
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        let (longer, fault) = self.next();
        if !longer.is_zero() {
            tokio::time::sleep(longer).await;
        }
        match fault {
            Fault::None => self.sink.write(batch).await,
            Fault::Refused(refusal) => Outcome::Refused(refusal),
            Fault::Partial(random) => self.write_part(batch, random).await,
            Fault::Disconnected => match self.sink.write(batch).await {
                Outcome::Delivered | Outcome::Partly { .. } => {
                    Outcome::Refused(Refusal::transient("connection", "chaos: disconnected"))
                }
                other => other,
            },
        }
    }

    async fn close(&self) -> Result<(), StageError> {
        self.sink.close().await
    }

    async fn abandon(&self) -> Result<(), StageError> {
        self.sink.abandon().await
    }

    fn wants_batches(&self) -> bool {
        self.sink.wants_batches()
    }

    fn times_out(&self) -> bool {
        self.sink.times_out()
    }

    fn set_timeout(&mut self, timeout: Duration) {
        self.sink.set_timeout(timeout);
    }

    fn lane_key(&self, event: &Event) -> Option<u32> {
        self.sink.lane_key(event)
    }

    fn partition(&self, event: &Event) -> Option<u32> {
        self.sink.partition(event)
    }

    fn bytes_sent(&self) -> u64 {
        self.sink.bytes_sent()
    }

    async fn probe(&self) -> Probe {
        self.sink.probe().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::clock::Speed;
    use crate::event::{Event, RECEIPT_CREATED, Text, Timestamp};
    use crate::stage::Retry;

    /// Keeps the places of the events that it was given, and refuses those it is told to.
    #[derive(Clone, Default)]
    struct Receiver {
        got: Arc<Mutex<Vec<i64>>>,
        refuses: Vec<i64>,
    }

    #[async_trait]
    impl Sink for Receiver {
        async fn write(&self, batch: &Batch) -> Outcome {
            let (mut got, mut refused) = (self.got.lock().unwrap(), Vec::new());
            for (place, event) in batch.events().iter().enumerate() {
                let number = event.time.as_millis();
                if self.refuses.contains(&number) {
                    refused.push((place, Refusal::permanent("rejected", "no")));
                } else {
                    got.push(number);
                }
            }
            if refused.is_empty() { Outcome::Delivered } else { Outcome::Except(refused) }
        }
    }

    fn batch() -> Batch {
        let event = |number| {
            Event::new(RECEIPT_CREATED, Text::from("TR_1_00001"), Timestamp::from_millis(number))
        };
        Batch::new((0..20).map(event).collect(), Timestamp::from_millis(20), None)
    }

    fn chaos(receiver: &Receiver, settings: serde_json::Value) -> Box<dyn Sink> {
        let settings: ChaosSettings = serde_json::from_value(settings).unwrap();
        let clock = Clock::new(None, Speed::Max, false);
        Chaos::around(Box::new(receiver.clone()), Some(&settings), "out", 42, clock)
    }

    async fn outcomes(settings: serde_json::Value, attempts: usize) -> Vec<Outcome> {
        let chaos = chaos(&Receiver::default(), settings);
        let mut outcomes = Vec::new();
        for _ in 0..attempts {
            outcomes.push(chaos.write(&batch()).await);
        }
        outcomes
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_faults_and_another_one_others() {
        let settings = |seed: u64| {
            json!({ "seed": seed, "error_rate": 0.3, "permanent_rate": 0.1, "partial_rate": 0.2,
                    "busy": { "rate": 0.1, "retry_after_ms": 4000 } })
        };
        let first = outcomes(settings(1), 300).await;
        assert_eq!(first, outcomes(settings(1), 300).await);
        assert_ne!(first, outcomes(settings(2), 300).await);
        let share = |wanted: fn(&Outcome) -> bool| {
            first.iter().filter(|outcome| wanted(outcome)).count() as f64 / 300.0
        };
        let busy = share(|outcome| {
            let wait = Duration::from_secs(4);
            matches!(outcome, Outcome::Refused(refusal) if refusal.retry == Retry::After(wait))
        });
        assert!((0.05..0.16).contains(&busy), "{busy}");
        let delivered = share(|outcome| *outcome == Outcome::Delivered);
        // 0.9 * 0.7 * 0.9 * 0.8
        assert!((0.38..0.53).contains(&delivered), "{delivered}");
        assert!(share(|outcome| matches!(outcome, Outcome::Except(_))) > 0.05);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_with_the_others_is_named_and_the_rest_is_there() {
        let receiver = Receiver { refuses: (0..20).step_by(5).collect(), ..Receiver::default() };
        let chaos = chaos(&receiver, json!({ "partial_rate": 1 }));
        let Outcome::Except(refused) = chaos.write(&batch()).await else { panic!() };
        assert!(refused.is_sorted_by_key(|(place, _)| *place));
        let places: Vec<i64> = refused.iter().map(|(place, _)| *place as i64).collect();
        let mut all = [places.clone(), receiver.got.lock().unwrap().clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>(), "each is in one place");
        let of = |category: &str| {
            let places = refused.iter().filter(|(_, it)| it.failure.category == category);
            places.map(|(place, _)| *place).collect::<Vec<_>>()
        };
        assert!(of("chaos").len() > 3 && receiver.got.lock().unwrap().len() > 3);
        assert!(!of("rejected").is_empty() && of("rejected").iter().all(|place| place % 5 == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disconnected_batch_is_there_and_looks_as_if_it_were_not() {
        let receiver = Receiver::default();
        let chaos = chaos(&receiver, json!({ "disconnect_rate": 1 }));
        let Outcome::Refused(refusal) = chaos.write(&batch()).await else { panic!() };
        assert_eq!((refusal.failure.category, refusal.retry), ("connection", Retry::Later));
        assert_eq!(receiver.got.lock().unwrap().len(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_begins_and_ends_by_the_machines_time_and_latency_takes_it() {
        let receiver = Receiver::default();
        let settings = json!({
            "outages": [{ "after": "10s", "for": "30s" }],
            "latency": { "rate": 1, "ms": 250 },
        });
        let chaos = chaos(&receiver, settings);
        let began = tokio::time::Instant::now();
        assert_eq!(chaos.write(&batch()).await, Outcome::Delivered);
        assert_eq!(began.elapsed(), Duration::from_millis(250));
        for (second, is_out) in [(10, true), (39, true), (40, false)] {
            tokio::time::sleep_until(began + Duration::from_secs(second)).await;
            let outcome = chaos.write(&batch()).await;
            assert_eq!(matches!(outcome, Outcome::Refused(_)), is_out, "{second}");
        }
    }
}
