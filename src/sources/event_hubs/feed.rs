//! The feed: what the connection tells, as batches of events with their watermarks; and how far
//! each partition was handed on.

use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::OnMalformed;
use super::decode::{Decoder, Malformed};
use super::news::{Began, News, Received};
use super::place::{Place, Position, Positions};
use super::watermark::Watermarks;
use crate::event::{Batch, Event, Timestamp};
use crate::stage::{Failure, Feed, SourceContext, StageError, State};

/// How many malformed messages are logged; the dead letters have them all.
const MALFORMED_LOGGED: u64 = 10;

/// An open source. Its end ends the connection.
pub(super) struct HubFeed {
    cx: SourceContext,
    decoder: Decoder,
    news: mpsc::Receiver<News>,
    /// Messages of a partition that had no room in the last batch.
    rest: Option<(Arc<str>, std::vec::IntoIter<Received>)>,
    /// Behind what was handed on.
    positions: Positions,
    watermarks: Watermarks,
    /// Whether positions are noted in a store, as they are acknowledged, and not in the state.
    is_shared: bool,
    /// The watermark of the last batch.
    told: Timestamp,
    malformed_count: u64,
    /// Why reading ended.
    failure: Option<StageError>,
    /// When the last batch was handed on: until the next one is asked for, nobody listens.
    handed_on: Option<Instant>,
}

impl HubFeed {
    pub(super) fn new(
        cx: SourceContext,
        decoder: Decoder,
        news: mpsc::Receiver<News>,
        positions: Positions,
        watermarks: Watermarks,
        is_shared: bool,
    ) -> Self {
        Self {
            cx,
            decoder,
            news,
            rest: None,
            positions,
            watermarks,
            is_shared,
            told: Timestamp::MIN,
            malformed_count: 0,
            failure: None,
            handed_on: None,
        }
    }

    /// What there is to hand on now: events, or the word that event time has come further.
    fn batch(&mut self) -> Option<Batch> {
        let mut events = Vec::new();
        while events.len() < self.cx.batch_events.max(1) && self.failure.is_none() {
            if self.rest.is_some() {
                self.decode(&mut events);
            } else if let Ok(news) = self.news.try_recv() {
                self.take_in(news);
            } else {
                break;
            }
        }
        let watermark = self.watermarks.advance(Instant::now());
        if events.is_empty() && watermark == self.told {
            return None;
        }
        self.told = watermark;
        let token = (!events.is_empty()).then(|| self.cx.ledger.issue(self.position()));
        Some(Batch::new(events, watermark, token))
    }

    /// What of it is delivered when a token is resolved.
    fn position(&self) -> serde_json::Value {
        if self.is_shared {
            serde_json::to_value(&self.positions).unwrap_or_default()
        } else {
            serde_json::Value::Null
        }
    }

    fn take_in(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Began(partitions) => {
                for Began { partition, place, at_end } in partitions {
                    self.watermarks.begin(&partition, at_end, now);
                    if let Place::Sequence(next) = place {
                        let offset = None;
                        let position = Position { next, offset };
                        let at = self.positions.partitions.entry(partition);
                        at.and_modify(|at| at.next = next).or_insert(position);
                    }
                }
            }
            News::Events { partition, events } => {
                self.rest = Some((partition, events.into_iter()));
            }
            News::Lost { partition, first, events } => {
                let last = first.saturating_add_unsigned(events).saturating_sub(1);
                self.cx.failures.rule(&Failure::new(
                    "expired",
                    format!(
                        "{events} events of partition `{partition}` are lost, the sequence numbers \
                         {first} to {last}: the hub no longer keeps them"
                    ),
                ));
            }
            News::Left { partition } => {
                self.watermarks.end(&partition);
                self.positions.partitions.remove(&partition);
            }
            News::Away => self.watermarks.set_away(true, now),
            News::Back => self.watermarks.set_away(false, now),
            News::Failed(reason) => self.failure = Some(StageError(reason)),
        }
    }

    /// Makes events of messages, as many as a batch has room for.
    fn decode(&mut self, events: &mut Vec<Event>) {
        let Some((partition, mut messages)) = self.rest.take() else { return };
        let now = Instant::now();
        while events.len() < self.cx.batch_events.max(1)
            && let Some(message) = messages.next()
        {
            let position = Position {
                next: message.sequence.saturating_add(1),
                offset: message.offset.clone(),
            };
            match self.decoder.event(&partition, message) {
                Ok(event) => {
                    self.watermarks.hear(&partition, event.time, now);
                    events.push(event);
                }
                Err(malformed) if self.decoder.on_malformed == OnMalformed::Fail => {
                    let Malformed { origin, failure, .. } = malformed;
                    self.failure = Some(StageError(format!("{origin}: {}", failure.reason)));
                    return;
                }
                Err(malformed) => self.refuse(&malformed),
            }
            self.positions.partitions.insert(partition.clone(), position);
        }
        if messages.len() > 0 {
            self.rest = Some((partition, messages));
        }
    }

    fn refuse(&mut self, malformed: &Malformed) {
        let Malformed { text, origin, failure } = malformed;
        self.malformed_count += 1;
        if self.malformed_count <= MALFORMED_LOGGED {
            tracing::warn!(stage = self.cx.stage, "{origin}: {}", failure.reason);
        }
        self.cx.failures.input(text, origin, failure);
    }
}

#[async_trait]
impl Feed for HubFeed {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        if let Some(handed_on) = self.handed_on.take() {
            self.watermarks.skip(handed_on.elapsed());
        }
        loop {
            if let Some(batch) = self.batch() {
                self.handed_on = Some(Instant::now());
                return Ok(Some(batch));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            let silence = self.watermarks.next_advance(Instant::now());
            let silence = async move {
                match silence {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                news = self.news.recv() => match news {
                    Some(news) => self.take_in(news),
                    None => return Err(StageError("the receiver has stopped".to_owned())),
                },
                () = silence => {}
            }
        }
    }

    fn state(&self) -> State {
        if self.is_shared { State::none() } else { State::of(&self.positions) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, Speed};
    use crate::event::{Key, TraceIds};
    use crate::sources::event_hubs::news;
    use crate::sources::records::Format;

    fn feed() -> (mpsc::Sender<News>, HubFeed) {
        let (tell, news) = news::channel();
        let mut cx = SourceContext::for_test(Clock::new(None, Speed::Factor(1.0), false));
        cx.batch_events = 10;
        let key = Key::intern("record").unwrap();
        let (malformed, ids) = (OnMalformed::DeadLetter, TraceIds::new(1, 0));
        let decoder = Decoder::new("hub", Format::Auto, key, None, malformed, ids);
        let watermarks = Watermarks::new(Duration::ZERO, Duration::from_secs(5));
        (tell, HubFeed::new(cx, decoder, news, Positions::default(), watermarks, false))
    }

    fn events(partition: &str, sequences: std::ops::Range<i64>) -> News {
        let event = |sequence| Received {
            sequence,
            offset: Some((sequence * 100).to_string()),
            enqueued: Timestamp::from_millis(sequence * 1000),
            key: None,
            body: b"{}".to_vec(),
        };
        News::Events { partition: partition.into(), events: sequences.map(event).collect() }
    }

    fn began(partitions: &[(&str, i64)]) -> News {
        let began = |(partition, next): &(&str, i64)| Began {
            partition: (*partition).into(),
            place: Place::Sequence(*next),
            at_end: false,
        };
        News::Began(partitions.iter().map(began).collect())
    }

    fn next_of(feed: &HubFeed, partition: &str) -> Option<i64> {
        let positions = Positions::read(&feed.state()).unwrap();
        positions.partitions.get(partition).map(|position| position.next)
    }

    #[tokio::test]
    async fn a_state_is_behind_the_last_batch_and_knows_partitions_that_said_nothing() {
        let (tell, mut feed) = feed();
        for news in [began(&[("0", 3), ("1", 7)]), events("0", 3..18)] {
            tell.send(news).await.unwrap();
        }
        assert_eq!(feed.next().await.unwrap().unwrap().len(), 10);
        assert_eq!((next_of(&feed, "0"), next_of(&feed, "1")), (Some(13), Some(7)));
        assert_eq!(feed.next().await.unwrap().unwrap().len(), 5);
        assert_eq!(next_of(&feed, "0"), Some(18));
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_while_it_waits_loses_nothing() {
        let (tell, mut feed) = feed();
        assert!(futures::poll!(feed.next()).is_pending());
        tell.send(began(&[("0", 0)])).await.unwrap();
        assert!(futures::poll!(feed.next()).is_pending());
        tell.send(events("0", 0..2)).await.unwrap();
        assert_eq!(feed.next().await.unwrap().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn event_time_waits_for_a_partition_until_that_was_silent_for_long() {
        let (tell, mut feed) = feed();
        for news in [began(&[("0", 0), ("1", 0)]), events("0", 0..9)] {
            tell.send(news).await.unwrap();
        }
        assert_eq!(feed.next().await.unwrap().unwrap().watermark(), Timestamp::MIN);
        let begin = Instant::now();
        let progress = feed.next().await.unwrap().unwrap();
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        assert!(progress.is_empty());
        assert_eq!(progress.watermark(), Timestamp::from_millis(8000));
    }

    #[tokio::test]
    async fn what_came_before_a_failure_is_handed_on_before_it() {
        let (tell, mut feed) = feed();
        for news in [events("0", 0..2), News::Failed("the hub is gone".to_owned())] {
            tell.send(news).await.unwrap();
        }
        assert_eq!(feed.next().await.unwrap().unwrap().len(), 2);
        assert_eq!(feed.next().await.err(), Some(StageError("the hub is gone".to_owned())));
    }
}
