// Where the stages of a graph stand: in layers by the longest way from a source, ordered so that few
// edges cross, an edge over several layers led round what stands between. Knows nothing of SVG.

const ROUNDS = 8;

/**
 * Lays stages out. `along` and `across` are the sizes of a stage in the direction of the flow and
 * across it, `gap` and `lane` the room between them. Answers places of stages as centres along and
 * across, edges as points that they pass, and how far everything reaches.
 */
export function layout(stages, { along, across, gap, lane }) {
  const nodes = new Map(stages.map((stage) => [stage.stage, { stage, name: stage.stage, size: across, above: [], below: [] }]));
  const rank = ranks(stages);
  const layers = Array.from({ length: Math.max(0, ...rank.values()) + 1 }, () => []);
  for (const node of nodes.values()) {
    node.rank = rank.get(node.name);
    layers[node.rank].push(node);
  }
  const edges = [];
  for (const stage of stages) {
    for (const input of stage.inputs) {
      if (nodes.has(input)) edges.push(lead(nodes.get(input), nodes.get(stage.stage), layers));
    }
  }
  for (let round = 0; round < ROUNDS; round++) order(layers, round % 2 === 0);
  place(layers, lane);
  const reach = Math.max(0, ...layers.flat().map((node) => node.at + node.size / 2));
  const centre = (node) => ({ along: node.rank * (along + gap) + along / 2, across: node.at });
  return {
    nodes: [...nodes.values()].map((node) => ({ stage: node.stage, rank: node.rank, ...centre(node) })),
    edges: edges.map((edge) => ({ from: edge[0].name, to: edge.at(-1).name, points: edge.map(centre) })),
    along: layers.length * (along + gap) - gap,
    across: reach,
  };
}

/** How many stages the longest way from a source passes; stages come in the order of the flow. */
function ranks(stages) {
  const rank = new Map();
  for (const { stage, inputs } of stages) {
    rank.set(stage, Math.max(0, ...inputs.map((input) => (rank.get(input) ?? -1) + 1)));
  }
  return rank;
}

/** An edge as the nodes it passes: where it leads over a layer it has a place of its own there. */
function lead(from, to, layers) {
  const way = [from];
  for (let rank = from.rank + 1; rank < to.rank; rank++) {
    const between = { rank, size: 0, above: [], below: [] };
    layers[rank].push(between);
    way.push(between);
  }
  way.push(to);
  for (let i = 1; i < way.length; i++) {
    way[i].above.push(way[i - 1]);
    way[i - 1].below.push(way[i]);
  }
  return way;
}

/** Orders each layer by the middle of its neighbours' places in the layer before. */
function order(layers, down) {
  const number = (layer) => layer.forEach((node, i) => (node.order = i));
  layers.forEach(number);
  for (const layer of down ? layers : [...layers].reverse()) {
    for (const node of layer) {
      const near = down ? node.above : node.below;
      node.weight = near.length ? mean(near.map((one) => one.order)) : node.order;
    }
    layer.sort((a, b) => a.weight - b.weight || a.order - b.order);
    number(layer);
  }
}

/** Gives each node its place across: near its neighbours, in its order, with room in between. */
function place(layers, lane) {
  const room = (a, b) => (a.size + b.size) / 2 + (a.size && b.size ? lane : lane * 0.9);
  for (const layer of layers) {
    let at = 0;
    layer.forEach((node, i) => {
      at += i ? room(layer[i - 1], node) : 0;
      node.at = at;
    });
  }
  for (let round = 0; round < 4 * ROUNDS; round++) {
    for (const layer of round % 2 ? [...layers].reverse() : layers) {
      const wanted = layer.map((node) => {
        const near = [...node.above, ...node.below];
        return near.length ? mean(near.map((one) => one.at)) : node.at;
      });
      settle(layer, wanted, room);
    }
  }
  const least = Math.min(...layers.flat().map((node) => node.at - node.size / 2));
  for (const node of layers.flat()) node.at -= least;
}

/** As near to what is wanted as order and room allow: neighbours in each other's way share the cost. */
function settle(layer, wanted, room) {
  const before = [];
  layer.forEach((node, i) => before.push(i ? before[i - 1] + room(layer[i - 1], node) : 0));
  // Places less the room that stands before them: what is left has only to be in order.
  const groups = [];
  for (let i = 0; i < layer.length; i++) {
    let group = { sum: wanted[i] - before[i], count: 1 };
    while (groups.length && groups.at(-1).sum / groups.at(-1).count > group.sum / group.count) {
      const { sum, count } = groups.pop();
      group = { sum: sum + group.sum, count: count + group.count };
    }
    groups.push(group);
  }
  const places = groups.flatMap(({ sum, count }) => new Array(count).fill(sum / count));
  layer.forEach((node, i) => (node.at = places[i] + before[i]));
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
