// The gateway when what stands behind it is down, hangs, or answers strangely.
import { afterEach, describe, expect, test } from "bun:test";
import { factsOf } from "#lib/service/services.ts";
import { call, expectError, newOrder, rawCall } from "./support/api.ts";
import { nobody, startFakeService } from "./support/fake-service.ts";
import {
  allCalledAt,
  startServiceProcess,
  type ServiceProcess,
} from "./support/service-process.ts";
import { until } from "./support/until.ts";

const CALL_TIMEOUT_MS = 5_000;

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
}, 20_000);

/** @returns its base URL */
function fakeService(answer: (request: Request) => Response | Promise<Response>): string {
  const { url, stop } = startFakeService(answer);
  cleanUps.push(stop);
  return url;
}

/** A server that accepts connections and sends only these bytes; closes then where asked to. */
function rawService(bytes: string, close: boolean): string {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.write(bytes);
        if (close) socket.end();
      },
    },
  });
  cleanUps.push(() => listener.stop(true));
  return `http://127.0.0.1:${listener.port}`;
}

async function startGateway(orders: string, inventory = orders): Promise<ServiceProcess> {
  const gateway = await startServiceProcess("gateway", {
    ...allCalledAt(inventory, "gateway"),
    ORDERS_SERVICE_URL: orders,
    OTEL_TRACES_EXPORTER: "none",
    OTEL_METRICS_EXPORTER: "none",
  });
  cleanUps.push(() => gateway.stop());
  return gateway;
}

const routes: [string, string, object?][] = [
  ["POST", "/orders", newOrder()],
  ["GET", "/orders"],
  ["GET", "/orders-nplus1"],
  ["GET", `/orders/${crypto.randomUUID()}`],
  ["GET", "/inventory"],
  ["GET", "/inventory/ITEM-001"],
];

describe("the gateway", () => {
  test("answers 502 at every route while the service behind it is down", async () => {
    const gateway = await startGateway(nobody());
    for (const [method, path, body] of routes) {
      expectError(await call(method, gateway.url + path, body), 502, /cannot be reached/);
    }
  }, 30_000);

  test("answers 504 at every route once a service has not answered for 5 s", async () => {
    const never = Promise.withResolvers<Response>();
    cleanUps.push(() => never.resolve(new Response()));
    const gateway = await startGateway(fakeService(() => never.promise));
    const startedMs = performance.now();
    const answers = await Promise.all(
      routes.map(([method, path, body]) => call(method, gateway.url + path, body)),
    );
    for (const answer of answers) expectError(answer, 504, /in time/);
    // It does wait that long: a slow answer is not a missing one.
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(CALL_TIMEOUT_MS - 50);
  }, 40_000);

  test("answers for one service and is ready while hundreds of calls hang at the other", async () => {
    const never = Promise.withResolvers<Response>();
    cleanUps.push(() => never.resolve(new Response()));
    const gateway = await startGateway(
      fakeService(() => Response.json([])),
      fakeService(() => never.promise),
    );
    // Not by fetch: Bun's own bound, 256 at a time, holds for this process as well.
    const request = "GET /inventory HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const hanging = Array.from({ length: 300 }, () => rawCall(gateway.url, request));
    await until("they are in hand", async () => {
      const { text } = await call("GET", `${gateway.url}/metrics`);
      return /^http_server_active_requests\{.*"GET".*\} 300/m.test(text);
    });
    const startedMs = performance.now();
    expect((await call("GET", `${gateway.url}/orders`)).status).toBe(200);
    expect((await call("GET", `${gateway.url}/readyz`)).status).toBe(200);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    for (const answer of await Promise.all(hanging)) {
      expect([503, 504]).toContain(answer.status);
      if (answer.status === 503) expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    }
  }, 40_000);

  test("answers 504 where a body begins and does not end", async () => {
    const gateway = await startGateway(
      rawService("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", false),
    );
    expectError(await call("GET", `${gateway.url}/inventory`), 504);
  }, 30_000);

  test.each([
    ["breaks the connection off", ""],
    ["breaks the body off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n["],
    ["speaks no HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
  ])(
    "answers 502 where the service %s",
    async (_, bytes) => {
      const gateway = await startGateway(rawService(bytes, true));
      expectError(await call("GET", `${gateway.url}/inventory`), 502);
    },
    30_000,
  );

  test("follows no redirect and passes none on", async () => {
    let calls = 0;
    const gateway = await startGateway(
      fakeService(() => {
        calls++;
        return Response.redirect("http://127.0.0.1:1/elsewhere", 307);
      }),
    );
    expectError(await call("GET", `${gateway.url}/inventory`), 502, /redirect/);
    expect(calls).toBe(1);
  }, 30_000);

  test("passes the status, the body and the caller's headers on, and no others", async () => {
    const gateway = await startGateway(
      fakeService(() =>
        Response.json(
          { error: "slow down" },
          {
            status: 503,
            headers: {
              "retry-after": "7",
              link: '</orders?cursor=x>; rel="next"',
              "set-cookie": "inside=1",
              "x-powered-by": "inside",
            },
          },
        ),
      ),
    );
    const answer = await call("GET", `${gateway.url}/orders`);
    expectError(answer, 503, "slow down");
    expect(answer.headers.get("retry-after")).toBe("7");
    expect(answer.headers.get("link")).toBe('</orders?cursor=x>; rel="next"');
    expect(answer.headers.get("set-cookie")).toBeNull();
    expect(answer.headers.get("x-powered-by")).toBeNull();
  }, 30_000);

  test("asks for exactly the item and the query it was asked for", async () => {
    const asked: string[] = [];
    const gateway = await startGateway(
      fakeService((request) => {
        asked.push(request.url.slice(request.url.indexOf("/", 8)));
        return Response.json([]);
      }),
    );
    const paths = [
      "/inventory/a%2Fb%3Fc%23d",
      "/inventory/%25ZZ",
      "/orders?customer_id=a%26b&limit=3",
    ];
    for (const path of paths) await call("GET", gateway.url + path);
    expect(asked).toEqual([
      "/stock/a%2Fb%3Fc%23d",
      "/stock/%25ZZ",
      "/orders?customer_id=a%26b&limit=3",
    ]);
  }, 30_000);

  test("sends on what was posted, and nothing of the caller's own headers", async () => {
    let seen: { body: unknown; headers: Headers } | undefined;
    const gateway = await startGateway(
      fakeService(async (request) => {
        seen = { body: await request.json(), headers: request.headers };
        return Response.json({}, { status: 201 });
      }),
    );
    const order = newOrder();
    await call("POST", `${gateway.url}/orders`, order, {
      authorization: "Bearer abc",
      cookie: "a=b",
    });
    expect(seen?.body).toEqual(order);
    expect(seen?.headers.get("authorization")).toBeNull();
    expect(seen?.headers.get("cookie")).toBeNull();
  }, 30_000);

  test("goes on after callers that hang up before the answer", async () => {
    const release = Promise.withResolvers<void>();
    let asked = 0;
    const gateway = await startGateway(
      fakeService(async () => {
        asked++;
        await release.promise;
        return Response.json([]);
      }),
    );
    const hangUps = Array.from({ length: 10 }, async () => {
      const aborter = new AbortController();
      const answer = fetch(`${gateway.url}/inventory`, { signal: aborter.signal }).catch(
        (error: Error) => error.name,
      );
      await until("the request is behind the gateway", () => asked >= 10);
      aborter.abort();
      expect(await answer).toBe("AbortError");
    });
    await Promise.all(hangUps);
    release.resolve();
    expect((await call("GET", `${gateway.url}/inventory`)).status).toBe(200);
    await until("the ten are no longer active", async () => {
      const { text } = await call("GET", `${gateway.url}/metrics`);
      const active = /^http_server_active_requests\{.*?http_request_method="GET".*?\} (\d+)/m.exec(
        text,
      );
      return active?.[1] === "0";
    });
  }, 30_000);

  test("is ready only while all services behind it are well", async () => {
    let well = true;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(null, { status: well ? 200 : 500 }),
    });
    cleanUps.push(() => server.stop(true));
    const gateway = await startGateway(`http://127.0.0.1:${server.port}`);
    const called = factsOf("gateway").calls;
    expect(called.length).toBeGreaterThan(1);
    expect((await call("GET", `${gateway.url}/readyz`)).json).toEqual({
      status: "ready",
      ...Object.fromEntries(called.map((name) => [name, "ok"])),
    });
    well = false;
    const answer = await call("GET", `${gateway.url}/readyz`);
    expect(answer.status).toBe(503);
    expect(answer.json).toEqual({
      status: "not ready",
      ...Object.fromEntries(called.map((name) => [name, expect.stringContaining("500")])),
    });
    expect((await call("GET", `${gateway.url}/healthz`)).status).toBe(200);
  }, 30_000);
});
