// A body that comes piece by piece: when its request's span ends, and which span is active in between.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { Elysia } from "elysia";
import { traceRequests } from "../stages/03/http-server.ts";

const nothing = async () => {};
const onEnd = ({ name }: ReadableSpan) => console.log(`the span ${name} ends`);
trace.setGlobalTracerProvider(
  new BasicTracerProvider({
    spanProcessors: [{ onStart() {}, onEnd, forceFlush: nothing, shutdown: nothing }],
  }),
);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const app = new Elysia()
  .use(traceRequests())
  .get("/report", async function* () {
    for (const line of ["one", "two", "three"]) {
      await Bun.sleep(20);
      const span = trace.getActiveSpan() as unknown as ReadableSpan | undefined;
      console.log(`the handler makes "${line}"; the active span: ${span?.name ?? "none"}`);
      yield line;
    }
  })
  .listen({ hostname: "127.0.0.1", port: 0 });

const response = await fetch(`http://127.0.0.1:${app.server?.port}/report`);
console.log(`the client has the head: ${response.status}`);
for await (const bytes of response.body ?? []) {
  console.log(`the client has "${new TextDecoder().decode(bytes)}"`);
}
await app.stop(true);
