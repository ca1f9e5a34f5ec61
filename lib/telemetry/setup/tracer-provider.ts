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
import { speed } from "../optional.ts";
import { agentOptions } from "./collector-agent.ts";
import { endable } from "./endable.ts";
import type { Env, TelemetrySettings } from "./environment.ts";
import { positiveInt } from "./positive-int.ts";
import { preciseStart } from "./precise-start.ts";

/** Four times the specification's default: a burst of some thousand requests leaves whole traces. */
const SPAN_QUEUE_MAX = 8_192;
/** The queue is bounded in spans; this bounds the spans. The specification's default is no bound. */
const ATTRIBUTE_CHARACTERS_MAX = 4_096;

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
  // Read here and not by the SDK, which takes any number: a batch of 0 spans would never get done.
  const maxQueueSize = positiveInt(env, "OTEL_BSP_MAX_QUEUE_SIZE", SPAN_QUEUE_MAX);
  const batches = {
    maxQueueSize,
    maxExportBatchSize: Math.min(
      positiveInt(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
      maxQueueSize,
    ),
    scheduledDelayMillis: positiveInt(env, "OTEL_BSP_SCHEDULE_DELAY", 5_000),
    exportTimeoutMillis: positiveInt(env, "OTEL_BSP_EXPORT_TIMEOUT", 30_000),
    // Counts what is exported and what is dropped: otel.sdk.processor.span.processed.
    selfObsMeterProvider: meterProvider,
  };
  const tracing = {
    resource,
    sampler: settings.sampler,
    spanLimits: {
      ...settings.spanLimits,
      attributeValueLengthLimit: positiveInt(
        env,
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        positiveInt(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", ATTRIBUTE_CHARACTERS_MAX),
      ),
    },
  };
  const queue = settings.exportsOtlp.TRACES ? batches : undefined;
  const isOurs = !own.spanProcessors?.length && !own.sampler && !own.spanExporter;
  return (
    (isOurs && speed?.createTracerProvider(tracing, env, queue, ending)) ||
    createPlainProvider(tracing, env, queue, own, ending)
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
    spanProcessors: [preciseStart, ...spanProcessors, ...batches],
  });
}
