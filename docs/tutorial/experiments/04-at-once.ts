// 200 calls at once, answered in another order than they were sent in: which span is the active one after each.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { inSpan } from "../stages/04/tracing.ts";

const CALLS = 200;

trace.setGlobalTracerProvider(new BasicTracerProvider());
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

await using server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch() {
    await Bun.sleep(Math.random() * 50);
    return new Response("here you are");
  },
});

let own = 0;
let another = 0;
await Promise.all(
  Array.from({ length: CALLS }, () =>
    inSpan("call", async (span) => {
      const note = () => (trace.getActiveSpan() === span ? own++ : another++);
      const response = await fetch(server.url);
      note();
      await response.text();
      note();
    }),
  ),
);
console.log(`${CALLS} calls, looked at twice each: after the answer, and after its body`);
console.log(`the active span is the call's own: ${own} times; another, or none: ${another} times`);
