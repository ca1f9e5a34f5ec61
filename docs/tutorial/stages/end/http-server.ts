// #region getter
// HTTP in: one SERVER span a request, below the span that the caller's headers name.
import { propagation, ROOT_CONTEXT, SpanKind, trace, type TextMapGetter } from "@opentelemetry/api";
import { Elysia } from "elysia";
import { describe, failSpan } from "./errors.ts";
import { knownMethod } from "./methods.ts";
import { recordDuration } from "./metrics.ts";
import { inSpan } from "./tracing.ts";

/** Without it nothing is found: to the default getter a Headers object is an object without keys. */
const fromHeaders: TextMapGetter<Headers> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers.keys()],
};
// #endregion getter

// #region thrown
/** Elysia makes a response of what a handler throws; what it was is remembered here until the span ends. */
const thrown = new WeakMap<Request, unknown>();
/** The route that a request took; none where nothing was there. */
const routes = new WeakMap<Request, string>();
// #endregion thrown

// #region serve
type Answer = (request: Request) => Response | Promise<Response>;

/** Answers one request as a SERVER span, and counts it. */
async function serve(request: Request, answer: Answer): Promise<Response> {
  const startedMs = performance.now();
  const parent = propagation.extract(ROOT_CONTEXT, request.headers, fromHeaders);
  const { pathname, protocol, hostname, port } = new URL(request.url);
  const method = knownMethod(request.method);
  const scheme = protocol.slice(0, -1);
  const attributes = {
    "http.request.method": method,
    ...(method === "_OTHER" && { "http.request.method_original": request.method }),
    "url.path": pathname,
    "url.scheme": scheme,
    "server.address": hostname,
    "server.port": Number(port) || (scheme === "https" ? 443 : 80),
  };
  return await inSpan(
    spanName(method),
    async (span) => {
      const response = await answer(request);
      const { status } = response;
      span.setAttribute("http.response.status_code", status);
      // A 4xx is the caller's mistake: here nothing failed.
      if (status >= 500) {
        const text = thrown.has(request) ? describe(thrown.get(request)).text : "";
        failSpan(span, { type: String(status), text });
      }
      const route = routes.get(request);
      // Of all that stands on the span, only what has few different values.
      recordDuration("http.server.request.duration", startedMs, {
        "http.request.method": method,
        "url.scheme": scheme,
        ...(route !== undefined && { "http.route": route }),
        "http.response.status_code": status,
        ...(status >= 500 && { "error.type": String(status) }),
      });
      return response;
    },
    { kind: SpanKind.SERVER, attributes },
    parent,
  );
}

/** `GET /orders/:id`; without a route, as for what is not there, the method alone. */
function spanName(method: string, route = ""): string {
  return `${method === "_OTHER" ? "HTTP" : method} ${route}`.trim();
}
// #endregion serve

// #region plugin
/** For an Elysia app, before its routes: `.use(traceRequests())`. */
export function traceRequests() {
  const plugin = new Elysia({ name: "trace-requests" })
    .wrap((answer) => (request: Request) => serve(request, answer as unknown as Answer))
    .onTransform({ as: "global" }, nameByRoute);
  // A body that is no JSON fails before anything is transformed.
  plugin.onError({ as: "global" }, ({ request, route, error }) => {
    nameByRoute({ request, route });
    thrown.set(request, error);
  });
  return plugin;
}

/** The path would be a name of its own for each order; the route is one for all of them. */
function nameByRoute({ request, route }: { request: Request; route?: string }) {
  if (!route) return;
  const span = trace.getActiveSpan();
  routes.set(request, route);
  span?.updateName(spanName(knownMethod(request.method), route));
  span?.setAttribute("http.route", route);
}
// #endregion plugin
