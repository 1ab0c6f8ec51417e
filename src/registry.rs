//! Name to component: the table of built-ins.

use crate::component::Component;
use crate::{batchers, correlators, enrichers, sinks, sources};

/// Every built-in component. A new one is a file, a `mod` line and a row here.
pub fn built_in() -> Vec<Component> {
    vec![
        #[cfg(feature = "event_hubs")]
        Component::of::<sources::event_hubs::EventHubsSource>(),
        Component::of::<sources::file::FileSource>(),
        Component::of::<sources::http::HttpSource>(),
        Component::of::<sources::retail::Retail>(),
        Component::of::<sources::retail_mix::RetailMix>(),
        Component::of::<enrichers::chaos::ChaosStage>(),
        Component::of::<enrichers::filter::FilterSettings>(),
        Component::of::<enrichers::invariants::Invariants>(),
        Component::of::<enrichers::rhai::RhaiSettings>(),
        Component::of::<enrichers::validate::Validate>(),
        Component::of::<correlators::dedupe::DedupeSettings>(),
        Component::of::<correlators::join::JoinSettings>(),
        Component::of::<correlators::rhai::RhaiSettings>(),
        Component::of::<correlators::sequence::SequenceSettings>(),
        Component::of::<correlators::window::WindowSettings>(),
        Component::of::<batchers::count_or_time::CountOrTime>(),
        Component::of::<sinks::blackhole::Blackhole>(),
        Component::of::<sinks::console::Console>(),
        #[cfg(feature = "event_hubs")]
        Component::of::<sinks::event_hubs::EventHubsSink>(),
        Component::of::<sinks::file::FileSink>(),
        Component::of::<sinks::http::HttpSink>(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::component::BuildContext;
    use crate::event::TraceIds;
    use crate::spec::{Document, Environment, Shard};

    #[test]
    fn every_component_has_a_name_of_its_own_within_its_kind() {
        let mut names = HashSet::new();
        for component in built_in() {
            assert!(names.insert((component.kind, component.name)), "{}", component.name);
        }
    }

    #[test]
    fn every_component_says_what_it_does_and_what_its_settings_mean() {
        for component in built_in() {
            assert!(component.summary().ends_with('.'), "{}", component.name);
            let schema = (component.schema)();
            let settings = schema.get("properties").and_then(|settings| settings.as_object());
            for (name, setting) in settings.into_iter().flatten() {
                let says = setting.get("description").is_some();
                assert!(says, "`{name}` of `{}` has no description", component.name);
            }
        }
    }

    #[test]
    fn every_example_passes_its_schema_and_builds() {
        let environment = Environment::of_process();
        for component in built_in() {
            let (kind, name) = (component.kind, component.name);
            let settings = component.example.replace('\n', "\n      ");
            let section = kind.section();
            let text = format!("{section}:\n  s:\n    type: {name}\n    with:\n      {settings}\n");
            let document = Document::parse("example.yaml", text, "", &environment).unwrap();
            let pointer = format!("/{section}/s");
            let settings = document.value(&format!("{pointer}/with"));
            let schema = (component.schema)().to_value();
            if let Err(error) = jsonschema::validate(&schema, &settings) {
                panic!("the example of `{name}` at `{}`: {error}", error.instance_path());
            }
            let trace_ids = TraceIds::new(1, 0);
            let shard = Shard::WHOLE;
            let (stage, seed, document) = ("s", 1, &document);
            let cx = BuildContext { stage, seed, shard, trace_ids, document, pointer };
            if let Err(problems) = (component.build)(settings, &cx) {
                panic!("the example of `{name}` does not build: {problems}");
            }
        }
    }
}
