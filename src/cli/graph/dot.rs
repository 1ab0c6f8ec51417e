//! The drawing for Graphviz.

use std::fmt::Write;

use engine::component::Kind;

use super::Node;

/// The digraph.
pub(super) fn render(nodes: &[Node]) -> String {
    let mut graph =
        "digraph pipeline {\n  rankdir=LR;\n  node [fontname=\"monospace\"];\n".to_owned();
    for (place, node) in nodes.iter().enumerate() {
        let shape = shape(node.kind);
        let _ = writeln!(graph, "  s{place} [shape={shape}, label=\"{}\"];", label(node));
    }
    for (place, node) in nodes.iter().enumerate() {
        for input in &node.inputs {
            let _ = writeln!(graph, "  s{input} -> s{place};");
        }
    }
    graph + "}\n"
}

fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "oval",
        Kind::Enricher => "box",
        Kind::Correlator => "hexagon",
        Kind::Batcher => "box3d",
        Kind::Sink => "cylinder",
    }
}

fn label(node: &Node) -> String {
    let mut label = format!("{}\\n{}", escaped(&node.name), escaped(node.component));
    if let Some(when) = &node.when {
        let _ = write!(label, "\\nwhen {}", escaped(when));
    }
    label
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_and_edge_is_there_and_no_name_breaks_out() {
        let graph = render(&super::super::sample());
        assert_eq!(graph.matches(" -> ").count(), 8);
        assert_eq!(graph.matches("label=").count(), 7);
        let label = r#"label="a<b>&\"c\"\nrhai\nwhen event.x == \"a\" && 1 < 2"];"#;
        assert!(graph.contains(label), "{graph}");
    }
}
