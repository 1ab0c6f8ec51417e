//! Problems as text, laid out as rustc does: message, place, source line, caret, help.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use indexmap::IndexSet;

use super::{Place, Problem, Problems, Severity, character_start};

/// More are hardly read, and a file of nothing but mistakes should not take minutes.
const SHOWN_MAX: usize = 100;

impl Problems {
    /// All of them in the order of their places, and a last line that counts them if there are
    /// several.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let problems = self.clone().sorted().0;
        let mut text = String::new();
        for problem in problems.iter().take(SHOWN_MAX) {
            text.push_str(&renderer.render(&[report(problem)]));
            text.push_str("\n\n");
        }
        if problems.len() > 1 {
            let count = level(severity_of(&problems)).primary_title(count_line(&problems));
            text.push_str(&renderer.render(&[Group::with_title(count)]));
            text.push('\n');
        } else if text.ends_with("\n\n") {
            text.pop();
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

/// Turns a title into a group that further elements can follow.
const NOTHING: [Snippet<'_, Annotation<'_>>; 0] = [];

fn report(problem: &Problem) -> Group<'_> {
    let mut group =
        level(problem.severity).primary_title(problem.message.as_str()).elements(NOTHING);
    if let Some(place) = &problem.place {
        let (line, caret) = first_line(place);
        let caret = AnnotationKind::Primary.span(caret);
        group = group.element(
            Snippet::source(line)
                .line_start(place.start().line)
                .path(place.source.name.as_str())
                .annotation(caret.label(problem.label.as_deref())),
        );
    }
    if let Some(note) = &problem.note {
        group = group.element(Level::NOTE.message(&**note));
    }
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The first line of a place, and the part of the line that is meant: a caret under a whole block
/// would bury its beginning.
fn first_line(place: &Place) -> (&str, Range<usize>) {
    let text = &place.source.text;
    let start = character_start(text, place.span.start);
    let end = character_start(text, place.span.end.max(start));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let meant = text[start..end].lines().next().unwrap_or_default().trim_end();
    let from = (start - line_start).min(line.len());
    (line, from..(from + meant.len()).min(line.len()))
}

fn severity_of(problems: &[Problem]) -> Severity {
    problems.iter().map(|problem| problem.severity).min().unwrap_or(Severity::Warning)
}

/// `3 problems in a.yaml (1 a warning)`
fn count_line(problems: &[Problem]) -> String {
    let warnings = problems.iter().filter(|problem| problem.severity == Severity::Warning).count();
    let texts: IndexSet<&str> = problems
        .iter()
        .filter_map(|problem| problem.place.as_ref().map(|place| place.source.name.as_str()))
        .collect();
    let noun = if warnings == problems.len() { "warnings" } else { "problems" };
    let place = match texts.iter().collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [file] => format!(" in {file}"),
        // One of them may be no file, such as `--plugins`.
        [one, other] => format!(" in {one} and {other}"),
        more => format!(" in {} places", more.len()),
    };
    let share = match warnings {
        1 if noun == "problems" => " (1 is a warning)".to_owned(),
        2.. if noun == "problems" => format!(" ({warnings} are warnings)"),
        _ => String::new(),
    };
    let cut = match problems.len() {
        ..=SHOWN_MAX => String::new(),
        _ => format!("; the first {SHOWN_MAX} are shown"),
    };
    format!("{} {noun}{place}{share}{cut}", problems.len())
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LineColumn, SourceText};
    use super::*;
    use std::sync::Arc;

    fn place(span: Range<usize>) -> Place {
        let text = "name: x\nsources:\n  é: { brust: 3 }\n".to_owned();
        Place { source: Arc::new(SourceText { name: "a.yaml".to_owned(), text }), span }
    }

    #[test]
    fn problems_come_by_place_each_once_with_caret_help_and_count() {
        let unknown = Problem::error("unknown setting `brust`")
            .at(place(25..30))
            .label("of `retail_mix`")
            .help("did you mean `burst`?");
        let problems = Problems(vec![
            unknown.clone(),
            Problem::warning("`x` says nothing").at(place(6..7)),
            unknown,
        ]);
        insta::assert_snapshot!(problems.render(false), @r"
        warning: `x` says nothing
         --> a.yaml:1:7
          |
        1 | name: x
          |       ^

        error: unknown setting `brust`
         --> a.yaml:3:8
          |
        3 |   é: { brust: 3 }
          |        ^^^^^ of `retail_mix`
          |
          = help: did you mean `burst`?

        error: 2 problems in a.yaml (1 is a warning)
        ");
    }

    #[test]
    fn the_count_names_two_texts_and_counts_more() {
        let problem = |name: &str| {
            let source = Arc::new(SourceText { name: name.to_owned(), text: "x".to_owned() });
            Problem::error("wrong").at(Place { source, span: 0..1 })
        };
        let two = [problem("a.yaml"), problem("--plugins"), problem("a.yaml")];
        assert_eq!(count_line(&two), "3 problems in a.yaml and --plugins");
        let three = [problem("a"), problem("b"), problem("c")];
        assert_eq!(count_line(&three), "3 problems in 3 places");
    }

    #[test]
    fn a_place_beyond_the_text_or_within_a_character_is_still_shown() {
        for (start, end) in [(0, 0), (21, 21), (500, 900), (36, 36), (30, 10)] {
            let span = start..end;
            let text = Problems::from(Problem::error("here").at(place(span))).render(true);
            assert!(text.contains("here"), "{text}");
        }
    }

    #[test]
    fn columns_count_characters_from_one() {
        assert_eq!(place(25..30).start(), LineColumn { line: 3, column: 8 });
        assert_eq!(place(25..30).end(), LineColumn { line: 3, column: 13 });
    }
}
