//! The enricher `{{name}}`, a plugin of `engine`.

use engine_plugin::{Engine, Enricher, Error, Key, Metric, Plugin, Rows, export_plugins};

/// Tells large baskets from small ones.
///
/// It puts `large` or `small` into `payload.basket`, by `payload.total`. Events without a total are
/// left as they are. (`engine describe {{name}}` shows this text, and those of the settings.)
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The total from which on a basket is large.
    #[serde(default = "default_large_from")]
    #[schemars(range(min = 0))]
    large_from: f64,
}

fn default_large_from() -> f64 {
    100.0
}

pub struct Baskets {
    large_from: f64,
    total: Key,
    basket: Key,
    large: Metric,
}

impl Plugin for Baskets {
    const NAME: &'static str = "{{name}}";
    const EXAMPLE: &'static str = "large_from: 100.0\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            large_from: settings.large_from,
            total: engine.key("payload.total")?,
            basket: engine.key("payload.basket")?,
            large: engine.counter("large_baskets", "events"),
        })
    }
}

impl Enricher for Baskets {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            let Some(total) = rows.f64(row, self.total) else {
                continue;
            };
            if total < 0.0 {
                rows.fail(row, "a total below 0"); // a dead letter, with this reason
            } else if total < self.large_from {
                rows.set(row, self.basket, "small");
            } else {
                rows.set(row, self.basket, "large");
                self.large.increment();
            }
        }
        Ok(())
    }
}

export_plugins!(enricher Baskets);

#[cfg(test)]
mod tests {
    use engine_plugin::testing::{self, Failed, Fate};
    use serde_json::json;

    use super::Baskets;

    #[test]
    fn baskets_are_large_from_the_total_that_the_settings_say() -> Result<(), Failed> {
        let mut baskets = testing::enricher::<Baskets>(json!({ "large_from": 50 }))?;
        let fates = baskets.enrich([
            json!({ "payload": { "total": 49.99 } }),
            json!({ "payload": { "total": 50 } }),
            json!({ "payload": { "total": -1 } }),
            json!({ "payload": {} }),
        ])?;
        let basket = |fate: &Fate| fate.kept().unwrap()["payload"]["basket"].clone();
        assert_eq!(basket(&fates[0]), "small");
        assert_eq!(basket(&fates[1]), "large");
        assert_eq!(fates[2], Fate::Failed("a total below 0".to_owned()));
        assert_eq!(basket(&fates[3]), json!(null));
        assert_eq!(baskets.host().metric("large_baskets").unwrap().count, 1);
        Ok(())
    }
}
