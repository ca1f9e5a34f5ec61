/** Who traces this process: OpenTelemetry's API takes the first that registers, and no other. */
import {
  context,
  diag,
  metrics,
  propagation,
  trace,
  type ContextManager,
  type MeterProvider,
  type TextMapPropagator,
  type TracerProvider,
} from "@opentelemetry/api";
import { logger } from "../logs/logger.ts";

/**
 * Registers context manager, propagator and providers for the whole process. Where another tracer
 * provider was first, that is said once: its spans are then the only ones, those of this layer's
 * functions among them, and they go where it exports to.
 *
 * @param providers left out where telemetry is switched off: context is passed on even then
 */
export function register(
  contexts: ContextManager,
  propagator: TextMapPropagator,
  providers?: { tracers: TracerProvider; meters: MeterProvider },
): void {
  // The API's own complaint is an error with its stack, for each of the four.
  diag.disable();
  if (context.setGlobalContextManager(contexts)) registered.push(context);
  if (propagation.setGlobalPropagator(propagator)) registered.push(propagation);
  if (providers === undefined) return;
  if (metrics.setGlobalMeterProvider(providers.meters)) registered.push(metrics);
  if (trace.setGlobalTracerProvider(providers.tracers)) {
    registered.push(trace);
    return;
  }
  logger.warn(
    `${whoIsFirst()} was registered first and traces this process: this set-up exports no spans`,
  );
}

/** What is ours of the API's globals, also where this file was loaded anew. */
const REGISTERED = Symbol.for(`telemetry registered by ${import.meta.dir}`);
const registered = ((globalThis as { [REGISTERED]?: { disable(): void }[] })[REGISTERED] ??= []);

/** Takes back what was registered here, and nothing of others', so that it can be done again. */
export function unregister(): void {
  diag.disable();
  for (const api of registered.splice(0)) api.disable();
}

/** A Bun that traces by itself registers before any program's first line. */
function whoIsFirst(): string {
  const isBun = "otel" in Bun && Bun.otel !== undefined;
  return isBun ? "Bun's own tracer (BUN_OTEL)" : "another tracer provider";
}
