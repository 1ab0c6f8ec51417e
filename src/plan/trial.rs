//! Rules are tried out once all stages are known: what one reads, another may have added.

use std::collections::BTreeSet;

use super::draft::Draft;
use crate::hooks::HookScripts;
use crate::problem::{Place, Problems};
use crate::script::{Condition, Premises};
use crate::spec::Document;
use crate::stage::Stage;

/// What is found when the rules among the stages are tried out.
pub(super) fn of_rules(
    document: &Document,
    drafts: &[Draft<'_>],
    mut stages: Vec<Option<Stage>>,
    conditions: &[Option<Condition>],
) -> Problems {
    let names: Vec<_> = stages.iter().map(|stage| stage.as_ref().and_then(added)).collect();
    let is_closed = names.iter().all(Option::is_some);
    let mut problems = Problems::default();
    for (index, stage) in stages.iter_mut().enumerate() {
        let pointer = &drafts[index].pointer;
        let place = |setting: &str| -> Option<Place> {
            document.place(&format!("{pointer}/with{setting}"))
        };
        let others = names.iter().enumerate().filter(|(other, _)| *other != index);
        let types = conditions[index].as_ref().and_then(Condition::types);
        let premises = Premises {
            types: types.map(|types| types.iter().map(|key| key.as_str().to_owned()).collect()),
            added: others.filter_map(|(_, names)| names.as_ref()).flatten().cloned().collect(),
            is_closed,
            place: &place,
        };
        match stage {
            Some(Stage::Enricher(enricher)) => problems.append(enricher.try_out(&premises)),
            Some(Stage::Correlator(rule)) => problems.append(rule.try_out(&premises)),
            _ => {}
        }
    }
    problems
}

/// What is found when the hooks are tried out.
pub(super) fn of_hooks(
    document: &Document,
    hooks: Option<HookScripts>,
    stages: &[Option<Stage>],
) -> Problems {
    let keeps_contract = |stage: &Stage| match stage {
        Stage::Source(source) => source.keeps_contract(),
        _ => true,
    };
    let is_closed = stages.iter().flatten().all(keeps_contract);
    hooks.map_or_else(Problems::default, |mut hooks| hooks.try_out(document, is_closed))
}

/// The names that a stage adds to those of the contract; none where that is not known.
fn added(stage: &Stage) -> Option<BTreeSet<String>> {
    match stage {
        Stage::Source(source) => source.keeps_contract().then(BTreeSet::new),
        Stage::Enricher(enricher) => enricher.adds(),
        Stage::Correlator(correlator) => correlator.adds(),
        Stage::Batcher(_) | Stage::Sink(_) => Some(BTreeSet::new()),
    }
}
