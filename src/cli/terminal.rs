//! What is said, and where: data to stdout, everything else to stderr. A stream whose reader is
//! gone is no error.

use std::io::{ErrorKind, Write};

use anstream::{AutoStream, ColorChoice};
use engine::problem::{Place, Problem, Problems, Severity};

use super::{Color, CommandError, CommandResult, Exit, log};

/// Settles for the whole program when colours are used.
pub(super) fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether stderr shows colours.
pub(super) fn stderr_has_color() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Writes data to stdout, with a newline at its end. That is all that most commands do.
pub(super) fn data(text: &str) -> CommandResult {
    let mut stdout = anstream::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{end}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let problem = Problem::error(format!("cannot write to stdout: {error}"));
            Err(CommandError::Failed(problem.into()))
        }
        _ => Ok(Exit::Done),
    }
}

/// Writes a message to stderr, beside the progress line.
pub(super) fn note(text: &str) {
    log::beside_progress(|| {
        let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end_matches('\n'));
    });
}

/// Shows problems on stderr.
pub(super) fn report(problems: &Problems) {
    if log::is_json() {
        problems.0.iter().for_each(log_problem);
        return;
    }
    note(&problems.render(stderr_has_color()));
}

fn log_problem(problem: &Problem) {
    let place = problem.place.as_ref().map(Place::display);
    let help = problem.help.as_deref();
    match problem.severity {
        Severity::Error => tracing::error!(place, help, "{}", problem.message),
        Severity::Warning => tracing::warn!(place, help, "{}", problem.message),
    }
}
