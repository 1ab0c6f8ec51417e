//! The `validate` enricher: events that do not keep to their schema go no further.

mod instance;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::Path;

use jsonschema::{ValidationError, Validator};
use rustc_hash::FxBuildHasher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::instance::{EventJson, Instance};
use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key};
use crate::problem::Problems;
use crate::retail::{self, EventType};
use crate::stage::{Enricher, Failure, Rows, Stage, Verdict};

/// How many faults of one event its failure names.
const FAULTS_NAMED: usize = 3;
/// How long a value may be to be shown beside its fault, in bytes.
const SHOWN_BYTES: usize = 40;

/// Checks events against the schemas of the event contract, or against a JSON Schema of your own.
///
/// An event that does not keep to its schema becomes a dead letter that says which field is wrong
/// and why, or is dropped. The other events go on unchanged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Validate {
    /// A file with a JSON Schema for all events, relative to the spec. References may point within
    /// it; nothing is fetched. By default each event is checked against the schema of its type
    /// (`engine schema event TYPE` shows it).
    pub schema: Option<String>,
    /// What the schema of your own describes; `payload` by default.
    pub applies_to: Option<AppliesTo>,
    /// What becomes of an event that does not keep to its schema.
    pub on_invalid: OnInvalid,
    /// What becomes of an event whose type is not in the contract; `pass` by default. Of no use
    /// with a schema of your own, which is for all types.
    pub unknown_types: Option<UnknownTypes>,
}

/// What a schema describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliesTo {
    /// The payload alone.
    #[default]
    Payload,
    /// The whole envelope.
    Event,
}

/// What becomes of an event that does not keep to its schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It becomes a dead letter, with the reason.
    #[default]
    DeadLetter,
    /// It is dropped, and counted as filtered.
    Drop,
}

/// What becomes of an event whose type has no schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownTypes {
    /// It goes on unchecked.
    #[default]
    Pass,
    /// It is treated as one that does not keep to its schema.
    Fail,
}

impl Settings for Validate {
    const NAME: &'static str = "validate";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str = "on_invalid: dead_letter\nunknown_types: fail\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        if self.schema.is_none() && self.applies_to.is_some() {
            let problem = cx.problem("/applies_to", "`applies_to` is for a `schema` of your own");
            return Err(problem.help("the contract's schemas are for whole events").into());
        }
        if self.schema.is_some() && self.unknown_types.is_some() {
            let message = "`unknown_types` has no meaning with a `schema`, which is for all types";
            return Err(cx.problem("/unknown_types", message).into());
        }
        let path = self.schema.as_deref().map(|path| cx.spec_path(path));
        let validation =
            self.validation(path.as_deref()).map_err(|message| cx.problem("/schema", message))?;
        Ok(Stage::Enricher(Box::new(validation)))
    }
}

impl Validate {
    fn validation(&self, schema: Option<&Path>) -> Result<Validation, String> {
        let schemas = match schema {
            None => contract(self.unknown_types.unwrap_or_default())?,
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("cannot read the schema `{}`: {error}", path.display())
                })?;
                let validator =
                    own(&text).map_err(|message| format!("`{}` {message}", path.display()))?;
                Schemas::Own(validator, self.applies_to.unwrap_or_default())
            }
        };
        Ok(Validation { schemas, on_invalid: self.on_invalid })
    }
}

struct Validation {
    schemas: Schemas,
    on_invalid: OnInvalid,
}

enum Schemas {
    Contract(HashMap<Key, Validator<EventJson>, FxBuildHasher>, UnknownTypes),
    Own(Validator<EventJson>, AppliesTo),
}

fn contract(unknown_types: UnknownTypes) -> Result<Schemas, String> {
    let validator = |event_type: EventType| {
        let validator = validator(&retail::schema(event_type))
            .map_err(|error| format!("the schema of `{event_type}` is no schema: {error}"))?;
        Ok((event_type.key(), validator))
    };
    let validators = EventType::ALL.into_iter().map(validator).collect::<Result<_, String>>()?;
    Ok(Schemas::Contract(validators, unknown_types))
}

fn own(text: &str) -> Result<Validator<EventJson>, String> {
    let schema = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    validator(&schema).map_err(|error| match error.instance_path().as_str() {
        "" => format!("is no JSON Schema: {error}"),
        pointer => format!("is no JSON Schema: at `{pointer}`: {error}"),
    })
}

fn validator(schema: &serde_json::Value) -> Result<Validator<EventJson>, ValidationError<'static>> {
    jsonschema::options_for::<EventJson>().offline().build(schema)
}

impl Enricher for Validation {
    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(BTreeSet::new())
    }

    fn enrich(&mut self, rows: &mut Rows<'_>) {
        rows.for_each(|event| match self.check(event) {
            Ok(()) => Verdict::Keep,
            Err(_) if self.on_invalid == OnInvalid::Drop => Verdict::Drop,
            Err(faults) => Verdict::Fail(Failure::new("schema", faults.text())),
        });
    }
}

/// Why an event does not pass; the words are found only where somebody reads them.
enum Faults<'a> {
    UnknownType(Key),
    Invalid(&'a Validator<EventJson>, Instance<'a>),
}

impl Validation {
    fn check<'a>(&'a self, event: &'a Event) -> Result<(), Faults<'a>> {
        let (validator, instance) = match &self.schemas {
            Schemas::Own(validator, AppliesTo::Event) => (validator, Instance::Event(event)),
            Schemas::Own(validator, AppliesTo::Payload) => {
                (validator, Instance::Fields(&event.payload))
            }
            Schemas::Contract(validators, unknown_types) => {
                match (validators.get(&event.event_type), unknown_types) {
                    (Some(validator), _) => (validator, Instance::Event(event)),
                    (None, UnknownTypes::Pass) => return Ok(()),
                    (None, UnknownTypes::Fail) => {
                        return Err(Faults::UnknownType(event.event_type));
                    }
                }
            }
        };
        if validator.is_valid(instance) {
            Ok(())
        } else {
            Err(Faults::Invalid(validator, instance))
        }
    }
}

impl Faults<'_> {
    fn text(&self) -> String {
        match self {
            Self::UnknownType(name) => {
                format!("`{}` is not an event type of the contract", name.as_str())
            }
            Self::Invalid(validator, instance) => {
                let mut errors = validator.iter_errors(*instance);
                let named: Vec<_> = errors.by_ref().take(FAULTS_NAMED).map(|e| fault(&e)).collect();
                match errors.count() {
                    0 => named.join("; "),
                    more => format!("{}; and {more} more", named.join("; ")),
                }
            }
        }
    }
}

/// Where and what, without the whole value.
fn fault(error: &ValidationError<'_>) -> String {
    let value = match &**error.instance() {
        serde_json::Value::Object(_) => "the object".to_owned(),
        serde_json::Value::Array(_) => "the array".to_owned(),
        value => match value.to_string() {
            text if text.len() <= SHOWN_BYTES => format!("`{text}`"),
            _ => "the value".to_owned(),
        },
    };
    let mut message = error.masked_with(value).to_string();
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    match error.instance_path().as_str() {
        "" => message,
        pointer => format!("`{pointer}`: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::JsonReader;

    const OPENED: &str = r#"{"event_type":"store_opened","payload":{"store_id":12,
        "operation_time":"2024-11-29T08:00:00.000Z","operation_type":"opened"},
        "trace_id":"TR_1732867200_00001","ingest_timestamp":"2024-11-29T08:00:00.000Z",
        "schema_version":"1.0","source":"retail-datagen","correlation_id":"store_ops_12",
        "partition_key":"store_12","session_id":null,"parent_event_id":null}"#;

    fn verdict(settings: &Validate, schema: Option<&Path>, line: &str) -> Verdict {
        let mut validation = settings.validation(schema).unwrap();
        let mut events = [JsonReader::new().event(line.as_bytes()).unwrap()];
        let mut rows = Rows::new(&mut events, None);
        validation.enrich(&mut rows);
        rows.into_verdicts().pop().map_or(Verdict::Keep, |(_, verdict)| verdict)
    }

    fn reason(settings: &Validate, schema: Option<&Path>, line: &str) -> String {
        match verdict(settings, schema, line) {
            Verdict::Fail(Failure { category: "schema", reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_that_keeps_to_the_contract_goes_on() {
        assert_eq!(verdict(&Validate::default(), None, OPENED), Verdict::Keep);
        let with_more = OPENED.replace("\"store_id\":12", "\"store_id\":12,\"mood\":\"good\"");
        assert_eq!(verdict(&Validate::default(), None, &with_more), Verdict::Keep);
    }

    #[test]
    fn a_fault_is_named_with_its_place_and_without_the_event() {
        let settings = Validate::default();
        let wrong = OPENED.replace("\"store_id\":12", "\"store_id\":\"twelve\"");
        assert_eq!(
            reason(&settings, None, &wrong),
            "`/payload/store_id`: `\"twelve\"` is not of type \"integer\""
        );
        let missing = OPENED
            .replace(",\"operation_type\":\"opened\"", "")
            .replace("\"operation_time\":", "\"at\":");
        let reason = reason(&settings, None, &missing);
        assert!(
            reason.contains("`/payload`: \"operation_time\" is a required property"),
            "{reason}"
        );
        assert!(
            reason.contains("`/payload`: \"operation_type\" is a required property"),
            "{reason}"
        );
        let drop = Validate { on_invalid: OnInvalid::Drop, ..settings };
        assert_eq!(verdict(&drop, None, &missing), Verdict::Drop);
    }

    #[test]
    fn types_that_are_not_in_the_contract_pass_unless_they_may_not() {
        let unknown = OPENED.replace("store_opened", "basket_rush");
        assert_eq!(verdict(&Validate::default(), None, &unknown), Verdict::Keep);
        let strict = Validate { unknown_types: Some(UnknownTypes::Fail), ..Validate::default() };
        assert_eq!(
            reason(&strict, None, &unknown),
            "`basket_rush` is not an event type of the contract"
        );
        assert_eq!(verdict(&strict, None, OPENED), Verdict::Keep);
    }

    #[test]
    fn a_schema_of_the_users_own_is_for_payloads_or_for_events() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.json");
        let schema = r##"{"properties":{"store_id":{"$ref":"#/$defs/store"}},
            "required":["store_id"],"$defs":{"store":{"type":"integer","maximum":10}}}"##;
        std::fs::write(&path, schema).unwrap();
        let settings = Validate::default();
        let small = OPENED.replace("\"store_id\":12", "\"store_id\":3");
        assert_eq!(verdict(&settings, Some(&path), &small), Verdict::Keep);
        assert_eq!(
            reason(&settings, Some(&path), OPENED),
            "`/store_id`: `12` is greater than the maximum of 10"
        );
        let whole = Validate { applies_to: Some(AppliesTo::Event), ..settings };
        assert_eq!(reason(&whole, Some(&path), &small), "\"store_id\" is a required property");
    }

    #[test]
    fn a_schema_that_is_none_is_refused_and_nothing_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.json");
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Validate::default().validation(Some(&path)).err().unwrap()
        };
        assert!(error("{").contains("own.json` is no JSON: "));
        let wrong_type = error(r#"{"properties":{"a":{"type":"integr"}}}"#);
        assert!(
            wrong_type.contains("is no JSON Schema: at `/properties/a/type`: "),
            "{wrong_type}"
        );
        let remote = error(r#"{"$ref":"http://127.0.0.1:9/schema.json"}"#);
        assert!(remote.contains("is no JSON Schema: "), "{remote}");
        let missing = folder.path().join("gone.json");
        let error = Validate::default().validation(Some(&missing)).err().unwrap();
        assert!(error.starts_with("cannot read the schema `"), "{error}");
    }
}
