//! Which files there are, when, and what they are called.

use std::fs;

use engine_plugin::{Error, Outcome};
use serde_json::json;

use crate::reading::{files, rows};
use crate::trial::Trial;
use crate::{event, receipt};

fn folders(files: &[String]) -> Vec<&str> {
    files.iter().map(|file| file.rsplit_once('/').map_or("", |(folder, _)| folder)).collect()
}

#[test]
fn a_batch_becomes_a_file_for_each_type_and_partition() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("deep/lake");
    let write = |settings: serde_json::Value| {
        let mut settings = settings;
        settings["path"] = json!(lake);
        let _ = fs::remove_dir_all(&lake);
        let mut trial = Trial::new(&settings).unwrap();
        let outcome = trial.write(&[
            event("store_opened", "2024-11-29T09:59:59.999Z", "TR_1", json!({ "store_id": 1 })),
            event("store_opened", "2024-11-29T10:00:00Z", "TR_2", json!({ "store_id": 2 })),
            event("store_closed", "2024-11-30T00:00:00Z", "TR_3", json!({ "store_id": 1 })),
        ]);
        assert_eq!(outcome, Outcome::delivered());
        assert_eq!(trial.metric("files"), files(&lake).len() as u64);
        assert_eq!(trial.metric("rows"), 3);
        let sizes = files(&lake).into_iter().map(|file| lake.join(file).metadata().unwrap().len());
        assert_eq!(trial.metric("bytes"), sizes.sum::<u64>());
        files(&lake)
    };
    let by_type = write(json!({}));
    assert_eq!(folders(&by_type), ["event_type=store_closed", "event_type=store_opened"]);
    assert!(by_type[1].starts_with("event_type=store_opened/20241129T095959Z-"), "{by_type:?}");
    let by_hour = write(json!({ "partition": "hour" }));
    let wanted = [
        "event_type=store_closed/date=2024-11-30/hour=00",
        "event_type=store_opened/date=2024-11-29/hour=09",
        "event_type=store_opened/date=2024-11-29/hour=10",
    ];
    assert_eq!(folders(&by_hour), wanted);
    let by_date = write(json!({ "split_by": "none", "partition": "date" }));
    assert_eq!(folders(&by_date), ["date=2024-11-29", "date=2024-11-30"]);
    assert_eq!(folders(&write(json!({ "split_by": "none" }))), [""]);
}

#[test]
fn a_batch_that_is_written_again_is_the_same_file_and_another_one_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({ "path": folder.path(), "split_by": "none" });
    let batch = [receipt("TR_1", json!({ "total": 1.5 }))];
    for _ in 0..2 {
        // Another instance, as after a restart.
        let mut trial = Trial::new(&settings).unwrap();
        assert_eq!(trial.write(&batch), Outcome::delivered());
        assert_eq!(trial.write(&batch), Outcome::delivered());
    }
    assert_eq!(files(folder.path()).len(), 1);
    let mut trial = Trial::new(&settings).unwrap();
    trial.write(&[receipt("TR_1", json!({ "total": 2.5 }))]);
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn an_empty_batch_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut trial = Trial::new(&json!({ "path": folder.path() })).unwrap();
    assert_eq!(trial.write(&[]), Outcome::delivered());
    assert!(files(folder.path()).is_empty());
}

#[test]
fn what_cannot_be_written_is_to_be_tried_again_and_the_rest_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut trial = Trial::new(&json!({ "path": folder.path() })).unwrap();
    fs::write(folder.path().join("event_type=store_opened"), "in the way").unwrap();
    let batch = [
        event("store_opened", "2024-11-29T09:00:00Z", "TR_1", json!({})),
        receipt("TR_2", json!({})),
        event("store_opened", "2024-11-29T09:00:00Z", "TR_3", json!({})),
    ];
    let outcome = trial.write(&batch);
    let refused: Vec<_> = outcome.refusals.iter().map(|refusal| refusal.row).collect();
    assert_eq!((outcome.error.clone(), refused), (None, vec![0, 2]));
    let Error::Retry(reason) = &outcome.refusals[0].error else { panic!("{outcome:?}") };
    assert!(reason.starts_with("cannot write `") && reason.contains("event_type=store_opened/"));
    let written = files(folder.path());
    assert_eq!(written.len(), 2, "{written:?}");

    fs::remove_file(folder.path().join("event_type=store_opened")).unwrap();
    assert_eq!(trial.write(&[batch[0].clone(), batch[2].clone()]), Outcome::delivered());
    let opened = files(folder.path()).into_iter().find(|file| file.contains("opened")).unwrap();
    assert_eq!(rows(&folder.path().join(opened)).len(), 2);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/lake");
    let error = Trial::new(&json!({ "path": path })).map(drop).unwrap_err();
    assert!(error.starts_with("cannot make `") && error.contains("file/lake"), "{error}");
}

#[test]
fn a_type_leads_out_of_no_folder_and_one_too_long_for_a_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut trial = Trial::new(&json!({ "path": lake })).unwrap();
    let outcome = trial.write(&[
        event("../../x", "2024-11-29T09:00:00Z", "TR_1", json!({})),
        event(&"x".repeat(300), "2024-11-29T09:00:00Z", "TR_2", json!({})),
    ]);
    assert_eq!(outcome.refusals.len(), 1);
    assert!(matches!(outcome.refusals[0].error, Error::Rejected(_)), "{outcome:?}");
    assert_eq!(folders(&files(folder.path())), ["lake/event_type=..%2F..%2Fx"]);
}
