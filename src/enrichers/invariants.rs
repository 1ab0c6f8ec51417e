//! The `invariants` enricher: an independent check of what is always true of a `retail` stream.
//!
//! It takes nothing from the generators but the contract's types, names and enumerations, and ids
//! are to it texts that are equal or not.

mod bill;
mod checker;
mod envelope;
mod marketing;
mod memory;
mod orders;
mod receipts;
mod rules;
mod seen;
mod stock;
mod stores;
mod taxes;
#[cfg(test)]
mod tests;
mod trucks;
mod visits;
mod watch;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use self::checker::Checker;
use self::rules::RuleSet;
use self::watch::{Spans, Watch, bit};
use crate::component::{BuildContext, Kind, Settings};
use crate::monitor::FindingsBoard;
use crate::problem::{Problem, Problems};
use crate::retail::{EventType, Family};
use crate::spec::SpecDuration;
use crate::stage::{Enricher, Rows, Stage, Verdict};

pub use self::rules::{RULES, Rule, RuleDescription};

/// Checks that a stream keeps the invariants of the event contract, across events.
///
/// It is for whole streams as the `retail` source makes them, in the order of event time: of all
/// stores, or of one shard. (`retail_mix` promises none of this, and `validate` checks each event by
/// itself.) The run's report has the number of violations of each rule with its first example, and
/// so has `--report` under the stage's `findings`.
///
/// A rule about types that the stream does not have is not checked. Which it has is told by `types`,
/// or else seen: a type counts from its first event on, so an invariant that the first event of a
/// type would break alone is not noticed without `types`. What is still open when the stream ends is
/// exempt. What should have come and did not is noticed when its time is over, `receipt_within` and
/// the like.
///
/// Memory is bounded: receipts, orders, visits, shipments and ids go when their time is over, and no
/// memory grows beyond `max_entries` entries. Where one is full, the oldest goes (of stock, the new
/// product at a place is not taken up), and a question that this leaves open counts as unchecked,
/// never as a violation. Trace ids are kept as hashes: all for `remember`, impressions for eight
/// days, reorders, orders, trucks, incidents and what leaves a DC for twice `delivery_within`.
///
/// The memory is of one run and one instance: `parallelism` stays 1, and a run that goes on from a
/// state needs `joined_late: true`.
///
/// The rules:
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = list_rules)]
pub struct Invariants {
    /// What becomes of a violation.
    pub on_violation: OnViolation,
    /// The rules to check, by their names; all, if there are none.
    pub rules: Vec<Rule>,
    /// The types or families that the stream has, such as `transactions` or `receipt_created`;
    /// those that came so far, if there are none.
    pub types: Vec<String>,
    /// Whether the stream is joined in the middle: events may refer to what came before the first.
    pub joined_late: bool,
    /// How many entries each memory may have. Balances of stock, the most of them, take about 20
    /// bytes each, trace ids 10.
    #[schemars(range(min = 1))]
    pub max_entries: usize,
    /// How long visits and trace ids are remembered, in event time. An event that comes later than
    /// that after its cause counts as without one.
    pub remember: SpecDuration,
    /// By when a receipt has to have its lines, promotions, payment and movements of stock.
    pub receipt_within: SpecDuration,
    /// By when an online order has to be paid, taken from stock, picked and shipped.
    pub order_within: SpecDuration,
    /// By when a reorder has to have led to a shipment.
    pub delivery_within: SpecDuration,
}

/// What becomes of a violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnViolation {
    /// It is counted.
    #[default]
    Count,
    /// It is counted, and the event that breaks the rule becomes a dead letter, of the rule's name
    /// as its category. What only time shows has no such event.
    DeadLetter,
    /// It is counted, and the run has failed at its end, with exit code 1.
    Fail,
}

impl Default for Invariants {
    fn default() -> Self {
        let hours = |hours: u64| SpecDuration(Duration::from_secs(hours * 3600));
        Self {
            on_violation: OnViolation::Count,
            rules: Vec::new(),
            types: Vec::new(),
            joined_late: false,
            max_entries: 1 << 24,
            remember: hours(24),
            receipt_within: hours(1),
            order_within: hours(3 * 24),
            delivery_within: hours(14 * 24),
        }
    }
}

/// Puts the rules behind the description, so that the reference has them.
fn list_rules(schema: &mut Schema) {
    let text = schema.get("description").and_then(|text| text.as_str()).unwrap_or_default();
    let rule = |rule: &RuleDescription| format!("\n\n- `{}`: {}", rule.name, rule.statement);
    let text = format!("{text}{}", RULES.iter().map(rule).collect::<String>());
    schema.insert("description".to_owned(), text.into());
}

impl Settings for Invariants {
    const NAME: &'static str = "invariants";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str = "on_violation: fail\nremember: 24h\n";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut problems = Problems::default();
        let pointer = format!("{}/parallelism", cx.pointer);
        if cx.document.value(&pointer).as_u64().is_some_and(|instances| instances > 1) {
            let problem = Problem::error("`invariants` checks across events, in one instance");
            let problem = problem.at(cx.document.place(&pointer));
            problems.append(problem.help("leave `parallelism` out").into());
        }
        let types = self.type_set(cx, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Stage::Enricher(Box::new(self.inspector(types))))
    }
}

impl Invariants {
    /// The types that the stream is told to have, as a set of bits.
    fn type_set(&self, cx: &BuildContext<'_>, problems: &mut Problems) -> Option<u32> {
        let mut set = 0;
        for (place, name) in self.types.iter().enumerate() {
            match (EventType::from_str(name), Family::from_str(name)) {
                (Ok(event_type), _) => set |= bit(event_type),
                (_, Ok(family)) => family.event_types().for_each(|it| set |= bit(it)),
                (Err(error), Err(_)) => {
                    problems
                        .append(cx.problem(&format!("/types/{place}"), error.to_string()).into());
                }
            }
        }
        (!self.types.is_empty()).then_some(set)
    }

    fn inspector(self, types: Option<u32>) -> Inspector {
        let millis = |span: SpecDuration| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        let spans = Spans {
            recent: millis(self.remember),
            receipt: millis(self.receipt_within),
            order: millis(self.order_within),
            delivery: millis(self.delivery_within),
        };
        let rules =
            if self.rules.is_empty() { RuleSet::ALL } else { self.rules.into_iter().collect() };
        let watch = Watch::new(rules, types, spans)
            .with_joined_late(self.joined_late)
            .with_failing_events(self.on_violation == OnViolation::DeadLetter);
        let board = FindingsBoard::default();
        board.lock().fail_run = self.on_violation == OnViolation::Fail;
        Inspector { checker: Checker::new(watch, self.max_entries.max(1)), board }
    }
}

struct Inspector {
    checker: Checker,
    board: FindingsBoard,
}

impl Enricher for Inspector {
    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(BTreeSet::new())
    }

    fn enrich(&mut self, rows: &mut Rows<'_>) {
        rows.for_each(|event| match self.checker.see(event) {
            Some(failure) => Verdict::Fail(failure),
            None => Verdict::Keep,
        });
        self.checker.watch.report(rows.len() as u64, &mut self.board.lock());
    }

    fn findings(&self) -> Option<FindingsBoard> {
        Some(self.board.clone())
    }
}
