//! Makes events without a pipeline: one receipt, then a burst in a mix of one's own.
//!
//! Run it with `cargo run --example factory`.

use engine::event::Timestamp;
use engine::retail::{EventFactory, EventType, EventWeights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now: Timestamp = "2024-11-29T12:00:00Z".parse()?;
    // The same seed always makes the same events.
    let mut factory = EventFactory::builder().stores(50).seed(42).build();

    let receipt = factory.generate_event(EventType::ReceiptCreated, now);
    println!("{}", receipt.to_json());

    let weights = EventWeights::new([
        (EventType::ReceiptCreated, 0.3),
        (EventType::CustomerEntered, 0.4),
        (EventType::InventoryUpdated, 0.3),
    ])?;
    for event in factory.generate_mixed_events(100, now, &weights) {
        println!("{}", event.to_json());
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
