// #region getter
// HTTP in: one SERVER span a request, below the span that the caller's headers name.
import {
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type TextMapGetter,
} from "@opentelemetry/api";
import { Elysia } from "elysia";
import { inSpan } from "./tracing.ts";

/** Without it nothing is found: to the default getter a Headers object is an object without keys. */
const fromHeaders: TextMapGetter<Headers> = {
  get: (headers, name) => headers.get(name) ?? undefined,
  keys: (headers) => [...headers.keys()],
};
// #endregion getter

// #region serve
type Answer = (request: Request) => Response | Promise<Response>;

/** Answers one request as a SERVER span. */
async function serve(request: Request, answer: Answer): Promise<Response> {
  const parent = propagation.extract(ROOT_CONTEXT, request.headers, fromHeaders);
  const { pathname, protocol, hostname, port } = new URL(request.url);
  const attributes = {
    "http.request.method": request.method,
    "url.path": pathname,
    "url.scheme": protocol.slice(0, -1),
    "server.address": hostname,
    "server.port": Number(port) || (protocol === "https:" ? 443 : 80),
  };
  return await inSpan(
    request.method,
    async (span) => {
      const response = await answer(request);
      span.setAttribute("http.response.status_code", response.status);
      // A 4xx is the caller's mistake: here nothing failed.
      if (response.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      return response;
    },
    { kind: SpanKind.SERVER, attributes },
    parent,
  );
}
// #endregion serve

// #region plugin
/** For an Elysia app, before its routes: `.use(traceRequests())`. */
export function traceRequests() {
  const plugin = new Elysia({ name: "trace-requests" })
    .wrap((answer) => (request: Request) => serve(request, answer as unknown as Answer))
    .onTransform({ as: "global" }, nameByRoute);
  // #region errors
  // A body that is no JSON fails before anything is transformed.
  plugin.onError({ as: "global" }, nameByRoute);
  // #endregion errors
  return plugin;
}

/** The path would be a name of its own for each order; the route is one for all of them. */
function nameByRoute({ request, route }: { request: Request; route?: string }) {
  if (!route) return;
  const span = trace.getActiveSpan();
  span?.updateName(`${request.method} ${route}`);
  span?.setAttribute("http.route", route);
}
// #endregion plugin
