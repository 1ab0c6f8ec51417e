//! Plans of small made-up components.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::component::Settings;
use crate::event::Event;
use crate::spec::Environment;
use crate::stage::{Enricher, Feed, Outcome, Rows, Sink, Source, SourceContext, StageError, State};

/// Makes events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Ticks {
    /// Where its choices come from.
    seed: u64,
    /// How many at once.
    #[schemars(range(min = 1))]
    burst: u32,
    /// Milliseconds between bursts.
    emit_interval_ms: u64,
    /// A key that is nobody's business.
    #[schemars(extend("x-secret" = true))]
    token: Option<String>,
    start: Start,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Start {
    #[default]
    Now,
    #[allow(dead_code)]
    At { instant: Timestamp, count: Option<u64> },
}

impl Default for Ticks {
    fn default() -> Self {
        Self { seed: 42, burst: 100, emit_interval_ms: 500, token: None, start: Start::Now }
    }
}

impl Settings for Ticks {
    const NAME: &'static str = "ticks";
    const KIND: Kind = Kind::Source;
    const EXAMPLE: &'static str = "burst: 10";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        if let Some(token) = self.token.filter(|token| token.contains("bad")) {
            return Err(cx.problem("/token", format!("`{token}` opens no door")).into());
        }
        if self.burst > 1000 {
            return Err(cx.problem("/burst", "a burst of that size").into());
        }
        Ok(Stage::Source(Box::new(Nothing)))
    }
}

/// Drops events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// What stays.
    #[allow(dead_code)]
    condition: String,
}

impl Settings for Filter {
    const NAME: &'static str = "filter";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str = "condition: 'true'";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Enricher(Box::new(Nothing)))
    }
}

/// Forgets events.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Blackhole {}

impl Settings for Blackhole {
    const NAME: &'static str = "blackhole";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Sink(Box::new(Nothing)))
    }
}

struct Nothing;

#[async_trait::async_trait]
impl Source for Nothing {
    async fn open(
        self: Box<Self>,
        _: SourceContext,
        _: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        Ok(self)
    }
}

#[async_trait::async_trait]
impl Feed for Nothing {
    async fn next(&mut self) -> Result<Option<crate::event::Batch>, StageError> {
        Ok(None)
    }

    fn state(&self) -> State {
        State::none()
    }
}

impl Enricher for Nothing {
    fn enrich(&mut self, _: &mut Rows<'_>) {}
}

#[async_trait::async_trait]
impl Sink for Nothing {
    async fn write(&self, _: &crate::event::Batch) -> Outcome {
        Outcome::Delivered
    }
}

fn components() -> Vec<Component> {
    vec![Component::of::<Ticks>(), Component::of::<Filter>(), Component::of::<Blackhole>()]
}

fn document(yaml: &str) -> Document {
    let environment: Environment = [("SEED", "7"), ("BURST", "many"), ("TOKEN", "bad-secret")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into_iter()
        .collect();
    Document::parse("a.yaml", yaml, "", &environment).unwrap()
}

fn plan(yaml: &str) -> Result<(Plan, Problems), Problems> {
    Plan::new(document(yaml), &components())
}

/// Each problem on a line: place, message, help.
fn problems(yaml: &str) -> Vec<String> {
    let problems = match plan(yaml) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    let line = |problem: &Problem| {
        let place = problem.place.as_ref().map(crate::problem::Place::start);
        let place =
            place.map_or("-".to_owned(), |start| format!("{}:{}", start.line, start.column));
        let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
        format!("{place} {}{help}", problem.message)
    };
    problems.0.iter().map(line).collect()
}

/// A spec with one source, whose settings are given.
fn with(settings: &str) -> String {
    format!(
        "sources:\n  stores:\n    type: ticks\n    with: {{ {settings} }}\n\
         sinks:\n  out: {{ type: blackhole, inputs: [stores] }}\n"
    )
}

#[test]
fn a_sound_spec_becomes_stages_after_their_inputs() {
    let (plan, warnings) = plan(
        "clock: { start: 2024-11-29T00:00:00Z, speed: max, duration: 1h30m }\n\
         sinks: { out: { type: blackhole, inputs: [big, stores] } }\n\
         enrichers: { big: { type: filter, inputs: stores, parallelism: 2, when: event.payload.x, with: { condition: y } } }\n\
         sources: { stores: { type: ticks } }\n\
         correlators:\n",
    )
    .unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let names: Vec<_> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["stores", "big", "out"]);
    assert_eq!(plan.stages[2].inputs, [1, 0]);
    assert_eq!(plan.stages[1].parallelism, 2);
    assert!(plan.stages[1].when.is_some());
    assert_eq!(plan.stages.iter().map(|stage| stage.ordinal).collect::<Vec<_>>(), [2, 1, 0]);
    assert!(matches!(plan.build(&plan.stages[0], RunId::of(Timestamp::MIN)), Ok(Stage::Source(_))));
    assert_eq!(plan.spec.seed, 42);
}

#[test]
fn variables_take_the_type_that_the_schema_asks_for() {
    let (plan, _) =
        plan(&with("seed: \"${SEED}\", burst: \"${NONE:-3}\", token: \"${SEED}\"")).unwrap();
    assert_eq!(plan.stages[0].settings, json!({ "seed": 7, "burst": 3, "token": "7" }));
}

#[test]
fn a_variable_of_the_wrong_type_is_shown_by_its_name() {
    assert_eq!(
        problems(&with("burst: \"${BURST}\"")),
        ["4:20 expected an integer, found a string"]
    );
}

#[test]
fn a_missing_variable_is_one_problem() {
    let problems = problems(&with("burst: \"${NONE}\""));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("4:21 the variable `NONE` is not set"), "{problems:?}");
}

#[test]
fn integers_may_be_written_as_floats_but_not_beyond_their_size() {
    let (plan, _) = plan(&with("burst: 1e2, seed: 3.0")).unwrap();
    assert_eq!(plan.stages[0].settings, json!({ "burst": 100, "seed": 3 }));
    assert_eq!(
        problems(&with("burst: 5000000000, seed: 1e30")),
        [
            "4:20 `5000000000` is too large: expected at most 4294967295",
            "4:38 `1e+30` is too large: expected at most 18446744073709551615",
        ]
    );
}

#[test]
fn settings_are_checked_in_words() {
    for (settings, expected) in [
        ("brust: 1", "4:13 unknown setting `brust` (did you mean `burst`?)"),
        ("burst: ten", "4:20 expected an integer, found a string"),
        ("burst: 0", "4:20 `0` is too small: expected at least 1"),
        ("burst: 1.5", "4:20 expected an integer, found a number"),
        ("start: 3", "4:20 expected a mapping, found `3`"),
        ("start: { type: att }", "4:28 expected `now` or `at`, found `att` (did you mean `at`?)"),
        ("start: { type: at }", "4:13 missing setting `instant`"),
        (
            "start: { type: at, instant: today }",
            "4:41 `today` is not an instant (write it as in `2024-11-29T10:00:00Z`)",
        ),
        ("burst: 2000", "4:20 a burst of that size"),
    ] {
        assert_eq!(problems(&with(settings)), [expected], "{settings}");
    }
}

#[test]
fn secrets_never_show_in_a_problem() {
    for settings in ["token: bad-secret", "token: \"${TOKEN}\"", "token: [bad-secret]"] {
        let rendered = plan(&with(settings)).err().expect(settings).render(false);
        assert!(!rendered.contains("bad-secret"), "{rendered}");
    }
    let effective = render_effective(document(&with("token: \"${TOKEN}\"")), &components());
    assert!(effective.contains("***") && !effective.contains("bad-secret"), "{effective}");
}

#[test]
fn a_new_key_makes_no_new_stage_and_another_setting_does() {
    let fingerprint = |settings: &str| {
        let (plan, _) = plan(&with(settings)).unwrap();
        plan.fingerprint(&plan.stages[0])
    };
    assert_eq!(fingerprint("token: one"), fingerprint("token: two"));
    assert_ne!(fingerprint("token: one, burst: 10"), fingerprint("token: one, burst: 20"));
}

#[test]
fn kinds_are_told_apart() {
    let yaml = "sources: { a: { type: filter } }\nsinks: { b: { type: blackhol, inputs: [a] } }\n";
    assert_eq!(
        problems(yaml),
        [
            "1:23 `filter` is an enricher, not a source (the sources are `ticks`)",
            "2:21 unknown sink type `blackhol` (did you mean `blackhole`?)",
        ]
    );
}

#[test]
fn edges_that_make_no_sense_are_told() {
    for (stages, expected) in [
        ("inputs: [store]", "no stage is called `store` (did you mean `stores`?)"),
        ("inputs: [out]", "the sink `out` cannot be an input"),
        ("inputs: [stores, stores]", "the input `stores` is named twice"),
        ("inputs: []", "the sink `out` has no inputs"),
        ("parallelism: 2, inputs: stores", "`parallelism` is for enrichers, and this is a sink"),
    ] {
        let yaml = format!(
            "sources: {{ stores: {{ type: ticks }} }}\nsinks: {{ out: {{ type: blackhole, {stages} }} }}\n"
        );
        let problems = problems(&yaml);
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{stages}: {problems:?}"
        );
    }
}

#[test]
fn the_run_has_to_end_once_and_after_it_starts() {
    let clock = |clock: &str| problems(&format!("clock: {{ {clock} }}\n{}", with("")));
    assert_eq!(
        clock("duration: 1h, until: 2024-01-01T00:00:00Z"),
        ["1:24 `duration` and `until` both say when the run ends (keep one of them)"]
    );
    assert_eq!(
        clock("start: 2024-01-02T00:00:00Z, until: 2024-01-01T00:00:00Z"),
        ["1:46 the run ends before it starts: `until` is not after `start`"]
    );
    assert_eq!(
        clock("duration: 5 minutes"),
        ["1:20 `5 minutes` is not a duration (write it as in `500ms`, `30s` or `1h30m`)"]
    );
    assert_eq!(clock("speed: fast"), ["1:17 expected a number or `max`, found `fast`"]);
}

#[test]
fn trace_ids_differ_by_stage_and_by_run_unless_the_start_is_given() {
    let (plan, _) = plan(&with("")).unwrap();
    let ids = |ordinal, instant| {
        let run =
            Run { seed: 42, shard: Shard::WHOLE, id: RunId::of(Timestamp::from_millis(instant)) };
        let mut ids = run.context(&plan.document, "x", "/x", ordinal).trace_ids;
        Event::new(crate::event::RECEIPT_CREATED, ids.next(Timestamp::MIN), Timestamp::MIN).trace_id
    };
    assert_eq!(ids(0, 1), ids(0, 1));
    assert_ne!(ids(0, 1), ids(1, 1));
    assert_ne!(ids(0, 1), ids(0, 2));
}

#[test]
fn every_stage_of_a_shard_has_ids_and_files_of_its_own() {
    let shard = |shard: &str| plan(&format!("shard: {shard}\n{}", with(""))).unwrap().0;
    let [whole, one, two] = ["0/1", "0/2", "1/2"].map(shard);
    let id = |plan: &Plan, stage: usize| {
        let run = RunId::of(Timestamp::MIN);
        plan.trace_ids(&plan.stages[stage], run).next(Timestamp::MIN)
    };
    for stage in 0..whole.stages.len() {
        assert_ne!(id(&one, stage), id(&two, stage));
        assert_ne!(id(&one, stage), id(&whole, stage));
    }
    assert_ne!(one.identity(), two.identity());
    let sink = |plan: &Plan| plan.buffer_path(plan.stages.last().unwrap());
    assert_ne!(sink(&one), sink(&two));
    assert_ne!(one.dead_letter_path(), two.dead_letter_path());
    let identity = whole.identity();
    assert!(!identity.contains("shard"), "states from before shards fit: {identity}");
}

#[test]
fn the_effective_spec_has_the_types_that_variables_took() {
    let effective = render_effective(document(&with("seed: \"${SEED}\"")), &components());
    assert!(effective.contains("seed: 7\n"), "{effective}");
}
