// The gateway: what a customer talks to. It hands on to the orders service what comes in.
import { Elysia } from "elysia";
import { tracedFetch } from "./http-client.ts";
import { traceRequests } from "./http-server.ts";
import { log } from "./logs.ts";
import { startTelemetry } from "./telemetry.ts";
import { withTenant } from "./tenant.ts";

const { PORT, ORDERS_URL } = process.env;

startTelemetry("gateway");

new Elysia()
  .use(traceRequests())
  .post("/orders", async ({ body, headers }) => {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    const ask = () => askOrders("/orders", init);
    const tenant = headers["x-tenant"];
    const answer = await (tenant ? withTenant(tenant, ask) : ask());
    log("info", "handed an order on");
    return answer;
  })
  .get("/orders", async () => await askOrders("/orders"))
  .get("/orders/:id", async ({ params }) => {
    return await askOrders(`/orders/${encodeURIComponent(params.id)}`);
  })
  .listen({ hostname: "127.0.0.1", port: Number(PORT) });

// #region ask-orders
/** Whose fault it is, the status says: 4xx the customer's, 502 that of the service behind. */
async function askOrders(path: string, init?: RequestInit): Promise<Response> {
  try {
    const { status, headers, body } = await tracedFetch(`${ORDERS_URL}${path}`, init);
    const type = headers.get("content-type") ?? "text/plain";
    return new Response(body, { status, headers: { "content-type": type } });
  } catch {
    return Response.json({ error: "the orders service does not answer" }, { status: 502 });
  }
}
// #endregion ask-orders
