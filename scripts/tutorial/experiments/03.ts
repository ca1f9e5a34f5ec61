/** What the page of stage 03 shows: whose child a request is, what its answer says of it, and when it ends. */
import { findSpans, msOf } from "../check/index.ts";
import type { Bench, Experiment } from "./experiment.ts";
import { editsOf } from "../mistakes/mistake.ts";
import { mistakes } from "../mistakes/03.ts";
import type { SeenSpan } from "../system/index.ts";

const SCRIPTS = "docs/tutorial/experiments";
const TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const HANG_UP_MS = 100;
const DELAY_MS = 300;

export const experiments: Readonly<Record<string, Experiment>> = {
  "by-hand": { about: "a traceparent by hand, then one letter of it wrong", run: showByHand },
  traceparent: {
    about: "what the propagator takes, and where it finds it",
    script: `${SCRIPTS}/03-traceparent.ts`,
  },
  "default-getter": {
    about: "a traceparent by hand, and no getter that reads it",
    edits: editsOf(mistakes, "default-getter"),
    run: showByHand,
  },
  answers: { about: "what each kind of answer says of its span", run: showAnswers },
  "hang-up": { about: "a client that does not wait, and the next one", run: showHangUp },
  "one-variable": {
    about: "the same, with the span in a variable",
    edits: editsOf(mistakes, "one-variable"),
    run: showHangUp,
  },
  "active-context": {
    about: "a program that listens inside a span",
    edits: editsOf(mistakes, "active-context"),
    run: showListening,
  },
  lifecycle: { about: "Elysia's hooks, in their order", script: `${SCRIPTS}/03-lifecycle.ts` },
  stream: { about: "a body that comes piece by piece", script: `${SCRIPTS}/03-stream.ts` },
};

async function showByHand({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  for (const traceparent of [TRACEPARENT, TRACEPARENT.replace("4bf", "4Bf")]) {
    await running.forget();
    await running.request("gateway", "GET", "/orders", { headers: { traceparent } });
    say(`GET /orders at the gateway\n  traceparent: ${traceparent}`);
    const spans = await running.spansWhen((all) => served(all, "gateway").length > 0);
    for (const { name, traceId, parentSpanId } of served(spans, "gateway")) {
      say(`  ${name}: trace ${traceId}, ${parentSpanId ? `parent ${parentSpanId}` : "no parent"}`);
    }
  }
}

async function showAnswers({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders"] });
  const items = [{ item: "tea", quantity: 1 }];
  const headers = { "content-type": "application/json" };
  const requests = [
    ["an order", "POST", "/orders", { customer: "ada", items }],
    ["without items", "POST", "/orders", { customer: "ada" }],
    ["no JSON", "POST", "/orders", "an order, please"],
    ["an order's id", "GET", "/orders/0190a6e0-0000-7000-8000-000000000000", undefined],
    ["an id that PostgreSQL refuses", "GET", "/orders/nonsense", undefined],
    ["where nothing is", "GET", "/nothing", undefined],
  ] as const;
  for (const [what, method, path, body] of requests) {
    await running.forget();
    const options = body === undefined ? {} : { headers, body };
    const { status } = await running.request("orders", method, path, options);
    const spans = await running.spansWhen((all) => served(all, "orders").length > 0);
    const [span] = served(spans, "orders");
    const told = `${span?.attributes["http.response.status_code"]} ${span?.status}`;
    say(`${what.padEnd(30)} ${status}   ${String(span?.name).padEnd(16)} ${told}`);
  }
}

async function showHangUp({ system, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  running.disturb("gateway", { delayMs: DELAY_MS, times: 1 });
  const body = { customer: "ada", items: [{ item: "tea", quantity: 1 }] };
  const hungUp = running.request("gateway", "POST", "/orders", {
    body,
    signal: AbortSignal.timeout(HANG_UP_MS),
  });
  await hungUp.catch(() => say("the first client hangs up: orders takes its time"));
  const { status } = await running.request("gateway", "POST", "/orders", { body });
  say(`the second gets its answer: ${status}`);
  const spans = await running.spansWhen((all) => served(all, "gateway").length >= 2, 2_000);
  for (const span of served(spans, "gateway").toSorted((a, b) => Number(a.startNs - b.startNs))) {
    const answer = span.attributes["http.response.status_code"];
    say(`  gateway ${span.name}: ${answer}, after ${msOf(span)} ms, trace ${span.traceId}`);
  }
}

async function showListening({ system, showTraces }: Bench): Promise<void> {
  const running = await system({ programs: ["gateway"] });
  await running.request("gateway", "GET", "/nothing");
  await running.request("gateway", "GET", "/nothing");
  await showTraces(running, (all) => served(all, "gateway").length >= 2);
}

function served(spans: readonly SeenSpan[], service: string): SeenSpan[] {
  return findSpans(spans, { service, kind: "SERVER" });
}
