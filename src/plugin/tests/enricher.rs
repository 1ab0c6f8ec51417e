use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine_plugin::{Engine, Error, Key, Plugin, Rows, Value, boundary};
use serde_json::json;
use tokio::sync::Notify;

use super::{event, stage};
use crate::event::Event;
use crate::stage::{self, Enricher, Stage, Verdict};

/// Does to each row what its field `do` says.
struct Doer {
    what: Key,
    total: Key,
    deep: Key,
    new: Key,
    partition: Key,
    made: i64,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {}

static MADE: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

impl Plugin for Doer {
    const NAME: &'static str = "doer";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        let key = |path| engine.key(path);
        Ok(Self {
            what: key("payload.do")?,
            total: key("payload.total")?,
            deep: key("payload.deep.down")?,
            new: key("payload.new")?,
            partition: key("partition_key")?,
            made: MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        })
    }
}

impl engine_plugin::Enricher for Doer {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            let total = rows.f64(row, self.total).unwrap_or(0.0);
            assert!(rows.set(row, self.total, total * 2.0));
            assert!(rows.set(row, self.deep, "x"));
            assert!(rows.set(row, self.new, Value::Json(r#"[1,{"a":null}]"#)));
            assert!(rows.set(row, self.partition, Value::Null));
            let what = rows.str(row, self.what).map(str::to_owned);
            match what.as_deref() {
                Some("drop") => rows.drop_row(row),
                Some("fail") => rows.fail(row, "it said so"),
                Some("drop and fail") => {
                    rows.drop_row(row);
                    rows.fail(row, "the last word");
                }
                Some("panic") => panic!("it said so"),
                Some("error") => return Err(Error::rejected("not this batch")),
                Some("fatal") => return Err(Error::fatal("no more")),
                Some("remove") => _ = rows.remove(row, self.total),
                Some("bad") => {
                    assert!(!rows.set(row, self.new, Value::Json("1,\"b\":2")));
                    assert!(!rows.set(row, self.new, Value::Json("{")));
                    assert!(!rows.set(rows.len(), self.new, 1));
                    assert_eq!(rows.get(rows.len(), self.new), Value::Absent);
                }
                Some("who") => _ = rows.set(row, self.new, self.made),
                _ => {}
            }
        }
        Ok(())
    }
}

fn doer() -> Box<dyn Enricher> {
    let Stage::Enricher(mut doer) = stage(boundary::enricher::<Doer>("1.0.0"), json!({})) else {
        panic!("not an enricher")
    };
    doer.open().unwrap();
    doer
}

/// What becomes of events that are to do this.
fn enriched(doer: &mut dyn Enricher, what: &[&str]) -> (Vec<Event>, Vec<(u32, Verdict)>) {
    let of = |what: &&str| event(5, json!({ "do": what, "total": 2.5, "list": [1] }));
    let mut events: Vec<Event> = what.iter().map(of).collect();
    let mut rows = stage::Rows::new(&mut events, None);
    doer.enrich(&mut rows);
    let verdicts = rows.into_verdicts();
    (events, verdicts)
}

fn failure(reason: &str) -> Verdict {
    Verdict::Fail(stage::Failure::new("plugin", reason))
}

#[test]
fn a_plugin_changes_drops_and_fails_rows() {
    let what = ["", "drop", "fail", "drop and fail", "remove", "bad"];
    let (events, verdicts) = enriched(&mut *doer(), &what);
    let payload = r#"{"do":"","total":5.0,"list":[1],"deep":{"down":"x"},"new":[1,{"a":null}]}"#;
    let json = events[0].to_json();
    assert!(json.contains(&format!("\"payload\":{payload}")), "{json}");
    assert!(json.contains(r#""partition_key":null"#), "{json}");
    assert!(!events[4].to_json().contains("total"));
    let expected =
        [(1, Verdict::Drop), (2, failure("doer: it said so")), (3, failure("doer: the last word"))];
    assert_eq!(verdicts, expected);
}

#[test]
fn a_call_that_fails_leaves_no_trace_and_after_a_panic_another_instance_goes_on() {
    let mut doer = doer();
    let (before, _) = enriched(&mut *doer, &["who"]);
    for (what, reason) in [
        ("error", "doer: not this batch"),
        ("panic", "doer: panicked: it said so"),
        ("fatal", "doer: no more"),
    ] {
        let what = ["", "drop", what];
        let (events, verdicts) = enriched(&mut *doer, &what);
        for (event, what) in events.iter().zip(what) {
            let untouched = super::event(5, json!({ "do": what, "total": 2.5, "list": [1] }));
            assert_eq!(*event, untouched);
        }
        let all = [0, 1, 2].map(|row| (row, failure(reason)));
        assert_eq!(verdicts, all);
    }
    let (after, _) = enriched(&mut *doer, &["who"]);
    assert_ne!(before, after, "it is another one");
    doer.close().unwrap();
}

/// Cannot go on after any batch; its start waits for an answer, if one is promised.
struct Starter;

static PROMISED: Mutex<Option<Receiver<()>>> = Mutex::new(None);
static IS_ASKED: Notify = Notify::const_new();

impl Plugin for Starter {
    const NAME: &'static str = "starter";
    const EXAMPLE: &'static str = "{}";
    type Settings = Settings;

    fn create(_: Settings, _: &Engine) -> Result<Self, Error> {
        Ok(Self)
    }

    fn start(&mut self) -> Result<(), Error> {
        let Some(answer) = PROMISED.lock().unwrap().take() else { return Ok(()) };
        IS_ASKED.notify_one();
        let answered = answer.recv_timeout(Duration::from_secs(30));
        answered.map_err(|_| Error::fatal("nobody else had a turn"))
    }
}

impl engine_plugin::Enricher for Starter {
    fn enrich(&mut self, _: &mut Rows<'_>) -> Result<(), Error> {
        Err(Error::fatal("once is enough"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_instance_is_made_while_others_work_on() {
    let stage = stage(boundary::enricher::<Starter>("1.0.0"), json!({}));
    let Stage::Enricher(mut starter) = stage else { panic!("not an enricher") };
    let (answer, promised) = channel();
    let answers = tokio::spawn(async move {
        IS_ASKED.notified().await;
        answer.send(()).unwrap();
    });
    // All of it on the only worker there is.
    let twice = async move {
        let (_, first) = enriched(&mut *starter, &[""]);
        *PROMISED.lock().unwrap() = Some(promised);
        let (_, second) = enriched(&mut *starter, &[""]);
        (first, second)
    };
    let (first, second) = tokio::spawn(twice).await.unwrap();
    assert_eq!(first, [(0, failure("starter: once is enough"))]);
    assert_eq!(second, first, "it was made anew");
    answers.await.unwrap();
}

#[test]
fn only_the_rows_that_a_condition_lets_in_are_seen() {
    let mut events = vec![event(1, json!({ "total": 1 })), event(2, json!({ "total": 2 }))];
    let selected = [1];
    let mut rows = stage::Rows::new(&mut events, Some(&selected));
    doer().enrich(&mut rows);
    assert_eq!(events[0], event(1, json!({ "total": 1 })));
    assert!(events[1].to_json().contains(r#""total":4.0"#));
}
