//! What is wrong in a file of master data, and where.

use std::fmt;

use crate::problem::Problem;

/// Of each file so many problems are kept; the rest are counted.
const KEPT_MAX: usize = 20;
/// Values are quoted in messages up to this many characters.
const QUOTED_MAX: usize = 40;

/// Something wrong in a file of master data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterProblem {
    /// The file, as the user calls it.
    pub file: String,
    /// The line, from 1; none where it is about the whole file.
    pub line: Option<u64>,
    /// The column of the value in characters, from 1; none where it is about the whole line, or
    /// where quotes or line breaks within values keep it from being known.
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// `stores.csv:12:3: ...`, without the help.
impl fmt::Display for MasterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for MasterProblem {}

/// As the program reports it: the place leads the message.
impl From<MasterProblem> for Problem {
    fn from(problem: MasterProblem) -> Self {
        let said = Self::error(problem.to_string());
        match problem.help {
            Some(help) => said.help(help),
            None => said,
        }
    }
}

/// The problems of one file.
pub(super) struct Faults {
    file: String,
    kept: Vec<MasterProblem>,
    more: u64,
}

impl Faults {
    pub(super) fn new(file: String) -> Self {
        Self { file, kept: Vec::new(), more: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds one; only counts it when there are many.
    pub(super) fn add(
        &mut self,
        line: Option<u64>,
        column: Option<u64>,
        message: String,
        help: Option<String>,
    ) {
        if self.kept.len() < KEPT_MAX {
            let file = self.file.clone();
            self.kept.push(MasterProblem { file, line, column, message, help });
        } else {
            self.more += 1;
        }
    }

    /// All of them by line, and how many more there are.
    pub(super) fn finish(mut self) -> Vec<MasterProblem> {
        self.kept.sort_by_key(|problem| (problem.line, problem.column));
        if self.more > 0 {
            let message = format!("and {} more", self.more);
            let (file, line) = (self.file, None);
            self.kept.push(MasterProblem { file, line, column: None, message, help: None });
        }
        self.kept
    }
}

/// A value as it is quoted in a message.
pub(super) fn quoted(value: &str) -> String {
    match value.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("`{}...`", &value[..end]),
        None => format!("`{value}`"),
    }
}
