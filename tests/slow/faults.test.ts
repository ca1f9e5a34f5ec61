/** The learning switches: each gives the trace that docs/faults.md shows, and none when it is off. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { join } from "node:path";
import { startKafkaBroker } from "#lib/embedded/kafka/broker.ts";
import { startPostgres } from "#lib/embedded/postgres.ts";
import { startServices, type RunningServices } from "#lib/embedded/services.ts";
import type { ServiceName } from "#lib/service/services.ts";
import { startTraceStore, type TraceStore } from "#lib/embedded/traces/index.ts";
import { attribute, spansOf, type SpanInContext } from "#lib/embedded/traces/otlp.ts";
import { migrateUp } from "#lib/migrate/index.ts";
import type { Order } from "#lib/orders/order.ts";
import type { FaultName } from "#lib/service/faults.ts";
import { differences, drawnTraces, realSpans } from "../support/docs/drawn-trace.ts";
import { sectionOf } from "../support/docs/sections.ts";
import { startAndFail, startServiceProcess } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const START_TIMEOUT_MS = 90_000;
/** A hanging call ends after 5 s, its answer comes after 8 s, and a retry waits in between. */
const HANGING_TIMEOUT_MS = 60_000;

setDefaultTimeout(30_000);

/** What to undo at the end, the last first. */
const undo: (() => Promise<void>)[] = [];
let traces: TraceStore;
let services: RunningServices;

// A stack of its own: a fault would break the other tests' orders.
beforeAll(async () => {
  traces = await startTraceStore({ otlpPort: 0, queryPort: 0 });
  undo.push(() => traces.stop());
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  const kafka = await startKafkaBroker();
  undo.push(() => kafka.stop());
  await migrateUp({ postgresUrl: postgres.url });
  services = await startServices({
    postgresUrl: postgres.url,
    kafkaBrokers: kafka.brokers,
    env: {
      ORDERFLOW_FAULTS_ENDPOINT: "on",
      OTEL_EXPORTER_OTLP_ENDPOINT: traces.otlpUrl,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      EMAIL_DELAY_MS: "1-2",
      RELAY_POLL_INTERVAL_MS: "100",
    },
  });
  undo.push(() => services.stop());
}, START_TIMEOUT_MS);

afterAll(async () => {
  for (const run of undo.toReversed()) await run();
}, START_TIMEOUT_MS);

afterEach(async () => {
  for (const name of ["orders", "inventory", "email"] as const) await switchOn(name, []);
});

describe("slow-sql", () => {
  test("makes one SELECT of an order list's trace last two seconds, and nothing when off", async () => {
    await confirmedOrder();
    await switchOn("orders", ["slow-sql"]);
    const slow = await traceOf("GET", "/orders?limit=1");
    const statement = named(slow, "SELECT orders.orders");
    expect(durationMs(statement)).toBeGreaterThanOrEqual(2_000);
    expect(attribute(statement.span.attributes, "db.query.text")).toContain("pg_sleep(?)");
    expect(faultsOf(slow)).toEqual({ "orders GET /orders": "slow-sql" });
    await expectDrawn(slow, "slow-sql");
    expect(errorsOf(slow)).toEqual([]);

    await switchOn("orders", []);
    const sound = await traceOf("GET", "/orders?limit=1");
    const text = attribute(named(sound, "SELECT orders.orders").span.attributes, "db.query.text");
    expect(text).not.toContain("pg_sleep");
    expect(faultsOf(sound)).toEqual({});
  });
});

describe("failing-email", () => {
  test("shows a failed try, a retry and a second try; the mail is sent once all the same", async () => {
    await switchOn("email", ["failing-email"]);
    const spans = await orderTrace("confirmed", (all) => {
      return isComplete(all) && count(all, "email POST /send") === 2;
    });
    const [first, second] = tries(spans, "/send");
    expect([first, second].map((span) => statusOf(span))).toEqual([503, 200]);
    expect(attribute(second?.span.attributes, "http.request.resend_count")).toBe(1);
    expect(eventsOf(named(spans, "process order.created"))).toEqual(["retry"]);
    expect(errorsOf(spans)).toEqual(["email POST /send", "worker POST"]);
    expect(faultsOf(spans)).toEqual({ "email POST /send": "failing-email" });
    await expectDrawn(spans, "failing-email");
  });
});

describe("poison-message", () => {
  test("makes a dead letter, and confirms the order it follows", async () => {
    await switchOn("orders", ["poison-message"]);
    const spans = await orderTrace("confirmed", (all) => {
      return isComplete(all) && count(all, "worker process order.created") === 2;
    });
    const handled = spans.filter(({ span }) => span.name === "process order.created");
    const [poisoned, ...others] = handled.filter(({ span }) => span.status?.code === 2);
    expect({ handled: handled.length, others: others.length }).toEqual({ handled: 2, others: 0 });
    expect(poisoned?.span.status?.message).toContain("not JSON");
    const buried = named(spans, "send order.created.dlq").span;
    expect(buried.parentSpanId).toBe(poisoned?.span.spanId ?? "");
    expect(faultsOf(spans)).toEqual({ "orders POST /orders": "poison-message" });
    await expectDrawn(spans, "poison-message");
  });
});

describe("lost-inventory", () => {
  test("cancels the order without a retry, and takes no stock", async () => {
    await switchOn("inventory", ["lost-inventory"]);
    const before = await stock();
    const spans = await orderTrace("cancelled", isComplete);
    expect(tries(spans, "/reserve").map(statusOf)).toEqual([404]);
    expect(errorsOf(spans)).toEqual(["worker POST"]);
    expect(faultsOf(spans)).toEqual({
      "inventory POST /stock/:itemId/reserve": "lost-inventory",
    });
    expect(await stock()).toEqual(before);
    await expectDrawn(spans, "lost-inventory");
  });
});

describe("hanging-inventory", () => {
  test(
    "makes the gateway answer 504, and the worker try again until it is switched off",
    async () => {
      await switchOn("inventory", ["hanging-inventory"]);
      const { id, traceId } = await placeOrder();
      const asked = await requestTraced("GET", "/inventory/ITEM-001");
      expect(asked.response.status).toBe(504);
      expect(await asked.response.json()).toEqual({ error: expect.stringContaining("in time") });
      const timedOut = await spansWhen(traceId, (all) => tries(all, "/reserve").length > 0);
      const [first] = tries(timedOut, "/reserve");
      expect(attribute(first?.span.attributes, "error.type")).toBe("TimeoutError");
      await switchOn("inventory", []);
      await waitForStatus(id, "confirmed");
      // The first try's request is still being handled: its span comes when the 8 s are over.
      const spans = await spansWhen(
        traceId,
        (all) => isComplete(all) && Object.keys(faultsOf(all)).length > 0,
      );
      expect(tries(spans, "/reserve").map(statusOf).at(-1)).toBe(200);
      expect(eventsOf(named(spans, "reserve items"))).toContain("retry");
      const late = await spansWhen(asked.traceId, (all) => Object.keys(faultsOf(all)).length > 0);
      await expectDrawn(late, "hanging-inventory", 0);
      await expectDrawn(spans, "hanging-inventory", 1);
      expect(faultsOf(spans)).toEqual({
        "inventory POST /stock/:itemId/reserve": "hanging-inventory",
      });
    },
    HANGING_TIMEOUT_MS,
  );
});

describe("switched off", () => {
  test("all faults leave a confirmed order's trace without error, retry or a word of them", async () => {
    const spans = await orderTrace("confirmed", isComplete);
    expect(errorsOf(spans)).toEqual([]);
    expect(faultsOf(spans)).toEqual({});
    expect(eventsOf(named(spans, "process order.created"))).toEqual([]);
    await expectDrawn(spans, "switch-on-and-off");
  });
});

describe("a start", () => {
  test("with an unknown fault ends with one line that names the variable", async () => {
    for (const env of [{ ORDERFLOW_FAULTS: "slow-sql,typo" }, { ORDERFLOW_FAULTS: "slow" }]) {
      const { exitCode, stdout, stderr } = await startAndFail("email", { PORT: "0", ...env });
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
      expect(stderr).toMatch(/^ORDERFLOW_FAULTS must be a list of faults out of [a-z, -]+\n$/);
    }
  });

  test("with a fault's name switches it on; without the endpoint's variable there is no endpoint", async () => {
    const email = await startServiceProcess("email", {
      ORDERFLOW_FAULTS: "failing-email",
      OTEL_SDK_DISABLED: "true",
      EMAIL_DELAY_MS: "1-2",
    });
    try {
      await until("its log tells", () =>
        email.lines.some((line) => line.message === "faults are switched on"),
      );
      const body = JSON.stringify({ to: "a@example.com", subject: "Hello", body: "Hello" });
      const send = () => fetch(`${email.url}/send`, { method: "POST", body });
      expect([(await send()).status, (await send()).status]).toEqual([503, 200]);
      const endpoint = await fetch(`${email.url}/faults`, { method: "PUT", body: '{"on":[]}' });
      expect(endpoint.status).toBe(404);
    } finally {
      await email.stop();
    }
  });
});

/** docs/faults.md draws this trace, in that section: with these spans, each below that parent. */
async function expectDrawn(spans: SpanInContext[], section: string, which = 0): Promise<void> {
  const page = await Bun.file(join(import.meta.dir, "../../docs/faults.md")).text();
  const drawn = drawnTraces(sectionOf(page, section) ?? "")[which];
  if (!drawn) throw new Error(`docs/faults.md draws no trace ${which} in ${section}`);
  expect(differences(drawn, realSpans(spans))).toEqual([]);
}

async function switchOn(name: ServiceName, on: FaultName[]): Promise<void> {
  const response = await fetch(`${services.urls[name]}/faults`, {
    method: "PUT",
    body: JSON.stringify({ on }),
  });
  expect(response.status).toBe(200);
}

/** Makes a request to the gateway in a trace of its own. */
async function requestTraced(method: string, path: string, body?: unknown) {
  const traceId = crypto.randomUUID().replaceAll("-", "");
  const response = await fetch(services.urls.gateway + path, {
    method,
    headers: { traceparent: `00-${traceId}-${traceId.slice(0, 16)}-01` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { traceId, response };
}

async function traceOf(method: string, path: string): Promise<SpanInContext[]> {
  const { traceId, response } = await requestTraced(method, path);
  expect(response.status).toBe(200);
  return await spansWhen(traceId, (all) => {
    return ["gateway", "orders"].every((name) =>
      all.some(({ service, span }) => service === name && span.kind === 2),
    );
  });
}

async function placeOrder(): Promise<{ id: string; traceId: string }> {
  const { traceId, response } = await requestTraced("POST", "/orders", {
    customer_id: "someone",
    items: [{ item_id: "ITEM-007", quantity: 1, price: 100 }],
  });
  expect(response.status).toBe(201);
  return { id: ((await response.json()) as Order).id, traceId };
}

async function confirmedOrder(): Promise<void> {
  await waitForStatus((await placeOrder()).id, "confirmed");
}

/** Places an order, waits for its end and for its spans. */
async function orderTrace(
  status: "confirmed" | "cancelled",
  isDone: (spans: SpanInContext[]) => boolean,
): Promise<SpanInContext[]> {
  const { id, traceId } = await placeOrder();
  await waitForStatus(id, status);
  return await spansWhen(traceId, isDone);
}

async function waitForStatus(id: string, status: string): Promise<void> {
  await until(`order ${id} is ${status}`, async () => {
    const response = await fetch(`${services.urls.orders}/orders/${id}`);
    return ((await response.json()) as Order).status === status;
  });
}

async function spansWhen(
  traceId: string,
  isDone: (spans: SpanInContext[]) => boolean,
): Promise<SpanInContext[]> {
  return await until(`trace ${traceId} is there`, () => {
    const trace = traces.trace(traceId);
    const spans = trace ? spansOf(trace) : [];
    return isDone(spans) && spans;
  });
}

async function stock(): Promise<unknown> {
  return await (await fetch(`${services.urls.inventory}/stock`)).json();
}

/** Whether the span is there that each service ends last; what it ended before came before. */
function isComplete(spans: SpanInContext[]): boolean {
  return [
    "gateway POST /orders",
    "orders POST /orders",
    "inventory POST /stock/:itemId/reserve",
    "orders PATCH /orders/:id/status",
    "email POST /send",
    "worker process order.created",
  ].every((name) => count(spans, name) > 0);
}

/** How many spans there are of a service and name. */
function count(spans: SpanInContext[], name: string): number {
  return spans.filter(({ service, span }) => `${service} ${span.name}` === name).length;
}

function named(spans: SpanInContext[], name: string): SpanInContext {
  const found = spans.find(({ span }) => span.name === name);
  if (!found) throw new Error(`no span ${name} in: ${spans.map(({ span }) => span.name).join()}`);
  return found;
}

/** The worker's calls to a path that ends so, in the order of their starts. */
function tries(spans: SpanInContext[], pathEnd: string): SpanInContext[] {
  return spans
    .filter(({ service, span }) => service === "worker" && span.kind === 3)
    .filter(({ span }) => String(attribute(span.attributes, "url.full")).endsWith(pathEnd))
    .sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
}

function startOf({ span }: SpanInContext): bigint {
  return BigInt(span.startTimeUnixNano ?? 0);
}

function durationMs({ span }: SpanInContext): number {
  const nanos = BigInt(span.endTimeUnixNano ?? 0) - BigInt(span.startTimeUnixNano ?? 0);
  return Number(nanos / 1_000_000n);
}

function statusOf(context: SpanInContext | undefined): unknown {
  return attribute(context?.span.attributes, "http.response.status_code");
}

function eventsOf({ span }: SpanInContext): (string | undefined)[] {
  return (span.events ?? []).map(({ name }) => name);
}

/** The failed spans, by service and name. */
function errorsOf(spans: SpanInContext[]): string[] {
  return spans
    .filter(({ span }) => span.status?.code === 2)
    .map(({ service, span }) => `${service} ${span.name}`)
    .sort();
}

/** Which span was struck by which fault. */
function faultsOf(spans: SpanInContext[]): Record<string, unknown> {
  return Object.fromEntries(
    spans.flatMap(({ service, span }) => {
      const fault = attribute(span.attributes, "orderflow.fault");
      return fault === undefined ? [] : [[`${service} ${span.name}`, fault]];
    }),
  ) as Record<string, unknown>;
}
