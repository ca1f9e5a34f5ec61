/** Which spans a settled order's trace lacks, and which process must have had them. */
import { CALL_TIMEOUT_MS } from "#lib/service/client.ts";
import type { KeptSpan } from "./kept-span.ts";

/** A span, or part of a trace, that is not there. */
export interface Gap {
  readonly what: string;
  /** The service that held it. */
  readonly service: string;
  /** The missing span was not over before this, in milliseconds since 1970. */
  readonly fromMs: number;
}

/** What is known of an order beside its trace. Times in milliseconds since 1970. */
export interface TracedOrder {
  readonly postedAtMs: number;
  /** When it became what it is. */
  readonly settledAtMs: number;
  /** How many items must have been asked for at least. */
  readonly itemsMin: number;
}

/** What is known of the whole run. */
export interface TracedRun {
  /** Who is called at which port. */
  readonly serviceAtPort: ReadonlyMap<number, string>;
  /** Ids of the creations that a successful `send order.created` links to: a batch has a trace of its own. */
  readonly sent: ReadonlySet<string>;
}

const SERVER = 2;
const CLIENT = 3;
const CONSUMER = 5;

/**
 * Compares a trace with what an order's way through the house must leave: see contract and
 * docs/telemetry.md. Failed tries may leave less: a call that got no answer needs no span at its other end.
 */
export function findGaps(
  spans: readonly KeptSpan[],
  order: TracedOrder,
  { serviceAtPort, sent }: TracedRun,
): Gap[] {
  const trace: Trace = {
    spans,
    serviceAtPort,
    byId: new Map(spans.map((span) => [span.spanId, span])),
    childrenOf: Map.groupBy(spans, (span) => span.parentSpanId),
  };
  const { postedAtMs } = order;
  const creations = spans.filter(({ name }) => name === "create order.created");
  return [
    ...(spans.some(isRoot) ? [] : [gap("the gateway's POST /orders", "gateway", postedAtMs)]),
    ...(creations.length > 0 ? [] : [gap("create order.created", "orders", postedAtMs)]),
    ...creations
      .filter(({ spanId }) => !sent.has(spanId))
      .map(({ startMs }) => gap("send order.created", "orders", startMs)),
    ...settlingGaps(trace, order),
    ...spans.flatMap((span) => gapsAround(span, trace, postedAtMs)),
  ];
}

/** The spans of a trace, and how they hang together. */
interface Trace {
  readonly spans: readonly KeptSpan[];
  readonly byId: ReadonlyMap<string, KeptSpan>;
  readonly childrenOf: ReadonlyMap<string, readonly KeptSpan[]>;
  readonly serviceAtPort: TracedRun["serviceAtPort"];
}

function gap(what: string, service: string, fromMs: number): Gap {
  return { what, service, fromMs };
}

/** Calls of a span to a service that were answered. */
function answeredCalls(trace: Trace, from: KeptSpan | undefined, service: string): KeptSpan[] {
  const children = trace.childrenOf.get(from?.spanId ?? "") ?? [];
  return children.filter(
    ({ kind, serverPort = 0, httpStatus }) =>
      kind === CLIENT &&
      httpStatus !== undefined &&
      trace.serviceAtPort.get(serverPort) === service,
  );
}

/** What is missing of the worker's handling that settled the order. */
function settlingGaps(trace: Trace, { itemsMin, settledAtMs }: TracedOrder): Gap[] {
  const settlings = trace.spans.filter(
    (span) =>
      span.kind === CONSUMER &&
      !span.isError &&
      !span.isAbandoned &&
      answeredCalls(trace, span, "email").some(({ httpStatus }) => httpStatus === 200),
  );
  if (settlings.length === 0) {
    // The mail comes after the status.
    return [gap("a process order.created that ends with the mail", "worker", settledAtMs)];
  }
  return settlings.flatMap((settling) => {
    const steps = trace.childrenOf.get(settling.spanId);
    const reserving = steps?.find(({ name }) => name === "reserve items");
    const reserved = answeredCalls(trace, reserving, "inventory").length;
    const hasStatus = answeredCalls(trace, settling, "orders").some(({ name }) => name === "PATCH");
    return [
      ...(reserved < itemsMin
        ? [gap("a call to reserve an item", "worker", settling.startMs)]
        : []),
      ...(hasStatus ? [] : [gap("the call to set the status", "worker", settling.startMs)]),
    ];
  });
}

/** What is missing next to one span: its parent, the other side of its call, its statements. */
function gapsAround(span: KeptSpan, trace: Trace, postedAtMs: number): Gap[] {
  const gaps: Gap[] = [];
  const who = `${span.service}'s ${span.name}`;
  const children = trace.childrenOf.get(span.spanId) ?? [];
  const called = trace.serviceAtPort.get(span.serverPort ?? 0);
  if (!isRoot(span) && !trace.byId.has(span.parentSpanId)) {
    gaps.push(gap(`the parent of ${who}`, parentsService(span), parentFromMs(span, postedAtMs)));
  }
  if (span.kind === CLIENT && called && span.httpStatus !== undefined) {
    if (!children.some(({ kind, service }) => kind === SERVER && service === called)) {
      gaps.push(gap(`${called}'s side of ${who}`, called, span.startMs));
    }
  }
  if (usesDatabase(span) && !children.some(({ isSql }) => isSql)) {
    gaps.push(gap(`the SQL of ${who}`, span.service, span.startMs));
  }
  return gaps;
}

/** The trace begins with the test's own span, which nobody records. */
function isRoot({ service, kind }: KeptSpan): boolean {
  return service === "gateway" && kind === SERVER;
}

/** Who made the span above this one. */
function parentsService({ kind, service, name }: KeptSpan): string {
  if (kind === CONSUMER) return "orders";
  if (kind !== SERVER) return service;
  return service === "orders" && name.startsWith("POST ") ? "gateway" : "worker";
}

/** The earliest end of the span above this one. */
function parentFromMs({ kind, name, startMs }: KeptSpan, postedAtMs: number): number {
  // A record is sent and handled when its creation is long over, by another life of orders it may be; a
  // request may arrive after its sender's death.
  if (kind === CONSUMER || name === "send order.created") return postedAtMs;
  return kind === SERVER ? startMs - CALL_TIMEOUT_MS : startMs;
}

/** Whether it is a request that was answered out of the database. */
function usesDatabase({ service, kind, httpStatus = 0 }: KeptSpan): boolean {
  const answered = httpStatus >= 200 && httpStatus < 300;
  return kind === SERVER && answered && (service === "orders" || service === "inventory");
}
