//! A plugin and the settings of a stage to the stage itself.

use engine_plugin::Kind;
use engine_plugin::host::{Descriptor, Failed, Fault};
use serde_json::Value as Json;

use super::correlator::PluginCorrelator;
use super::enricher::PluginEnricher;
use super::made::{Maker, Working};
use super::sink::PluginSink;
use super::source::PluginSource;
use crate::component::BuildContext;
use crate::problem::Problems;
use crate::stage::Stage;

/// Makes a stage: creates an instance of the plugin, which looks at the settings and does nothing
/// else yet.
pub(super) fn build(
    descriptor: &Descriptor,
    settings: Json,
    cx: &BuildContext<'_>,
) -> Result<Stage, Problems> {
    let passes_through = settings.get("passthrough").and_then(Json::as_bool);
    let passes_through = passes_through.unwrap_or(!descriptor.is_derived_only);
    let maker = Maker::new(descriptor, cx.stage, settings);
    let working = Working::new(maker).map_err(|failed| refused(descriptor, &failed, cx))?;
    Ok(match descriptor.kind {
        Kind::Source => Stage::Source(Box::new(PluginSource::new(working))),
        Kind::Enricher => Stage::Enricher(Box::new(PluginEnricher::new(working, descriptor))),
        Kind::Correlator => {
            let ids = cx.trace_ids.clone();
            let made = PluginCorrelator::new(working, descriptor, passes_through, ids);
            let too_many = || cx.problem("", "there are too many names already");
            Stage::Correlator(Box::new(made.ok_or_else(too_many)?))
        }
        Kind::Sink => Stage::Sink(Box::new(PluginSink::new(working, descriptor))),
    })
}

fn refused(descriptor: &Descriptor, failed: &Failed, cx: &BuildContext<'_>) -> Problems {
    let name = &descriptor.name;
    let problem = cx.problem("", format!("{name}: {}", failed.reason));
    match failed.fault {
        Fault::Panic => problem.help(format!("this is a defect of the plugin `{name}`")),
        _ => problem,
    }
    .into()
}
