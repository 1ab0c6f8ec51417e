//! `${NAME}`, `${NAME:-default}` and `${file:/path}` in the text of a leaf.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::file::read_text;
use super::files_read::FilesRead;

/// The variables that a spec may use.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    pub(super) files_read: FilesRead,
}

impl Environment {
    /// The variables of this process; what is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let utf8 = |text: std::ffi::OsString| text.into_string().ok();
        std::env::vars_os().filter_map(|(name, value)| Some((utf8(name)?, utf8(value)?))).collect()
    }

    /// Sets a variable, in place of the one of that name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.variables.insert(name.into(), value.into());
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The files that were read so far of the specs that were read with these variables, and of
    /// their stages; also those that could not be read.
    pub fn files_read(&self) -> Vec<PathBuf> {
        self.files_read.paths()
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect(), files_read: FilesRead::default() }
    }
}

/// Values of variables are often secret; only their names may be shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// A text in which all variables were filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilledText {
    pub(super) text: String,
    /// Whether a part of it came from a file.
    pub(super) secret: bool,
}

/// A variable that has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfilled {
    /// As it is written, such as `${NAME}`.
    pub(super) written: String,
    pub(super) message: String,
    pub(super) help: String,
}

/// Fills in the variables of a text; none if it has none. Relative paths of `${file:...}` are
/// relative to `directory`.
pub(super) fn fill_in(
    text: &str,
    environment: &Environment,
    directory: &Path,
) -> Option<Result<FilledText, Vec<Unfilled>>> {
    let references = references(text);
    if references.is_empty() {
        return None;
    }
    let mut filled = FilledText { text: String::new(), secret: false };
    let mut unfilled = Vec::new();
    let mut done = 0;
    for Reference { span, variable } in references {
        filled.text.push_str(&text[done..span.start]);
        done = span.end;
        let written = &text[span];
        match variable {
            Variable::Name(name) => match environment.get(name) {
                Some(value) => filled.text.push_str(value),
                None => unfilled.push(missing(written, name)),
            },
            Variable::NameOr(name, default) => {
                let value = environment.get(name).filter(|value| !value.is_empty());
                filled.text.push_str(value.unwrap_or(default));
            }
            Variable::File(path) => {
                filled.secret = true;
                let file = directory.join(path);
                environment.files_read.note(&file, "");
                match read_text(&file) {
                    Ok(content) => filled.text.push_str(content.trim_end_matches(['\r', '\n'])),
                    Err(reason) => unfilled.push(unreadable(written, path, &reason)),
                }
            }
        }
    }
    filled.text.push_str(&text[done..]);
    Some(if unfilled.is_empty() { Ok(filled) } else { Err(unfilled) })
}

fn missing(written: &str, name: &str) -> Unfilled {
    Unfilled {
        written: written.to_owned(),
        message: format!("the variable `{name}` is not set"),
        help: format!(
            "set it in the environment or with `--env-file`, or give a default: `${{{name}:-...}}`"
        ),
    }
}

fn unreadable(written: &str, path: &str, reason: &str) -> Unfilled {
    Unfilled {
        written: written.to_owned(),
        message: format!("cannot read `{path}`: {reason}"),
        help: "a relative path is relative to the file that names it".to_owned(),
    }
}

struct Reference<'a> {
    span: Range<usize>,
    variable: Variable<'a>,
}

enum Variable<'a> {
    Name(&'a str),
    NameOr(&'a str, &'a str),
    File(&'a str),
}

/// The variables of a text. What stands between backticks is a template of a script, which has its
/// own `${...}`.
fn references(text: &str) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    let mut in_template = false;
    let mut next = 0;
    while let Some(found) = text[next..].find(['$', '`']) {
        let start = next + found;
        next = start + 1;
        if text.as_bytes()[start] == b'`' {
            in_template = !in_template && text[next..].contains('`');
        } else if let Some((variable, end)) = reference(text, start).filter(|_| !in_template) {
            references.push(Reference { span: start..end, variable });
            next = end;
        }
    }
    references
}

fn reference(text: &str, start: usize) -> Option<(Variable<'_>, usize)> {
    let inside = text[start..].strip_prefix("${")?;
    let inside = &inside[..inside.find('}')?];
    let end = start + "${".len() + inside.len() + "}".len();
    let variable = if let Some(path) = inside.strip_prefix("file:") {
        (!path.is_empty()).then_some(Variable::File(path))
    } else if let Some((name, default)) = inside.split_once(":-") {
        is_name(name).then_some(Variable::NameOr(name, default))
    } else {
        is_name(inside).then_some(Variable::Name(inside))
    };
    Some((variable?, end))
}

/// Whether a text can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(name_byte) && !text.is_empty() && !text.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Option<Result<FilledText, Vec<Unfilled>>> {
        let mut environment = Environment::default();
        environment.set("HOST", "db");
        environment.set("EMPTY", "");
        fill_in(text, &environment, Path::new("/nowhere"))
    }

    fn filled_text(text: &str) -> String {
        filled(text).unwrap().unwrap().text
    }

    #[test]
    fn variables_and_their_defaults_are_filled_in() {
        assert_eq!(filled_text("${HOST}:${PORT:-80}/${EMPTY}"), "db:80/");
        assert_eq!(filled_text("${EMPTY:-full}"), "full");
        assert_eq!(filled_text("${PORT:-}"), "");
        assert_eq!(filled_text("$${HOST}"), "$db");
    }

    #[test]
    fn a_dollar_that_starts_nothing_stays() {
        for text in ["$Default", "${}", "${1A}", "${a b}", "${open", "100 $", "${file:}", "${é}"] {
            assert_eq!(filled(text), None, "{text}");
        }
    }

    #[test]
    fn templates_of_scripts_are_left_alone() {
        assert_eq!(filled("print(`in ${HOST}`)"), None);
        assert_eq!(filled_text("`a ${HOST}` ${HOST}"), "`a ${HOST}` db");
        assert_eq!(filled_text("it`s ${HOST}"), "it`s db");
    }

    #[test]
    fn every_missing_variable_is_told() {
        let missing = filled("${A} ${HOST} ${B}").unwrap().unwrap_err();
        let written: Vec<_> = missing.iter().map(|unfilled| unfilled.written.as_str()).collect();
        assert_eq!(written, ["${A}", "${B}"]);
    }

    #[test]
    fn a_file_is_filled_in_without_its_last_newline_and_is_secret() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        let filled = fill_in("${file:token}", &Environment::default(), folder.path());
        assert_eq!(filled, Some(Ok(FilledText { text: "s3cret".to_owned(), secret: true })));
    }

    #[test]
    fn a_file_that_is_missing_is_a_problem() {
        let missing = filled("${file:token}").unwrap().unwrap_err();
        assert_eq!(missing[0].message, "cannot read `token`: there is no such file");
    }
}
