/**
 * Where a signal is sent, as OTEL_EXPORTER_OTLP_* say: its own endpoint as it is, or its path below that of
 * all. What is no HTTP URL, as an address without `http://`, is told and left out, alike for all signals.
 * @see https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
 */
import { diag } from "@opentelemetry/api";
import type { Env, Signal } from "./environment.ts";

/** The specification's, for OTLP over HTTP. */
export const DEFAULT_ENDPOINT = "http://localhost:4318";

/** @param env usually process.env */
export function endpointOf(env: Env, signal: Signal): URL {
  const own = httpUrl(env, `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
  if (own !== undefined) return new URL(own);
  const base = httpUrl(env, "OTEL_EXPORTER_OTLP_ENDPOINT") ?? DEFAULT_ENDPOINT;
  return new URL(`${base}${base.endsWith("/") ? "" : "/"}v1/${signal.toLowerCase()}`);
}

function httpUrl(env: Env, name: string): string | undefined {
  const text = env[name]?.trim();
  if (!text) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  // Without its text: it may have a password in it.
  diag.warn(`${name} is no HTTP URL and is left out`);
  return undefined;
}
