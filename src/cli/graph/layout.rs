//! Places for the nodes of a drawing: layers by longest path from left to right, in each layer in
//! the order of what is read. An edge over several layers has a slot in each of them, so that it
//! passes beside the nodes.

use super::Node;

/// How much room a node needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Where a node is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The places of everything.
pub(super) struct Layout {
    /// The nodes, as they were given.
    pub(super) nodes: Vec<Rectangle>,
    /// The edges: the places from left to right that each goes through, its two ends included.
    pub(super) edges: Vec<Vec<Rectangle>>,
    /// The whole drawing.
    pub(super) size: Size,
}

const MARGIN: f64 = 16.0;
const GAP_BETWEEN_LAYERS: f64 = 64.0;
const GAP_IN_LAYER: f64 = 24.0;
/// The height of the slot of an edge that passes.
const PASSAGE: f64 = 8.0;
/// How often the order in the layers is improved.
const SWEEPS: usize = 4;

/// Something that takes a place in a layer: a node, or an edge that passes.
struct Slot {
    layer: usize,
    height: f64,
    /// The slots of the layer before that lead here.
    before: Vec<usize>,
}

/// Lays out nodes that come after their inputs.
pub(super) fn layout(nodes: &[Node], sizes: &[Size]) -> Layout {
    let layer_of = layers(nodes);
    let mut slots: Vec<Slot> = layer_of
        .iter()
        .zip(sizes)
        .map(|(layer, size)| Slot { layer: *layer, height: size.height, before: Vec::new() })
        .collect();
    let mut paths = Vec::new();
    for (to, node) in nodes.iter().enumerate() {
        for from in &node.inputs {
            paths.push(pass(&mut slots, *from, to));
        }
    }
    let order = ordered(&slots);
    let places = placed(&slots, &order, &widths(&layer_of, sizes));
    let right = places.iter().map(|place| place.x + place.width).fold(0.0, f64::max);
    let bottom = places.iter().map(|place| place.y + place.height).fold(0.0, f64::max);
    Layout {
        nodes: places[..nodes.len()].to_vec(),
        edges: paths
            .into_iter()
            .map(|path| path.into_iter().map(|slot| places[slot]).collect())
            .collect(),
        size: Size { width: right + MARGIN, height: bottom + MARGIN },
    }
}

/// The layer of each node: one after the last of its inputs.
fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layers: Vec<usize> = Vec::new();
    for node in nodes {
        layers.push(node.inputs.iter().map(|input| layers[*input] + 1).max().unwrap_or(0));
    }
    layers
}

/// Leads an edge through the layers between its ends; returns the slots on its way.
fn pass(slots: &mut Vec<Slot>, from: usize, to: usize) -> Vec<usize> {
    let mut path = vec![from];
    let mut last = from;
    for layer in slots[from].layer + 1..slots[to].layer {
        slots.push(Slot { layer, height: PASSAGE, before: vec![last] });
        last = slots.len() - 1;
        path.push(last);
    }
    slots[to].before.push(last);
    path.push(to);
    path
}

/// The slots of each layer from top to bottom: near the middle of what leads to them, then near
/// the middle of what they lead to, a few times.
fn ordered(slots: &[Slot]) -> Vec<Vec<usize>> {
    let count = slots.iter().map(|slot| slot.layer + 1).max().unwrap_or(0);
    let mut order = vec![Vec::new(); count];
    for (place, slot) in slots.iter().enumerate() {
        order[slot.layer].push(place);
    }
    let mut after = vec![Vec::new(); slots.len()];
    for (place, slot) in slots.iter().enumerate() {
        slot.before.iter().for_each(|before| after[*before].push(place));
    }
    for _ in 0..SWEEPS {
        for layer in (0..count.saturating_sub(1)).rev() {
            sort(&mut order, layer, |slot| &after[slot]);
        }
        for layer in 1..count {
            sort(&mut order, layer, |slot| &slots[slot].before);
        }
    }
    order
}

/// Sorts a layer by the mean place of each slot's neighbours; one without any stays about where
/// it is.
fn sort<'a>(order: &mut [Vec<usize>], layer: usize, neighbours: impl Fn(usize) -> &'a Vec<usize>) {
    let mut rank = vec![0.0; order.iter().flatten().max().map_or(0, |last| last + 1)];
    for slots in order.iter() {
        for (place, slot) in slots.iter().enumerate() {
            rank[*slot] = (place as f64 + 0.5) / slots.len() as f64;
        }
    }
    let centre = |slot: &usize| {
        let around = neighbours(*slot);
        let sum: f64 = around.iter().map(|other| rank[*other]).sum();
        if around.is_empty() { rank[*slot] } else { sum / around.len() as f64 }
    };
    order[layer].sort_by(|one, other| centre(one).total_cmp(&centre(other)));
}

/// All nodes of a layer are as wide as the widest.
fn widths(layer_of: &[usize], sizes: &[Size]) -> Vec<f64> {
    let mut widths = vec![0.0_f64; layer_of.iter().map(|layer| layer + 1).max().unwrap_or(0)];
    for (layer, size) in layer_of.iter().zip(sizes) {
        widths[*layer] = widths[*layer].max(size.width);
    }
    widths
}

fn placed(slots: &[Slot], order: &[Vec<usize>], widths: &[f64]) -> Vec<Rectangle> {
    let height_of = |layer: &Vec<usize>| {
        let heights: f64 = layer.iter().map(|slot| slots[*slot].height).sum();
        heights + GAP_IN_LAYER * layer.len().saturating_sub(1) as f64
    };
    let tallest = order.iter().map(height_of).fold(0.0, f64::max);
    let nowhere = Rectangle { x: 0.0, y: 0.0, width: 0.0, height: 0.0 };
    let mut places = vec![nowhere; slots.len()];
    let mut x = MARGIN;
    for (layer, width) in order.iter().zip(widths) {
        let mut y = MARGIN + (tallest - height_of(layer)) / 2.0;
        for slot in layer {
            let height = slots[*slot].height;
            places[*slot] = Rectangle { x, y, width: *width, height };
            y += height + GAP_IN_LAYER;
        }
        x += width + GAP_BETWEEN_LAYERS;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(one: &Rectangle, other: &Rectangle) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn nothing_overlaps_and_edges_go_to_the_right() {
        let nodes = super::super::sample();
        let sizes: Vec<_> = (0..nodes.len())
            .map(|place| Size { width: 80.0 + 10.0 * place as f64, height: 40.0 })
            .collect();
        let layout = layout(&nodes, &sizes);
        for (place, one) in layout.nodes.iter().enumerate() {
            let others = &layout.nodes[place + 1..];
            assert!(others.iter().all(|other| !overlap(one, other)), "{one:?}");
            assert!(
                one.x + one.width <= layout.size.width && one.y + one.height <= layout.size.height
            );
        }
        assert_eq!(layout.edges.len(), 8);
        for edge in &layout.edges {
            assert!(edge.windows(2).all(|step| step[0].x + step[0].width < step[1].x));
            for passage in &edge[1..edge.len() - 1] {
                assert!(layout.nodes.iter().all(|node| !overlap(node, passage)));
            }
        }
    }

    #[test]
    fn an_edge_over_layers_has_a_slot_in_each() {
        let layout = layout(&super::super::sample(), &[Size { width: 50.0, height: 40.0 }; 7]);
        // From `stores` in layer 0 to `out` in layer 4.
        assert_eq!(layout.edges[6].len(), 5);
    }
}
