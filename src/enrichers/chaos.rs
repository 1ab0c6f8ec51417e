//! `type: chaos`: events fail or are lost on purpose, to rehearse with.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Timestamp};
use crate::problem::Problems;
use crate::retail::Random;
use crate::script::seed_of;
use crate::stage::{Enricher, Failure, Rows, Stage, Verdict};

/// Fails on some events on purpose, so that dead letters and what comes after them can be rehearsed.
///
/// What fails becomes a dead letter of the category `chaos`. Which events these are depends on the
/// seed, the stage and the event, so it is the same in every run, and the same again in a replay:
/// take the stage out, or lower its rates, before you replay. The receiver's faults are a setting
/// of the sink: `delivery: { chaos: ... }`. A run with this stage says so.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChaosStage {
    /// The share of events that fail.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
    /// The share of events that are dropped, and counted as filtered.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub drop_rate: f64,
    /// The spans of event time in which this happens; always, if there are none.
    pub during: Vec<Window>,
    /// What the choice derives from; the pipeline's seed by default.
    pub seed: Option<u64>,
}

/// A span of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
}

impl Settings for ChaosStage {
    const NAME: &'static str = "chaos";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str = "\
error_rate: 0.02
drop_rate: 0.01
during: [{ from: 2024-11-29T10:00:00Z, to: 2024-11-29T10:30:00Z }]
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        if self.error_rate + self.drop_rate > 1.0 {
            let message = "`error_rate` and `drop_rate` are more than all events";
            return Err(cx.problem("/drop_rate", message).into());
        }
        let mut problems = Problems::default();
        for (place, window) in self.during.iter().enumerate() {
            if window.to <= window.from {
                let setting = format!("/during/{place}/to");
                problems.append(cx.problem(&setting, "the span ends before it begins").into());
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let seed = seed_of(self.seed.unwrap_or(cx.seed), cx.stage);
        let stage = cx.stage.to_owned();
        Ok(Stage::Enricher(Box::new(Chaos { settings: self, seed, stage, is_said: false })))
    }
}

struct Chaos {
    settings: ChaosStage,
    seed: u64,
    stage: String,
    /// Whether the log has it that this is on.
    is_said: bool,
}

impl Chaos {
    fn judge(&self, event: &Event) -> Verdict {
        let ChaosStage { error_rate, drop_rate, during, .. } = &self.settings;
        let is_within = |window: &Window| (window.from..window.to).contains(&event.time);
        if !during.is_empty() && !during.iter().any(is_within) {
            return Verdict::Keep;
        }
        let seed = event.trace_id.with_str(|id| seed_of(self.seed, id));
        let mut random = Random::new(seed, 0);
        // Each is drawn, so that changing one rate leaves what the other one chose.
        let [fails, drops] = [*error_rate, *drop_rate / (1.0 - error_rate).max(f64::MIN_POSITIVE)]
            .map(|rate| random.chance(rate));
        match (fails, drops) {
            (true, _) => Verdict::Fail(Failure::new("chaos", "chaos: it fails on purpose")),
            (false, true) => Verdict::Drop,
            (false, false) => Verdict::Keep,
        }
    }
}

impl Enricher for Chaos {
    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(BTreeSet::new())
    }

    fn enrich(&mut self, rows: &mut Rows<'_>) {
        if !std::mem::replace(&mut self.is_said, true) {
            tracing::warn!("chaos is on in `{}`: it fails on purpose", self.stage);
        }
        rows.for_each(|event| self.judge(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Text};

    fn chaos(settings: serde_json::Value) -> Chaos {
        let settings = serde_json::from_value(settings).unwrap();
        Chaos { settings, seed: seed_of(42, "x"), stage: "x".to_owned(), is_said: false }
    }

    fn events() -> Vec<Event> {
        let event = |number: i64| {
            let id = Text::from(format!("TR_1_{number:05}"));
            Event::new(RECEIPT_CREATED, id, Timestamp::from_millis(number))
        };
        (0..2000).map(event).collect()
    }

    fn verdicts(chaos: &mut Chaos, events: &mut [Event]) -> Vec<(u32, Verdict)> {
        let mut rows = Rows::new(events, None);
        chaos.enrich(&mut rows);
        rows.into_verdicts()
    }

    #[test]
    fn as_many_fail_and_are_dropped_as_the_rates_say() {
        let found = verdicts(
            &mut chaos(serde_json::json!({ "error_rate": 0.2, "drop_rate": 0.1 })),
            &mut events(),
        );
        let failed = found.iter().filter(|(_, it)| matches!(it, Verdict::Fail(_))).count();
        let dropped = found.len() - failed;
        assert!((340..460).contains(&failed), "{failed}");
        assert!((150..250).contains(&dropped), "{dropped}");
        let all = serde_json::json!({ "error_rate": 0.5, "drop_rate": 0.5 });
        assert_eq!(verdicts(&mut chaos(all), &mut events()).len(), 2000);
    }

    #[test]
    fn an_event_meets_the_same_fate_wherever_it_stands() {
        let settings = serde_json::json!({ "error_rate": 0.2 });
        let (mut whole, mut halves) = (events(), events());
        let (first, second) = halves.split_at_mut(1000);
        let mut apart = verdicts(&mut chaos(settings.clone()), second);
        for (place, _) in &mut apart {
            *place += 1000;
        }
        let apart = [verdicts(&mut chaos(settings.clone()), first), apart].concat();
        assert_eq!(verdicts(&mut chaos(settings), &mut whole), apart);
    }

    #[test]
    fn outside_its_spans_of_event_time_nothing_happens() {
        let window = |from: &str, to: &str| serde_json::json!({ "from": from, "to": to });
        let settings = serde_json::json!({
            "error_rate": 1.0,
            "during": [window("1970-01-01T00:00:00.100Z", "1970-01-01T00:00:00.103Z")],
        });
        let found = verdicts(&mut chaos(settings), &mut events());
        assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [100, 101, 102]);
    }
}
