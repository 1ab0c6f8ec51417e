//! A run as a table, for a script or a log.

use std::fmt::Write;

use super::figures::{clean, count, rate, seconds};
use super::panes::delivery;
use super::shapes::{Speed, StageNow};
use super::theme::Theme;
use super::view::View;
use crate::cli::list::plain_table;
use crate::cli::run::span;

/// How the run is now.
pub(super) fn table(view: &View) -> String {
    let mut text = head(view);
    let heads = ["STAGE", "KIND", "TYPE", "OUT/S", "BACKLOG", "FAILED", "STATE"];
    let mut table = plain_table(heads.map(str::to_owned));
    let stages = || view.live.iter().flat_map(|live| &live.stages);
    for node in &view.graph.stages {
        let unknown = StageNow { healthy: true, ..StageNow::default() };
        let stage = stages().find(|stage| stage.stage == node.stage).unwrap_or(&unknown);
        let (text, _) = delivery(stage, &Theme::new(false));
        // What is wrong with a delivery is said already.
        let is_new = text.is_empty() || text.starts_with("connected");
        let reason = stage.reason.as_deref().filter(|_| is_new).map(clean);
        let texts = [Some(text).filter(|text| !text.is_empty()), reason];
        table.add_row([
            clean(&node.stage),
            clean(&node.kind),
            clean(&node.component),
            rate(stage.rate),
            count(stage.backlog),
            count(stage.failed),
            texts.into_iter().flatten().collect::<Vec<_>>().join("; "),
        ]);
    }
    let _ = write!(text, "\n{}\n\n{}\n", table.trim_fmt(), foot(view));
    text
}

fn head(view: &View) -> String {
    let mut parts = vec![clean(&view.graph.name), view.phase().to_owned()];
    if let Some(live) = &view.live {
        parts.extend(live.state.event_time.as_deref().map(clean));
        parts.push(match &live.state.speed {
            Speed::Factor(speed) => format!("speed {speed}"),
            Speed::Named(name) => format!("speed {}", clean(name)),
        });
        parts.push(format!("up {}", span(view.elapsed())));
    }
    let mut text = parts.join("  ") + "\n";
    match &view.live {
        Some(live) if live.health => text.push_str("healthy\n"),
        Some(live) => {
            for reason in &live.reasons {
                let _ = writeln!(text, "unwell: {}", clean(reason));
            }
        }
        None => {}
    }
    text
}

fn foot(view: &View) -> String {
    let Some(live) = &view.live else { return String::new() };
    let (totals, now) = (&live.totals, &live.sample);
    format!(
        "{} generated ({}/s), {} delivered, {} failed, {} buffered; p50 {}, p99 {}",
        count(totals.events_generated),
        rate(now.rate),
        count(totals.events_sent_successfully),
        count(totals.events_failed),
        count(now.buffer),
        seconds(now.p50),
        seconds(now.p99),
    )
}
