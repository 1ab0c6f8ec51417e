//! Results for reading: a line for each test, and below it what is not as expected.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{TestResult, Tested};

/// The line of a test; what went wrong below it.
pub(super) fn result(file: &str, result: &TestResult) -> String {
    let (color, word) = if result.outcome.is_success() {
        (AnsiColor::Green, "ok")
    } else {
        (AnsiColor::Red, "FAILED")
    };
    let style = Style::new().bold().fg_color(Some(color.into()));
    let name = &result.outcome.name;
    let time = time(result.seconds);
    let mut text = format!("{style}{word:<6}{style:#} {file}: {name} ({time})\n");
    if !result.outcome.is_success() {
        text.push('\n');
        text.push_str(result.outcome.failures.render(true).trim_end());
        text.push_str("\n\n");
    }
    text
}

/// `5 tests: 4 ok, 1 failed (12 ms)`
pub(super) fn summary(all: &[Tested]) -> String {
    let tests: usize = all.iter().map(|tested| tested.results.len()).sum();
    let failed: usize = all.iter().map(Tested::failures).sum();
    let wrong = all.iter().filter(|tested| tested.problems.has_errors()).count();
    let noun = if tests == 1 { "test" } else { "tests" };
    let mut text = format!("{tests} {noun}: {} ok", tests - failed);
    if failed > 0 {
        // Writing to a string cannot fail, here and below.
        let _ = write!(text, ", {failed} failed");
    }
    if wrong > 0 {
        let noun = if wrong == 1 { "spec is" } else { "specs are" };
        let _ = write!(text, "; {wrong} {noun} wrong");
    }
    let without = all.iter().filter(|tested| !tested.has_tests).count();
    if without > 0 && all.len() > 1 {
        let noun = if without == 1 { "spec has" } else { "specs have" };
        let _ = write!(text, "; {without} {noun} no tests");
    }
    let seconds = all.iter().fold(0.0, |sum, tested| sum + tested.seconds());
    format!("{text} ({})", time(seconds))
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}
