// A body that comes piece by piece, as the caller sees it: when the CLIENT span ends.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { tracedFetch } from "../stages/04/http-client.ts";

const nothing = async () => {};
const onEnd = ({ name }: ReadableSpan) => console.log(`the span ${name} ends`);
trace.setGlobalTracerProvider(
  new BasicTracerProvider({
    spanProcessors: [{ onStart() {}, onEnd, forceFlush: nothing, shutdown: nothing }],
  }),
);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

await using server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: () =>
    new Response(async function* () {
      for (const line of ["one", "two", "three"]) {
        yield line;
        await Bun.sleep(20);
      }
    }),
});

const response = await tracedFetch(server.url.href);
console.log(`the caller has the head: ${response.status}`);
for await (const bytes of response.body ?? []) {
  console.log(`the caller has "${new TextDecoder().decode(bytes)}"`);
}
