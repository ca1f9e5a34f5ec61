/**
 * Which instrumentation traces HTTP requests in, for comparison: HTTP_INSTRUMENTATION=manual (the
 * default, ours), elysia (the framework's plugin, on the same provider) or off.
 */
import { Elysia } from "elysia";
import { httpServerTelemetry, isProbe } from "#lib/telemetry/http/server.ts";

// The plugin brings the whole Node SDK along, so it is loaded only where it is asked for.
const plugin =
  process.env["HTTP_INSTRUMENTATION"] === "elysia"
    ? await import("@elysiajs/opentelemetry")
    : undefined;

/** The Elysia plugin to use for this process. */
export function httpInstrumentation(): Elysia {
  if (plugin) {
    return plugin.opentelemetry({
      checkIfShouldTrace: (request) => !isProbe(request),
    }) as unknown as Elysia;
  }
  if (process.env["HTTP_INSTRUMENTATION"] === "off") return new Elysia();
  return httpServerTelemetry() as unknown as Elysia;
}
