/**
 * HTTP requests in: one SERVER span each, and the request metrics. It knows no framework: the adapters
 * beside it (`bun.ts`, `elysia.ts`, `hono.ts`) say where a request comes in and which route it took.
 *
 * @see https://github.com/open-telemetry/semantic-conventions/blob/main/docs/http/http-spans.md#http-server-span
 */
import { context, SpanKind, trace, type Attributes } from "@opentelemetry/api";
import { suppressTracing } from "@opentelemetry/core";
import { ATTR_HTTP_RESPONSE_STATUS_CODE, ATTR_HTTP_ROUTE } from "../attributes.ts";
import { httpServerActiveRequests, httpServerRequestDuration } from "../metrics/instruments.ts";
import { EMPTY_CONTEXT, rememberLine } from "../optional.ts";
import { extractFromHttp } from "../propagation.ts";
import { isSdkDisabled } from "../setup/disabled.ts";
import { failSpan, startSpan } from "../span.ts";
import { knownMethod } from "./known-method.ts";
import {
  beginRequest,
  currentRequest,
  isInMountedApp,
  wholeRoute,
  type ServerRequest,
} from "./current-request.ts";
import { requestAttributes, statusOf, targetOf, type Target } from "./request.ts";
import { routeOf } from "./route.ts";

export interface ServerOptions {
  /** Requests that make no spans and are not counted, for example probes: their paths, or a test. @default none */
  untraced?: readonly string[] | ((request: Request) => boolean);
}

/** What answers a request; nothing, where the connection was taken over (a WebSocket). */
export type Handle<R extends Answer = Answer> = (request: Request) => R | Promise<R>;
type Answer = Response | undefined | void;

const SDK_DISABLED = isSdkDisabled(process.env);

/**
 * Handles one request as a SERVER span, below the span that its headers name.
 *
 * @param handle gets the request; what it returns or throws is returned or thrown on. A 5xx, or an
 *   error, marks the span as failed
 * @throws what `handle` throws
 */
export function traceRequest<R extends Answer>(
  request: Request,
  handle: Handle<R>,
  { untraced }: ServerOptions = {},
): R | Promise<R> {
  if (SDK_DISABLED) {
    // All that is left to do: what came in goes on to the services that are called.
    const parent = extractFromHttp(EMPTY_CONTEXT, request.headers);
    return context.with(parent, handle, undefined, request);
  }
  const target = targetOf(request);
  if (typeof untraced === "function" ? untraced(request) : untraced?.includes(target.path)) {
    return context.with(suppressTracing(EMPTY_CONTEXT), handle, undefined, request);
  }
  // An app that is mounted in another and traced as well: one request, so one span.
  return isInMountedApp(request) ? handle(request) : serve(handle, request, target);
}

/**
 * Tells the span of the request that is being handled which route it took. The first one counts, or of
 * an app that is mounted in another the last one.
 * @param route low in cardinality, as it was registered: `/users/:id`
 * @param location where it was registered, as `code.*` attributes
 */
export function noteRoute(route: string, location?: Attributes): void {
  const current = currentRequest();
  const path = current && wholeRoute(current, route);
  if (!current || path === undefined) return;
  const { span } = current;
  current.route = routeOf(current.route.method, current.route.scheme, path);
  if (!span.isRecording()) return;
  span.updateName(current.route.spanName);
  span.setAttribute(ATTR_HTTP_ROUTE, path);
  if (location) span.setAttributes(location);
  rememberLine(span, location);
}

/**
 * Tells the span of the request that is being handled what went wrong, for its status text: an error, or
 * a sentence. It has an effect only where the response turns out to be a 5xx.
 */
export function noteServerError(error: unknown): void {
  const current = currentRequest();
  if (current) current.error = error;
}

function serve<R extends Answer>(handle: Handle<R>, request: Request, target: Target) {
  const startedMs = performance.now();
  const method = knownMethod(request.method);
  const parent = extractFromHttp(EMPTY_CONTEXT, request.headers);
  // Which route it takes is not known yet.
  const route = routeOf(method, target.scheme);
  const span = startSpan(route.spanName, SpanKind.SERVER, parent, () =>
    requestAttributes(request, method, target),
  );
  const current = beginRequest(request, span, route);
  httpServerActiveRequests.add(1, route.activeWord);

  const finish = (response: R): R => {
    endServerSpan(current, statusOf(request, response), startedMs);
    return response;
  };
  const fail = (error: unknown): never => {
    current.error ??= error;
    endServerSpan(current, 500, startedMs);
    throw error;
  };
  let answer: R | Promise<R>;
  try {
    answer = context.with(trace.setSpan(parent, span), handle, undefined, request);
  } catch (error) {
    return fail(error);
  }
  return answer instanceof Promise ? answer.then(finish, fail) : finish(answer);
}

/**
 * Ends a SERVER span with the response's outcome and records the request's duration.
 * @param status HTTP status; a 4xx leaves the span's status unset, a 5xx makes it an error
 * @param startedMs from the monotonic clock
 */
function endServerSpan(current: ServerRequest, status: number, startedMs: number): void {
  const { span, route, error } = current;
  current.ended = true;
  httpServerActiveRequests.add(-1, route.activeWord);
  httpServerRequestDuration.record(
    (performance.now() - startedMs) / 1000,
    route.metricAttributes(status),
  );
  span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, status);
  if (status >= 500) failSpan(span, String(status), error);
  span.end();
}
