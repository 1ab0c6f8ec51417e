//! Colours, where they are wanted; without them bold, dim and reversed say the same.

use ratatui::style::{Color, Modifier, Style};

/// The styles of the screen.
pub(super) struct Theme {
    pub(super) plain: Style,
    pub(super) dim: Style,
    pub(super) strong: Style,
    /// A figure.
    pub(super) figure: Style,
    /// What is well.
    pub(super) good: Style,
    /// What needs a look.
    pub(super) warning: Style,
    /// What is wrong.
    pub(super) bad: Style,
    /// Charts and bars.
    pub(super) chart: Style,
    pub(super) selected: Style,
}

impl Theme {
    pub(super) fn new(has_color: bool) -> Self {
        let colored = |color| if has_color { Style::new().fg(color) } else { Style::new() };
        let strong = Style::new().add_modifier(Modifier::BOLD);
        Self {
            plain: Style::new(),
            dim: Style::new().add_modifier(Modifier::DIM),
            strong,
            figure: strong,
            good: colored(Color::Green),
            warning: colored(Color::Yellow).add_modifier(Modifier::BOLD),
            bad: colored(Color::Red).add_modifier(Modifier::BOLD),
            chart: colored(Color::Cyan),
            selected: Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}
