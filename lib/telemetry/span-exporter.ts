/** Where spans go: OpenTelemetry's OTLP exporter, with our encoder in place of its own. */
import { diag } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import type { SpanExporter } from "@opentelemetry/sdk-trace-base";
import { agentOptions } from "./collector-agent.ts";
import { encodeSpans } from "./span-encoder.ts";

/**
 * Makes the exporter. Address, headers, timeout and compression come from OTEL_EXPORTER_OTLP_* and
 * OTEL_EXPORTER_OTLP_TRACES_*; retries and limits are the exporter's own.
 *
 * How it connects, through a proxy or not, collector-agent.ts says.
 *
 * It has no option for the encoder, so that is put where the exporter keeps its own. Without that
 * line (or with a version that keeps it elsewhere) the same bytes are sent, at more cost.
 * @param env usually process.env; the exporter reads that by itself
 */
export function createSpanExporter(
  env: Readonly<Record<string, string | undefined>>,
): SpanExporter {
  const exporter = new OTLPTraceExporter(agentOptions(env, "TRACES"));
  const delegate: unknown = Reflect.get(exporter, "_delegate");
  const stock: unknown = delegate instanceof Object && Reflect.get(delegate, "_serializer");
  if (delegate instanceof Object && stock instanceof Object) {
    Reflect.set(delegate, "_serializer", { ...stock, serializeRequest: encodeSpans });
  } else {
    diag.warn("the span exporter keeps its encoder elsewhere; its own is used");
  }
  return exporter;
}
