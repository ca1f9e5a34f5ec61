/** Hostile requests to every route of every service: nothing but honest 4xx may come of them. */
import { beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  hostileBody,
  hostileOrder,
  hostileRequests,
  requestBytes,
  type Route,
} from "./support/hostile/inputs.ts";
import { exchange } from "./support/hostile/raw-http.ts";
import { HOSTILE_TIMEOUT_MS, hostileSettings, reportInputs } from "./support/hostile/settings.ts";
import { expectUnharmed } from "./support/hostile/unharmed.ts";
import { judge } from "./support/hostile/verdict.ts";
import type { ServiceName } from "./support/service-process.ts";
import { createItem, stack, startStack, STACK_START_TIMEOUT_MS } from "./support/stack.ts";

/** Of an item that valid requests among the hostile ones may take from. */
const ITEM_ID = `HOSTILE-${crypto.randomUUID()}`;

/** What every service has, or has not. */
const COMMON: readonly Route[] = [
  { method: "GET", pattern: "/healthz" },
  { method: "GET", pattern: "/readyz" },
  { method: "GET", pattern: "/metrics", weight: 1 },
  { method: "GET", pattern: "/nothing/:here" },
];
const stockMove = hostileBody({ quantity: "1", order_id: '"hostile"' });

const ROUTES: Readonly<Record<ServiceName, readonly Route[]>> = {
  gateway: [
    { method: "POST", pattern: "/orders", body: hostileOrder(ITEM_ID) },
    { method: "GET", pattern: "/orders" },
    { method: "GET", pattern: "/orders-nplus1" },
    { method: "GET", pattern: "/orders/:id" },
    { method: "GET", pattern: "/inventory" },
    { method: "GET", pattern: "/inventory/:itemId" },
  ],
  orders: [
    { method: "POST", pattern: "/orders", body: hostileOrder(ITEM_ID) },
    { method: "GET", pattern: "/orders" },
    { method: "GET", pattern: "/orders-nplus1" },
    { method: "GET", pattern: "/orders/:id" },
    { method: "PATCH", pattern: "/orders/:id/status", body: hostileBody({ status: '"shipped"' }) },
    {
      method: "PATCH",
      pattern: `/orders/${crypto.randomUUID()}/status`,
      body: hostileBody({ status: '"shipped"' }),
    },
  ],
  inventory: [
    { method: "GET", pattern: "/stock" },
    { method: "GET", pattern: "/stock/:itemId" },
    { method: "POST", pattern: "/stock/:itemId/reserve", body: stockMove },
    { method: "POST", pattern: "/stock/:itemId/release", body: stockMove },
    { method: "POST", pattern: `/stock/${ITEM_ID}/reserve`, body: stockMove },
    { method: "POST", pattern: `/stock/${ITEM_ID}/release`, body: stockMove },
  ],
  email: [
    {
      method: "POST",
      pattern: "/send",
      body: hostileBody({ to: '"someone@example.com"', subject: '"Hello"', body: '"Hello"' }),
    },
  ],
  worker: [],
};

const SHARES: Readonly<Record<ServiceName, number>> = {
  gateway: 0.25,
  orders: 0.25,
  inventory: 0.2,
  email: 0.1,
  worker: 0.05,
};

beforeAll(async () => {
  await startStack();
  await createItem(1_000_000, ITEM_ID);
}, STACK_START_TIMEOUT_MS);

for (const name of Object.keys(ROUTES) as ServiceName[]) {
  test(
    `${name} answers hostile requests with a plain error or not at all, and goes on`,
    async () => {
      const { services } = await stack();
      const { host } = new URL(services[name]);
      const settings = hostileSettings<[unknown]>(SHARES[name]);
      const outcomes: Record<string, number> = {};
      let inputs = 0;
      await fc.assert(
        fc.asyncProperty(hostileRequests([...ROUTES[name], ...COMMON]), async (request) => {
          const bytes = requestBytes(request, host);
          const outcome = judge(request, await exchange(services[name], bytes, request.method));
          inputs += 1;
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        }),
        settings,
      );
      reportInputs(name, inputs, outcomes);
      expect(inputs).toBe(settings.numRuns);
      await expectUnharmed();
    },
    HOSTILE_TIMEOUT_MS,
  );
}
