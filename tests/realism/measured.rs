//! The meter on streams whose figures are known.

use engine::event::{
    AD_IMPRESSION, CHANNEL, CUSTOMER_ENTERED, DWELL_TIME, EXTENDED_PRICE, Event, INVENTORY_UPDATED,
    ITEM_COUNT, JRN, PRODUCT_ID, PROMO_CODE, PROMOTION_APPLIED, QUANTITY, QUANTITY_ON_HAND,
    RECEIPT_CREATED, RECEIPT_LINE_ADDED, SOURCE, STORE_CLOSED, TENDER_TYPE, TOTAL_CENTS, Text,
    Timestamp, UNIT_PRICE, Value,
};
use engine::retail::{EventFactory, EventType, EventWeights, Random, Store, Volume, Weather};
use jiff::civil::{Date, date};
use std::time::Duration;

use crate::band::{Band, Figure, Verdict};
use crate::chain::{PRODUCTS, at, event, small_world, store_event};
use crate::days::{black_friday, day_of, weekday};
use crate::hours::Weekend;
use crate::meter::Meter;
use crate::report;

/// When it is that time on a date in a store of the small world.
fn local(store: u32, date: Date, hour: i8, minute: i8) -> Timestamp {
    let zone = if store <= 2 { "America/New_York" } else { "America/Los_Angeles" };
    let zoned = date.at(hour, minute, 0, 0).in_tz(zone).unwrap();
    Timestamp::from_millis(zoned.timestamp().as_millisecond())
}

/// Dates from one on.
fn dates(first: Date, count: usize) -> Vec<Date> {
    first.series(jiff::Span::new().days(1)).take(count).collect()
}

fn entry(store: u32, time: Timestamp) -> Event {
    store_event(CUSTOMER_ENTERED, time, store, [(DWELL_TIME, 900_i64.into())])
}

fn receipt(store: u32, time: Timestamp) -> Event {
    let fields =
        [(ITEM_COUNT, 2_i64.into()), (TOTAL_CENTS, 1000_i64.into()), (TENDER_TYPE, "CASH".into())];
    store_event(RECEIPT_CREATED, time, store, fields)
}

/// What makes the days from one midnight in New York to another in Los Angeles whole.
fn ends(first: Date, count: usize) -> [Event; 2] {
    let last = *dates(first, count).last().unwrap();
    let closed = |time| store_event(STORE_CLOSED, time, 1, []);
    [closed(local(1, first, 0, 0)), closed(local(4, last, 23, 59))]
}

fn see_all(meter: &mut Meter, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|event| meter.see(&event));
}

fn band(meter: &Meter, name: &str) -> Band {
    let mut bands = meter.bands();
    let place = bands.iter().position(|band| band.name.starts_with(name));
    bands.swap_remove(place.unwrap_or_else(|| panic!("no band `{name}`")))
}

#[track_caller]
fn assert_figure(meter: &Meter, name: &str, expected: f64) {
    let band = band(meter, name);
    let Figure::Number(figure) = band.figure else { panic!("{band:?}") };
    assert!((figure - expected).abs() < 1e-6, "{figure} is not {expected}: {band:?}");
}

#[test]
fn an_hour_is_the_same_one_after_the_clocks_were_put_forward() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    // Clocks go forward on Sunday, 10 March 2024.
    let first = date(2024, 3, 7);
    see_all(&mut meter, ends(first, 6));
    for date in dates(first, 6) {
        for store in [1, 4] {
            let hours = [9, 13, 17, 17].map(|hour| entry(store, local(store, date, hour, 30)));
            see_all(&mut meter, hours);
        }
    }
    let peak = band(&meter, "peak hour of entries");
    assert_eq!(peak.text, "9h 25.0 13h 25.0 17h 50.0");
    assert_figure(&meter, "peak hour of entries", 50.0);
    assert_figure(&meter, "12 to 18 h of entries", 75.0);
    assert_eq!(band(&meter, "peak hour of receipts").verdict(), Verdict::Unmeasured);
}

#[test]
fn conversion_is_of_whole_days() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    let first = date(2024, 5, 6);
    see_all(&mut meter, ends(first, 2));
    for date in dates(first, 2) {
        see_all(&mut meter, (0..10).map(|minute| entry(1, local(1, date, 10, minute))));
        see_all(&mut meter, (0..3).map(|minute| receipt(1, local(1, date, 10, 20 + minute))));
    }
    let before = first.yesterday().unwrap();
    see_all(&mut meter, (0..9).map(|minute| receipt(1, local(1, before, 22, minute))));
    assert_figure(&meter, "receipts, % of entries", 30.0);
}

#[test]
fn a_saturday_is_held_against_how_weekends_are_set() {
    let world = small_world();
    let measure = |weekend, on_saturday, on_sunday| {
        let mut meter = Meter::new(&world).weekend(weekend);
        // With a holiday that nobody took into account.
        let first = date(2024, 5, 6);
        see_all(&mut meter, ends(first, 28));
        for (place, date) in dates(first, 28).into_iter().enumerate() {
            let count = match weekday(day_of(date)) {
                5 => on_saturday,
                6 => on_sunday,
                _ if place == 3 => 55,
                _ => 10,
            };
            see_all(&mut meter, (0..count).map(|minute| entry(1, local(1, date, 10, minute))));
        }
        band(&meter, "Saturday's entries").verdict()
    };
    assert_eq!(measure(Weekend::Reduced, 8, 8), Verdict::Ok);
    assert_eq!(measure(Weekend::Reduced, 12, 10), Verdict::Out);
    assert_eq!(measure(Weekend::Busy, 12, 10), Verdict::Ok);
    assert_eq!(measure(Weekend::Busy, 8, 8), Verdict::Out);
}

/// A line of so many units at 5.00 each, less a discount in percent.
fn line(store: u32, time: Timestamp, product: u32, units: u32, discount: u32) -> Event {
    let price = f64::from(units) * 5.0 * f64::from(100 - discount) / 100.0;
    let code: Value = if discount > 0 { "SAVE".into() } else { Value::Null };
    let fields = [
        (PRODUCT_ID, product.into()),
        (QUANTITY, units.into()),
        (UNIT_PRICE, 5.0.into()),
        (EXTENDED_PRICE, price.into()),
        (PROMO_CODE, code),
    ];
    let mut line = store_event(RECEIPT_LINE_ADDED, time, store, fields);
    line.payload.remove(engine::event::STORE_ID);
    line
}

/// Four weeks in store 1: 50 receipts a day, and 30 units of each product a day. From the 10th to
/// the 16th day a promotion runs on four of them, and twice as many receipts are written.
fn see_promotion(meter: &mut Meter, discount: u32, lift: f64) {
    let first = date(2024, 5, 6);
    see_all(meter, ends(first, 28));
    for (place, date) in dates(first, 28).into_iter().enumerate() {
        let is_busy = (10..=16).contains(&place);
        let traffic = if is_busy { 2 } else { 1 };
        let noon = local(1, date, 12, 0);
        see_all(meter, (0..50 * traffic).map(|_| receipt(1, noon)));
        for product in 1..=PRODUCTS {
            let is_promoted = product <= 4 && is_busy;
            let units = f64::from(30 * traffic) * if is_promoted { lift } else { 1.0 };
            let discount = if is_promoted { discount } else { 0 };
            meter.see(&line(1, noon, product, units as u32, discount));
            // The other coast sells as ever.
            meter.see(&line(4, noon, product, 20, 0));
        }
    }
}

#[test]
fn the_lift_of_a_discount_is_not_that_of_a_busy_week() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    see_promotion(&mut meter, 20, 1.8);
    assert_figure(&meter, "units by a discount of 20 %", 1.8);
    // Of seven days the first and the last only show that the promotion runs.
    let text = band(&meter, "units by a discount of 20 %").text;
    assert_eq!(text, "4 promotions of a product in a region, 100 % of 2160 units discounted");
}

#[test]
fn the_lift_of_other_discounts_is_not_that_of_20_percent() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    see_promotion(&mut meter, 50, 3.0);
    assert_eq!(band(&meter, "units by a discount of 20 %").verdict(), Verdict::Unmeasured);
}

#[test]
fn rarely_sold_products_show_no_lift_where_there_is_none() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    let first = date(2024, 5, 6);
    see_all(&mut meter, ends(first, 60));
    let mut random = Random::new(3, 0);
    for (place, date) in dates(first, 60).into_iter().enumerate() {
        let noon = local(1, date, 12, 0);
        see_all(&mut meter, (0..50).map(|_| receipt(1, noon)));
        for product in 1..=PRODUCTS {
            // Between none and eight a day, four in the mean.
            let units = random.below(9);
            let discount = if (20..=26).contains(&place) { 20 } else { 0 };
            if units > 0 {
                meter.see(&line(1, noon, product, units, discount));
            }
        }
    }
    let band = band(&meter, "units by a discount of 20 %");
    let Figure::Number(figure) = band.figure else { panic!("{band:?}") };
    assert!((figure - 1.0).abs() < 0.05, "{band:?}");
}

#[test]
fn weather_is_held_against_cloudy_days_of_the_same_store() {
    let world = small_world();
    let rains = |store: &Store, date: Date| store.id == 1 && date.day() % 3 == 0;
    let mut meter = Meter::new(&world).weather(move |store, date| {
        if rains(store, date) { Weather::Rain } else { Weather::Clouds }
    });
    let first = date(2024, 4, 1);
    see_all(&mut meter, ends(first, 63));
    for date in dates(first, 63) {
        for store in &world.stores {
            let usual: i32 = if weekday(day_of(date)) >= 5 { 30 } else { 50 };
            let count = if rains(store, date) { usual * 7 / 10 } else { usual } as i8;
            let entries =
                (0..count).map(|minute| entry(store.id, local(store.id, date, 9, minute)));
            see_all(&mut meter, entries);
        }
    }
    let band_of = |name| band(&meter, name);
    let Figure::Number(rain) = band_of("entries in rain").figure else { panic!("no figure") };
    assert!((rain - 0.7).abs() < 0.02, "{rain}");
    assert_eq!(band_of("entries in snow").verdict(), Verdict::Unmeasured);
}

#[test]
fn a_year_is_held_against_its_december_and_its_holidays() {
    let world = small_world();
    let year = |on_christmas: usize| {
        let mut meter = Meter::new(&world);
        let first = date(2024, 1, 1);
        see_all(&mut meter, ends(first, 366));
        for date in dates(first, 366) {
            let count = match (date.month(), date.day()) {
                (12, 25) => on_christmas,
                (12, _) => 24,
                _ if date == black_friday(2024) => 60,
                _ => 20,
            };
            let noon = local(1, date, 12, 0);
            see_all(&mut meter, (0..count).map(|_| receipt(1, noon)));
            let promoted = if date.month() == 12 { count / 2 } else { count / 4 };
            let applied = |_| store_event(PROMOTION_APPLIED, noon, 1, []);
            see_all(&mut meter, (0..promoted).map(applied));
        }
        meter
    };
    let meter = year(0);
    let days = 366.0;
    let total = 30.0 * 24.0 + 60.0 + (days - 32.0) * 20.0;
    assert_figure(&meter, "December's receipts", 30.0 * 24.0 / 31.0 / (total / days));
    assert_figure(&meter, "Black Friday's receipts", 3.0);
    assert_eq!(band(&meter, "entries and receipts on 25 December").verdict(), Verdict::Ok);
    assert_eq!(band(&meter, "promotions per receipt").verdict(), Verdict::Ok);
    assert_eq!(band(&year(1), "entries and receipts on 25 December").verdict(), Verdict::Out);
}

#[test]
fn stock_is_looked_at_at_noon_by_the_clock_of_the_store() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    let moved = |date, hour, product: u32, balance: i64, source: &'static str| {
        let fields = [
            (PRODUCT_ID, product.into()),
            (QUANTITY_ON_HAND, balance.into()),
            (SOURCE, source.into()),
        ];
        store_event(INVENTORY_UPDATED, local(4, date, hour, 0), 4, fields)
    };
    let [one, two, three] = [6, 7, 8].map(|day| date(2024, 5, day));
    let events = [
        moved(one, 7, 1, 5, "OPENING_BALANCE"),
        moved(one, 8, 1, 4, "POS"),
        moved(one, 8, 2, 3, "POS"),
        moved(one, 8, 3, 7, "OPENING_BALANCE"),
        moved(one, 11, 1, 0, "POS"),
        moved(two, 13, 1, 9, "SHIP_1"),
        // Empty for an hour that no noon is in.
        moved(two, 14, 2, 0, "POS"),
        moved(two, 15, 2, 1, "SHIP_2"),
        moved(three, 13, 2, 0, "POS"),
    ];
    see_all(&mut meter, events);
    // At two noons one of two was empty, at the third none.
    assert_figure(&meter, "out of stock", 100.0 * 2.0 / 6.0);
}

#[test]
fn a_journey_counts_where_it_begins() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    let time = at("2024-05-06T12:00:00Z");
    for number in 0..20_000 {
        for channel in ["SEARCH", "EMAIL"] {
            let mut shown = event(AD_IMPRESSION, time, [(CHANNEL, channel.into())]);
            // Every other journey is seen again by mail.
            let leads = number % 25 == 0 && (channel == "SEARCH" || number % 50 == 0);
            shown.correlation_id = leads.then(|| Text::stamped(JRN, time.as_seconds(), number));
            meter.see(&shown);
        }
    }
    assert_figure(&meter, "ads that lead somewhere, search", 4.0);
    assert_figure(&meter, "ads that lead somewhere, email", 0.0);
    assert_eq!(band(&meter, "ads that lead somewhere, display").verdict(), Verdict::Unmeasured);
}

/// The event factory pays and dwells as people do, and knows no hours, no stores and no baskets of
/// a format: the meter tells the one from the other.
#[test]
fn a_mix_without_a_world_behind_it_is_told_from_a_stream_of_one() {
    let world = small_world();
    let mut meter = Meter::new(&world);
    let (stores, products) = (world.stores.len() as u32, PRODUCTS);
    let volume = Volume { stores, products, dcs: 1, customers: 100_000 };
    let mut factory = EventFactory::builder().volume(volume).seed(7).build();
    let weights = EventWeights::new(EventType::ALL.map(|event_type| (event_type, 1.0))).unwrap();
    let mut events = Vec::new();
    for minute in 0..5 * 24 * 60 {
        let now = at("2024-05-06T00:00:00Z") + Duration::from_mins(minute);
        factory.append_mixed_events(&mut events, 50, now, &weights);
        events.drain(..).for_each(|event| meter.see(&event));
    }
    assert!(!report("the event factory", &meter), "its nights are as busy as its days");
    let ok = |name| band(&meter, name).verdict() == Verdict::Ok;
    for name in ["event types", "CASH", "CREDIT_CARD", "DEBIT_CARD", "CHECK", "MOBILE_PAY"] {
        assert!(ok(name), "{name}");
    }
    assert!(ok("dwell, median") && ok("dwell, sigma") && ok("declined cards"));
    assert!(!ok("peak hour of receipts") && !ok("12 to 18 h of entries"));
}
