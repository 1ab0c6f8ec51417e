//! A pipeline inside a program: build it, run it for a while, watch it, stop it, read the report.
//!
//! `cargo run --example stream`

use std::error::Error;
use std::time::Duration;

use engine::engine::Engine;

const PIPELINE: &str = r#"
clock: { start: 2024-11-29T10:00:00Z, speed: 600 }
sources:
  stores: { type: retail_mix, with: { seed: 42, burst: 100 } }
enrichers:
  high_value:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created"
    with: { script: "fn enrich(event) { event.payload.high_value = event.payload.total > 100.0; }" }
sinks:
  nowhere: { type: blackhole, inputs: [high_value] }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    // Everything that can be wrong with the pipeline is reported here, all at once.
    let engine = Engine::from_yaml(PIPELINE)?.with_duration(Duration::from_mins(10));

    // The session runs in threads of its own. Dropping it would stop and drain it, too.
    let session = engine.start()?;
    let statistics = session.statistics();
    println!(
        "{} events so far, healthy: {}",
        statistics.events_generated,
        session.health().overall_healthy
    );

    // Ten minutes of event time at 600 times the speed: a second.
    let report = session.wait();
    let statistics = report.statistics;
    println!(
        "{} generated, {} sent, {} failed, the accounts balance: {}",
        statistics.events_generated,
        statistics.events_sent_successfully,
        statistics.events_failed,
        report.balanced,
    );
    for (event_type, count) in statistics.event_type_counts {
        println!("{count:>8}  {event_type}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_runs_to_its_end() {
        super::main().unwrap();
    }
}
