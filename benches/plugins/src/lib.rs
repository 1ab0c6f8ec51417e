//! The plugins that `benches/plugins.rs` measures: each does what a stage in the bench does.

use std::collections::HashMap;

use engine_plugin::{
    Correlator, Delivery, Engine, Enricher, Error, Events, Key, Observed, Output, Plugin, Rows,
    Sink, export_plugins, schemars, serde,
};

/// There is nothing to set.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "engine_plugin::serde")]
#[schemars(crate = "engine_plugin::schemars")]
pub struct Settings {}

/// Reads three fields and writes two.
pub struct Marks {
    total: Key,
    store: Key,
    event_type: Key,
    high_value: Key,
    channel_group: Key,
}

impl Plugin for Marks {
    const NAME: &'static str = "bench_marks";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            total: engine.key("payload.total")?,
            store: engine.key("payload.store_id")?,
            event_type: engine.key("event_type")?,
            high_value: engine.key("payload.high_value")?,
            channel_group: engine.key("payload.channel_group")?,
        })
    }
}

impl Enricher for Marks {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            let total = rows.f64(row, self.total);
            let is_here = !rows.get(row, self.store).is_null();
            let is_ad = rows.str(row, self.event_type) == Some("ad_impression");
            rows.set(row, self.high_value, is_here && total.is_some_and(|total| total > 100.0));
            rows.set(row, self.channel_group, if is_ad { "ads" } else { "store" });
        }
        Ok(())
    }
}

/// Reads two fields of each event, counts by one of them, and derives an event from every tenth.
pub struct Rush {
    store: Key,
    total: Key,
    receipts: Key,
    states: HashMap<i64, (i64, f64)>,
}

impl Plugin for Rush {
    const NAME: &'static str = "bench_rush";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            store: engine.key("payload.store_id")?,
            total: engine.key("payload.total")?,
            receipts: engine.key("payload.receipts")?,
            states: HashMap::new(),
        })
    }
}

impl Correlator for Rush {
    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
        for row in 0..events.len() {
            let store = events.i64(row, self.store).unwrap_or_default();
            let state = self.states.entry(store).or_default();
            state.0 += 1;
            state.1 += events.f64(row, self.total).unwrap_or_default();
            if state.0 % 10 == 0 {
                let made = out.push_caused_by("basket_rush", events, row);
                out.set(made, self.receipts, state.0);
                out.set(made, self.store, store);
            }
        }
        Ok(())
    }
}

/// Writes events as JSON, to nowhere.
pub struct Lines(Vec<u8>);

impl Plugin for Lines {
    const NAME: &'static str = "bench_lines";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, _: &Engine) -> Result<Self, Error> {
        Ok(Self(Vec::new()))
    }
}

impl Sink for Lines {
    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        self.0.clear();
        for row in 0..events.len() {
            events.write_json(row, &mut self.0);
            self.0.push(b'\n');
        }
        std::hint::black_box(&self.0);
        delivery.delivered();
    }
}

export_plugins!(enricher Marks, correlator Rush, sink Lines);
