/**
 * Where spans are sent and how, as OTEL_EXPORTER_OTLP_* say: the signal's own variable goes before that
 * of all. What is malformed is said and left out, as with the SDK's exporter.
 * @see https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import { readFileSync } from "node:fs";
import { diag } from "@opentelemetry/api";
import { parseKeyPairsIntoRecord } from "@opentelemetry/core";
import { proxyFor } from "../setup/collector-agent.ts";
import { compressionOf, type Env } from "../setup/environment.ts";

const DEFAULT_ENDPOINT = "http://localhost:4318";
const DEFAULT_TIMEOUT_MS = 10_000;
const PATH = "v1/traces";

export interface CollectorSettings {
  url: string;
  headers: Record<string, string>;
  /** For all tries of a request together, with the waits between them and the answer. */
  timeoutMs: number;
  isCompressed: boolean;
  /** False: none, whatever the environment names. */
  proxy: string | false;
  tls: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}

/** @param env usually process.env */
export function collectorSettings(env: Env): CollectorSettings {
  const url = endpointOf(env);
  return {
    url,
    headers: {
      ...parseKeyPairsIntoRecord(env["OTEL_EXPORTER_OTLP_HEADERS"]),
      ...parseKeyPairsIntoRecord(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
    },
    timeoutMs: timeoutOf(env),
    isCompressed: compressionOf(env, "TRACES") === "gzip",
    proxy: proxyFor(new URL(url), env) ?? false,
    tls: {
      ...fileOf(env, "CERTIFICATE", "ca"),
      ...fileOf(env, "CLIENT_CERTIFICATE", "cert"),
      ...fileOf(env, "CLIENT_KEY", "key"),
    },
  };
}

/** The signal's own endpoint is taken as it is; below that of all the signal's path is put. */
function endpointOf(env: Env): string {
  const own = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]?.trim();
  if (own && isUrl(own)) return new URL(own).href;
  const all = env["OTEL_EXPORTER_OTLP_ENDPOINT"]?.trim();
  const base = all && isUrl(all) ? all : DEFAULT_ENDPOINT;
  return new URL(`${base}${base.endsWith("/") ? "" : "/"}${PATH}`).href;
}

function isUrl(text: string): boolean {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return true;
  // Without its text: it may have a password in it.
  diag.warn("the endpoint of OTEL_EXPORTER_OTLP_* is no HTTP URL and is left out");
  return false;
}

function timeoutOf(env: Env): number {
  for (const name of named("TIMEOUT")) {
    const text = env[name]?.trim();
    if (!text) continue;
    const timeoutMs = Number(text);
    if (Number.isFinite(timeoutMs) && timeoutMs > 0) return timeoutMs;
    diag.warn(`${name} is no number of milliseconds greater than 0`);
  }
  return DEFAULT_TIMEOUT_MS;
}

function fileOf<Key extends string>(env: Env, what: string, key: Key): { [key in Key]?: Buffer } {
  for (const name of named(what)) {
    const path = env[name]?.trim();
    if (!path) continue;
    try {
      return { [key]: readFileSync(path) } as { [key in Key]: Buffer };
    } catch {
      diag.warn(`the file that ${name} names cannot be read`);
      return {};
    }
  }
  return {};
}

/** A variable's names, the one that goes first in front. */
function named(what: string): readonly string[] {
  return [`OTEL_EXPORTER_OTLP_TRACES_${what}`, `OTEL_EXPORTER_OTLP_${what}`];
}
