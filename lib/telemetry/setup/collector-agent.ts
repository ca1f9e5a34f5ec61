/**
 * The connections to a collector. The exporters send with node:http, which follows no proxy by itself,
 * and their time limit is one of silence: an answer that trickles would hold its place for ever.
 */
import { readFileSync } from "node:fs";
import http, { type ClientRequest } from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";
import { diag } from "@opentelemetry/api";
import { endpointOf } from "./endpoint.ts";
import { compressionOf, type Env, type Signal } from "./environment.ts";

/** OpenTelemetry's default for OTEL_EXPORTER_OTLP_TIMEOUT. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** The exporter's own limit goes first, where it sees one: it says what happened. */
const GRACE_MS = 1_000;

/**
 * What to give an OTLP exporter: an agent that goes through the proxy which the environment names (by
 * HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case), and ends each request that takes
 * longer than OTEL_EXPORTER_OTLP_TIMEOUT in all, and a second more.
 *
 * @param env usually process.env, which the exporter itself reads
 * @param signal which exporter it is for, as in the variables' names
 * @param ending when it aborts, the connections are closed: those that wait for an answer as well
 * @param graceMs that second, in which the exporter's own limit goes first
 */
export function agentOptions(
  env: Env,
  signal: Signal,
  ending?: AbortSignal,
  graceMs: number = GRACE_MS,
) {
  const url = endpointOf(env, signal);
  const proxy = proxyFor(url, env);
  // An agent of ours takes the place of the one that the exporter makes of the environment: these, too.
  const tls = {
    ca: fileOf(env, signal, "CERTIFICATE"),
    cert: fileOf(env, signal, "CLIENT_CERTIFICATE"),
    key: fileOf(env, signal, "CLIENT_KEY"),
  };
  const timeoutMs = Number(setting(env, signal, "TIMEOUT"));
  const limitMs = (timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS) + graceMs;
  return {
    url: url.href,
    // The exporter knows the words in small letters only. Its type is an enum of a package that we do
    // not depend on.
    compression: compressionOf(env, signal) as never,
    httpAgentOptions(protocol: string): http.Agent {
      // Whether it goes through the proxy is decided by now: Node's own NO_PROXY knows no subnets.
      const proxyEnv = proxy === undefined ? {} : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
      const options = { keepAlive: true, proxyEnv };
      return protocol === "http:"
        ? limited(new http.Agent(options), limitMs, ending)
        : limited(new https.Agent({ ...options, ...tls }), limitMs, ending);
    },
  };
}

/**
 * Makes an agent end each request after a time, and all of them when `ending` aborts. Node's agents are given every request by their
 * `addRequest`, which is no documented method, and the only place where a request of the exporter's can
 * be met. Without one, its limit of silence is what is left.
 */
function limited(agent: http.Agent, limitMs: number, ending?: AbortSignal): http.Agent {
  const addRequest: unknown = Reflect.get(agent, "addRequest");
  if (typeof addRequest !== "function") {
    diag.warn("an answer of the collector that trickles may hold its place for long");
    return agent;
  }
  const open = new Set<ClientRequest>();
  ending?.addEventListener("abort", () => {
    for (const request of open) request.destroy(new Error("the process ends"));
    agent.destroy();
  });
  Reflect.set(agent, "addRequest", (request: ClientRequest, ...rest: unknown[]): unknown => {
    const late = Object.assign(new Error("the export took too long"), { code: "ETIMEDOUT" });
    const timer = setTimeout(() => request.destroy(late), Math.min(limitMs, TIMER_MS_MAX));
    timer.unref();
    open.add(request);
    request.once("close", () => {
      clearTimeout(timer);
      open.delete(request);
    });
    return addRequest.call(agent, request, ...rest);
  });
  return agent;
}

/** The longest time that a timer can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;

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
