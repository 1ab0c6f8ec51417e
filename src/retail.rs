//! The retail domain: the event contract, and the generators that keep to it. A plain library: it
//! knows no specs, no streams, no scripts and no clocks.

mod assortment;
mod calendar;
mod cell;
mod chance;
mod demand;
mod envelope;
mod event_types;
mod factory;
mod fields;
mod ground;
mod hours;
mod identity;
mod incidents;
mod pattern;
mod payload;
mod processes;
mod promotions;
mod random;
mod reporter;
mod scene;
mod schedule;
mod schema;
mod simulation;
mod weather;
mod weigh;
mod weights;
mod world;

pub use calendar::{Calendar, Holiday, Weekend, holiday, promotions};
pub use demand::{region_of, season_of};
pub use envelope::{
    CorrelationRule, PartitionRule, SessionRule, fill_envelope, fill_nullable, inherit_envelope,
};
pub use event_types::{
    EventDescription, EventType, EventTypes, Family, UnknownEventType, description_of,
};
pub use factory::{EventFactory, EventFactoryBuilder, FactoryState};
pub use fields::{FieldDescription, FieldType, Rule, enumerations};
pub use hours::{hour_shares, opening};
pub use identity::{ad_id, ble_id};
pub use incidents::{Incident, IncidentType, Misplaced, Target};
pub use pattern::{activity, hour_factor};
pub use random::{Alias, Random};
pub use scene::SimulationOptions;
pub use schema::schema;
pub use simulation::{CellShard, Simulation};
pub use weather::{footfall, mean_footfall, weather};
pub use weigh::{Moment, StoreMoment, WEIGHTED, Weigh, follows_from};
pub use weights::{BadWeights, EventWeights};
pub use world::{
    Campaign, Climate, Customer, Dc, Department, Format, Geography, MasterFile, MasterFiles,
    MasterKind, MasterProblem, Product, Region, Segment, Store, Tier, Truck, Volume, Weather,
    World,
};
