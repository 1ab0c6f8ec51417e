//! The meter: sees every event of a stream once, and says how real the stream looks.

use engine::event::{Event, PRODUCT_ID, QUANTITY, Value};
use engine::retail::{EventType, Store, Weather, World};
use jiff::civil::Date;

use crate::ads::Ads;
use crate::arrivals::Arrivals;
use crate::band::{Band, UNBOUNDED};
use crate::baskets::Baskets;
use crate::days::{Days, Span};
use crate::footfall::{self, Dwell, WeatherAt};
use crate::hours::{self, Weekend};
use crate::lift::Lift;
use crate::payments::Payments;
use crate::places::Places;
use crate::products::Products;
use crate::season;
use crate::stock::Stock;
use crate::traffic::{Deed, Traffic};

/// Measures a stream against the master data that it was made from, and nothing else.
pub(crate) struct Meter<'w> {
    places: Places<'w>,
    weekend: Weekend,
    weather: Option<WeatherAt<'w>>,
    span: Span,
    counts: [u64; EventType::COUNT],
    traffic: Traffic,
    baskets: Baskets,
    payments: Payments,
    products: Products,
    lift: Lift,
    applied: Days<u64>,
    dwell: Dwell,
    arrivals: Arrivals,
    stock: Stock,
    ads: Ads,
}

impl<'w> Meter<'w> {
    /// A meter for streams of a world whose weekends are reduced.
    pub(crate) fn new(world: &'w World) -> Self {
        let (stores, products) = (world.stores.len(), world.products.len());
        Self {
            places: Places::new(world),
            weekend: Weekend::Reduced,
            weather: None,
            span: Span::EMPTY,
            counts: [0; EventType::COUNT],
            traffic: Traffic::new(stores),
            baskets: Baskets::new(),
            payments: Payments::default(),
            products: Products::new(world),
            lift: Lift::new(products),
            applied: Days::new(),
            dwell: Dwell::new(),
            arrivals: Arrivals::new(stores),
            stock: Stock::new(stores, products),
            ads: Ads::default(),
        }
    }

    /// With weekends as they are set for the stream.
    pub(crate) fn weekend(self, weekend: Weekend) -> Self {
        Self { weekend, ..self }
    }

    /// With the weather that the world had: events do not tell it.
    pub(crate) fn weather(self, weather: impl Fn(&Store, Date) -> Weather + 'w) -> Self {
        Self { weather: Some(Box::new(weather)), ..self }
    }

    /// Takes an event in. Those of one store have to come in order.
    pub(crate) fn see(&mut self, event: &Event) {
        self.span.extend(event.time);
        let Some(event_type) = EventType::from_key(event.event_type) else { return };
        self.counts[event_type as usize] += 1;
        match event_type {
            EventType::ReceiptCreated => self.see_receipt(event),
            EventType::ReceiptLineAdded => self.see_line(event),
            EventType::PaymentProcessed => self.payments.see_payment(event),
            EventType::PromotionApplied => self.see_promotion(event),
            EventType::CustomerEntered => self.see_entry(event),
            EventType::InventoryUpdated => self.see_stock(event),
            EventType::TruckDeparted => self.stock.see_truck(event),
            EventType::AdImpression => self.ads.see(event),
            _ => {}
        }
    }

    fn see_receipt(&mut self, event: &Event) {
        let Some(store) = self.places.store(event) else { return };
        let local = self.places.local(store, event.time);
        self.traffic.see(Deed::Receipt, store, local);
        self.baskets.see(event, self.places.store_at(store));
        self.payments.see_receipt(event);
    }

    fn see_line(&mut self, event: &Event) {
        let number = |key| event.payload.get(key).and_then(Value::as_i64);
        let (Some(store), Some(units)) = (self.places.store_of_key(event), number(QUANTITY)) else {
            return;
        };
        let product = number(PRODUCT_ID).and_then(|id| self.places.product(id));
        let Some(product) = product else { return };
        let region = self.places.region(store);
        let day = self.places.local(store, event.time).day();
        self.products.see(product, region, units.unsigned_abs());
        self.lift.see(event, product, region, day, units);
    }

    fn see_promotion(&mut self, event: &Event) {
        let Some(store) = self.places.store(event) else { return };
        let day = self.places.local(store, event.time).day();
        if let Some(applied) = self.applied.entry(day, || 0) {
            *applied += 1;
        }
    }

    fn see_entry(&mut self, event: &Event) {
        let Some(store) = self.places.store(event) else { return };
        let local = self.places.local(store, event.time);
        self.traffic.see(Deed::Entry, store, local);
        self.arrivals.see(store, event.time);
        self.dwell.see(event);
    }

    fn see_stock(&mut self, event: &Event) {
        let Some(store) = self.places.store(event) else { return };
        let local = self.places.local(store, event.time);
        self.stock.see(event, store, local, &self.places);
    }

    /// Everything that was measured.
    pub(crate) fn bands(&self) -> Vec<Band> {
        let Self { places, traffic, .. } = self;
        let days = self.span.whole_days(places.world);
        let mut bands = self.count_bands().to_vec();
        bands.extend(hours::bands(traffic, self.weekend, &days));
        bands.extend(season::bands(traffic, &self.applied, &days));
        bands.extend(footfall::conversion(traffic, places, &days));
        bands.extend(self.dwell.bands());
        bands.push(self.arrivals.band());
        bands.extend(footfall::volumes(traffic, places, &days));
        bands.extend(footfall::weather(traffic, places, &days, self.weather.as_ref()));
        bands.extend(self.baskets.bands());
        bands.extend(self.payments.bands());
        bands.extend(self.products.bands());
        bands.push(self.lift.band(traffic, places, &days));
        bands.extend(self.stock.bands());
        bands.extend(self.ads.bands());
        bands
    }

    /// How many events of each type a day has, and whether every type of the document is there.
    fn count_bands(&self) -> [Band; 2] {
        let per_day = |event_type: &EventType| {
            let count = self.counts[*event_type as usize] as f64;
            (event_type.to_string(), count / self.span.length_days())
        };
        let missing: Vec<&str> = EventType::DOCUMENT
            .iter()
            .filter(|event_type| self.counts[**event_type as usize] == 0)
            .map(|event_type| event_type.key().as_str())
            .collect();
        let all = EventType::DOCUMENT.len();
        let text = match missing.as_slice() {
            [] => String::new(),
            missing => format!("missing: {}", missing.join(", ")),
        };
        let total: u64 = self.counts.iter().sum();
        [
            Band::new("event types of the document", all as f64..=all as f64)
                .number((all - missing.len()) as f64, text),
            Band::new("events a day", UNBOUNDED).list(
                EventType::ALL.iter().map(per_day).collect(),
                format!("{total} in {:.2} days", self.span.length_days()),
            ),
        ]
    }
}
