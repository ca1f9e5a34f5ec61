/** The request that is being handled, for those who learn something about it: its route, or what went wrong. */
import { trace, type Span } from "@opentelemetry/api";
import type { Route } from "./route.ts";

/** What is known of one request while it is handled. */
export interface ServerRequest {
  readonly request: Request;
  readonly span: Span;
  route: Route;
  /** The path under which the app that has the request now is mounted in another. */
  mountedAt?: string | undefined;
  error?: unknown;
  ended?: true;
}

const SERVER_REQUEST = Symbol("http.server.request");

// On the span and not in the context beside it: one look finds both, and they end together.
type ServerSpan = Span & { [SERVER_REQUEST]?: ServerRequest };

/** Notes that a request is being handled wherever its span is active. */
export function beginRequest(request: Request, span: Span, route: Route): ServerRequest {
  const current: ServerRequest = { request, span, route };
  (span as ServerSpan)[SERVER_REQUEST] = current;
  return current;
}

/** @returns undefined outside of a request, after its end, and below another span */
export function currentRequest(): ServerRequest | undefined {
  const span: ServerSpan | undefined = trace.getActiveSpan();
  const current = span?.[SERVER_REQUEST];
  return current?.ended ? undefined : current;
}

/**
 * Whether a request is in another's hands already: that of an app which has handed it on to one that is
 * mounted in it. That one's route is then noted below the path where it is mounted.
 */
export function isInMountedApp(request: Request): boolean {
  const outer = currentRequest();
  if (!outer || !isSame(outer.request, request)) return false;
  // Either it sees the path below where it is mounted, or all of it.
  const below = request.url === outer.request.url ? "" : outer.route.path?.slice(0, -2);
  if (outer.route.path?.endsWith("/*")) outer.mountedAt = below;
  return true;
}

/** Frameworks hand a request on under another URL, and else as it was. */
function isSame(outer: Request, inner: Request): boolean {
  const name = "traceparent";
  return outer.method === inner.method && outer.headers.get(name) === inner.headers.get(name);
}
