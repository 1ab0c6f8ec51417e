//! Where a receiver starts: the filter that clients attach with.

use crate::store::Record;

/// Which records come first to a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    /// What comes from now on.
    Latest,
    At {
        field: Field,
        value: i64,
        inclusive: bool,
    },
}

/// What the filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Offset,
    Sequence,
    /// Milliseconds since 1970.
    Enqueued,
}

impl Start {
    /// Reads `amqp.annotation.x-opt-offset > '@latest'` and its like.
    pub(crate) fn read(filter: &str) -> Result<Self, String> {
        let wrong = || format!("the filter `{filter}` cannot be read");
        let (field, condition) = filter.split_once('>').ok_or_else(wrong)?;
        let (inclusive, value) = match condition.strip_prefix('=') {
            Some(value) => (true, value),
            None => (false, condition),
        };
        let field = match field.trim().strip_prefix("amqp.annotation.").ok_or_else(wrong)? {
            "x-opt-offset" => Field::Offset,
            "x-opt-sequence-number" => Field::Sequence,
            "x-opt-enqueued-time" => Field::Enqueued,
            _ => return Err(wrong()),
        };
        let value = value.trim();
        let value =
            value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
        match (field, value) {
            (Field::Offset | Field::Sequence, "@latest") => Ok(Start::Latest),
            (Field::Offset, "-1") => Ok(Start::Earliest),
            _ => {
                let value = value.parse().map_err(|_| wrong())?;
                Ok(Start::At { field, value, inclusive })
            }
        }
    }

    /// The index of the first record that is wanted.
    pub(crate) fn index(self, records: &[Record]) -> usize {
        match self {
            Start::Earliest => 0,
            Start::Latest => records.len(),
            Start::At { field, value, inclusive } => records
                .iter()
                .position(|record| {
                    let of_record = field.of(record);
                    of_record > value || inclusive && of_record == value
                })
                .unwrap_or(records.len()),
        }
    }
}

impl Field {
    fn of(self, record: &Record) -> i64 {
        match self {
            Field::Offset => record.offset,
            Field::Sequence => record.sequence,
            Field::Enqueued => record.enqueued_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Start};
    use crate::event::NewEvent;
    use crate::store::Record;

    fn records() -> Vec<Record> {
        let record = |sequence: i64| Record {
            sequence,
            offset: sequence * 100,
            enqueued_ms: 5_000 + sequence / 2 * 10,
            message: NewEvent::new("x").into_message(),
        };
        (0..6).map(record).collect()
    }

    fn first(filter: &str) -> usize {
        Start::read(filter).unwrap().index(&records())
    }

    #[test]
    fn offsets_are_compared_as_numbers() {
        assert_eq!(first("amqp.annotation.x-opt-offset > '-1'"), 0);
        assert_eq!(first("amqp.annotation.x-opt-offset > '200'"), 3);
        assert_eq!(first("amqp.annotation.x-opt-offset >= '200'"), 2);
        assert_eq!(first("amqp.annotation.x-opt-offset > '99'"), 1);
        assert_eq!(first("amqp.annotation.x-opt-offset > '@latest'"), 6);
    }

    #[test]
    fn sequences_and_times_start_at_or_behind_their_value() {
        assert_eq!(first("amqp.annotation.x-opt-sequence-number > '2'"), 3);
        assert_eq!(first("amqp.annotation.x-opt-sequence-number >= '2'"), 2);
        assert_eq!(first("amqp.annotation.x-opt-enqueued-time > '5010'"), 4);
        assert_eq!(first("amqp.annotation.x-opt-enqueued-time >= '5010'"), 2);
        assert_eq!(first("amqp.annotation.x-opt-enqueued-time > '9000'"), 6);
    }

    #[test]
    fn value_may_stand_without_quotes_and_spaces() {
        let at = Start::At { field: Field::Sequence, value: 7, inclusive: true };
        assert_eq!(Start::read("amqp.annotation.x-opt-sequence-number>=7"), Ok(at));
    }

    #[test]
    fn filter_of_any_other_form_is_refused() {
        for filter in [
            "",
            "x-opt-offset > '1'",
            "amqp.annotation.x-opt-offset < '1'",
            "amqp.annotation.x-opt-publisher > '1'",
            "amqp.annotation.x-opt-offset > 'one'",
            "amqp.annotation.x-opt-enqueued-time > '@latest'",
        ] {
            assert!(Start::read(filter).is_err(), "{filter}");
        }
    }
}
