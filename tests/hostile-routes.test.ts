/** Hostile requests to every route of every service: nothing but honest 4xx may come of them. */
import { beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import { SERVICE_NAMES, type ServiceName } from "#lib/service/services.ts";
import {
  hostileBody,
  hostileOrder,
  hostileRequests,
  requestBytes,
  type Route,
} from "./support/hostile/inputs.ts";
import { exchange } from "./support/hostile/raw-http.ts";
import { routesOf } from "./support/hostile/routes.ts";
import { HOSTILE_TIMEOUT_MS, hostileSettings, reportInputs } from "./support/hostile/settings.ts";
import { expectUnharmed } from "./support/hostile/unharmed.ts";
import { judge } from "./support/hostile/verdict.ts";
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
const statusChange = hostileBody({ status: '"shipped"' });

/** Bodies that are nearly right. */
const BODIES = {
  "POST /orders": hostileOrder(ITEM_ID),
  "PATCH /orders/:id/status": statusChange,
  "POST /stock/:itemId/reserve": stockMove,
  "POST /stock/:itemId/release": stockMove,
  "POST /send": hostileBody({
    to: '"someone@example.com"',
    subject: '"Hello"',
    body: '"Hello"',
  }),
};

/** Routes to what is there, or might be. */
const MORE: Readonly<Partial<Record<ServiceName, readonly Route[]>>> = {
  orders: [
    { method: "PATCH", pattern: `/orders/${crypto.randomUUID()}/status`, body: statusChange },
  ],
  inventory: [
    { method: "POST", pattern: `/stock/${ITEM_ID}/reserve`, body: stockMove },
    { method: "POST", pattern: `/stock/${ITEM_ID}/release`, body: stockMove },
  ],
};

/** Of all requests; those with more routes or more rules get more. */
const SHARES: Readonly<Partial<Record<ServiceName, number>>> = {
  gateway: 0.25,
  orders: 0.25,
  inventory: 0.2,
  worker: 0.05,
};
const SHARE = 0.1;

beforeAll(async () => {
  await startStack();
  await createItem(1_000_000, ITEM_ID);
}, STACK_START_TIMEOUT_MS);

for (const name of SERVICE_NAMES) {
  test(
    `${name} answers hostile requests with a plain error or not at all, and goes on`,
    async () => {
      const { services } = await stack();
      const { host } = new URL(services[name]);
      const settings = hostileSettings<[unknown]>(SHARES[name] ?? SHARE);
      const routes = [...(await routesOf(name, BODIES)), ...(MORE[name] ?? []), ...COMMON];
      const outcomes: Record<string, number> = {};
      let inputs = 0;
      await fc.assert(
        fc.asyncProperty(hostileRequests(routes), async (request) => {
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
