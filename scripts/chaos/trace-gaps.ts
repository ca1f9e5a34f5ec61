/** Which spans a settled order's trace lacks, and which process must have had them. */
import { CALL_TIMEOUT_MS } from "#lib/service/client.ts";
import type { RecordedSpan } from "./recorded-span.ts";

/** A span, or part of a trace, that is not there. */
export interface Gap {
  readonly what: string;
  /** The service that held it. */
  readonly service: string;
  /** The missing span was not over before this, in milliseconds since 1970. */
  readonly fromMs: number;
}

const SERVER = 2;
const CLIENT = 3;
const CONSUMER = 5;

/**
 * Compares a trace with what an order's way through the house must leave: see contract and
 * docs/telemetry.md. Failed tries may leave less: a call that got no answer needs no span at its other end.
 *
 * @param postedAtMs when the order was posted
 * @param serviceAtPort who is called at which port
 */
export function findGaps(
  spans: readonly RecordedSpan[],
  postedAtMs: number,
  serviceAtPort: ReadonlyMap<number, string>,
): Gap[] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const childrenOf = Map.groupBy(spans, (span) => span.parentSpanId);
  const gaps: Gap[] = [];
  const miss = (what: string, service: string, fromMs = postedAtMs) =>
    void gaps.push({ what, service, fromMs });

  if (!spans.some(isRoot)) miss("the gateway's POST /orders", "gateway");
  if (!spans.some(({ name }) => name === "create order.created")) {
    miss("create order.created", "orders");
  }
  if (!spans.some((span) => isSettling(span, childrenOf, serviceAtPort))) {
    miss("a process order.created that ends with the mail", "worker");
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
function isRoot({ service, kind }: RecordedSpan): boolean {
  return service === "gateway" && kind === SERVER;
}

function isSettling(
  span: RecordedSpan,
  childrenOf: ReadonlyMap<string, readonly RecordedSpan[]>,
  serviceAtPort: ReadonlyMap<number, string>,
): boolean {
  if (span.kind !== CONSUMER || span.isError || span.isAbandoned) return false;
  return (childrenOf.get(span.spanId) ?? []).some(
    ({ serverPort = 0, httpStatus }) =>
      httpStatus === 200 && serviceAtPort.get(serverPort) === "email",
  );
}

/** Who made the span above this one. */
function parentsService({ kind, service, name }: RecordedSpan): string {
  if (kind === CONSUMER) return "orders";
  if (kind !== SERVER) return service;
  return service === "orders" && name.startsWith("POST ") ? "gateway" : "worker";
}

/** The earliest end of the span above this one. */
function parentFromMs({ kind, startMs }: RecordedSpan, postedAtMs: number): number {
  // A record is handled when its creation is long over; a request may arrive after its sender's death.
  if (kind === CONSUMER) return postedAtMs;
  return kind === SERVER ? startMs - CALL_TIMEOUT_MS : startMs;
}

/** Whether it is a request that was answered out of the database. */
function usesDatabase({ service, kind, httpStatus = 0 }: RecordedSpan): boolean {
  const answered = httpStatus >= 200 && httpStatus < 300;
  return kind === SERVER && answered && (service === "orders" || service === "inventory");
}
