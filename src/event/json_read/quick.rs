//! The reader that takes most lines: one pass over the text, straight into our values.
//!
//! It knows no errors. Whatever it does not take, a line that is no JSON above all, it leaves to
//! the precise reader, which begins anew; so it may be narrow, and must only never take what that
//! one refuses, nor read anything else from it. Strings with escapes and unusual numbers it
//! has read by jiter one by one, for whole inputs may be full of them.
//!
//! Functions take the place where they read, and return the one where they end.

use super::order::Orders;
use super::{
    DEPTH_MAX, ENVELOPE, Envelope, JsonReader, Names, Part, Times, place_of, precise, text_of,
};
use crate::event::escape::is_plain;
use crate::event::{Fields, Key, Text, Value};

/// Up to this many digits fit a number of 64 bits with sign.
const DIGITS_MAX: usize = 18;
/// Up to this one every whole number is a float.
const EXACT_MAX: u64 = 1 << 53;
/// The powers of ten up to the digits of a number, all of which are floats.
const POWERS: [f64; DIGITS_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

/// A line that is read, and what the reader remembers.
pub(super) struct Quick<'a> {
    text: &'a str,
    /// Whether there is neither an escape in it nor a control character.
    is_plain: bool,
    names: &'a mut Names,
    orders: &'a mut Orders,
    times: &'a mut Times,
}

impl<'a> Quick<'a> {
    /// None where the line is no text.
    pub(super) fn new(line: &'a [u8], reader: &'a mut JsonReader) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let JsonReader { names, orders, times } = reader;
        // Without a way out of the loop, many bytes are looked at in one step.
        let unusual = line
            .iter()
            .fold(0, |any, byte| any | u8::from(*byte < b' ') | u8::from(*byte == b'\\'));
        Some(Self { text, is_plain: unusual == 0, names, orders, times })
    }

    /// The line as an envelope; none where it is not taken.
    pub(super) fn event(mut self, envelope: &mut Envelope) -> Option<()> {
        self.orders.expect_any();
        let start = self.skip_space(0);
        let (mut at, mut is_last) = self.open(self.one(start, b'{')?, b'}');
        let mut next = 0;
        while !is_last {
            let place;
            (place, at) = self.envelope_key(at, next)?;
            at = self.envelope_value(at, ENVELOPE[place].1, envelope)?;
            (at, is_last) = self.step(at, b'}')?;
            next = place + 1;
        }
        self.is_end(at).then_some(())
    }

    /// The line as any object.
    pub(super) fn object(mut self) -> Option<Fields> {
        self.orders.expect_any();
        let start = self.skip_space(0);
        let (fields, at) = self.fields(self.one(start, b'{')?, 0)?;
        self.is_end(at).then_some(fields)
    }

    /// Which key of the envelope stands here: most often the next one.
    #[inline]
    fn envelope_key(&mut self, at: usize, next: usize) -> Option<(usize, usize)> {
        if let Some(end) = ENVELOPE.get(next).and_then(|(key, _)| self.end_of_name(at, *key)) {
            return Some((next, self.skip_space(end)));
        }
        let (key, at) = self.name(at)?;
        Some((place_of(key)?, at))
    }

    #[inline]
    fn envelope_value(&mut self, at: usize, part: Part, envelope: &mut Envelope) -> Option<usize> {
        match part {
            Part::Payload => {
                let (fields, end) = self.fields(self.one(at, b'{')?, 0)?;
                envelope.set_payload(fields);
                Some(end)
            }
            Part::EventType => {
                let (text, end) = self.plain_string(self.one(at, b'"')?)?;
                envelope.set_type(self.orders.expect(text, self.names)?);
                Some(end)
            }
            Part::Time => {
                let (text, end) = self.plain_string(self.one(at, b'"')?)?;
                envelope.set_time(self.times.read(text).ok()?);
                Some(end)
            }
            part => {
                let (text, end) = match self.byte(at)? {
                    b'n' => (None, self.word(at, *b"null")?),
                    _ => self.string(self.one(at, b'"')?).map(|(text, end)| (Some(text), end))?,
                };
                envelope.set_text(part, text);
                Some(end)
            }
        }
    }

    /// The object that begins before this place.
    fn fields(&mut self, at: usize, depth: usize) -> Option<(Fields, usize)> {
        let (mut at, mut is_last) = self.open(at, b'}');
        let mut fields = match (depth, is_last) {
            (_, true) => Fields::new(),
            (0, _) => Fields::with_capacity(self.orders.room()),
            _ => Fields::with_capacity(4),
        };
        while !is_last {
            let index = fields.len();
            let expected = self.orders.expected(depth, index);
            let end = expected.and_then(|key| Some((key, self.end_of_name(at, key)?)));
            at = if let Some((key, end)) = end {
                self.orders.go_on();
                self.value(self.skip_space(end), depth + 1, |value| fields.push(key, value))?
            } else {
                self.unexpected(at, depth, &mut fields)?
            };
            (at, is_last) = self.step(at, b'}')?;
        }
        Some((fields, at))
    }

    /// A field with any name.
    #[inline(never)]
    fn unexpected(&mut self, at: usize, depth: usize, fields: &mut Fields) -> Option<usize> {
        let (key, at) = self.name(at)?;
        if fields.get(key).is_none() {
            self.orders.learn(key, depth, fields.len());
        }
        self.value(at, depth + 1, |value| fields.set(key, value))
    }

    fn list(&mut self, at: usize, depth: usize) -> Option<(Value, usize)> {
        let (mut at, mut is_last) = self.open(at, b']');
        let mut values = Vec::new();
        while !is_last {
            at = self.value(at, depth + 1, |value| values.push(value))?;
            (at, is_last) = self.step(at, b']')?;
        }
        Some((Value::List(Box::new(values)), at))
    }

    #[inline(never)]
    fn map(&mut self, at: usize, depth: usize) -> Option<(Value, usize)> {
        let (fields, end) = self.fields(at, depth)?;
        Some((Value::Map(Box::new(fields)), end))
    }

    /// Any value, which is put where it belongs as it is made: on the way it would be written in
    /// parts and read as a whole, which processors wait for.
    #[expect(clippy::inline_always, reason = "the value is made where the fields are")]
    #[inline(always)]
    fn value(&mut self, at: usize, depth: usize, put: impl FnOnce(Value)) -> Option<usize> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (value, end) = match self.byte(at)? {
            b'"' => {
                let (text, end) = self.string(at + 1)?;
                put(Value::Text(text));
                return Some(end);
            }
            b'n' => {
                put(Value::Null);
                return self.word(at, *b"null");
            }
            b't' => (Value::Bool(true), self.word(at, *b"true")?),
            b'f' => (Value::Bool(false), self.word(at, *b"false")?),
            b'[' => self.list(at + 1, depth)?,
            b'{' => self.map(at + 1, depth)?,
            _ => return self.number(at, put),
        };
        put(value);
        Some(end)
    }

    /// Where the colon of a field ends, if the field has this name.
    #[inline]
    fn end_of_name(&self, at: usize, key: Key) -> Option<usize> {
        // A piece begins with a comma; here that may be a brace.
        let start = at.checked_sub(1)?;
        let rest = &self.text.as_bytes()[start..];
        let (is_here, length) = match (&key.0.piece, rest.first_chunk()) {
            (Some(piece), Some(chunk)) => (piece.begins_but_for_first(chunk), piece.len()),
            _ => (rest[1..].starts_with(key.encoded().as_bytes()), 1 + key.encoded().len()),
        };
        is_here.then_some(start + length)
    }

    /// Any name, and where the value behind it begins.
    #[inline(never)]
    fn name(&mut self, at: usize) -> Option<(Key, usize)> {
        let (name, end) = self.plain_string(self.one(at, b'"')?)?;
        let key = self.names.key(name).ok()?;
        let colon = self.one(self.skip_space(end), b':')?;
        Some((key, self.skip_space(colon)))
    }

    /// The text of a string, from behind its first quote.
    #[inline]
    fn string(&self, at: usize) -> Option<(Text, usize)> {
        match self.plain_string(at) {
            Some((text, end)) => Some((text_of(text), end)),
            None => self.escaped_string(at),
        }
    }

    #[cold]
    fn escaped_string(&self, at: usize) -> Option<(Text, usize)> {
        let start = at - 1;
        let (text, length) = precise::string(&self.text.as_bytes()[start..])?;
        Some((text, start + length))
    }

    /// The same, of a string without escapes.
    #[inline]
    fn plain_string(&self, at: usize) -> Option<(&'a str, usize)> {
        let length = memchr::memchr(b'"', self.text.as_bytes().get(at..)?)?;
        let text = self.text.get(at..at + length)?;
        (self.is_plain || is_plain(text.as_bytes())).then_some((text, at + length + 1))
    }

    /// A number of few digits, with a point or without: the quotient of two exact floats is the
    /// float that is nearest to it (Clinger 1990, "How to read floating point numbers accurately").
    #[inline]
    fn number(&self, at: usize, put: impl FnOnce(Value)) -> Option<usize> {
        let is_negative = self.byte(at)? == b'-';
        let start = at + usize::from(is_negative);
        let (whole, mut end) = self.digits(start, 0);
        let (digits, mut number, mut decimals) = (end - start, whole, 0);
        if self.byte(end)? == b'.' {
            let point = end;
            (number, end) = self.digits(point + 1, whole);
            decimals = end - point - 1;
            if decimals == 0 || number > EXACT_MAX {
                return self.unusual_number(at, put);
            }
        }
        let is_unusual = digits == 0
            || digits + decimals > DIGITS_MAX
            || digits > 1 && self.byte(start)? == b'0'
            || matches!(self.byte(end)?, b'e' | b'E');
        if is_unusual {
            return self.unusual_number(at, put);
        }
        let sign = if is_negative { -1 } else { 1 };
        if decimals > 0 {
            put(Value::Float(f64::from(sign) * (number as f64 / POWERS[decimals])));
        } else {
            put(Value::Int(i64::from(sign) * number as i64));
        }
        Some(end)
    }

    /// A number with the digits that come here; too many of them make it meaningless.
    #[inline]
    fn digits(&self, mut at: usize, mut number: u64) -> (u64, usize) {
        while let Some(byte) = self.byte(at)
            && byte.is_ascii_digit()
        {
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            at += 1;
        }
        (number, at)
    }

    #[cold]
    fn unusual_number(&self, at: usize, put: impl FnOnce(Value)) -> Option<usize> {
        let (number, length) = precise::number(&self.text.as_bytes()[at..])?;
        put(number);
        Some(at + length)
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Steps over this very byte.
    #[inline]
    fn one(&self, at: usize, byte: u8) -> Option<usize> {
        (self.byte(at)? == byte).then_some(at + 1)
    }

    /// Steps over this very word.
    #[inline]
    fn word<const N: usize>(&self, at: usize, word: [u8; N]) -> Option<usize> {
        (*self.text.as_bytes().get(at..)?.first_chunk()? == word).then_some(at + N)
    }

    /// Steps into an object or a list; says whether it is empty, and then steps out.
    #[inline]
    fn open(&self, at: usize, end: u8) -> (usize, bool) {
        let at = self.skip_space(at);
        let is_empty = self.byte(at) == Some(end);
        (at + usize::from(is_empty), is_empty)
    }

    /// Steps to the next field or value; says whether there is none, and then steps out.
    #[inline]
    fn step(&self, at: usize, end: u8) -> Option<(usize, bool)> {
        let at = self.skip_space(at);
        match self.byte(at)? {
            b',' => Some((self.skip_space(at + 1), false)),
            byte if byte == end => Some((at + 1, true)),
            _ => None,
        }
    }

    #[inline]
    fn skip_space(&self, at: usize) -> usize {
        match self.byte(at) {
            Some(b' ' | b'\t' | b'\r' | b'\n') => self.skip_more_space(at + 1),
            _ => at,
        }
    }

    fn skip_more_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            at += 1;
        }
        at
    }

    fn is_end(&self, at: usize) -> bool {
        self.skip_space(at) == self.text.len()
    }
}
