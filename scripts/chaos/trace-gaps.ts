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
  const { postedAtMs, settledAtMs } = order;
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const childrenOf = Map.groupBy(spans, (span) => span.parentSpanId);
  const answeredCalls = (from: KeptSpan | undefined, service: string) =>
    (childrenOf.get(from?.spanId ?? "") ?? []).filter(
      ({ kind, serverPort = 0, httpStatus }) =>
        kind === CLIENT && httpStatus !== undefined && serviceAtPort.get(serverPort) === service,
    );
  const gaps: Gap[] = [];
  const miss = (what: string, service: string, fromMs = postedAtMs) =>
    void gaps.push({ what, service, fromMs });

  if (!spans.some(isRoot)) miss("the gateway's POST /orders", "gateway");
  const creations = spans.filter(({ name }) => name === "create order.created");
  if (creations.length === 0) miss("create order.created", "orders");
  for (const { spanId, startMs } of creations) {
    if (!sent.has(spanId)) miss("send order.created", "orders", startMs);
  }
  const settlings = spans.filter(
    (span) =>
      span.kind === CONSUMER &&
      !span.isError &&
      !span.isAbandoned &&
      answeredCalls(span, "email").some(({ httpStatus }) => httpStatus === 200),
  );
  if (settlings.length === 0) {
    // The mail comes after the status.
    miss("a process order.created that ends with the mail", "worker", settledAtMs);
  }
  for (const settling of settlings) {
    const reserving = childrenOf.get(settling.spanId)?.find(({ name }) => name === "reserve items");
    if (answeredCalls(reserving, "inventory").length < order.itemsMin) {
      miss("a call to reserve an item", "worker", settling.startMs);
    }
    if (!answeredCalls(settling, "orders").some(({ name }) => name === "PATCH")) {
      miss("the call to set the status", "worker", settling.startMs);
    }
  }
  for (const span of spans) {
    const children = childrenOf.get(span.spanId) ?? [];
    const called = serviceAtPort.get(span.serverPort ?? 0);
    if (!isRoot(span) && !byId.has(span.parentSpanId)) {
      miss(
        `the parent of ${span.service}'s ${span.name}`,
        parentsService(span),
        parentFromMs(span, postedAtMs),
      );
    }
    if (span.kind === CLIENT && called && span.httpStatus !== undefined) {
      if (!children.some(({ kind, service }) => kind === SERVER && service === called)) {
        miss(`${called}'s side of ${span.service}'s ${span.name}`, called, span.startMs);
      }
    }
    if (usesDatabase(span) && !children.some(({ isSql }) => isSql)) {
      miss(`the SQL of ${span.service}'s ${span.name}`, span.service, span.startMs);
    }
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
