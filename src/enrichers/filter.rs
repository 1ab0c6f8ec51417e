//! `type: filter`: keeps the events for which an expression is true.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::component::{BuildContext, Kind, Settings};
use crate::problem::Problems;
use crate::script::Condition;
use crate::stage::{Enricher, Rows, Stage, Verdict};

/// Keeps the events for which a condition is true, and drops the others.
///
/// An event for which the condition cannot be computed becomes a dead letter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterSettings {
    /// A Rhai expression over `event`, such as `event.payload.total > 100`.
    pub condition: String,
}

impl Settings for FilterSettings {
    const NAME: &'static str = "filter";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str =
        "condition: event.event_type == \"receipt_created\" && event.payload.total > 100\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let excerpt = cx.script("/condition", &self.condition)?;
        Ok(Stage::Enricher(Box::new(Filter { condition: Condition::compile(&excerpt)? })))
    }
}

struct Filter {
    condition: Condition,
}

impl Enricher for Filter {
    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(BTreeSet::new())
    }

    fn enrich(&mut self, rows: &mut Rows<'_>) {
        rows.for_each(|event| match self.condition.is_true_of(event) {
            Ok(true) => Verdict::Keep,
            Ok(false) => Verdict::Drop,
            Err(failure) => Verdict::Fail(failure),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, Key, RECEIPT_CREATED, STORE_CLOSED, TOTAL, Text, Timestamp, Value};
    use crate::problem::{Excerpt, SourceText};

    fn event(event_type: Key, total: impl Into<Value>) -> Event {
        let mut event = Event::new(event_type, Text::from("TR_1_00001"), Timestamp::from_millis(0));
        event.payload.set(TOTAL, total);
        event
    }

    #[test]
    fn events_for_which_the_condition_is_false_are_dropped_and_those_it_fails_on_are_said() {
        let text = "event.payload.total * 1 > 100".to_owned();
        let excerpt = Excerpt::whole(Arc::new(SourceText { name: "spec.yaml".to_owned(), text }));
        let mut filter = Filter { condition: Condition::compile(&excerpt).unwrap() };
        let mut events = [
            event(RECEIPT_CREATED, 100_i64),
            event(STORE_CLOSED, 250.5),
            event(RECEIPT_CREATED, vec![Value::Null]),
        ];
        let before = events.clone();
        let mut rows = Rows::new(&mut events, None);
        filter.enrich(&mut rows);
        let verdicts = rows.into_verdicts();
        assert_eq!(verdicts[0], (0, Verdict::Drop));
        assert!(
            matches!(&verdicts[1], (2, Verdict::Fail(failure)) if failure.category == "script")
        );
        assert_eq!(verdicts.len(), 2);
        assert_eq!(events, before);
    }
}
