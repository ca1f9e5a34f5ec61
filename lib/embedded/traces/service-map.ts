/** Who calls whom: services, databases and topics, out of the spans of traces. */
import type { WireMap, WireMapEdge, WireMapNode } from "../viewer/wire.ts";
import { serviceNameOf } from "./jaeger-json.ts";
import { microsOf, parentIdOf, type SpanInContext, spansOf } from "./otlp.ts";
import { hasFailed, textAttribute } from "./span-terms.ts";
import type { StoredTrace } from "./trace-ring.ts";

const CLIENT = 3;
const PRODUCER = 4;
const CONSUMER = 5;

interface Calls {
  readonly durationsUs: number[];
  errors: number;
}

/** @returns the map of what some traces say */
export function mapOf(traces: readonly StoredTrace[]): Pick<WireMap, "nodes" | "edges"> {
  const map = new ServiceMap();
  for (const trace of traces) addTrace(map, trace);
  const firstUs = Math.min(...traces.map(({ startTimeUs }) => startTimeUs));
  const lastUs = Math.max(...traces.map(({ endTimeUs }) => endTimeUs));
  const seconds = Math.max(1, (lastUs - firstUs) / 1_000_000);
  return { nodes: map.nodes(), edges: map.edges(seconds) };
}

function addTrace(map: ServiceMap, trace: StoredTrace): void {
  const spans = spansOf(trace);
  const byId = new Map(spans.map((context) => [context.span.spanId, context]));
  for (const context of spans) {
    const service = map.count("service", serviceNameOf(context.resource), context);
    const target = targetOf(context);
    if (target) {
      const to = map.count(target.kind, target.name, context);
      // A topic hands on to whoever handles its records.
      if (context.span.kind === CONSUMER) map.countCall(to, service, context);
      else map.countCall(service, to, context);
    }
    const parent = byId.get(parentIdOf(context.span) ?? "");
    // Between a producer and a consumer stands the topic.
    if (!parent || context.span.kind === CONSUMER) continue;
    const isOwn = parent.resource === context.resource;
    if (!isOwn) map.countCall(nodeId("service", serviceNameOf(parent.resource)), service, context);
  }
}

/** Nodes and edges, while they are counted. */
class ServiceMap {
  readonly #nodes = new Map<
    string,
    { node: Omit<WireMapNode, "spans" | "errors">; calls: Calls }
  >();
  readonly #edges = new Map<string, { from: string; to: string; calls: Calls }>();

  /** Counts a span at a node. @returns the node's id */
  count(kind: WireMapNode["kind"], name: string, context: SpanInContext): string {
    const id = nodeId(kind, name);
    const { calls } = this.#nodes.getOrInsertComputed(id, () => ({
      node: { id, kind, name },
      calls: noCalls(),
    }));
    count(calls, context);
    return id;
  }

  /** Counts a span on the edge between two nodes. */
  countCall(from: string, to: string, context: SpanInContext): void {
    const key = JSON.stringify([from, to]);
    const { calls } = this.#edges.getOrInsertComputed(key, () => ({ from, to, calls: noCalls() }));
    count(calls, context);
  }

  nodes(): WireMapNode[] {
    return [...this.#nodes.values()].map(({ node, calls }) => ({
      ...node,
      spans: calls.durationsUs.length,
      errors: calls.errors,
    }));
  }

  /** @param seconds over which they were counted */
  edges(seconds: number): WireMapEdge[] {
    return [...this.#edges.values()].map(({ from, to, calls }) => {
      const sorted = calls.durationsUs.sort((a, b) => a - b);
      return {
        from,
        to,
        calls: sorted.length,
        errors: calls.errors,
        rate: sorted.length / seconds,
        p95: sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? 0,
      };
    });
  }
}

function nodeId(kind: WireMapNode["kind"], name: string): string {
  return `${kind}:${name}`;
}

function noCalls(): Calls {
  return { durationsUs: [], errors: 0 };
}

function count(calls: Calls, context: SpanInContext): void {
  const { startTimeUnixNano, endTimeUnixNano } = context.span;
  calls.durationsUs.push(Math.max(0, microsOf(endTimeUnixNano) - microsOf(startTimeUnixNano)));
  if (hasFailed(context.span)) calls.errors += 1;
}

/** What a span calls that has no spans of its own: a database, or a topic. */
function targetOf({ span }: SpanInContext): Pick<WireMapNode, "kind" | "name"> | undefined {
  const { attributes, kind } = span;
  const database =
    textAttribute(attributes, "db.system.name") ?? textAttribute(attributes, "db.system");
  if (database !== undefined && kind === CLIENT) {
    const namespace = textAttribute(attributes, "db.namespace") ?? "";
    return { kind: "database", name: namespace ? `${database} ${namespace}` : database };
  }
  const topic = textAttribute(attributes, "messaging.destination.name");
  if (topic === undefined) return undefined;
  const operation = textAttribute(attributes, "messaging.operation.name") ?? "";
  // A record that is created is not sent yet where somebody else sends it.
  const hands = kind === CONSUMER || (kind === CLIENT && operation === "send");
  const alone = kind === PRODUCER && operation !== "create";
  return hands || alone ? { kind: "topic", name: topic } : undefined;
}
