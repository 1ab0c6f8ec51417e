use super::*;
use crate::event::{RECEIPT_CREATED, STORE_ID, Text, Timestamp};

impl StageRecent {
    /// One of the two stages of a pipeline.
    pub(in crate::server) fn for_test() -> Arc<Self> {
        let yaml = "sources: { s: { type: retail_mix } }\n\
                    sinks: { out: { type: blackhole, inputs: [s] } }";
        let folder = std::path::Path::new(".");
        let environment = crate::spec::Environment::default();
        let document = crate::spec::Document::parse("test.yaml", yaml, folder, &environment);
        let (plan, _) = Plan::new(document.unwrap(), &crate::registry::built_in()).unwrap();
        Arc::clone(Recent::new(&plan).stage("s").unwrap())
    }
}

fn batch(events: usize) -> Batch {
    let event = |n| Event::new(RECEIPT_CREATED, Text::from(format!("T{n}")), Timestamp::MIN);
    Batch::new((0..events).map(event).collect(), Timestamp::MIN, None)
}

/// Whether a batch is held by somebody else than the stage that it goes through.
fn is_held(stage: &StageRecent, batch: &mut Batch) -> bool {
    let before = batch.events().as_ptr();
    stage.leaves(batch);
    batch.events_mut().as_ptr() != before
}

#[tokio::test]
async fn a_follower_sees_all_batches_from_its_beginning_on() {
    let stage = StageRecent::for_test();
    stage.leaves(&batch(3));
    let mut follower = stage.follow();
    for size in 1..=FOLLOWED_BATCHES {
        stage.leaves(&batch(size));
    }
    for size in 1..=FOLLOWED_BATCHES {
        assert_eq!(follower.next().await.len(), size);
    }
    assert_eq!((follower.skipped(), follower.skipped_at_end()), (0, 0));
}

#[tokio::test]
async fn who_is_too_slow_misses_events_and_knows_how_many() {
    let stage = StageRecent::for_test();
    let mut follower = stage.follow();
    for _ in 0..FOLLOWED_BATCHES + 5 {
        stage.leaves(&batch(10));
    }
    for _ in 0..FOLLOWED_BATCHES {
        follower.next().await;
    }
    assert_eq!((follower.skipped(), follower.skipped_at_end()), (0, 50));
    stage.leaves(&batch(10));
    follower.next().await;
    assert_eq!((follower.skipped(), follower.skipped_at_end()), (50, 50));
}

#[tokio::test]
async fn a_quick_follower_sees_everything_beside_one_that_sleeps() {
    let stage = StageRecent::for_test();
    let (mut quick, mut asleep) = (stage.follow(), stage.follow());
    for _ in 0..3 * FOLLOWED_BATCHES {
        stage.leaves(&batch(2));
        assert_eq!(quick.next().await.len(), 2);
    }
    assert_eq!(quick.skipped_at_end(), 0);
    asleep.next().await;
    assert_eq!(asleep.skipped(), 2 * 2 * FOLLOWED_BATCHES as u64);
}

#[tokio::test]
async fn nothing_is_held_for_those_who_do_not_read() {
    let stage = StageRecent::for_test();
    // What is kept for the page is another matter.
    stage.budget.store(0, Relaxed);
    assert!(!is_held(&stage, &mut batch(4)), "nobody follows");
    let followers: Vec<Follower> = (0..100).map(|_| stage.follow()).collect();
    for _ in 0..FOLLOWED_BATCHES {
        assert!(is_held(&stage, &mut batch(4)));
    }
    assert!(!is_held(&stage, &mut batch(4)), "all of them are full");
    let mut new = stage.follow();
    assert!(is_held(&stage, &mut batch(4)));
    assert_eq!(new.next().await.len(), 4);
    drop((followers, new));
    assert!(!is_held(&stage, &mut batch(4)), "nobody follows any more");
}

#[test]
fn what_is_kept_of_a_second_and_of_a_stage_has_a_bound() {
    let stage = StageRecent::for_test();
    for _ in 0..1000 {
        stage.leaves(&batch(100));
    }
    assert_eq!(stage.counts(), (EVENTS_A_SECOND as usize, 100_000));
    for _ in 0..20 {
        stage.budget.store(EVENTS_A_SECOND, Relaxed);
        (0..100).for_each(|_| stage.leaves(&batch(100)));
    }
    assert_eq!(stage.counts().0, stage.events_max);
}

#[test]
fn what_is_kept_of_large_events_has_a_bound_in_bytes() {
    let stage = StageRecent::for_test();
    let large = |events: usize, bytes: usize| {
        let mut batch = batch(events);
        for event in batch.events_mut() {
            event.payload.set(STORE_ID, Text::from("x".repeat(bytes).as_str()));
        }
        batch
    };
    for _ in 0..100 {
        stage.budget.store(EVENTS_A_SECOND, Relaxed);
        stage.leaves(&large(4, 256 * 1024));
    }
    let (events, seen) = stage.counts();
    assert_eq!(seen, 400);
    // Half of all that is kept is this stage's share.
    assert_eq!(events, 15 * 4, "a little over a MiB each, in 16 MiB");
    let newest = stage.newest();
    stage.leaves(&large(2, 9 * 1024 * 1024));
    assert_eq!((stage.newest(), stage.counts()), (newest, (events, 402)), "it is not kept at all");
}
