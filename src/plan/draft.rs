//! Stages as they are written, and what is wrong with each by itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Value, json};

use crate::component::{Component, Kind};
use crate::problem::{Problem, Problems, did_you_mean};
use crate::script::Condition;
use crate::spec::{Checker, Document, Spec, StageSpec, Unloaded, list, pointer_to};

/// A stage of the spec, sound or not.
pub(super) struct Draft<'a> {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// None if its type is missing or unknown, which was reported.
    pub(super) component: Option<&'a Component>,
    /// Its JSON pointer in the spec.
    pub(super) pointer: String,
    /// Its inputs with the pointer of each; none if they are no names, which is told elsewhere.
    pub(super) inputs: Option<Vec<(String, String)>>,
}

impl Draft<'_> {
    /// Its settings; an empty mapping if there are none.
    pub(super) fn settings(&self, document: &Document) -> Value {
        match document.value(&self.with()) {
            Value::Null => json!({}),
            settings => settings,
        }
    }

    /// The same stage in the typed spec.
    pub(super) fn spec<'s>(&self, spec: &'s Spec) -> Option<&'s StageSpec> {
        let section = match self.kind {
            Kind::Source => &spec.sources,
            Kind::Enricher => &spec.enrichers,
            Kind::Correlator => &spec.correlators,
            Kind::Batcher => &spec.batchers,
            Kind::Sink => &spec.sinks,
        };
        section.get(&self.name)
    }

    fn with(&self) -> String {
        format!("{}/with", self.pointer)
    }
}

/// All stages in the order of the spec.
pub(super) fn drafts<'a>(
    document: &Document,
    components: &'a [Component],
    problems: &mut Problems,
) -> Vec<Draft<'a>> {
    let spec = document.value("");
    let mut drafts = Vec::new();
    let kind_of = |section: &str| Kind::ALL.into_iter().find(|kind| kind.section() == section);
    for (section, stages) in spec.as_object().into_iter().flatten() {
        let Some(kind) = kind_of(section) else { continue };
        for (name, stage) in stages.as_object().into_iter().flatten() {
            let pointer = pointer_to(&format!("/{section}"), name);
            let type_pointer = format!("{pointer}/type");
            let found = match stage["type"].as_str() {
                Some(_) if document.is_unfilled(&type_pointer) => None,
                Some(name) => component(components, kind, name)
                    .map_err(|problem| {
                        let problem = hinting_at(document.unloaded(), problem);
                        problems.push(problem.at(document.place(&type_pointer)));
                    })
                    .ok(),
                None => None,
            };
            let inputs = match stage {
                Value::Object(_) => inputs(document, &stage["inputs"], &pointer),
                _ => None,
            };
            drafts.push(Draft { name: name.clone(), kind, component: found, pointer, inputs });
        }
    }
    drafts
}

fn inputs(document: &Document, inputs: &Value, stage: &str) -> Option<Vec<(String, String)>> {
    let pointer = format!("{stage}/inputs");
    let input = |(pointer, name): (String, &Value)| {
        let name = name.as_str().filter(|_| !document.is_unfilled(&pointer))?;
        Some((name.to_owned(), pointer))
    };
    match inputs {
        Value::Null => (!document.contains(&pointer)).then(Vec::new),
        Value::Array(names) => {
            let pointers = (0..).map(|index: usize| format!("{pointer}/{index}"));
            pointers.zip(names).map(input).collect()
        }
        name => Some(vec![input((pointer, name))?]),
    }
}

/// Finds a component of a kind, or says what else the name may mean.
fn component<'a>(
    components: &'a [Component],
    kind: Kind,
    name: &str,
) -> Result<&'a Component, Problem> {
    let of_kind = |kind| components.iter().filter(move |component| component.kind == kind);
    if let Some(found) = of_kind(kind).find(|component| component.name == name) {
        return Ok(found);
    }
    let known: Vec<_> = of_kind(kind).map(|component| component.name).collect();
    let others: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| of_kind(*kind).any(|component| component.name == name))
        .collect();
    let message = if others.is_empty() {
        format!("unknown {} type `{name}`", kind.singular())
    } else {
        let others: Vec<_> = others.into_iter().map(with_article).collect();
        format!("`{name}` is {}, not {}", others.join(" and "), with_article(kind))
    };
    let problem = Problem::error(message);
    if let Some(meant) = did_you_mean(name, known.iter().copied()) {
        return Err(problem.help(format!("did you mean `{meant}`?")));
    }
    Err(match known.as_slice() {
        [] => problem,
        known => problem.help(format!("the {} are {}", kind.section(), list(known, "and"))),
    })
}

/// So many libraries are named in which a component may be; more are only counted.
const UNLOADED_SHOWN: usize = 3;

/// Says which libraries the component may be in, had they been loaded.
fn hinting_at(unloaded: &[Unloaded], mut problem: Problem) -> Problem {
    if unloaded.is_empty() {
        return problem;
    }
    let shown = unloaded.iter().take(UNLOADED_SHOWN);
    let mut hints: Vec<_> =
        shown.map(|one| format!("`{}` ({})", one.file.display(), one.reason)).collect();
    match unloaded.len() - hints.len() {
        0 => {}
        more => hints.push(format!("one of {more} more")),
    }
    let hint = format!("in what was not loaded: {}", hints.join(", or "));
    problem.help = Some(match problem.help {
        Some(help) => format!("{help}; or it is {hint}"),
        None => format!("it may be {hint}"),
    });
    problem
}

fn with_article(kind: Kind) -> String {
    let article = if kind == Kind::Enricher { "an" } else { "a" };
    format!("{article} {}", kind.singular())
}

/// The schemas of the components that are used, by kind and name. What they call secret is marked
/// in the document.
pub(super) type Checkers = HashMap<(Kind, &'static str), Checker>;

/// Prepares the schemas, and marks secrets.
pub(super) fn checkers(
    document: &mut Document,
    drafts: &[Draft<'_>],
    problems: &mut Problems,
) -> Checkers {
    let mut checkers = Checkers::new();
    for draft in drafts {
        let Some(component) = draft.component else { continue };
        let key = (component.kind, component.name);
        if let Entry::Vacant(vacant) = checkers.entry(key) {
            match Checker::new((component.schema)().to_value()) {
                Ok(checker) => {
                    vacant.insert(checker);
                }
                Err(error) => problems.push(
                    Problem::error(format!(
                        "the schema of `{}` is broken: {error}",
                        component.name
                    ))
                    .at(document.place(&format!("{}/type", draft.pointer))),
                ),
            }
        }
        if let Some(checker) = checkers.get(&key) {
            document.mark_secrets(&draft.with(), checker);
        }
    }
    checkers
}

/// Checks the settings of each stage against its component's schema, and the keys that not every
/// kind may have. Says of each stage whether it can be built.
pub(super) fn check_settings(
    document: &mut Document,
    drafts: &[Draft<'_>],
    checkers: &Checkers,
    problems: &mut Problems,
) -> Vec<bool> {
    let mut sound = Vec::with_capacity(drafts.len());
    for draft in drafts {
        problems.extend(misplaced(document, draft, "parallelism", Kind::Enricher));
        problems.extend(misplaced(document, draft, "delivery", Kind::Sink));
        let key = draft.component.map(|component| (component.kind, component.name));
        let Some(checker) = key.and_then(|key| checkers.get(&key)) else {
            sound.push(false);
            continue;
        };
        let with = draft.with();
        // A value that is no mapping is told by the check of the frame.
        let fits_frame = matches!(document.value(&with), Value::Object(_) | Value::Null);
        if !fits_frame {
            sound.push(false);
            continue;
        }
        let found = document.check(&with, &json!({}), checker, "setting");
        sound.push(found.is_empty() && !document.has_unfilled(&with));
        problems.extend(found);
    }
    sound
}

/// A key that only one kind of stage has.
fn misplaced(document: &Document, draft: &Draft<'_>, key: &str, kind: Kind) -> Option<Problem> {
    let pointer = format!("{}/{key}", draft.pointer);
    if draft.kind == kind || !document.contains(&pointer) {
        return None;
    }
    let message =
        format!("`{key}` is for {}, and this is {}", kind.section(), with_article(draft.kind));
    Some(Problem::error(message).at(document.key_place(&pointer)))
}

/// What each stage's `when:` says, compiled.
pub(super) fn conditions(
    document: &Document,
    drafts: &[Draft<'_>],
    problems: &mut Problems,
) -> Vec<Option<Condition>> {
    let mut condition = |draft: &Draft<'_>| {
        let pointer = format!("{}/when", draft.pointer);
        let value = document.value(&pointer);
        let text = value.as_str().filter(|_| !document.is_unfilled(&pointer))?;
        match Condition::compile(&document.excerpt(&pointer, text)) {
            Ok(condition) => {
                problems.append(condition.warnings().clone());
                Some(condition)
            }
            Err(found) => {
                problems.append(found);
                None
            }
        }
    };
    drafts.iter().map(&mut condition).collect()
}
