/** What must be true of traces: each is complete, or lacks only what a killed process took with it. */
import type { BookedOrder } from "./books.ts";
import { check, type Check } from "./check.ts";
import type { Fault, Outage } from "./kills.ts";
import type { PostedOrder } from "./load.ts";
import type { KeptSpan } from "./kept-span.ts";
import { findGaps, type Gap } from "./trace-gaps.ts";

/** For so long a span may wait in its process after its end: batching, exporting, a busy machine. */
const EXPORT_LAG_MS = 3_000;
/** For so long exports that met a dead receiver are tried again: the exporter's time limit, and a batch more. */
const EXPORT_RETRY_MS = 12_000;

/** @param serviceAtPort who is called at which port */
export function checkTraces(
  posted: readonly PostedOrder[],
  orders: readonly BookedOrder[],
  traces: ReadonlyMap<string, readonly KeptSpan[]>,
  faults: readonly Fault[],
  serviceAtPort: ReadonlyMap<number, string>,
): Check[] {
  const postOf = new Map(posted.map((post) => [post.customerId, post]));
  const outages = faults.flatMap((fault) => fault.outages);
  const run = { serviceAtPort, sent: sentCreations(traces) };
  const explained = new Map<string, number>();
  const breaches: string[] = [];
  let complete = 0;
  let spans = 0;
  for (const order of orders) {
    const post = postOf.get(order.customerId);
    if (!post) continue;
    const trace = traces.get(post.traceId) ?? [];
    spans += trace.length;
    const known = {
      postedAtMs: post.startMs,
      settledAtMs: order.updatedAtMs,
      // Of a cancelled order the first item may have been the one that was not there.
      itemsMin: order.status === "confirmed" ? order.quantities.size : 1,
    };
    const gaps = findGaps(trace, known, run);
    if (gaps.length === 0) complete += 1;
    const endMs = Math.max(order.updatedAtMs, ...trace.map((span) => span.endMs));
    for (const gap of gaps) {
      const culprit = explain(gap, endMs, outages);
      if (culprit) {
        const key = culprit === gap.service ? gap.service : `${gap.service} by ${culprit}`;
        explained.set(key, (explained.get(key) ?? 0) + 1);
      } else {
        breaches.push(`trace ${post.traceId} lacks ${gap.what}; no kill explains it`);
      }
    }
  }
  // "worker 3, worker by traces 2": its own death took three, the trace receiver's two.
  const named = [...explained].sort().map(([whose, count]) => `${whose} ${count}`);
  const incomplete = orders.length - complete;
  return [
    check(
      "traces are complete, or a kill explains what is missing",
      `${complete} complete, ${incomplete} incomplete, ${spans} spans` +
        (named.length > 0 ? `; explained gaps: ${named.join(", ")}` : ""),
      breaches,
    ),
  ];
}

/** The creations that were sent, in whichever trace. */
function sentCreations(traces: ReadonlyMap<string, readonly KeptSpan[]>): Set<string> {
  const sends = [...traces.values()].flatMap((spans) =>
    spans.filter(({ name, isError }) => name === "send order.created" && !isError),
  );
  return new Set(sends.flatMap(({ links }) => links));
}

/** What the traces tell of tries beyond the first. */
export function describeRetries(traces: ReadonlyMap<string, readonly KeptSpan[]>): string {
  const processings = [...traces.values()].map((spans) =>
    spans.filter(({ name }) => name === "process order.created"),
  );
  const count = (matches: (spans: KeptSpan[]) => boolean) => processings.filter(matches).length;
  return [
    `${count((spans) => spans.some(({ retries }) => retries > 0))} with retries`,
    `${count((spans) => spans.length > 1)} redelivered`,
    `${count((spans) => spans.some(({ isAbandoned }) => isAbandoned))} abandoned and taken up again`,
  ].join(", ");
}

/** @returns the victim whose kill took the span, or undefined */
function explain(gap: Gap, traceEndMs: number, outages: readonly Outage[]): string | undefined {
  const receiverDown = outages.filter(({ victim }) => victim === "traces");
  const overlaps = (fromMs: number, toMs: number) =>
    fromMs <= traceEndMs + EXPORT_LAG_MS && toMs >= gap.fromMs;
  // A span that met a dead receiver waited in its process until that was back.
  const held = receiverDown.some(({ killedAtMs, upAtMs }) =>
    overlaps(killedAtMs, upAtMs + EXPORT_RETRY_MS),
  );
  const lagMs = held ? EXPORT_LAG_MS + EXPORT_RETRY_MS : EXPORT_LAG_MS;
  const killed = outages.find(
    ({ victim, killedAtMs }) =>
      victim === gap.service && killedAtMs >= gap.fromMs && killedAtMs <= traceEndMs + lagMs,
  );
  if (killed) return killed.victim;
  return receiverDown.some(({ killedAtMs, upAtMs }) => overlaps(killedAtMs, upAtMs))
    ? "traces"
    : undefined;
}
