import { afterEach, expect, test } from "bun:test";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { useOurEncoder } from "./span-exporter.ts";

const stock = ProtobufTraceSerializer.serializeRequest;
const endpoint = process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

afterEach(() => {
  ProtobufTraceSerializer.serializeRequest = stock;
  if (endpoint === undefined) delete process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
  else process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = endpoint;
});

test("spans arrive through the exporter's transport without its own encoder being asked", async () => {
  const received = Promise.withResolvers<Uint8Array>();
  const collector = Bun.serve({
    port: 0,
    async fetch(request) {
      received.resolve(await request.bytes());
      return new Response();
    },
  });
  try {
    process.env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] =
      `http://127.0.0.1:${collector.port}/v1/traces`;
    ProtobufTraceSerializer.serializeRequest = () => {
      throw new Error("the stock encoder was asked");
    };
    const exporter = new OTLPTraceExporter();
    useOurEncoder(exporter);
    const provider = new BasicTracerProvider({
      spanProcessors: [new BatchSpanProcessor(exporter)],
    });
    provider.getTracer("test").startSpan("reserve items").end();
    await provider.shutdown();
    expect(Buffer.from(await received.promise).includes("reserve items")).toBe(true);
  } finally {
    await collector.stop(true);
  }
});
