//! Text that is not YAML: the parser's errors as problems.

use std::sync::Arc;

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::super::node::place;
use super::too_deep;
use crate::problem::{Problem, SourceText};

/// What is wrong with the text, and what to do if that is a common slip.
pub(super) fn syntax_problem(
    source: &Arc<SourceText>,
    offset: usize,
    error: &ScanError,
) -> Problem {
    let text = &source.text;
    let byte = offset + error.marker().byte_offset().unwrap_or_default();
    let byte = byte.min(text.len());
    let width = text[byte..].chars().next().filter(|next| *next != '\n').map_or(0, char::len_utf8);
    let found = place(source, byte..byte + width);
    let problem = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(found),
        ErrorKind::UnknownAnchor => {
            let rest = &text[byte..];
            let end = rest.find(|next: char| next.is_whitespace() || ",]}".contains(next));
            let name = &rest[..end.unwrap_or(rest.len())];
            let known = format!("`&{}` has to stand before it", name.trim_start_matches('*'));
            return Problem::error(format!("no anchor for `{name}`"))
                .at(place(source, byte..byte + name.len()))
                .help(known);
        }
        kind => Problem::error(format!("not YAML: {kind}")).at(found),
    };
    let line_start = text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    if line.contains("${") && line.contains(['{', '[']) {
        problem.help("inside `{ }` and `[ ]`, put `${...}` between quotes")
    } else if line.contains('\t') {
        problem.help("YAML is indented with spaces; here is a tab")
    } else {
        problem
    }
}
