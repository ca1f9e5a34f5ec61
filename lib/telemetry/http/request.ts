/**
 * What a SERVER span tells of a request: method, path, query, host and user agent, cut out of the
 * request by hand. A URL object would cost more than the span.
 */
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from "../attributes.ts";
import { redactPath, redactQuery } from "../logs/redact.ts";
import type { StartAttributes } from "../span.ts";

/** A name or an IPv4 address, or an IPv6 address in brackets; then the port, if it is not the scheme's own. */
const HOST = /^(?:([^\s:/?#@[\]]+)|\[([\da-f:.]+)\])(?::(\d{1,5}))?$/i;

/** What a request is for. */
export interface Target {
  /** `http` or `https`. */
  scheme: string;
  /** As in the Host header; empty where that was none. */
  host: string;
  path: string;
  query: string;
}

/** Cuts a request's URL. With a Host header that is not valid the runtime gives the path alone. */
export function targetOf({ url }: Request): Target {
  const hostAt = url.startsWith("/") ? 0 : url.indexOf("://") + 3;
  const pathAt = url.indexOf("/", hostAt);
  const queryAt = url.indexOf("?", pathAt);
  return {
    scheme: url.startsWith("https:") ? "https" : "http",
    host: url.slice(hostAt, pathAt),
    path: url.slice(pathAt, queryAt < 0 ? undefined : queryAt),
    query: queryAt < 0 ? "" : url.slice(queryAt + 1),
  };
}

/**
 * The status that the caller sees. Where a WebSocket has taken over, a handler has no response; or the
 * framework's empty one, which the runtime leaves aside.
 */
export function statusOf(
  { method, headers }: Request,
  response: Response | undefined | void,
): number {
  if (response && (response.status !== 200 || method !== "GET")) return response.status;
  const isUpgrade =
    headers.get("upgrade")?.toLowerCase() === "websocket" && headers.has("sec-websocket-key");
  if (isUpgrade && !response?.headers.has("content-type")) return 101;
  return response?.status ?? 204;
}

/** @param method as knownMethod (known-method.ts) says it */
export function requestAttributes(
  request: Request,
  method: string,
  { scheme, host, path, query }: Target,
): StartAttributes {
  const userAgent = request.headers.get("user-agent") ?? "";
  const own: Attributes = { [ATTR_URL_PATH]: redactPath(path) };
  if (method === "_OTHER") own[ATTR_HTTP_REQUEST_METHOD_ORIGINAL] = request.method;
  if (query !== "") own[ATTR_URL_QUERY] = redactQuery(query);
  return { shared: callerAttributes(method, scheme, host, userAgent), own };
}

/** Clients that are kept, and how long their names may be: they choose both. */
const CALLERS = { max: 1_000, charactersMax: 300 };
const callers = new Map<string, Attributes>();

/** What the requests of one client have in common, made once. */
function callerAttributes(
  method: string,
  scheme: string,
  host: string,
  userAgent: string,
): Attributes {
  const key = `${method} ${scheme} ${host} ${userAgent}`;
  const known = callers.get(key);
  if (known) return known;
  const attributes: Attributes = { [ATTR_HTTP_REQUEST_METHOD]: method, [ATTR_URL_SCHEME]: scheme };
  const [, name, ipv6, written] = HOST.exec(host) ?? [];
  const address = name ?? ipv6;
  const port = written === undefined ? (scheme === "https" ? 443 : 80) : Number(written);
  if (address !== undefined && port > 0 && port <= 65_535) {
    attributes[ATTR_SERVER_ADDRESS] = address;
    attributes[ATTR_SERVER_PORT] = port;
  }
  if (userAgent !== "") attributes[ATTR_USER_AGENT_ORIGINAL] = userAgent;
  if (key.length > CALLERS.charactersMax) return attributes;
  // Those that come again are soon there again.
  if (callers.size >= CALLERS.max) callers.clear();
  callers.set(key, Object.freeze(attributes));
  return attributes;
}
