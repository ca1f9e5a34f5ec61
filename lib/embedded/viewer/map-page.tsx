/** Who calls whom: services, databases and topics, with rates, errors and how long it takes. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { stats } from "./api.ts";
import { count, duration } from "./format.ts";
import type { MapLayout } from "./map-layout.ts";
import { go, query } from "./router.ts";
import { colorOf, learnServices } from "./service.tsx";
import { useLive } from "./use-live.ts";
import type { WireMap, WireMapEdge } from "./wire.ts";

const SHAPES = { service: 6, database: 20, topic: 0 };

/** The page of the map. Its search is that of the traces: the address's query. */
export function MapPage() {
  const layout = useSignal<MapLayout | undefined>(undefined);
  const live = useLive<WireMap>(`/api/view/map?${query.value}`, (map) => {
    learnServices(map.services);
    stats.value = map.stats;
    void place(map);
  });
  const place = async (map: WireMap) => {
    const { layOut } = await import("./map-layout.ts");
    layout.value = layOut(map);
  };
  useEffect(() => {
    document.title = "Map · OrderFlow";
  }, []);
  const map = layout.value;
  return (
    <>
      <h1 class="visually-hidden">Map</h1>
      {live.problem.value && (
        <p class="error" role="alert">
          {live.problem.value}
        </p>
      )}
      {map && map.nodes.length === 0 && (
        <p class="note">No traces yet: nobody has called anybody.</p>
      )}
      {map && map.nodes.length > 0 && (
        <>
          <Picture map={map} />
          <Table map={map} />
        </>
      )}
    </>
  );
}

function Picture({ map }: { map: MapLayout }) {
  return (
    <div class="map" role="region" aria-label="Map" tabIndex={0}>
      <svg
        role="img"
        aria-label="Who calls whom; the table below says the same"
        viewBox={`0 0 ${map.width} ${map.height}`}
        style={{ width: "100%", maxWidth: `${map.width}px`, minWidth: `${map.width * 0.6}px` }}
      >
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            orient="auto"
          >
            <path d="M0 0 L8 4 L0 8 z" />
          </marker>
        </defs>
        {map.edges.map((placed) => (
          <Edge key={placed.edge.from + placed.edge.to} placed={placed} />
        ))}
        {map.nodes.map((placed) => (
          <Node key={placed.node.id} placed={placed} />
        ))}
      </svg>
    </div>
  );
}

function Edge({ placed }: { placed: MapLayout["edges"][number] }) {
  const { edge, path, label } = placed;
  return (
    <g class={edge.errors > 0 ? "edge failed" : "edge"}>
      <path d={path} marker-end="url(#arrow)" stroke-width={1 + Math.log10(1 + edge.calls)} />
      <text x={label.x} y={label.y - 4}>
        {edge.rate.toFixed(edge.rate < 10 ? 1 : 0)}/s · {duration(edge.p95 * 1_000)}
      </text>
      {edge.errors > 0 && (
        <text class="error" x={label.x} y={label.y + 10}>
          {share(edge)} failed
        </text>
      )}
    </g>
  );
}

/** A service, of which a click shows the traces, or what it calls. */
function Node({ placed }: { placed: MapLayout["nodes"][number] }) {
  const { node, x, y, width, height } = placed;
  const isService = node.kind === "service";
  const what = isService ? count(node.spans, "span") : node.kind;
  return (
    <g
      class={`node ${node.kind}`}
      transform={`translate(${x - width / 2} ${y - height / 2})`}
      onClick={() => isService && go(`/?${new URLSearchParams({ service: node.name })}`)}
    >
      <rect width={width} height={height} rx={SHAPES[node.kind]} />
      {isService && (
        <rect class="mark" width={5} height={height} style={{ fill: colorOf(node.name) }} />
      )}
      <text x={width / 2} y={height / 2 - 2} class="node-name">
        {node.name}
      </text>
      <text x={width / 2} y={height / 2 + 13} class={node.errors > 0 ? "error" : "faint"}>
        {node.errors > 0 ? `${node.errors} of ${node.spans} failed` : what}
      </text>
    </g>
  );
}

function Table({ map }: { map: MapLayout }) {
  const nameOf = new Map(map.nodes.map(({ node }) => [node.id, node.name]));
  return (
    <div class="wide-table" role="region" aria-label="Calls" tabIndex={0}>
      <table class="groups">
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">To</th>
            <th scope="col">Calls</th>
            <th scope="col">A second</th>
            <th scope="col">Failed</th>
            <th scope="col">95 % below</th>
          </tr>
        </thead>
        <tbody>
          {map.edges
            .map(({ edge }) => edge)
            .toSorted((a, b) => b.calls - a.calls)
            .map((edge) => (
              <tr key={edge.from + edge.to}>
                <td>{nameOf.get(edge.from)}</td>
                <td>{nameOf.get(edge.to)}</td>
                <td>{edge.calls}</td>
                <td>{edge.rate.toFixed(2)}</td>
                <td class={edge.errors > 0 ? "error" : ""}>{edge.errors > 0 && share(edge)}</td>
                <td>{duration(edge.p95 * 1_000)}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function share({ errors, calls }: WireMapEdge): string {
  return `${((errors / calls) * 100).toFixed(errors / calls < 0.1 ? 1 : 0)} %`;
}
