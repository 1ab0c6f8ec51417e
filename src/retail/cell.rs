//! A cell: a distribution centre with its stores, trucks and customers. Nothing crosses cells, so
//! each runs by itself, and threads and shards change nothing.
//!
//! It takes one task after the other from its schedule; what each does stands in [`processes`], a
//! file for each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slab::Slab;

use super::event_types::EventType;
use super::event_types::EventTypes;
use super::ground::Ground;
use super::processes::{
    Disruptions, Marketing, OnlineOrder, Ordering, PendingReturn, Replenishment, Sale, Shop, Stock,
    Visit,
};
use super::promotions::PromotionWeek;
use super::reporter::{Numbering, Reporter};
use super::scene::Scene;
use super::schedule::{Millis, Schedule, Task};
use super::weigh::{Moment, Weigh};
use crate::event::{Event, Exact, Timestamp, TokenIndex, TraceIds};

/// A distribution centre with all that belongs to it, at a point of event time.
pub(super) struct Cell {
    pub(super) scene: Arc<Scene>,
    pub(super) ground: Ground,
    pub(super) reporter: Reporter,
    pub(super) weights: Option<Box<dyn Weigh>>,
    pub(super) schedule: Schedule,
    pub(super) shops: Vec<Shop>,
    pub(super) stock: Stock,
    /// Pieces of each product that all stores together sell on a mean day.
    pub(super) demand: Vec<f32>,
    pub(super) visits: Slab<Visit>,
    pub(super) sales: Slab<Sale>,
    pub(super) returns: Slab<PendingReturn>,
    pub(super) replenishment: Replenishment,
    pub(super) marketing: Marketing,
    pub(super) ordering: Ordering,
    pub(super) orders: Slab<OnlineOrder>,
    pub(super) disruptions: Disruptions,
    /// The promotions of the last two weeks that were asked for: weeks begin later in the west.
    promotions: [Option<Arc<PromotionWeek>>; 2],
}

/// What a cell remembers. Everything else follows from the scene.
#[derive(Serialize, Deserialize)]
pub(super) struct Memory<'a> {
    counts: (u64, u64),
    /// Events that were reported and not taken, as JSON.
    untaken: String,
    schedule: Kept<'a, Schedule>,
    shops: Kept<'a, Vec<Shop>>,
    stock: Kept<'a, Stock>,
    visits: Kept<'a, Slab<Visit>>,
    sales: Kept<'a, Slab<Sale>>,
    returns: Kept<'a, Slab<PendingReturn>>,
    replenishment: Kept<'a, Replenishment>,
    marketing: Kept<'a, Marketing>,
    ordering: Kept<'a, Ordering>,
    orders: Kept<'a, Slab<OnlineOrder>>,
    disruptions: Kept<'a, Disruptions>,
}

/// Something that is written where it stands, and owned once it is read.
enum Kept<'a, T> {
    Lent(&'a T),
    Owned(T),
}

impl<T: Serialize> Serialize for Kept<'_, T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lent(value) => value.serialize(serializer),
            Self::Owned(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Kept<'_, T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Owned)
    }
}

impl<T> Kept<'_, T> {
    fn put(self, place: &mut T) {
        if let Self::Owned(value) = self {
            *place = value;
        }
    }
}

impl Cell {
    /// A cell at the begin of event time.
    pub(super) fn new(
        scene: Arc<Scene>,
        ground: Ground,
        trace_ids: TraceIds,
        numbering: Numbering,
        emit: EventTypes,
        weights: Option<Box<dyn Weigh>>,
    ) -> Self {
        let reporter = Reporter::new(trace_ids, scene.options.source.clone(), emit, numbering);
        let seed = scene.options.seed;
        let mut cell = Self {
            shops: ground.stores.iter().map(|store| Shop::new(&scene, *store)).collect(),
            stock: Stock::new(ground.stores.len() + 1, scene.world.products.len()),
            replenishment: Replenishment::new(seed, ground.dc, ground.trucks.len()),
            marketing: Marketing::new(seed, ground.dc),
            ordering: Ordering::new(seed, ground.dc),
            demand: Vec::new(),
            scene,
            ground,
            reporter,
            weights,
            schedule: Schedule::default(),
            visits: Slab::new(),
            sales: Slab::new(),
            returns: Slab::new(),
            orders: Slab::new(),
            disruptions: Disruptions::default(),
            promotions: [None, None],
        };
        cell.foresee_demand();
        cell.begin();
        cell
    }

    /// Plans the first tasks.
    fn begin(&mut self) {
        let start = self.scene.start;
        self.plan_incidents(start);
        for store in 0..self.shops.len() as u32 {
            self.schedule.at(start, Task::Day(store));
        }
        if self.shops.is_empty() {
            return;
        }
        self.schedule.at(start, Task::Supply);
        self.schedule.at(start, Task::Ad);
        if self.is_ordering() {
            self.schedule.at(start, Task::Ordering);
        }
    }

    /// Goes on until just before an instant.
    pub(super) fn run_until(&mut self, end: Millis) {
        while let Some((now, task)) = self.schedule.pop_before(end) {
            self.perform(task, now);
        }
    }

    /// The time of the first event that was reported and not yet taken.
    pub(super) fn first_event_time(&self) -> Option<Timestamp> {
        self.reporter.events().front().map(|event| event.time)
    }

    /// When something happens next.
    pub(super) fn next_time(&self) -> Option<Millis> {
        self.schedule.next_time()
    }

    fn perform(&mut self, task: Task, now: Millis) {
        match task {
            Task::Day(store) => self.begin_day(store, now),
            Task::Open(store) => self.open(store, now),
            Task::Close(store) => self.close(store, now),
            Task::Footfall(store) => self.footfall(store, now),
            Task::Visit(slot) => self.go_on_visiting(slot, now),
            Task::Sale(slot) => self.go_on_selling(slot, now),
            Task::Return(slot) => self.bring_back(slot, now),
            Task::Upkeep(store) => self.keep_up(store, now),
            Task::Dispatch(store) => self.dispatch(store, now),
            Task::Shipment(slot) => self.go_on_shipping(slot, now),
            Task::Supply => self.supply(now),
            Task::Ad => self.advertise(now),
            Task::Lead(customer) => self.follow_ad(customer, now),
            Task::Ordering => self.take_orders(now),
            Task::Order(slot) => self.go_on_with_order(slot, now),
            Task::IncidentBegins(number) => self.begin_incident(number, now),
            Task::IncidentEnds(number) => self.end_incident(number, now),
        }
    }

    /// What the user weighs a type with at a moment; 1 where it is not weighted.
    pub(super) fn weight(&mut self, event_type: EventType, moment: &Moment) -> f64 {
        let weight = self.weights.as_mut().map_or(1.0, |it| it.weight(event_type, moment));
        if weight.is_finite() { weight.clamp(0.0, 1e6) } else { 1.0 }
    }

    /// The promotions of a week.
    pub(super) fn promotion_week(&mut self, week: u32) -> Arc<PromotionWeek> {
        let known = self.promotions.iter().flatten().find(|known| known.week() == week);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let (seed, products) = (self.scene.options.seed, self.scene.world.products.len());
        let new = Arc::new(PromotionWeek::new(seed, week, products, &self.scene.assortments));
        self.promotions.swap(0, 1);
        self.promotions[0] = Some(Arc::clone(&new));
        new
    }

    /// All that it remembers now.
    pub(super) fn memory(&self) -> Memory<'_> {
        let untaken: Vec<_> = self.reporter.events().iter().map(Exact).collect();
        let untaken = match serde_json::to_string(&untaken) {
            Ok(json) => json,
            Err(error) => unreachable!("an event that is no JSON: {error}"),
        };
        Memory {
            counts: self.reporter.counts(),
            untaken,
            schedule: Kept::Lent(&self.schedule),
            shops: Kept::Lent(&self.shops),
            stock: Kept::Lent(&self.stock),
            visits: Kept::Lent(&self.visits),
            sales: Kept::Lent(&self.sales),
            returns: Kept::Lent(&self.returns),
            replenishment: Kept::Lent(&self.replenishment),
            marketing: Kept::Lent(&self.marketing),
            ordering: Kept::Lent(&self.ordering),
            orders: Kept::Lent(&self.orders),
            disruptions: Kept::Lent(&self.disruptions),
        }
    }

    /// Goes on from what another cell of the same scene remembered.
    pub(super) fn restore(&mut self, memory: Memory<'_>) -> Result<(), String> {
        let (shops, stock) = (self.shops.len(), self.stock.size());
        memory.schedule.put(&mut self.schedule);
        memory.shops.put(&mut self.shops);
        memory.stock.put(&mut self.stock);
        memory.visits.put(&mut self.visits);
        memory.sales.put(&mut self.sales);
        memory.returns.put(&mut self.returns);
        memory.replenishment.put(&mut self.replenishment);
        memory.marketing.put(&mut self.marketing);
        memory.ordering.put(&mut self.ordering);
        memory.orders.put(&mut self.orders);
        memory.disruptions.put(&mut self.disruptions);
        if (self.shops.len(), self.stock.size()) != (shops, stock) {
            return Err("it is of a chain of another size".to_owned());
        }
        let untaken: Vec<Exact<Event>> =
            serde_json::from_str(&memory.untaken).map_err(|error| error.to_string())?;
        let untaken = untaken.into_iter().map(|Exact(event)| under_the_first_token(event));
        *self.reporter.events_mut() = untaken.collect();
        self.reporter.go_on_from(memory.counts);
        for store in 0..self.shops.len() as u32 {
            self.recall_day(store);
        }
        self.ground.recall_inside(self.visits.iter().map(|(_, visit)| visit.customer));
        Ok(())
    }
}

/// An event that was read again is covered by the token of the batch in which it is told now.
fn under_the_first_token(event: Event) -> Event {
    Event { token: TokenIndex::default(), ..event }
}
