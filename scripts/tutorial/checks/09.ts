/** The check of stage 09: what is kept and for whom, how much of it, and for how long. */
import {
  findSpans,
  inTrace,
  spanTree,
  traceCount,
  verdict,
  type StageCheck,
} from "../check/index.ts";
import { quiet } from "../quiet.ts";
import type { Collector, Hop, SeenMetric, SeenSpan, System } from "../system/index.ts";

const SERVICES = ["gateway", "orders", "worker"] as const;
const PROCESSED = "otel.sdk.processor.span.processed";
const DURATION = "http.server.request.duration";
const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT_ID = "00f067aa0ba902b7";
/** None of it is anything that the programs make up: where it turns up, it came with the baggage. */
const TENANT = "zwetschge-4711";
const SECRET = "hollerbusch-0815";
const REQUESTS = 40;
const QUEUE_SPANS = 20;
const FLOOD_REQUESTS = 200;
const LONG_CHARS = 6_000;
const LONG_CHARS_MAX = 4_096;
/** With a collector that hangs, telemetry that waits for it takes its time: 10 s, or 5. */
const SLOW_MS = 2_000;
const END_MS = 4_000;

export const check: StageCheck = {
  hints: [
    "Five things are to be done in tracing.ts (share, sampler, limit, queue, processors), one in gateway.ts; the exercise is in ending.ts alone.",
    "Two things can come first: all shutdowns are done, or the time is over. A shutdown may also fail: that is an end, too, and the others still have theirs.",
    "Promise.allSettled of the shutdowns, in a Promise.race with Bun.sleep(3_000), and process.exit(0) after it.",
  ],
  items: [
    {
      title: "of the traces that begin here the share is kept that OTEL_TRACES_SAMPLER_ARG says",
      anchor: "#whoever-begins-decides",
      async judge(trial) {
        const [none, half] = await Promise.all([
          trial.system(withShare("0")),
          trial.system({ ...withShare("0.5"), programs: ["orders", "gateway"] }),
        ]);
        const order = await anOrder(none);
        for (let n = 0; n < REQUESTS; n++) await half.request("gateway", "GET", "/orders");
        const spans = await half.spansWhen(quiet());
        const kept = traceCount(spans);
        return verdict(
          {
            did: `POST /orders at the gateway with OTEL_TRACES_SAMPLER_ARG=0; ${REQUESTS} times GET /orders with 0.5`,
            saw: `with 0: ${order.saw}\nwith 0.5: ${kept} of ${REQUESTS} traces`,
          },
          [
            [
              order.spans.length === 0,
              "with 0 no span: a sampler whose root is a TraceIdRatioBasedSampler of that share",
            ],
            [order.flags === "00 00 00", "traceparent all the same, its last two digits 00"],
            [kept > 0 && kept < REQUESTS, `with 0.5 some of the ${REQUESTS} traces, and not all`],
            [halves(spans).length === 0, "each that is kept has the spans of both processes"],
          ],
        );
      },
    },
    {
      title: "whoever begins a trace decides, for all: kept here even if our share is 0",
      anchor: "#whoever-begins-decides",
      async judge(trial) {
        const system = await trial.system(withShare("0"));
        const { did, saw, spans, flags } = await anOrder(system, "01");
        const missing = SERVICES.find((service) => findSpans(spans, { service }).length === 0);
        return verdict({ did: `${did}, OTEL_TRACES_SAMPLER_ARG=0`, saw }, [
          [missing === undefined, `spans of ${missing}: the caller said yes (flags 01)`],
          [traceCount(spans) === 1, "all of the one trace"],
          [flags === "01 01 01", "and 01 passed on by each"],
        ]);
      },
    },
    {
      title: "what is not kept is not kept anywhere, but passed on, and counted",
      anchor: "#whoever-begins-decides",
      async judge(trial) {
        const system = await trial.system({ fresh: true });
        const { did, saw, spans, flags } = await anOrder(system, "00");
        const counted = await system.when(
          () => countOf(system),
          (count) => count >= 3,
        );
        return verdict({ did, saw: `${saw}\n${counted} requests in ${DURATION}` }, [
          [spans.length === 0, "no span in any process: the caller said no (flags 00)"],
          [
            flags === "00 00 00",
            "traceparent with the caller's trace id and flags 00, on the request to orders, on the record and on the worker's request",
          ],
          [counted >= 3, `three requests in ${DURATION}: metrics are of all`],
        ]);
      },
    },
    {
      title:
        "the tenant travels as baggage, over HTTP and Kafka, and is on every span behind the gateway",
      anchor: "#baggage",
      async judge(trial) {
        const system = await trial.system();
        const { id } = await system.placeOrder({ headers: { "x-tenant": TENANT } });
        await system.confirmed(id);
        const spans = await system.spansWhen(hasAll);
        const carried = await carriedBy(system, id, "baggage");
        const behind = spans.filter(({ service }) => service !== "gateway");
        const without = behind.find(({ attributes }) => attributes["shop.tenant"] !== TENANT);
        const missing = Object.entries(carried).find(([, value]) => !value?.includes(TENANT));
        return verdict(
          {
            did: `POST /orders at the gateway with x-tenant: ${TENANT}`,
            saw: `${spanTree(spans, ["shop.tenant"])}\n${linesOf(carried, "baggage")}`,
          },
          [
            [missing === undefined, `baggage: tenant=${TENANT} on ${missing?.[0]}`],
            [behind.length > 0, "spans of orders and worker"],
            [
              without === undefined,
              `shop.tenant=${TENANT} on ${without?.service}'s span ${JSON.stringify(without?.name)}, too: a span processor's onStart`,
            ],
          ],
        );
      },
    },
    {
      title: "what else comes with the baggage is passed on, and put on no span",
      anchor: "#baggage",
      async judge(trial) {
        const system = await trial.system();
        const long = "x".repeat(LONG_CHARS / 2);
        const baggage = `password=${SECRET},tenant=${long}`;
        const { id } = await system.placeOrder({ headers: { baggage } });
        await system.confirmed(id);
        const spans = await system.spansWhen(hasAll);
        const carried = await carriedBy(system, id, "baggage");
        const shown = spans.filter((span) => textOf(span).includes(SECRET));
        const tenants = spans.map(({ attributes }) => String(attributes["shop.tenant"] ?? ""));
        const longest = Math.max(0, ...tenants.map(({ length }) => length));
        const lost = Object.entries(carried).find(([, value]) => !value?.includes(SECRET));
        return verdict(
          {
            did: `POST /orders at the gateway with baggage: password=${SECRET},tenant=… of ${long.length} characters`,
            saw: `${spanTree(shown, ["shop.tenant"])} with ${SECRET} on it; a shop.tenant of ${longest} characters`,
          },
          [
            [
              shown.length === 0,
              "no entry of the baggage on a span but the tenant: anybody can put anything into it",
            ],
            [longest < long.length, "shop.tenant cut to some length: whoever calls chooses it"],
            [lost === undefined, `the baggage passed on unchanged, on ${lost?.[0]}`],
          ],
        );
      },
    },
    {
      title: "no attribute is longer than 4,096 characters",
      anchor: "#a-bound-for-everything",
      async judge(trial) {
        const system = await trial.system();
        await system.request("orders", "GET", `/${"x".repeat(LONG_CHARS)}`);
        const spans = await system.spansWhen((seen) => seen.length > 0);
        const lengths = spans.flatMap(({ attributes }) =>
          Object.entries(attributes).map(([key, value]) => [key, String(value).length] as const),
        );
        const longest = lengths.toSorted(([, a], [, b]) => b - a)[0];
        return verdict(
          {
            did: `GET at orders of a path of ${LONG_CHARS} characters`,
            saw: longest ? `${longest[0]} of ${longest[1]} characters` : "no span",
          },
          [
            [longest !== undefined, "a span of that request"],
            [
              (longest?.[1] ?? 0) <= LONG_CHARS_MAX,
              `at most ${LONG_CHARS_MAX}: the provider's spanLimits, attributeValueLengthLimit`,
            ],
          ],
        );
      },
    },
    {
      title: "a queue that is full drops spans, and counts them",
      anchor: "#a-bound-for-everything",
      async judge(trial) {
        const system = await trial.system({
          env: { all: { OTEL_BSP_MAX_QUEUE_SIZE: String(QUEUE_SPANS) } },
          programs: ["orders"],
        });
        system.collector.hang("traces");
        for (let n = 0; n < FLOOD_REQUESTS; n++) await system.request("orders", "GET", "/nothing");
        const points = await system.when(
          () => system.metrics().filter(({ name }) => name === PROCESSED),
          // Metrics are sent also while requests are still coming.
          (seen) => droppedOf(seen) >= FLOOD_REQUESTS / 2,
        );
        const dropped = droppedOf(points);
        return verdict(
          {
            did: `a collector that takes no spans, OTEL_BSP_MAX_QUEUE_SIZE=${QUEUE_SPANS}, and ${FLOOD_REQUESTS} times GET /nothing at orders`,
            saw: points.map(lineOf).join("\n") || `no metric ${PROCESSED}`,
          },
          [
            [
              points.length > 0,
              `the metric ${PROCESSED}: selfObsMeterProvider for the batch processor, and the metrics started before the tracing`,
            ],
            [
              dropped >= FLOOD_REQUESTS / 2 && dropped <= FLOOD_REQUESTS - QUEUE_SPANS,
              `more than half of ${FLOOD_REQUESTS} spans dropped, with error.type=queue_full: in the queue is room for ${QUEUE_SPANS}`,
            ],
          ],
        );
      },
    },
    {
      title: "a collector that hangs, or refuses, makes no request slower",
      anchor: "#a-collector-that-hangs",
      async judge(trial) {
        const system = await trial.system();
        system.collector.hang();
        const hung = await slowestOf(system);
        system.collector.resume();
        system.collector.refuse(503);
        const refused = await slowestOf(system);
        return verdict(
          {
            did: `${REQUESTS} times POST /orders at the gateway while the collector takes requests and does not answer; ${REQUESTS} times while it answers 503`,
            saw: `the slowest took ${hung} ms, and ${refused} ms`,
          },
          [
            [
              hung < SLOW_MS && refused < SLOW_MS,
              `each within ${SLOW_MS} ms: nothing that a request waits for waits for the collector`,
            ],
          ],
        );
      },
    },
    {
      title: "the end of a process is in time, also with a collector that hangs or refuses",
      anchor: "#exercise",
      async judge(trial) {
        const endWith = async (fault: string, start: (collector: Collector) => void) => {
          const system = await trial.system({ fresh: true });
          start(system.collector);
          const { id } = await system.placeOrder();
          await system.confirmed(id);
          // So that there is something left to send.
          await system.request("gateway", "GET", "/orders");
          return (await system.stop()).map((end) => ({ ...end, fault }));
        };
        const both = [
          endWith("hangs", (collector) => collector.hang()),
          endWith("answers 400", (collector) => collector.refuse(400)),
        ];
        const ends = (await Promise.all(both)).flat();
        const late = ends.find(({ signal, ms }) => signal === "SIGKILL" || ms > END_MS);
        const failed = ends.find(({ exitCode, signal }) => exitCode !== 0 && signal !== "SIGKILL");
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to all three: once with a collector that hangs, once with one that answers 400",
            saw: ends
              .map(({ program, fault, ms, exitCode, signal }) => {
                const how =
                  signal === null ? `ended with status ${exitCode}` : `was ended by ${signal}`;
                return `${program}.ts ${how} after ${Math.round(ms)} ms (the collector ${fault})`;
              })
              .join("\n"),
          },
          [
            [
              late === undefined,
              `${late?.program}.ts gone after about 3 s (at most ${END_MS} ms): what has not been sent by then is given up`,
            ],
            [failed === undefined, `${failed?.program}.ts ends with status 0: it was told to end`],
          ],
        );
      },
    },
    {
      title: "with a collector that answers, the end still sends all that is left",
      anchor: "#exercise",
      async judge(trial) {
        const env = { OTEL_BSP_SCHEDULE_DELAY: "60000", OTEL_METRIC_EXPORT_INTERVAL: "60000" };
        const system = await trial.system({ env: { all: env } });
        const { id } = await system.placeOrder();
        await system.confirmed(id);
        await system.consumed();
        const ends = await system.stop();
        const spans = await system.spansWhen((seen) => SERVICES.every(isIn(seen)));
        const lost = SERVICES.filter((service) => !isIn(spans)(service));
        const points = system.metrics();
        const uncounted = SERVICES.filter(
          (program) => !points.some((at) => at.service === program),
        );
        return verdict(
          {
            did: "POST /orders at the gateway, then SIGTERM to all three before anything was due",
            saw: `${spanTree(spans)}\nmetrics of ${[...new Set(points.map(({ service }) => service))].join(", ") || "nobody"}\n${ends.map(({ program, ms }) => `${program}.ts ended after ${Math.round(ms)} ms`).join("\n")}`,
          },
          [
            [lost.length === 0, `the spans of ${lost.join(" and ")}`],
            [uncounted.length === 0, `the metrics of ${uncounted.join(" and ")}`],
            [
              ends.every(({ ms }) => ms < SLOW_MS),
              "an end as soon as all is sent, and not when the time is over",
            ],
          ],
        );
      },
    },
  ],
};

function withShare(share: string) {
  return { env: { all: { OTEL_TRACES_SAMPLER_ARG: share } } };
}

/** Places one, if need be with a caller's trace, and says what became of it. */
async function anOrder(system: System, flags?: "00" | "01") {
  const traceparent = `00-${TRACE_ID}-${PARENT_ID}-${flags}`;
  const { id } = await system.placeOrder(flags && { headers: { traceparent } });
  await system.confirmed(id);
  await system.consumed();
  const carried = await carriedBy(system, id, "traceparent");
  const spans = await system.spansWhen(hasAll, flags === "01" ? undefined : 1_000);
  const values = Object.values(carried).map((value) => value?.split("-") ?? []);
  // One trace id for all, and the caller's where there is one.
  const expected = flags ? TRACE_ID : values[0]?.[1];
  const seen = values.map(([, traceId, , last]) => (traceId === expected ? last : "-"));
  const did = `POST /orders at the gateway${flags ? ` with traceparent: ${traceparent}` : ""}`;
  const saw = `${spanTree(spans)}\n${linesOf(carried, "traceparent")}`;
  return { did, saw, spans, flags: seen.join(" ") };
}

/** A header on each of the three ways that an order goes. */
async function carriedBy(system: System, id: string, header: string) {
  const [record] = await system
    .recordsWhen("order.created", (all) => all.some(({ key }) => key === id))
    .then((all) => all.filter(({ key }) => key === id));
  const hops = system.hops();
  const patch = hops.find(({ from, path }) => from === "worker" && path.endsWith(id));
  return {
    "the gateway's request to orders": headerOf(
      hops.findLast(({ from }) => from === "gateway"),
      header,
    ),
    "the record in order.created": record?.headers[header]?.toString(),
    "the worker's request to orders": headerOf(patch, header),
  };
}

function headerOf(hop: Hop | undefined, header: string): string | undefined {
  return hop?.headers.find(([name]) => name.toLowerCase() === header)?.[1];
}

function linesOf(carried: Readonly<Record<string, string | undefined>>, header: string): string {
  const entries = Object.entries(carried);
  return entries.map(([where, value]) => `${where}: ${header} ${value ?? "none"}`).join("\n");
}

/** Whether the spans that come last are there. */
function hasAll(spans: readonly SeenSpan[]): boolean {
  return (
    findSpans(spans, { service: "worker", kind: "CONSUMER" }).length > 0 &&
    findSpans(spans, { service: "gateway", kind: "SERVER" }).length > 0 &&
    findSpans(spans, { service: "orders", kind: "SERVER", name: /PATCH/ }).length > 0
  );
}

/** @returns ids of traces that have spans of one process alone */
function halves(spans: readonly SeenSpan[]): string[] {
  const ids = new Set(spans.map(({ traceId }) => traceId));
  return [...ids].filter(
    (id) => new Set(inTrace(spans, id).map(({ service }) => service)).size < 2,
  );
}

function isIn(spans: readonly SeenSpan[]) {
  return (service: string) => findSpans(spans, { service }).length > 0;
}

function countOf(system: System): number {
  const points = system.metrics().filter(({ name }) => name === DURATION);
  return points.reduce((sum, { count = 0 }) => sum + count, 0);
}

function droppedOf(points: readonly SeenMetric[]): number {
  return points
    .filter(({ attributes }) => attributes["error.type"] === "queue_full")
    .reduce((sum, { value = 0 }) => sum + value, 0);
}

function lineOf({ service, name, attributes, value }: SeenMetric): string {
  return `${service} ${name} ${JSON.stringify(attributes)}: ${value}`;
}

/** Places orders one after another. @returns how long the slowest took, in milliseconds */
async function slowestOf(system: System): Promise<number> {
  let slowestMs = 0;
  for (let n = 0; n < REQUESTS; n++) {
    const startedMs = performance.now();
    const placed = await system.placeOrder().catch((error: unknown) => error);
    const tookMs = performance.now() - startedMs;
    slowestMs = Math.max(slowestMs, tookMs);
    // Not waited for any longer: that is slow enough.
    if (tookMs > SLOW_MS) break;
    if (placed instanceof Error) throw placed;
  }
  return Math.round(slowestMs);
}

/** All that a span says. */
function textOf({ name, statusText, attributes, events }: SeenSpan): string {
  return JSON.stringify([name, statusText, attributes, events]);
}
