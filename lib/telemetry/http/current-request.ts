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
  /** Whether an app below has noted its route, and saw the path below where it is mounted. */
  isNotedBelow?: boolean;
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
  const isBelow = request.url !== outer.request.url;
  if (outer.route.path?.endsWith("/*")) {
    outer.mountedAt = isBelow ? outer.route.path.slice(0, -2) : "";
  }
  outer.isNotedBelow = isBelow && outer.route.path === undefined;
  return true;
}

/** Frameworks hand a request on under the end of its URL, and else as it was. */
function isSame(outer: Request, inner: Request): boolean {
  const isEqual = (name: string) => outer.headers.get(name) === inner.headers.get(name);
  return (
    outer.method === inner.method &&
    isEqual("traceparent") &&
    isEqual("host") &&
    pathAndQuery(outer).endsWith(pathAndQuery(inner).replace(/^\/(?=\?|$)/, ""))
  );
}

function pathAndQuery({ url }: Request): string {
  return url.slice(url.indexOf("/", url.indexOf("://") + 3));
}

/**
 * A route as the outermost app sees it.
 * @param route as the app that has matched it knows it
 * @returns undefined where the request's route is known already
 */
export function wholeRoute(current: ServerRequest, route: string): string | undefined {
  const { mountedAt, isNotedBelow } = current;
  const { path } = current.route;
  if (route === path) return undefined;
  current.mountedAt = undefined;
  if (path === undefined || mountedAt !== undefined) return (mountedAt ?? "") + route;
  // Some frameworks know their route only after the app below has said its own.
  return isNotedBelow && route.endsWith("/*") ? route.slice(0, -2) + path : undefined;
}
