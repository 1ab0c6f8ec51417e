//! The `console` sink: events on stdout, as NDJSON for the next program or as aligned lines for
//! a reader.

mod pretty;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Batch, JsonWriter};
use crate::problem::Problems;
use crate::stage::{Outcome, Refusal, Sink, Stage};

pub use self::pretty::PrettyWriter;

/// Writes events to stdout.
///
/// When the reader goes away, as `head` does when it has seen enough, the run ends without an
/// error.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// How an event is written.
    pub format: ConsoleFormat,
}

/// How events look on the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleFormat {
    /// `pretty` on a terminal, `ndjson` into a pipe or a file.
    #[default]
    Auto,
    /// One envelope as JSON on each line.
    Ndjson,
    /// One aligned line for each event, with its most telling fields and the event that led to it.
    Pretty,
}

impl Settings for Console {
    const NAME: &'static str = "console";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "format: pretty\n";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        let stdout = io::stdout();
        let pretty = match self.format {
            ConsoleFormat::Auto => stdout.is_terminal(),
            ConsoleFormat::Ndjson => false,
            ConsoleFormat::Pretty => true,
        };
        let renderer = if pretty {
            let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
            Renderer::Pretty(PrettyWriter::new(colour))
        } else {
            Renderer::Ndjson(JsonWriter::new())
        };
        Ok(Stage::Sink(Box::new(ConsoleSink::new(renderer, stdout))))
    }
}

enum Renderer {
    Ndjson(JsonWriter),
    Pretty(PrettyWriter),
}

impl Renderer {
    fn render(&mut self, batch: &Batch) -> Vec<u8> {
        match self {
            Self::Ndjson(writer) => {
                for event in batch.events() {
                    writer.line(event);
                }
                writer.take()
            }
            Self::Pretty(writer) => {
                for event in batch.events() {
                    writer.line(event);
                }
                writer.take()
            }
        }
    }
}

struct ConsoleSink {
    renderer: Mutex<Renderer>,
    out: Arc<Mutex<dyn Write + Send>>,
}

impl ConsoleSink {
    fn new(renderer: Renderer, out: impl Write + Send + 'static) -> Self {
        Self { renderer: Mutex::new(renderer), out: Arc::new(Mutex::new(out)) }
    }
}

#[async_trait]
impl Sink for ConsoleSink {
    fn times_out(&self) -> bool {
        false
    }

    async fn write(&self, batch: &Batch) -> Outcome {
        if batch.is_empty() {
            return Outcome::Delivered;
        }
        let bytes = self.renderer.lock().unwrap_or_else(PoisonError::into_inner).render(batch);
        let out = self.out.clone();
        // Whoever reads the pipe may be slow; a worker that other stages need must not wait.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(&bytes)?;
            out.flush()
        });
        match written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => Outcome::Delivered,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Closed,
            Err(error) => Outcome::Refused(Refusal::permanent(
                "io",
                format!("cannot write to stdout: {error}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, RECEIPT_CREATED, Text, Timestamp};

    /// Keeps what it is given, or fails in one way.
    #[derive(Clone)]
    struct Paper(Arc<Mutex<Vec<u8>>>, Option<io::ErrorKind>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.1 {
                return Err(kind.into());
            }
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn batch(ids: &[&str]) -> Batch {
        let event =
            |id: &&str| Event::new(RECEIPT_CREATED, Text::from(*id), Timestamp::from_millis(0));
        Batch::new(ids.iter().map(event).collect(), Timestamp::MIN, None)
    }

    fn sink(fails: Option<io::ErrorKind>) -> (ConsoleSink, Arc<Mutex<Vec<u8>>>) {
        let written = Arc::default();
        let paper = Paper(Arc::clone(&written), fails);
        (ConsoleSink::new(Renderer::Ndjson(JsonWriter::new()), paper), written)
    }

    #[tokio::test]
    async fn each_event_is_one_line_of_json_in_order() {
        let (sink, written) = sink(None);
        assert_eq!(sink.write(&batch(&["TR_1", "TR_2"])).await, Outcome::Delivered);
        assert_eq!(sink.write(&batch(&["TR_3"])).await, Outcome::Delivered);
        let expected: String = batch(&["TR_1", "TR_2", "TR_3"])
            .events()
            .iter()
            .map(|event| event.to_json() + "\n")
            .collect();
        assert_eq!(String::from_utf8(written.lock().unwrap().clone()).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_run_without_an_error() {
        let (sink, _) = sink(Some(io::ErrorKind::BrokenPipe));
        assert_eq!(sink.write(&batch(&["TR_1"])).await, Outcome::Closed);
    }

    #[tokio::test]
    async fn any_other_error_is_reported() {
        let (sink, _) = sink(Some(io::ErrorKind::StorageFull));
        let Outcome::Refused(Refusal { failure, .. }) = sink.write(&batch(&["TR_1"])).await else {
            panic!()
        };
        assert!(failure.reason.starts_with("cannot write to stdout: "), "{}", failure.reason);
    }

    #[tokio::test]
    async fn a_real_pipe_without_a_reader_is_closed() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let sink = ConsoleSink::new(Renderer::Ndjson(JsonWriter::new()), writer);
        assert_eq!(sink.write(&batch(&["TR_1"])).await, Outcome::Closed);
    }
}
