// The gateway: what a customer talks to. It hands on to the orders service what comes in.
import { trace } from "@opentelemetry/api";
import { Elysia } from "elysia";
import { startTracing } from "./tracing.ts";

const { PORT, ORDERS_URL } = process.env;

startTracing("gateway");
const tracer = trace.getTracer("tutorial");

new Elysia()
  // #region span
  .post("/orders", async ({ body, set }) => {
    const span = tracer.startSpan("hand an order on");
    const answer = await fetch(`${ORDERS_URL}/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    span.end();
    console.log("gateway: handed an order on");
    set.status = answer.status;
    return await answer.json();
  })
  // #endregion span
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
