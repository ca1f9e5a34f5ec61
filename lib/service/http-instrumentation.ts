/**
 * Which instrumentation traces HTTP requests in, for comparison: HTTP_INSTRUMENTATION=manual (the
 * default, ours), elysia (the framework's plugin, on the same provider) or off.
 */
import { Elysia } from "elysia";
import { elysiaTelemetry } from "#lib/telemetry/http/elysia.ts";
import { targetOf } from "#lib/telemetry/http/request.ts";

/** What every service answers to probes and scrapes: no spans, not counted. */
const PROBE_PATHS = ["/healthz", "/readyz", "/metrics"];

// The plugin brings the whole Node SDK along, so it is loaded only where it is asked for.
const plugin =
  process.env["HTTP_INSTRUMENTATION"] === "elysia"
    ? await import("@elysiajs/opentelemetry")
    : undefined;

/** The Elysia plugin to use for this process. */
export function httpInstrumentation(): (app: Elysia) => Elysia {
  if (plugin) {
    const theirs = plugin.opentelemetry({ checkIfShouldTrace: (request) => !isProbe(request) });
    return (app) => app.use(theirs) as unknown as Elysia;
  }
  if (process.env["HTTP_INSTRUMENTATION"] === "off") return (app) => app;
  return elysiaTelemetry({ untraced: PROBE_PATHS });
}

/** Whether a request is a probe or a scrape. */
export function isProbe(request: Request): boolean {
  return PROBE_PATHS.includes(targetOf(request).path);
}
