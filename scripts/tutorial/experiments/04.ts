/** What the page of stage 04 shows: what crosses the wire, where a trace breaks off, and tries told apart. */
import { findSpans } from "../check/index.ts";
import type { Bench, Experiment } from "./experiment.ts";
import { editsOf } from "../mistakes/mistake.ts";
import { mistakes } from "../mistakes/04.ts";
import type { Fault, SeenSpan } from "../system/index.ts";

const SCRIPTS = "docs/tutorial/experiments";
const TRACE_HEADERS = ["traceparent", "tracestate", "baggage"];

export const experiments: Readonly<Record<string, Experiment>> = {
  wire: { about: "what comes in at the gateway, and what goes out of it", run: showWire },
  "no-inject": {
    about: "nothing is written into the headers",
    edits: editsOf(mistakes, "no-inject"),
  },
  "inject-outside": {
    about: "the headers are made before there is the span",
    edits: editsOf(mistakes, "inject-outside"),
    run: showRead,
  },
  names: { about: "the names of calls", run: showNames },
  "url-as-name": {
    about: "URLs as names",
    edits: editsOf(mistakes, "url-as-name"),
    run: showNames,
  },
  tries: { about: "a worker that tries again", run: showTries },
  "one-span-for-all": {
    about: "the same, all tries in one span",
    edits: editsOf(mistakes, "one-span-for-all"),
    run: showRefusals,
  },
  "at-once": { about: "200 calls at once", script: `${SCRIPTS}/04-at-once.ts` },
  "by-itself": { about: "what fetch sends unasked", script: `${SCRIPTS}/04-by-itself.ts` },
  body: { about: "a body that comes after its span", script: `${SCRIPTS}/04-body.ts` },
};

async function showWire({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  const headers = {
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    tracestate: "shop=checkout-7",
    baggage: "tenant=acme",
  };
  await running.request("gateway", "GET", "/orders", { headers });
  const spans = await running.spansWhen((all) => findSpans(all, { kind: "SERVER" }).length >= 2);
  say("customer → gateway: GET /orders");
  for (const [name, value] of Object.entries(headers)) say(`  ${name}: ${value}`);
  sayServer(spans, "gateway", say);
  for (const { from, to, method, path, headers } of running.hops()) {
    const [client] = findSpans(spans, { service: from, kind: "CLIENT" });
    say(`  ${from} CLIENT span ${client?.spanId}`);
    say(`${from} → ${to}: ${method} ${path}`);
    for (const [name, value] of headers)
      if (TRACE_HEADERS.includes(name.toLowerCase())) say(`  ${name.toLowerCase()}: ${value}`);
  }
  sayServer(spans, "orders", say);
}

function sayServer(spans: readonly SeenSpan[], service: string, say: Bench["say"]): void {
  for (const { spanId, parentSpanId } of findSpans(spans, { service, kind: "SERVER" })) {
    say(`  ${service} SERVER span ${spanId}, its parent ${parentSpanId}`);
  }
}

async function showRead({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  await running.request("gateway", "GET", "/orders");
  await showTraces(running, (all) => all.length >= 3);
}

async function showNames({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  for (let order = 0; order < 3; order++) {
    await running.request("gateway", "GET", `/orders/${Bun.randomUUIDv7()}`);
  }
  const spans = await running.spansWhen((all) => findSpans(all, { kind: "CLIENT" }).length >= 3);
  for (const { name } of findSpans(spans, { kind: "CLIENT" })) say(`gateway CLIENT ${name}`);
}

/** Two answers of 503, one that never comes, and then one as it should be. */
async function showTries(bench: Bench): Promise<void> {
  await showFaults(bench, [
    { status: 503, times: 2 },
    { cut: true, times: 1 },
  ]);
}

async function showRefusals(bench: Bench): Promise<void> {
  await showFaults(bench, [{ status: 503, times: 2 }]);
}

/** Without the gateway, so that there is the worker's trace alone. */
async function showFaults(bench: Bench, faults: readonly Fault[]): Promise<void> {
  const { system, say, showTraces } = bench;
  const running = await system({ programs: ["orders", "worker"] });
  for (const fault of faults) running.disturb("worker", fault);
  const id = Bun.randomUUIDv7();
  await running.rows("INSERT INTO orders (id, customer, status) VALUES ($1, 'ada', 'pending')", [
    id,
  ]);
  await running.produce("order.created", { key: id, value: JSON.stringify({ id }), headers: {} });
  await running.confirmed(id);
  const spans = await running.spansWhen((all) => findSpans(all, { kind: "INTERNAL" }).length > 0);
  const tries = findSpans(spans, { service: "worker", kind: "CLIENT" });
  for (const { attributes, status } of tries.toSorted((a, b) => Number(a.startNs - b.startNs))) {
    const answer = attributes["http.response.status_code"] ?? "no answer";
    const count = attributes["http.request.resend_count"] ?? "none";
    say(`${answer}, ${status}, http.request.resend_count: ${count}`);
  }
  await showTraces(running);
}
