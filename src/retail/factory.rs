//! The event factory: single events of any type, for load and shape. Each is valid and fits the
//! recent ones that it refers to; what has to come before what is the world's business, not its.

mod catalog;
mod checkout;
mod floor;
mod incidents;
mod marketing;
mod memory;
mod online;
mod operations;
mod recent;
mod stock;

use serde::{Deserialize, Serialize};

use super::envelope;
use super::event_types::{EventType, description_of};
use super::pattern::activity;
use super::payload::Lead;
use super::random::{Alias, Random};
use super::weights::EventWeights;
use super::world::Volume;
use crate::event::{Event, Fields, Prefix, Text, Timestamp, TraceIds, mix};
use catalog::Catalog;
use checkout::{Receipt, Sold};
use floor::Visit;
use incidents::Trouble;
pub use memory::FactoryState;
use online::Order;
use operations::{Hours, Truck};
use recent::Recent;
use stock::{Low, Stock};

/// Receipts, payments and visits of the stages of one run are numbered apart, this far from each
/// other; the second stands beside the number, so it has to last for a second only.
const SEQUENCES_PER_ORIGIN: u64 = 1_000_000_000;

/// Makes events. The same seed, volume and calls make the same events; all state is in here and
/// bounded, so that a copy is a snapshot.
#[derive(Clone, Debug)]
pub struct EventFactory {
    volume: Volume,
    /// The part of the stores that events happen in: this one, and every so many-th after it.
    shard: (u32, u32),
    source: Text,
    random: Random,
    trace_ids: TraceIds,
    /// The number of the last id; one count serves all kinds of ids.
    sequence: u64,
    catalog: Catalog,
    /// The stores of the part by their traffic.
    traffic: Alias,
    receipts: Recent<Receipt>,
    sold: Recent<Sold>,
    visits: Recent<Visit>,
    stock: Stock,
    /// Stock that fell to 0 and was not yet reported.
    empty: Recent<Low>,
    /// Stock that fell to its reorder point and was not yet reordered.
    low: Recent<Low>,
    yard: Recent<Truck>,
    leads: Recent<Lead>,
    orders: Recent<Order>,
    troubles: Recent<Trouble>,
    /// Whether each store of the part is open, as far as that was told.
    hours: Vec<Hours>,
}

/// Sets up an [`EventFactory`].
#[derive(Clone, Debug)]
pub struct EventFactoryBuilder {
    volume: Volume,
    shard: (u32, u32),
    seed: u64,
    source: Text,
    trace_ids: Option<TraceIds>,
}

impl EventFactoryBuilder {
    /// The size of the world; every number has to be 1 or more.
    #[must_use]
    pub fn volume(self, volume: Volume) -> Self {
        Self { volume, ..self }
    }

    /// How many stores there are, 1 or more; 214 by default.
    #[must_use]
    pub fn stores(mut self, stores: u32) -> Self {
        self.volume.stores = stores;
        self
    }

    /// How many distribution centres there are, 1 or more; 8 by default.
    #[must_use]
    pub fn dcs(mut self, dcs: u32) -> Self {
        self.volume.dcs = dcs;
        self
    }

    /// How many customers there are, 1 or more; 500 000 by default.
    #[must_use]
    pub fn customers(mut self, customers: u32) -> Self {
        self.volume.customers = customers;
        self
    }

    /// How many products there are, 1 or more; 10 000 by default.
    #[must_use]
    pub fn products(mut self, products: u32) -> Self {
        self.volume.products = products;
        self
    }

    /// What every choice derives from; 42 by default.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The `source` of the envelopes; `retail-datagen` by default.
    #[must_use]
    pub fn source(self, source: impl Into<Text>) -> Self {
        Self { source: source.into(), ..self }
    }

    /// Makes events only of every `count`th store, from the `index`th on (counted from 0): several
    /// factories share the stores. All of them may have events of centres, ads and customers. Trace
    /// ids that are given have to differ from part to part; other ids do as these do.
    #[must_use]
    pub fn shard(self, index: u32, count: u32) -> Self {
        Self { shard: (index, count), ..self }
    }

    /// Where trace ids come from; by default from the seed, as the first origin.
    #[must_use]
    pub fn trace_ids(self, trace_ids: TraceIds) -> Self {
        Self { trace_ids: Some(trace_ids), ..self }
    }

    /// The factory.
    ///
    /// # Panics
    /// If one of the volumes is 0, or the part has no store.
    pub fn build(self) -> EventFactory {
        let Volume { stores, dcs, customers, products } = self.volume;
        assert!(
            [stores, dcs, customers, products].iter().all(|volume| *volume > 0),
            "a world without stores, centres, customers or products has no events"
        );
        let (index, count) = self.shard;
        assert!(index < count && count <= stores, "{count} parts of {stores} stores");
        let catalog = Catalog::new(mix(self.seed), self.volume);
        let own = (index + 1..=stores).step_by(count as usize);
        let traffic: Vec<f64> = own.map(|store| catalog.traffic(store)).collect();
        let cell = if count > 1 { u64::from(index) + 1 } else { 0 };
        let trace_ids = self.trace_ids.unwrap_or_else(|| TraceIds::new(self.seed, 0).cell(cell));
        EventFactory {
            volume: self.volume,
            shard: self.shard,
            source: self.source,
            random: Random::new(self.seed, stream(index, count)),
            sequence: trace_ids.origin() * SEQUENCES_PER_ORIGIN,
            trace_ids,
            catalog,
            hours: vec![Hours::Untold; traffic.len()],
            traffic: Alias::new(&traffic),
            receipts: Recent::new(),
            sold: Recent::new(),
            visits: Recent::new(),
            stock: Stock::new(mix(self.seed)),
            empty: Recent::new(),
            low: Recent::new(),
            yard: Recent::new(),
            leads: Recent::new(),
            orders: Recent::new(),
            troubles: Recent::new(),
        }
    }
}

impl EventFactory {
    /// A factory to set up.
    pub fn builder() -> EventFactoryBuilder {
        EventFactoryBuilder {
            volume: Volume::default(),
            shard: (0, 1),
            seed: 42,
            source: Text::from_static("retail-datagen"),
            trace_ids: None,
        }
    }

    /// One event of a type, at a time. Times should not go back from call to call.
    pub fn generate_event(&mut self, event_type: EventType, now: Timestamp) -> Event {
        let mut event = match event_type {
            EventType::ReceiptCreated => self.receipt_created(now),
            EventType::ReceiptLineAdded => self.receipt_line_added(now),
            EventType::PaymentProcessed => self.payment_processed(now),
            EventType::InventoryUpdated => self.inventory_updated(now),
            EventType::StockoutDetected => self.stockout_detected(now),
            EventType::ReorderTriggered => self.reorder_triggered(now),
            EventType::CustomerEntered => self.customer_entered(now),
            EventType::CustomerZoneChanged => self.customer_zone_changed(now),
            EventType::BlePingDetected => self.ble_ping_detected(now),
            EventType::TruckArrived => self.truck_arrived(now),
            EventType::TruckDeparted => self.truck_departed(now),
            EventType::StoreOpened => self.store_opened(now),
            EventType::StoreClosed => self.store_closed(now),
            EventType::AdImpression => self.ad_impression(now),
            EventType::PromotionApplied => self.promotion_applied(now),
            EventType::OnlineOrderCreated => self.online_order_created(now),
            EventType::OnlineOrderPicked => self.online_order_picked(now),
            EventType::OnlineOrderShipped => self.online_order_shipped(now),
            EventType::IncidentStarted => self.incident_started(now),
            EventType::IncidentEnded => self.incident_ended(now),
        };
        envelope::fill(&mut event, event_type, None);
        event
    }

    /// That many events of one time, their types drawn by weight.
    pub fn generate_mixed_events(
        &mut self,
        count: usize,
        now: Timestamp,
        weights: &EventWeights,
    ) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        self.append_mixed_events(&mut events, count, now, weights);
        events
    }

    /// The same, added to `events`.
    pub fn append_mixed_events(
        &mut self,
        events: &mut Vec<Event>,
        count: usize,
        now: Timestamp,
        weights: &EventWeights,
    ) {
        events.extend((0..count).map(|_| {
            let event_type = self.draw_type(weights);
            self.generate_event(event_type, now)
        }));
    }

    /// A type, drawn by weight.
    pub fn draw_type(&mut self, weights: &EventWeights) -> EventType {
        weights.draw(&mut self.random)
    }

    /// Whether an event of a type should happen at that time: drawn with the probability that
    /// [`activity`] gives, so nights and weekends are quieter.
    pub fn should_generate_event(&mut self, event_type: EventType, now: Timestamp) -> bool {
        self.random.chance(activity(event_type, now))
    }

    /// An event that is still to get its facts; with room for exactly the fields of its type.
    fn blank(&mut self, event_type: EventType, now: Timestamp) -> Event {
        let description = description_of(event_type);
        let mut event = Event::new(description.key, self.trace_ids.next(now), now);
        event.source.clone_from(&self.source);
        event.payload = Fields::with_capacity(description.fields.len());
        event
    }

    /// A new id; no two of a run have the same number.
    fn id(&mut self, prefix: Prefix, now: Timestamp) -> Text {
        self.sequence += 1;
        Text::stamped(prefix, now.as_seconds(), self.sequence)
    }

    fn any_store(&mut self) -> u32 {
        let place = self.traffic.draw(&mut self.random);
        self.store_at(place)
    }

    /// The store at a place among those of the part.
    fn store_at(&self, place: usize) -> u32 {
        let (index, count) = self.shard;
        place as u32 * count + index + 1
    }

    fn any_customer(&mut self) -> u32 {
        self.random.below(self.volume.customers) + 1
    }
}

/// The random stream of a part: no two parts draw the same, however many there are.
fn stream(index: u32, count: u32) -> u64 {
    (u64::from(count - 1) << 32) | u64::from(index)
}

/// A place that holds stock. It is kept as one number: a store's, or a centre's below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "i64", try_from = "i64")]
enum Place {
    Store(u32),
    Dc(u32),
}

impl From<Place> for i64 {
    fn from(place: Place) -> Self {
        match place {
            Place::Store(store) => store.into(),
            Place::Dc(dc) => -Self::from(dc),
        }
    }
}

impl TryFrom<i64> for Place {
    type Error = std::num::TryFromIntError;
    fn try_from(number: i64) -> Result<Self, Self::Error> {
        let unsigned = u32::try_from(number.unsigned_abs())?;
        Ok(if number < 0 { Self::Dc(unsigned) } else { Self::Store(unsigned) })
    }
}

impl Place {
    fn store(self) -> Option<u32> {
        match self {
            Self::Store(store) => Some(store),
            Self::Dc(_) => None,
        }
    }

    fn dc(self) -> Option<u32> {
        match self {
            Self::Store(_) => None,
            Self::Dc(dc) => Some(dc),
        }
    }
}
