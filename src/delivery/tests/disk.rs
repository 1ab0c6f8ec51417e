//! A buffer on disk, in front of receivers that are away when the run ends.

use std::path::PathBuf;

use super::*;

fn on_disk(buffer: &serde_json::Value) -> Stand {
    let mut settings =
        json!({ "timeout": "1h", "retry": { "jitter": false }, "buffer": { "type": "disk" } });
    for (key, value) in buffer.as_object().unwrap() {
        settings["buffer"][key] = value.clone();
    }
    Stand::new(settings)
}

fn batches(stand: &Stand, numbers: std::ops::Range<u32>) -> Vec<Batch> {
    numbers
        .map(|number| {
            let ids = ["a", "b", "c"].map(|part| format!("{number}{part}"));
            stand.batch(&ids.each_ref().map(String::as_str))
        })
        .collect()
}

/// Gives sending up after a while.
async fn keep_after(stand: &Stand, wait: Duration) {
    let control = stand.control.clone();
    tokio::time::sleep(wait).await;
    control.keep();
}

fn segments(stand: &Stand) -> Vec<PathBuf> {
    let files = std::fs::read_dir(stand.folder.path().join("buffer")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "segment"));
    files.sort();
    files
}

#[tokio::test(start_paused = true)]
async fn what_a_run_could_not_send_the_next_one_sends_first() {
    let stand = on_disk(&json!({}));
    let script = |_: &[String], count| if count < 2 { delivered() } else { Reply::Hang };
    let input = batches(&stand, 0..6);
    tokio::join!(stand.delivery(input, script), keep_after(&stand, Duration::from_mins(1)));
    let tally = stand.tally();
    assert_eq!((tally.delivered, tally.buffered, tally.dead_letters()), (6, 12, 0));
    assert_eq!(stand.ledger.outstanding(), 0, "they are on the disk");
    stand.assert_balanced();

    let next = stand.next_run();
    next.delivery(batches(&next, 6..7), |_, _| delivered()).await;
    let ids: Vec<String> = next.ids().into_iter().flatten().collect();
    let expected: Vec<String> =
        (2..7).flat_map(|number| ["a", "b", "c"].map(|part| format!("{number}{part}"))).collect();
    assert_eq!(ids, expected);
    let tally = next.tally();
    assert_eq!((tally.recovered, tally.delivered, tally.buffered), (12, 15, 0));
    next.assert_balanced();

    let last = next.next_run();
    last.delivery(Vec::new(), |_, _| delivered()).await;
    assert_eq!((last.tally().recovered, last.ids().len()), (0, 0), "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_let_go_when_their_events_are_on_the_disk_and_not_before() {
    let stand = on_disk(&json!({ "sync_interval_ms": 5000 }));
    let input = batches(&stand, 0..3);
    let ledger = stand.ledger.clone();
    let watch = async {
        tokio::time::sleep(Duration::from_millis(4900)).await;
        assert_eq!(ledger.outstanding(), 3);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ledger.outstanding(), 0);
        stand.control.keep();
    };
    tokio::join!(stand.delivery(input, |_, _| Reply::Hang), watch);
    assert_eq!((stand.tally().delivered, stand.tally().buffered), (0, 9));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_a_full_disk_buffer_has_no_room_for_becomes_dead_letters_when_sending_is_given_up() {
    let stand = on_disk(&json!({ "max_events": 6 }));
    let input = batches(&stand, 0..30);
    let run = stand.delivery(input, |_, _| Reply::Hang);
    tokio::join!(run, keep_after(&stand, Duration::from_mins(1)));
    let tally = stand.tally();
    assert_eq!((tally.buffered, counts(&tally.dead_lettered)), (6, vec![("undelivered", 84)]));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_buffer_holds_back_or_drops_as_it_is_told_to() {
    for (when_full, dropped) in [("block", 0), ("drop_newest", 1), ("drop_oldest", 1)] {
        let mut stand = on_disk(&json!({ "max_events": 60, "when_full": when_full }));
        stand.takes = Duration::from_mins(1);
        let input = batches(&stand, 0..100);
        stand.delivery(input, |_, _| delivered()).await;
        let tally = stand.tally();
        assert_eq!(u64::from(tally.losses() > 0), dropped, "{when_full}");
        assert!(tally.delivered >= 60, "{when_full}: {}", tally.delivered);
        let last = stand.ids().pop().unwrap();
        assert_eq!(last[0] == "99a", when_full != "drop_newest", "{when_full}: {last:?}");
        stand.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_told_and_counted_and_what_is_intact_around_it_is_sent() {
    let stand = on_disk(&json!({}));
    let input = batches(&stand, 0..5);
    let run = stand.delivery(input, |_, _| Reply::Hang);
    tokio::join!(run, keep_after(&stand, Duration::from_mins(1)));
    let [segment] = &segments(&stand)[..] else { panic!() };
    let mut bytes = std::fs::read(segment).unwrap();
    let place = bytes.windows(2).position(|pair| pair == b"2b").unwrap();
    bytes[place] ^= 1;
    bytes.extend_from_slice(b"half a rec");
    std::fs::write(segment, bytes).unwrap();

    let next = stand.next_run();
    next.delivery(Vec::new(), |_, _| delivered()).await;
    let first_ids: Vec<String> = next.ids().into_iter().map(|mut ids| ids.remove(0)).collect();
    assert_eq!(first_ids, ["0a", "1a", "3a", "4a"]);
    assert_eq!(next.tally().errors.get("buffer_damaged"), Some(&2));
    next.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_delivered_is_no_longer_counted_as_buffered() {
    let stand = on_disk(&json!({}));
    let script = |_: &[String], count| match count {
        0 => Reply::Say(Outcome::Except(vec![(1, Refusal::transient("busy", "busy"))])),
        _ => Reply::Hang,
    };
    let input = batches(&stand, 0..2);
    tokio::join!(stand.delivery(input, script), keep_after(&stand, Duration::from_mins(1)));
    let tally = stand.tally();
    assert_eq!((tally.delivered, tally.buffered), (2, 4));
    assert!(tally.balances(), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_buffer_that_another_run_has_open_fails_the_run_and_loses_nothing() {
    let stand = on_disk(&json!({}));
    let folder = stand.folder.path().join("buffer");
    let limits =
        crate::delivery::disk::Limits { max_events: 1, max_bytes: 1, segment_bytes: 1 << 20 };
    let _other = crate::delivery::disk::DiskQueue::open(folder, limits).unwrap();
    let input = batches(&stand, 0..50);
    stand.delivery(input, |_, _| delivered()).await;
    let errors = stand.control.errors();
    assert!(errors[0].starts_with("the buffer of sink `hub`: "), "{errors:?}");
    assert_eq!(counts(&stand.tally().dead_lettered), [("undelivered", 150)]);
    stand.assert_balanced();
}
