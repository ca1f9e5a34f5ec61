// Tracing by hand: whose spans they are, how they leave the process, and which span is the active one.
// #region provider
import {
  context,
  propagation,
  trace,
  type Context,
  type Span,
  type SpanOptions,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { describe, failSpan } from "./errors.ts";

export const tracer = trace.getTracer("tutorial");

/** Makes this process a source of spans. Called once, before the first span. */
export function startTracing(serviceName: string): void {
  const provider = new BasicTracerProvider({
    // What stands on every span of this process: who it is.
    resource: resourceFromAttributes({ "service.name": serviceName }),
    // Collects ended spans and sends them together, to OTEL_EXPORTER_OTLP_ENDPOINT + /v1/traces.
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  if (!trace.setGlobalTracerProvider(provider)) {
    throw new Error("another tracer provider is registered already");
  }
  // Remembers across every await which span is the active one.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  // How a span's place in the world is written into headers, and read from them.
  propagation.setGlobalPropagator(
    new CompositePropagator({
      propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
    }),
  );
  endWith(() => provider.shutdown());
}
// #endregion provider

// #region in-span
/**
 * Runs `work` in a span of its own; the span ends whatever happens, and an error marks it as failed.
 * `options`: kind, attributes, links. `parent`: where it belongs, if not below the active span.
 */
export async function inSpan<T>(
  name: string,
  work: (span: Span) => Promise<T>,
  options: SpanOptions = {},
  parent: Context = context.active(),
): Promise<T> {
  return await tracer.startActiveSpan(name, options, parent, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      failSpan(span, describe(error));
      throw error;
    } finally {
      span.end();
    }
  });
}
// #endregion in-span

// #region end
/** What is still in the batch when the process is told to end has to be sent first. */
function endWith(shutdown: () => Promise<void>): void {
  const end = async () => {
    await shutdown();
    process.exit(0);
  };
  process.once("SIGTERM", end).once("SIGINT", end);
}
// #endregion end
