//! Changes of fields and of events, with what it takes to undo those of a call that fails.

use super::{EnvelopeError, EnvelopeKey, Event, Fields, Key, Timestamp, Value};

/// One change of fields: what was there before.
#[derive(Debug)]
pub(super) enum FieldChange {
    /// A field had this value.
    Set(Key, Value),
    /// A field was not there; it was added at the end.
    Added,
    /// A field was taken out of this place.
    Removed(usize, Key, Value),
    /// Fields were replaced; these were there.
    All(Fields),
}

impl FieldChange {
    /// Sets a field.
    pub(super) fn set(fields: &mut Fields, key: Key, value: Value) -> Self {
        if let Some(place) = fields.get_mut(key) {
            return Self::Set(key, std::mem::replace(place, value));
        }
        fields.push(key, value);
        Self::Added
    }

    /// Takes a field out, if it is there.
    pub(super) fn remove(fields: &mut Fields, key: Key) -> Option<Self> {
        fields.take_out(key).map(|(place, value)| Self::Removed(place, key, value))
    }

    /// Takes the change back: it is the latest of these fields.
    pub(super) fn undo(self, fields: &mut Fields) {
        match self {
            Self::Set(key, value) => fields.set(key, value),
            Self::Added => {
                let last = fields.iter().last().map(|(key, _)| key);
                last.map(|key| fields.remove(key));
            }
            Self::Removed(place, key, value) => fields.put_back(place, key, value),
            Self::All(all) => *fields = all,
        }
    }
}

/// What one call changes of fields, latest last.
#[derive(Debug, Default)]
pub struct FieldChanges(Vec<FieldChange>);

impl FieldChanges {
    /// Sets a field.
    pub fn set(&mut self, fields: &mut Fields, key: Key, value: Value) {
        self.0.push(FieldChange::set(fields, key, value));
    }

    /// Takes a field out.
    pub fn remove(&mut self, fields: &mut Fields, key: Key) -> Option<Value> {
        let change = FieldChange::remove(fields, key)?;
        let value = match &change {
            FieldChange::Removed(_, _, value) => Some(value.clone()),
            _ => None,
        };
        self.0.push(change);
        value
    }

    /// Replaces all fields.
    pub fn replace(&mut self, fields: &mut Fields, by: Fields) {
        self.0.push(FieldChange::All(std::mem::replace(fields, by)));
    }

    /// Forgets the changes: they stay.
    pub fn keep(&mut self) {
        self.0.clear();
    }

    /// Takes the changes back, the latest first.
    pub fn undo(&mut self, fields: &mut Fields) {
        while let Some(change) = self.0.pop() {
            change.undo(fields);
        }
    }
}

/// What one call changes of its event, latest last.
#[derive(Debug, Default)]
pub struct EventChanges {
    payload: FieldChanges,
    /// The envelope's keys before the call set them.
    envelope: Vec<(EnvelopeKey, Value)>,
}

impl EventChanges {
    /// Sets a field of the payload, unless it reads like that already.
    pub fn set(&mut self, event: &mut Event, key: Key, value: Value) {
        if event.payload.get(key).is_some_and(|field| field.reads_like(&value)) {
            return;
        }
        self.payload.set(&mut event.payload, key, value);
    }

    /// Takes a field out of the payload.
    pub fn remove(&mut self, event: &mut Event, key: Key) -> Option<Value> {
        self.payload.remove(&mut event.payload, key)
    }

    /// Replaces the payload.
    pub fn replace(&mut self, event: &mut Event, payload: Fields) {
        self.payload.replace(&mut event.payload, payload);
    }

    /// Sets a key of the envelope.
    pub fn set_envelope(
        &mut self,
        event: &mut Event,
        key: EnvelopeKey,
        value: Value,
    ) -> Result<(), EnvelopeError> {
        let before = event.set_envelope(key, value)?;
        self.envelope.push((key, before));
        Ok(())
    }

    /// Sets event time.
    pub fn set_time(&mut self, event: &mut Event, time: Timestamp) {
        let before = std::mem::replace(&mut event.time, time);
        self.envelope.push((EnvelopeKey::IngestTimestamp, before.into()));
    }

    /// Forgets the changes: they stay.
    pub fn keep(&mut self) {
        self.payload.keep();
        self.envelope.clear();
    }

    /// Takes the changes back, the latest first.
    pub fn undo(&mut self, event: &mut Event) {
        self.payload.undo(&mut event.payload);
        while let Some((key, before)) = self.envelope.pop() {
            // What a key held, it can hold again.
            let _ = event.set_envelope(key, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AMOUNT, COST, TAX, TOTAL};
    use super::*;

    #[test]
    fn undone_changes_leave_values_and_order_as_they_were() {
        let mut fields: Fields =
            [(TOTAL, Value::Int(1)), (TAX, Value::Int(2))].into_iter().collect();
        let before = fields.clone();
        let mut changes = FieldChanges::default();
        changes.set(&mut fields, TOTAL, Value::Int(7));
        changes.set(&mut fields, AMOUNT, Value::Int(8));
        assert_eq!(changes.remove(&mut fields, TOTAL), Some(Value::Int(7)));
        assert_eq!(changes.remove(&mut fields, TOTAL), None);
        changes.set(&mut fields, COST, Value::Int(9));
        changes.replace(&mut fields, Fields::new());
        changes.set(&mut fields, COST, Value::Null);
        changes.undo(&mut fields);
        assert_eq!(fields, before);
    }
}
