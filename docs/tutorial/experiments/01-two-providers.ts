// Two tracer providers in one process: which one gets the spans, and who says so.
import { diag, trace } from "@opentelemetry/api";
import { BasicTracerProvider, type SpanProcessor } from "@opentelemetry/sdk-trace-base";

console.log("the first is taken: ", trace.setGlobalTracerProvider(providerThatTells("the first")));
console.log("the second is taken:", trace.setGlobalTracerProvider(providerThatTells("the second")));
trace.getTracer("tutorial").startSpan("hand an order on").end();

// The API does complain. But only to somebody who listens.
diag.setLogger({ error: say, warn: say, info() {}, debug() {}, verbose() {} });
trace.setGlobalTracerProvider(providerThatTells("the third"));

function providerThatTells(which: string): BasicTracerProvider {
  const processor: SpanProcessor = {
    onStart() {},
    onEnd: ({ name }) => console.log(`${which} got the span "${name}"`),
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  return new BasicTracerProvider({ spanProcessors: [processor] });
}

function say(message: string): void {
  console.log("diag:", message.split("\n", 1)[0]);
}
