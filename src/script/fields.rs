//! Fields that scripts change, with what it takes to undo the changes of a call that fails.

use crate::event::{Fields, Key, Value};

/// The changes of one call, latest last.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

enum Change {
    /// A field had this value.
    Set(Key, Value),
    /// A field was not there; it was added at the end.
    Added,
    /// Fields were taken out or replaced; these were there.
    All(Fields),
}

impl Changes {
    /// Sets a field.
    pub(super) fn set(&mut self, fields: &mut Fields, key: Key, value: Value) {
        if let Some(place) = fields.get_mut(key) {
            self.0.push(Change::Set(key, std::mem::replace(place, value)));
        } else {
            fields.push(key, value);
            self.0.push(Change::Added);
        }
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, fields: &mut Fields, key: Key) -> Option<Value> {
        fields.get(key)?;
        self.0.push(Change::All(fields.clone()));
        fields.remove(key)
    }

    /// Replaces all fields.
    pub(super) fn replace(&mut self, fields: &mut Fields, by: Fields) {
        self.0.push(Change::All(std::mem::replace(fields, by)));
    }

    /// Forgets the changes: they stay.
    pub(super) fn keep(&mut self) {
        self.0.clear();
    }

    /// Takes the changes back, the latest first.
    pub(super) fn undo(&mut self, fields: &mut Fields) {
        while let Some(change) = self.0.pop() {
            match change {
                Change::Set(key, value) => fields.set(key, value),
                Change::Added => {
                    let last = fields.iter().last().map(|(key, _)| key);
                    last.map(|key| fields.remove(key));
                }
                Change::All(all) => *fields = all,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AMOUNT, COST, TAX, TOTAL};

    #[test]
    fn undone_changes_leave_values_and_order_as_they_were() {
        let mut fields: Fields =
            [(TOTAL, Value::Int(1)), (TAX, Value::Int(2))].into_iter().collect();
        let before = fields.clone();
        let mut changes = Changes::default();
        changes.set(&mut fields, TOTAL, Value::Int(7));
        changes.set(&mut fields, AMOUNT, Value::Int(8));
        assert_eq!(changes.remove(&mut fields, TOTAL), Some(Value::Int(7)));
        changes.set(&mut fields, COST, Value::Int(9));
        changes.replace(&mut fields, Fields::new());
        changes.set(&mut fields, COST, Value::Null);
        changes.undo(&mut fields);
        assert_eq!(fields, before);
    }
}
