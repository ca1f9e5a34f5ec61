/**
 * Real Jaeger against our trace store: both get the same spans from the same Collector, and have to
 * answer the same queries alike. So the trace tests, which read the store, hold for Jaeger too.
 */
import { SERVICE_NAMES } from "#lib/service/services.ts";
import type { Live } from "./live.ts";
import type { Report } from "./report.ts";

interface Span {
  readonly spanID: string;
  readonly processID: string;
  readonly [field: string]: unknown;
}

interface Trace {
  readonly traceID: string;
  readonly spans: readonly Span[];
  readonly processes: Readonly<Record<string, unknown>>;
}

const SERVICES: readonly string[] = [...SERVICE_NAMES].sort();
const SAME_TIMEOUT_MS = 20_000;
const TRACES_MAX = 200;
const DIFFERENCES_MAX = 10;

export async function compareTraces(
  report: Report,
  live: Live,
  orderIds: readonly string[],
): Promise<void> {
  const { jaegerUrl, traceStore } = live;
  const path = `/api/traces?service=gateway&operation=POST%20%2Forders&limit=${TRACES_MAX}`;
  let difference: string[] = ["not compared"];
  let traces: Trace[] = [];
  // Batches arrive in their own time at each of the two,
  const untilMs = performance.now() + SAME_TIMEOUT_MS;
  // and an order's mail, which ends its trace, comes after the status that the caller waited for.
  while (difference.length > 0 && performance.now() < untilMs) {
    const [theirs, ours] = await Promise.all([
      ask(jaegerUrl + path),
      ask(traceStore.queryUrl + path),
    ]);
    traces = theirs;
    difference = differences(theirs, ours, orderIds.length);
    if (difference.length > 0) await Bun.sleep(500);
  }
  const spans = traces.reduce((sum, trace) => sum + trace.spans.length, 0);
  const what = `Jaeger and the trace store tell the same of ${traces.length} orders' traces, ${spans} spans`;
  if (difference.length === 0) report.ok(`${what}; each a tree through all five services`);
  else report.fail(what, difference.slice(0, DIFFERENCES_MAX).join("\n"));

  const [theirs, ours] = await Promise.all(
    [jaegerUrl, traceStore.queryUrl].map((url) => askNames(`${url}/api/services`)),
  );
  const known = theirs?.filter((name) => SERVICES.includes(name));
  if (known?.join() === SERVICES.join() && ours?.join() === SERVICES.join()) {
    report.ok("GET /api/services lists the same five");
  } else {
    report.fail("GET /api/services", `Jaeger: ${theirs?.join()}\nstore: ${ours?.join()}`);
  }
}

function differences(theirs: Trace[], ours: Trace[], expected: number): string[] {
  if (theirs.length !== expected || ours.length !== expected) {
    return [`${expected} orders; Jaeger has ${theirs.length} traces, the store ${ours.length}`];
  }
  return theirs.flatMap((trace) => {
    const other = ours.find(({ traceID }) => traceID === trace.traceID);
    if (!other) return [`the store lacks ${trace.traceID}`];
    const services = servicesOf(trace).join();
    if (services !== SERVICES.join()) return [`${trace.traceID} has only ${services}`];
    const orphans = trace.spans.filter((span) => isOrphan(span, trace));
    if (orphans.length > 0) return [`${trace.traceID}: ${orphans.length} spans without parent`];
    const [left, right] = [spansById(trace), spansById(other)];
    return [...new Set([...left.keys(), ...right.keys()])].flatMap((id) =>
      differentFields(left.get(id), right.get(id)).map(
        (field) => `${trace.traceID}/${id} ${field}`,
      ),
    );
  });
}

/**
 * Each span, with its process in place of that one's number in the answer. Tags are a set, whatever
 * their order; warnings are what Jaeger thinks of a span (of clocks that differ by a millisecond).
 */
function spansById({ spans, processes }: Trace): Map<string, Record<string, unknown>> {
  return new Map(
    spans.map(({ processID, ...span }) => [
      span.spanID,
      { ...span, warnings: null, tags: setOf(span["tags"]), process: processes[processID] },
    ]),
  );
}

function setOf(tags: unknown): string[] {
  return (tags as object[]).map(sorted).sort();
}

function differentFields(
  theirs: Record<string, unknown> = {},
  ours: Record<string, unknown> = {},
): string[] {
  return [...new Set([...Object.keys(theirs), ...Object.keys(ours)])]
    .map((field) => ({ field, left: sorted(theirs[field]), right: sorted(ours[field]) }))
    .filter(({ left, right }) => left !== right)
    .map(({ field, left, right }) => `${field}: Jaeger ${left}, store ${right}`);
}

/** A parent that the trace does not have. The order's own root has none at all. */
function isOrphan(span: Span, { traceID, spans }: Trace): boolean {
  const references = span["references"] as { traceID: string; spanID: string }[];
  const parent = references[0];
  return (
    parent !== undefined &&
    parent.traceID === traceID &&
    !spans.some(({ spanID }) => spanID === parent.spanID)
  );
}

function servicesOf({ processes }: Trace): string[] {
  const names = Object.values(processes).map(
    (process) => (process as { serviceName: string }).serviceName,
  );
  return [...new Set(names)].sort();
}

/** JSON with sorted keys: the order of an object's fields means nothing. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

async function ask(url: string): Promise<Trace[]> {
  const { data } = (await (await fetch(url)).json()) as { data: Trace[] | null };
  return data ?? [];
}

async function askNames(url: string): Promise<string[]> {
  const { data } = (await (await fetch(url)).json()) as { data: string[] };
  return data.sort();
}
