use engine::engine::Engine;
use engine::event::{Event, RECEIPT_CREATED, TOTAL, Value};
use engine::monitor::{Hook, Incident};
use engine::problem::Problems;
use engine::runtime::Report;

struct Watcher;

impl Hook for Watcher {
    fn event_generated(&self, event: &Event) -> Result<(), String> {
        let total = event.payload.get(TOTAL).and_then(Value::as_f64);
        if event.event_type == RECEIPT_CREATED && total > Some(100.0) {
            println!("High-value receipt: {}", event.trace_id);
        }
        Ok(())
    }

    fn batch_sent(&self, sink: &str, events: &[Event]) -> Result<(), String> {
        println!("{sink} sent a batch of {} events", events.len());
        Ok(())
    }

    fn error(&self, incident: &Incident<'_>) -> Result<(), String> {
        println!("Error in {}: {}", incident.stage, incident.reason);
        Ok(())
    }
}

pub fn run(path: &str) -> Result<Report, Problems> {
    Ok(Engine::from_file(path)?.with_hook(Watcher).start()?.wait())
}
