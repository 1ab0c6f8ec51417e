use super::*;
use crate::event::{RECEIPT_CREATED, Text, Timestamp};

fn stage() -> Arc<StageRecent> {
    let yaml =
        "sources: { s: { type: retail_mix } }\nsinks: { out: { type: blackhole, inputs: [s] } }";
    let engine = crate::spec::Document::parse(
        "test.yaml",
        yaml,
        std::path::Path::new("."),
        &crate::spec::Environment::default(),
    );
    let (plan, _) = Plan::new(engine.unwrap(), &crate::registry::built_in()).unwrap();
    Arc::clone(Recent::new(&plan).stage("s").unwrap())
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
    let stage = stage();
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
    let stage = stage();
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
    let stage = stage();
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
    let stage = stage();
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
    let stage = stage();
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
