//! What a library says of its plugins becomes rows of the registry.

use std::path::Path;
use std::sync::Arc;

use engine_plugin::host::{Descriptor, Module};
use serde_json::{Value, json};

use super::{Refusal, defaults, schema, stage};
use crate::component::{BuildContext, Component, Origin, PluginOrigin};
use crate::kind::Kind;
use crate::problem::Problems;
use crate::spec::check_settings;

/// The components of a library; all that is wrong with any of them.
pub(super) fn components(file: &Path, module: &Module) -> Result<Vec<Component>, Refusal> {
    let (mut components, mut wrong): (Vec<Component>, Vec<String>) = (Vec::new(), Vec::new());
    for descriptor in &module.plugins {
        match component(file, module, descriptor) {
            Ok(component) => components.push(component),
            Err(reason) => wrong.push(reason),
        }
    }
    if wrong.is_empty() { Ok(components) } else { Err(Refusal::new(wrong.join("; "))) }
}

fn component(file: &Path, module: &Module, descriptor: &Descriptor) -> Result<Component, String> {
    let name = &descriptor.name;
    let kind = kind(descriptor.kind);
    let refused = |reason| format!("the settings of its {} `{name}`: {reason}", kind.singular());
    let settings = schema::read(&descriptor.config_schema, &descriptor.summary).map_err(refused)?;
    defaults::fill_in(settings.as_value(), &mut json!({})).map_err(refused)?;
    // Others paste it.
    check_settings(&descriptor.example).map_err(|reason| {
        format!("the example of its {} `{name}` is no YAML of settings: {reason}", kind.singular())
    })?;
    let origin = PluginOrigin {
        file: file.to_owned(),
        version: descriptor.version.clone(),
        abi: module.abi,
        built_with: module.built_with.clone(),
    };
    let (descriptor, settings) = (Arc::new(descriptor.clone()), Arc::new(settings));
    let (defaults, path) = (settings.clone(), file.to_owned());
    Ok(Component {
        // A library stays for the life of the process, and so does what it is called.
        name: name.clone().leak(),
        kind,
        example: descriptor.example.clone().leak(),
        shares_out: false,
        simulates: false,
        origin: Origin::Plugin(Arc::new(origin)),
        schema: Arc::new(move || (*settings).clone()),
        build: Arc::new(move |mut settings: Value, cx| {
            let filled_in = defaults::complete(defaults.as_value(), &mut settings);
            filled_in.map_err(|reason| broken(&descriptor.name, &reason, &path, cx))?;
            stage::build(&descriptor, settings, cx)
        }),
    })
}

/// What is wrong with the settings is not the user's.
fn broken(name: &str, reason: &str, file: &Path, cx: &BuildContext<'_>) -> Problems {
    let help = format!("this is a defect of the plugin `{name}` in `{}`", file.display());
    cx.problem("", format!("{name}: {reason}")).help(help).into()
}

fn kind(kind: engine_plugin::Kind) -> Kind {
    match kind {
        engine_plugin::Kind::Source => Kind::Source,
        engine_plugin::Kind::Enricher => Kind::Enricher,
        engine_plugin::Kind::Correlator => Kind::Correlator,
        engine_plugin::Kind::Sink => Kind::Sink,
    }
}
