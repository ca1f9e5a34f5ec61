/** HTTP requests in, for an Elysia app: `new Elysia().use(elysiaTelemetry())`. */
import { Elysia, type AnyElysia } from "elysia";
import { lineOfRoute, rememberRoutes } from "../optional.ts";
import {
  noteRoute,
  noteServerError,
  traceRequest,
  type Handle,
  type ServerOptions,
} from "./server.ts";

// A registered route is looked at in the app itself: what `use`, `group` and `guard` make of it is there, too.
rememberRoutes(Elysia.prototype, "add", (app: AnyElysia, [method, , handler]) => {
  const route = app.routes.findLast((one) => one.method === method && one.handler === handler);
  if (route) anywhere.set(`${route.method} ${route.path}`, route);
  return { route, handler, path: route?.path ?? "" };
});

/** Routes of any app, the latest of each: the plugin may be part of one that another app uses. */
const anywhere = new Map<string, object>();

/**
 * A plugin that traces every request of the app that uses it: also those that match no route, fail
 * validation or throw, and those of its plugins, groups and mounted apps. The app that
 * listens uses it: with `aot: false` one that is only used by another cannot trace it.
 */
export function elysiaTelemetry(options: ServerOptions = {}) {
  return <App extends AnyElysia>(app: App): App => {
    // Elysia reads in a hook's source what it needs of the context, so each takes it apart itself; and
    // whether it may return a promise, which would be waited for in each request: so it is a block.
    const onRoute = ({ route, request }: Hooked) => {
      note(app, request, route);
    };
    const onError = ({ route, request, error }: Hooked) => {
      note(app, request, route);
      noteServerError(textOf(error));
    };
    // A hook is for the routes that come after it. These came before.
    for (const { hooks } of app.routes) {
      hooks.transform = [{ fn: onRoute }, ...(hooks.transform ?? [])];
      hooks.error = [{ fn: onError }, ...(hooks.error ?? [])];
    }
    if (app.config.aot === false) wrapDynamic(app, options);
    const plugin = new Elysia({ name: "telemetry.http-server" })
      .wrap((inner) => (request: Request) => {
        return traceRequest(request, inner as unknown as Handle<Response>, options);
      })
      .onTransform({ as: "global" }, onRoute)
      .onError({ as: "global" }, onError);
    return app.use(plugin) as App;
  };
}

/** What the hooks need of Elysia's context. */
interface Hooked {
  route?: string;
  request: Request;
  error?: unknown;
}

function note(app: AnyElysia, { method }: Request, route: string | undefined): void {
  if (route) noteRoute(route, lineOfRoute?.(registered(app, method, route)));
}

/**
 * An app that is not compiled (`aot: false`) does not ask for what `wrap` was given. It keeps its handler
 * in `_handle`, so it is wrapped on its way there.
 */
function wrapDynamic(app: AnyElysia, options: ServerOptions): void {
  let handle: Handle<Response>;
  Object.defineProperty(app, "_handle", {
    configurable: true,
    get: () => handle,
    set(dynamic: Handle<Response>) {
      handle = (request) => traceRequest(request, dynamic, options);
    },
  });
  // Asked for before the app was compiled, `fetch` would be made without `_handle`.
  Object.defineProperty(app, "fetch", { configurable: true, get: () => app.compile().fetch });
}

/** The route among those of the app. HEAD is answered by the GET route. */
function registered(app: AnyElysia, method: string, path: string): object | undefined {
  const wanted = method === "HEAD" ? "GET" : method;
  const routes = app.routes.filter((route) => route.path === path);
  return (
    routes.find((route) => route.method === wanted) ??
    routes.find(({ method: all }) => all === "ALL") ??
    anywhere.get(`${wanted} ${path}`) ??
    anywhere.get(`ALL ${path}`)
  );
}

/** Elysia's handlers may throw `status(503, "busy")`, which is no Error. */
function textOf(error: unknown): unknown {
  const response = (error as { response?: unknown } | undefined)?.response;
  return error instanceof Error || typeof response !== "string" ? error : response;
}
