//! The report's table of metrics: what stages and hooks measured themselves.

use comfy_table::ContentArrangement;
use engine::monitor::{MetricValue, Statistics};

use crate::cli::list::plain_table;

/// What stands for the stage where hooks measured something.
const HOOKS: &str = "(hooks)";

/// One row a metric, with an empty line behind. Nothing where nobody measured anything.
pub(super) fn table(statistics: &Statistics) -> String {
    let stages = statistics.stages.iter();
    let of_hooks = statistics.hook_metrics.iter().map(|(name, metric)| (HOOKS, name, metric));
    let mut metrics = stages
        .flat_map(|stage| {
            stage.metrics.iter().map(|(name, metric)| (stage.stage.as_str(), name, metric))
        })
        .chain(of_hooks)
        .peekable();
    if metrics.peek().is_none() {
        return String::new();
    }
    let mut table = plain_table(["STAGE", "METRIC", "VALUE", "UNIT"].map(str::to_owned));
    table.set_content_arrangement(ContentArrangement::Disabled);
    for (stage, name, metric) in metrics {
        let (name, value, unit) = (name.clone(), value(metric.value), metric.unit.clone());
        table.add_row([stage.to_owned(), name, value, unit]);
    }
    table.trim_fmt() + "\n\n"
}

/// `12`, or of a histogram `3 times, on average 2.5, 0.5 to 4`.
fn value(value: MetricValue) -> String {
    match value {
        MetricValue::Counter { value } | MetricValue::Gauge { value } => figure(value),
        MetricValue::Histogram { count: 0, .. } => "never".to_owned(),
        MetricValue::Histogram { count, sum, min, max } => {
            let average = figure(sum / count as f64);
            let (min, max) = (figure(min), figure(max));
            let times = super::number(count);
            format!("{times} times, on average {average}, {min} to {max}")
        }
    }
}

/// A whole number as it is, any other with three decimals at most; beyond what a float counts one
/// by one, with an exponent.
fn figure(value: f64) -> String {
    const COUNTED_MAX: f64 = 9e15;
    if value.abs() >= COUNTED_MAX {
        return format!("{value:e}");
    }
    if value.fract() == 0.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", super::number(value.abs() as u64));
    }
    if value.abs() < 1e-3 {
        return format!("{value:.2e}");
    }
    format!("{value:.3}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_read_at_a_glance() {
        let figures = [0.0, 12_345.0, -3.0, 0.25, 1.0 / 3.0, 2e-5, 1e16].map(figure);
        assert_eq!(figures, ["0", "12 345", "-3", "0.25", "0.333", "2.00e-5", "1e16"]);
        let spread = MetricValue::Histogram { count: 4, sum: 10.0, min: 0.5, max: 4.0 };
        assert_eq!(value(spread), "4 times, on average 2.5, 0.5 to 4");
        let none = MetricValue::Histogram { count: 0, sum: 0.0, min: 0.0, max: 0.0 };
        assert_eq!(value(none), "never");
    }
}
