//! `engine graph`: the stages of a pipeline as a drawing.

mod dot;
mod layout;
mod mermaid;
mod svg;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::component::Kind;
use engine::plan::Plan;

use super::pipeline::ReadArguments;
use super::{CommandResult, terminal};

/// What to draw.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine graph shop.yaml                         for a page in Markdown
  engine graph shop.yaml --format svg > shop.svg
  engine graph shop.yaml --format dot | dot -Tpng > shop.png")]
pub(super) struct GraphArguments {
    /// The pipeline, or `-` for stdin
    file: PathBuf,
    /// How to draw it
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum GraphFormat {
    /// A Mermaid flowchart, which GitHub and many editors show
    #[default]
    Mermaid,
    /// Graphviz
    Dot,
    /// A picture that needs nothing else
    Svg,
}

/// A stage as it is drawn.
struct Node {
    name: String,
    kind: Kind,
    /// What it is built from.
    component: &'static str,
    /// The text of its `when:`, on one line.
    when: Option<String>,
    /// The nodes that it reads, by place.
    inputs: Vec<usize>,
}

pub(super) fn graph(arguments: &GraphArguments) -> CommandResult {
    let mut document = arguments.read.read(&arguments.file, &arguments.read.environment()?)?;
    let components = arguments.read.components(&mut document);
    let (plan, _) = Plan::new(document, &components)?;
    let nodes = nodes(&plan);
    terminal::data(&match arguments.format {
        GraphFormat::Mermaid => mermaid::render(&nodes),
        GraphFormat::Dot => dot::render(&nodes),
        GraphFormat::Svg => svg::render(&nodes),
    })
}

fn nodes(plan: &Plan) -> Vec<Node> {
    let node = |stage: &engine::plan::PlannedStage| {
        let when = plan.document.value(&format!("{}/when", stage.pointer));
        let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Node {
            name: stage.name.clone(),
            kind: stage.kind,
            component: stage.component.name,
            when: when.as_str().map(|when| plan.document.masked(&on_one_line(when))),
            inputs: stage.inputs.clone(),
        }
    };
    plan.stages.iter().map(node).collect()
}

/// Some nodes for tests: a diamond with a long edge, and texts that have to be escaped.
#[cfg(test)]
fn sample() -> Vec<Node> {
    let node = |name: &str, kind, component, when: Option<&str>, inputs: &[usize]| Node {
        name: name.to_owned(),
        kind,
        component,
        when: when.map(str::to_owned),
        inputs: inputs.to_vec(),
    };
    vec![
        node("stores", Kind::Source, "retail_mix", None, &[]),
        node("file", Kind::Source, "file", None, &[]),
        node("a<b>&\"c\"", Kind::Enricher, "rhai", Some(r#"event.x == "a" && 1 < 2"#), &[0]),
        node("rules", Kind::Correlator, "rhai", None, &[2, 1]),
        node("batches", Kind::Batcher, "count_or_time", None, &[3, 0]),
        node("out", Kind::Sink, "console", None, &[4, 0]),
        node("nowhere", Kind::Sink, "blackhole", None, &[3]),
    ]
}
