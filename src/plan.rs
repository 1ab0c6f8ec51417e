//! Spec to Plan: names resolved, settings checked, the graph acyclic, the kinds fitting.

mod delivery;
mod draft;
mod edges;
mod monitoring;
mod schema;
mod shards;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::component::{BuildContext, Component};
use crate::event::{Timestamp, TraceIds, mix};
use crate::hooks::HookScripts;
use crate::kind::Kind;
use crate::monitor::StageMetrics;
use crate::problem::{Problem, Problems};
use crate::script::Condition;
use crate::spec::{Checker, DeliverySettings, Document, Order, Shard, Spec};
use crate::stage::Stage;

use draft::Draft;

pub use schema::pipeline_schema;

/// A pipeline that can run.
#[derive(Clone)]
pub struct Plan {
    /// The spec it was made from.
    pub spec: Spec,
    /// The text behind the spec.
    pub document: Document,
    /// The stages, each after its inputs.
    pub stages: Vec<PlannedStage>,
}

/// A stage whose component and inputs are known.
#[derive(Clone)]
pub struct PlannedStage {
    /// Its name in the spec.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// What builds it.
    pub component: Component,
    /// Its settings, which passed the component's schema.
    pub settings: serde_json::Value,
    /// Its inputs, by their places in [`Plan::stages`], in the order of the spec.
    pub inputs: Vec<usize>,
    /// The expression of `when:`.
    pub when: Option<Condition>,
    /// How many instances to run.
    pub parallelism: usize,
    /// How its inputs are merged.
    pub order: Order,
    /// How long a silent input holds the others back.
    pub idle_timeout: Duration,
    /// How events get to a sink's receiver.
    pub delivery: DeliverySettings,
    /// Its JSON pointer in the spec, such as `/sinks/hub`.
    pub pointer: String,
    /// Its place in the spec, from 0: where its trace ids begin.
    pub ordinal: u64,
}

impl Plan {
    /// Checks a document as a whole; reports everything that is wrong with it at once. The second
    /// part of a plan are warnings.
    pub fn new(
        mut document: Document,
        components: &[Component],
    ) -> Result<(Self, Problems), Problems> {
        match check(&mut document, components) {
            Ok((stages, spec, warnings)) => {
                let warnings = document.without_secrets(warnings.sorted());
                Ok((Self { spec, document, stages }, warnings))
            }
            Err(problems) => Err(document.without_secrets(problems.sorted())),
        }
    }

    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&PlannedStage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Builds an instance of a stage.
    pub fn build(&self, stage: &PlannedStage, run: RunId) -> Result<Stage, Problems> {
        let run = self.run(run);
        let context = run.context(&self.document, &stage.name, &stage.pointer, stage.ordinal);
        (stage.component.build)(stage.settings.clone(), &context)
            .map_err(|problems| self.document.without_secrets(problems))
    }

    /// The trace ids of a stage, as its builder gets them.
    pub fn trace_ids(&self, stage: &PlannedStage, run: RunId) -> TraceIds {
        self.run(run).trace_ids(stage.ordinal)
    }

    /// Tells what the spec says about a stage from another version of it. How fast it works does
    /// not count, and neither does what is secret: a new key opens the same door.
    pub fn fingerprint(&self, stage: &PlannedStage) -> String {
        let part = |key: &str| self.document.masked_value(&format!("{}/{key}", stage.pointer));
        hash(&["type", "inputs", "when", "order", "with"].map(part))
    }

    /// Tells the events that the sources make from those of another spec.
    pub fn identity(&self) -> String {
        let start = self.spec.clock.start.map_or("none".to_owned(), |start| start.to_string());
        let shard = self.spec.shard;
        let shard = if shard.is_part() { format!(", shard {shard}") } else { String::new() };
        format!("seed {}, clock.start {start}{shard}", self.spec.seed)
    }

    /// What the pipeline is called: its `name`, else its file's.
    pub fn name(&self) -> String {
        pipeline_name(&self.document)
    }

    /// The file of the pipeline's dead letters, unless they are off.
    pub fn dead_letter_path(&self) -> Option<PathBuf> {
        let settings = &self.spec.dead_letter;
        let file =
            || Path::new("dead_letters").join(format!("{}.ndjson", file_name(&self.document)));
        settings.enabled.then(|| settings.path.clone().unwrap_or_else(file))
    }

    /// The file of a sink's own dead letters, where it has one: it may share the pipeline's, or
    /// keep none.
    pub fn own_dead_letter_path(&self, sink: &PlannedStage) -> Option<PathBuf> {
        let settings = sink.delivery.dead_letter.as_ref().filter(|settings| settings.enabled)?;
        let file = format!("{}.{}.ndjson", file_name(&self.document), sink.name);
        Some(settings.path.clone().unwrap_or_else(|| Path::new("dead_letters").join(file)))
    }

    /// The folder of a sink's buffer on disk.
    pub fn buffer_path(&self, sink: &PlannedStage) -> PathBuf {
        let folder = || default_buffer_path(&self.document, &sink.name);
        sink.delivery.buffer.path.clone().unwrap_or_else(folder)
    }

    fn run(&self, id: RunId) -> Run {
        let instant = self.spec.clock.start.unwrap_or(id.instant);
        let Spec { seed, shard, .. } = self.spec;
        Run { seed, shard, id: RunId { instant, ..id } }
    }
}

/// Where a sink's buffer on disk is, if the spec does not say.
fn default_buffer_path(document: &Document, sink: &str) -> PathBuf {
    Path::new("buffers").join(file_name(document)).join(sink)
}

/// What files of a run are called where the spec does not say: shards do not share them.
fn file_name(document: &Document) -> String {
    let (name, shard) = (pipeline_name(document), shards::of(document).unwrap_or_default());
    if shard.is_part() { format!("{name}.shard{}", shard.index) } else { name }
}

fn pipeline_name(document: &Document) -> String {
    // A text that came from no file has a name such as `<stdin>`.
    let file = Path::new(document.name()).file_stem();
    let file = file.and_then(|name| name.to_str()).filter(|name| !name.starts_with('<'));
    let name = document.value("/name");
    name.as_str().or(file).unwrap_or("pipeline").to_owned()
}

fn hash(values: &[serde_json::Value]) -> String {
    let text = serde_json::Value::from(values).to_string();
    let hash = text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    format!("{hash:016x}")
}

/// The effective spec as YAML, with what any of the components calls secret masked.
pub fn render_effective(mut document: Document, components: &[Component]) -> String {
    let drafts = draft::drafts(&document, components, &mut Problems::default());
    let checkers = draft::checkers(&mut document, &drafts, &mut Problems::default());
    // For the types that variables take, not for what may be wrong.
    draft::check_settings(&mut document, &drafts, &checkers, &mut Problems::default());
    check_frame(&mut document);
    document.render_effective()
}

/// Far more than anyone writes, and no more than trace ids can tell apart.
const STAGES_MAX: usize = 1000;

/// What tells one run's trace ids from another's.
struct Run {
    seed: u64,
    shard: Shard,
    id: RunId,
}

/// Tells a run from others of the same seed whose events go to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId {
    /// The instant at which event time began; with a `clock.start` all runs are the same one.
    pub instant: Timestamp,
    /// How often the run was gone on with, where that does not give the same events again; else 0.
    pub restarts: u64,
}

impl RunId {
    /// A run that gives the same events again when it is gone on with.
    pub fn of(instant: Timestamp) -> Self {
        Self { instant, restarts: 0 }
    }
}

impl Run {
    fn trace_ids(&self, ordinal: u64) -> TraceIds {
        let instant = self.id.instant.as_millis() as u64;
        let ids = TraceIds::new(
            self.seed ^ mix(instant.wrapping_add(mix(0).wrapping_mul(self.id.restarts))),
            ordinal,
        );
        // The same stage of another shard counts apart.
        if self.shard.is_part() { ids.cell(u64::from(self.shard.index) + 1) } else { ids }
    }

    fn context<'a>(
        &self,
        document: &'a Document,
        stage: &'a str,
        pointer: &str,
        ordinal: u64,
    ) -> BuildContext<'a> {
        BuildContext {
            stage,
            seed: self.seed,
            shard: self.shard,
            trace_ids: self.trace_ids(ordinal),
            document,
            pointer: pointer.to_owned(),
        }
    }
}

fn check(
    document: &mut Document,
    components: &[Component],
) -> Result<(Vec<PlannedStage>, Spec, Problems), Problems> {
    let mut problems = Problems::default();
    let drafts = draft::drafts(document, components, &mut problems);
    if drafts.len() > STAGES_MAX {
        let message =
            format!("the pipeline has {} stages; {STAGES_MAX} is the limit", drafts.len());
        return Err(Problem::error(message).at(document.key_place("")).into());
    }
    // First of all, so that what is secret is blotted out in everything that follows.
    document.mark_connection_strings();
    let checkers = draft::checkers(document, &drafts, &mut problems);
    problems.append(document.problems().clone());

    problems.extend(check_frame(document));
    problems.extend(check_clock(document));
    problems.extend(monitoring::check(document));
    let shard = shards::of(document).unwrap_or_else(|problem| {
        problems.push(problem);
        Shard::WHOLE
    });
    problems.append(edges::check(document, &drafts));
    let sound = draft::check_settings(document, &drafts, &checkers, &mut problems);
    delivery::check(document, &drafts, &mut problems);
    let conditions = draft::conditions(document, &drafts, &mut problems);
    shards::check(document, &drafts, shard, &mut problems);
    let built = build_once(document, &drafts, &sound, shard, &mut problems);
    let hooks = hooks(document, &mut problems);
    if !problems.has_errors() {
        problems.append(trial::of_hooks(document, hooks, &built));
        problems.append(trial::of_rules(document, &drafts, built, &conditions));
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let spec = typed(document)?;
    let stages = planned(document, &drafts, &conditions, &spec);
    Ok((stages, spec, problems))
}

/// Everything but the components' own settings.
fn check_frame(document: &mut Document) -> Vec<Problem> {
    match Checker::new(schemars::schema_for!(Spec).to_value()) {
        Ok(checker) => document.check("", &serde_json::Value::Null, &checker, "key"),
        Err(error) => vec![Problem::error(error)],
    }
}

fn check_clock(document: &Document) -> Option<Problem> {
    let instant = |key: &str| {
        let value = document.value(&format!("/clock/{key}"));
        value.as_str().and_then(|text| text.parse::<Timestamp>().ok())
    };
    if document.contains("/clock/duration") && document.contains("/clock/until") {
        return Some(
            Problem::error("`duration` and `until` both say when the run ends")
                .at(document.key_place("/clock/until"))
                .help("keep one of them"),
        );
    }
    let (start, until) = (instant("start")?, instant("until")?);
    (until <= start).then(|| {
        Problem::error("the run ends before it starts: `until` is not after `start`")
            .at(document.place("/clock/until"))
    })
}

/// Builds each stage whose settings are sound, for what only the component itself can tell. Returns
/// each at its place; none for what could not be built.
fn build_once(
    document: &Document,
    drafts: &[Draft<'_>],
    sound: &[bool],
    shard: Shard,
    problems: &mut Problems,
) -> Vec<Option<Stage>> {
    let seed = document.value("/seed").as_u64().unwrap_or_default();
    let run = Run { seed, shard, id: RunId::of(Timestamp::MIN) };
    let build = |(ordinal, draft): (u64, &Draft<'_>)| {
        let component = draft.component.filter(|_| sound[ordinal as usize])?;
        let context = run.context(document, &draft.name, &draft.pointer, ordinal);
        let built = (component.build)(draft.settings(document), &context);
        built.map_err(|found| problems.append(found)).ok()
    };
    (0..).zip(drafts).map(build).collect()
}

/// The scripts of `hooks:`; none where something is wrong with them.
fn hooks(document: &Document, problems: &mut Problems) -> Option<HookScripts> {
    // What they count while they are tried out is of no interest.
    let compiled = HookScripts::compile(document, &StageMetrics::default());
    let (scripts, warnings) = compiled.map_err(|found| problems.append(found)).ok()?;
    problems.append(warnings);
    Some(scripts)
}

/// The spec as a type; what passed the schema fits it.
fn typed(document: &Document) -> Result<Spec, Problems> {
    let mut value = document.value("");
    if let Some(entries) = value.as_object_mut() {
        entries.retain(|key, value| !key.starts_with("x-") && !value.is_null());
    }
    serde_json::from_value(value).map_err(|error| {
        Problem::error(format!("the spec does not fit together: {error}"))
            .at(document.key_place(""))
            .into()
    })
}

/// The stages in the order in which events get to them.
fn planned(
    document: &Document,
    drafts: &[Draft<'_>],
    conditions: &[Option<Condition>],
    spec: &Spec,
) -> Vec<PlannedStage> {
    let order = edges::in_flow_order(drafts);
    let mut stages = Vec::with_capacity(order.len());
    for &index in &order {
        let draft = &drafts[index];
        let (Some(component), Some(stage)) = (draft.component, draft.spec(spec)) else { continue };
        let place_of = |name: &String| order.iter().position(|&index| drafts[index].name == *name);
        stages.push(PlannedStage {
            name: draft.name.clone(),
            kind: draft.kind,
            component: component.clone(),
            settings: draft.settings(document),
            inputs: stage.inputs.iter().filter_map(place_of).collect(),
            when: conditions[index].clone(),
            parallelism: stage.parallelism,
            order: stage.order,
            idle_timeout: stage.idle_timeout.0,
            delivery: stage.delivery.clone(),
            pointer: draft.pointer.clone(),
            ordinal: index as u64,
        });
    }
    stages
}

#[cfg(test)]
mod tests;
