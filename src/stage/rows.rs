//! The rows that an enricher looks at, and what it judges of each.

use super::StageError;
use crate::event::Event;
use crate::failure::Failure;

/// The events of a batch that an enricher is to look at: all of them, or those its `when:` lets in.
pub struct Rows<'a> {
    events: &'a mut [Event],
    selected: Option<&'a [u32]>,
    verdicts: Vec<(u32, Verdict)>,
    broken: Option<StageError>,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Keep,
    /// It is dropped on purpose, and counted as filtered.
    Drop,
    /// It could not be processed, and becomes a dead letter.
    Fail(Failure),
}

impl<'a> Rows<'a> {
    /// All events, or those at the selected places (ascending).
    pub fn new(events: &'a mut [Event], selected: Option<&'a [u32]>) -> Self {
        Self { events, selected, verdicts: Vec::new(), broken: None }
    }

    /// Judges every row.
    pub fn for_each(&mut self, mut judge: impl FnMut(&mut Event) -> Verdict) {
        for row in 0..self.len() {
            let verdict = judge(self.get_mut(row));
            self.judge(row, verdict);
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.selected.map_or(self.events.len(), <[u32]>::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row, to look at.
    pub fn get(&self, row: usize) -> &Event {
        &self.events[self.place(row)]
    }

    /// One row.
    pub fn get_mut(&mut self, row: usize) -> &mut Event {
        let place = self.place(row);
        &mut self.events[place]
    }

    /// Judges one row; rows without a verdict are kept.
    pub fn judge(&mut self, row: usize, verdict: Verdict) {
        if verdict != Verdict::Keep {
            self.verdicts.push((self.place(row) as u32, verdict));
        }
    }

    /// The enricher cannot go on at all: the run fails, and nothing of the batch is acknowledged.
    pub fn break_off(&mut self, error: StageError) {
        self.broken.get_or_insert(error);
    }

    /// Why the enricher cannot go on, if that is so.
    pub fn broken(&mut self) -> Option<StageError> {
        self.broken.take()
    }

    /// The verdicts other than [`Verdict::Keep`], by place in the batch.
    pub fn into_verdicts(self) -> Vec<(u32, Verdict)> {
        self.verdicts
    }

    fn place(&self, row: usize) -> usize {
        self.selected.map_or(row, |selected| selected[row] as usize)
    }
}
