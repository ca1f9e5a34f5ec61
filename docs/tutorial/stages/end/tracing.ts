// Tracing by hand: whose spans they are, how they leave the process, and which span is the active one.
// #region provider
import {
  context,
  metrics,
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
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import { atEnd } from "./ending.ts";
import { describe, failSpan } from "./errors.ts";
import { TenantProcessor } from "./tenant.ts";

export const tracer = trace.getTracer("tutorial");

// #region share
/** Which share of the traces that begin here is kept: 0 to 1. */
const SAMPLED_SHARE = Number(process.env["OTEL_TRACES_SAMPLER_ARG"] || 1);
// #endregion share

/** Makes this process a source of spans. Called once, before the first span, and after the metrics are started. */
export function startTracing(serviceName: string): void {
  // #region queue
  // At most 2,048 spans wait (OTEL_BSP_MAX_QUEUE_SIZE), and a batch 10 s for its answer. What is too much
  // is dropped, and counted: otel.sdk.processor.span.processed. (The option that says where is one that
  // the types of sdk-trace-base 2.12 do not know: in the call itself they would complain.)
  const batching = {
    exportTimeoutMillis: 10_000,
    selfObsMeterProvider: metrics.getMeterProvider(),
  };
  // #endregion queue
  const provider = new BasicTracerProvider({
    // What stands on every span of this process: who it is.
    resource: resourceFromAttributes({ "service.name": serviceName }),
    // #region sampler
    // Whoever began the trace has decided; only a root is ours to decide.
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(SAMPLED_SHARE) }),
    // #endregion sampler
    // #region span-limits
    // The queue is bounded in spans; this bounds a span.
    spanLimits: { attributeValueLengthLimit: 4_096 },
    // #endregion span-limits
    // #region processors
    // The first puts the tenant on. The second collects ended spans and sends them together.
    spanProcessors: [
      new TenantProcessor(),
      new BatchSpanProcessor(new OTLPTraceExporter(), batching),
    ],
    // #endregion processors
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
  atEnd(() => provider.shutdown());
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
