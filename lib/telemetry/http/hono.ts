/** HTTP requests in, for a Hono app: `app.use(honoTelemetry())`, before its routes. */
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { PatternRouter } from "hono/router/pattern-router";
import { SmartRouter } from "hono/router/smart-router";
import { lineOfRoute, rememberRoutes } from "../optional.ts";
import { noteRoute, noteServerError, traceRequest, type ServerOptions } from "./server.ts";

type Route = ReturnType<typeof matchedRoutes>[number];

/** Where `route()` keeps a handler that it has wrapped, as it does where an app has its own error handler. */
const WRAPPED = "__COMPOSED_HANDLER";

// Of hono and hono/quick, and of hono/tiny.
for (const router of [SmartRouter.prototype, PatternRouter.prototype]) {
  rememberRoutes(router, "add", (_router, [, path, registered]) => {
    const [handler, route] = registered as [{ [WRAPPED]?: unknown }, Route];
    return { route, handler: handler[WRAPPED] ?? handler, path: String(path) };
  });
}

/**
 * A middleware that traces every request of the app that uses it: its route, its status, and what a
 * handler threw, also where the app's error handler turned it into a response.
 */
export function honoTelemetry(options: ServerOptions = {}): MiddlewareHandler {
  return async (c, next) => {
    await traceRequest(
      c.req.raw,
      async () => {
        try {
          await next();
        } finally {
          // Hono hands on what was thrown and is no Error.
          const route = matchedRoute(c);
          if (route) noteRoute(route.path, lineOfRoute?.(route));
          if (c.error) noteServerError(c.error);
        }
        return c.res;
      },
      options,
    );
  };
}

/**
 * The route of a request that was answered: the one whose handler answered; where a middleware did, the
 * one that would have; and where there is none, the middleware's own path.
 */
function matchedRoute(c: Context): Route | undefined {
  const routes = matchedRoutes(c);
  const answered = routes[c.req.routeIndex];
  const handler = routes.slice(c.req.routeIndex).find((route) => !isMiddleware(route));
  if (handler ?? c.res.status === 404) return handler;
  return answered && /^\/?\*$/.test(answered.path) ? undefined : answered;
}

/** What `use` registers is for all methods and takes `next`, as a handler of `all` hardly does. */
function isMiddleware({ method, handler }: Route): boolean {
  return method === "ALL" && handler.length > 1;
}
