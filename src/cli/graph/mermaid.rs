//! The drawing as a Mermaid flowchart.

use std::fmt::Write;

use engine::component::Kind;

use super::Node;

/// The flowchart.
pub(super) fn render(nodes: &[Node]) -> String {
    let mut chart = "flowchart LR\n".to_owned();
    for (place, node) in nodes.iter().enumerate() {
        let (open, close) = shape(node.kind);
        let _ = writeln!(chart, "  s{place}{open}\"{}\"{close}", label(node));
    }
    for (place, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            let _ = writeln!(chart, "  s{input} --> s{place}");
        }
    }
    chart
}

fn shape(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Source => ("([", "])"),
        Kind::Enricher => ("[", "]"),
        Kind::Correlator => ("{{", "}}"),
        Kind::Batcher => ("[[", "]]"),
        Kind::Sink => ("[(", ")]"),
    }
}

fn label(node: &Node) -> String {
    let mut label = format!("{}<br/>{}", escaped(&node.name), escaped(node.component));
    if let Some(when) = &node.when {
        let _ = write!(label, "<br/>when {}", escaped(when));
    }
    label
}

/// Mermaid's own character references: quotes and tags would end the label.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '#' | '&' | '"' | '<' | '>' | '`' | ';' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_and_edge_is_there_and_no_name_breaks_out() {
        insta::assert_snapshot!(render(&super::super::sample()), @r#"
        flowchart LR
          s0(["stores<br/>retail_mix"])
          s1(["file<br/>file"])
          s2["a#60;b#62;#38;#34;c#34;<br/>rhai<br/>when event.x == #34;a#34; #38;#38; 1 #60; 2"]
          s3{{"rules<br/>rhai"}}
          s4[["batches<br/>count_or_time"]]
          s5[("out<br/>console")]
          s6[("nowhere<br/>blackhole")]
          s0 --> s2
          s2 --> s3
          s1 --> s3
          s3 --> s4
          s0 --> s4
          s4 --> s5
          s0 --> s5
          s3 --> s6
        "#);
    }
}
