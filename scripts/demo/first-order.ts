/** The order that the demo places, and how its trace is waited for. */
import type { TraceStore } from "#lib/embedded/traces/index.ts";
import { type OtlpTrace, spansOf } from "#lib/embedded/traces/otlp.ts";
import type { NewOrder } from "#lib/orders/order.ts";
import { isWholeTrace } from "../shared/waterfall.ts";

export const FIRST_ORDER: NewOrder = {
  customer_id: "CUST-001",
  items: [
    { item_id: "ITEM-001", quantity: 2, price: 2999 },
    { item_id: "ITEM-003", quantity: 1, price: 4999 },
  ],
};

/** An order's trace, as far as it has arrived. */
export interface FoundTrace {
  /** undefined where no span of the order has arrived */
  readonly traceId: string | undefined;
  readonly trace: OtlpTrace;
  /** What the trace lacks; empty where it is whole. */
  readonly missing: readonly string[];
}

const TRACE_TIMEOUT_MS = 15_000;
const POLL_MS = 25;
/** Leaves of the tree may come after it is whole: each service sends its spans every 100 ms. */
const QUIET_MS = 250;

/** Waits until the order's trace is whole and nothing more comes, 15 s at most. */
export async function waitForTrace(
  store: TraceStore,
  orderId: string,
  signal: AbortSignal,
): Promise<FoundTrace> {
  const endMs = performance.now() + TRACE_TIMEOUT_MS;
  let spans = 0;
  let quietSinceMs = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const found = findTrace(store, orderId);
    const nowMs = performance.now();
    const count = spansOf(found.trace).length;
    if (count !== spans) quietSinceMs = nowMs;
    spans = count;
    const isDone = found.missing.length === 0 && nowMs - quietSinceMs >= QUIET_MS;
    if (isDone || nowMs >= endMs) return found;
    await Bun.sleep(POLL_MS);
  }
}

/** The gateway does not tell which trace it began; the spans that know the order do. */
function findTrace(store: TraceStore, orderId: string): FoundTrace {
  const found = store.traces().find(({ resourceSpans }) => isAbout({ resourceSpans }, orderId));
  if (!found) {
    return { traceId: undefined, trace: { resourceSpans: [] }, missing: ["any span of the order"] };
  }
  const trace: OtlpTrace = { resourceSpans: found.resourceSpans };
  return { traceId: spansOf(trace)[0]?.span.traceId, trace, missing: isWholeTrace(trace) };
}

function isAbout(trace: OtlpTrace, orderId: string): boolean {
  return spansOf(trace).some(({ span }) =>
    span.attributes?.some(({ value }) => value?.stringValue === orderId),
  );
}
