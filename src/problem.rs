//! Problems of a spec: a message, the place it is about, and the remedy.
//!
//! Everything that reads a user's text (spec, script, schema, environment file) reports through
//! this, so that all problems of a file come at once and look alike.

mod render;
mod suggest;

use std::ops::Range;
use std::sync::Arc;

pub use suggest::did_you_mean;

/// A text that problems point into.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// What the user calls it: the path as it was given, or `<stdin>`.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// A stretch of a [`SourceText`], in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<SourceText>,
    /// The bytes that the caret underlines; may be empty.
    pub span: Range<usize>,
}

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// Where the stretch begins.
    pub fn start(&self) -> LineColumn {
        self.line_column(self.span.start)
    }

    /// Where it ends: the first character after it.
    pub fn end(&self) -> LineColumn {
        self.line_column(self.span.end)
    }

    /// `file:line:column`
    pub fn display(&self) -> String {
        let LineColumn { line, column } = self.start();
        format!("{}:{line}:{column}", self.source.name)
    }

    fn line_column(&self, byte: usize) -> LineColumn {
        let text = &self.source.text;
        let before = &text[..character_start(text, byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LineColumn {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// The start of the character that a byte belongs to, or the end of the text.
fn character_start(text: &str, byte: usize) -> usize {
    (0..=byte.min(text.len())).rev().find(|byte| text.is_char_boundary(*byte)).unwrap_or(0)
}

/// A text inside a [`SourceText`], such as a script in a YAML block: its lines can be found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The text itself, without the indentation it has where it stands.
    pub text: String,
    /// Where it stands.
    pub source: Arc<SourceText>,
    /// The byte in `source` at which each line of `text` begins.
    pub line_starts: Vec<usize>,
}

impl Excerpt {
    /// A whole file.
    pub fn whole(source: Arc<SourceText>) -> Self {
        let ends = source.text.match_indices('\n').map(|(place, _)| place + 1);
        let line_starts = std::iter::once(0).chain(ends).collect();
        Self { text: source.text.clone(), source, line_starts }
    }

    /// The place of `length` characters from a line and a column, both from 1.
    pub fn place(&self, line: usize, column: usize, length: usize) -> Place {
        let text = &self.source.text;
        let (line, column) = (line.saturating_sub(1), column.saturating_sub(1));
        let line_start = self.line_starts.get(line).copied().unwrap_or(text.len());
        let line_start = character_start(text, line_start);
        let rest = text[line_start..].lines().next().unwrap_or_default();
        let byte = |column: usize| {
            line_start + rest.char_indices().nth(column).map_or(rest.len(), |(byte, _)| byte)
        };
        Place { source: self.source.clone(), span: byte(column)..byte(column + length) }
    }
}

/// Whether a problem keeps a pipeline from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not, but is hardly meant.
    Warning,
}

/// One thing that is wrong. Messages are lowercase, without a full stop, with backticks round the
/// user's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the pipeline.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where; none for what is not in any text.
    pub place: Option<Place>,
    /// A few words beside the caret.
    pub label: Option<String>,
    /// What there is, on a line of its own.
    pub note: Option<Box<str>>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that stops the pipeline.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: None,
            note: None,
            help: None,
        }
    }

    /// A problem that does not.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// Where it is.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// Says something beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what there is.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into().into_boxed_str());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All problems that were found, errors and warnings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        self.0.extend(problems);
    }
}

impl Problems {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds all of another list.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// In the order of their places, each once: what has no place first, then file by file.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        fn order(problem: &Problem) -> Option<(&str, usize)> {
            problem.place.as_ref().map(|place| (place.source.name.as_str(), place.span.start))
        }
        self.0.sort_by(|one, other| order(one).cmp(&order(other)));
        self.0.dedup();
        self
    }
}

impl std::error::Error for Problems {}
