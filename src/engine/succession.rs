//! One version of a pipeline takes over from another: what differs, and what goes on.

use std::path::PathBuf;

use super::Engine;
use crate::checkpoint::{Snapshot, SnapshotFile, StageSnapshot};
use crate::kind::Kind;
use crate::plan::{Plan, PlannedStage};
use crate::problem::Problems;

/// How a version of a pipeline differs from the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Stages about which the spec says something else now, or that read a file that was changed.
    pub changed: Vec<String>,
    /// Stages that there were not.
    pub new: Vec<String>,
    /// Stages that there are no more.
    pub gone: Vec<String>,
    /// Whether anything else in the spec differs, such as `clock` or how a sink delivers.
    pub others: bool,
}

/// What a pipeline goes on from when it takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Succession {
    /// Event time, sources and stages go on; these stages forget what they remembered.
    GoesOn {
        /// Their names, in the order of the flow.
        anew: Vec<String>,
    },
    /// All of it begins again, since the events themselves are others: a source was changed, is new
    /// or is gone, or seed or start differ.
    BeginsAgain,
}

impl Changes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Engine {
    /// How this version differs from `before`, where these files were changed meanwhile.
    pub fn changes_since(&self, before: &Plan, files: &[PathBuf]) -> Changes {
        let stages = &self.plan.stages;
        let names = |stages: Vec<&PlannedStage>| -> Vec<String> {
            stages.into_iter().map(|stage| stage.name.clone()).collect()
        };
        let is_new = |stage: &&PlannedStage| before.stage(&stage.name).is_none();
        let is_gone = |stage: &&PlannedStage| self.plan.stage(&stage.name).is_none();
        let is_changed = |stage: &&PlannedStage| {
            before.stage(&stage.name).is_some_and(|old| !self.is_same(stage, before, old, files))
        };
        let mut changes = Changes {
            changed: names(stages.iter().filter(is_changed).collect()),
            new: names(stages.iter().filter(is_new).collect()),
            gone: names(before.stages.iter().filter(is_gone).collect()),
            others: false,
        };
        let document = &self.plan.document;
        let are_hooks_others = files.iter().any(|file| document.is_read_by_hooks(file));
        let differs = are_hooks_others || document.hash() != before.document.hash();
        changes.others = changes.is_empty() && differs;
        changes
    }

    /// Whether the stage does the same on the same events.
    fn is_same(
        &self,
        stage: &PlannedStage,
        before: &Plan,
        old: &PlannedStage,
        files: &[PathBuf],
    ) -> bool {
        let reads = |file: &PathBuf| self.plan.document.readers_of(file).contains(&stage.name);
        stage.kind == old.kind
            && self.plan.fingerprint(stage) == before.fingerprint(old)
            && !files.iter().any(reads)
    }

    /// Makes the state that a run of `before` left one that this pipeline can go on from, where
    /// these files were changed meanwhile. Belongs between the end of that run and the next one.
    pub fn take_over(&self, before: &Plan, files: &[PathBuf]) -> Result<Succession, Problems> {
        let kept = Succession::GoesOn { anew: Vec::new() };
        let Some(settings) = &self.plan.spec.state else { return Ok(kept) };
        let Some(_lock) = self.lock_state()? else { return Ok(kept) };
        let file = SnapshotFile::new(&settings.path);
        let Some(mut snapshot) = file.read().map_err(|error| self.stale(error))? else {
            return Ok(kept);
        };
        let changes = self.changes_since(before, files);
        let is_source = |name: &String| {
            let stage = self.plan.stage(name).or(before.stage(name));
            stage.is_some_and(|stage| stage.kind == Kind::Source)
        };
        let Changes { changed, new, gone, .. } = &changes;
        let are_others = [changed, new, gone].into_iter().flatten().any(is_source);
        if are_others || snapshot.identity != self.plan.identity() {
            file.remove().map_err(|error| self.state_problem(error))?;
            return Ok(Succession::BeginsAgain);
        }
        let anew = self.adapt(&mut snapshot, before, &changes);
        file.write(&snapshot).map_err(|error| self.state_problem(error))?;
        Ok(Succession::GoesOn { anew })
    }

    /// Forgets what stages remember that are others now. Events that wait in front of one are kept
    /// where its inputs are the same. Returns who had something to forget.
    fn adapt(&self, snapshot: &mut Snapshot, before: &Plan, changes: &Changes) -> Vec<String> {
        let is_gone = |part: &String| changes.gone.iter().any(|name| is_part(part, name));
        snapshot.stages.retain(|part, _| !is_gone(part));
        let mut anew = Vec::new();
        for name in changes.changed.iter().chain(&changes.new) {
            let (Some(stage), old) = (self.plan.stage(name), before.stage(name)) else { continue };
            let waits_alike = old.is_some_and(|old| {
                let input = |plan: &Plan, input: &usize| plan.stages[*input].name.clone();
                let old_inputs = old.inputs.iter().map(|place| input(before, place));
                let inputs = stage.inputs.iter().map(|place| input(&self.plan, place));
                old.order == stage.order && old_inputs.eq(inputs)
            });
            if snapshot.stages.contains_key(name) {
                anew.push(name.clone());
            }
            snapshot.stages.insert(name.clone(), StageSnapshot::anew());
            for part in ["inputs", "order"].map(|part| format!("{name}/{part}")) {
                match snapshot.stages.get_mut(&part).filter(|_| waits_alike) {
                    Some(waiting) => waiting.spec = self.plan.fingerprint(stage),
                    None => _ = snapshot.stages.insert(part, StageSnapshot::anew()),
                }
            }
        }
        anew
    }
}

/// Whether a part of a snapshot is a stage's: its memory, or what waits in front of it.
fn is_part(part: &str, stage: &str) -> bool {
    part.strip_prefix(stage).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
