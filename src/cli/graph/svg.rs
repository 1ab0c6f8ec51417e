//! The drawing as an SVG that needs nothing else, and is readable on light and on dark.

use std::fmt::Write;

use engine::component::Kind;

use super::Node;
use super::layout::{Layout, Rectangle, Size, layout};

/// The width of a character of the font that is asked for, with some room.
const CHARACTER: f64 = 7.8;
const LINE: f64 = 17.0;
const PADDING: f64 = 14.0;
/// How much of a `when:` is shown; all of it is in the title of the node.
const WHEN_WIDTH: usize = 40;

const STYLE: &str = "\
    text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1f2328; text-anchor: middle }
    .name { font-weight: bold }
    .soft { fill: #59636e }
    .edge { fill: none; stroke: #818b98; stroke-width: 1.5 }
    .arrow { fill: #818b98 }
    .shape { fill: #ffffff; stroke-width: 1.5 }
    .source { stroke: #2da44e }
    .enricher { stroke: #218bff }
    .correlator { stroke: #a475f9 }
    .batcher { stroke: #d4a72c }
    .sink { stroke: #e16f24 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .soft { fill: #9198a1 }
      .edge { stroke: #7d8590 }
      .arrow { fill: #7d8590 }
      .shape { fill: #161b22 }
    }
";

/// The picture.
pub(super) fn render(nodes: &[Node]) -> String {
    let sizes: Vec<Size> = nodes.iter().map(size).collect();
    let Layout { nodes: places, edges, size } = layout(nodes, &sizes);
    let (width, height) = (size.width.ceil(), size.height.ceil());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n  <style>\n{STYLE}  </style>\n  <defs>\n    \
         <marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\"><path class=\"arrow\" d=\"M0,0 L8,4 L0,8 Z\"/>\
         </marker>\n  </defs>\n"
    );
    for edge in &edges {
        let path = path(edge);
        let _ = writeln!(svg, "  <path class=\"edge\" d=\"{path}\" marker-end=\"url(#arrow)\"/>");
    }
    for (node, place) in nodes.iter().zip(&places) {
        svg.push_str(&drawn(node, place));
    }
    svg + "</svg>\n"
}

/// The lines of text in a node.
fn lines(node: &Node) -> Vec<(&'static str, String)> {
    let what = format!("{} {}", node.kind.singular(), node.component);
    let mut lines = vec![("name", node.name.clone()), ("soft", what)];
    lines.extend(node.when.as_ref().map(|when| ("soft", shortened(&format!("when {when}")))));
    lines
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WHEN_WIDTH {
        return text.to_owned();
    }
    text.chars().take(WHEN_WIDTH - 1).chain(['\u{2026}']).collect()
}

fn size(node: &Node) -> Size {
    let lines = lines(node);
    // Characters beyond Latin may be twice as wide.
    let cells =
        |text: &str| text.chars().map(|c| if c < '\u{1100}' { 1.0 } else { 2.0 }).sum::<f64>();
    let widest = lines.iter().map(|(_, text)| cells(text)).fold(0.0, f64::max);
    Size { width: widest * CHARACTER + 4.0 * PADDING, height: lines.len() as f64 * LINE + PADDING }
}

fn drawn(node: &Node, place: &Rectangle) -> String {
    let Rectangle { x, y, width, height } = *place;
    let kind = node.kind.singular();
    let title = node.when.as_ref().map(|when| format!(" when {when}")).unwrap_or_default();
    let title = escaped(&format!("{} ({kind} {}){title}", node.name, node.component));
    let mut svg = format!(
        "  <g>\n    <title>{title}</title>\n    <path class=\"shape {kind}\" d=\"{}\"/>\n",
        outline(node.kind, place)
    );
    let lines = lines(node);
    let first = y + (height - lines.len() as f64 * LINE) / 2.0 + 13.0;
    for (row, (class, text)) in lines.iter().enumerate() {
        let (middle, baseline) = (x + width / 2.0, first + row as f64 * LINE);
        let text = escaped(text);
        let _ = writeln!(
            svg,
            "    <text class=\"{class}\" x=\"{middle:.1}\" y=\"{baseline:.1}\">{text}</text>"
        );
    }
    svg + "  </g>\n"
}

/// A shape for each kind; all of them fill their rectangle from left to right.
fn outline(kind: Kind, place: &Rectangle) -> String {
    let Rectangle { x, y, width, height } = *place;
    let (right, bottom, half) = (x + width, y + height, height / 2.0);
    match kind {
        Kind::Source => {
            let (from, to) = (x + half, right - half);
            format!(
                "M{from:.1},{y:.1} H{to:.1} A{half:.1},{half:.1} 0 0 1 {to:.1},{bottom:.1} \
                 H{from:.1} A{half:.1},{half:.1} 0 0 1 {from:.1},{y:.1} Z"
            )
        }
        Kind::Enricher => format!("M{x:.1},{y:.1} H{right:.1} V{bottom:.1} H{x:.1} Z"),
        Kind::Correlator => {
            let (from, to, middle) = (x + PADDING, right - PADDING, y + half);
            format!(
                "M{from:.1},{y:.1} H{to:.1} L{right:.1},{middle:.1} L{to:.1},{bottom:.1} \
                 H{from:.1} L{x:.1},{middle:.1} Z"
            )
        }
        Kind::Batcher => {
            let (left_bar, right_bar) = (x + 8.0, right - 8.0);
            format!(
                "M{x:.1},{y:.1} H{right:.1} V{bottom:.1} H{x:.1} Z M{left_bar:.1},{y:.1} \
                 V{bottom:.1} M{right_bar:.1},{y:.1} V{bottom:.1}"
            )
        }
        Kind::Sink => {
            let (from, to) = (x + 8.0, right - 8.0);
            format!(
                "M{from:.1},{y:.1} H{to:.1} A8,{half:.1} 0 0 1 {to:.1},{bottom:.1} H{from:.1} \
                 A8,{half:.1} 0 0 1 {from:.1},{y:.1} A8,{half:.1} 0 0 1 {from:.1},{bottom:.1}"
            )
        }
    }
}

/// A line from the right of the first place to the left of the last: level where it passes
/// others, and bent between the layers.
fn path(edge: &[Rectangle]) -> String {
    let middle = |place: &Rectangle| place.y + place.height / 2.0;
    let mut path = String::new();
    for (step, places) in edge.windows(2).enumerate() {
        let (from, to) = (&places[0], &places[1]);
        let (start, end) = (from.x + from.width, to.x);
        let bend = f64::midpoint(start, end);
        let (above, below) = (middle(from), middle(to));
        let begin = if step == 0 { 'M' } else { 'L' };
        let _ = write!(
            path,
            "{begin}{start:.1},{above:.1} C{bend:.1},{above:.1} {bend:.1},{below:.1} \
             {end:.1},{below:.1} "
        );
    }
    path.trim_end().to_owned()
}

/// A text within XML; control characters, which XML cannot hold, are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Panics unless every tag is closed in the order in which it was opened.
    fn assert_balanced(xml: &str) {
        let mut open = Vec::new();
        for tag in xml.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "an unescaped sign in {text:?}");
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(tag.split_whitespace().next().unwrap()),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn every_stage_and_edge_is_there_in_balanced_xml() {
        let svg = render(&super::super::sample());
        assert_balanced(&svg);
        assert_eq!(svg.matches("<g>").count(), 7);
        assert_eq!(svg.matches("class=\"edge\"").count(), 8);
        assert!(svg.contains(">a&lt;b&gt;&amp;&quot;c&quot;</text>"), "{svg}");
        assert!(svg.contains(">when event.x == &quot;a&quot; &amp;&amp; 1 &lt; 2</text>"), "{svg}");
    }

    #[test]
    fn a_long_condition_is_shortened_in_the_picture_and_whole_in_the_title() {
        let mut nodes = super::super::sample();
        nodes[2].when = Some("x".repeat(100));
        let svg = render(&nodes);
        assert!(svg.contains(&format!("when {}\u{2026}</text>", "x".repeat(34))), "{svg}");
        assert!(svg.contains(&format!("when {}</title>", "x".repeat(100))));
    }
}
