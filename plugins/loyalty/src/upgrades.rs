//! The correlator `loyalty_upgrades`: what customers spent lately, and the events of those who rise
//! or fall.

use std::collections::{HashMap, VecDeque};

use engine_plugin::{
    Correlator, Engine, Error, Key, Metric, Observed, Output, Plugin, Value, serde_json,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tells when the loyalty tier of a customer changes, by what was spent within a rolling window.
///
/// It adds up `payload.total` of `receipt_created` for each `payload.customer_id`. A receipt that
/// lifts its customer into another tier leads to an event `tier_changed`, and so does spend that
/// leaves the window. Its payload has `customer_id`, `from_tier`, `to_tier` and `spend`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tiers, from the lowest, which is from 0.
    #[schemars(length(min = 1))]
    tiers: Vec<Tier>,
    /// How long a purchase counts, in hours of event time.
    #[schemars(range(min = 1, max = 87_600))]
    window_hours: u32,
    /// How many purchases are remembered, of all customers. Beyond, the oldest leave the window
    /// early.
    #[serde(default = "default_max_purchases")]
    #[schemars(range(min = 1))]
    max_purchases: usize,
}

/// A tier of customers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tier {
    /// Its name.
    name: String,
    /// The spend from which on a customer is in it.
    from: f64,
}

fn default_max_purchases() -> usize {
    1_000_000
}

/// The correlator.
pub struct LoyaltyUpgrades {
    settings: Settings,
    engine: Engine,
    keys: Keys,
    forgotten: Metric,
    /// The purchases within the window, the oldest first. All else follows from them, so they are
    /// all that is saved.
    purchases: VecDeque<Purchase>,
    /// What a customer spent within the window, in cents: whole numbers add up and come down to 0.
    spend: HashMap<Customer, i64>,
}

struct Keys {
    event_type: Key,
    time: Key,
    customer: Key,
    total: Key,
    from_tier: Key,
    to_tier: Key,
    spend: Key,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Purchase {
    /// Milliseconds since 1970.
    at: i64,
    customer: Customer,
    cents: i64,
}

/// A customer, as the receipts have them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
enum Customer {
    Number(i64),
    Text(String),
}

/// A customer is in another tier.
struct Change {
    from_tier: usize,
    to_tier: usize,
    cents: i64,
}

impl Plugin for LoyaltyUpgrades {
    const NAME: &'static str = "loyalty_upgrades";
    const EXAMPLE: &'static str = "\
window_hours: 720
tiers:
  - { name: bronze, from: 0 }
  - { name: silver, from: 500 }
  - { name: gold, from: 2000 }
";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        // What a schema cannot say.
        let tiers = &settings.tiers;
        if tiers.first().is_none_or(|lowest| lowest.from != 0.0) {
            return Err(Error::config("`tiers`: the first one is from 0"));
        }
        if let Some(pair) = tiers.windows(2).find(|pair| pair[0].from >= pair[1].from) {
            let (lower, upper) = (&pair[0].name, &pair[1].name);
            let reason = format!("`tiers`: `{upper}` has to be from more than `{lower}`");
            return Err(Error::Config(reason));
        }
        Ok(Self {
            settings,
            engine: engine.clone(),
            keys: Keys {
                event_type: engine.key("event_type")?,
                time: engine.key("ingest_timestamp")?,
                customer: engine.key("payload.customer_id")?,
                total: engine.key("payload.total")?,
                from_tier: engine.key("payload.from_tier")?,
                to_tier: engine.key("payload.to_tier")?,
                spend: engine.key("payload.spend")?,
            },
            forgotten: engine.counter("forgotten_purchases", "purchases"),
            purchases: VecDeque::new(),
            spend: HashMap::new(),
        })
    }
}

impl Correlator for LoyaltyUpgrades {
    const REMEMBERS: bool = true;

    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
        for row in 0..events.len() {
            let Some(purchase) = self.purchase(events, row) else { continue };
            self.expire(purchase.at, out);
            if self.purchases.len() >= self.settings.max_purchases {
                self.forgotten.increment();
                self.forget_oldest(out);
            }
            if let Some(change) = self.change(&purchase.customer, purchase.cents) {
                let derived = out.push_caused_by("tier_changed", events, row);
                self.tell(derived, &purchase.customer, &change, out);
            }
            self.purchases.push_back(purchase);
        }
        self.ask_for_tick();
        Ok(())
    }

    fn tick(&mut self, now_ms: i64, out: &mut Output<'_>) -> Result<(), Error> {
        self.expire(now_ms, out);
        self.ask_for_tick();
        Ok(())
    }

    /// What is within the window at the end stays there: nothing is left open.
    fn drain(&mut self, _: i64, _: &mut Output<'_>) -> Result<(), Error> {
        self.engine.next_tick(None);
        Ok(())
    }

    fn save(&self) -> serde_json::Value {
        serde_json::to_value(&self.purchases).unwrap_or_default()
    }

    fn restore(&mut self, state: serde_json::Value) -> Result<(), Error> {
        self.purchases = serde_json::from_value(state).map_err(Error::fatal)?;
        for place in 0..self.purchases.len() {
            let Purchase { customer, cents, .. } = self.purchases[place].clone();
            self.change(&customer, cents);
        }
        self.ask_for_tick();
        Ok(())
    }
}

impl LoyaltyUpgrades {
    /// What an event says about a customer's spend; none if it does not.
    fn purchase(&self, events: &Observed<'_>, row: usize) -> Option<Purchase> {
        let keys = &self.keys;
        if events.str(row, keys.event_type) != Some("receipt_created") {
            return None;
        }
        let customer = match events.get(row, keys.customer) {
            Value::I64(number) => Customer::Number(number),
            Value::Str(text) => Customer::Text(text.to_owned()),
            _ => return None,
        };
        let cents = (events.f64(row, keys.total)? * 100.0).round() as i64;
        // One that comes late is counted as of now, so that the oldest stay in front.
        let newest = self.purchases.back().map_or(i64::MIN, |newest| newest.at);
        Some(Purchase { at: events.i64(row, keys.time)?.max(newest), customer, cents })
    }

    /// Adds to a customer's spend, or takes from it.
    fn change(&mut self, customer: &Customer, cents: i64) -> Option<Change> {
        let before = self.spend.remove(customer).unwrap_or(0);
        let after = before.saturating_add(cents);
        if after != 0 {
            self.spend.insert(customer.clone(), after);
        }
        let (from_tier, to_tier) = (self.tier_of(before), self.tier_of(after));
        (from_tier != to_tier).then_some(Change { from_tier, to_tier, cents: after })
    }

    /// The place of the tier that a spend leads to.
    fn tier_of(&self, cents: i64) -> usize {
        let spend = cents as f64 / 100.0;
        self.settings.tiers.partition_point(|tier| tier.from <= spend).saturating_sub(1)
    }

    fn leaves_at(&self, purchase: &Purchase) -> i64 {
        purchase.at.saturating_add(i64::from(self.settings.window_hours) * 3_600_000)
    }

    /// Takes out what has left the window.
    fn expire(&mut self, now_ms: i64, out: &mut Output<'_>) {
        while self.purchases.front().is_some_and(|oldest| self.leaves_at(oldest) <= now_ms) {
            self.forget_oldest(out);
        }
    }

    fn forget_oldest(&mut self, out: &mut Output<'_>) {
        let Some(Purchase { customer, cents, .. }) = self.purchases.pop_front() else { return };
        if let Some(change) = self.change(&customer, cents.saturating_neg()) {
            let derived = out.push("tier_changed");
            self.tell(derived, &customer, &change, out);
        }
    }

    fn tell(&self, row: usize, customer: &Customer, change: &Change, out: &mut Output<'_>) {
        let (keys, tiers) = (&self.keys, &self.settings.tiers);
        match customer {
            Customer::Number(number) => out.set(row, keys.customer, *number),
            Customer::Text(text) => out.set(row, keys.customer, text),
        };
        out.set(row, keys.from_tier, &tiers[change.from_tier].name);
        out.set(row, keys.to_tier, &tiers[change.to_tier].name);
        out.set(row, keys.spend, change.cents as f64 / 100.0);
    }

    /// The engine calls `tick` when the oldest purchase leaves the window, though nobody buys then.
    fn ask_for_tick(&self) {
        self.engine.next_tick(self.purchases.front().map(|oldest| self.leaves_at(oldest)));
    }
}

#[cfg(test)]
mod tests {
    use engine_plugin::testing::{self, Failed, START_MS, TestCorrelator};
    use serde_json::{Value as Json, json};

    use super::LoyaltyUpgrades;

    const HOUR_MS: i64 = 3_600_000;

    fn settings() -> Json {
        json!({
            "window_hours": 24,
            "tiers": [{ "name": "bronze", "from": 0 }, { "name": "gold", "from": 100.5 }],
        })
    }

    fn upgrades() -> Result<TestCorrelator, Failed> {
        testing::correlator::<LoyaltyUpgrades>(settings())
    }

    fn receipt(hour: u8, customer: impl Into<Json>, total: f64) -> Json {
        json!({
            "event_type": "receipt_created",
            "trace_id": format!("TR_{hour}"),
            "ingest_timestamp": format!("2026-01-05T{hour:02}:00:00Z"),
            "payload": { "customer_id": customer.into(), "total": total },
        })
    }

    fn payloads(derived: &[Json]) -> Vec<&Json> {
        derived.iter().map(|event| &event["payload"]).collect()
    }

    #[test]
    fn a_receipt_that_reaches_a_tier_leads_to_an_event_and_the_next_one_does_not()
    -> Result<(), Failed> {
        let mut upgrades = upgrades()?;
        assert!(upgrades.observe(receipt(9, 7, 100.4))?.derived.is_empty());
        assert!(upgrades.observe(receipt(9, "7", 100.4))?.derived.is_empty(), "someone else");
        let derived = upgrades.observe(receipt(10, 7, 0.1))?.derived;
        let change =
            json!({ "customer_id": 7, "from_tier": "bronze", "to_tier": "gold", "spend": 100.5 });
        assert_eq!(payloads(&derived), [&change]);
        assert_eq!(derived[0]["event_type"], "tier_changed");
        assert_eq!(derived[0]["parent_event_id"], "TR_10");
        assert!(upgrades.observe(receipt(11, 7, 50.0))?.derived.is_empty());
        Ok(())
    }

    #[test]
    fn what_leaves_the_window_is_told_by_the_tick_that_was_asked_for() -> Result<(), Failed> {
        let mut upgrades = upgrades()?;
        upgrades.observe(receipt(9, 7, 60.1))?;
        upgrades.observe(receipt(10, 7, 60.2))?;
        let leaves = START_MS + 24 * HOUR_MS;
        assert_eq!(upgrades.next_tick(), Some(leaves));
        assert!(upgrades.tick(leaves - 1)?.is_empty());
        let change =
            json!({ "customer_id": 7, "from_tier": "gold", "to_tier": "bronze", "spend": 60.2 });
        assert_eq!(payloads(&upgrades.tick(leaves)?), [&change]);
        assert_eq!(upgrades.next_tick(), Some(leaves + HOUR_MS));
        assert!(upgrades.tick(leaves + HOUR_MS)?.is_empty());
        assert_eq!(upgrades.next_tick(), None, "nothing is left");
        Ok(())
    }

    #[test]
    fn the_oldest_purchases_are_forgotten_when_there_are_too_many() -> Result<(), Failed> {
        let mut settings = settings();
        settings["max_purchases"] = 2.into();
        let mut upgrades = testing::correlator::<LoyaltyUpgrades>(settings)?;
        assert_eq!(upgrades.observe(receipt(9, 1, 200.0))?.derived.len(), 1);
        upgrades.observe(receipt(10, 2, 1.0))?;
        let derived = upgrades.observe(receipt(11, 3, 1.0))?.derived;
        assert_eq!(derived[0]["payload"]["customer_id"], 1);
        assert_eq!(derived[0]["payload"]["to_tier"], "bronze");
        assert_eq!(upgrades.host().metric("forgotten_purchases").unwrap().count, 1);
        Ok(())
    }

    #[test]
    fn it_goes_on_from_what_it_remembers() -> Result<(), Failed> {
        let mut first = upgrades()?;
        first.observe(receipt(9, 7, 60.0))?;
        let state = first.save()?;
        let mut second = testing::restored_correlator::<LoyaltyUpgrades>(settings(), &state)?;
        assert_eq!(second.next_tick(), first.next_tick());
        assert_eq!(second.observe(receipt(10, 7, 60.0))?.derived[0]["payload"]["spend"], 120.0);
        Ok(())
    }

    #[test]
    fn other_events_pass_by() -> Result<(), Failed> {
        let mut upgrades = upgrades()?;
        for event in [json!({}), receipt(9, Json::Null, 200.0)] {
            let seen = upgrades.observe(event)?;
            assert!(seen.event.kept().is_some() && seen.derived.is_empty());
        }
        assert_eq!(upgrades.next_tick(), None);
        Ok(())
    }

    #[test]
    fn tiers_that_make_no_sense_are_told() {
        let wrong = |tiers: Json| {
            let settings = json!({ "window_hours": 1, "tiers": tiers });
            testing::correlator::<LoyaltyUpgrades>(settings).err().unwrap().reason
        };
        assert_eq!(wrong(json!([])), "`tiers`: the first one is from 0");
        let twice = json!([{ "name": "a", "from": 0 }, { "name": "b", "from": 0 }]);
        assert_eq!(wrong(twice), "`tiers`: `b` has to be from more than `a`");
    }
}
