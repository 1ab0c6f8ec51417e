//! `--capacity`: what the pipelines would send to Event Hubs, for reading and for programs.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use engine::capacity::{
    Assumptions, Load, Measured, PARTITIONS_MAX, Prediction, SinkPrediction, predict,
};
use engine::plan::Plan;
use engine::problem::{Problem, Problems};
use engine::spec::SpecDuration;
use serde_json::{Value, json};

use crate::cli::run::{number, span};

/// What to predict, and from what.
#[derive(Args)]
pub(super) struct CapacityArguments {
    /// Predict what `event_hubs` sinks would send, and what a namespace needs to take it
    #[arg(long, help_heading = "Capacity")]
    pub(super) capacity: bool,
    /// How many partitions each hub has
    #[arg(
        long, value_name = "N", default_value_t = 4, requires = "capacity",
        value_parser = clap::value_parser!(u16).range(1..=2048), help_heading = "Capacity"
    )]
    partitions: u16,
    /// How much event time to simulate; a day where the hour matters, else an hour
    #[arg(
        long, value_name = "DURATION", requires = "capacity", value_parser = duration,
        help_heading = "Capacity"
    )]
    over: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = text.parse::<SpecDuration>()?.0;
    if duration.is_zero() { Err("it is no time at all".to_owned()) } else { Ok(duration) }
}

impl CapacityArguments {
    /// Simulates a pipeline that was checked.
    pub(super) fn predict(&self, plan: Plan) -> Result<Prediction, Problems> {
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Problem::error(format!("cannot start threads: {error}")))?;
        let partitions = usize::from(self.partitions);
        runtime.block_on(predict(plan, Assumptions { partitions, span: self.over }))
    }
}

/// For programs: the prediction with its file.
pub(super) fn object(file: &Path, prediction: &Prediction) -> Value {
    let mut object = json!(prediction);
    object["file"] = json!(file.display().to_string());
    object
}

/// For reading.
pub(super) fn text(file: &Path, prediction: &Prediction) -> String {
    let mut text = format!("\n{}: {}\n", file.display(), assumed(prediction));
    if prediction.sinks.is_empty() {
        text.push_str("\n  There is no `event_hubs` sink, so there is nothing to predict.\n");
    }
    for sink in &prediction.sinks {
        text.push_str(&sink_text(sink, prediction));
    }
    if prediction.sinks.len() > 1 {
        text.push_str(
            "\nThroughput units belong to a namespace: add up those of the sinks that share one.\n",
        );
    }
    text
}

fn assumed(prediction: &Prediction) -> String {
    let speed = match prediction.speed {
        Some(factor) => format!("at speed {factor}"),
        None => "at speed max".to_owned(),
    };
    let simulated = span(Duration::from_secs(prediction.seconds));
    let cut = if prediction.is_cut_short { ", where the run was cut short" } else { "" };
    format!(
        "simulated {simulated} from {}{cut}; assumed {} partitions in each hub, {speed}",
        prediction.from, prediction.partitions
    )
}

fn sink_text(sink: &SinkPrediction, prediction: &Prediction) -> String {
    let mut text = format!("\n  {}\n", sink.sink);
    if !sink.unknown_sources.is_empty() {
        let names: Vec<_> = sink.unknown_sources.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(", ");
        line(&mut text, "unknown", &format!("what {names} will give: it is not in the figures"));
    }
    let Some(measured) = &sink.measured else {
        line(&mut text, "events", "none came, so there are no figures");
        return text;
    };
    line(
        &mut text,
        "an event",
        &format!(
            "{} bytes as JSON, {} as it is sent; the largest {}",
            whole(measured.json_bytes),
            whole(measured.sent_bytes),
            number(measured.largest_bytes)
        ),
    );
    match (&measured.typical, &measured.busiest) {
        (Some(typical), Some(busiest)) => loads(&mut text, typical, busiest, prediction),
        _ => line(
            &mut text,
            "rate",
            "as fast as the hub takes it: a throughput unit takes 1 000 events or 1 MB a second",
        ),
    }
    line(&mut text, "a send", &format!("{} events", whole(measured.events_a_send)));
    partitions(&mut text, measured);
    text
}

fn loads(text: &mut String, typical: &Load, busiest: &Load, prediction: &Prediction) {
    let busiest_span = span(Duration::from_secs_f64(busiest.seconds));
    row(text, "", &format!("typical {}", span(Duration::from_secs_f64(typical.seconds))), &{
        format!("busiest {busiest_span}")
    });
    let start = |load: &Load| load.from.to_string();
    row(text, "event time from", &start(typical), &start(busiest));
    let figures: [Figure; 5] = [
        ("events/s", |load| whole(load.events_a_second)),
        ("bytes/s", |load| whole(load.bytes_a_second)),
        ("sends/s", |load| format!("{:.1}", load.sends_a_second)),
        ("throughput units", |load| number(load.throughput_units)),
        ("partitions needed", |load| match load.partitions {
            Some(partitions) => number(partitions as u64),
            None => format!("more than {PARTITIONS_MAX}"),
        }),
    ];
    for (head, figure) in figures {
        row(text, head, &figure(typical), &figure(busiest));
    }
    if let Some(needed) = busiest.partitions.filter(|needed| *needed > prediction.partitions) {
        line(
            text,
            "warning",
            &format!(
                "with {} partitions the fullest takes more than 1 MB/s in the busiest time; {needed} would do",
                prediction.partitions
            ),
        );
    }
}

fn partitions(text: &mut String, measured: &Measured) {
    if let Some(keys) = &measured.keys {
        let more = if keys.are_more { "more than " } else { "" };
        let mut told = format!("{more}{}", number(keys.distinct as u64));
        if let Some(hottest) = &keys.hottest {
            let _ = write!(told, "; `{}` has {} of the bytes", hottest.key, percent(hottest.share));
        }
        if keys.without > 0.0 {
            let _ = write!(told, "; {} have no key and go anywhere", percent(keys.without));
        }
        line(text, "keys", &told);
    }
    let shares = &measured.partition_shares;
    let told = format!(
        "{} gets {}, which is {:.2} times the even share of {}",
        measured.hottest_partition(),
        percent(shares[measured.hottest_partition()]),
        measured.skew(),
        percent(1.0 / shares.len() as f64)
    );
    line(text, "fullest partition", &told);
    for (row, of_row) in shares.chunks(SHARES_A_LINE).enumerate() {
        let first = row * SHARES_A_LINE;
        let told = of_row.iter().zip(first..);
        let told: Vec<_> =
            told.map(|(share, partition)| format!("{partition}: {}", percent(*share))).collect();
        line(text, if row == 0 { "shares" } else { "" }, &told.join("  "));
    }
}

/// A figure of a load with its name.
type Figure = (&'static str, fn(&Load) -> String);

/// As many shares as fit beside each other.
const SHARES_A_LINE: usize = 8;

fn line(text: &mut String, head: &str, told: &str) {
    let _ = writeln!(text, "    {head:<18} {told}");
}

fn row(text: &mut String, head: &str, typical: &str, busiest: &str) {
    let _ = writeln!(text, "    {head:<18} {typical:>24} {busiest:>24}");
}

fn whole(value: f64) -> String {
    number(value.round() as u64)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
