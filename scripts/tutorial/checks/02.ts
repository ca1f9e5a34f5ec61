/** The check of stage 02: what is done in a span is below it, also with five orders at once, and all spans end. */
import {
  childrenOf,
  describe,
  findSpans,
  isBelow,
  msOf,
  spanTree,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import type { SeenSpan, System } from "../system/index.ts";

const DELAY_MS = 300;
const TIMER_TOLERANCE_MS = 10;
const NS_PER_MS = 1_000_000n;
const ORDERS_AT_ONCE = 5;

export const check: StageCheck = {
  hints: [
    "Whether a span has a parent is decided when it starts: by the span that is active then.",
    "inSpan is tracer.startActiveSpan, a try with `return await work(span)` in it, and span.end() in finally.",
    'In the worker: `await inSpan("handle an event", async () => { …; await inSpan("confirm the order", () => confirmOrder(order.id)); … })`.',
  ],
  items: [
    {
      title: "what is done for an order are spans below the span of the order",
      anchor: "#a-context-manager",
      async judge(trial) {
        const system = await trial.system();
        await system.placeOrder();
        const spans = await system.spansWhen((all) => treesOf(all, "orders", 2).length > 0);
        const ofOrders = findSpans(spans, { service: "orders" });
        const most = Math.max(0, ...rootsOf(ofOrders).map((root) => below(spans, root).length));
        return verdict({ did: "POST /orders at the gateway", saw: spanTree(spans) }, [
          [ofOrders.length > 0, "spans of the orders service"],
          [
            ofOrders.length < 2 || most > 0,
            "a span below another: that all are roots says that no span was active when they began. Is there a context manager?",
          ],
          [most > 0, "below the span of the order spans of what is done for it"],
          [most > 1, "two spans below it: one of storing the order, one of publishing the event"],
        ]);
      },
    },
    {
      title: "a span lasts as long as its work",
      anchor: "#return-without-await",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("gateway", { delayMs: DELAY_MS, times: 1 });
        await withTableLocked(system, () => system.placeOrder());
        const spans = await system.spansWhen(
          (all) =>
            treesOf(all, "orders", 2).length > 0 &&
            findSpans(all, { service: "gateway" }).length > 0,
        );
        const ofGateway = findSpans(spans, { service: "gateway" }).map(msOf);
        const trees = treesOf(spans, "orders", 1);
        const steps = trees.flatMap((root) => below(spans, root));
        const storing = steps.find(lastsLong);
        const after = steps.filter((span) => storing && startsAfter(span, storing));
        const early = trees.find((root) =>
          below(spans, root).some((span) => endsLater(span, root)),
        );
        return verdict(
          {
            did: `POST /orders at the gateway; ${DELAY_MS} ms pass before orders gets it, and ${DELAY_MS} more before PostgreSQL lets it store`,
            saw: timedTree(spans),
          },
          [
            [
              Math.max(0, ...ofGateway) >= 2 * DELAY_MS - TIMER_TOLERANCE_MS,
              `a span of the gateway of ${2 * DELAY_MS} ms: inSpan ends it after its work, and so has to await that`,
            ],
            [
              storing !== undefined,
              `a span of storing the order that lasts as long as that took, ${DELAY_MS} ms: \`return await work(span)\``,
            ],
            [early === undefined, "no span that ends before those below it"],
            [after.length > 0, "after it one of publishing the event"],
          ],
        );
      },
    },
    {
      title: "a span ends also where its work fails",
      anchor: "#a-forgotten-end",
      async judge(trial) {
        const system = await trial.system();
        // PostgreSQL keeps no text with a NUL in it.
        const body = { customer: "\0", items: [{ item: "tea", quantity: 1 }] };
        const { status } = await system.request("orders", "POST", "/orders", { body });
        const spans = await system.spansWhen((all) => treesOf(all, "orders", 1).length > 0);
        const ofOrders = findSpans(spans, { service: "orders" });
        const orphan = ofOrders.find((span) => isOrphan(spans, span));
        return verdict(
          {
            did: "POST /orders at the orders service, with a customer that PostgreSQL refuses to store",
            saw: `it answered ${status}\n${spanTree(spans)}`,
          },
          [
            [ofOrders.length > 0, "the spans that were open when it failed: span.end() in finally"],
            [
              orphan === undefined,
              `the span above ${orphan ? describe(orphan) : ""}, too: it was never ended`,
            ],
            [
              treesOf(spans, "orders", 1).length > 0,
              "the span of the order, and below it the one of storing",
            ],
          ],
        );
      },
    },
    {
      title: `${ORDERS_AT_ONCE} orders at once are ${ORDERS_AT_ONCE} trees`,
      anchor: "#a-callback-that-loses-its-context",
      async judge(trial) {
        const system = await trial.system();
        await Promise.all(Array.from({ length: ORDERS_AT_ONCE }, () => system.placeOrder()));
        const spans = await system.spansWhen(
          (all) => treesOf(all, "orders", 2).length >= ORDERS_AT_ONCE,
        );
        const orphan = spans.find((span) => isOrphan(spans, span));
        const ofOrders = treesOf(spans, "orders", 2);
        const ofGateway = rootsOf(findSpans(spans, { service: "gateway" }));
        return verdict(
          {
            did: `${ORDERS_AT_ONCE} POST /orders at the gateway, at the same time`,
            saw: spanTree(spans),
          },
          [
            [
              orphan === undefined,
              `above ${orphan ? describe(orphan) : ""} the span that it names as its parent`,
            ],
            [
              ofGateway.length >= ORDERS_AT_ONCE,
              `${ORDERS_AT_ONCE} spans of the gateway that are in nobody else's`,
            ],
            [
              ofOrders.length === ORDERS_AT_ONCE,
              `${ORDERS_AT_ONCE} trees of the orders service, and in each what was done for that order: a span that is somewhere else began while another was active`,
            ],
          ],
        );
      },
    },
    {
      title: "confirming an order is a span below the span of its event",
      anchor: "#exercise",
      async judge(trial) {
        const system = await trial.system();
        system.disturb("worker", { delayMs: DELAY_MS, times: 1 });
        await system.placeOrder();
        const spans = await system.spansWhen((all) => treesOf(all, "worker", 1).length > 0);
        const ofWorker = findSpans(spans, { service: "worker" });
        const [root] = treesOf(spans, "worker", 1);
        const confirming = root && below(spans, root).find(lastsLong);
        return verdict(
          {
            did: `POST /orders at the gateway, and ${DELAY_MS} ms pass before orders gets the worker's PATCH`,
            saw: timedTree(ofWorker),
          },
          [
            [ofWorker.length > 0, "spans of the worker"],
            [root !== undefined, "below the span of the event one of confirming the order"],
            [
              confirming !== undefined,
              `it to last as long as the call: ${DELAY_MS} ms. Who calls confirmOrder awaits it`,
            ],
            [
              root && confirming && !endsLater(confirming, root),
              "the span of the event to end after it, and not before",
            ],
          ],
        );
      },
    },
  ],
};

/** Does something while nobody else gets at the table orders, for a while. */
async function withTableLocked(system: System, work: () => Promise<unknown>): Promise<void> {
  await system.rows("BEGIN");
  let working: Promise<unknown> | undefined;
  try {
    await system.rows("LOCK TABLE orders");
    working = work();
    await Bun.sleep(2 * DELAY_MS);
  } finally {
    await system.rows("COMMIT");
  }
  await working;
}

/** @returns the roots of a service that have so many spans below them, or more */
function treesOf(spans: readonly SeenSpan[], service: string, steps: number): SeenSpan[] {
  const roots = rootsOf(findSpans(spans, { service }));
  return roots.filter((root) => below(spans, root).length >= steps);
}

function rootsOf(spans: readonly SeenSpan[]): SeenSpan[] {
  return spans.filter(({ parentSpanId }) => parentSpanId === undefined);
}

function below(spans: readonly SeenSpan[], root: SeenSpan): SeenSpan[] {
  return spans.filter((span) => isBelow(spans, span, root));
}

function isOrphan(spans: readonly SeenSpan[], span: SeenSpan): boolean {
  const isRoot = span.parentSpanId === undefined;
  return !isRoot && !spans.some((other) => childrenOf(spans, other).includes(span));
}

function lastsLong(span: SeenSpan): boolean {
  return msOf(span) >= DELAY_MS - TIMER_TOLERANCE_MS;
}

/** A start is a whole millisecond, and the end is measured from there. */
const CLOCK_TOLERANCE_NS = 2n * NS_PER_MS;

function endsLater(span: SeenSpan, than: SeenSpan): boolean {
  return span.endNs > than.endNs + CLOCK_TOLERANCE_NS;
}

function startsAfter(span: SeenSpan, before: SeenSpan): boolean {
  return span !== before && span.startNs + CLOCK_TOLERANCE_NS >= before.endNs;
}

function timedTree(spans: readonly SeenSpan[]): string {
  const timed = spans.map((span) => ({ ...span, attributes: { ms: msOf(span) } }));
  return spanTree(timed, ["ms"]);
}
