//! What all cells of a simulation share and none changes: the world, the options, and the tables
//! that follow from them.

use super::assortment::Assortment;
use super::calendar::Calendar;
use super::enumerations::{CHANNELS, ZONES};
use super::event_types::EventTypes;
use super::incidents::Incident;
use super::payload::device_of;
use super::schedule::Millis;
use super::world::{Format, Store, World};
use crate::event::{Text, Timestamp};

/// What a simulation is told beside its world.
#[derive(Clone, Debug)]
pub struct SimulationOptions {
    /// What every choice derives from.
    pub seed: u64,
    /// Where event time begins.
    pub start: Timestamp,
    /// The `source` of the envelopes.
    pub source: Text,
    /// The types that are reported. Without any of the online ones, nobody orders online.
    pub emit: EventTypes,
    /// Weekdays against weekends, and holidays.
    pub calendar: Calendar,
    /// How many groups come into the mean store on a mean day.
    pub visitors_per_day: f64,
    /// How many ads a customer is shown in a mean day.
    pub ads_per_customer: f64,
    /// How many orders a customer makes online in a mean day.
    pub orders_per_customer: f64,
    /// What goes wrong, and when.
    pub incidents: Vec<Incident>,
    /// How long the rates of a store stay as they are.
    pub rates_interval: std::time::Duration,
}

/// The world and everything that follows from it.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) options: SimulationOptions,
    pub(super) start: Millis,
    /// One for each format.
    pub(super) assortments: Vec<Assortment>,
    /// The ids of each store's beacons, by the zone.
    pub(super) beacons: Vec<[Text; ZONES.len()]>,
    /// The partition key of each channel's ads.
    pub(super) channel_keys: Vec<Text>,
}

impl Scene {
    pub(super) fn new(world: World, options: SimulationOptions) -> Self {
        let assortments =
            Format::ALL.iter().map(|format| Assortment::of(&world, *format)).collect();
        let beacons =
            |store: &Store| std::array::from_fn(|zone| device_of("BEACON_", store.id, ZONES[zone]));
        let key = |channel: &&str| Text::from(format!("marketing_{channel}"));
        Self {
            start: options.start.as_millis(),
            assortments,
            beacons: world.stores.iter().map(beacons).collect(),
            channel_keys: CHANNELS.iter().map(key).collect(),
            world,
            options,
        }
    }

    pub(super) fn assortment(&self, format: Format) -> &Assortment {
        &self.assortments[format as usize]
    }
}
