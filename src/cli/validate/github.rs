//! Problems as annotations of a GitHub workflow: one command a line.

use std::fmt::Write;

use engine::problem::{Problem, Problems};

/// The commands.
pub(super) fn render(problems: &Problems) -> String {
    problems.0.iter().map(|problem| command(problem) + "\n").collect()
}

fn command(problem: &Problem) -> String {
    let mut command = format!("::{}", super::level(problem));
    if let Some(place) = &problem.place {
        let (start, end) = (place.start(), place.end());
        let file = property(&place.source.name);
        let _ = write!(command, " file={file},line={},col={}", start.line, start.column);
        if start.line == end.line {
            let _ = write!(command, ",endColumn={}", end.column);
        }
    }
    let _ = write!(command, "::{}", data(&super::full_message(problem)));
    command
}

/// What ends a command, or stands for something else, is escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property, so are the signs between properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use engine::problem::{Place, SourceText};

    use super::*;

    #[test]
    fn messages_and_paths_cannot_end_a_command_early() {
        let source = SourceText { name: "a,b:c.yaml".to_owned(), text: "x: 1\n".to_owned() };
        let place = Place { source: Arc::new(source), span: 3..4 };
        let problem = Problem::error("100 %\n::error::").at(place).help("mend it");
        assert_eq!(
            render(&problem.into()),
            "::error file=a%2Cb%3Ac.yaml,line=1,col=4,endColumn=5::100 %25%0A::error::; mend it\n"
        );
    }
}
