//! What there is where the stages of a pipeline connect to, without a run.

use std::time::Duration;

use futures::future::join_all;

use super::Engine;
use crate::event::Timestamp;
use crate::plan::{PlannedStage, RunId};
use crate::problem::{Problem, Problems};
use crate::stage::{Probe, Stage};

/// How long a stage may look.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

impl Engine {
    /// Has sources and sinks connect to where they would, and look. What was found, by the names of
    /// the stages, and a problem for each that found nothing. Belongs in a tokio runtime.
    pub async fn probe(&self) -> (Vec<(String, String)>, Problems) {
        let looked = join_all(self.plan.stages.iter().map(|stage| self.look(stage))).await;
        let (mut found, mut problems) = (Vec::new(), Problems::default());
        for (stage, probe) in self.plan.stages.iter().zip(looked) {
            match probe {
                Ok(Probe::Nothing) => {}
                Ok(Probe::Found(what)) => found.push((stage.name.clone(), what)),
                Ok(Probe::Missing(why)) => problems.push(self.unreachable(stage, &why)),
                Err(found) => problems.append(found),
            }
        }
        (found, self.plan.document.without_secrets(problems))
    }

    async fn look(&self, stage: &PlannedStage) -> Result<Probe, Problems> {
        let mut built = self.plan.build(stage, RunId::of(Timestamp::MIN))?;
        let probe = async {
            match &mut built {
                Stage::Source(source) => source.probe().await,
                Stage::Sink(sink) => sink.probe().await,
                Stage::Enricher(_) | Stage::Correlator(_) | Stage::Batcher(_) => Probe::Nothing,
            }
        };
        let looked = tokio::time::timeout(PROBE_TIMEOUT, probe).await;
        Ok(looked.unwrap_or_else(|_| {
            Probe::Missing(format!("nobody answered within {} s", PROBE_TIMEOUT.as_secs()))
        }))
    }

    fn unreachable(&self, stage: &PlannedStage, why: &str) -> Problem {
        Problem::error(format!("`{}` cannot connect: {why}", stage.name))
            .at(self.plan.document.key_place(&stage.pointer))
    }
}
