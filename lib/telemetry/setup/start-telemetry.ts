/**
 * The set-up: tracer, meter and logger provider, built by hand, as nothing does it for us in Bun.
 *
 * What the environment says (OTEL_*) is read here and by the SDK's own classes; docs/telemetry.md
 * lists which variable does what. Nothing in here can fail a service: what is wrong is logged, and
 * what cannot be exported is dropped and counted.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { diag, type DiagLogger } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import {
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type BufferConfig,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  type TracerConfig,
} from "@opentelemetry/sdk-trace-base";
import { ATTR_SERVICE_NAME } from "../attributes.ts";
import { agentOptions } from "./collector-agent.ts";
import { isSdkDisabled } from "./disabled.ts";
import { endable } from "./endable.ts";
import { readEnvironment, type Env } from "./environment.ts";
import { bindInstruments } from "../metrics/instruments.ts";
import { configureLogger, isLogLevel, logger } from "../logs/logger.ts";
import { preciseStart } from "./precise-start.ts";
import { createPrometheusReader } from "../metrics/prometheus.ts";
import { speed } from "../optional.ts";
import { createPropagator } from "../propagation.ts";
import { register } from "./register.ts";
import { createResource } from "./resource.ts";
import { registerRuntimeMetrics } from "../metrics/runtime.ts";

/** Four times the specification's default: a burst of some thousand requests leaves whole traces. */
const SPAN_QUEUE_MAX = 8_192;
/** The queue is bounded in spans; this bounds the spans. The specification's default is no bound. */
const ATTRIBUTE_CHARACTERS_MAX = 4_096;
/** The longest time that a timer can wait; it turns a longer one into none. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** What a script waits at its end for a collector that does not answer. */
const SHUTDOWN_MS = 3_000;

export interface Telemetry {
  /** The text of `GET /metrics`. */
  scrape(): Promise<string>;
  /**
   * Sends what is left and stops, after `timeoutMs` at the latest: what has not been sent by then is
   * given up, and nothing of it keeps the process alive. Never throws; a second call is the first.
   * @param timeoutMs default 3,000
   */
  shutdown(timeoutMs?: number): Promise<void>;
}

/** What a program may give of its own. With any of them the SDK's own tracer makes the spans. */
export interface OwnTracing {
  /** They see each span before it is exported. */
  spanProcessors?: readonly SpanProcessor[];
  /** In place of what OTEL_TRACES_SAMPLER says. */
  sampler?: Sampler;
  /** In place of the one for OTLP. */
  spanExporter?: SpanExporter;
}

let started: Telemetry | undefined;

/**
 * Sets telemetry up for this process. Call it once, first thing: a second call changes nothing, says
 * so in the log, and gives what the first one gave.
 * @param service its name (OTEL_SERVICE_NAME goes over it), its version, and the system it is part of
 * @param own what the program brings itself in place of what the layer would take
 */
export function startTelemetry(
  service: { name: string; version: string; namespace?: string },
  env: Env = process.env,
  own: OwnTracing = {},
): Telemetry {
  if (started) logger.warn("telemetry was set up before in this process; that goes on unchanged");
  started ??= start(service, env, own);
  return started;
}

function start(
  service: { name: string; version: string; namespace?: string },
  env: Env,
  own: OwnTracing,
): Telemetry {
  const level = env["LOG_LEVEL"] ?? "info";
  const logs = { serviceName: service.name, level: isLogLevel(level) ? level : "info" } as const;
  configureLogger(logs);
  const settings = readEnvironment(env);
  const sdkMessages = onceEach(settings.names);
  diag.setLogger(sdkMessages, settings.diagLevel);
  const resource = createResource(service, env);
  const serviceName = String(resource.attributes[ATTR_SERVICE_NAME]);
  configureLogger({ ...logs, serviceName });

  const contexts = new (speed?.LinkedContextManager ?? AsyncLocalStorageContextManager)().enable();
  const { propagator, unknown, isContradictory } = createPropagator(env["OTEL_PROPAGATORS"]);
  for (const problem of settings.problems) logger.warn(problem);
  for (const other of unknown) logger.warn(`OTEL_PROPAGATORS: "${other}" is not known here`);
  if (isContradictory) logger.warn(`OTEL_PROPAGATORS: "none" beside others contradicts them`);

  if (isSdkDisabled(env)) {
    // Context is passed on even then: the specification takes propagators out.
    register(contexts, propagator);
    diag.setLogger(sdkMessages, settings.diagLevel);
    return { scrape: async () => "", shutdown: async () => undefined };
  }

  // Aborts at the end of `shutdown`: what is still waiting for a collector stops waiting.
  const ending = new AbortController();
  registerRuntimeMetrics();
  const intervalMs = positiveInt(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000);
  const push = settings.exportsOtlp.METRICS
    ? new PeriodicExportingMetricReader({
        exporter: endable(
          new OTLPMetricExporter(agentOptions(env, "METRICS", ending.signal)),
          ending.signal,
        ),
        exportIntervalMillis: intervalMs,
        // The SDK refuses to start with a timeout that is longer than the interval.
        exportTimeoutMillis: Math.min(
          positiveInt(env, "OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
          intervalMs,
        ),
      })
    : undefined;
  const prometheus = createPrometheusReader(push);
  const readers = new Set<MetricReader>([prometheus.reader, ...(push ? [push] : [])]);
  const meterProvider = new MeterProvider({ resource, readers: [...readers] });
  bindInstruments(meterProvider);

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
  const tracerProvider =
    (isOurs && speed?.createTracerProvider(tracing, env, queue, ending.signal)) ||
    createPlainProvider(tracing, env, queue, own, ending.signal);
  register(contexts, propagator, { tracers: tracerProvider, meters: meterProvider });
  diag.setLogger(sdkMessages, settings.diagLevel);

  const loggerProvider = new LoggerProvider({
    resource,
    processors: settings.exportsOtlp.LOGS
      ? [
          new BatchLogRecordProcessor({
            exporter: endable(
              new OTLPLogExporter(agentOptions(env, "LOGS", ending.signal)),
              ending.signal,
            ),
            selfObsMeterProvider: meterProvider,
          }),
        ]
      : [],
  });
  if (settings.exportsOtlp.LOGS) {
    configureLogger({ ...logs, serviceName, otlp: loggerProvider.getLogger("orderflow") });
  }

  const stop = async (timeoutMs: number) => {
    const limit = Promise.withResolvers<void>();
    const timer = setTimeout(limit.resolve, timeoutMs);
    const all = [tracerProvider, meterProvider, loggerProvider].map((provider) =>
      provider.shutdown().catch((error: unknown) => diag.warn("telemetry was not flushed", error)),
    );
    await Promise.race([Promise.all(all), limit.promise]);
    clearTimeout(timer);
    ending.abort();
  };
  let stopped: Promise<void> | undefined;
  return {
    scrape: prometheus.scrape,
    shutdown: (timeoutMs = SHUTDOWN_MS) => (stopped ??= stop(timeoutMs)),
  };
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

/**
 * A positive integer that a timer can wait for too; what is malformed is reported and ignored, as the
 * specification says.
 */
function positiveInt(env: Env, name: string, fallback: number): number {
  const text = env[name]?.trim();
  if (!text) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return Math.min(value, TIMER_MS_MAX);
  logger.warn(`${name} is not a positive integer; ${fallback} is used instead`);
  return fallback;
}

/**
 * The SDK's own messages, each said once: with a collector down it would repeat the same one at
 * every batch. How much is dropped is told by the metric.
 * @param namesRead variables of which we have said ourselves what is wrong with them
 */
function onceEach(namesRead: ReadonlySet<string>): DiagLogger {
  const said = new Set<string>();
  const say =
    (write: typeof logger.warn) =>
    (message: string, ...rest: unknown[]) => {
      const text = errorMessageIn(message);
      // The SDK reads some variables once more by itself, and less exactly.
      if (text.match(/\bOTEL_[A-Z_]+/g)?.some((name) => namesRead.has(name))) return;
      const kind = text.replace(/\d+/g, "0").slice(0, 80);
      if (said.has(kind) || said.size >= 100) return;
      said.add(kind);
      write(`telemetry: ${text}`, rest.length > 0 ? { details: rest } : {});
    };
  return {
    error: say(logger.warn),
    warn: say(logger.warn),
    info: say(logger.info),
    debug: say(logger.debug),
    verbose: say(logger.debug),
  };
}

/** The SDK hands over an error as JSON of all its properties, its stack included. */
function errorMessageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? text);
  } catch {
    return text;
  }
}
