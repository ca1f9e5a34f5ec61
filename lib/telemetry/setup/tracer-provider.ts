/**
 * The tracer provider: from a span that ends, over the queue, to the collector.
 * @see https://opentelemetry.io/docs/specs/otel/trace/sdk/
 */
import type { MeterProvider } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import type { Resource } from "@opentelemetry/resources";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type BufferConfig,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  type TracerConfig,
} from "@opentelemetry/sdk-trace-base";
import { openSpans, speed } from "../optional.ts";
import type { OpenSpans } from "../optional-folders.ts";
import { agentOptions } from "./collector-agent.ts";
import { endable } from "./endable.ts";
import type { Env, TelemetrySettings } from "./environment.ts";
import { attributeCharactersMax, batchLimits } from "./trace-limits.ts";
import { preciseStart } from "./precise-start.ts";

/** What a program may give of its own. With any of them the SDK's own tracer makes the spans. */
export interface OwnTracing {
  /** They see each span before it is exported. */
  spanProcessors?: readonly SpanProcessor[];
  /** In place of what OTEL_TRACES_SAMPLER says. */
  sampler?: Sampler;
  /** In place of the one for OTLP. */
  spanExporter?: SpanExporter;
}

interface Surroundings {
  resource: Resource;
  settings: TelemetrySettings;
  env: Env;
  /** Aborts when nothing is to be waited for any more. */
  ending: AbortSignal;
  /** Counts what is exported and what is dropped. */
  meterProvider: MeterProvider;
}

/** The provider that the environment asks for: ours (speed/) where it may be, else the SDK's own. */
export function createTracerProvider(
  { resource, settings, env, ending, meterProvider }: Surroundings,
  own: OwnTracing,
) {
  const spanLimits = {
    ...settings.spanLimits,
    attributeValueLengthLimit: attributeCharactersMax(env),
  };
  const tracing = { resource, sampler: settings.sampler, spanLimits };
  // Counts what is exported and what is dropped: otel.sdk.processor.span.processed.
  const queue = settings.exportsOtlp.TRACES
    ? { ...batchLimits(env), selfObsMeterProvider: meterProvider }
    : undefined;
  const open = queue && openSpans(env, ending);
  const isOurs = !own.spanProcessors?.length && !own.sampler && !own.spanExporter;
  return (
    (isOurs && speed?.createTracerProvider?.(tracing, env, queue, ending, open)) ||
    createPlainProvider(tracing, env, queue, open, own, ending)
  );
}

/**
 * The SDK's own provider, its batch processor and the package's exporter.
 * @param queue undefined where spans are not exported
 */
function createPlainProvider(
  tracing: TracerConfig,
  env: Env,
  queue: BufferConfig | undefined,
  open: OpenSpans | undefined,
  { sampler, spanProcessors = [], spanExporter }: OwnTracing,
  ending: AbortSignal,
): BasicTracerProvider {
  // Address, headers, timeout and compression come from OTEL_EXPORTER_OTLP_*; retries are the exporter's own.
  const exporter = () =>
    spanExporter ?? endable(new OTLPTraceExporter(agentOptions(env, "TRACES", ending)), ending);
  const batches = queue ? [new BatchSpanProcessor(exporter(), queue)] : [];
  return new BasicTracerProvider({
    ...tracing,
    ...(sampler && { sampler }),
    spanProcessors: [preciseStart, ...(open ? [open] : []), ...spanProcessors, ...batches],
  });
}
