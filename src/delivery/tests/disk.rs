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

/// Dead letters that hold so many events.
fn letters(stand: &Stand, max_events: u64, when_full: WhenFull) -> DeadLetters {
    let clock = Clock::new(None, Speed::Max, false);
    DeadLetters::new(stand.folder.path().join("dead"), max_events, when_full, "", clock)
}

#[tokio::test(start_paused = true)]
async fn full_dead_letters_cost_nothing_of_a_buffer_that_outlasts_the_run() {
    let refused = || Reply::Say(Outcome::Refused(Refusal::permanent("unauthorized", "HTTP 401")));
    for lanes in [1, 3] {
        let mut stand = on_disk(&json!({}));
        stand.settings.lanes = std::num::NonZeroUsize::new(lanes).unwrap();
        stand.letters = letters(&stand, 4, WhenFull::Stop);
        stand.takes = Duration::from_secs(1);
        let began = Instant::now();
        stand.delivery(batches(&stand, 0..20), move |_, _| refused()).await;
        let tally = stand.tally();
        assert_eq!((tally.dead_letters(), tally.losses(), tally.buffered), (4, 0, 56));
        assert!(stand.control.errors()[0].contains("is full"), "{:?}", stand.control.errors());
        assert!(began.elapsed() < Duration::from_secs(5), "nothing more is sent");
        assert!(tally.balances(), "{tally:?}");

        // What one record holds is sent again as a whole, if not all of it was kept.
        let next = stand.next_run();
        next.delivery(Vec::new(), |_, _| delivered()).await;
        let mut ids: Vec<String> = next.ids().into_iter().flatten().collect();
        ids.extend(stand.dead().iter().map(|it| it["event"]["trace_id"].as_str().unwrap().into()));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 60);
        next.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_cannot_be_written_cost_nothing_of_a_buffer_either() {
    let stand = on_disk(&json!({}));
    std::fs::create_dir(stand.folder.path().join("dead")).unwrap();
    let refused = || Reply::Say(Outcome::Refused(Refusal::permanent("unauthorized", "HTTP 401")));
    stand.delivery(batches(&stand, 0..20), move |_, _| refused()).await;
    let tally = stand.tally();
    assert_eq!((tally.dead_letters(), tally.losses(), tally.buffered), (0, 0, 60));
    stand.assert_balanced();
    assert!(stand.control.errors()[0].contains("dead-letter file"));
    let next = stand.next_run();
    next.delivery(Vec::new(), |_, _| delivered()).await;
    assert_eq!(next.tally().delivered, 60);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_as_the_spec_says_leaves_the_buffer() {
    let mut stand = on_disk(&json!({}));
    stand.letters = letters(&stand, 4, WhenFull::Drop);
    let refused = || Reply::Say(Outcome::Refused(Refusal::permanent("unauthorized", "HTTP 401")));
    stand.delivery(batches(&stand, 0..20), move |_, _| refused()).await;
    let tally = stand.tally();
    assert_eq!((tally.dead_letters(), tally.losses(), tally.buffered), (4, 56, 0));
    assert_eq!((stand.ledger.outstanding(), stand.control.errors()), (0, vec![]));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_in_a_buffer_nor_in_dead_letters_is_not_acknowledged() {
    let mut stand = on_disk(&json!({ "max_events": 6 }));
    stand.letters = DeadLetters::off();
    let input = batches(&stand, 0..30);
    let run = stand.delivery(input, |_, _| Reply::Hang);
    tokio::join!(run, keep_after(&stand, Duration::from_mins(1)));
    let tally = stand.tally();
    assert_eq!((tally.buffered, counts(&tally.dropped)), (6, vec![("undelivered", 84)]));
    assert_eq!((stand.ledger.acknowledged(), stand.ledger.outstanding()), (Some("1a".into()), 28));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_batch_is_put_aside_and_told_with_its_place() {
    let stand = on_disk(&json!({}));
    let folder = stand.folder.path().join("buffer");
    let limits =
        crate::delivery::disk::Limits { max_events: 9, max_bytes: 1 << 20, segment_bytes: 1 << 20 };
    let (mut queue, _) = crate::delivery::disk::DiskQueue::open(&folder, limits).unwrap();
    let [intact] = ["x"].map(|id| stand.batch(&[id]));
    let line = format!("{}\n", intact.events()[0].to_json());
    for payload in [line.as_str(), "{\"envelope\":2}\n", line.as_str()] {
        queue.append(payload.as_bytes(), 1).unwrap();
    }
    queue.close().unwrap();

    let next = stand.next_run();
    next.delivery(Vec::new(), |_, _| delivered()).await;
    assert_eq!((next.ids().len(), next.tally().recovered), (2, 3));
    assert_eq!(counts(&next.tally().dropped), [("buffer_damaged", 1)]);
    next.assert_balanced();
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let aside = files.into_iter().find(|file| file.extension().is_some_and(|it| it == "damaged"));
    let aside = String::from_utf8_lossy(&std::fs::read(aside.unwrap()).unwrap()).into_owned();
    assert!(aside.ends_with("{\"envelope\":2}\n"), "{aside:?}");
}
