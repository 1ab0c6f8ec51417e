//! Name to component: the table of built-ins, and of what plugins add to it.

use crate::component::Component;
use crate::plugin::{Found, Library, Lookup, Refusal, Search, find};
use crate::problem::Problems;
use crate::spec::{Document, Unloaded};
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

/// The components that a spec may name: the built-in ones, and those of the libraries that the spec
/// itself or `search` names. What is wrong with libraries becomes a part of what is wrong with the
/// document.
pub fn available(document: &mut Document, search: &Search) -> Vec<Component> {
    let named = document.named_libraries().into_iter().map(|named| Lookup {
        path: named.path,
        sha256: named.sha256,
        place: named.place,
        is_optional: false,
    });
    let found = find(&Search(named.chain(search.0.iter().cloned()).collect()), &mut |path| {
        document.note_library(path);
    });
    let table = Table::with(found);
    document.add_problems(table.problems());
    for library in table.unloaded() {
        document.lack_library(library);
    }
    table.components
}

/// The built-in components with those of libraries.
pub struct Table {
    /// All components.
    pub components: Vec<Component>,
    /// What was found; a library whose names are taken is refused here.
    pub found: Found,
}

impl Table {
    /// Adds the components of libraries to the built-in ones. A library with a name that is taken
    /// gives nothing.
    pub fn with(mut found: Found) -> Self {
        let mut components = built_in();
        for library in &mut found.libraries {
            let Ok(own) = &library.outcome else { continue };
            let clash = own.iter().find_map(|own| {
                let is_same = |known: &&Component| (known.kind, known.name) == (own.kind, own.name);
                components.iter().find(is_same).map(clash)
            });
            match clash {
                Some(clash) => library.outcome = Err(clash),
                None => components.extend(own.iter().cloned()),
            }
        }
        Self { components, found }
    }

    /// What is wrong with libraries, and with the places where they are looked for. A file of a
    /// folder that is no plugin is only a warning.
    pub fn problems(&self) -> Problems {
        let mut problems = self.found.problems.clone();
        problems.extend(self.found.libraries.iter().filter_map(Library::problem));
        problems
    }

    /// The libraries in which a component may be that is missing.
    fn unloaded(&self) -> Vec<Unloaded> {
        let refused = self.found.libraries.iter().filter_map(|library| {
            let reason = library.outcome.as_ref().err()?.reason.clone();
            Some(Unloaded { file: library.file.clone(), reason })
        });
        let empty = self.found.empty.iter().map(|folder| Unloaded {
            file: folder.clone(),
            reason: format!("no file in it ends in `{}`", std::env::consts::DLL_SUFFIX),
        });
        let unread = self.found.unread.iter().map(|(place, refusal)| Unloaded {
            file: place.clone(),
            reason: refusal.reason.clone(),
        });
        refused.chain(empty).chain(unread).collect()
    }
}

/// Says who has the name already.
fn clash(taken: &Component) -> Refusal {
    let (kind, name) = (taken.kind.singular(), taken.name);
    let (by, help) = match taken.plugin() {
        None => ("is built in".to_owned(), "the plugin needs another name"),
        Some(origin) => (
            format!("is in `{}`", origin.file.display()),
            "take one of the two libraries away, or give its plugin another name",
        ),
    };
    let refusal = Refusal::new(format!("the {kind} `{name}` {by} already")).help(help);
    Refusal { is_clash: true, ..refusal }
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
