//! Server-sent events, as they are written in the HTML standard: fields a line, an empty line after
//! each.

use std::collections::VecDeque;

use super::{Lines, RemoteError};

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Message {
    /// Its name; `message` where it has none.
    pub(in crate::cli) event: String,
    /// What it says.
    pub(in crate::cli) data: String,
}

/// Events that come one after the other.
pub(in crate::cli) struct Messages {
    lines: Lines,
    parser: Parser,
    ready: VecDeque<Message>,
}

impl Messages {
    pub(super) fn new(lines: Lines) -> Self {
        Self { lines, parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next one; none at the end.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Message>, RemoteError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            let Some(lines) = self.lines.next().await? else { return Ok(None) };
            let parser = &mut self.parser;
            self.ready.extend(
                String::from_utf8_lossy(&lines).lines().filter_map(|line| parser.push(line)),
            );
        }
    }
}

/// An event of which not all lines are there.
#[derive(Default)]
struct Parser {
    event: String,
    data: Option<String>,
}

impl Parser {
    /// Takes a line; the event that it ends, if there is one.
    fn push(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            // An event without data is none.
            let data = self.data.take()?;
            let event = if event.is_empty() { "message".to_owned() } else { event };
            return Some(Message { event, data });
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            // Comments have no name; ids and times to reconnect after are not used.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let messages = text.lines().filter_map(|line| parser.push(line));
        messages.map(|message| (message.event, message.data)).collect()
    }

    #[test]
    fn an_event_has_a_name_and_data_and_ends_with_an_empty_line() {
        let text = "event: stats\ndata: {\"a\":1}\n\n: still there\n\ndata:x\ndata: y\n\nevent: end\ndata\n\ndata: cut";
        let expected = [("stats", "{\"a\":1}"), ("message", "x\ny"), ("end", "")];
        let expected = expected.map(|(event, data)| (event.to_owned(), data.to_owned()));
        assert_eq!(messages(text), expected);
    }

    #[test]
    fn what_has_no_data_is_no_event_and_names_none_that_follows() {
        assert_eq!(messages("event: gone\nid: 7\n\ndata: a\n\n"), [("message".into(), "a".into())]);
    }
}
