//! Drives enrichers: one in the task of its input, or a team of them, in order all the same.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;

use super::BatchStream;
use super::select::StageContext;
use crate::event::{Batch, Event};
use crate::stage::{Enricher, Rows, Verdict};

/// Sends every batch through one of the enrichers.
pub(super) fn enrich(
    input: BatchStream,
    mut team: Vec<Box<dyn Enricher>>,
    mut cx: StageContext,
) -> BatchStream {
    if let Some(findings) = team.first().and_then(|first| first.findings()) {
        cx.account.show(findings);
    }
    cx.account.show_rules(team.iter().filter_map(|enricher| enricher.figures()).collect());
    if team.len() == 1 {
        let mut enricher = team.remove(0);
        return input.map(move |batch| one_batch(batch, &mut *enricher, &mut cx)).boxed();
    }
    let size = team.len();
    let idle: Vec<_> = team.into_iter().map(|enricher| (enricher, cx.clone())).collect();
    let idle = Arc::new(Mutex::new(idle));
    input
        .map(move |batch| {
            let idle = Arc::clone(&idle);
            let work = tokio::spawn(async move {
                let take = || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some((mut enricher, mut cx)) = take() else { return batch };
                let batch = one_batch(batch, &mut *enricher, &mut cx);
                idle.lock().unwrap_or_else(PoisonError::into_inner).push((enricher, cx));
                batch
            });
            async move {
                match work.await {
                    Ok(batch) => batch,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        })
        .buffered(size)
        .boxed()
}

fn one_batch(mut batch: Batch, enricher: &mut dyn Enricher, cx: &mut StageContext) -> Batch {
    if batch.is_empty() {
        return batch;
    }
    let selected = cx.select(&mut batch);
    let mut rows = Rows::new(batch.events_mut(), selected.as_deref());
    enricher.enrich(&mut rows);
    let verdicts = rows.into_verdicts();
    if verdicts.is_empty() { batch } else { apply(batch, &verdicts, cx) }
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
