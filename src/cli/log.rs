//! The log on stderr. It shares the terminal with the progress line, which steps aside for it.

#[cfg(feature = "otlp")]
mod exported;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use indicatif::MultiProgress;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(feature = "otlp")]
pub(super) use self::exported::export;
use super::{LogFormat, OutputArguments};

/// The lines at the bottom of the terminal.
static PROGRESS: OnceLock<MultiProgress> = OnceLock::new();

/// Whether stderr is read by a machine.
static IS_JSON: OnceLock<bool> = OnceLock::new();

/// What tells of failures in stages and at receivers, in the words of a filter.
const FAILURES_OFF: &str = ",engine::dead_letter=off,engine::delivery=off";

/// Begins to log. In a test it is the test that says what failed.
pub(super) fn start(output: &OutputArguments, is_test: bool) {
    // The program starts once.
    let _ = IS_JSON.set(output.log_format == LogFormat::Json);
    // How long each span took is said only where everything is.
    let span_ends = if output.verbose > 1 { FmtSpan::CLOSE } else { FmtSpan::NONE };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(super::terminal::stderr_has_color())
        .with_span_events(span_ends)
        .with_writer(BesideProgress);
    let lines = match output.log_format {
        LogFormat::Json => lines.with_timer(SystemTime).json().flatten_event(true).boxed(),
        LogFormat::Text if io::stderr().is_terminal() => {
            lines.without_time().with_target(false).compact().boxed()
        }
        LogFormat::Text => lines.with_target(false).compact().boxed(),
    };
    let log = tracing_subscriber::registry();
    #[cfg(feature = "otlp")]
    let log = log.with(exported::place());
    log.with(lines.with_filter(filter(output, is_test))).init();
}

/// Whether stderr is read by a machine, so that all of it has to be entries of the log.
pub(super) fn is_json() -> bool {
    IS_JSON.get().is_some_and(|is_json| *is_json)
}

/// The place for progress lines, so that the log steps round them.
pub(super) fn progress() -> &'static MultiProgress {
    PROGRESS.get_or_init(MultiProgress::new)
}

/// Writes to stderr while the progress line is out of the way.
pub(super) fn beside_progress<R>(write: impl FnOnce() -> R) -> R {
    match PROGRESS.get() {
        Some(progress) => progress.suspend(write),
        None => write(),
    }
}

/// `RUST_LOG`, or as many `-v` and `-q` as there are.
fn filter(output: &OutputArguments, is_test: bool) -> EnvFilter {
    let level = match (output.quiet, output.verbose) {
        (2.., _) => LevelFilter::OFF,
        (1, _) => LevelFilter::ERROR,
        (0, 0) => LevelFilter::INFO,
        (0, 1) => LevelFilter::DEBUG,
        (0, 2..) => LevelFilter::TRACE,
    };
    let directives = std::env::var("RUST_LOG").ok().filter(|directives| !directives.is_empty());
    let chosen = directives.and_then(|directives| EnvFilter::try_new(directives).ok());
    chosen.unwrap_or_else(|| {
        let failures = if is_test && output.verbose == 0 { FAILURES_OFF } else { "" };
        EnvFilter::new(format!("engine={level}{failures}"))
    })
}

struct BesideProgress;

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        Self
    }
}

impl Write for BesideProgress {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Whoever read the log may be gone; the program goes on without saying so.
        let _ = beside_progress(|| io::stderr().lock().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
