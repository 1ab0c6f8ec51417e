//! Batches of events as plugins see them, for the length of a call.

use crate::boundary::RawBatch;
use crate::engine::Key;
use crate::outcome::Error;
use crate::value::Value;

/// What can be read of the events of a batch, by row.
macro_rules! reads {
    ($batch:ident) => {
        impl $batch<'_> {
            /// How many events there are.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// A field of an event.
            pub fn get(&self, row: usize, key: Key) -> Value<'_> {
                self.0.get(row, key.0)
            }

            /// A field that holds a text.
            pub fn str(&self, row: usize, key: Key) -> Option<&str> {
                self.get(row, key).as_str()
            }

            /// A field that holds a whole number, or an instant in milliseconds since 1970.
            pub fn i64(&self, row: usize, key: Key) -> Option<i64> {
                self.get(row, key).as_i64()
            }

            /// A field that holds a number, whole or not.
            pub fn f64(&self, row: usize, key: Key) -> Option<f64> {
                self.get(row, key).as_f64()
            }

            /// A field that holds a truth value.
            pub fn bool(&self, row: usize, key: Key) -> Option<bool> {
                self.get(row, key).as_bool()
            }

            /// An event as JSON, with its envelope.
            pub fn json(&self, row: usize) -> String {
                let mut json = Vec::new();
                self.write_json(row, &mut json);
                String::from_utf8(json).unwrap_or_default()
            }

            /// Appends an event as JSON, with its envelope.
            pub fn write_json(&self, row: usize, to: &mut Vec<u8>) {
                self.0.write_json(row, to);
            }
        }
    };
}

/// The events that an enricher looks at.
pub struct Rows<'a>(pub(crate) RawBatch<'a>);

reads!(Rows);

impl Rows<'_> {
    /// Sets a field of an event; [`Value::Absent`] takes it out. False if it cannot be set to this.
    pub fn set<'v>(&mut self, row: usize, key: Key, value: impl Into<Value<'v>>) -> bool {
        self.0.set(row, key.0, value.into())
    }

    /// Takes a field out of an event.
    pub fn remove(&mut self, row: usize, key: Key) -> bool {
        self.0.set(row, key.0, Value::Absent)
    }

    /// Drops an event on purpose: it is counted as filtered.
    pub fn drop_row(&mut self, row: usize) {
        self.0.drop_row(row);
    }

    /// The event could not be processed: it becomes a dead letter with this reason.
    pub fn fail(&mut self, row: usize, reason: &str) {
        self.0.fail_row(row, reason);
    }
}

/// The events that a correlator sees. They go on as they are.
pub struct Observed<'a>(pub(crate) RawBatch<'a>);

reads!(Observed);

impl Observed<'_> {
    /// Drops an event on purpose: it is counted as filtered.
    pub fn drop_row(&mut self, row: usize) {
        self.0.drop_row(row);
    }

    /// The event could not be processed: it becomes a dead letter with this reason.
    pub fn fail(&mut self, row: usize, reason: &str) {
        self.0.fail_row(row, reason);
    }
}

/// The events that a sink writes.
pub struct Events<'a>(pub(crate) RawBatch<'a>);

reads!(Events);

impl Events<'_> {
    /// Keeps the batch beyond the call, to be read from any thread, and be the instance gone. None if
    /// the host cannot, or this instance has kept 4096 already.
    pub fn retain(&self) -> Option<Retained> {
        self.0.retain().map(Retained)
    }
}

/// A batch that was kept; let go of when it is dropped.
pub struct Retained(crate::boundary::RetainedBatch);

impl Retained {
    /// Its events.
    pub fn events(&self) -> Events<'_> {
        Events(self.0.batch())
    }
}

/// Where a source or a correlator puts new events.
pub struct Output<'a>(pub(crate) RawBatch<'a>, pub(crate) Key);

impl Output<'_> {
    /// How many events there are so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new event of this type, without a cause; its row.
    pub fn push(&mut self, event_type: &str) -> usize {
        let row = self.0.push_row(None);
        self.0.set(row, self.1.0, event_type.into());
        row
    }

    /// A new event of this type that an observed one led to: it has its time, its links and its
    /// place as the parent. Its row.
    pub fn push_caused_by(&mut self, event_type: &str, cause: &Observed<'_>, row: usize) -> usize {
        let row = self.0.push_row(Some((&cause.0, row)));
        self.0.set(row, self.1.0, event_type.into());
        row
    }

    /// Sets a field of a new event. False if it cannot be set to this.
    pub fn set<'v>(&mut self, row: usize, key: Key, value: impl Into<Value<'v>>) -> bool {
        self.0.set(row, key.0, value.into())
    }

    /// A new event of a source, as JSON: an envelope with `event_type` and `payload`. An id and a
    /// time are given where it has none.
    pub fn push_json(&mut self, json: &str) -> Result<(), Error> {
        let refused = || Error::Rejected("not an event as JSON".to_owned());
        self.0.push_json(json).then_some(()).ok_or_else(refused)
    }

    /// A source says that nothing earlier will come (milliseconds since 1970). By default, the
    /// latest time so far is taken for that.
    pub fn watermark(&mut self, ms: i64) {
        self.0.watermark(ms);
    }
}
