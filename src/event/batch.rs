//! A batch: events, the watermark behind them, and the tokens that cover them.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Event, Timestamp, Token, TokenIndex};

/// How many events a batch holds where nothing else is asked for.
pub const BATCH_EVENTS: usize = 256;

/// How many events of a batch are looked at to tell how large it is.
const MEASURED_EVENTS: usize = 16;

/// Some events of one edge of the graph, in order.
///
/// Cloning is cheap: copies share the events until one of them is changed. A batch may be empty;
/// its watermark still has to travel, or what waits for it would stall.
#[derive(Clone, Debug)]
pub struct Batch {
    events: Arc<Vec<Event>>,
    watermark: Timestamp,
    tokens: Vec<Token>,
    /// The checkpoint that this batch is the barrier of.
    barrier: Option<u64>,
}

impl Batch {
    /// A source's batch, all of whose events one token covers.
    pub fn new(events: Vec<Event>, watermark: Timestamp, token: Option<Token>) -> Self {
        debug_assert!(events.iter().all(|event| event.token.0 == 0));
        let tokens = token.into_iter().collect();
        Self { events: Arc::new(events), watermark, tokens, barrier: None }
    }

    /// The word that nothing earlier than `watermark` will come, and nothing else.
    pub fn progress(watermark: Timestamp) -> Self {
        Self::new(Vec::new(), watermark, None)
    }

    /// The barrier of a checkpoint: a batch without events that parts those which the checkpoint
    /// covers from those after it. Every stage lets it pass at its place, and notes its state.
    pub fn barrier(checkpoint: u64, watermark: Timestamp) -> Self {
        Self { barrier: Some(checkpoint), ..Self::progress(watermark) }
    }

    /// The checkpoint that this is the barrier of.
    pub fn checkpoint(&self) -> Option<u64> {
        self.barrier
    }

    /// The events in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events, to change them; copied first if another branch of the graph has them too.
    pub fn events_mut(&mut self) -> &mut Vec<Event> {
        Arc::make_mut(&mut self.events)
    }

    /// Nothing earlier than this will come on this edge.
    pub fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// The same events with another watermark.
    #[must_use]
    pub fn with_watermark(self, watermark: Timestamp) -> Self {
        Self { watermark, ..self }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is nothing but a watermark.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// About how many bytes of memory an event of this batch takes up: the mean of up to 16 that are
    /// spread evenly over it, so that the cost is that of a batch and not of its events.
    pub fn bytes_per_event(&self) -> u64 {
        let step = self.len().div_ceil(MEASURED_EVENTS).max(1);
        let measured = self.events().iter().step_by(step);
        let (count, bytes) = measured
            .fold((0, 0), |(count, bytes), event| (count + 1, bytes + event.memory_bytes()));
        (bytes / count.max(1)) as u64
    }

    /// The token that covers an event of this batch.
    pub fn token_of(&self, event: &Event) -> Option<&Token> {
        self.tokens.get(event.token.0 as usize)
    }

    /// When the oldest of its tokens was given out by a source, in wall time.
    pub fn emitted(&self) -> Option<Instant> {
        self.tokens.iter().map(Token::issued).min()
    }

    /// Keeps the tokens of what is in it unresolved for good: it was given up undelivered.
    pub fn withhold(&self) {
        self.tokens.iter().for_each(Token::withhold);
    }

    /// The same events without their tokens: holding them holds up no acknowledgement.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        let events = Arc::clone(&self.events);
        Self { events, watermark: self.watermark, tokens: Vec::new(), barrier: None }
    }

    /// Takes the batch apart: the events, and the tokens for [`BatchBuilder::push`].
    pub fn into_parts(self) -> (Vec<Event>, Vec<Token>) {
        (Arc::unwrap_or_clone(self.events), self.tokens)
    }

    /// Lets go of tokens that no event refers to any more; called by stages that remove events.
    #[must_use]
    pub fn pruned(self) -> Self {
        if self.barrier.is_some() || (self.tokens.len() <= 1 && !self.events.is_empty()) {
            return self;
        }
        let watermark = self.watermark;
        let (events, tokens) = self.into_parts();
        let mut builder = BatchBuilder::with_capacity(events.len());
        for event in events {
            builder.push(event, &tokens);
        }
        builder.finish(watermark)
    }

    /// Takes out the events for which `wanted` is true, as a batch of their own with their tokens.
    #[must_use]
    pub fn split_off(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Self {
        let mut taken = BatchBuilder::default();
        let mut kept = BatchBuilder::with_capacity(self.len());
        let watermark = self.watermark;
        let (events, tokens) = std::mem::replace(self, Self::progress(watermark)).into_parts();
        for event in events {
            let side = if wanted(&event) { &mut taken } else { &mut kept };
            side.push(event, &tokens);
        }
        *self = kept.finish(watermark);
        taken.finish(watermark)
    }
}

/// Gathers events of several batches into one, and with each its token.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    events: Vec<Event>,
    tokens: Vec<Token>,
}

impl BatchBuilder {
    /// An empty builder with room for this many events.
    pub fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), tokens: Vec::new() }
    }

    /// Adds an event that came from a batch with these tokens.
    pub fn push(&mut self, mut event: Event, tokens: &[Token]) {
        event.token = match tokens.get(event.token.0 as usize) {
            Some(token) => self.place_of(token),
            None => TokenIndex(u32::MAX),
        };
        self.events.push(event);
    }

    /// How many events were added.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether no event was added.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events that were added.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The batch.
    pub fn finish(self, watermark: Timestamp) -> Batch {
        Batch { events: Arc::new(self.events), watermark, tokens: self.tokens, barrier: None }
    }

    /// Events mostly come in runs of one token, so the last one is looked at first.
    fn place_of(&mut self, token: &Token) -> TokenIndex {
        let place = self.tokens.iter().rposition(|held| held.is(token)).unwrap_or_else(|| {
            self.tokens.push(token.clone());
            self.tokens.len() - 1
        });
        TokenIndex(place as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ledger, RECEIPT_CREATED, Text};
    use super::*;
    use serde_json::json;

    fn events(times: &[i64]) -> Vec<Event> {
        let event = |time: &i64| {
            Event::new(RECEIPT_CREATED, Text::from("TR"), Timestamp::from_millis(*time))
        };
        times.iter().map(event).collect()
    }

    #[test]
    fn copies_share_their_events_until_one_is_changed() {
        let one = Batch::new(events(&[1, 2]), Timestamp::MIN, None);
        let mut two = one.clone();
        assert!(std::ptr::eq(one.events(), two.events()));
        two.events_mut().pop();
        assert_eq!((one.len(), two.len()), (2, 1));
    }

    #[test]
    fn an_event_keeps_its_token_through_splitting_and_gathering() {
        let ledger = Ledger::new();
        let mut builder = BatchBuilder::default();
        for position in 0..3 {
            let token = ledger.issue(json!(position));
            let batch = Batch::new(events(&[position, 10 + position]), Timestamp::MIN, Some(token));
            let (events, tokens) = batch.into_parts();
            for event in events {
                builder.push(event, &tokens);
            }
        }
        let mut rest = builder.finish(Timestamp::MIN);
        let early = rest.split_off(|event| event.time.as_millis() < 10);
        let first = rest.split_off(|event| event.time.as_millis() == 10);
        assert_eq!((early.len(), first.len(), rest.len()), (3, 1, 2));
        drop(first);
        assert_eq!(ledger.acknowledged(), None, "`early` still holds the first token");
        drop(early);
        assert_eq!(ledger.acknowledged(), Some(json!(0)));
        drop(rest);
        assert_eq!(ledger.acknowledged(), Some(json!(2)));
    }

    #[test]
    fn a_copy_without_tokens_shares_the_events_and_holds_up_nothing() {
        let ledger = Ledger::new();
        let batch = Batch::new(events(&[1, 2]), Timestamp::MIN, Some(ledger.issue(json!("both"))));
        let kept = batch.without_tokens();
        assert!(std::ptr::eq(batch.events(), kept.events()));
        drop(batch);
        assert_eq!(ledger.acknowledged(), Some(json!("both")));
        assert!(kept.token_of(&kept.events()[1]).is_none());
    }

    #[test]
    fn removing_all_events_of_a_token_lets_it_go() {
        let ledger = Ledger::new();
        let token = ledger.issue(json!("all"));
        let mut batch = Batch::new(events(&[1]), Timestamp::MIN, Some(token));
        batch.events_mut().clear();
        let batch = batch.pruned();
        assert_eq!(ledger.acknowledged(), Some(json!("all")));
        assert!(batch.is_empty());
    }
}
