// The gateway: what a customer talks to. It hands on to the orders service what comes in.
import { Elysia } from "elysia";
import { traceRequests } from "./http-server.ts";
import { startTracing } from "./tracing.ts";

const { PORT, ORDERS_URL } = process.env;

startTracing("gateway");

new Elysia()
  .use(traceRequests())
  .post("/orders", async ({ body, set }) => {
    const answer = await fetch(`${ORDERS_URL}/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    console.log("gateway: handed an order on");
    set.status = answer.status;
    return await answer.json();
  })
  .get("/orders", async ({ set }) => {
    const answer = await fetch(`${ORDERS_URL}/orders`);
    set.status = answer.status;
    return await answer.json();
  })
  .get("/orders/:id", async ({ params, set }) => {
    const answer = await fetch(`${ORDERS_URL}/orders/${encodeURIComponent(params.id)}`);
    set.status = answer.status;
    return await answer.json();
  })
  .listen({ hostname: "127.0.0.1", port: Number(PORT) });
