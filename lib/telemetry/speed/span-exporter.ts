/** OpenTelemetry's OTLP exporter, with our encoder in place of its own. */
import { diag } from "@opentelemetry/api";
import type { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { encodeSpans } from "./span-encoder.ts";

/**
 * Makes an exporter encode with ours. It has no option for the encoder, so that is put where it keeps
 * its own. With a version that keeps it elsewhere the same bytes are sent, at more cost.
 */
export function useOurEncoder(exporter: OTLPTraceExporter): void {
  const delegate: unknown = Reflect.get(exporter, "_delegate");
  const stock: unknown = delegate instanceof Object && Reflect.get(delegate, "_serializer");
  if (delegate instanceof Object && stock instanceof Object) {
    Reflect.set(delegate, "_serializer", { ...stock, serializeRequest: encodeSpans });
  } else {
    diag.warn("the span exporter keeps its encoder elsewhere; its own is used");
  }
}
