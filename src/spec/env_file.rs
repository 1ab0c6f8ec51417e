//! `--env-file`: `KEY=VALUE` lines with quotes and comments.

use std::path::Path;
use std::sync::Arc;

use super::file::read_text;
use super::node::place;
use super::variables::{Environment, is_name};
use crate::problem::{Problem, Problems, SourceText};

impl Environment {
    /// Sets what an environment file says; it goes before what is set already.
    pub fn read_file(&mut self, path: &Path) -> Result<(), Problems> {
        let name = path.display().to_string();
        self.files_read.note(path, "");
        match read_text(path) {
            Ok(text) => self.read_lines(&Arc::new(SourceText { name, text })),
            Err(reason) => {
                let message = format!("cannot read the environment file `{name}`: {reason}");
                Err(Problem::error(message).into())
            }
        }
    }

    fn read_lines(&mut self, source: &Arc<SourceText>) -> Result<(), Problems> {
        // Places point into a text without the values, which may be secret.
        let shown = Arc::new(SourceText { name: source.name.clone(), text: masked(&source.text) });
        let mut problems = Problems::default();
        let mut start = 0;
        for line in source.text.split_inclusive('\n') {
            let place = place(&shown, start..start + line.trim_end().len());
            start += line.len();
            match variable(line.trim()) {
                Ok(Some((name, value))) => self.set(name, value),
                Ok(None) => {}
                Err((message, help)) => {
                    problems.push(Problem::error(message).at(place).help(help));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

type LineProblem = (&'static str, &'static str);

fn variable(line: &str) -> Result<Option<(&str, String)>, LineProblem> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else {
        return Err(("a line without `=`", "write `NAME=value`, or begin a comment with `#`"));
    };
    let name = name.trim();
    if !is_name(name) {
        return Err((
            "not the name of a variable",
            "a name is made of letters, digits and `_`, and does not begin with a digit",
        ));
    }
    Ok(Some((name, unquoted(value.trim())?)))
}

fn unquoted(value: &str) -> Result<String, LineProblem> {
    const OPEN: LineProblem = ("a quote that is not closed", "a value ends on its line");
    const REST: LineProblem = ("text after the closing quote", "begin a comment with ` #`");
    let (text, rest) = match value.chars().next() {
        Some('\'') => {
            let (text, rest) = value[1..].split_once('\'').ok_or(OPEN)?;
            (text.to_owned(), rest)
        }
        Some('"') => double_quoted(&value[1..]).ok_or(OPEN)?,
        _ => {
            let end = if value.starts_with('#') { Some(0) } else { value.find(" #") };
            (value[..end.unwrap_or(value.len())].trim_end().to_owned(), "")
        }
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(text) } else { Err(REST) }
}

/// The text up to the closing quote, with its escapes resolved, and what comes after the quote.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut unescaped = String::new();
    let mut characters = text.char_indices();
    while let Some((byte, character)) = characters.next() {
        match character {
            '"' => return Some((unescaped, &text[byte + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => unescaped.push('\n'),
                't' => unescaped.push('\t'),
                'r' => unescaped.push('\r'),
                escaped @ ('"' | '\\' | '$') => unescaped.push(escaped),
                other => unescaped.extend(['\\', other]),
            },
            other => unescaped.push(other),
        }
    }
    None
}

/// The text with all that stands after a `=` blotted out, byte for byte.
fn masked(text: &str) -> String {
    let blot = |line: &str| {
        let body = line.trim_end_matches(['\r', '\n']);
        let shown = body.find('=').map_or(0, |sign| sign + 1);
        format!("{}{}{}", &body[..shown], "*".repeat(body.len() - shown), &line[body.len()..])
    };
    text.split_inclusive('\n').map(blot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Environment, Problems> {
        let mut environment = Environment::default();
        let source = SourceText { name: ".env".to_owned(), text: text.to_owned() };
        environment.read_lines(&Arc::new(source)).map(|()| environment)
    }

    #[test]
    fn quotes_comments_and_exports_are_understood() {
        let text = "# comment\n\nA=plain # comment\r\nexport B='single # $x \\n'\n\
                    C=\"a \\\"b\\\"\\n\" # c\nD=\nE=x#y\nF = 1=2;3\n";
        let environment = read(text).unwrap();
        let values: Vec<_> =
            environment.names().map(|name| environment.get(name).unwrap()).collect();
        assert_eq!(values, ["plain", "single # $x \\n", "a \"b\"\n", "", "x#y", "1=2;3"]);
    }

    #[test]
    fn each_bad_line_is_told_and_no_value_is_shown() {
        let problems = read("A=1\nhunter2\n2B=hunter2\nC='hunter2\nD=\"a\" hunter2\n").unwrap_err();
        let lines: Vec<_> = problems
            .0
            .iter()
            .map(|problem| (problem.place.as_ref().unwrap().start().line, problem.message.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (2, "a line without `=`"),
                (3, "not the name of a variable"),
                (4, "a quote that is not closed"),
                (5, "text after the closing quote"),
            ]
        );
        assert!(!problems.render(false).contains("hunter2"));
    }
}
