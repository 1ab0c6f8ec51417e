//! Figures and texts as they are shown: short, and without anything that moves a cursor.

use std::time::Duration;

use crate::cli::run::{number, span};

/// From how much on a count is shown in millions.
const MILLIONS: f64 = 10e6;

/// `0.3`, `12`, `4 960`, `12.4 M`
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate.is_nan() || rate <= 0.0 => "0".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate if rate < MILLIONS => number(rate.round() as u64),
        rate => format!("{:.1} M", rate / 1e6),
    }
}

/// `714`, `21 204`, `12.4 M`
pub(super) fn count(count: u64) -> String {
    if (count as f64) < MILLIONS { number(count) } else { rate(count as f64) }
}

/// `0.4 ms`, `12 ms`, `1.2 s`; `-` where there is none.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    if (0.0..0.00995).contains(&seconds) {
        return format!("{:.1} ms", 1000.0 * seconds);
    }
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "-".to_owned(), span)
}

/// `1.2 MB`
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

/// A bar, as full as a share of 1; what is not empty shows something.
pub(super) fn bar(share: f64, width: usize) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let full = (share * width as f64).round() as usize;
    let full = if share > 0.0 { full.max(1).min(width) } else { 0 };
    format!("{}{}", "\u{2588}".repeat(full), "\u{2591}".repeat(width - full))
}

/// Heights of a chart that has so many columns: the newest figures, the newest last.
pub(super) fn heights(figures: &[f64], width: usize) -> Vec<u64> {
    let shown = &figures[figures.len().saturating_sub(width)..];
    let highest = shown.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    shown.iter().map(|figure| (figure.max(0.0) / highest * 1000.0).round() as u64).collect()
}

/// A text of others, of which nothing reaches the terminal as a command.
pub(super) fn clean(text: &str) -> String {
    let is_command = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_command(c) { ' ' } else { c }).collect()
}

/// `12:04:00` of `2024-11-29T12:04:00.000Z`
pub(super) fn time_of_day(time: &str) -> String {
    let time = time.split_once('T').map_or(time, |(_, time)| time);
    clean(time.split(['.', 'Z']).next().unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_none_of_them_panics() {
        assert_eq!([f64::NAN, -1.0, 0.0, 0.34, 12.4].map(rate), ["0", "0", "0", "0.3", "12"]);
        assert_eq!([4960.4, 12_400_000.0].map(rate), ["4 960", "12.4 M"]);
        assert_eq!([714, 21_204, 12_400_000].map(count), ["714", "21 204", "12.4 M"]);
        let shown =
            [None, Some(0.0004), Some(0.0124), Some(1.24), Some(f64::INFINITY)].map(seconds);
        assert_eq!(shown, ["-", "0.4 ms", "12 ms", "1.2 s", "-"]);
        assert_eq!([999, 1_240_000, u64::MAX].map(bytes), ["999 B", "1.2 MB", "18446744.1 TB"]);
    }

    #[test]
    fn a_bar_is_as_full_as_its_share_and_never_beside_itself() {
        assert_eq!(
            [0.0, 0.001, 0.5, 7.0].map(|share| bar(share, 4)),
            ["░░░░", "█░░░", "██░░", "████"]
        );
        assert_eq!([f64::NAN, -1.0].map(|share| bar(share, 2)), ["░░", "░░"]);
        assert_eq!(bar(1.0, 0), "");
    }

    #[test]
    fn a_chart_shows_the_newest_against_the_highest_of_them() {
        assert_eq!(heights(&[9.0, 1.0, 2.0, 4.0], 3), [250, 500, 1000]);
        assert_eq!(heights(&[0.0, 0.0], 3), [0, 0]);
        assert_eq!(heights(&[], 3), Vec::<u64>::new());
    }

    #[test]
    fn nothing_in_a_text_commands_the_terminal() {
        assert_eq!(clean("a\u{1b}[2J\u{202e}b\n"), "a [2J b ");
        assert_eq!(time_of_day("2024-11-29T12:04:00.123Z"), "12:04:00");
        assert_eq!(time_of_day("\u{7}"), " ");
    }
}
