// The trace of one order, span by span.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ORDER_SERVICES } from "#lib/service/services.ts";
import { spansOf } from "#lib/embedded/traces/otlp.ts";
import {
  ATTR_KAFKA_MESSAGE_KEY,
  ATTR_KAFKA_OFFSET,
  ATTR_MESSAGING_SYSTEM_NAME,
} from "#lib/telemetry/attributes.ts";
import { HAS_LEARNING } from "./support/learning.ts";
import { line, newOrder, postOrder, waitForStatus } from "./support/api.ts";
import {
  createItem,
  stack,
  startStack,
  STACK_START_TIMEOUT_MS,
  TEST_TIMEOUT_MS,
} from "./support/stack.ts";
import {
  childrenOf,
  isWhole,
  newTraceparent,
  only,
  pathToRoot,
  settledTraceOf,
  type TestSpan,
} from "./support/traces.ts";
import { until } from "./support/until.ts";

const TIMEOUT_MS = 60_000;

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

/** Places an order and waits for its whole trace. */
async function traced(order = newOrder()) {
  const { traceId, spanId, traceparent } = newTraceparent();
  const { id } = await postOrder(order, { traceparent });
  await waitForStatus(id, "confirmed", "cancelled");
  return { id, callerSpanId: spanId, spans: await settledTraceOf(traceId, isWhole) };
}

/** What stands below a span, as text: one line a span, sorted, indented by depth. */
function tree(spans: TestSpan[], parent: TestSpan, depth = 0): string[] {
  const own = `${"  ".repeat(depth)}${parent.service} ${parent.kind} ${parent.name}`;
  const below = childrenOf(spans, parent).map((child) => tree(spans, child, depth + 1));
  return [own, ...below.sort((a, b) => (a.join("\n") < b.join("\n") ? -1 : 1)).flat()];
}

/** Without the span whose place depends on how many events the relay took at a time. */
function withoutSend(spans: TestSpan[]): TestSpan[] {
  return spans.filter(({ name }) => name !== "send order.created");
}

describe("the trace of a confirmed order", () => {
  let id = "";
  let callerSpanId = "";
  let spans: TestSpan[] = [];

  beforeAll(async () => {
    const item = await createItem(100);
    ({ id, callerSpanId, spans } = await traced(newOrder([line(item, 2)])));
  }, STACK_START_TIMEOUT_MS);

  test("is this tree, and nothing else", () => {
    const root = only(spans, "gateway", "POST /orders");
    expect(root.parentId).toBe(callerSpanId);
    expect(tree(withoutSend(spans), root)).toEqual([
      "gateway server POST /orders",
      "  gateway client POST",
      "    orders server POST /orders",
      "      orders client BEGIN",
      "      orders client COMMIT",
      "      orders client INSERT orders.order_items",
      "      orders client INSERT orders.orders",
      "      orders producer create order.created",
      "        orders client INSERT orders.outbox",
      "        worker consumer process order.created",
      "          worker client PATCH",
      "            orders server PATCH /orders/:id/status",
      "              orders client UPDATE orders.orders SELECT orders.order_items",
      "          worker client POST",
      "            email server POST /send",
      "          worker internal reserve items",
      "            worker client POST",
      "              inventory server POST /stock/:itemId/reserve",
      "                inventory client UPDATE inventory.items SELECT inventory.reservations SELECT inventory.forgotten_reservations INSERT inventory.reservations",
    ]);
    expect(tree(withoutSend(spans), root)).toHaveLength(withoutSend(spans).length);
  });

  test("has no error in it", () => {
    expect(spans.filter(({ status }) => status !== "unset")).toEqual([]);
    expect(spans.filter(({ attributes }) => "error.type" in attributes)).toEqual([]);
  });

  test("shows the request at the gateway", async () => {
    const { services } = await stack();
    expect(only(spans, "gateway", "POST /orders").attributes).toMatchObject({
      "http.request.method": "POST",
      "http.route": "/orders",
      "http.response.status_code": 201,
      "url.path": "/orders",
      "url.scheme": "http",
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(services.gateway).port),
    });
  });

  test("shows the call to orders", async () => {
    const { services } = await stack();
    const client = only(spans, "gateway", "POST");
    expect(client.attributes).toMatchObject({
      "http.request.method": "POST",
      "http.response.status_code": 201,
      "url.full": `${services.orders}/orders`,
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(services.orders).port),
    });
    expect(client.attributes).not.toContainKey("http.request.resend_count");
  });

  test.skipIf(!HAS_LEARNING)(
    "shows what crossed the hop to orders, where lib/telemetry/learning is there",
    async () => {
      const client = only(spans, "gateway", "POST");
      expect(client.attributes).toMatchObject({
        "orderflow.propagation.traceparent": `00-${client.traceId}-${client.spanId}-01`,
      });
    },
  );

  test("shows each statement's text, with placeholders", async () => {
    const { postgresUrl } = await stack();
    const insert = only(spans, "orders", "INSERT orders.orders");
    expect(insert.attributes).toMatchObject({
      "db.system.name": "postgresql",
      "db.namespace": new URL(postgresUrl).pathname.slice(1),
      "db.query.summary": "INSERT orders.orders",
      "db.query.text": expect.stringMatching(/^INSERT INTO orders\.orders \(.*\$1, \$2, \$3/s),
      "server.address": new URL(postgresUrl).hostname,
    });
  });

  test("shows the message's creation, its processing, and the links between them", () => {
    const create = only(spans, "orders", "create order.created");
    expect(create.attributes).toMatchObject({
      [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
      "messaging.operation.name": "create",
      "messaging.operation.type": "create",
      "messaging.destination.name": "order.created",
      [ATTR_KAFKA_MESSAGE_KEY]: id,
    });
    const process = only(spans, "worker", "process order.created");
    expect(process.parentId).toBe(create.spanId);
    expect(process.links).toEqual([{ traceId: create.traceId, spanId: create.spanId }]);
    expect(process.attributes).toMatchObject({
      [ATTR_MESSAGING_SYSTEM_NAME]: "kafka",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": "order.created",
      "messaging.consumer.group.name": "notification-worker",
      "messaging.destination.partition.id": expect.stringMatching(/^\d+$/),
      [ATTR_KAFKA_OFFSET]: expect.any(Number),
      [ATTR_KAFKA_MESSAGE_KEY]: id,
      "orderflow.order.id": id,
      "orderflow.order.status": "confirmed",
    });
  });

  test("names the order on the steps of its own", () => {
    expect(only(spans, "worker", "reserve items").attributes).toMatchObject({
      "orderflow.order.id": id,
    });
    const mail = only(spans, "email", "POST /send");
    expect(pathToRoot(spans, mail)).toEqual([
      "email POST /send",
      "worker POST",
      "worker process order.created",
      "orders create order.created",
      "orders POST /orders",
      "gateway POST",
      "gateway POST /orders",
    ]);
  });

  test("comes from every service, and each says who it is", async () => {
    const { traces } = await stack();
    const resources = (traces.trace(spans[0]?.traceId ?? "")?.resourceSpans ?? []).map(
      ({ resource }) =>
        Object.fromEntries(
          (resource?.attributes ?? []).map(({ key, value }) => [
            key,
            Object.values(value ?? {})[0],
          ]),
        ),
    );
    const names = resources.map((resource) => resource["service.name"]);
    expect(names).toEqual(expect.arrayContaining(ORDER_SERVICES));
    for (const resource of resources) {
      expect(resource).toMatchObject({
        "service.namespace": "orderflow",
        "service.version": expect.stringMatching(/^\d+\.\d+\.\d+/),
        "service.instance.id": expect.stringMatching(/^[0-9a-f-]{36}$/),
        "process.runtime.name": "bun",
        "process.runtime.version": Bun.version,
        "telemetry.sdk.language": expect.any(String),
      });
    }
    expect(new Set(resources.map((resource) => resource["service.instance.id"])).size).toBe(
      new Set(names).size,
    );
  });
});

test(
  "the record is sent in a span that links to its creation, in its trace or in the relay's",
  async () => {
    const { id, spans } = await traced();
    const create = only(spans, "orders", "create order.created");
    const { traces } = await stack();
    const sends = await until("the send span", () => {
      const linked = traces
        .traces()
        .flatMap(spansOf)
        .filter(({ span }) => span.name === "send order.created")
        .filter(({ span }) => span.links?.some(({ spanId }) => spanId === create.spanId));
      return linked.length > 0 && linked;
    });
    expect(sends).toHaveLength(1);
    const [send] = sends;
    expect(send?.service).toBe("orders");
    expect(send?.span.kind).toBe(3);
    // Alone it is the creation's child, and names the order; in a batch it belongs to no order.
    if (send?.span.traceId === create.traceId) {
      expect(send.span.parentSpanId).toBe(create.spanId);
      expect(JSON.stringify(send.span.attributes)).toContain(id);
    } else {
      expect(JSON.stringify(send?.span.attributes)).toContain("messaging.batch.message_count");
    }
  },
  TIMEOUT_MS,
);

test(
  "an order of an unknown item: the refusal is a failed call, the way back is shown, the order is none",
  async () => {
    const item = await createItem(100);
    const { id, spans } = await traced(newOrder([line(item), line("ZZZ-NO-SUCH-ITEM")]));
    const root = only(spans, "gateway", "POST /orders");
    const process = only(spans, "worker", "process order.created");
    expect(tree(withoutSend(spans), process)).toEqual([
      "worker consumer process order.created",
      "  worker client PATCH",
      "    orders server PATCH /orders/:id/status",
      "      orders client UPDATE orders.orders SELECT orders.order_items",
      "  worker client POST",
      "    email server POST /send",
      "  worker internal compensate",
      "    worker client POST",
      "      inventory server POST /stock/:itemId/release",
      "        inventory client SELECT inventory.items UPDATE inventory.reservations UPDATE inventory.items",
      "  worker internal reserve items",
      "    worker client POST",
      "      inventory server POST /stock/:itemId/reserve",
      "        inventory client SELECT inventory.items inventory.reservations inventory.forgotten_reservations",
      "        inventory client UPDATE inventory.items SELECT inventory.reservations SELECT inventory.forgotten_reservations INSERT inventory.reservations",
      "    worker client POST",
      "      inventory server POST /stock/:itemId/reserve",
      "        inventory client UPDATE inventory.items SELECT inventory.reservations SELECT inventory.forgotten_reservations INSERT inventory.reservations",
    ]);
    expect(root.status).toBe("unset");
    expect(process.attributes).toMatchObject({ "orderflow.order.status": "cancelled" });
    // One failed hop, the worker's call that was answered 404; nothing else went wrong.
    const failed = spans.filter(({ status }) => status === "error");
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatchObject({
      service: "worker",
      name: "POST",
      statusText: "there is no item ZZZ-NO-SUCH-ITEM",
      attributes: { "http.response.status_code": 404, "error.type": "404" },
    });
    expect(only(spans, "worker", "compensate").attributes).toMatchObject({
      "orderflow.order.id": id,
    });
  },
  TIMEOUT_MS,
);

test(
  "without a traceparent the gateway's span is the root of a new trace",
  async () => {
    const order = await postOrder();
    await waitForStatus(order.id, "confirmed", "cancelled");
    const { traces } = await stack();
    const found = await until("its trace", () => {
      const all = traces.traces();
      return all.find((one) =>
        spansOf(one).some(
          ({ span }) =>
            span.name === "process order.created" && JSON.stringify(span).includes(order.id),
        ),
      );
    });
    const spans = await settledTraceOf(found.traceId, (some) =>
      some.some(({ service }) => service === "gateway"),
    );
    expect(only(spans, "gateway", "POST /orders").parentId).toBeUndefined();
  },
  TIMEOUT_MS,
);
