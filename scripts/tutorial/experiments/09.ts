/** What the page of stage 09 shows: who decides, what travels along, and what is lost when nobody takes it. */
import { inSeconds } from "../../shared/figures.ts";
import type { Bench, Experiment } from "./experiment.ts";
import { mistakes } from "../mistakes/09.ts";
import { editsOf } from "../mistakes/mistake.ts";
import { quiet } from "../quiet.ts";
import type { SeenSpan, System } from "../system/index.ts";

const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const BAGGAGE = "password=hunter2,campaign=spring";
const ORDERS = 100;
const QUEUE_SPANS = 50;
const REQUESTS = 300;
const PROCESSED = "otel.sdk.processor.span.processed";
const PATIENCE_MS = 2_000;

export const experiments: Readonly<Record<string, Experiment>> = {
  unsampled: { about: "an order in a trace that its caller does not keep", run: showUnsampled },
  holes: {
    about: "each process decides by itself, and orders keeps nothing",
    edits: editsOf(mistakes, "own-decision"),
    run: showHoles,
  },
  baggage: { about: "an order of a tenant, with a caller's baggage", run: showBaggage },
  "all-baggage": {
    about: "the same order, with all entries of the baggage put on spans",
    edits: editsOf(mistakes, "all-baggage"),
    run: showLeak,
  },
  "metrics-last": {
    about: "more spans than there is room for, and the metrics started after the tracing",
    edits: editsOf(mistakes, "metrics-last"),
    run: showFullQueue,
  },
  "queue-full": { about: "more spans than there is room for", run: showFullQueue },
  hang: { about: "a collector that hangs: requests, and the end", run: showHanging },
  "no-bound": {
    about: "a collector that hangs, and an end that waits for it",
    edits: editsOf(mistakes, "no-bound"),
    run: showEnd,
  },
};

async function showUnsampled({ system, say }: Bench): Promise<void> {
  const running = await system();
  say(`POST /orders with\n  traceparent: ${TRACEPARENT}`);
  await anOrder(running, { traceparent: TRACEPARENT });
  const spans = await running.spansWhen(({ length }) => length > 0, PATIENCE_MS);
  for (const [where, headers] of await headersOnTheWay(running)) {
    say(`${where}\n  traceparent: ${headers.get("traceparent")}`);
  }
  const counted = running
    .metrics()
    .filter(({ name }) => name === "http.server.request.duration")
    .reduce((sum, { count = 0 }) => sum + count, 0);
  say(`${spans.length} spans; ${counted} requests in http.server.request.duration`);
}

async function showHoles({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ env: { orders: { OTEL_TRACES_SAMPLER_ARG: "0" } } });
  await anOrder(running);
  await showTraces(running);
}

async function showBaggage({ stage, system, say }: Bench): Promise<void> {
  const running = await system();
  say(`POST /orders with\n  x-tenant: acme\n  baggage: ${BAGGAGE}`);
  await anOrder(running, { "x-tenant": "acme", baggage: BAGGAGE });
  for (const [where, headers] of await headersOnTheWay(running)) {
    say(`${where}\n  baggage: ${headers.get("baggage")}`);
  }
  const spans = await running.spansWhen(quiet());
  for (const program of stage.programs.toSorted()) {
    const own = spans.filter(({ service }) => service === program);
    say(`${program}: shop.tenant=acme on ${countWith(own, "acme")} of ${own.length} spans`);
  }
  say(`the password is on ${countWith(spans, "hunter2")} spans`);
}

async function showLeak({ system, say }: Bench): Promise<void> {
  const running = await system();
  await anOrder(running, { "x-tenant": "acme", baggage: BAGGAGE });
  const spans = await running.spansWhen(quiet());
  say(`the password is on ${countWith(spans, "hunter2")} of ${spans.length} spans; the worker's:`);
  for (const { kind, name, attributes } of spans.filter(({ service }) => service === "worker")) {
    const baggage = Object.entries(attributes).filter(([key]) => key.startsWith("baggage."));
    say(`  ${kind} ${name}: ${baggage.map((pair) => pair.join("=")).join(", ")}`);
  }
}

function countWith(spans: readonly SeenSpan[], value: string): number {
  return spans.filter(({ attributes }) => Object.values(attributes).includes(value)).length;
}

async function showFullQueue({ system, say }: Bench): Promise<void> {
  const running = await system({
    programs: ["orders"],
    // Sent as soon as there are enough, and not when a timer says so.
    env: { all: { OTEL_BSP_MAX_QUEUE_SIZE: `${QUEUE_SPANS}`, OTEL_BSP_SCHEDULE_DELAY: "60000" } },
  });
  running.collector.hang("traces");
  for (let n = 0; n < REQUESTS; n++) await running.request("orders", "GET", "/nothing");
  const points = await running.when(
    () => running.metrics().filter(({ name }) => name.startsWith("otel.sdk.processor")),
    // One batch is on its way, as many spans wait; the others are too many.
    (seen) =>
      seen.some(({ name, value }) => name === PROCESSED && value === REQUESTS - 2 * QUEUE_SPANS),
  );
  say(`${REQUESTS} requests, all answered; OTEL_BSP_MAX_QUEUE_SIZE=${QUEUE_SPANS}`);
  if (points.length === 0) say(`no ${PROCESSED}`);
  for (const { name, attributes, value } of points.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const type = attributes["error.type"];
    say(`${name}${type ? ` error.type=${String(type)}` : ""}: ${value}`);
  }
}

async function showHanging(bench: Bench): Promise<void> {
  const running = await bench.system();
  // Programs that have just started take longer.
  for (let n = 0; n < ORDERS; n++) await running.placeOrder();
  await timeOrders(running, bench, "the collector answers");
  running.collector.hang();
  await timeOrders(running, bench, "the collector hangs");
  await end(running, bench);
}

async function showEnd(bench: Bench): Promise<void> {
  const running = await bench.system();
  running.collector.hang();
  await anOrder(running);
  await end(running, bench);
}

async function timeOrders(system: System, { say }: Bench, how: string): Promise<void> {
  const tookMs: number[] = [];
  for (let n = 0; n < ORDERS; n++) {
    const startedMs = performance.now();
    await system.placeOrder();
    tookMs.push(performance.now() - startedMs);
  }
  const middle = tookMs.toSorted((a, b) => a - b)[ORDERS / 2] ?? 0;
  say(`${ORDERS} orders, ${how}: one takes ${middle.toFixed(1)} ms`);
}

async function end(system: System, { say }: Bench): Promise<void> {
  say("SIGTERM to all three; whoever is still there after 5 s gets SIGKILL");
  const ends = await system.stop();
  for (const { program, ms, exitCode, signal } of ends.toSorted((a, b) =>
    a.program < b.program ? -1 : 1,
  )) {
    const how = signal === null ? `ended with status ${exitCode}` : `was ended by ${signal}`;
    say(`${program} ${how} after ${inSeconds(ms)}`);
  }
}

async function anOrder(system: System, headers: Record<string, string> = {}): Promise<void> {
  const { id } = await system.placeOrder({ headers });
  await system.confirmed(id);
  await system.consumed();
}

/** Headers on the three ways that an order goes, by what they lead from and to. */
async function headersOnTheWay(system: System): Promise<(readonly [string, Headers])[]> {
  const [record] = await system.records("order.created");
  const [handedOn, confirmed] = system.hops();
  const recorded = Object.entries(record?.headers ?? {});
  return [
    ["gateway → orders", new Headers(handedOn?.headers.map(([name, value]) => [name, value]))],
    ["orders → Kafka", new Headers(recorded.map(([name, value]) => [name, value.toString()]))],
    ["worker → orders", new Headers(confirmed?.headers.map(([name, value]) => [name, value]))],
  ];
}
