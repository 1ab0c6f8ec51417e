//! The tree of a spec: every value and every key keeps the place where it was written.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::problem::{Place, SourceText};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) place: Place,
}

/// The three shapes of a node.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A leaf: text, number, truth or nothing.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) value: Value,
    pub(super) style: Style,
    /// What was written, if variables were filled in.
    pub(super) filled: Option<Filled>,
}

/// How a scalar is written, as far as the places of its lines depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As itself, over one line or several.
    Plain,
    /// Between quotes.
    Quoted,
    /// A `|` block: line for line what it says.
    Literal,
    /// A `>` block: lines are joined.
    Folded,
}

/// A leaf in which variables were filled in.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    /// The text before that.
    pub(super) raw: String,
    /// The text after that, before it was given another type.
    pub(super) text: String,
    /// Whether a part of it came from a file.
    pub(super) secret: bool,
    /// Whether a variable has no value.
    pub(super) missing: bool,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Node {
    /// The value without its places.
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => scalar.value.clone(),
            Content::Sequence(items) => items.iter().map(Self::value).collect(),
            Content::Mapping(entries) => {
                let pair = |entry: &Entry| (entry.key.clone(), entry.value.value());
                Value::Object(entries.iter().map(pair).collect::<Map<_, _>>())
            }
        }
    }

    /// The entry of a mapping.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The entries of a mapping, to change them.
    pub(super) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.content {
            Content::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// What stands at a JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> Option<&Node> {
        segments(pointer).try_fold(self, |node, segment| match &node.content {
            Content::Mapping(_) => node.entry(&segment).map(|entry| &entry.value),
            Content::Sequence(items) => items.get(segment.parse::<usize>().ok()?),
            Content::Scalar(_) => None,
        })
    }

    /// What stands at a JSON pointer, to change it.
    pub(super) fn at_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        segments(pointer).try_fold(self, |node, segment| match &mut node.content {
            Content::Mapping(entries) => {
                let entry = entries.iter_mut().find(|entry| entry.key == segment)?;
                Some(&mut entry.value)
            }
            Content::Sequence(items) => items.get_mut(segment.parse::<usize>().ok()?),
            Content::Scalar(_) => None,
        })
    }

    /// The leaf, if it is one.
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The leaf, to change it.
    pub(super) fn scalar_mut(&mut self) -> Option<&mut Scalar> {
        match &mut self.content {
            Content::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Visits every leaf with its JSON pointer.
    pub(super) fn for_each_leaf(
        &mut self,
        pointer: &str,
        visit: &mut impl FnMut(&str, &mut Scalar, &Place),
    ) {
        match &mut self.content {
            Content::Scalar(scalar) => visit(pointer, scalar, &self.place),
            Content::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.for_each_leaf(&format!("{pointer}/{index}"), visit);
                }
            }
            Content::Mapping(entries) => {
                for entry in entries {
                    entry.value.for_each_leaf(&join(pointer, &entry.key), visit);
                }
            }
        }
    }

    /// Visits every place, to change it.
    pub(super) fn for_each_place(&mut self, visit: &mut impl FnMut(&mut Place)) {
        visit(&mut self.place);
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => {
                for item in items {
                    item.for_each_place(visit);
                }
            }
            Content::Mapping(entries) => {
                for entry in entries {
                    visit(&mut entry.key_place);
                    entry.value.for_each_place(visit);
                }
            }
        }
    }
}

/// A leaf that stands nowhere but at `place`.
pub(super) fn leaf(value: Value, place: Place) -> Node {
    let scalar = Scalar { value, style: Style::Plain, filled: None };
    Node { content: Content::Scalar(scalar), place }
}

/// A stretch of a text.
pub(super) fn place(source: &Arc<SourceText>, span: std::ops::Range<usize>) -> Place {
    Place { source: source.clone(), span }
}

/// A pointer to a key below another pointer.
pub(crate) fn join(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The keys of a pointer.
pub(super) fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}
