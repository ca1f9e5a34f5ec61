// One exported span, as it goes over the wire: OTLP is protobuf, and protobuf can be read by hand.
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

/** Of each message the fields that come here: their number, their name, and how their value reads. */
const MESSAGES: Readonly<Record<string, Readonly<Record<number, readonly [string, string]>>>> = {
  ExportTraceServiceRequest: { 1: ["resource_spans", "ResourceSpans"] },
  ResourceSpans: { 1: ["resource", "Resource"], 2: ["scope_spans", "ScopeSpans"] },
  Resource: { 1: ["attributes", "KeyValue"], 2: ["dropped_attributes_count", "number"] },
  KeyValue: { 1: ["key", "text"], 2: ["value", "AnyValue"] },
  AnyValue: { 1: ["string_value", "text"] },
  ScopeSpans: { 1: ["scope", "Scope"], 2: ["spans", "Span"] },
  Scope: { 1: ["name", "text"] },
  Span: {
    1: ["trace_id", "id"],
    2: ["span_id", "id"],
    4: ["parent_span_id", "id"],
    5: ["name", "text"],
    6: ["kind", "number"],
    7: ["start_time_unix_nano", "time"],
    8: ["end_time_unix_nano", "time"],
    10: ["dropped_attributes_count", "number"],
    12: ["dropped_events_count", "number"],
    14: ["dropped_links_count", "number"],
    15: ["status", "Status"],
    16: ["flags", "flags"],
  },
  Status: { 3: ["code", "number"] },
};

const body = await exported();
console.log(`POST /v1/traces, ${body.length} bytes\n`);
read(body, "ExportTraceServiceRequest", 0);

/** Makes one span, and takes what the exporter sends. */
async function exported(): Promise<Buffer> {
  const received = Promise.withResolvers<Buffer>();
  await using collector = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      received.resolve(Buffer.from(await request.bytes()));
      return new Response();
    },
  });
  const exporter = new OTLPTraceExporter({ url: `${collector.url.origin}/v1/traces` });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "gateway" }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  provider.getTracer("tutorial").startSpan("hand an order on").end();
  await provider.shutdown();
  return await received.promise;
}

/** A message is a row of fields: a number that tells which and how long, then the value. */
function read(bytes: Buffer, message: string, depth: number): void {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    const [name, type] = MESSAGES[message]?.[tag >> 3] ?? [`field ${tag >> 3}`, ""];
    // The last three bits: 0 a number, 1 eight bytes, 2 a length and as many bytes, 5 four bytes.
    const wire = tag & 7;
    const number = wire === 0 || wire === 2 ? varint() : 0;
    const head = bytes.toString("hex", start, at).replaceAll(/..(?=.)/g, "$& ");
    const length = [0, 8, number, 0, 0, 4][wire] ?? 0;
    const value = bytes.subarray(at, (at += length));
    const text = textOf(type, value, number) ?? `${length} bytes`;
    console.log(`${"  ".repeat(depth)}${head}`.padEnd(18), name.padEnd(24), text);
    if (type in MESSAGES) read(value, type, depth + 1);
  }
}

function textOf(type: string, value: Buffer, number: number): string | undefined {
  if (type === "text") return JSON.stringify(value.toString());
  if (type === "id") return value.toString("hex");
  if (type === "time") return `${value.readBigUInt64LE()} ns`;
  if (type === "flags") return `0x${value.readUInt32LE().toString(16)}`;
  return type === "number" ? String(number) : undefined;
}
