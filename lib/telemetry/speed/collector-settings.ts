/**
 * Where spans are sent and how, as OTEL_EXPORTER_OTLP_* say: the signal's own variable goes before that
 * of all. What is malformed is said and left out, as with the SDK's exporter.
 * @see https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
import { readFileSync } from "node:fs";
import { diag } from "@opentelemetry/api";
import { parseKeyPairsIntoRecord } from "@opentelemetry/core";
import { proxyFor } from "../setup/collector-agent.ts";
import { endpointOf } from "../setup/endpoint.ts";
import { compressionOf, type Env } from "../setup/environment.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

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
  const url = endpointOf(env, "TRACES");
  return {
    url: url.href,
    headers: {
      ...parseKeyPairsIntoRecord(env["OTEL_EXPORTER_OTLP_HEADERS"]),
      ...parseKeyPairsIntoRecord(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
    },
    timeoutMs: timeoutOf(env),
    isCompressed: compressionOf(env, "TRACES") === "gzip",
    proxy: proxyFor(url, env) ?? false,
    tls: {
      ...fileOf(env, "CERTIFICATE", "ca"),
      ...fileOf(env, "CLIENT_CERTIFICATE", "cert"),
      ...fileOf(env, "CLIENT_KEY", "key"),
    },
  };
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
