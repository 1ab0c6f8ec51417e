//! The edges between stages: names that exist, kinds that fit, no loops, nothing left over.

use std::collections::HashMap;

use super::draft::Draft;
use crate::component::Kind;
use crate::problem::{Problem, Problems, did_you_mean};
use crate::spec::{Document, list};

/// Everything that is wrong with the graph; warnings only if it is sound.
pub(super) fn check(document: &Document, drafts: &[Draft<'_>]) -> Problems {
    let mut problems = Problems::default();
    let names = names(document, drafts, &mut problems);
    let stages_are_known = !lacks_stages(document, drafts);
    for draft in drafts {
        problems.extend(check_inputs(document, drafts, &names, stages_are_known, draft));
    }
    problems.extend(loops(document, drafts, &names));
    problems.extend(missing_kinds(document, drafts));
    let inputs_are_known = drafts.iter().all(|draft| draft.inputs.is_some());
    if problems.is_empty() && inputs_are_known {
        problems.extend(unread(document, drafts));
    }
    problems
}

/// The drafts in an order in which each comes after its inputs, else in that of the spec.
pub(super) fn in_flow_order(drafts: &[Draft<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(drafts.len());
    let mut placed = vec![false; drafts.len()];
    let index_of: HashMap<&str, usize> =
        drafts.iter().enumerate().map(|(index, draft)| (draft.name.as_str(), index)).collect();
    loop {
        let before = order.len();
        for (index, draft) in drafts.iter().enumerate() {
            let mut inputs = draft.inputs.iter().flatten();
            let is_ready = |name: &str| index_of.get(name).is_none_or(|&input| placed[input]);
            if !placed[index] && inputs.all(|(name, _)| is_ready(name)) {
                placed[index] = true;
                order.push(index);
            }
        }
        if order.len() == before {
            return order;
        }
    }
}

type Names<'a> = HashMap<&'a str, usize>;

/// Where each name leads; of two of one name, the first.
fn names<'a>(document: &Document, drafts: &'a [Draft<'_>], problems: &mut Problems) -> Names<'a> {
    let mut names = Names::new();
    for (index, draft) in drafts.iter().enumerate() {
        let Some(&first) = names.get(draft.name.as_str()) else {
            names.insert(&draft.name, index);
            continue;
        };
        let first = &drafts[first];
        let place = document.key_place(&first.pointer).map(|place| place.display());
        problems.push(
            Problem::error(format!("two stages are called `{}`", draft.name))
                .at(document.key_place(&draft.pointer))
                .help(format!(
                    "the other one is the {} at {}",
                    first.kind.singular(),
                    place.unwrap_or_default()
                )),
        );
    }
    names
}

fn check_inputs(
    document: &Document,
    drafts: &[Draft<'_>],
    names: &Names<'_>,
    stages_are_known: bool,
    draft: &Draft<'_>,
) -> Vec<Problem> {
    let Some(inputs) = &draft.inputs else { return Vec::new() };
    if draft.kind == Kind::Source {
        let problem = Problem::error("a source has no inputs")
            .at(document.key_place(&format!("{}/inputs", draft.pointer)))
            .help("what changes events is an enricher, what derives events is a correlator");
        return if inputs.is_empty() { Vec::new() } else { vec![problem] };
    }
    if inputs.is_empty() {
        return vec![no_inputs(document, drafts, draft)];
    }
    let mut problems = Vec::new();
    let in_order = document.value(&format!("{}/order", draft.pointer)) != "arrival";
    for (index, (name, pointer)) in inputs.iter().enumerate() {
        let problem = match names.get(name.as_str()).map(|&input| &drafts[input]) {
            None if !stages_are_known => continue,
            None => unknown_input(drafts, draft, name),
            Some(input) if input.kind == Kind::Batcher && in_order && inputs.len() > 1 => {
                // What it holds back, it would hold back on the other inputs, too.
                Problem::error(format!("the batcher `{name}` is merged with other inputs"))
                    .help("merge first, and batch what comes of it; or set `order: arrival`")
            }
            Some(input) if input.kind == Kind::Sink => {
                Problem::error(format!("the sink `{name}` cannot be an input"))
                    .help("nothing comes out of a sink; name the stage before it")
            }
            Some(_) if inputs[..index].iter().any(|(earlier, _)| earlier == name) => {
                Problem::error(format!("the input `{name}` is named twice"))
            }
            Some(_) => continue,
        };
        problems.push(problem.at(document.place(pointer)));
    }
    problems
}

/// Whether stages are missing for a reason that is told by itself, so that names may be right.
fn lacks_stages(document: &Document, drafts: &[Draft<'_>]) -> bool {
    let is_section = |kind: Kind| {
        let section = document.value(&format!("/{}", kind.section()));
        section.is_object() || section.is_null()
    };
    document.lacks_an_include()
        || !Kind::ALL.into_iter().all(is_section)
        || !drafts.iter().any(|draft| draft.kind == Kind::Source)
}

fn no_inputs(document: &Document, drafts: &[Draft<'_>], draft: &Draft<'_>) -> Problem {
    let message = format!("the {} `{}` has no inputs", draft.kind.singular(), draft.name);
    let problem = Problem::error(message).at(document.key_place(&draft.pointer));
    match drafts.iter().find(|input| input.kind == Kind::Source) {
        Some(source) => problem.help(format!(
            "name the stages whose events it gets, such as `inputs: [{}]`",
            source.name
        )),
        None => problem,
    }
}

fn unknown_input(drafts: &[Draft<'_>], draft: &Draft<'_>, name: &str) -> Problem {
    let known: Vec<&str> = drafts
        .iter()
        .filter(|input| input.kind != Kind::Sink && input.name != draft.name)
        .map(|input| input.name.as_str())
        .collect();
    let problem = Problem::error(format!("no stage is called `{name}`"));
    match did_you_mean(name, known.iter().copied()) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("the stages are {}", list(&known, "and"))),
    }
}

/// One problem for each loop, at the edge that closes it.
fn loops(document: &Document, drafts: &[Draft<'_>], names: &Names<'_>) -> Vec<Problem> {
    let mut state = Search { drafts, names, visited: vec![false; drafts.len()], found: Vec::new() };
    for index in 0..drafts.len() {
        state.visit(index);
    }
    let problem = |(path, pointer): (Vec<usize>, String)| {
        let names: Vec<_> = path.iter().map(|&index| drafts[index].name.as_str()).collect();
        Problem::error(format!("the stages feed each other in a loop: `{}`", names.join("` -> `")))
            .at(document.place(&pointer))
    };
    state.found.into_iter().map(problem).collect()
}

struct Search<'a> {
    drafts: &'a [Draft<'a>],
    names: &'a Names<'a>,
    visited: Vec<bool>,
    found: Vec<(Vec<usize>, String)>,
}

impl Search<'_> {
    /// Follows the inputs upstream from a stage, depth first, with a stack of its own.
    fn visit(&mut self, start: usize) {
        if self.visited[start] {
            return;
        }
        self.visited[start] = true;
        // Each stage of the path, and which of its inputs is next.
        let mut path = vec![(start, 0)];
        while let Some((index, next)) = path.last_mut() {
            let index = *index;
            let inputs = self.drafts[index].inputs.as_deref().unwrap_or_default();
            let Some((name, pointer)) = inputs.get(*next) else {
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&input) = self.names.get(name.as_str()) else { continue };
            // An edge into a source or out of a sink is wrong by itself.
            if self.drafts[index].kind == Kind::Source || self.drafts[input].kind == Kind::Sink {
                continue;
            }
            if let Some(closing) = path.iter().position(|(known, _)| *known == input) {
                // The path leads upstream; events flow the other way.
                let mut circle: Vec<_> = path[closing..].iter().map(|(index, _)| *index).collect();
                circle.push(input);
                circle.reverse();
                self.found.push((circle, pointer.clone()));
            } else if !self.visited[input] {
                self.visited[input] = true;
                path.push((input, 0));
            }
        }
    }
}

fn missing_kinds(document: &Document, drafts: &[Draft<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for kind in [Kind::Source, Kind::Sink] {
        let section = format!("/{}", kind.section());
        let is_mapping = document.value(&section).is_object() || document.value(&section).is_null();
        if is_mapping && !drafts.iter().any(|draft| draft.kind == kind) {
            let message = format!("the pipeline has no {}", kind.section());
            let problem = Problem::error(message).at(document.key_place(&section));
            problems.push(problem.help(format!(
                "add a stage under `{}:`, such as {}",
                kind.section(),
                if kind == Kind::Source {
                    "`stores: { type: retail_mix }`"
                } else {
                    "`out: { type: console, inputs: [stores] }`"
                }
            )));
        }
    }
    problems
}

fn unread(document: &Document, drafts: &[Draft<'_>]) -> Vec<Problem> {
    let is_read = |name: &str| {
        drafts
            .iter()
            .flat_map(|draft| draft.inputs.iter().flatten())
            .any(|(input, _)| input == name)
    };
    let unread = drafts.iter().filter(|draft| draft.kind != Kind::Sink && !is_read(&draft.name));
    let warning = |draft: &Draft<'_>| {
        Problem::warning(format!("nobody reads the {} `{}`", draft.kind.singular(), draft.name))
            .at(document.key_place(&draft.pointer))
            .help("name it in the `inputs` of a stage, or take it out")
    };
    unread.map(warning).collect()
}
