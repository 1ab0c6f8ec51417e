//! The correlator `{{name}}`, a plugin of `engine`.

use std::collections::BTreeMap;

use engine_plugin::{
    Correlator, Engine, Error, Key, Observed, Output, Plugin, export_plugins, serde_json,
};

/// Counts the receipts of each store.
///
/// With every so many of them it gives an event `milestone_reached`, whose cause is the receipt that
/// made up the number. (`engine describe {{name}}` shows this text, and those of the settings.)
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many receipts make an event.
    #[schemars(range(min = 1))]
    every: u32,
}

/// What is remembered has a bound: receipts of further stores become dead letters.
const STORES_MAX: usize = 100_000;

pub struct Counts {
    every: u32,
    event_type: Key,
    store: Key,
    count: Key,
    /// By store.
    receipts: BTreeMap<i64, u32>,
}

impl Plugin for Counts {
    const NAME: &'static str = "{{name}}";
    const EXAMPLE: &'static str = "every: 10\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            every: settings.every,
            event_type: engine.key("event_type")?,
            store: engine.key("payload.store_id")?,
            count: engine.key("payload.count")?,
            receipts: BTreeMap::new(),
        })
    }
}

impl Correlator for Counts {
    /// `save` and `restore` are there: with `state:`, the next run goes on counting.
    const REMEMBERS: bool = true;

    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
        for row in 0..events.len() {
            if events.str(row, self.event_type) != Some("receipt_created") {
                continue;
            }
            let Some(store) = events.i64(row, self.store) else {
                continue;
            };
            if self.receipts.len() == STORES_MAX && !self.receipts.contains_key(&store) {
                events.fail(row, "more stores than are counted");
                continue;
            }
            let count = self.receipts.entry(store).or_default();
            *count += 1;
            if count.is_multiple_of(self.every) {
                let derived = out.push_caused_by("milestone_reached", events, row);
                out.set(derived, self.store, store);
                out.set(derived, self.count, *count);
            }
        }
        Ok(())
    }

    fn save(&self) -> serde_json::Value {
        serde_json::to_value(&self.receipts).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), Error> {
        self.receipts = serde_json::from_value(state).map_err(Error::fatal)?;
        Ok(())
    }
}

export_plugins!(correlator Counts);

#[cfg(test)]
mod tests {
    use engine_plugin::testing::{self, Failed};
    use serde_json::{Value, json};

    use super::Counts;

    fn receipt(store: u32) -> Value {
        json!({
            "event_type": "receipt_created",
            "trace_id": "TR_1",
            "payload": { "store_id": store },
        })
    }

    #[test]
    fn every_other_receipt_of_a_store_makes_an_event() -> Result<(), Failed> {
        let mut counts = testing::correlator::<Counts>(json!({ "every": 2 }))?;
        assert!(counts.observe(receipt(7))?.derived.is_empty());
        assert!(counts.observe(receipt(8))?.derived.is_empty());
        let derived = counts.observe(receipt(7))?.derived;
        assert_eq!(derived.len(), 1);
        assert_eq!(derived[0]["payload"], json!({ "store_id": 7, "count": 2 }));
        assert_eq!(derived[0]["parent_event_id"], "TR_1");
        Ok(())
    }

    #[test]
    fn it_goes_on_counting_where_another_one_stopped() -> Result<(), Failed> {
        let settings = json!({ "every": 2 });
        let mut first = testing::correlator::<Counts>(settings.clone())?;
        first.observe(receipt(7))?;
        let state = first.save()?;
        let mut second = testing::restored_correlator::<Counts>(settings, &state)?;
        assert_eq!(second.observe(receipt(7))?.derived.len(), 1);
        Ok(())
    }
}
