// What every service does with requests that are wrong as HTTP, and with probes.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SERVICE_NAMES } from "#lib/service/services.ts";
import { call, expectError, newOrder, rawCall } from "./support/api.ts";
import type { ServiceName } from "./support/service-process.ts";
import { stack, startStack, STACK_START_TIMEOUT_MS, TEST_TIMEOUT_MS } from "./support/stack.ts";

setDefaultTimeout(TEST_TIMEOUT_MS);
beforeAll(startStack, STACK_START_TIMEOUT_MS);

const urlOf = async (service: ServiceName) => (await stack()).services[service];

const ID = "00000000-0000-0000-0000-000000000000";
const MIB = 1_048_576;

const isTaken = (status: number) => status < 500 && status !== 413 && status !== 400;

/** Where each service takes a body, and one it would take if it were not too large. */
const posts: [ServiceName, string, string, object][] = [
  ["gateway", "POST", "/orders", newOrder()],
  ["orders", "POST", "/orders", newOrder()],
  ["orders", "PATCH", `/orders/${ID}/status`, { status: "confirmed" }],
  ["inventory", "POST", "/stock/NO-SUCH-ITEM/reserve", { quantity: 1 }],
  ["inventory", "POST", "/stock/NO-SUCH-ITEM/release", { quantity: 1 }],
  ["email", "POST", "/send", { to: "a@b", subject: "s", body: "b" }],
];

describe.each(SERVICE_NAMES)("%s", (service) => {
  test.each([
    "/",
    "/nothing",
    "/orders/a/b/c",
    "/stock/a/b",
    "//",
    "/healthz/x",
    "/healthz/",
    "/readyz/",
    "/metrics/",
    "/%00",
    "/%ZZ",
  ])("answers 404 at %s, where there is nothing", async (path) => {
    expectError(await call("GET", (await urlOf(service)) + path), 404);
  });

  test("answers 404 for a path of 8 000 characters", async () => {
    expectError(await call("GET", `${await urlOf(service)}/${"x".repeat(8_000)}`), 404);
  });

  test("answers 404, not a file or another route, where the path climbs", async () => {
    for (const path of [
      "/../../etc/passwd",
      "/orders/../../healthz",
      "/%2e%2e/%2e%2e/etc/passwd",
    ]) {
      const raw = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
      const answer = await rawCall(await urlOf(service), raw);
      expect(answer.text).not.toContain("root:");
      expect([200, 400, 404], path).toContain(answer.status);
    }
  });

  test("is alive, ready, and tells its metrics", async () => {
    const url = await urlOf(service);
    const health = await call("GET", `${url}/healthz`);
    expect({ status: health.status, body: health.json }).toEqual({
      status: 200,
      body: { status: "ok" },
    });
    const ready = await call("GET", `${url}/readyz`);
    expect(ready.status, ready.text).toBe(200);
    expect(ready.json).toMatchObject({ status: "ready" });
    const metrics = await call("GET", `${url}/metrics`);
    expect(metrics.status).toBe(200);
    expect(metrics.headers.get("content-type")).toStartWith("text/plain");
    expect(metrics.text).toContain("# TYPE process_uptime_seconds");
  });

  test("answers HEAD of a probe like GET, without a body", async () => {
    const answer = await call("HEAD", `${await urlOf(service)}/healthz`);
    expect({ status: answer.status, text: answer.text }).toEqual({ status: 200, text: "" });
  });
});

describe("a known path with another method is 405 and says what is allowed", () => {
  const routes: [ServiceName, string, string[]][] = [
    ["gateway", "/orders", ["GET", "HEAD", "POST"]],
    ["gateway", "/orders-nplus1", ["GET", "HEAD"]],
    ["gateway", `/orders/${ID}`, ["GET", "HEAD"]],
    ["gateway", "/inventory", ["GET", "HEAD"]],
    ["gateway", "/inventory/ITEM-001", ["GET", "HEAD"]],
    ["orders", "/orders", ["GET", "HEAD", "POST"]],
    ["orders", "/orders-nplus1", ["GET", "HEAD"]],
    ["orders", `/orders/${ID}`, ["GET", "HEAD"]],
    ["orders", `/orders/${ID}/status`, ["PATCH"]],
    ["inventory", "/stock", ["GET", "HEAD"]],
    ["inventory", "/stock/ITEM-001", ["GET", "HEAD"]],
    ["inventory", "/stock/ITEM-001/reserve", ["POST"]],
    ["inventory", "/stock/ITEM-001/release", ["POST"]],
    ["email", "/send", ["POST"]],
    ["worker", "/healthz", ["GET", "HEAD"]],
    ["worker", "/readyz", ["GET", "HEAD"]],
    ["worker", "/metrics", ["GET", "HEAD"]],
  ];
  test.each(routes)("%s %s", async (service, path, allowed) => {
    const url = (await urlOf(service)) + path;
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      if (allowed.includes(method)) continue;
      const answer = await call(method, url);
      expectError(answer, 405, new RegExp(method));
      expect(answer.headers.get("allow")?.split(", ")).toEqual(allowed);
    }
  });

  test("HEAD where there is no GET is 405, without a body", async () => {
    const answer = await call("HEAD", `${await urlOf("email")}/send`);
    expect({ status: answer.status, text: answer.text }).toEqual({ status: 405, text: "" });
    expect(answer.headers.get("allow")).toBe("POST");
  });
});

describe.each(posts)("the body at %s %s %s", (service, method, path, valid) => {
  const text = JSON.stringify(valid);
  const head = `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n`;

  test("may be 1 MiB long", async () => {
    const body = text + " ".repeat(MIB - text.length);
    const answer = await call(method, (await urlOf(service)) + path, body);
    expect(isTaken(answer.status), answer.text).toBe(true);
  });

  test("is refused with 413 one byte longer", async () => {
    const body = text + " ".repeat(MIB + 1 - text.length);
    expectError(await call(method, (await urlOf(service)) + path, body), 413);
  });

  test("is refused with 413 as soon as it is announced, before it is sent", async () => {
    const raw = `${head}Content-Length: 5000000000\r\n\r\n{`;
    expectError(await rawCall(await urlOf(service), raw), 413);
  });

  test("is refused with 413 where it comes in chunks, too", async () => {
    const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
    const chunked = (chunks: number) =>
      `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(chunks)}${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    expectError(await rawCall(await urlOf(service), chunked(17)), 413);
    const answer = await rawCall(await urlOf(service), chunked(15));
    expect(isTaken(answer.status), answer.text).toBe(true);
  });
});

test("a body on GET is left alone", async () => {
  const raw = "GET /stock HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n{";
  expect((await rawCall(await urlOf("inventory"), raw)).status).toBe(200);
});

test("what is no HTTP, or has a header of 100 kB, harms nobody else", async () => {
  const url = await urlOf("orders");
  await rawCall(url, "\u0000\u0001\u0002 no http\r\n\r\n");
  await rawCall(url, `GET /orders HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(100_000)}\r\n\r\n`);
  expect((await call("GET", `${url}/orders?limit=1`)).status).toBe(200);
});
