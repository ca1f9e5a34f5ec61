/**
 * The proxy on the way to a collector, by the standard variables: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and
 * NO_PROXY, in either case. The exporters send with node:http, which follows none of them by itself.
 */
import { readFileSync } from "node:fs";
import type { AgentOptions } from "node:https";
import { BlockList, isIP } from "node:net";
import { diag } from "@opentelemetry/api";

type Env = Readonly<Record<string, string | undefined>>;
type Signal = "TRACES" | "METRICS" | "LOGS";

/** OpenTelemetry's default for OTEL_EXPORTER_OTLP_ENDPOINT. */
const DEFAULT_ENDPOINT = "http://localhost:4318";

/**
 * What to give an OTLP exporter so that it goes through the proxy which the environment names.
 *
 * @param signal whose endpoint it is, as in the variables' names
 * @returns nothing to add where no proxy stands on the way; the exporter then does as it always does
 */
export function proxyOptions(env: Env, signal: Signal): { httpAgentOptions?: AgentOptions } {
  const endpoint = setting(env, signal, "ENDPOINT") ?? DEFAULT_ENDPOINT;
  // What is wrong with the endpoint is the exporter's to say.
  const proxy = URL.canParse(endpoint) ? proxyFor(new URL(endpoint), env) : undefined;
  if (proxy === undefined) return {};
  // Options of ours take the place of those that the exporter makes of the environment: these, too.
  const tls = {
    ca: fileOf(env, signal, "CERTIFICATE"),
    cert: fileOf(env, signal, "CLIENT_CERTIFICATE"),
    key: fileOf(env, signal, "CLIENT_KEY"),
  };
  // Whether it goes through the proxy is decided by now: Node's own NO_PROXY knows no subnets.
  const proxyEnv = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
  return { httpAgentOptions: { keepAlive: true, proxyEnv, ...tls } };
}

/**
 * The proxy for a URL, as Bun's fetch chooses it.
 *
 * @returns its URL; undefined where there is none, or where NO_PROXY names the host
 */
export function proxyFor(url: URL, env: Env): string | undefined {
  const scheme = url.protocol.slice(0, -1);
  const proxy = anyCase(env, `${scheme}_proxy`) ?? anyCase(env, "all_proxy");
  if (proxy === undefined || isExempt(url, anyCase(env, "no_proxy") ?? "")) return undefined;
  const withScheme = proxy.includes("://") ? proxy : `http://${proxy}`;
  if (/^https?:/i.test(withScheme) && URL.canParse(withScheme)) return withScheme;
  // Without its text: it may have a password in it.
  diag.warn(
    "the environment names a proxy that is no HTTP proxy; the collector is called directly",
  );
  return undefined;
}

/** Whether a host is on a NO_PROXY list: `*`, a domain with all below it, an address, a subnet; with a port or without. */
function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      const [, name = "", onlyPort] = /^\[(.+)\](?::(\d+))?$/.exec(entry) ??
        /^([^:]+):(\d+)$/.exec(entry) ?? [entry, entry];
      if (onlyPort !== undefined && onlyPort !== port) return false;
      if (name === "*") return true;
      if (isIP(host)) return isAddressIn(host, name);
      const domain = name.replace(/^\*?\./, "");
      return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
    });
}

function isAddressIn(address: string, block: string): boolean {
  const [first = "", bits] = block.split("/");
  const family = isIP(first);
  if (family === 0) return false;
  const widest = family === 4 ? 32 : 128;
  const width = bits === undefined ? widest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(width <= widest)) return false;
  const list = new BlockList();
  list.addSubnet(first, width, family === 4 ? "ipv4" : "ipv6");
  return list.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}

/** Lower case goes first, as with curl; an empty variable counts as not set. */
function anyCase(env: Env, name: string): string | undefined {
  return env[name]?.trim() || env[name.toUpperCase()]?.trim() || undefined;
}

/** A variable of the exporter's, the signal's own before that of all. */
function setting(env: Env, signal: Signal, name: string): string | undefined {
  return (
    env[`OTEL_EXPORTER_OTLP_${signal}_${name}`]?.trim() ||
    env[`OTEL_EXPORTER_OTLP_${name}`]?.trim() ||
    undefined
  );
}

function fileOf(env: Env, signal: Signal, name: string): Buffer | undefined {
  const path = setting(env, signal, name);
  try {
    return path === undefined ? undefined : readFileSync(path);
  } catch {
    // The exporter, which reads it as well, says so.
    return undefined;
  }
}
