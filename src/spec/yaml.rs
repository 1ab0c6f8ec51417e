//! YAML text to a tree with places: one document, no duplicate keys, anchors and `<<` resolved,
//! bounded in depth and in size.

mod syntax;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, Tag};

use super::node::{Content, Entry, Node, Scalar, Style, place};
use super::scalar;
use crate::problem::{Place, Problem, Problems, SourceText};
use syntax::syntax_problem;

/// How deep values may nest, aliases included.
const DEPTH_MAX: usize = 64;
/// How many values a spec may have, aliases expanded.
const NODES_MAX: usize = 50_000;

/// Reads a text that holds one document. What can be passed over (a duplicate key) is added to
/// `problems`; the tree is missing if the text is not YAML. An empty text is `null`.
pub(super) fn read(
    source: &Arc<SourceText>,
    range: Range<usize>,
    problems: &mut Problems,
) -> Result<Node, Problem> {
    let offset = range.start;
    let text = &source.text[range];
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut composer = Composer {
        source,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => composer.take(event, span_in_source(&span, offset))?,
            Err(error) => return Err(syntax_problem(source, offset, &error)),
        }
    }
    let end = place(source, offset..offset);
    Ok(composer.root.unwrap_or_else(|| super::node::leaf(Value::Null, end)))
}

/// Says what keeps a text from being settings as they stand under `with:`. An empty one is none.
pub(crate) fn check_settings(text: &str) -> Result<(), String> {
    let source = Arc::new(SourceText { name: String::new(), text: text.to_owned() });
    let mut problems = Problems::default();
    match read(&source, 0..text.len(), &mut problems).map(|root| root.content) {
        Ok(Content::Mapping(_)) => {}
        Ok(Content::Scalar(scalar)) if scalar.value.is_null() => {}
        Ok(_) => return Err("it is no mapping".to_owned()),
        Err(problem) => problems.push(problem),
    }
    problems.0.first().map_or(Ok(()), |problem| {
        let line = problem.place.as_ref().map_or(1, |place| place.start().line);
        Err(format!("{}, in line {line}", problem.message))
    })
}

fn span_in_source(span: &Span, offset: usize) -> Range<usize> {
    let range = span.byte_range().unwrap_or_default();
    range.start + offset..range.end + offset
}

/// Builds the tree from the parser's events, with a stack of its own.
struct Composer<'a> {
    source: &'a Arc<SourceText>,
    problems: &'a mut Problems,
    open: Vec<Open>,
    /// Finished anchored values, with how deep each nests and how many values it holds.
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    root: Option<Node>,
}

struct Anchored {
    node: Node,
    depth: usize,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    start: Range<usize>,
    /// How deep its deepest value so far nests below it.
    depth: usize,
    /// The count of values when it began.
    nodes_before: usize,
    content: OpenContent,
}

enum OpenContent {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        keys: HashMap<String, usize>,
        merges: Vec<(Place, Node)>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

struct Key {
    text: String,
    place: Place,
    merges: bool,
}

impl Composer<'_> {
    fn take(&mut self, event: Event<'_>, span: Range<usize>) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Problem::error("a second document in one file")
                    .at(self.place(span))
                    .help("one file is one pipeline: put the second one into a file of its own"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                self.anchored(anchor, node, 0, self.nodes)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(_, anchor, tag) => {
                self.start(anchor, tag.as_deref(), span, OpenContent::Sequence(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = OpenContent::Mapping {
                    entries: Vec::new(),
                    keys: HashMap::new(),
                    merges: Vec::new(),
                    key: None,
                };
                self.start(anchor, tag.as_deref(), span, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            _ => Ok(()),
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        place(self.source, span)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Range<usize>,
    ) -> Node {
        let place = self.place(span);
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
            _ => Style::Quoted,
        };
        let value = match tag.map(Tag::core_suffix) {
            None if style == Style::Plain => scalar::plain(text),
            None | Some(Some("str")) => Value::from(text),
            Some(Some("int" | "float" | "bool" | "null")) => scalar::plain(text),
            Some(_) => {
                self.unknown_tag(tag, &place);
                Value::from(text)
            }
        };
        Node { content: Content::Scalar(Scalar { value, style, filled: None }), place }
    }

    fn unknown_tag(&mut self, tag: Option<&Tag>, place: &Place) {
        let tag = tag.map(Tag::original).unwrap_or_default();
        self.problems.push(
            Problem::error(format!("unknown tag `{tag}`"))
                .at(place.clone())
                .help("a spec needs no tags; put text that begins with `!` between quotes"),
        );
    }

    fn start(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        start: Range<usize>,
        content: OpenContent,
    ) -> Result<(), Problem> {
        if let Some(tag) = tag.filter(|tag| !matches!(tag.core_suffix(), Some("map" | "seq"))) {
            self.unknown_tag(Some(tag), &self.place(start.clone()));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(too_deep(self.place(start)));
        }
        let nodes_before = self.nodes;
        self.open.push(Open { anchor, start, depth: 0, nodes_before, content });
        Ok(())
    }

    fn end(&mut self, end: Range<usize>) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let content = match open.content {
            OpenContent::Sequence(items) => Content::Sequence(items),
            OpenContent::Mapping { entries, keys, merges, .. } => {
                Content::Mapping(merged(entries, keys, merges)?)
            }
        };
        // A block ends where the next token begins; its own last character is before that.
        let end = if end.is_empty() {
            let text = &self.source.text[open.start.start..end.start.max(open.start.start)];
            open.start.start + text.trim_end().len()
        } else {
            end.end
        };
        let node = Node { content, place: self.place(open.start.start..end) };
        self.anchored(open.anchor, node, open.depth + 1, open.nodes_before)
    }

    fn anchored(
        &mut self,
        anchor: usize,
        node: Node,
        depth: usize,
        nodes_before: usize,
    ) -> Result<(), Problem> {
        self.count(1, &node.place)?;
        if anchor != 0 {
            let nodes = self.nodes - nodes_before;
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth, nodes });
        }
        self.put(node, depth)
    }

    fn alias(&mut self, anchor: usize, span: Range<usize>) -> Result<(), Problem> {
        let place = self.place(span);
        let name = &self.source.text[place.span.clone()];
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(
                Problem::error(format!("`{name}` stands inside the value it repeats")).at(place)
            );
        };
        let (depth, nodes) = (anchored.depth, anchored.nodes);
        // Counted before it is copied: a bomb must not go off.
        self.count(nodes, &place)?;
        if self.open.len() + depth > DEPTH_MAX {
            return Err(too_deep(place));
        }
        let node = self.anchors[&anchor].node.clone();
        self.put(node, depth)
    }

    fn count(&mut self, nodes: usize, place: &Place) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        Err(Problem::error(format!("the spec has more than {NODES_MAX} values"))
            .at(place.clone())
            .help("aliases count as often as they are used"))
    }

    fn put(&mut self, node: Node, depth: usize) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.depth = open.depth.max(depth);
        match &mut open.content {
            OpenContent::Sequence(items) => items.push(node),
            OpenContent::Mapping { key: key @ None, .. } => *key = Some(key_of(node)?),
            OpenContent::Mapping { key, entries, keys, merges } => {
                let Some(Key { text, place, merges: is_merge }) = key.take() else { return Ok(()) };
                if is_merge {
                    merges.push((place, node));
                } else if let Some(first) = keys.get(&text) {
                    let first = entries[*first].key_place.start();
                    self.problems.push(duplicate(&text, place, first.line));
                } else {
                    keys.insert(text.clone(), entries.len());
                    entries.push(Entry { key: text, key_place: place, value: node });
                }
            }
        }
        Ok(())
    }
}

/// The entries of a mapping with those that `<<` brings in; its own go first, then the first
/// merged mapping that has a key.
fn merged(
    mut entries: Vec<Entry>,
    mut keys: HashMap<String, usize>,
    merges: Vec<(Place, Node)>,
) -> Result<Vec<Entry>, Problem> {
    for (place, node) in merges {
        let brought_in = match node.content {
            Content::Sequence(items) => items,
            _ => vec![node],
        };
        for node in brought_in {
            let Content::Mapping(others) = node.content else {
                return Err(Problem::error("`<<` brings in a mapping, not a single value")
                    .at(place)
                    .help("write `<<: *name`, where `&name` stands before a mapping"));
            };
            for entry in others {
                keys.entry(entry.key.clone()).or_insert_with(|| {
                    entries.push(entry);
                    entries.len() - 1
                });
            }
        }
    }
    Ok(entries)
}

fn key_of(node: Node) -> Result<Key, Problem> {
    let Content::Scalar(scalar) = node.content else {
        return Err(Problem::error("a key has to be a plain name").at(node.place));
    };
    let written = &node.place.source.text[node.place.span.clone()];
    let merges = scalar.style == Style::Plain && written == "<<";
    let text = match (scalar.value, scalar.style) {
        (Value::String(text), _) => text,
        (_, Style::Plain) => written.to_owned(),
        (value, _) => value.to_string(),
    };
    Ok(Key { text, place: node.place, merges })
}

fn duplicate(key: &str, place: Place, first_line: usize) -> Problem {
    Problem::error(format!("duplicate key `{key}`"))
        .at(place)
        .help(format!("it stands on line {first_line} already"))
}

fn too_deep(place: Place) -> Problem {
    Problem::error(format!("values nest more than {DEPTH_MAX} deep")).at(place)
}

#[cfg(test)]
mod tests;
