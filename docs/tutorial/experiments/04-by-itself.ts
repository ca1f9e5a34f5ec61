// What fetch sends without being asked: requests that come in, and the span that each one's header names.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { tracedFetch } from "../stages/04/http-client.ts";

let ended = 0;
const nothing = async () => {};
const onEnd = (_span: ReadableSpan) => void ended++;
trace.setGlobalTracerProvider(
  new BasicTracerProvider({
    spanProcessors: [{ onStart() {}, onEnd, forceFlush: nothing, shutdown: nothing }],
  }),
);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());

let isClosing = false;
const server = createServer((request, response) => {
  const { method, url, headers } = request;
  const [, , spanId] = String(headers["traceparent"]).split("-");
  console.log(`  comes in: ${method} ${url}, from span ${spanId}`);
  if (isClosing) {
    isClosing = false;
    response.socket?.destroy();
  } else if (url === "/old") {
    response.writeHead(302, { location: "/new" }).end();
  } else {
    response.end("here you are");
  }
});
await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

await tell("an address that has moved", () => tracedFetch(`${origin}/old`));
isClosing = true;
await tell("a connection that is closed, GET", () => tracedFetch(`${origin}/orders`));
isClosing = true;
await tell("a connection that is closed, POST", () =>
  tracedFetch(`${origin}/orders`, { method: "POST", body: "{}" }),
);
server.close();

async function tell(what: string, call: () => Promise<Response>): Promise<void> {
  console.log(what);
  ended = 0;
  const answer = await call().then(
    async (response) => `${response.status} ${await response.text()}`,
    (error: { code?: string }) => error.code,
  );
  console.log(`  spans made: ${ended}; the caller has: ${answer}`);
}
