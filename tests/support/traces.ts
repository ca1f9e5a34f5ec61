/** Traces as the trace store has them, with the words the tests use for them. */
import { attribute, spansOf, type SpanInContext } from "#lib/embedded/traces/otlp.ts";
import type { TraceStore } from "#lib/embedded/traces/index.ts";
import { stack } from "./stack.ts";
import { until } from "./until.ts";

/** A span, flat and with plain values. */
export interface TestSpan {
  service: string;
  name: string;
  kind: "internal" | "server" | "client" | "producer" | "consumer" | "unspecified";
  traceId: string;
  spanId: string;
  /** undefined on a root */
  parentId: string | undefined;
  traceState: string;
  attributes: Record<string, unknown>;
  /** unset, ok or error */
  status: "unset" | "ok" | "error";
  statusText: string;
  links: { traceId: string; spanId: string }[];
  events: string[];
}

const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
const STATUSES = ["unset", "ok", "error"] as const;

/** How long nothing new must come before a trace that must not grow counts as complete. */
const QUIET_MS = 300;

/** A `traceparent` of a trace that nobody else uses. */
export function newTraceparent(flags = "01") {
  const traceId = crypto.randomUUID().replaceAll("-", "");
  const spanId = crypto.randomUUID().slice(-12).padStart(16, "a");
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
}

/**
 * Waits until a trace is as far as `isDone` wants it.
 * @param isDone default: it has any span
 * @param store default: the shared stack's
 * @throws Error that shows the spans that came
 */
export async function traceOf(
  traceId: string,
  isDone: (spans: TestSpan[]) => boolean = (spans) => spans.length > 0,
  store?: TraceStore,
): Promise<TestSpan[]> {
  const traces = store ?? (await stack()).traces;
  try {
    return await until(`trace ${traceId} is there`, () => {
      const spans = spansIn(traces, traceId);
      return isDone(spans) && spans;
    });
  } catch (cause) {
    const spans = spansIn(traces, traceId).map(({ service, name }) => `${service} ${name}`);
    throw new Error(`the trace has only: ${spans.join(", ") || "no span"}`, { cause });
  }
}

/** The same, and then as long as spans still come: for what a trace must not hold. */
export async function settledTraceOf(
  traceId: string,
  isDone?: (spans: TestSpan[]) => boolean,
  store?: TraceStore,
): Promise<TestSpan[]> {
  const traces = store ?? (await stack()).traces;
  let spans = await traceOf(traceId, isDone, traces);
  for (;;) {
    await Bun.sleep(QUIET_MS);
    const now = spansIn(traces, traceId);
    if (now.length === spans.length) return now;
    spans = now;
  }
}

/** What has arrived of a trace until now. */
export async function spansSoFar(traceId: string): Promise<TestSpan[]> {
  const { traces } = await stack();
  return spansIn(traces, traceId);
}

/** The spans of a trace in any store. */
export function spansIn(traces: TraceStore, traceId: string): TestSpan[] {
  const found = traces.trace(traceId);
  return found ? spansOf(found).map(flat) : [];
}

/** The one span of a service and name. @throws where there is none or more than one */
export function only(spans: TestSpan[], service: string, name: string): TestSpan {
  const found = spans.filter((span) => span.service === service && span.name === name);
  const [span] = found;
  if (!span || found.length > 1) {
    const names = spans.map((other) => `${other.service} ${other.name}`).join(", ");
    throw new Error(`${found.length} spans ${service} ${name} in: ${names}`);
  }
  return span;
}

/**
 * Whether an order's trace has come to its end, as far as one can see: the spans that end last are
 * there, and no span waits for its parent but the first, whose parent is the test's own.
 */
export function isWhole(spans: TestSpan[]): boolean {
  const last = [
    "gateway POST /orders",
    "orders POST /orders",
    "inventory POST /stock/:itemId/reserve",
    "orders PATCH /orders/:id/status",
    "worker process order.created",
    "email POST /send",
  ];
  const names = new Set(spans.map(({ service, name }) => `${service} ${name}`));
  return last.every((name) => names.has(name)) && topmost(spans).length === 1;
}

/** The spans whose parent is not among them. */
export function topmost(spans: TestSpan[]): TestSpan[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  return spans.filter(({ parentId }) => parentId === undefined || !ids.has(parentId));
}

/** The spans right below one. */
export function childrenOf(spans: TestSpan[], parent: TestSpan): TestSpan[] {
  return spans.filter((span) => span.parentId === parent.spanId);
}

/** Names of the spans from this one up to the root: "email POST /send", "worker POST", … */
export function pathToRoot(spans: TestSpan[], span: TestSpan): string[] {
  const path: string[] = [];
  let current: TestSpan | undefined = span;
  while (current && path.length <= spans.length) {
    path.push(`${current.service} ${current.name}`);
    const parentId: string | undefined = current.parentId;
    current = spans.find((other) => other.spanId === parentId);
  }
  return path;
}

function flat({ span, service }: SpanInContext): TestSpan {
  const keys = (span.attributes ?? []).map(({ key }) => key);
  return {
    service,
    name: span.name ?? "",
    kind: KINDS[span.kind ?? 0] ?? "unspecified",
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId || undefined,
    traceState: span.traceState ?? "",
    attributes: Object.fromEntries(keys.map((key) => [key, attribute(span.attributes, key)])),
    status: STATUSES[span.status?.code ?? 0] ?? "unset",
    statusText: span.status?.message ?? "",
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    events: (span.events ?? []).map(({ name }) => name ?? ""),
  };
}
