//! Drives enrichers: one in the task of its input, or a team of them, in order all the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::Stream;
use tracing::Instrument;

use super::BatchStream;
use super::calls::where_it_may_block;
use super::select::StageContext;
use crate::event::{Batch, Event};
use crate::monitor::Account;
use crate::stage::{Enricher, Rows, StageError, Verdict};

/// A batch that went through an enricher; none where that cannot go on, and the run has failed.
type Enriched = Option<Batch>;

/// Sends every batch through one of the enrichers.
pub(super) fn enrich(
    mut input: BatchStream,
    mut team: Vec<Box<dyn Enricher>>,
    mut cx: StageContext,
) -> BatchStream {
    if let Some(findings) = team.first().and_then(|first| first.findings()) {
        cx.account.show(findings);
    }
    cx.account.show_rules(team.iter().filter_map(|enricher| enricher.figures()).collect());
    cx.account.show_metrics(team.iter().filter_map(|enricher| enricher.metrics()).collect());
    let blocks = team.iter().any(|enricher| enricher.blocks());
    async_stream::stream! {
        let opened;
        (team, opened) = each(team, &cx.account, |enricher| enricher.open()).await;
        if let Err(error) = opened {
            return cx.break_off(&error, 0);
        }
        if team.len() == 1 && !blocks {
            while let Some(batch) = input.next().await {
                let Some(batch) = one_batch(batch, &mut *team[0], &mut cx) else { return };
                yield batch;
            }
        } else {
            let team_at_work = Team::new(team, &cx);
            let mut enriched = team_at_work.clone().enrich(input, blocks);
            while let Some(batch) = enriched.next().await {
                let Some(batch) = batch else { return };
                yield batch;
            }
            team = team_at_work.gather();
        }
        let (_, closed) = each(team, &cx.account, |enricher| enricher.close()).await;
        if let Err(error) = closed {
            cx.break_off(&error, 0);
        }
    }
    .boxed()
}

/// Opens or closes each of a team, or as many as it goes well with.
async fn each(
    mut team: Vec<Box<dyn Enricher>>,
    account: &Arc<Account>,
    call: impl Fn(&mut dyn Enricher) -> Result<(), StageError> + Send + 'static,
) -> (Vec<Box<dyn Enricher>>, Result<(), StageError>) {
    let calls = move || {
        let result = team.iter_mut().try_for_each(|enricher| call(&mut **enricher));
        (team, result)
    };
    where_it_may_block(account, calls).await
}

/// Enrichers that have no batch, each with what goes with it.
type Idle = Vec<(Box<dyn Enricher>, StageContext)>;

/// Enrichers that take batches in turns; copies are the same team.
#[derive(Clone)]
struct Team {
    size: usize,
    cx: StageContext,
    idle: Arc<Mutex<Idle>>,
}

impl Team {
    fn new(team: Vec<Box<dyn Enricher>>, cx: &StageContext) -> Self {
        let idle: Vec<_> = team.into_iter().map(|enricher| (enricher, cx.clone())).collect();
        Self { size: idle.len(), cx: cx.clone(), idle: Arc::new(Mutex::new(idle)) }
    }

    fn enrich(self, input: BatchStream, blocks: bool) -> impl Stream<Item = Enriched> {
        let size = self.size;
        input
            .map(move |batch| {
                let team = self.clone();
                // The batch that is asked for may be there before this one, which would keep its span.
                let span = self.cx.span.span().clone();
                // It begins at once, not when its turn comes to be waited for.
                let work = if blocks {
                    let work = async move {
                        let account = Arc::clone(&team.cx.account);
                        where_it_may_block(&account, move || team.one_batch(batch)).await
                    };
                    tokio::spawn(work.instrument(span))
                } else {
                    tokio::spawn(async move { team.one_batch(batch) }.instrument(span))
                };
                async move {
                    match work.await.map_err(tokio::task::JoinError::try_into_panic) {
                        Ok(enriched) => enriched,
                        Err(Ok(panic)) => std::panic::resume_unwind(panic),
                        // The runtime shuts down, and so this is dropped, too.
                        Err(Err(_)) => std::future::pending().await,
                    }
                }
            })
            .buffered(size)
    }

    /// Has the next one that is idle work on a batch.
    fn one_batch(&self, batch: Batch) -> Enriched {
        let Some((mut next, mut cx)) = self.lock().pop() else { return Some(batch) };
        let enriched = one_batch(batch, &mut *next, &mut cx);
        self.lock().push((next, cx));
        enriched
    }

    /// Takes all that are idle: all of them, once the last batch is through.
    fn gather(self) -> Vec<Box<dyn Enricher>> {
        self.lock().drain(..).map(|(enricher, _)| enricher).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn one_batch(mut batch: Batch, enricher: &mut dyn Enricher, cx: &mut StageContext) -> Enriched {
    if batch.is_empty() {
        return Some(batch);
    }
    let selected = cx.select(&mut batch);
    let mut rows = Rows::new(batch.events_mut(), selected.as_deref());
    {
        let _working = cx.account.work();
        enricher.enrich(&mut rows);
    }
    if let Some(error) = rows.broken() {
        // The batch is dropped after that, and so it is not acknowledged.
        cx.break_off(&error, batch.len());
        return None;
    }
    let verdicts = rows.into_verdicts();
    Some(if verdicts.is_empty() { batch } else { apply(batch, &verdicts, cx) })
}

/// Takes out what was dropped or failed.
fn apply(mut batch: Batch, verdicts: &[(u32, Verdict)], cx: &StageContext) -> Batch {
    let mut places = verdicts.iter().map(|(judged, _)| *judged).peekable();
    let mut place = 0;
    let goes = |_: &mut Event| {
        place += 1;
        places.next_if_eq(&(place - 1)).is_some()
    };
    let gone: Vec<Event> = batch.events_mut().extract_if(.., goes).collect();
    let judged = || gone.iter().zip(verdicts);
    cx.fail(judged().filter_map(|(event, (_, verdict))| match verdict {
        Verdict::Fail(failure) => Some((event, failure)),
        Verdict::Keep | Verdict::Drop => None,
    }));
    cx.filter(judged().filter_map(|(event, (_, verdict))| match verdict {
        Verdict::Drop => Some(event),
        Verdict::Keep | Verdict::Fail(_) => None,
    }));
    batch.pruned()
}
