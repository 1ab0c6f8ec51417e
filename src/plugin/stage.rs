//! placeholder until the adapters land
use crate::component::BuildContext;
use crate::problem::Problems;
use crate::stage::Stage;
use engine_plugin::host::Descriptor;
use serde_json::Value;
pub(super) fn build(_: &Descriptor, _: Value, cx: &BuildContext<'_>) -> Result<Stage, Problems> {
    Err(cx.problem("", "not yet").into())
}
