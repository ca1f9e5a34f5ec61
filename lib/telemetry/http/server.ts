/**
 * HTTP requests in: one SERVER span each, and the request metrics.
 *
 * Elysia's `wrap` sees every request – also those that match no route, fail validation or throw –
 * and gets the final response back: one entry and one exit for the span. It does not know the route;
 * a lifecycle hook does, and completes the span's name.
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-spans.md#http-server-span
 */
import { context, SpanKind, trace, type Attributes, type Span } from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { Elysia } from "elysia";
import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from "../attributes.ts";
import { isSdkDisabled } from "../setup/disabled.ts";
import { EMPTY_CONTEXT, fixedSets, routeLocation } from "../optional.ts";
import { httpServerActiveRequests, httpServerRequestDuration } from "../metrics/instruments.ts";
import { extractFromHttp } from "../propagation.ts";
import { redactPath, redactQuery } from "../logs/redact.ts";
import { failSpan, tracer } from "../span.ts";

/** Requests that make no spans and are not counted: probes and scrapes. */
const UNTRACED_PATHS = new Set(["/healthz", "/readyz", "/metrics"]);

/** RFC 9110 and RFC 5789; any other method is `_OTHER`, so that a caller cannot invent series. */
const KNOWN_METHODS = new Set(
  (
    process.env["OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"] ||
    "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,TRACE,QUERY"
  ).split(/\s*,\s*/),
);

/** A name or an IPv4 address, or an IPv6 address in brackets; then the port, if it is not the scheme's own. */
const HOST = /^(?:([^\s:/?#@[\]]+)|\[([\da-f:.]+)\])(?::(\d{1,5}))?$/i;

/** What is known of one request while it is handled; it goes with the request's span. */
interface ServerRequest {
  readonly span: Span;
  readonly method: string;
  route?: string;
  error?: unknown;
}

const SERVER_REQUEST = Symbol("orderflow.http.server.request");

// On the span and not in the context beside it: one look finds both, and they end together.
interface ServerSpan extends Span {
  [SERVER_REQUEST]?: ServerRequest;
}

type Handle = (request: Request) => Response | Promise<Response>;

/**
 * An Elysia plugin that traces every request of the app that uses it. Use it first, before routes.
 */
export function httpServerTelemetry() {
  const plugin = new Elysia({ name: "orderflow.telemetry.http-server" });
  if (isSdkDisabled(process.env)) {
    return plugin.wrap((inner) => (request: Request) => {
      return passContextOn(inner as unknown as Handle, request);
    });
  }
  return plugin
    .wrap((inner, request) => {
      const handle = inner as unknown as Handle;
      const target = targetOf(request);
      return UNTRACED_PATHS.has(target.path)
        ? (again: Request) => context.with(suppressTracing(EMPTY_CONTEXT), handle, undefined, again)
        : (again: Request) => serve(handle, again, target);
    })
    .onTransform({ as: "global" }, ({ route }) => noteRoute(route))
    .onError({ as: "global" }, ({ route }) => noteRoute(route));
}

/**
 * Tells the span of the request that is being handled what went wrong, for its status text. The
 * error mapper calls it; it has an effect only where the response turns out to be a 5xx.
 */
export function noteServerError(error: unknown): void {
  const current = currentRequest();
  if (current) current.error = error;
}

/** Whether a request is a probe or a scrape, which makes no spans and is not counted. */
export function isProbe(request: Request): boolean {
  return UNTRACED_PATHS.has(targetOf(request).path);
}

/** All that is left to do without the SDK: what came in goes on to the services that are called. */
function passContextOn(handle: Handle, request: Request): Response | Promise<Response> {
  const parent = extractFromHttp(EMPTY_CONTEXT, request.headers);
  return parent === EMPTY_CONTEXT
    ? handle(request)
    : context.with(parent, handle, undefined, request);
}

function serve(handle: Handle, request: Request, target: Target): Response | Promise<Response> {
  const startedMs = performance.now();
  const method = KNOWN_METHODS.has(request.method) ? request.method : "_OTHER";
  const parent = extractFromHttp(EMPTY_CONTEXT, request.headers);
  const span: ServerSpan = tracer().startSpan(
    method === "_OTHER" ? "HTTP" : method,
    { kind: SpanKind.SERVER, attributes: requestAttributes(request, method, target) },
    parent,
  );
  const current: ServerRequest = { span, method };
  span[SERVER_REQUEST] = current;
  httpServerActiveRequests.add(1, method);

  const finish = (response: Response): Response => {
    httpServerActiveRequests.add(-1, method);
    endServerSpan(current, response.status, startedMs);
    return response;
  };
  const fail = (error: unknown): never => {
    current.error = error;
    httpServerActiveRequests.add(-1, method);
    endServerSpan(current, 500, startedMs);
    throw error;
  };
  const own = trace.setSpan(parent, span);
  try {
    const answer = context.with(own, handle, undefined, request);
    return answer instanceof Promise ? answer.then(finish, fail) : finish(answer);
  } catch (error) {
    return fail(error);
  }
}

function requestAttributes(
  request: Request,
  method: string,
  { host, path, query }: Target,
): Attributes {
  const attributes: Attributes = {
    [ATTR_HTTP_REQUEST_METHOD]: method,
    [ATTR_URL_PATH]: redactPath(path),
    [ATTR_URL_SCHEME]: "http",
  };
  if (method === "_OTHER") attributes[ATTR_HTTP_REQUEST_METHOD_ORIGINAL] = request.method;
  if (query !== "") attributes[ATTR_URL_QUERY] = redactQuery(query);
  const [, name, ipv6, port = "80"] = HOST.exec(host) ?? [];
  const address = name ?? ipv6;
  if (address !== undefined && Number(port) > 0 && Number(port) <= 65_535) {
    attributes[ATTR_SERVER_ADDRESS] = address;
    attributes[ATTR_SERVER_PORT] = Number(port);
  }
  const userAgent = request.headers.get("user-agent");
  if (userAgent) attributes[ATTR_USER_AGENT_ORIGINAL] = userAgent;
  return attributes;
}

function noteRoute(route: string | undefined): void {
  const current = currentRequest();
  if (!current || !route || current.route) return;
  current.route = route;
  if (!current.span.isRecording()) return;
  current.span.updateName(`${current.method === "_OTHER" ? "HTTP" : current.method} ${route}`);
  current.span.setAttribute(ATTR_HTTP_ROUTE, route);
  const location = routeLocation(current.method, route);
  if (location) current.span.setAttributes(location);
}

/**
 * Ends a SERVER span with the response's outcome and records the request's duration.
 * @param status HTTP status; a 4xx leaves the span's status unset, a 5xx makes it an error
 * @param startedMs from the monotonic clock
 */
function endServerSpan(current: ServerRequest, status: number, startedMs: number): void {
  const { span, method, route, error } = current;
  httpServerRequestDuration.record(
    (performance.now() - startedMs) / 1000,
    metricAttributes(`${method} ${status} ${route}`, method, status, route),
  );

  span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, status);
  if (status >= 500) failSpan(span, String(status), error);
  span.end();
}

const metricAttributes = fixedSets((method: string, status: number, route?: string) => ({
  [ATTR_HTTP_REQUEST_METHOD]: method,
  [ATTR_URL_SCHEME]: "http",
  [ATTR_HTTP_RESPONSE_STATUS_CODE]: status,
  ...(route && { [ATTR_HTTP_ROUTE]: route }),
  ...(status >= 500 && { [ATTR_ERROR_TYPE]: String(status) }),
}));

function currentRequest(): ServerRequest | undefined {
  const span: ServerSpan | undefined = trace.getActiveSpan();
  return span?.[SERVER_REQUEST];
}

/** What a request is for, cut out of its URL: a URL object would cost more than the span. */
interface Target {
  /** As in the Host header; empty where that was none. */
  host: string;
  path: string;
  query: string;
}

function targetOf({ url }: Request): Target {
  // With a Host header that is not valid the runtime gives the path alone.
  const hostAt = url.startsWith("/") ? 0 : url.indexOf("://") + 3;
  const pathAt = url.indexOf("/", hostAt);
  const queryAt = url.indexOf("?", pathAt);
  return {
    host: url.slice(hostAt, pathAt),
    path: url.slice(pathAt, queryAt < 0 ? undefined : queryAt),
    query: queryAt < 0 ? "" : url.slice(queryAt + 1),
  };
}
