//! Incidents: what goes wrong in the chain, where and for how long. Scheduled by the user, reported
//! as they begin and end, so that alerts built on the stream can be scored.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::world::{Department, Region, World};
use crate::event::Timestamp;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// What.
    pub incident_type: IncidentType,
    /// When it begins.
    pub begin: Timestamp,
    /// When it is over.
    pub end: Timestamp,
    /// How bad it is, above 0 and at most 1.
    pub severity: f64,
    /// Where.
    pub target: Target,
    /// Whose products are short; all where none is named.
    pub department: Option<Department>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentType {
    /// A distribution centre sends out and takes in nothing; with a severity below 1, that part of
    /// its shipments waits for the end.
    DcOutage,
    /// Trucks that are on their way stand still until the end: the one that is named, or the part
    /// of those of the centre that the severity says.
    TruckBreakdown,
    /// Roads are slow (up to three times as slow) and fewer people come (down to half).
    WeatherDelay,
    /// What suppliers should bring comes after the end; with a severity below 1, that part of it.
    SupplierDelay,
    /// That part of the stock is taken out at the begin, and suppliers bring none until the end.
    InventoryShortage,
    /// That part of the tills does not work: shoppers wait, and some leave without their purchase.
    TillOutage,
    /// More people come: up to five times as many.
    DemandSpike,
}

impl IncidentType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DcOutage,
        Self::TruckBreakdown,
        Self::WeatherDelay,
        Self::SupplierDelay,
        Self::InventoryShortage,
        Self::TillOutage,
        Self::DemandSpike,
    ];

    /// Its name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::DcOutage => "DC_OUTAGE",
            Self::TruckBreakdown => "TRUCK_BREAKDOWN",
            Self::WeatherDelay => "WEATHER_DELAY",
            Self::SupplierDelay => "SUPPLIER_DELAY",
            Self::InventoryShortage => "INVENTORY_SHORTAGE",
            Self::TillOutage => "TILL_OUTAGE",
            Self::DemandSpike => "DEMAND_SPIKE",
        }
    }

    /// Whether it happens to stores, to distribution centres, or to both.
    fn is_of_stores(self) -> bool {
        matches!(self, Self::TillOutage | Self::DemandSpike)
    }

    fn is_of_dcs(self) -> bool {
        matches!(
            self,
            Self::DcOutage | Self::TruckBreakdown | Self::SupplierDelay | Self::InventoryShortage
        )
    }
}

/// Where it goes wrong, by the ids of the master data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// In the whole chain.
    Everywhere,
    /// In all places of a region.
    Region(Region),
    /// At a distribution centre and, where it is an incident of stores, at its stores.
    Dc(u32),
    /// In a store.
    Store(u32),
    /// On a truck.
    Truck(u32),
}

/// Why an incident cannot happen in a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// There is no such place or truck.
    Unknown(&'static str, u32),
    /// It does not happen to such a thing.
    Unfit(IncidentType, &'static str),
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(what, id) => write!(f, "there is no {what} `{id}`"),
            Self::Unfit(incident_type, what) => {
                let name = incident_type.name().to_lowercase();
                write!(f, "`{name}` is no incident of a {what}")
            }
        }
    }
}

impl Incident {
    /// Whether it can happen in a world.
    pub fn check(&self, world: &World) -> Result<(), Misplaced> {
        let exists = |found: bool, what: &'static str, id: u32| {
            if found { Ok(()) } else { Err(Misplaced::Unknown(what, id)) }
        };
        let unfit = |what| Err(Misplaced::Unfit(self.incident_type, what));
        match self.target {
            Target::Everywhere | Target::Region(_) => Ok(()),
            Target::Dc(id) => exists(world.dcs.iter().any(|dc| dc.id == id), "centre", id),
            Target::Store(_) if self.incident_type.is_of_dcs() => unfit("store"),
            Target::Store(id) => {
                exists(world.stores.iter().any(|store| store.id == id), "store", id)
            }
            Target::Truck(number) if self.incident_type == IncidentType::TruckBreakdown => {
                let found = world.trucks.iter().any(|truck| truck.number == number);
                exists(found, "truck", number)
            }
            Target::Truck(_) => unfit("truck"),
        }
    }

    /// Whether it happens to a store.
    pub(super) fn hits_store(&self, world: &World, store: usize) -> bool {
        let it = &world.stores[store];
        match self.target {
            Target::Everywhere => true,
            Target::Region(region) => world.geographies[it.geography].region == region,
            Target::Dc(id) => world.dcs[it.dc].id == id,
            Target::Store(id) => it.id == id,
            Target::Truck(_) => false,
        }
    }

    /// Whether it happens to a distribution centre or one of its trucks.
    pub(super) fn hits_dc(&self, world: &World, dc: usize) -> bool {
        let it = &world.dcs[dc];
        match self.target {
            Target::Everywhere => true,
            Target::Region(region) => world.geographies[it.geography].region == region,
            Target::Dc(id) => it.id == id,
            Target::Store(_) => false,
            Target::Truck(number) => {
                world.trucks.iter().any(|truck| truck.number == number && truck.dc == dc)
            }
        }
    }

    /// Whether it happens to anything of a cell.
    pub(super) fn hits_cell(&self, world: &World, dc: usize) -> bool {
        let of_stores = self.incident_type.is_of_stores() || !self.incident_type.is_of_dcs();
        self.hits_dc(world, dc)
            || of_stores
                && (0..world.stores.len())
                    .any(|store| world.stores[store].dc == dc && self.hits_store(world, store))
    }
}
