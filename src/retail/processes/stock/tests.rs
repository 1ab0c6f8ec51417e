//! Stock at its bounds.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::TraceIds;
use crate::retail::ground::Ground;
use crate::retail::reporter::Numbering;
use crate::retail::scene::Scene;
use crate::retail::{Calendar, EventTypes, SimulationOptions, Volume, World};

/// A cell of one store that expects a crowd.
fn cell() -> Cell {
    let world = World::generate(1, Volume { stores: 1, dcs: 1, customers: 5, products: 1 });
    let options = SimulationOptions {
        seed: 1,
        start: "2024-11-29T17:00:00Z".parse().unwrap(),
        source: Text::from("test"),
        emit: EventTypes::default(),
        calendar: Calendar::default(),
        visitors_per_day: 1e6,
        ads_per_customer: 0.0,
        orders_per_customer: 0.0,
        incidents: Vec::new(),
        rates_interval: Duration::from_mins(15),
    };
    let ground = Ground::of(&world).remove(0);
    let scene = Arc::new(Scene::new(world, options));
    let numbering = Numbering { first: 1, step: 1 };
    let ids = TraceIds::new(1, 0);
    let mut cell = Cell::new(Arc::clone(&scene), ground, ids, numbering, scene.options.emit, None);
    cell.recall_day(0);
    cell
}

#[test]
fn no_more_is_set_aside_than_can_be_counted() {
    let mut cell = cell();
    let before = cell.available(Place::Dc, 0);
    assert!(before > 100_000, "{before} pieces");
    let mut pieces = 0;
    for _ in 0..2 * u32::from(u16::MAX) {
        let lines = cell.fill_basket(0, 0, Place::Dc, 0);
        if lines.is_empty() && cell.reservable(Place::Dc, 0) == 0 {
            break;
        }
        pieces += lines.iter().map(|line| line.quantity).sum::<u32>();
    }
    assert_eq!(pieces, u32::from(u16::MAX));
    assert_eq!(cell.available(Place::Dc, 0), before - pieces);
    cell.release(Place::Dc, 0, pieces);
    assert_eq!(cell.available(Place::Dc, 0), before);
}
