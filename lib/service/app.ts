/**
 * The Elysia app that every service starts from: traced, with health, metrics, one JSON parser, one
 * error mapper and a bound on the requests it takes at a time.
 */
import { Elysia } from "elysia";
import { noteServerError } from "#lib/telemetry/http/server.ts";
import { errorText } from "#lib/telemetry/error-text.ts";
import { logger } from "#lib/telemetry/logs/logger.ts";
import { withTimeout } from "#lib/waiting/waiting.ts";
import { withDeadlineOf } from "./deadline.ts";
import {
  AppError,
  BadInputError,
  MethodNotAllowedError,
  NotFoundError,
  UnavailableError,
} from "./errors.ts";
import { httpInstrumentation, isProbe } from "./http-instrumentation.ts";
import { readJsonBody } from "./json-body.ts";
import { UnfinishedBodies } from "./unfinished-bodies.ts";
import { describeValidation } from "./validation.ts";

/** What a service needs to be ready: a name for people, and a probe that throws where it is not. */
export type ReadinessChecks = Readonly<Record<string, () => Promise<void>>>;

export interface BaseAppOptions {
  /** What must answer before this service is ready; checked at each `GET /readyz`. */
  ready: ReadinessChecks;
  /** How long a check may take, in milliseconds. @default 2_000 */
  readyTimeoutMs?: number;
  /** Facts that `/readyz` tells without depending on them, for example an unreachable broker. */
  info?: () => Record<string, unknown>;
  /** The text of `GET /metrics`. */
  scrape: () => Promise<string>;
  /** Requests handled at a time; more are answered 503 with Retry-After. */
  requestsMax: number;
  /**
   * Whether strangers call this service. Their word on how long they will wait does not count: they
   * could make every answer a 504.
   */
  isEdge?: boolean;
  /** Whether the service is stopping; it is then not ready any more. */
  stopping: () => boolean;
}

type Handle = (request: Request) => Response | Promise<Response>;

const READY_TIMEOUT_MS = 2_000;
/**
 * Bodies that may be on their way for each request that may be handled at a time. With one more the
 * oldest is given up.
 */
const BODIES_PER_REQUEST_MAX = 8;
/** Of all bodies on their way together: half of what a container has left, and 64 of the largest. */
const BODIES_BYTES_MAX = 64 * 1_048_576;

/** Makes the app. A service adds its routes to it. */
export function createBaseApp(options: BaseAppOptions) {
  let active = 0;
  const bodies = new UnfinishedBodies({
    countMax: BODIES_PER_REQUEST_MAX * options.requestsMax,
    bytesMax: BODIES_BYTES_MAX,
  });
  const app = new Elysia({
    // Counted by readJsonBody instead: Bun's own limit answers 413 with an empty body.
    serve: {
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      idleTimeout: 30,
      // Elysia's default would let a second process take the same port, and half of the requests.
      reusePort: false,
      // What even the error mapper throws must not become Bun's page with source and stack.
      development: false,
      error: answerError,
    },
    normalize: false,
    // `/healthz/` would be answered like a probe, and traced like what it is not.
    strictPath: true,
  });

  return (
    app
      // Of two wraps the later one is the outer one: shed requests are traced and counted too.
      .wrap((inner, request) => {
        let handle = inner as unknown as Handle;
        // With an odd Host header, with none, or with CONNECT, Bun's server makes a URL that is none.
        if (!URL.canParse(request.url)) {
          if (!isWithoutHost(request)) return () => answerError(invalidUrl());
          handle = (again) => (inner as unknown as Handle)(withHost(again));
        }
        if (isProbe(request)) return handle;
        return (again: Request) => (active < options.requestsMax ? counted(handle, again) : shed());
      })
      .use(httpInstrumentation())
      .onError({ as: "global" }, ({ error, code, request }) => {
        if (code === "NOT_FOUND") return answerError(noSuchRoute(app.routes, request));
        if (code === "VALIDATION") return answerError(new BadInputError(describeValidation(error)));
        if (code === "PARSE") return answerError(parseError(error));
        return answerError(error);
      })
      .onParse({ as: "global" }, ({ request }) => readUncounted(request))
      .get("/healthz", () => ({ status: "ok" }))
      .get("/readyz", async ({ set }) => {
        const readiness = await checkReadiness(options);
        if (!readiness.ready) set.status = 503;
        return { status: readiness.ready ? "ready" : "not ready", ...readiness.checks };
      })
      .get("/metrics", async ({ set }) => {
        set.headers["content-type"] = "text/plain; version=0.0.4; charset=utf-8";
        return options.scrape();
      })
  );

  /** A client that sends slowly takes no place from others; it has one again when its body is there. */
  async function readUncounted(request: Request): Promise<unknown> {
    active--;
    const body = bodies.begin();
    try {
      readJsonBody(request, (bytes) => bodies.grow(body, bytes)).then(body.resolve, body.reject);
      return await body.promise;
    } finally {
      bodies.end(body);
      active++;
    }
  }

  async function counted(handle: Handle, request: Request): Promise<Response> {
    active++;
    try {
      const response = await (options.isEdge
        ? handle(request)
        : withDeadlineOf(request, () => handle(request)));
      if (options.stopping()) response.headers.set("connection", "close");
      return response;
    } finally {
      active--;
    }
  }
}

/** Runs all checks side by side. @returns for each `ok`, or the reason why not */
export async function checkReadiness(
  options: Pick<BaseAppOptions, "ready" | "readyTimeoutMs" | "info" | "stopping">,
) {
  const checks: Record<string, string> = {};
  let ready = !options.stopping();
  if (!ready) checks["service"] = "is stopping";
  await Promise.all(
    Object.entries(options.ready).map(async ([name, check]) => {
      try {
        await withTimeout(check(), options.readyTimeoutMs ?? READY_TIMEOUT_MS);
        checks[name] = "ok";
      } catch (error) {
        ready = false;
        checks[name] = errorText(error);
      }
    }),
  );
  return { ready, checks: { ...checks, ...options.info?.() } };
}

/** The one place where an error becomes an answer. */
function answerError(error: unknown): Response {
  const known = error instanceof AppError ? error : undefined;
  if (!known || known.status >= 500) {
    noteServerError(error);
    logger.error("request failed", { error });
  }
  return Response.json(
    // What is not ours is a library's or a bug's text: it goes to the log, not to the caller.
    { error: known?.message ?? "something went wrong on our side" },
    { status: known?.status ?? 500, headers: known?.headers ?? {} },
  );
}

/**
 * HTTP/1.0 knows no Host header, and HTTP/1.1 lets it be empty where the target has no authority: load
 * balancers' checks ask like this. HTTP/1.1 without the header is refused by Bun's parser, as RFC 9112
 * (3.2) wants it; then no request gets here.
 */
function isWithoutHost({ headers, url }: Request): boolean {
  return !headers.get("host") && url.startsWith("/");
}

/** The same request with a URL that can be parsed. Which host it names is nothing that a handler asks. */
function withHost(request: Request & { params?: unknown }): Request {
  const named = new Request(`http://localhost${request.url}`, request);
  // Bun's router has put the path's parameters there, and Elysia takes them from there.
  return Object.assign(named, { params: request.params });
}

function invalidUrl(): AppError {
  return new BadInputError("the request's URL is not valid");
}

function shed(): Response {
  return answerError(tooBusy());
}

function tooBusy(): UnavailableError {
  return new UnavailableError("too many requests at a time; try again shortly");
}

function parseError(error: Error): AppError {
  return error.cause instanceof AppError
    ? error.cause
    : new BadInputError("the body could not be read");
}

function noSuchRoute(
  routes: readonly { method: string; path: string }[],
  { method, url }: Request,
): AppError {
  // Elysia's own `path` is cut at a fixed place, which is wrong for a host of 1 to 3 letters.
  const path = new URL(url).pathname;
  const methods = routes.filter((route) => routeMatches(route.path, path)).map((r) => r.method);
  // A path that climbs (`/a/../healthz`) names a route only once it is put in order; that is no match.
  if (methods.length === 0 || methods.includes(method)) {
    return new NotFoundError("there is nothing at this path");
  }
  if (methods.includes("GET")) methods.push("HEAD");
  return new MethodNotAllowedError(method, [...new Set(methods)].sort());
}

function routeMatches(route: string, path: string): boolean {
  const parts = route.split("/");
  const given = path.split("/");
  return (
    parts.length === given.length &&
    parts.every((part, index) =>
      part.startsWith(":") ? given[index] !== "" : part === given[index],
    )
  );
}
