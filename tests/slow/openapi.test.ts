/** What the gateway says of itself, held to what it does: every answer that is described is seen, and no other. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import addFormats from "ajv-formats";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { Browser } from "playwright-core";
import { newOrder, postOrder } from "../support/api.ts";
import { chromiumPath, openPage, startBrowser } from "../support/browser.ts";
import { nobody, startFakeService } from "../support/fake-service.ts";
import { connectRaw } from "../support/hostile/raw-http.ts";
import { allCalledAt, startServiceProcess } from "../support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "../support/stack.ts";

interface Description {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: object;
}

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<
    Record<
      string,
      { readonly headers?: object; readonly content: Record<string, { schema: object }> }
    >
  >;
}

/** A body may take 10 s. */
const ANSWER_TIMEOUT_MS = 20_000;

setDefaultTimeout(TEST_TIMEOUT_MS);

let description: Description;
beforeAll(async () => {
  await startStack();
  const { services } = await stack();
  description = (await (await fetch(`${services.gateway}/openapi/json`)).json()) as Description;
}, STACK_START_TIMEOUT_MS);

const cleanUps: (() => unknown)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

test("it is OpenAPI 3.1", async () => {
  expect(description.openapi).toStartWith("3.1.");
  const result = await new Validator().validate({ ...description });
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
});

test("it has the routes of the contract, each with its own id", () => {
  const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => [`${method} ${path}`, operationId]),
  );
  expect(Object.fromEntries(operations)).toEqual({
    "post /orders": "placeOrder",
    "get /orders": "listOrders",
    "get /orders-nplus1": "listOrdersNPlus1",
    "get /orders/{id}": "getOrder",
    "get /inventory": "listStock",
    "get /inventory/{itemId}": "getStock",
  });
});

describe("every answer", () => {
  /** Of the routes that are asked below, with the statuses that were seen of each. */
  const seen = new Map<string, Set<number>>();

  test("is described: its status, its type, its headers and its body", async () => {
    const { services } = await stack();
    const never = Promise.withResolvers<Response>();
    cleanUps.push(() => never.resolve(new Response()));
    const behind = {
      down: await gatewayBefore(nobody()),
      busy: await gatewayBefore(
        standIn(() =>
          Response.json({ error: "busy" }, { status: 503, headers: { "retry-after": "1" } }),
        ),
      ),
      frozen: await gatewayBefore(standIn(() => never.promise)),
    };
    const order = await postOrder(newOrder());
    const key = crypto.randomUUID();
    await ask(services.gateway, "post /orders", "/orders", newOrder(), { "idempotency-key": key });

    const routes: [route: string, path: string, body?: object][] = [
      ["post /orders", "/orders", newOrder()],
      ["get /orders", "/orders?limit=2"],
      ["get /orders-nplus1", "/orders-nplus1?limit=2"],
      ["get /orders/{id}", `/orders/${order.id}`],
      ["get /inventory", "/inventory"],
      ["get /inventory/{itemId}", "/inventory/ITEM-001"],
    ];
    const wrong: [route: string, path: string, body?: unknown, headers?: Record<string, string>][] =
      [
        ["post /orders", "/orders", newOrder([])],
        ["post /orders", "/orders", `"${"x".repeat(1_048_577)}"`],
        ["post /orders", "/orders", newOrder(undefined, "another"), { "idempotency-key": key }],
        ["get /orders", "/orders?limit=0"],
        ["get /orders-nplus1", "/orders-nplus1?status=lost"],
        ["get /orders/{id}", "/orders/1"],
        ["get /orders/{id}", `/orders/${crypto.randomUUID()}`],
        ["get /inventory/{itemId}", "/inventory/NO-SUCH-ITEM"],
        ["get /inventory/{itemId}", `/inventory/${"a".repeat(5_000)}`],
      ];
    await Promise.all([
      ...routes.map(([route, path, body]) => ask(services.gateway, route, path, body)),
      ...wrong.map(([route, path, body, headers]) =>
        ask(services.gateway, route, path, body, headers),
      ),
      ...routes.map(([route, path, body]) => ask(behind.down, route, path, body)),
    ]);
    // By itself: what answers at once here must not look like what does not answer.
    for (const [route, path, body] of routes) await ask(behind.busy, route, path, body);
    await Promise.all([
      ...routes.map(([route, path, body]) => ask(behind.frozen, route, path, body)),
      askHalf(services.gateway),
    ]);
  }, 60_000);

  test("that is described was seen", () => {
    const described = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { responses }]) => [
        `${method} ${path}`,
        Object.keys(responses).map(Number).sort(),
      ]),
    );
    const answers = [...seen].map(([route, statuses]) => [route, [...statuses].sort()]);
    expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(described));
  });

  async function ask(
    gateway: string,
    route: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<void> {
    const response = await fetch(gateway + path, {
      method: route.split(" ")[0]?.toUpperCase() ?? "",
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      body: typeof body === "string" ? body : (JSON.stringify(body) ?? null),
    });
    note(route, response.status, response.headers, await response.text());
  }

  /** A body that does not arrive: its time is over before it is. */
  async function askHalf(gateway: string): Promise<void> {
    const client = await connectRaw(gateway, "POST");
    client.write("POST /orders HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{");
    const answer = await client.answer(ANSWER_TIMEOUT_MS);
    client.destroy();
    if (!answer) throw new Error("half a body has no answer");
    const headers = new Headers([...answer.headers]);
    note("post /orders", answer.status, headers, answer.body.toString());
  }

  function note(route: string, status: number, headers: Headers, text: string): void {
    const [method = "", path = ""] = route.split(" ");
    const response = description.paths[path]?.[method]?.responses[String(status)];
    if (!response) throw new Error(`${route} answered ${status}, which is not described: ${text}`);
    expect(headers.get("content-type")).toStartWith("application/json");
    const schema = response.content["application/json"]?.schema ?? false;
    const isValid = ajv().compile({ ...(schema as object), components: description.components });
    expect([route, status, isValid(JSON.parse(text)), isValid.errors]).toEqual([
      route,
      status,
      true,
      null,
    ]);
    if (status === 201) expect(headers.get("location")).toStartWith("/orders/");
    seen.set(route, (seen.get(route) ?? new Set()).add(status));
  }
});

test.skipIf(!Bun.which("schemathesis"))(
  "Schemathesis finds nothing that contradicts it (where that is installed)",
  async () => {
    const { services } = await stack();
    // It keeps what it has met in the folder where it runs.
    const folder = await mkdtemp(join(tmpdir(), "orderflow-schemathesis-"));
    cleanUps.push(() => rm(folder, { recursive: true, force: true }));
    const run = Bun.spawn(
      [
        "schemathesis",
        "run",
        `${services.gateway}/openapi/json`,
        `--url=${services.gateway}`,
        "--max-examples=50",
        "--seed=1",
        "--no-color",
        "--checks=all",
        // A cursor that nobody gave, and a key that stands for another order, are right by their schema.
        "--exclude-checks=positive_data_acceptance",
      ],
      { stdout: "pipe", stderr: "pipe", cwd: folder },
    );
    const [out, status] = await Promise.all([run.stdout.text(), run.exited]);
    if (status !== 0) throw new Error(out);
    expect(out).toContain("Operations:       6 selected / 6 total");
  },
  120_000,
);

describe.skipIf(!chromiumPath)("its page", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(() => browser.close());

  test("shows every route, and asks no other machine for anything", async () => {
    const { services } = await stack();
    const { page, problems } = await openPage(browser, services.gateway);
    await page.goto(`${services.gateway}/openapi`);
    await page.locator(".opblock").nth(5).waitFor();
    expect(await page.locator(".opblock").count()).toBe(6);
    // It has no icon of its own; that is all that is missed.
    expect(problems.filter((problem) => !/404/.test(problem))).toEqual([]);
  });
});

function ajv() {
  const made = new Ajv2020({ strict: false });
  addFormats.default(made);
  return made;
}

async function gatewayBefore(service: string): Promise<string> {
  const gateway = await startServiceProcess("gateway", {
    ...allCalledAt(service, "gateway"),
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
  cleanUps.push(() => gateway.stop());
  return gateway.url;
}

function standIn(answer: () => Response | Promise<Response>): string {
  const { url, stop } = startFakeService(answer);
  cleanUps.push(stop);
  return url;
}
