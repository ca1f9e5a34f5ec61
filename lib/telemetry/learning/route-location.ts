/**
 * Where each route was registered. While a request is handled no frame of the service is on the
 * stack yet, so the line to show for a SERVER span is the one that registered the route.
 */
import type { Attributes } from "@opentelemetry/api";
import type { Elysia } from "elysia";
import { callerLocation, codeLocationEnabled } from "./code-location.ts";

const VERBS = ["get", "post", "put", "patch", "delete"] as const;

const locations = new Map<string, Attributes>();

/**
 * Remembers, from now on, the line of each route that is registered on an app. Without code
 * locations it leaves the app as it is.
 */
export function rememberRouteLocations<App extends Elysia>(app: App): App {
  if (!codeLocationEnabled()) return app;
  for (const verb of VERBS) {
    const register = app[verb];
    Reflect.set(app, verb, function (this: App, path: string, ...rest: unknown[]) {
      const location = callerLocation();
      if (location) locations.set(`${verb.toUpperCase()} ${path}`, location);
      return Reflect.apply(register, this, [path, ...rest]);
    });
  }
  return app;
}

/** The line that registered a route, if it is known. HEAD is answered by the GET route. */
export function routeLocation(method: string, route: string): Attributes | undefined {
  if (locations.size === 0) return undefined;
  return locations.get(`${method === "HEAD" ? "GET" : method} ${route}`);
}
