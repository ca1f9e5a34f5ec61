/** What the page of stage 07 shows: whose fault it was, what was made good, and what becomes of what never goes well. */
import { findSpans, oneSpan } from "../check/index.ts";
import type { Bench, Experiment } from "./experiment.ts";
import { editsOf, type Edit } from "../mistakes/mistake.ts";
import { mistakes } from "../mistakes/07.ts";
import type { SeenRecord, System } from "../system/index.ts";

const TOPIC = "order.created";
const DEAD_LETTERS = "order.created.dlq";
/** Nobody looks whether an id is one: PostgreSQL does, and says what it found. */
const NO_PARAMS: Edit = { file: "orders.ts", find: "    { params: OrderId },\n", replace: "" };
const MISSING = "00000000-0000-7000-8000-000000000000";
const POISON_MS = 4_000;

export const experiments: Readonly<Record<string, Experiment>> = {
  "not-found": { about: "an order is asked for that is not there", run: showNotFound },
  "server-4xx": {
    about: "the same, where a 4xx is an error of the service that answers it",
    edits: editsOf(mistakes, "server-4xx"),
    run: showNotFound,
  },
  away: { about: "the orders service is away", run: showAway },
  values: {
    about: "a statement that PostgreSQL refuses, with its own words on the span",
    edits: [NO_PARAMS, ...editsOf(mistakes, "with-values")],
    run: showRefused,
  },
  "no-values": {
    about: "a statement that PostgreSQL refuses",
    edits: [NO_PARAMS],
    run: showRefused,
  },
  retry: { about: "two failures, and a try that goes well", run: showRetries },
  "thrown-on": {
    about: "a record that cannot be handled, and what it throws is thrown on to kafkajs",
    edits: editsOf(mistakes, "thrown-on"),
    run: showBlocked,
  },
  "syntax-error": {
    about: "the same, where it is the parser that throws",
    edits: [
      ...editsOf(mistakes, "thrown-on"),
      {
        file: "worker.ts",
        find: "    // The parser's own words quote the value.\n    throw new PermanentError(\"the record's value is no JSON\");\n",
        replace: "    return JSON.parse(String(value));\n",
      },
    ],
    run: showBlocked,
  },
  "dead-letter": { about: "a record that cannot be handled", run: showDeadLetter },
};

async function showNotFound({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders", "gateway"] });
  const { status } = await running.request("gateway", "GET", `/orders/${MISSING}`);
  say(`GET /orders/… at the gateway: ${status}`);
  await showTraces(running, (spans) => spans.length >= 4);
}

async function showAway({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ programs: ["gateway"] });
  const { status, text } = await running.request("gateway", "GET", "/orders");
  say(`GET /orders at the gateway: ${status} ${text}`);
  await showTraces(running, (spans) => spans.length >= 2);
}

async function showRefused({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system({ programs: ["orders"] });
  const { status } = await running.request("orders", "GET", "/orders/ada@example.com");
  say(`GET /orders/ada@example.com at the orders service: ${status}`);
  await showTraces(running, (spans) => spans.some(({ kind }) => kind === "SERVER"));
}

async function showRetries({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system();
  running.disturb("worker", { status: 503, times: 2 });
  const { id } = await running.placeOrder();
  await running.confirmed(id);
  await running.consumed();
  await showTraces(running);
  const handled = oneSpan(running.spans(), { kind: "CONSUMER" });
  say(`events of ${handled?.name}, whose status is ${handled?.status}:`);
  for (const { name, attributes } of handled?.events ?? []) {
    say(`  ${name} ${JSON.stringify(attributes)}`);
  }
}

/** Two records, one behind the other in one partition: the first is no JSON, the second of a pending order. */
async function produceTwo(running: System): Promise<string> {
  const id = Bun.randomUUIDv7();
  await running.rows(`INSERT INTO orders VALUES ('${id}', 'ada', 'pending')`);
  const headers = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };
  await running.produce(
    TOPIC,
    { key: "4711", value: "no JSON", headers, partition: 0 },
    { key: id, value: JSON.stringify({ id }), partition: 0 },
  );
  return id;
}

async function showBlocked({ system, say }: Bench): Promise<void> {
  const running = await system();
  const id = await produceTwo(running);
  say(`two records in one partition: "no JSON", and an order`);
  await Bun.sleep(POISON_MS);
  const handled = findSpans(running.spans(), { kind: "CONSUMER" }).length;
  say(
    `after ${POISON_MS / 1000} s the first has been handled ${handled > 1 ? "again and again" : "once"}`,
  );
  say(`the order is ${(await running.confirmed(id, 0)) ? "confirmed" : "pending"}`);
  say(`the worker's process ${running.isWhole ? "runs" : "has ended"}`);
}

async function showDeadLetter({ system, showTraces, say }: Bench): Promise<void> {
  const running = await system();
  const id = await produceTwo(running);
  const letters = await running.recordsWhen(DEAD_LETTERS, (all) => all.length > 0);
  say(`the order behind it is ${(await running.confirmed(id)) ? "confirmed" : "pending"}`);
  for (const letter of letters) say(textOf(letter));
  await showTraces(running);
}

function textOf({ topic, key, value, headers }: SeenRecord): string {
  const lines = Object.entries(headers).map(([name, text]) => `  ${name}: ${text}`);
  return [`${topic}: key ${key}, value ${value}`, ...lines].join("\n");
}
