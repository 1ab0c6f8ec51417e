//! The retail domain: the event contract, and the generators that keep to it. A plain library: it
//! knows no specs, no streams, no scripts and no clocks.

mod envelope;
mod event_types;
mod factory;
mod fields;
mod identity;
mod pattern;
mod random;
mod schema;
mod weigh;
mod weights;
mod world;

pub use envelope::{
    CorrelationRule, PartitionRule, SessionRule, fill_envelope, fill_nullable, inherit_envelope,
};
pub use event_types::{EventDescription, EventType, Family, UnknownEventType, description_of};
pub use factory::{EventFactory, EventFactoryBuilder, FactoryState};
pub use fields::{FieldDescription, FieldType, Rule, enumerations};
pub use identity::{ad_id, ble_id};
pub use pattern::{activity, hour_factor};
pub use random::{Alias, Random};
pub use schema::schema;
pub use weigh::{Moment, StoreMoment, WEIGHTED, Weigh};
pub use weights::{BadWeights, EventWeights};
pub use world::{
    Climate, Customer, Dc, Department, Format, Geography, Product, Region, Segment, Store, Tier,
    Truck, Volume, Weather, World,
};
