//! Performatives with all their fields. The Python client takes fields by their place without asking
//! how many there are, and puts no defaults for nulls; the AMQP library leaves trailing nulls out.

/// Codes of performatives and of what is within them.
const OPEN: u8 = 0x10;
const BEGIN: u8 = 0x11;
const ATTACH: u8 = 0x12;

/// The field of an attach that says how large messages may be.
const MAX_MESSAGE_SIZE: usize = 10;

const NULL: u8 = 0x40;

/// How many fields a composite type has.
fn fields_of(code: u8) -> Option<usize> {
    Some(match code {
        OPEN => 10,
        BEGIN => 8,
        ATTACH => 14,
        // flow, transfer, source
        0x13 | 0x14 | 0x28 => 11,
        // disposition
        0x15 => 6,
        // detach, error, modified
        0x16 | 0x1d | 0x27 => 3,
        // end, close, rejected, SASL mechanisms
        0x17 | 0x18 | 0x25 | 0x40 => 1,
        // SASL outcome
        0x44 => 2,
        // target
        0x29 => 7,
        _ => return None,
    })
}

/// What stands for a field that is null.
fn default_of(code: u8, field: usize) -> &'static [u8] {
    match (code, field) {
        // The largest frame; the window of handles.
        (OPEN, 2) | (BEGIN, 4) => &[0x70, 0xff, 0xff, 0xff, 0xff],
        // The last channel.
        (OPEN, 3) => &[0x60, 0xff, 0xff],
        // The settle modes: mixed, first.
        (ATTACH, 3) => &[0x50, 2],
        (ATTACH, 4) => &[0x50, 0],
        _ => &[NULL],
    }
}

/// The composite that these bytes begin with, with all its fields, and how many bytes it had before.
/// An attach as receiver says how large a message may be. None where nothing has to be completed.
pub(crate) fn complete(bytes: &[u8], message_bytes_max: u64) -> Option<(Vec<u8>, usize)> {
    let (code, count, start) = composite(bytes)?;
    let wanted = fields_of(code)?.max(count);
    let mut fields = Vec::new();
    let mut at = start;
    let mut is_receiver = false;
    for field in 0..wanted {
        let value = if field < count {
            let length = length_of(bytes.get(at..)?)?;
            let value = bytes.get(at..at + length)?;
            at += length;
            value
        } else {
            &[NULL]
        };
        if (code, field) == (ATTACH, 2) {
            is_receiver = value == [0x41] || value == [0x56, 1];
        }
        if value != [NULL] {
            match complete(value, 0) {
                Some((value, _)) => fields.extend_from_slice(&value),
                None => fields.extend_from_slice(value),
            }
        } else if (code, field) == (ATTACH, MAX_MESSAGE_SIZE)
            && is_receiver
            && message_bytes_max > 0
        {
            fields.push(0x80);
            fields.extend_from_slice(&message_bytes_max.to_be_bytes());
        } else {
            fields.extend_from_slice(default_of(code, field));
        }
    }
    let mut whole = vec![0x00, 0x53, code, 0xd0];
    whole.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    whole.extend_from_slice(&(wanted as u32).to_be_bytes());
    whole.extend_from_slice(&fields);
    Some((whole, at))
}

/// The code of a composite, how many fields it has, and where the first begins.
fn composite(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let &[0x00, 0x53, code, list, ..] = bytes else { return None };
    match list {
        0x45 => Some((code, 0, 4)),
        0xc0 => Some((code, usize::from(*bytes.get(5)?), 6)),
        0xd0 => Some((code, word(bytes, 8)?, 12)),
        _ => None,
    }
}

/// How many bytes the value has that these begin with.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let code = *bytes.first()?;
    if code == 0 {
        let descriptor = 1 + length_of(bytes.get(1..)?)?;
        return Some(descriptor + length_of(bytes.get(descriptor..)?)?);
    }
    Some(match code >> 4 {
        0x4 => 1,
        0x5 => 2,
        0x6 => 3,
        0x7 => 5,
        0x8 => 9,
        0x9 => 17,
        // Variable, compound and array with a length of one byte.
        0xa | 0xc | 0xe => 2 + usize::from(*bytes.get(1)?),
        _ => 5 + word(bytes, 1)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]) as usize)
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp_types::definitions::{Handle, ReceiverSettleMode, Role, SenderSettleMode};
    use fe2o3_amqp_types::messaging::{Source, Target};
    use fe2o3_amqp_types::performatives::{Attach, Begin, Detach};
    use serde_amqp::{Value, from_slice, to_vec};

    use super::complete;

    /// The fields of a described list.
    fn fields(bytes: &[u8]) -> Vec<Value> {
        let Value::Described(described) = from_slice(bytes).unwrap() else {
            panic!("no composite")
        };
        let Value::List(fields) = described.value else { panic!("no list") };
        fields
    }

    fn attach(role: Role) -> Attach {
        Attach {
            name: "link".into(),
            handle: Handle(3),
            role,
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            source: Some(Box::new(Source::builder().address("from").build())),
            target: Some(Box::new(Target::builder().address("to").build().into())),
            unsettled: None,
            incomplete_unsettled: false,
            initial_delivery_count: None,
            max_message_size: None,
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        }
    }

    #[test]
    fn attach_gets_all_its_fields_and_those_of_its_termini() {
        let bytes = to_vec(&attach(Role::Receiver)).unwrap();
        let (whole, length) = complete(&bytes, 1_048_576).unwrap();
        assert_eq!(length, bytes.len());
        let fields = fields(&whole);
        assert_eq!(fields.len(), 14);
        assert_eq!(fields[3], Value::Ubyte(2));
        assert_eq!(fields[10], Value::Ulong(1_048_576));
        let Value::Described(source) = &fields[5] else { panic!("no source") };
        assert!(matches!(&source.value, Value::List(fields) if fields.len() == 11));
        let Value::Described(target) = &fields[6] else { panic!("no target") };
        assert!(matches!(&target.value, Value::List(fields) if fields.len() == 7));
    }

    #[test]
    fn completed_attach_means_what_it_meant() {
        let sent = attach(Role::Sender);
        let (whole, _) = complete(&to_vec(&sent).unwrap(), 1_048_576).unwrap();
        assert_eq!(format!("{:?}", from_slice::<Attach>(&whole).unwrap()), format!("{sent:?}"));
    }

    #[test]
    fn what_follows_a_performative_is_not_touched() {
        let mut bytes = to_vec(&Detach { handle: Handle(1), closed: true, error: None }).unwrap();
        let length = bytes.len();
        bytes.extend_from_slice(b"payload");
        let (whole, old) = complete(&bytes, 0).unwrap();
        assert_eq!(old, length);
        assert_eq!(fields(&whole).len(), 3);
    }

    #[test]
    fn nulls_with_defaults_are_written_as_these() {
        let begin = Begin {
            remote_channel: None,
            next_outgoing_id: 0,
            incoming_window: 5,
            outgoing_window: 5,
            handle_max: Handle(u32::MAX),
            offered_capabilities: None,
            desired_capabilities: None,
            properties: None,
        };
        let (whole, _) = complete(&to_vec(&begin).unwrap(), 0).unwrap();
        assert_eq!(fields(&whole)[4], Value::Uint(u32::MAX));
    }

    #[test]
    fn anything_else_is_left_alone() {
        assert_eq!(complete(&[], 0), None);
        assert_eq!(complete(&[0x00, 0x53, 0x75, 0xa0, 1, 0], 0), None);
        assert_eq!(complete(&[0x00, 0x53, 0x12, 0xd0, 0, 0], 0), None);
    }
}
