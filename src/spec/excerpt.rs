//! Where the lines of a scalar stand in the file, so that errors in a script point into the YAML.

use super::node::{Node, Style};
use crate::problem::Excerpt;

/// The text of a leaf with the places of its lines: exact for `|` blocks and for texts of one
/// line, near for the rest.
pub(super) fn excerpt(node: &Node, text: &str) -> Excerpt {
    let style = node.scalar().map_or(Style::Plain, |scalar| scalar.style);
    let source = node.place.source.clone();
    let line_starts = match style {
        Style::Literal => literal_lines(&source.text, node.place.span.start, text),
        _ => found_lines(&source.text, node.place.span.clone(), style, text),
    };
    Excerpt { text: text.to_owned(), source, line_starts }
}

/// Lines of a `|` block stand one below the other, all indented like its first line.
fn literal_lines(source: &str, start: usize, text: &str) -> Vec<usize> {
    let first_line = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = start - first_line;
    // The place of a block is that of its first line with content; blank ones stand before it.
    let blank_before = text.lines().take_while(|line| line.is_empty()).count();
    let mut line_start = first_line;
    for _ in 0..blank_before {
        line_start =
            source[..line_start.saturating_sub(1)].rfind('\n').map_or(0, |newline| newline + 1);
    }
    let mut starts = Vec::new();
    for _ in 0..text.split('\n').count() {
        let line = source[line_start..].split('\n').next().unwrap_or_default();
        let blank = line.len() - line.trim_start_matches(' ').len();
        starts.push(line_start + indent.min(blank));
        line_start = (line_start + line.len() + 1).min(source.len());
    }
    starts
}

/// Looks for each line's first word, behind where the line before was found.
fn found_lines(source: &str, span: std::ops::Range<usize>, style: Style, text: &str) -> Vec<usize> {
    let mut from = span.start + usize::from(style == Style::Quoted);
    let mut starts = Vec::new();
    for line in text.split('\n') {
        let word = line.split_whitespace().next().unwrap_or_default();
        let found = source.get(from..span.end).and_then(|rest| rest.find(word));
        let indent = line.len() - line.trim_start().len();
        let at = from + found.unwrap_or(0);
        let line_start = at.saturating_sub(indent);
        let is_start = line_start >= from && source.is_char_boundary(line_start);
        starts.push(if is_start { line_start } else { at });
        from = at + found.map_or(0, |_| word.len());
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Environment};

    /// What stands in the file where each line of the leaf is said to begin.
    fn lines(yaml: &str) -> Vec<String> {
        let document =
            Document::parse("a.yaml", yaml, "", &Environment::default()).expect("valid YAML");
        let value = document.value("/script");
        let excerpt = document.excerpt("/script", value.as_str().expect("a text"));
        let source = &excerpt.source.text;
        let line = |start: &usize| source[*start..].lines().next().unwrap_or_default().to_owned();
        excerpt.line_starts.iter().map(line).collect()
    }

    #[test]
    fn lines_of_a_literal_block_are_found_exactly() {
        for header in ["|", "|-", "|+", "|2", "| # comment", "&anchor |"] {
            let yaml = format!("a: 1\nscript: {header}\n  fn f() {{\n\n      1\n  }}\n \nb: 2\n");
            let lines = lines(&yaml);
            assert_eq!(lines[..4], ["fn f() {", "", "    1", "}"], "{header}");
        }
    }

    #[test]
    fn blank_lines_before_the_first_line_count() {
        assert_eq!(lines("script: |\n\n  \n  x\n")[..3], ["", "", "x"]);
        assert_eq!(lines("script: |1\n   x\n")[0], "  x");
    }

    #[test]
    fn a_place_in_a_block_is_a_place_in_the_file() {
        let yaml = "script: |\n    let é = 1;\n    x\n";
        let document = Document::parse("a.yaml", yaml, "", &Environment::default()).unwrap();
        let excerpt = document.excerpt("/script", document.value("/script").as_str().unwrap());
        assert_eq!(excerpt.place(1, 7, 1).display(), "a.yaml:2:11");
        assert_eq!(excerpt.place(2, 1, 1).display(), "a.yaml:3:5");
        assert_eq!(excerpt.place(0, 0, 0).display(), "a.yaml:2:5");
    }

    #[test]
    fn texts_of_one_line_are_found_exactly() {
        assert_eq!(lines("script: event.x == 1\n"), ["event.x == 1"]);
        assert_eq!(lines("script: \"a b\"\n"), ["a b\""]);
        assert_eq!(lines("script: 'a b'\n"), ["a b'"]);
    }

    #[test]
    fn lines_of_folded_and_quoted_texts_are_found_by_their_words() {
        assert_eq!(lines("script: >-\n  one\n  two\n\n  three\n"), ["one", "three"]);
        assert_eq!(lines("script: \"one\\ntwo\"\n"), ["one\\ntwo\"", "two\""]);
    }
}
