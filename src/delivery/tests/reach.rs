//! Receivers that are looked for, beside what is sent to them.

use super::*;
use crate::monitor::Connection;
use crate::stage::StageError;

/// Is open at once, and has its receiver from some time on.
struct Distant {
    began: Instant,
    there_at: Duration,
    /// Whether a look takes as long as the run.
    hangs: bool,
    looks: Arc<Mutex<Vec<Duration>>>,
    /// Whether writes get through all the same, as over another way.
    takes: bool,
}

impl Distant {
    fn new(there_at: Duration) -> Self {
        let (began, looks) = (Instant::now(), Arc::default());
        Self { began, there_at, hangs: false, looks, takes: false }
    }
}

#[async_trait]
impl Sink for Distant {
    async fn reach(&self) -> Result<(), StageError> {
        self.looks.lock().unwrap().push(self.began.elapsed());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.began.elapsed() < self.there_at {
            return Err(StageError("nobody listens".to_owned()));
        }
        Ok(())
    }

    async fn write(&self, _: &Batch) -> Outcome {
        if self.takes || self.began.elapsed() >= self.there_at {
            return Outcome::Delivered;
        }
        Outcome::Refused(Refusal::transient("connection", "no route"))
    }
}

/// A batch that comes after a while.
fn later(batch: Batch, after: Duration) -> impl stream::Stream<Item = Batch> + Send + 'static {
    stream::once(async move {
        tokio::time::sleep(after).await;
        batch
    })
}

/// What is known of the connection at times, while a delivery goes on.
async fn looked_at(
    stand: &Stand,
    sink: Distant,
    input: impl stream::Stream<Item = Batch> + Send + 'static,
    times: &[u64],
) -> Vec<(u64, Connection, bool)> {
    let began = Instant::now();
    let (taken_in, sent) = stand.parts(Box::new(sink), input);
    let looking = async {
        let mut seen = Vec::new();
        for second in times {
            // Just after what happens at that second.
            let at = began + Duration::from_secs(*second) + Duration::from_millis(1);
            tokio::time::sleep_until(at).await;
            let DeliveryTally { connection, has_connected, .. } = stand.figures();
            seen.push((*second, connection, has_connected));
        }
        seen
    };
    tokio::join!(taken_in, sent, looking).2
}

#[tokio::test(start_paused = true)]
async fn a_sink_whose_receiver_is_not_there_has_failed_until_a_look_finds_it() {
    let stand = Stand::new(plain());
    let sink = Distant::new(Duration::from_secs(30));
    let looks = sink.looks.clone();
    let input = later(stand.batch(&["a"]), Duration::from_mins(1));
    let seen = looked_at(&stand, sink, input, &[0, 34, 35, 59]).await;
    let (failed, connected) = (Connection::Failed, Connection::Connected);
    assert_eq!(
        seen,
        [(0, failed, false), (34, failed, false), (35, connected, true), (59, connected, true)]
    );
    assert_eq!(seconds(&looks.lock().unwrap()), [0, 1, 3, 7, 15, 25, 35], "pauses grow to 10 s");
    assert_eq!((stand.tally().delivered, stand.tally().missed), (1, None));
    stand.assert_balanced();
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_told_as_long_as_it_holds() {
    let stand = Stand::new(plain());
    let input = later(stand.batch(&["a"]), Duration::from_secs(5));
    let (taken_in, sent) = stand.parts(Box::new(Distant::new(Duration::from_secs(6))), input);
    let missed = async {
        let mut missed = Vec::new();
        for pause in [1, 5_000, 3_000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            missed.push(stand.tally().missed);
        }
        missed
    };
    let missed = tokio::join!(taken_in, sent, missed).2;
    let missed: Vec<_> = missed.iter().map(Option::as_deref).collect();
    assert_eq!(missed, [Some("nobody listens"), Some("no route"), None]);
}

#[tokio::test(start_paused = true)]
async fn what_gets_through_ends_the_looking_and_is_held_up_by_none() {
    for hangs in [false, true] {
        let stand = Stand::new(plain());
        let sink = Distant { takes: true, hangs, ..Distant::new(Duration::MAX) };
        let looks = sink.looks.clone();
        let began = Instant::now();
        let input = later(stand.batch(&["a"]), Duration::from_secs(5))
            .chain(later(stand.batch(&["b"]), Duration::from_mins(5)));
        let seen = looked_at(&stand, sink, input, &[4, 5, 300]).await;
        let before = if hangs { Connection::Connecting } else { Connection::Failed };
        let connected = Connection::Connected;
        assert_eq!(seen, [(4, before, false), (5, connected, true), (300, connected, true)]);
        let expected: &[u64] = if hangs { &[0] } else { &[0, 1, 3] };
        assert_eq!(seconds(&looks.lock().unwrap()), expected);
        assert_eq!(began.elapsed().as_secs(), 305, "the end waits for no look");
        stand.assert_balanced();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_connects_when_it_is_opened_is_connected_before_it_sends() {
    let stand = Stand::new(plain());
    let account = stand.account.clone();
    let script = move |_: &[String], _| {
        assert!(account.delivery.has_connected());
        delivered()
    };
    stand.delivery(vec![stand.batch(&["a"])], script).await;
    assert_eq!(stand.tally().delivered, 1);
    assert_eq!(stand.figures().connection, Connection::Connected);
}
