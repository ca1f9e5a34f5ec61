// The same header three times: as text, as kafkajs hands it out, and with a getter that makes text of it.
import { defaultTextMapGetter, ROOT_CONTEXT, trace, type TextMapGetter } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import type { IHeaders } from "kafkajs";

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const fromKafka = { traceparent: Buffer.from(traceparent) };
const ownGetter: TextMapGetter<IHeaders> = {
  get: (headers, name) => headers[name]?.toString(),
  keys: (headers) => Object.keys(headers),
};

show("text, default getter:  ", { traceparent }, defaultTextMapGetter);
show("Buffer, default getter:", fromKafka, defaultTextMapGetter);
show("Buffer, own getter:    ", fromKafka, ownGetter);

function show(what: string, headers: IHeaders, getter: TextMapGetter<IHeaders>) {
  const found = new W3CTraceContextPropagator().extract(ROOT_CONTEXT, headers, getter);
  console.log(what, trace.getSpanContext(found)?.spanId ?? "nothing");
}
