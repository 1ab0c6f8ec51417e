//! The screen: a head, figures, the stages, and panes for the rest, as far as there is room.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline};

use super::figures::{clean, count, heights, rate, seconds};
use super::panes;
use super::shapes::Speed;
use super::theme::Theme;
use super::view::{Line, Over, View};
use crate::cli::run::span;

/// Below this height there are no charts.
const HEIGHT_OF_CHARTS: u16 = 16;

/// What keys do.
const HELP: &[(&str, &str)] = &[
    ("up, down", "look into a stage: its events"),
    ("esc", "leave the stage, or the program"),
    ("p", "pause, and go on"),
    ("+ -", "twice as fast, half as fast"),
    ("s", "stop the run; it drains"),
    ("q", "leave; the run goes on"),
];

pub(super) fn draw(frame: &mut Frame<'_>, view: &View, theme: &Theme) {
    let area = frame.area();
    let has_charts = area.height >= HEIGHT_OF_CHARTS;
    let stages = view.graph.stages.len() as u16 + 1;
    let rest = area.height.saturating_sub(3 + if has_charts { 5 } else { 2 });
    // What is below the stages has at least a third of the rest.
    let stages = stages.min((rest * 2 / 3).max(3));
    let [head, figures, table, bottom, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(if has_charts { 5 } else { 2 }),
        Constraint::Length(stages),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, view, theme);
    draw_figures(frame, figures, view, theme);
    panes::stages(frame, table, view, theme);
    match view.selected {
        Some(_) => panes::events(frame, bottom, view, theme),
        None => draw_bottom(frame, bottom, view, theme),
    }
    draw_foot(frame, foot, view, theme);
    if view.over == Over::Help {
        draw_help(frame, area, theme);
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let phase = view.phase();
    let style = match (&view.line, phase) {
        (Line::Lost(_), _) => theme.bad,
        (_, "running") => theme.good,
        (_, "ended") => theme.strong,
        _ => theme.warning,
    };
    let mut parts = vec![
        Span::styled(clean(&view.graph.name), theme.strong),
        Span::styled(phase.to_owned(), style),
    ];
    if let Some(live) = &view.live {
        let event_time = live.state.event_time.as_deref().map(clean);
        parts.extend(event_time.map(|time| Span::styled(time, theme.plain)));
        let speed = match &live.state.speed {
            Speed::Factor(speed) => format!("speed {speed}"),
            Speed::Named(name) => format!("speed {}", clean(name)),
        };
        parts.push(Span::styled(speed, theme.plain));
        parts.push(Span::styled(format!("up {}", span(view.elapsed())), theme.plain));
    }
    parts.push(Span::styled(view.address.clone(), theme.dim));
    let lines = vec![spaced(parts), health(view, theme)];
    frame.render_widget(Paragraph::new(lines), area);
}

fn spaced(parts: Vec<Span<'_>>) -> Text<'_> {
    parts.into_iter().flat_map(|part| [part, Span::raw("  ")]).collect()
}

/// Whether the run is well, or why not, or why nobody knows.
fn health<'a>(view: &'a View, theme: &Theme) -> Text<'a> {
    if let Line::Lost(why) = &view.line {
        let text = format!("{}; looking for it again", clean(why));
        return Text::styled(text, theme.bad);
    }
    match &view.live {
        Some(live) if live.health => Text::styled("healthy", theme.good),
        Some(live) => {
            let reasons = live.reasons.iter().map(|reason| clean(reason));
            let reasons = reasons.collect::<Vec<_>>().join("; ");
            Text::styled(format!("unwell: {reasons}"), theme.bad)
        }
        None => Text::styled("nothing is known yet", theme.dim),
    }
}

/// One of the large figures.
struct Figure {
    name: &'static str,
    text: String,
    style: Style,
    chart: Vec<f64>,
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let now = view.history.back().cloned().unwrap_or_default();
    let failing = if now.failed > 0 { theme.bad } else { theme.figure };
    let latency = format!("{} / {}", seconds(now.p50), seconds(now.p99));
    let delivered = view.rate(|sample| sample.delivered).unwrap_or_default();
    let figure = |name, text, chart| Figure { name, text, style: theme.figure, chart };
    let mut figures = vec![
        figure("events/s", rate(now.rate), view.rates(|sample| sample.events)),
        figure("delivered/s", rate(delivered), view.rates(|sample| sample.delivered)),
        Figure {
            style: failing,
            ..figure("failed", count(now.failed), view.rates(|sample| sample.failed))
        },
        figure("p50 / p99", latency, view.figures(|sample| sample.p99.unwrap_or_default())),
        figure("buffered", count(now.buffer), view.figures(|sample| sample.buffer as f64)),
    ];
    if area.width < panes::WIDTH_OF_TWO {
        figures.retain(|figure| !matches!(figure.name, "delivered/s" | "buffered"));
    }
    let areas = Layout::horizontal(figures.iter().map(|_| Constraint::Fill(1))).spacing(1);
    for (figure, area) in figures.into_iter().zip(areas.split(area).iter()) {
        let [name, text, chart] =
            Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)])
                .areas(*area);
        frame.render_widget(Text::styled(figure.name, theme.dim), name);
        frame.render_widget(Text::styled(figure.text, figure.style), text);
        let chart = Rect { height: chart.height.saturating_sub(1), ..chart };
        let heights = heights(&figure.chart, chart.width.into());
        let line = Sparkline::default().data(&heights).max(1000).style(theme.chart);
        frame.render_widget(line, chart);
    }
}

/// Event types beside failures; totals in the place of both, once the run has ended.
fn draw_bottom(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let left = if view.line == Line::Ended { panes::totals } else { panes::types };
    if area.width < panes::WIDTH_OF_TWO {
        let is_calm = view.failures.is_empty() || view.line == Line::Ended;
        return if is_calm { left } else { panes::failures }(frame, area, view, theme);
    }
    let [types, failures] =
        Layout::horizontal([Constraint::Fill(2), Constraint::Fill(3)]).spacing(1).areas(area);
    left(frame, types, view, theme);
    panes::failures(frame, failures, view, theme);
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, view: &View, theme: &Theme) {
    let line = match (view.over, &view.answer) {
        (Over::AskStop, _) => Text::styled(
            " stop the run? what is on its way is delivered first.  y stops, any other key does not ",
            theme.selected,
        ),
        (_, Some((true, text))) => Text::styled(clean(text), theme.good),
        (_, Some((false, text))) => Text::styled(clean(text), theme.bad),
        (_, None) => {
            let keys = "q leave  \u{2191}\u{2193} stage  p pause  +/- speed  s stop  ? help";
            Text::styled(keys, theme.dim)
        }
    };
    frame.render_widget(line, area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
    let lines: Vec<Text<'_>> = HELP
        .iter()
        .map(|(keys, what)| {
            Text::from_iter([
                Span::styled(format!(" {keys:<10}"), theme.strong),
                Span::styled(*what, theme.plain),
            ])
        })
        .collect();
    let size = (Constraint::Length(48), Constraint::Length(lines.len() as u16 + 2));
    let area = area.centered(size.0, size.1);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}
