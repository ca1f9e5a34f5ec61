/** Calls between services over connections that go silent: no FIN, no RST, only nothing more. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { createServiceClient, probeHealth, type ServiceClient } from "#lib/service/client.ts";
import { createDependency } from "#lib/service/dependency.ts";
import { GatewayTimeoutError } from "#lib/service/errors.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { until } from "../support/until.ts";

const POOLED = 20;
const CALL_TIMEOUT_MS = 500;
const LARGE = "x".repeat(200_000);

setDefaultTimeout(60_000);

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** A service behind a proxy. @returns the proxy, and the service's base URL through it */
async function startPeer(): Promise<{ proxy: TcpProxy; url: string }> {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      // Slow enough for calls that are made together to need a connection each.
      if (pathname === "/slow") await Bun.sleep(100);
      return pathname === "/readyz"
        ? Response.json({ status: "ready" })
        : new Response(pathname === "/large" ? LARGE : "ok");
    },
  });
  cleanUps.push(() => server.stop(true));
  const proxy = await startTcpProxy({ port: Number(server.port) });
  cleanUps.push(() => proxy.stop());
  return { proxy, url: `http://127.0.0.1:${proxy.port}` };
}

/** Makes calls together, so that as many connections are kept. */
async function fillPool(client: ServiceClient, proxy: TcpProxy): Promise<void> {
  await Promise.all(Array.from({ length: POOLED }, () => client.call("GET", "/slow")));
  expect(proxy.connections.length).toBe(POOLED);
}

/** Calls one after the other. @returns for each whether it succeeded */
async function callInTurn(client: ServiceClient, count: number): Promise<boolean[]> {
  const outcomes: boolean[] = [];
  for (let n = 0; n < count; n++) {
    const outcome = client.call("POST", "/", { body: {}, timeoutMs: CALL_TIMEOUT_MS }).then(
      ({ status }) => status === 200,
      (error: unknown) => {
        expect(error).toBeInstanceOf(GatewayTimeoutError);
        return false;
      },
    );
    outcomes.push(await outcome);
  }
  return outcomes;
}

test("one call at most pays for connections that went silent, however many were kept", async () => {
  const { proxy, url } = await startPeer();
  const client = createServiceClient("peer", url);
  await fillPool(client, proxy);
  proxy.silence();
  const outcomes = await callInTurn(client, POOLED + 5);
  expect(outcomes.filter((succeeded) => !succeeded).length).toBeLessThanOrEqual(1);
  expect(outcomes.slice(1)).not.toContain(false);
});

test("an outage of a peer that answers nobody is over with its first answer", async () => {
  const { proxy, url } = await startPeer();
  const client = createServiceClient("peer", url);
  await fillPool(client, proxy);
  proxy.silence();
  await proxy.onNew("silence");
  expect(await callInTurn(client, 3)).toEqual([false, false, false]);
  await proxy.onNew("forward");
  expect(await callInTurn(client, 5)).toEqual([true, true, true, true, true]);
});

test("calls under way at the same time are not cut off by the one that met the silence", async () => {
  const { proxy, url } = await startPeer();
  const client = createServiceClient("peer", url);
  await client.call("GET", "/");
  proxy.silence();
  const silent = client.call("GET", "/", { timeoutMs: CALL_TIMEOUT_MS });
  // Made while the first waits, on connections of their own; they end after it.
  proxy.delay(CALL_TIMEOUT_MS);
  const others = Array.from({ length: 5 }, () => client.call("GET", "/"));
  await expect(silent).rejects.toBeInstanceOf(GatewayTimeoutError);
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual([
    200, 200, 200, 200, 200,
  ]);
});

test.each([
  ["stops in its middle", 1_000_000],
  ["drips", 20],
])("an answer that %s ends the call at its limit", async (_, pauseMs) => {
  const { proxy, url } = await startPeer();
  const client = createServiceClient("peer", url);
  await client.call("GET", "/");
  proxy.drip({ bytes: 1_000, pauseMs });
  const startedMs = performance.now();
  const call = client.call("GET", "/large", { timeoutMs: CALL_TIMEOUT_MS });
  await expect(call).rejects.toBeInstanceOf(GatewayTimeoutError);
  expect(performance.now() - startedMs).toBeLessThan(CALL_TIMEOUT_MS + 5_000);
  proxy.drip(undefined);
  expect(await callInTurn(client, 3)).toEqual([true, true, true]);
});

test("a probe asks over a connection of its own, and is not misled by a silent one", async () => {
  const { proxy, url } = await startPeer();
  const dependency = createDependency("peer", url);
  for (let n = 0; n < 3; n++) {
    await probeHealth("peer", url, CALL_TIMEOUT_MS);
    expect(await dependency.isDown()).toBe(false);
    proxy.silence();
  }
});

test("a connection that nobody uses is let go before the server would close it", async () => {
  const { proxy, url } = await startPeer();
  const client = createServiceClient("peer", url);
  await fillPool(client, proxy);
  // Ours close what is idle for 30 s: a call that is sent at that moment would be lost.
  await until("all are closed", () => proxy.connections.length === 0, 28_000);
  expect(await callInTurn(client, 1)).toEqual([true]);
});
