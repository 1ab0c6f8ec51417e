//! The parts of the screen that are lists: stages, event types, failures, events, totals.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};

use super::figures::{bar, bytes, clean, count, rate, time_of_day};
use super::shapes::{Envelope, Failure, Node, StageNow};
use super::theme::Theme;
use super::view::View;

/// From this width on two panes stand beside each other.
pub(super) const WIDTH_OF_TWO: u16 = 60;

/// From these widths on a stage is shown with its kind, its bar, and how its delivery is.
const WIDTH_OF_KIND: u16 = 72;
const WIDTH_OF_BAR: u16 = 56;
const WIDTH_OF_DELIVERY: u16 = 46;

/// How wide the bar of a backlog is.
const BAR: usize = 6;

/// A backlog below this is not worth a full bar.
const BACKLOG_MIN: u64 = 100;

/// The stages, in the order of the flow.
pub(super) fn stages(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let live = |node: &Node| {
        let stages = view.live.iter().flat_map(|live| &live.stages);
        stages.into_iter().find(|stage| stage.stage == node.stage)
    };
    let longest = view.live.iter().flat_map(|live| &live.stages).map(|stage| stage.backlog).max();
    let longest = longest.unwrap_or_default().max(BACKLOG_MIN);
    let (has_kind, has_bar) = (area.width >= WIDTH_OF_KIND, area.width >= WIDTH_OF_BAR);
    let has_delivery = area.width >= WIDTH_OF_DELIVERY;
    let names = view.graph.stages.iter().map(|node| node.stage.chars().count()).max();
    let name = names.unwrap_or_default().clamp(6, usize::from(area.width / 3).max(6)) as u16;
    let columns: Vec<(bool, &str, Constraint, Alignment)> = vec![
        (true, "STAGE", Constraint::Length(name), Alignment::Left),
        (has_kind, "KIND", Constraint::Length(10), Alignment::Left),
        (true, "OUT/S", Constraint::Length(8), Alignment::Right),
        (true, "BACKLOG", Constraint::Length(8), Alignment::Right),
        (has_bar, "", Constraint::Length(BAR as u16), Alignment::Left),
        (true, "FAILED", Constraint::Length(8), Alignment::Right),
        (has_delivery, "STATE", Constraint::Fill(1), Alignment::Left),
    ];
    let cells = |cells: [Span<'static>; 7]| {
        let shown = cells.into_iter().zip(&columns).filter(|(_, column)| column.0);
        Row::new(shown.map(|(cell, column)| Cell::new(Text::from(cell).alignment(column.3))))
    };
    let rows = view.graph.stages.iter().map(|node| {
        let unknown = StageNow { healthy: true, ..StageNow::default() };
        let stage = live(node).unwrap_or(&unknown);
        let failed = if stage.failed > 0 { theme.bad } else { theme.plain };
        let (text, style) = state(stage, theme);
        let share = stage.backlog as f64 / longest as f64;
        cells([
            Span::styled(clean(&node.stage), if stage.healthy { theme.strong } else { theme.bad }),
            Span::styled(clean(&node.kind), theme.dim),
            Span::raw(rate(stage.rate)),
            Span::raw(count(stage.backlog)),
            Span::styled(bar(share, BAR), theme.chart),
            Span::styled(count(stage.failed), failed),
            Span::styled(text, style),
        ])
    });
    let head =
        cells(std::array::from_fn(|place| Span::styled(columns[place].1.to_owned(), theme.dim)));
    let widths = columns.iter().filter(|column| column.0).map(|column| column.2);
    let table = Table::new(rows, widths).header(head).row_highlight_style(theme.selected);
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(view.selected));
}

/// How a stage is, and its delivery: `connected, 42 % full`, `circuit open, 100 % full`.
fn state(stage: &StageNow, theme: &Theme) -> (String, Style) {
    let (text, style) = delivery(stage, theme);
    match (&stage.reason, text.is_empty()) {
        (Some(reason), true) => (clean(reason), theme.bad),
        (Some(_), false) if style == theme.plain => (text, theme.bad),
        _ => (text, style),
    }
}

pub(super) fn delivery(stage: &StageNow, theme: &Theme) -> (String, Style) {
    let (word, style) = match (stage.circuit_breaker.as_deref(), stage.connection.as_deref()) {
        (Some("open"), _) => ("circuit open", theme.bad),
        (Some("half_open"), _) => ("circuit half open", theme.warning),
        (_, Some("failed")) => ("not connected", theme.bad),
        (_, Some("connecting")) => ("connecting", theme.warning),
        (_, Some("connected")) => ("connected", theme.plain),
        _ => return (String::new(), theme.plain),
    };
    let buffer = stage.buffer.filter(|(events, max)| *events > 0 && *max > 0);
    let buffer =
        buffer.map(|(events, max)| format!(", {:.0} % full", 100.0 * events as f64 / max as f64));
    (format!("{word}{}", buffer.unwrap_or_default()), style)
}

/// Event types by how many there are in a second.
pub(super) fn types(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let types = view.types();
    let highest = types.iter().map(|(_, rate, _)| *rate).fold(0.0, f64::max);
    let name = types.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
    let name = name.min(24);
    // Borders have none of it, the rate and the gaps have ten.
    let width = usize::from(area.width).saturating_sub(name + 10);
    let lines = types.iter().map(|(event_type, per_second, _)| {
        let share = if highest > 0.0 { per_second / highest } else { 0.0 };
        let event_type: String = clean(event_type).chars().take(name).collect();
        Text::from_iter([
            Span::raw(format!("{event_type:<name$} {:>7} ", rate(*per_second))),
            Span::styled(bar(share, width).replace('\u{2591}', " "), theme.chart),
        ])
    });
    list(frame, area, "event types, a second", lines.collect(), theme);
}

/// The last failures.
pub(super) fn failures(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let lines = view.failures.iter().map(|failure| {
        let Failure { time, stage, category, reason, fate } = failure;
        Text::from_iter([
            Span::styled(time_of_day(time), theme.dim),
            Span::styled(format!(" {}", clean(stage)), theme.strong),
            Span::styled(format!(" {}", clean(category)), theme.bad),
            Span::styled(format!(" {} ", clean(&fate.replace('_', " "))), theme.dim),
            Span::raw(clean(reason)),
        ])
    });
    let mut lines: Vec<Text<'_>> = lines.collect();
    if lines.is_empty() {
        lines.push(Text::styled("none", theme.dim));
    }
    list(frame, area, "last failures", lines, theme);
}

/// Events of the stage that is looked into.
pub(super) fn events(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let Some(stage) = view.selected_stage() else { return };
    let lines = view.events.iter().map(|seen| event(&seen.event, theme));
    let mut lines: Vec<Text<'_>> = lines.collect();
    if lines.is_empty() {
        lines.push(Text::styled("none were seen", theme.dim));
    }
    let live = view.live.iter().flat_map(|live| &live.stages).find(|live| live.stage == stage);
    let reason = live.and_then(|live| live.reason.as_ref());
    let title = match reason {
        Some(reason) => format!("events of {}: {}", clean(stage), clean(reason)),
        None => format!("events of {}", clean(stage)),
    };
    list(frame, area, &title, lines, theme);
}

fn event<'a>(event: &Envelope, theme: &Theme) -> Text<'a> {
    let place = event.partition_key.as_deref().unwrap_or("-");
    let fields = event.payload.iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{}={}", clean(name), clean(text)),
        value => format!("{}={}", clean(name), clean(&value.to_string())),
    });
    let fields = fields.collect::<Vec<_>>().join(" ");
    Text::from_iter([
        Span::styled(time_of_day(&event.ingest_timestamp), theme.dim),
        Span::styled(format!(" {:<20}", clean(&event.event_type)), theme.strong),
        Span::raw(format!(" {:<10} ", clean(place))),
        Span::raw(fields),
        Span::styled(format!(" {}", clean(&event.trace_id)), theme.dim),
    ])
}

/// What a run came to.
pub(super) fn totals(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let Some(live) = &view.live else { return };
    let totals = &live.totals;
    let rows = [
        ("generated", count(totals.events_generated)),
        ("delivered", count(totals.events_sent_successfully)),
        ("failed", count(totals.events_failed)),
        ("dead letters", count(totals.dead_letter_queue_size)),
        ("batches", count(totals.batches_sent)),
        ("bytes", bytes(totals.bytes_sent)),
        ("breaker trips", count(totals.circuit_breaker_trips)),
    ];
    let lines = rows.map(|(name, figure)| Text::raw(format!("{name:<14} {figure:>12}")));
    list(frame, area, "the run has ended", lines.to_vec(), theme);
}

fn list(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Text<'_>>, theme: &Theme) {
    let title = Text::styled(format!(" {title} "), theme.strong);
    let block = Block::new().borders(Borders::TOP).border_style(theme.dim).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
