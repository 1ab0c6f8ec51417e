//! Sinks that do not open, and sinks that panic.

use super::*;
use crate::stage::StageError;

/// Does not open: a pipe that nobody reads.
struct Stuck;

#[async_trait]
impl Sink for Stuck {
    async fn open(&self) -> Result<(), StageError> {
        std::future::pending().await
    }

    async fn write(&self, _batch: &Batch) -> Outcome {
        panic!("it is not open")
    }

    async fn close(&self) -> Result<(), StageError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_that_does_not_open_was_to_get_is_kept() {
    for (buffer, kept) in [("memory", (2, 0)), ("disk", (0, 2))] {
        for lanes in [1, 2] {
            let stand = Stand::new(json!({ "lanes": lanes, "buffer": { "type": buffer } }));
            let input = vec![stand.batch(&["a"]), stand.batch(&["b"])];
            let (taken_in, sent) = stand.parts(Box::new(Stuck), stream::iter(input));
            let (control, ledger) = (stand.control.clone(), stand.ledger.clone());
            let keep = async move {
                tokio::time::sleep(Duration::from_mins(1)).await;
                assert_eq!(ledger.outstanding(), kept.0, "what is on the disk is let go");
                control.keep();
            };
            let all = async { tokio::join!(taken_in, sent, keep) };
            tokio::time::timeout(Duration::from_secs(61), all).await.unwrap();
            let tally = stand.tally();
            assert_eq!((tally.dead_letters(), tally.buffered), (kept.0 as u64, kept.1));
            assert_eq!((stand.ledger.outstanding(), stand.control.errors()), (0, vec![]));
            stand.assert_balanced();
        }
    }
}

struct Panics;

#[async_trait]
impl Sink for Panics {
    async fn write(&self, _batch: &Batch) -> Outcome {
        tokio::time::sleep(Duration::from_secs(1)).await;
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_sink_that_panicked_and_nothing_of_it_is_acknowledged() {
    for buffer in ["memory", "disk"] {
        let stand = Stand::new(json!({ "buffer": { "type": buffer, "max_events": 2 } }));
        let input: Vec<_> = (0..40).map(|_| stand.batch(&["a"])).collect();
        let (taken_in, sent) = stand.parts(Box::new(Panics), stream::iter(input));
        let (taken_in, sent) = (tokio::spawn(taken_in), tokio::spawn(sent));
        assert!(sent.await.unwrap_err().is_panic());
        tokio::time::timeout(Duration::from_secs(1), taken_in).await.unwrap().unwrap();
        let tally = stand.tally();
        match buffer {
            "memory" => {
                assert_eq!(counts(&tally.dropped), [("sink_closed", 39)], "one was on its way");
                assert_eq!(stand.ledger.acknowledged(), None);
            }
            _ => assert!(tally.dead_letters() > 0, "{tally:?}"),
        }
    }
}
