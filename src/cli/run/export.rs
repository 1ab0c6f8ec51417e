//! What a run sends to a collector while it goes on, where its spec asks for that.

use engine::engine::Engine;
use engine::problem::Problems;
use engine::runtime::Monitor;

#[cfg(feature = "otlp")]
use crate::cli::log;

/// The export of a run; without the feature `otlp`, or the setting, there is none.
pub(super) struct Export {
    #[cfg(feature = "otlp")]
    otlp: Option<engine::otlp::Otlp>,
}

#[cfg(feature = "otlp")]
impl Export {
    /// Begins before the pipeline is wired, which asks whether anybody wants spans.
    pub(super) fn start(engine: &Engine) -> Result<Self, Problems> {
        use engine::otlp::Otlp;
        use tracing_subscriber::Layer;
        let plan = engine.plan();
        let settings = plan.spec.monitoring.otlp.as_ref();
        let start = |settings| Otlp::start(settings, &plan.name(), plan.spec.shard);
        let otlp = settings.map(start).transpose()?;
        let layer = otlp.as_ref().and_then(Otlp::layer);
        log::export(layer.map(Layer::boxed));
        Ok(Self { otlp })
    }

    /// Exports the figures of a run from now on.
    pub(super) fn watch(&self, monitor: Monitor) {
        if let Some(otlp) = &self.otlp {
            otlp.watch(monitor);
        }
    }

    /// Sends what is left, in its time.
    pub(super) async fn finish(mut self) {
        if let Some(otlp) = self.otlp.take() {
            otlp.finish().await;
        }
    }
}

#[cfg(feature = "otlp")]
impl Drop for Export {
    fn drop(&mut self) {
        log::export(None);
    }
}

#[cfg(not(feature = "otlp"))]
impl Export {
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it may fail")]
    pub(super) fn start(_: &Engine) -> Result<Self, Problems> {
        Ok(Self {})
    }

    #[expect(clippy::unused_self, reason = "with the feature there is something")]
    pub(super) fn watch(&self, _: Monitor) {}

    #[expect(clippy::unused_async, reason = "with the feature there is something to wait for")]
    pub(super) async fn finish(self) {}
}
