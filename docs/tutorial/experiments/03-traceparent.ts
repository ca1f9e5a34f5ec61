// What the real propagator makes of a header `traceparent`, and of what the header is read from.
import { defaultTextMapGetter, ROOT_CONTEXT, trace, type TextMapGetter } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const GOOD = `00-${TRACE}-${SPAN}-01`;

const propagator = new W3CTraceContextPropagator();
const fromHeaders: TextMapGetter<Headers> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers.keys()],
};

console.log(`traceparent: ${GOOD}\n`);
tell("as it is", GOOD);
tell("flags 00: the caller records nothing", GOOD.replace(/01$/, "00"));
tell("the ids in capitals", GOOD.toUpperCase());
tell("one character too short", GOOD.replace("4bf", "bf"));
tell("one letter that is no hex digit", GOOD.replace("4bf", "4bg"));
tell("a trace id of zeros", GOOD.replace(TRACE, "0".repeat(32)));
tell("version ff", GOOD.replace(/^00/, "ff"));
tell("version 00, one field more", `${GOOD}-more`);
tell("version 01, one field more", `${GOOD.replace(/^00/, "01")}-more`);
tell("twice", `${GOOD}, ${GOOD}`);

console.log("\nread from");
const headers = new Headers({ traceparent: GOOD });
tellRead("a Headers object, the getter above", headers, fromHeaders);
tellRead("a Headers object, the default getter", headers, defaultTextMapGetter);
tellRead("its toJSON(), the default getter", headers.toJSON(), defaultTextMapGetter);
tellRead("{ Traceparent }, the default getter", { Traceparent: GOOD }, defaultTextMapGetter);

function tell(what: string, traceparent: string): void {
  tellRead(what, new Headers({ traceparent }), fromHeaders);
}

function tellRead<Carrier>(what: string, carrier: Carrier, getter: TextMapGetter<Carrier>): void {
  const parent = trace.getSpanContext(propagator.extract(ROOT_CONTEXT, carrier, getter));
  const found = parent ? `parent ${parent.spanId}, flags ${parent.traceFlags}` : "no parent";
  console.log(`  ${what.padEnd(38)} ${found}`);
}
