/**
 * The set-up: tracer, meter and logger provider, built by hand, as nothing does it for us in Bun.
 *
 * What the environment says (OTEL_*) is read here and by the SDK's own classes; docs/telemetry.md
 * lists which variable does what. Nothing in here can fail a service: what is wrong is logged, and
 * what cannot be exported is dropped and counted.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
import { diag } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import {
  MeterProvider,
  PeriodicExportingMetricReader,
  type MetricReader,
} from "@opentelemetry/sdk-metrics";
import { ATTR_SERVICE_NAME } from "../attributes.ts";
import { agentOptions } from "./collector-agent.ts";
import { isSdkDisabled } from "./disabled.ts";
import { endable } from "./endable.ts";
import { readEnvironment, type Env } from "./environment.ts";
import { bindInstruments } from "../metrics/instruments.ts";
import { configureLogger, isLogLevel, logger } from "../logs/logger.ts";
import { positiveInt } from "./positive-int.ts";
import { createPrometheusReader } from "../metrics/prometheus.ts";
import { speed } from "../optional.ts";
import { createPropagator } from "../propagation.ts";
import { register, unregister } from "./register.ts";
import { createResource } from "./resource.ts";
import { onceEach } from "./sdk-messages.ts";
import { createTracerProvider, type OwnTracing } from "./tracer-provider.ts";
import { registerRuntimeMetrics } from "../metrics/runtime.ts";
import { SCOPE_NAME, SCOPE_VERSION } from "../scope.ts";

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

/** What was set up by this copy of the layer, also where its files were loaded anew (`bun --hot`). */
const STARTED = Symbol.for(`telemetry started by ${import.meta.dir}`);
const shared = globalThis as { [STARTED]?: { telemetry: Telemetry; isOver: () => boolean } };
let isLoadedAnew = STARTED in shared;

/**
 * Sets telemetry up for this process. Call it once, first thing: a second call changes nothing, says
 * so in the log, and gives what the first one gave. After a shutdown, and where `bun --hot` has loaded
 * the program anew, it is set up anew.
 * @param service its name (OTEL_SERVICE_NAME goes over it), its version, and the system it is part of
 * @param own what the program brings itself in place of what the layer would take
 */
export function startTelemetry(
  service: { name: string; version: string; namespace?: string },
  env: Env = process.env,
  own: OwnTracing = {},
): Telemetry {
  const before = shared[STARTED];
  if (before && !before.isOver() && !isLoadedAnew) {
    logger.warn("telemetry was set up before in this process; that goes on unchanged");
    return before.telemetry;
  }
  if (before) {
    void before.telemetry.shutdown();
    unregister();
  }
  isLoadedAnew = false;
  let isOver = false;
  const telemetry = start(service, env, own);
  const { shutdown } = telemetry;
  telemetry.shutdown = (timeoutMs) => {
    isOver = true;
    return shutdown(timeoutMs);
  };
  shared[STARTED] = { telemetry, isOver: () => isOver };
  return telemetry;
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
  const push = settings.exportsOtlp.METRICS ? createPush(env, ending.signal) : undefined;
  const prometheus = createPrometheusReader(push);
  const readers = new Set<MetricReader>([prometheus.reader, ...(push ? [push] : [])]);
  const meterProvider = new MeterProvider({ resource, readers: [...readers] });
  bindInstruments(meterProvider);

  const tracerProvider = createTracerProvider(
    { resource, settings, env, ending: ending.signal, meterProvider },
    own,
  );
  register(contexts, propagator, { tracers: tracerProvider, meters: meterProvider });
  diag.setLogger(sdkMessages, settings.diagLevel);

  const loggerProvider = new LoggerProvider({
    resource,
    processors: settings.exportsOtlp.LOGS
      ? [createLogProcessor(env, ending.signal, meterProvider)]
      : [],
  });
  if (settings.exportsOtlp.LOGS) {
    configureLogger({
      ...logs,
      serviceName,
      otlp: loggerProvider.getLogger(SCOPE_NAME, SCOPE_VERSION),
    });
  }

  const stop = async (timeoutMs: number) => {
    await shutdownAll([tracerProvider, meterProvider, loggerProvider], timeoutMs);
    ending.abort();
  };
  let stopped: Promise<void> | undefined;
  return {
    scrape: prometheus.scrape,
    shutdown: (timeoutMs = SHUTDOWN_MS) => (stopped ??= stop(timeoutMs)),
  };
}

/** Sends metrics every so often. */
function createPush(env: Env, ending: AbortSignal): MetricReader {
  const intervalMs = positiveInt(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000);
  return new PeriodicExportingMetricReader({
    exporter: endable(new OTLPMetricExporter(agentOptions(env, "METRICS", ending)), ending),
    exportIntervalMillis: intervalMs,
    // The SDK refuses to start with a timeout that is longer than the interval.
    exportTimeoutMillis: Math.min(
      positiveInt(env, "OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
      intervalMs,
    ),
  });
}

function createLogProcessor(
  env: Env,
  ending: AbortSignal,
  selfObsMeterProvider: MeterProvider,
): BatchLogRecordProcessor {
  const exporter = endable(new OTLPLogExporter(agentOptions(env, "LOGS", ending)), ending);
  return new BatchLogRecordProcessor({ exporter, selfObsMeterProvider });
}

/** Waits until all have sent what is left, but no longer than `timeoutMs`. */
async function shutdownAll(
  providers: readonly { shutdown(): Promise<void> }[],
  timeoutMs: number,
): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, timeoutMs);
  const all = providers.map((provider) =>
    provider.shutdown().catch((error: unknown) => diag.warn("telemetry was not flushed", error)),
  );
  await Promise.race([Promise.all(all), limit.promise]);
  clearTimeout(timer);
}
