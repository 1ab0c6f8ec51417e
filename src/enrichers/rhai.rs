//! `type: rhai`: changes or drops events by a script's `fn enrich(event)`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::component::{BuildContext, Kind, Settings};
use crate::event::{Event, Key};
use crate::problem::{Problem, Problems};
use crate::script::{
    Calls, Command, Function, Given, GivenEvent, PayloadFields, Premises, Returned, RuleFigures,
    Sandbox, Script, Table, seed_of,
};
use crate::stage::{Enricher, Failure, Rows, Stage, Verdict};

const ENRICH: Function = Function { name: "enrich", parameters: &["event"], required: true };

/// Changes events by a script, or drops them.
///
/// The script has a function `enrich(event)`, which reads and writes `event.payload.x` and the
/// envelope. The event goes on unless the function returns `false`. An event that the script fails
/// on becomes a dead letter, as it was before.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RhaiSettings {
    /// The script itself, or the path of a `.rhai` file.
    pub script: String,
    /// Whether the functions of the script run as compiled code where they can. Results are the
    /// same without; it is slower then.
    #[serde(default = "yes")]
    pub compile: bool,
    /// The event types that the script is for; others pass by untouched. All, if there are none.
    #[serde(default)]
    pub on: Vec<String>,
    /// Tables in which the script finds records with `lookup(table, key)`.
    #[serde(default)]
    pub tables: IndexMap<String, TableSettings>,
}

/// A file with records: `.csv` with a header, or `.json` with an array of objects or an object of
/// objects.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TableSettings {
    /// The file; the first column or field is the key.
    Path(String),
    /// The file, and which column or field is the key.
    Keyed(KeyedTable),
}

/// A file with records, and which column or field is the key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyedTable {
    /// The file.
    pub path: String,
    /// The column or field that records are looked up by; the first by default.
    pub key: Option<String>,
}

fn yes() -> bool {
    true
}

impl Settings for RhaiSettings {
    const NAME: &'static str = "rhai";
    const KIND: Kind = Kind::Enricher;
    const EXAMPLE: &'static str = "\
on: [receipt_created]
script: |
  fn enrich(event) {
      event.payload.high_value = event.payload.total > 100.0;
  }
";

    fn build(self, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
        let mut sandbox = Sandbox::new(seed_of(cx.seed, cx.stage)).of_rule(cx.stage);
        let (tables, mut problems) = read_tables(&self.tables, cx);
        sandbox.add_tables(tables);
        let on: Result<Vec<Key>, _> = self.on.iter().map(|name| Key::intern(name)).collect();
        let script = cx
            .script("/script", &self.script)
            .map_err(Problems::from)
            .and_then(|excerpt| Script::compile(excerpt, sandbox, &[ENRICH]));
        match (script, on) {
            (Ok(script), Ok(on)) if problems.is_empty() => {
                Ok(Stage::Enricher(Box::new(RhaiEnricher::new(script, on, self.compile))))
            }
            (script, on) => {
                problems.extend(on.err().map(|error| cx.problem("/on", error.to_string())));
                problems.extend(script.err().into_iter().flat_map(|found| found.0));
                Err(Problems(problems))
            }
        }
    }
}

fn read_tables(
    settings: &IndexMap<String, TableSettings>,
    cx: &BuildContext<'_>,
) -> (HashMap<String, Table>, Vec<Problem>) {
    let mut tables = HashMap::new();
    let mut problems = Vec::new();
    for (name, settings) in settings {
        match read_table(settings, cx, &format!("/tables/{name}")) {
            Ok(table) => drop(tables.insert(name.clone(), table)),
            Err(problem) => problems.push(problem),
        }
    }
    (tables, problems)
}

fn read_table(
    settings: &TableSettings,
    cx: &BuildContext<'_>,
    setting: &str,
) -> Result<Table, Problem> {
    let (path, key) = match settings {
        TableSettings::Path(path) => (path, None),
        TableSettings::Keyed(keyed) => (&keyed.path, keyed.key.as_deref()),
    };
    let path = cx.spec_path(path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        cx.problem(setting, format!("cannot read the table `{}`: {error}", path.display()))
            .help("the path is relative to the file that names it")
    })?;
    let table = match path.extension().and_then(|end| end.to_str()) {
        Some("csv") => Table::from_csv(&text, key),
        Some("json") => Table::from_json(&text, key),
        _ => Err("a table is a `.csv` or a `.json` file".to_owned()),
    };
    table.map_err(|message| cx.problem(setting, format!("`{}`: {message}", path.display())))
}

struct RhaiEnricher {
    calls: Calls,
    payload_fields: Arc<PayloadFields>,
    on: Vec<Key>,
    /// An enricher asks for nothing; this stays empty.
    commands: Vec<Command>,
}

impl RhaiEnricher {
    fn new(script: Script, on: Vec<Key>, compile: bool) -> Self {
        let payload_fields = script.payload_fields();
        let calls = Calls::new(script, &[ENRICH], true, compile);
        Self { calls, payload_fields, on, commands: Vec::new() }
    }

    fn judge(&mut self, event: &mut Event) -> Verdict {
        if !self.on.is_empty() && !self.on.contains(&event.event_type) {
            return Verdict::Keep;
        }
        self.calls.begin(event);
        let given = Given { event: GivenEvent::Changed(event), timer: None, state: None };
        match self.calls.call(0, given, &mut self.commands, |_, returned| keeps(returned)) {
            Ok(Returned::Bool(false)) => Verdict::Drop,
            Ok(_) => Verdict::Keep,
            Err(failure) => Verdict::Fail(failure),
        }
    }
}

fn keeps(returned: &Returned) -> Result<(), Failure> {
    match returned {
        Returned::Nothing | Returned::Bool(_) => Ok(()),
        Returned::Other(found) => {
            let message = format!("`enrich` returns true, false or nothing, not `{found}`");
            Err(Failure::new("script", message))
        }
    }
}

impl Enricher for RhaiEnricher {
    fn enrich(&mut self, rows: &mut Rows<'_>) {
        rows.for_each(|event| self.judge(event));
        self.calls.end_batch();
    }

    fn adds(&self) -> Option<BTreeSet<String>> {
        Some(self.payload_fields.added().cloned().collect())
    }

    fn try_out(&mut self, premises: &Premises<'_>) -> Problems {
        let types = premises.types_of(&self.on);
        let mut trial = self.calls.trial(&self.payload_fields, types.as_ref(), premises);
        trial.on_events(ENRICH.name, |event| match self.judge(&mut event.clone()) {
            Verdict::Keep | Verdict::Drop => Ok(()),
            Verdict::Fail(failure) => Err(self.calls.mishap(0, &failure)),
        });
        let mut problems = trial.into_problems();
        problems.extend(premises.misspelt(&self.on));
        problems
    }

    fn figures(&self) -> Option<RuleFigures> {
        Some(self.calls.figures())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, STORE_OPENED, TOTAL, Text, Timestamp, Value};
    use crate::problem::{Excerpt, SourceText};

    fn enricher(text: &str, on: &[Key]) -> RhaiEnricher {
        let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
        let excerpt = Excerpt::whole(Arc::new(source));
        let script = Script::compile(excerpt, Sandbox::new(seed_of(42, "x")), &[ENRICH]);
        RhaiEnricher::new(script.unwrap_or_else(|problems| panic!("{problems}")), on.to_vec(), true)
    }

    fn receipt(total: impl Into<Value>) -> Event {
        let mut event =
            Event::new(RECEIPT_CREATED, Text::from("TR_1_00001"), Timestamp::from_millis(0));
        event.payload.set(TOTAL, total);
        event
    }

    fn run(script: &str, mut event: Event) -> (Event, Verdict) {
        let verdict = enricher(script, &[]).judge(&mut event);
        (event, verdict)
    }

    fn failure(verdict: Verdict) -> String {
        let Verdict::Fail(failure) = verdict else { panic!("{verdict:?}") };
        assert_eq!(failure.category, "script");
        failure.reason
    }

    #[test]
    fn an_event_is_changed_and_kept() {
        let (event, verdict) = run(
            r#"
            const LIMIT = 100.0;
            fn bonus(total) { if total > LIMIT { total * 0.5 } else { () } }
            fn enrich(event) {
                event.payload.high_value = event.payload.total > LIMIT;
                event.payload["bonus"] = bonus(event.payload.total);
                event.payload.total += 1;
                event.payload.tags = ["a", #{ b: event.payload.nothing }];
                event.payload.tags.push("c");
                event.payload.place = #{ city: "Ulm" };
                event.payload.place.zip = "89073";
                event.session_id = "s" + event.payload.keys().len();
                event.partition_key = ();
                event.source += "-2";
                event.event_type = "receipt_seen";
                if "total" in event.payload && !event.payload.contains("x") {
                    event.payload.x = event.payload.remove("bonus");
                }
            }"#,
            receipt(250.0),
        );
        assert_eq!(verdict, Verdict::Keep);
        assert_eq!(
            event.to_json(),
            concat!(
                r#"{"event_type":"receipt_seen","payload":{"total":251.0,"high_value":true,"#,
                r#""tags":["a",{"b":null},"c"],"place":{"city":"Ulm","zip":"89073"},"x":125.0},"#,
                r#""trace_id":"TR_1_00001","ingest_timestamp":"1970-01-01T00:00:00.000Z","#,
                r#""schema_version":"1.0","source":"retail-datagen-2","correlation_id":null,"#,
                r#""partition_key":null,"session_id":"s5","parent_event_id":null}"#
            )
        );
    }

    #[test]
    fn false_drops_and_true_or_nothing_keeps() {
        let script = "fn enrich(event) { if event.payload.total > 10 { return false; } true }";
        assert_eq!(run(script, receipt(11_i64)).1, Verdict::Drop);
        assert_eq!(run(script, receipt(10_i64)).1, Verdict::Keep);
        assert_eq!(run("fn enrich(event) { }", receipt(10_i64)).1, Verdict::Keep);
        let verdict = run("fn enrich(event) { 5 }", receipt(10_i64)).1;
        assert_eq!(
            failure(verdict),
            "`enrich` returns true, false or nothing, not `i64` (rules/x.rhai, line 1, column 4)"
        );
    }

    #[test]
    fn an_event_that_the_script_fails_on_is_as_it_was_before() {
        let script = "fn enrich(event) {
            event.payload.total = 1;
            event.payload.added = 2;
            event.payload.remove(\"total\");
            event.event_type = \"other\";
            event.time_ms = 99;
            event.session_id = \"s\";
            check(event);
        }
        fn check(event) { event.payload.total / 0 }";
        let before = receipt(7_i64);
        let (event, verdict) = run(script, before.clone());
        assert_eq!(event, before);
        let reason = failure(verdict);
        assert_eq!(
            reason,
            "`/` does not work on nothing and an integer (rules/x.rhai, line 10, column 47)"
        );
        let script =
            "fn enrich(event) { event.payload = #{ a: 1 }; event.payload.b = 2; throw \"no\" }";
        let (event, verdict) = run(script, before.clone());
        assert_eq!(
            (event, failure(verdict)),
            (before, "no (rules/x.rhai, line 1, column 68)".into())
        );
    }

    #[test]
    fn an_endless_loop_is_stopped() {
        let (_, verdict) = run("fn enrich(event) { loop { } }", receipt(1_i64));
        assert!(failure(verdict).contains("too many operations"));
        let script = "fn enrich(event) { enrich(event); }";
        assert!(failure(run(script, receipt(1_i64)).1).contains("too deep"));
        let script = "fn enrich(event) { let s = \"x\"; loop { s += s; } }";
        assert!(failure(run(script, receipt(1_i64)).1).contains("too large"));
        let script = "fn enrich(event) { let m = #{}; let i = 0;
            loop { m[i.to_string()] = i; i += 1; if i % 11000 == 0 { event.payload.m = m; } } }";
        assert!(failure(run(script, receipt(1_i64)).1).contains("10000 parts"));
    }

    #[test]
    fn a_value_that_nests_without_end_is_stopped() {
        let script = "fn enrich(event) { let a = []; loop { a = [a]; } }";
        assert!(failure(run(script, receipt(1_i64)).1).contains("too"));
        let script = "fn enrich(event) { let a = 1; for i in 0..70 { a = #{ x: a }; }
            event.payload.a = a; }";
        assert!(failure(run(script, receipt(1_i64)).1).contains("64 deep"));
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_stage_others() {
        let script = "fn enrich(event) { event.payload.r = [rand(), rand_int(1, 6)]; }";
        let [one, two] = [0, 1].map(|_| run(script, receipt(1_i64)).0);
        assert_eq!(one, two);
        assert_ne!(seed_of(42, "x"), seed_of(42, "y"));
        assert_ne!(seed_of(42, "x"), seed_of(43, "x"));
    }

    #[test]
    fn what_is_drawn_for_an_event_does_not_depend_on_the_events_before_it() {
        let draws = "fn enrich(event) { event.payload.r = rand(); }";
        let (mut one, mut two) = (enricher(draws, &[]), enricher(draws, &[]));
        let mut first = receipt(1_i64);
        first.trace_id = Text::from("TR_1");
        let [mut late, mut early] = [first.clone(), first.clone()];
        one.judge(&mut first);
        late.trace_id = Text::from("TR_2");
        early.trace_id = Text::from("TR_2");
        one.judge(&mut late);
        two.judge(&mut early);
        assert_eq!(late, early);
        assert_ne!(late.payload, first.payload);
    }

    #[test]
    fn types_that_the_script_is_not_on_for_pass_by() {
        let mut enricher = enricher("fn enrich(event) { false }", &[STORE_OPENED]);
        assert_eq!(enricher.judge(&mut receipt(1_i64)), Verdict::Keep);
    }

    #[test]
    fn records_of_a_table_are_looked_up() {
        let mut sandbox = Sandbox::new(0);
        let table = Table::from_csv("store_id,region\n7,north\n", None).unwrap();
        sandbox.add_tables([("stores".to_owned(), table)].into());
        let text = r#"fn enrich(event) {
            let store = lookup("stores", event.payload.store_id);
            if store == () { return false; }
            event.payload.region = store.region;
        }"#;
        let source = SourceText { name: "x".to_owned(), text: text.to_owned() };
        let script = Script::compile(Excerpt::whole(Arc::new(source)), sandbox, &[ENRICH]);
        let mut enricher =
            RhaiEnricher::new(script.unwrap_or_else(|e| panic!("{e}")), vec![], true);
        let mut event = receipt(1_i64);
        assert_eq!(enricher.judge(&mut event), Verdict::Drop);
        event.payload.set(crate::event::STORE_ID, 7_i64);
        assert_eq!(enricher.judge(&mut event), Verdict::Keep);
        assert!(event.to_json().contains(r#""region":"north""#));
    }
}
