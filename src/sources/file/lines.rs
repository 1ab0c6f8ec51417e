//! Bytes to lines, in one buffer that does not grow with the input.

use std::io::{self, Read};

/// How much is asked for at once.
const READ_BYTES: usize = 128 * 1024;
/// How much of a line that is too long is kept, to tell which one it was.
const HEAD_BYTES: usize = 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes lines off an input.
pub(super) struct Lines {
    input: Box<dyn Read + Send>,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were read and not yet handed out.
    start: usize,
    end: usize,
    /// How many of those are known to hold no line end.
    scanned: usize,
    at_end: bool,
    /// How many lines were handed out.
    line: u64,
    /// The byte of the unpacked input at which the next line begins.
    offset: u64,
}

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The first bytes of one that is too long.
    TooLong(Vec<u8>),
}

impl Lines {
    /// Lines of at most `max_bytes`, of an input from its beginning.
    pub(super) fn new(input: Box<dyn Read + Send>, max_bytes: usize) -> Self {
        Self::at(input, max_bytes, 0, 0)
    }

    /// The same, of an input from a place on: so many lines and bytes stand before it.
    pub(super) fn at(
        input: Box<dyn Read + Send>,
        max_bytes: usize,
        line: u64,
        offset: u64,
    ) -> Self {
        let buffer = vec![0; READ_BYTES];
        Self { input, max_bytes, buffer, start: 0, end: 0, scanned: 0, at_end: false, line, offset }
    }

    /// The number of the line that was handed out last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.line
    }

    /// The byte of the unpacked input at which the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a whole line is in the buffer, so that the next one is there without waiting.
    pub(super) fn has_line(&self) -> bool {
        memchr::memchr(b'\n', &self.buffer[self.start + self.scanned..self.end]).is_some()
    }

    /// The next line; none at the end of the input.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            if let Some(found) = memchr::memchr(b'\n', &rest[self.scanned..]) {
                let length = self.scanned + found;
                return Ok(Some(self.hand_out(length, length + 1)));
            }
            self.scanned = rest.len();
            if self.at_end {
                let length = rest.len();
                return Ok((length > 0).then(|| self.hand_out(length, length)));
            }
            // One more byte may be the `\r` of the line's end.
            if rest.len() > self.max_bytes + 1 {
                return self.skip_long_line().map(Some);
            }
            self.fill()?;
        }
    }

    /// Hands out the first `length` bytes and steps over `taken`.
    fn hand_out(&mut self, length: usize, taken: usize) -> Line<'_> {
        let mut line = self.start..self.start + length;
        if self.line == 0 && self.buffer[line.clone()].starts_with(BYTE_ORDER_MARK) {
            line.start += BYTE_ORDER_MARK.len();
        }
        if self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        self.step_over(taken);
        self.line += 1;
        if line.len() > self.max_bytes {
            line.end = line.start + self.max_bytes.min(HEAD_BYTES);
            return Line::TooLong(self.buffer[line].to_vec());
        }
        Line::Whole(&self.buffer[line])
    }

    fn skip_long_line(&mut self) -> io::Result<Line<'_>> {
        let rest = &self.buffer[self.start..self.end];
        let head = rest[..rest.len().min(self.max_bytes).min(HEAD_BYTES)].to_vec();
        self.line += 1;
        loop {
            let rest = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memchr(b'\n', rest) {
                self.step_over(length + 1);
                return Ok(Line::TooLong(head));
            }
            let length = rest.len();
            self.step_over(length);
            if self.at_end {
                return Ok(Line::TooLong(head));
            }
            self.fill()?;
        }
    }

    fn step_over(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        self.scanned = 0;
    }

    /// Reads more behind what is there; the buffer grows only while a single line fills it.
    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.at_end = read == 0;
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives a few bytes at a time, as a pipe does.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn lines(bytes: &[u8], step: usize, max_bytes: usize) -> Vec<Result<Vec<u8>, Vec<u8>>> {
        let mut lines = Lines::new(Box::new(Trickle(bytes.to_vec(), step)), max_bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(match line {
                Line::Whole(line) => Ok(line.to_vec()),
                Line::TooLong(head) => Err(head),
            });
        }
        assert_eq!(lines.number(), all.len() as u64);
        assert_eq!(lines.offset(), bytes.len() as u64);
        all
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_arrive(
            text in "([a-c]{0,9}(\r?\n)?){0,12}",
            step in 1_usize..20,
            max_bytes in 2_usize..8,
        ) {
            let expected: Vec<_> = text
                .split_inclusive('\n')
                .map(|line| line.strip_suffix('\n').unwrap_or(line))
                .map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes().to_vec())
                .map(|line| {
                    if line.len() <= max_bytes { Ok(line) } else { Err(line[..max_bytes].to_vec()) }
                })
                .collect();
            prop_assert_eq!(lines(text.as_bytes(), step, max_bytes), expected);
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_first_line() {
        let got = lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb", 1, 10);
        assert_eq!(got, [Ok(b"a".to_vec()), Ok(b"\xef\xbb\xbfb".to_vec())]);
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_one_that_is_allowed() {
        let endless = io::repeat(b'x').take(50_000_000).chain(&b"\nnext\n"[..]);
        let mut lines = Lines::new(Box::new(endless), 1000);
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong(vec![b'x'; 1000])));
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"next")));
        assert_eq!(lines.number(), 2);
        assert_eq!(lines.buffer.len(), READ_BYTES);
    }

    #[test]
    fn a_line_larger_than_the_buffer_is_read_whole() {
        let mut text = vec![b'x'; 3 * READ_BYTES];
        text.push(b'\n');
        assert_eq!(lines(&text, 10_000, 4 * READ_BYTES), [Ok(vec![b'x'; 3 * READ_BYTES])]);
    }
}
