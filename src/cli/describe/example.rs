//! The example of a component as a stage that can be pasted into a pipeline.

use engine::component::{Component, Kind};

/// The YAML of a whole stage.
pub(super) fn stage(component: &Component) -> String {
    let mut yaml = format!(
        "{}:\n  {}:\n    type: {}\n",
        component.kind.section(),
        stage_name(component),
        component.name
    );
    if component.kind != Kind::Source {
        yaml.push_str("    inputs: [");
        yaml.push_str(input(component.kind));
        yaml.push_str("]\n");
    }
    let settings = component.example.trim_end();
    if settings.trim().is_empty() || settings.trim() == "{}" {
        return yaml;
    }
    yaml.push_str("    with:\n");
    for line in settings.lines() {
        if !line.trim().is_empty() {
            yaml.push_str("      ");
        }
        yaml.push_str(line);
        yaml.push('\n');
    }
    yaml
}

fn stage_name(component: &Component) -> String {
    format!("my_{}", component.kind.singular())
}

/// What a stage of the kind is likely to read.
fn input(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "",
        Kind::Enricher => "my_source",
        Kind::Correlator => "my_enricher",
        Kind::Batcher => "my_correlator",
        Kind::Sink => "my_batcher",
    }
}
