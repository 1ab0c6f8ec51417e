//! Makes a pipeline harmless: the same stages, but sinks keep what they get, and nothing comes from
//! outside.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::cases::{Case, Input};
use super::observer::Observer;
use crate::event::{Batch, Event};
use crate::kind::Kind;
use crate::plan::{Plan, PlannedStage};
use crate::sources::silent::Silent;
use crate::spec::BufferType;
use crate::stage::{Outcome, Sink, Stage};

/// The observers of a test, by their stages' names.
pub(super) type Observers = HashMap<String, Arc<Observer>>;

/// The pipeline as a test runs it.
pub(super) fn rehearsal(plan: &Plan, case: &Case, observers: &Observers) -> Plan {
    let mut plan = plan.clone();
    plan.spec.clock.start = Some(case.now);
    for stage in &mut plan.stages {
        match stage.kind {
            Kind::Sink => {
                stage.delivery.buffer.r#type = BufferType::Memory;
                stage.delivery.chaos = case.faults.get(&stage.name).cloned();
                observe(stage, observers.get(&stage.name).cloned());
            }
            Kind::Source => source(stage, &case.input),
            _ => {}
        }
    }
    plan
}

/// Lets the source run that is the input, from its seed; the others are silent.
fn source(stage: &mut PlannedStage, input: &Input) {
    match input {
        Input::Source { stage: name, seed } if *name == stage.name => {
            if let (Some(seed), Some(settings)) = (seed, stage.settings.as_object_mut()) {
                settings.insert("seed".to_owned(), (*seed).into());
            }
        }
        _ => stage.component.build = Arc::new(|_, _| Ok(Stage::Source(Box::new(Silent)))),
    }
}

/// Puts a sink that keeps what it gets in the place of the one that the spec names. That one is
/// built and never opened: it says how it would be delivered to.
fn observe(stage: &mut PlannedStage, observer: Option<Arc<Observer>>) {
    let build = Arc::clone(&stage.component.build);
    stage.component.build = Arc::new(move |settings, cx| match build(settings, cx)? {
        Stage::Sink(real) => Ok(Stage::Sink(Box::new(Fake { real, observer: observer.clone() }))),
        other => Ok(other),
    });
}

struct Fake {
    real: Box<dyn Sink>,
    observer: Option<Arc<Observer>>,
}

#[async_trait]
impl Sink for Fake {
    async fn write(&self, batch: &Batch) -> Outcome {
        if let Some(observer) = &self.observer {
            observer.see(batch);
        }
        Outcome::Delivered
    }

    fn wants_batches(&self) -> bool {
        self.real.wants_batches()
    }

    fn times_out(&self) -> bool {
        self.real.times_out()
    }

    fn lane_key(&self, event: &Event) -> Option<u32> {
        self.real.lane_key(event)
    }
}
