//! `when:` in front of a stage: which events it is to look at.

use std::sync::Arc;

use futures::StreamExt;

use super::{BatchStream, Tap};
use crate::control::Control;
use crate::dead_letter::Failures;
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::monitor::{Account, StageSpan};
use crate::script::Condition;
use crate::stage::StageError;

/// What events are counted under that a stage leaves undone which cannot go on.
const BROKEN_OFF: &str = "broken_off";

/// What every driver of a stage needs beside the stage.
#[derive(Clone)]
pub(super) struct StageContext {
    pub(super) account: Arc<Account>,
    pub(super) failures: Failures,
    pub(super) control: Control,
    pub(super) when: Option<Condition>,
    /// What is traced of it.
    pub(super) span: StageSpan,
    /// Who sees what becomes of events in the stage.
    pub(super) tap: Option<Arc<dyn Tap>>,
}

impl StageContext {
    /// The places of the events that the stage is to look at, or none for all of them. An event
    /// on which the expression itself fails is taken out, and becomes a dead letter.
    pub(super) fn select(&mut self, batch: &mut Batch) -> Option<Vec<u32>> {
        let when = self.when.as_mut()?;
        let (mut selected, mut failed) = (Vec::new(), Vec::new());
        when.select(batch.events_mut(), &mut selected, &mut failed);
        if !failed.is_empty() {
            remove(batch, &failed, &self.failures, self.tap.as_deref());
            // Places have moved; what failed is gone, so this time nothing fails.
            selected.clear();
            when.select(batch.events_mut(), &mut selected, &mut Vec::new());
        }
        Some(selected)
    }

    /// Takes events that the stage failed on.
    pub(super) fn fail<'a>(&self, failed: impl IntoIterator<Item = (&'a Event, &'a Failure)>) {
        fail(failed, &self.failures, self.tap.as_deref());
    }

    /// The stage cannot go on: the run has failed, and nothing that is dropped from now on is
    /// acknowledged. `lost` are the events that it leaves undone.
    pub(super) fn break_off(&self, error: &StageError, lost: usize) {
        let Account { kind, stage, .. } = &*self.account;
        self.account.break_off(&error.0);
        self.account.drop_events(BROKEN_OFF, lost);
        self.control.fail(format!("{} `{stage}`: {error}", kind.singular()));
    }

    /// Takes events that the stage dropped on purpose.
    pub(super) fn filter<'a>(&self, dropped: impl Iterator<Item = &'a Event>) {
        let tap = self.tap.as_deref();
        let dropped = dropped.inspect(|event| _ = tap.map(|tap| tap.drops(event)));
        self.account.filter(dropped.count());
    }
}

fn fail<'a>(
    failed: impl IntoIterator<Item = (&'a Event, &'a Failure)>,
    failures: &Failures,
    tap: Option<&dyn Tap>,
) {
    let seen = |(event, failure): &(&Event, &Failure)| _ = tap.map(|tap| tap.fails(event, failure));
    failures.events(failed.into_iter().inspect(seen));
}

#[cfg(test)]
impl StageContext {
    /// A stage that drops what it fails on.
    pub(super) fn for_test() -> Self {
        let account = Account::new("stage", crate::kind::Kind::Correlator, "test");
        let account = Arc::new(account);
        let dead_letters = crate::dead_letter::DeadLetters::off();
        let control = Control::new();
        let failures = Failures::new(account.clone(), dead_letters, control.clone());
        let span = StageSpan::for_test();
        Self { account, failures, control, when: None, span, tap: None }
    }
}

/// Takes events out of a batch and makes them dead letters.
fn remove(
    batch: &mut Batch,
    failed: &[(u32, Failure)],
    failures: &Failures,
    tap: Option<&dyn Tap>,
) {
    let mut places = failed.iter().map(|(place, _)| *place).peekable();
    let mut place = 0;
    let fails = |_: &mut Event| {
        place += 1;
        places.next_if_eq(&(place - 1)).is_some()
    };
    let gone: Vec<Event> = batch.events_mut().extract_if(.., fails).collect();
    fail(gone.iter().zip(failed).map(|(event, (_, failure))| (event, failure)), failures, tap);
    *batch = std::mem::replace(batch, Batch::progress(batch.watermark())).pruned();
}

/// Lets only selected events through; the others are counted as filtered. This is what `when:`
/// means on stages that cannot pass an event by: sources, batchers and sinks.
pub(super) fn keep(stream: BatchStream, mut cx: StageContext) -> BatchStream {
    if cx.when.is_none() {
        return stream;
    }
    stream
        .map(move |mut batch| {
            let Some(selected) = cx.select(&mut batch) else { return batch };
            let before = batch.len();
            let mut selected = selected.into_iter().peekable();
            let mut place = 0;
            batch.events_mut().retain(|_| {
                place += 1;
                selected.next_if_eq(&(place - 1)).is_some()
            });
            cx.account.filter(before - batch.len());
            batch.pruned()
        })
        .boxed()
}
