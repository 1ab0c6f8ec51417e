//! Results as `JUnit` XML, which build servers read: a suite for each pipeline.

use std::fmt::Write;

use engine::problem::Problems;

use super::{TestResult, Tested};

/// The document.
pub(super) fn render(all: &[Tested]) -> String {
    let tests: usize = all.iter().map(cases).sum();
    let failures: usize = all.iter().map(Tested::failures).sum();
    let errors = all.iter().filter(|tested| tested.problems.has_errors()).count();
    let seconds = all.iter().fold(0.0, |sum, tested| sum + tested.seconds());
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        xml,
        "<testsuites name=\"engine test\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{seconds:.3}\">"
    );
    for tested in all {
        suite(&mut xml, tested);
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// A spec that is wrong counts as a case.
fn cases(tested: &Tested) -> usize {
    tested.results.len() + usize::from(tested.problems.has_errors())
}

fn suite(xml: &mut String, tested: &Tested) {
    let file = escaped(&tested.file);
    let errors = usize::from(tested.problems.has_errors());
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{}\" errors=\"{errors}\" \
         time=\"{:.3}\">",
        cases(tested),
        tested.failures(),
        tested.seconds()
    );
    if errors > 0 {
        let _ =
            writeln!(xml, "    <testcase name=\"the spec\" classname=\"{file}\" file=\"{file}\">");
        fault(xml, "error", &tested.problems);
        xml.push_str("    </testcase>\n");
    }
    for result in &tested.results {
        case(xml, &file, result);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, file: &str, result: &TestResult) {
    let outcome = &result.outcome;
    let line = outcome.place.as_ref().map_or(1, |place| place.start().line);
    let _ = write!(
        xml,
        "    <testcase name=\"{}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" \
         time=\"{:.3}\"",
        escaped(&outcome.name),
        result.seconds
    );
    if outcome.is_success() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    fault(xml, "failure", &outcome.failures);
    xml.push_str("    </testcase>\n");
}

fn fault(xml: &mut String, element: &str, problems: &Problems) {
    let message = problems.0.first().map(|problem| problem.message.as_str()).unwrap_or_default();
    let (message, text) = (escaped(message), escaped(&problems.render(false)));
    let _ = writeln!(xml, "      <{element} message=\"{message}\">{text}</{element}>");
}

/// A text as content or as an attribute. What no XML may hold is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_may_not_hold_is_escaped_or_replaced() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{7}é"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}é");
    }
}
