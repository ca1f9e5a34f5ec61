/** Where the map's boxes stand, and how its lines go. Loaded with the map. */
import { Graph, layout } from "@dagrejs/dagre";
import type { WireMap, WireMapEdge, WireMapNode } from "./wire.ts";

const NODE_HEIGHT = 44;
const CHAR_PX = 7.4;
const LABEL = { width: 96, height: 26 };

/** A map that is laid out. */
export interface MapLayout {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly {
    readonly node: WireMapNode;
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  }[];
  readonly edges: readonly {
    readonly edge: WireMapEdge;
    readonly path: string;
    readonly label: { readonly x: number; readonly y: number };
  }[];
}

/** From left to right, callers before those they call. */
export function layOut(map: WireMap): MapLayout {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "LR", nodesep: 28, ranksep: 46, marginx: 10, marginy: 14 });
  for (const node of map.nodes) {
    const width = Math.min(240, Math.max(96, node.name.length * CHAR_PX + 28));
    graph.setNode(node.id, { width, height: NODE_HEIGHT });
  }
  for (const { from, to } of map.edges) graph.setEdge(from, to, { ...LABEL, labelpos: "c" });
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    nodes: map.nodes.map((node) => {
      const box = graph.node(node.id) as { x: number; y: number; width: number; height: number };
      return { node, x: box.x, y: box.y, width: box.width, height: box.height };
    }),
    edges: map.edges.map((edge) => {
      const line = graph.edge(edge.from, edge.to) as {
        points: { x: number; y: number }[];
        x: number;
        y: number;
      };
      return { edge, path: curve(line.points), label: { x: line.x, y: line.y } };
    }),
  };
}

/** Through the middles between the points, so that it has no corners. */
function curve(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${first.x} ${first.y}`;
  rest.forEach((point, index) => {
    const next = rest[index + 1];
    // The last piece is straight: it is the one that an arrow has its direction from.
    path += next
      ? ` Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`
      : ` L${point.x} ${point.y}`;
  });
  return path;
}
