//! The enricher `loyalty_tier`: a list of customers, read once, and a field for each event.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::path::PathBuf;

use engine_plugin::{Engine, Enricher, Error, Key, Metric, Plugin, Rows, Value};
use schemars::JsonSchema;
use serde::Deserialize;

/// Adds the loyalty tier of the customer, from a list of customers.
///
/// Events without a customer pass by as they are. Use `when:` to look at some types only.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A CSV file with the columns `customer_id` and `tier`; others are left alone. Relative to the
    /// working directory.
    customers: PathBuf,
    /// The tier of customers that are not in the list. By default they get none.
    otherwise: Option<String>,
    /// The field of the payload that holds the customer.
    #[serde(default = "default_customer_field")]
    customer_field: String,
    /// The field of the payload that the tier is put into.
    #[serde(default = "default_field")]
    field: String,
}

fn default_customer_field() -> String {
    "customer_id".to_owned()
}

fn default_field() -> String {
    "loyalty_tier".to_owned()
}

/// More customers than this are taken for a mistake.
const CUSTOMERS_MAX: usize = 5_000_000;

/// So many lines that are wrong are told at once.
const PROBLEMS_MAX: usize = 10;

/// The enricher.
pub struct LoyaltyTier {
    settings: Settings,
    customer: Key,
    field: Key,
    unknown: Metric,
    /// By customer.
    tiers: HashMap<String, String>,
    /// The customer of the event at hand, as text; kept for its memory.
    id: String,
}

impl Plugin for LoyaltyTier {
    const NAME: &'static str = "loyalty_tier";
    const EXAMPLE: &'static str = "customers: customers.csv\notherwise: bronze\n";
    type Settings = Settings;

    /// Fields are asked for here, once: a path that is wrong is an error before anything runs.
    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self {
            customer: engine.key(&format!("payload.{}", settings.customer_field))?,
            field: engine.key(&format!("payload.{}", settings.field))?,
            unknown: engine.counter("unknown_customers", "events"),
            settings,
            tiers: HashMap::new(),
            id: String::new(),
        })
    }

    /// The file is read here: where a pipeline is only checked, it need not be there.
    fn start(&mut self) -> Result<(), Error> {
        self.tiers = read(&self.settings.customers)?;
        Ok(())
    }
}

impl Enricher for LoyaltyTier {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            self.id.clear();
            match rows.get(row, self.customer) {
                Value::Str(id) => self.id.push_str(id),
                Value::I64(id) => _ = write!(self.id, "{id}"),
                _ => continue,
            }
            let known = self.tiers.get(&self.id);
            if known.is_none() {
                self.unknown.increment();
            }
            if let Some(tier) = known.or(self.settings.otherwise.as_ref()) {
                rows.set(row, self.field, tier);
            }
        }
        Ok(())
    }
}

/// The tiers of a file, by customer; or all that is wrong with it, with lines.
fn read(path: &PathBuf) -> Result<HashMap<String, String>, Error> {
    let shown = path.display();
    let failed = |error: csv::Error| Error::config(format_args!("cannot read `{shown}`: {error}"));
    let trim = csv::Trim::All;
    let mut file = csv::ReaderBuilder::new().trim(trim).from_path(path).map_err(failed)?;
    let header = file.headers().map_err(failed)?.clone();
    let column = |name: &str| {
        let place = header.iter().position(|known| known == name);
        place.ok_or_else(|| Error::config(format_args!("{shown}:1: there is no column `{name}`")))
    };
    let (customer, tier) = (column("customer_id")?, column("tier")?);
    let mut tiers = HashMap::new();
    let mut problems = Vec::new();
    for record in file.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        match (&record[customer], &record[tier]) {
            ("", _) => problems.push(format!("{shown}:{line}: `customer_id` is empty")),
            (_, "") => problems.push(format!("{shown}:{line}: `tier` is empty")),
            (id, name) => match tiers.entry(id.to_owned()) {
                Entry::Vacant(entry) => _ = entry.insert(name.to_owned()),
                Entry::Occupied(_) => {
                    problems.push(format!("{shown}:{line}: customer `{id}` is there twice"));
                }
            },
        }
        if problems.len() == PROBLEMS_MAX || tiers.len() > CUSTOMERS_MAX {
            break;
        }
    }
    if tiers.len() > CUSTOMERS_MAX {
        problems.push(format!("{shown}: more than {CUSTOMERS_MAX} customers"));
    }
    if problems.is_empty() { Ok(tiers) } else { Err(Error::Config(problems.join("; "))) }
}

#[cfg(test)]
mod tests {
    use engine_plugin::testing::{self, Failed, Fate, Fault, TestEnricher};
    use serde_json::{Value as Json, json};

    use super::LoyaltyTier;

    /// The enricher with a list of customers, and further settings.
    fn with_list(list: &str, mut settings: Json) -> Result<TestEnricher, Failed> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("customers.csv");
        std::fs::write(&path, list).unwrap();
        settings["customers"] = path.to_str().unwrap().into();
        testing::enricher::<LoyaltyTier>(settings)
    }

    fn of(customer: impl Into<Json>) -> Json {
        json!({ "payload": { "customer_id": customer.into() } })
    }

    /// The tier of each, empty where there is none.
    fn tiers(fates: &[Fate]) -> Vec<&str> {
        let events = fates.iter().map(|fate| fate.kept().unwrap());
        events.map(|event| event["payload"]["loyalty_tier"].as_str().unwrap_or_default()).collect()
    }

    const LIST: &str = "tier,name,customer_id\ngold,Ada,7\nsilver,\"Bo, Jr.\",K8\n";

    #[test]
    fn customers_get_the_tier_of_the_list_and_others_the_other() -> Result<(), Failed> {
        let mut enricher = with_list(LIST, json!({ "otherwise": "bronze" }))?;
        let fates = enricher.enrich([of(7), of("7"), of("K8"), of(9), of(Json::Null)])?;
        assert_eq!(tiers(&fates), ["gold", "gold", "silver", "bronze", ""]);
        assert_eq!(enricher.host().metric("unknown_customers").unwrap().count, 1);
        Ok(())
    }

    #[test]
    fn without_another_tier_unknown_customers_get_none() -> Result<(), Failed> {
        let settings = json!({ "customer_field": "member", "field": "tier" });
        let mut enricher = with_list(LIST, settings)?;
        let member = |id| json!({ "payload": { "member": id } });
        let fates = enricher.enrich([member(7), member(9)])?;
        assert_eq!(fates[0].kept().unwrap()["payload"], json!({ "member": 7, "tier": "gold" }));
        assert_eq!(fates[1].kept().unwrap()["payload"], json!({ "member": 9 }));
        Ok(())
    }

    #[test]
    fn all_that_is_wrong_with_a_list_is_told_with_its_line() {
        let list = "customer_id,tier\n1,gold\n,gold\n2,\n1,silver\n";
        let failed = with_list(list, json!({})).err().unwrap();
        assert_eq!(failed.fault, Fault::Config);
        let lines: Vec<_> = failed.reason.split("; ").collect();
        assert_eq!(lines.len(), 3, "{failed}");
        assert!(lines[0].ends_with("customers.csv:3: `customer_id` is empty"), "{failed}");
        assert!(lines[1].ends_with("customers.csv:4: `tier` is empty"), "{failed}");
        assert!(lines[2].ends_with("customers.csv:5: customer `1` is there twice"), "{failed}");
        let reason = |list| with_list(list, json!({})).err().unwrap().reason;
        assert!(reason("id,tier\n").ends_with(":1: there is no column `customer_id`"));
        assert!(reason("customer_id,tier\n1\n").contains("line: 2"));
    }

    #[test]
    fn a_list_that_is_not_there_is_an_error_at_the_start() {
        let failed = testing::enricher::<LoyaltyTier>(json!({ "customers": "nowhere.csv" }));
        let reason = failed.err().unwrap().reason;
        assert!(reason.starts_with("cannot read `nowhere.csv`: "), "{reason}");
    }
}
