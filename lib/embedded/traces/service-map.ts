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
  const nodes = new Map<string, { node: Omit<WireMapNode, "spans" | "errors">; calls: Calls }>();
  const edges = new Map<string, { from: string; to: string; calls: Calls }>();
  let firstUs = Number.POSITIVE_INFINITY;
  let lastUs = 0;
  const node = (kind: WireMapNode["kind"], name: string) => {
    const id = `${kind}:${name}`;
    return nodes.getOrInsertComputed(id, () => ({
      node: { id, kind, name },
      calls: { durationsUs: [], errors: 0 },
    }));
  };
  const call = (from: string, to: string, context: SpanInContext) => {
    const key = JSON.stringify([from, to]);
    const edge = edges.getOrInsertComputed(key, () => ({
      from,
      to,
      calls: { durationsUs: [], errors: 0 },
    }));
    count(edge.calls, context);
  };
  for (const trace of traces) {
    firstUs = Math.min(firstUs, trace.startTimeUs);
    lastUs = Math.max(lastUs, trace.endTimeUs);
    const spans = spansOf(trace);
    const byId = new Map(spans.map((context) => [context.span.spanId, context]));
    for (const context of spans) {
      const service = node("service", serviceNameOf(context.resource));
      count(service.calls, context);
      const target = targetOf(context);
      if (target) {
        const to = node(target.kind, target.name);
        count(to.calls, context);
        // A topic hands on to whoever handles its records.
        if (context.span.kind === CONSUMER) call(to.node.id, service.node.id, context);
        else call(service.node.id, to.node.id, context);
      }
      const parent = byId.get(parentIdOf(context.span) ?? "");
      // Between a producer and a consumer stands the topic.
      if (!parent || context.span.kind === CONSUMER) continue;
      const caller = serviceNameOf(parent.resource);
      const isOwn = parent.resource === context.resource;
      if (!isOwn) call(`service:${caller}`, service.node.id, context);
    }
  }
  const seconds = Math.max(1, (lastUs - firstUs) / 1_000_000);
  return {
    nodes: [...nodes.values()].map(({ node, calls }) => ({
      ...node,
      spans: calls.durationsUs.length,
      errors: calls.errors,
    })),
    edges: [...edges.values()].map(({ from, to, calls }): WireMapEdge => {
      const sorted = calls.durationsUs.sort((a, b) => a - b);
      return {
        from,
        to,
        calls: sorted.length,
        errors: calls.errors,
        rate: sorted.length / seconds,
        p95: sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.95))] ?? 0,
      };
    }),
  };
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
