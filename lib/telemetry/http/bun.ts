/** HTTP requests in, for Bun's own server: `Bun.serve(traced({ … }))`. */
import type { Attributes } from "@opentelemetry/api";
import { callerLocation, locationOfKey } from "../optional.ts";
import { noteRoute, noteServerError, traceRequest, type ServerOptions } from "./server.ts";

type Answer = Response | undefined | void;
type Handler = (this: unknown, request: Request, server: unknown) => Answer | Promise<Answer>;
type ErrorHandler = (this: unknown, error: unknown) => Answer | Promise<Answer>;

type Wrap = (handler: Handler, route?: string) => Handler;

interface Around {
  onError: ErrorHandler | undefined;
  telemetry: ServerOptions;
  /** The route that Bun has matched; `fetch` has none. */
  route: string | undefined;
  /** The line of the route, or where `traced` was called. */
  location: Attributes | undefined;
}

/** The options that are looked at. A route is a handler, one for each method, or what Bun serves itself. */
interface Served {
  fetch?: Handler;
  routes?: Record<string, unknown>;
  error?: ErrorHandler;
}

/**
 * Traces the requests that `fetch` and the handlers of `routes` answer, and what `error` makes of what
 * they throw. All other options stay as they are. What Bun answers by itself – static responses, files,
 * HTML pages – has no span.
 *
 * @param options as for Bun.serve (or `server.reload`)
 * @returns options for it
 */
export function traced<WebSocketData = undefined, R extends string = never>(
  options: Bun.Serve.Options<WebSocketData, R>,
  telemetry: ServerOptions = {},
): Bun.Serve.Options<WebSocketData, R> {
  const { fetch, routes, error: onError } = options as Served;
  const location = callerLocation();
  const wrap: Wrap = (handler, route) =>
    tracedHandler(handler, {
      onError,
      telemetry,
      route,
      location: location && route ? locationOfKey(location, route) : location,
    });
  return {
    ...options,
    ...(fetch && { fetch: wrap(fetch) }),
    ...(routes && { routes: mapValues(routes, (value, route) => tracedRoute(value, route, wrap)) }),
    ...(onError && { error: onceAsked(onError) }),
  } as unknown as Bun.Serve.Options<WebSocketData, R>;
}

/** A handler, or one for each method; else it is Bun's own matter. */
function tracedRoute(value: unknown, route: string, wrap: Wrap): unknown {
  if (isHandler(value)) return wrap(value, route);
  if (typeof value !== "object" || value === null) return value;
  return Object.values(value).some(isHandler)
    ? mapValues(value, (one) => (isHandler(one) ? wrap(one, route) : one))
    : value;
}

function tracedHandler(handler: Handler, around: Around): Handler {
  const { onError, telemetry, route, location } = around;
  return function (this: unknown, request, server) {
    const recover = (error: unknown): Promise<Answer> => {
      noteServerError(error);
      if (!onError) throw error;
      return answerError(onError.bind(this), error);
    };
    // To Bun, an error that is returned is one that was thrown.
    const check = (answer: Answer) =>
      (answer as unknown) instanceof Error ? recover(answer) : answer;
    const handle = (): Answer | Promise<Answer> => {
      if (route) noteRoute(route, location);
      try {
        const answer = handler.call(this, request, server);
        return answer instanceof Promise ? answer.then(check, recover) : check(answer);
      } catch (error) {
        return recover(error);
      }
    };
    return traceRequest(request, handle, telemetry);
  };
}

/** Asks the server's own `error` while the span is open, so that the span has the status it answers. */
async function answerError(onError: ErrorHandler, error: unknown): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await onError(error);
  } catch (again) {
    throw new Unanswered(error, () => {
      throw again;
    });
  }
  if (answer instanceof Response) return answer;
  throw new Unanswered(error, () => answer);
}

/** An error that `error` made no response of. What it did instead is told to Bun when that asks it again. */
class Unanswered extends Error {
  readonly outcome: () => Answer;

  constructor(cause: unknown, outcome: () => Answer) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.outcome = outcome;
  }
}

function onceAsked(onError: ErrorHandler): ErrorHandler {
  return function (this: unknown, error) {
    return error instanceof Unanswered ? error.outcome() : onError.call(this, error);
  };
}

function isHandler(value: unknown): value is Handler {
  return typeof value === "function";
}

function mapValues(from: object, map: (value: unknown, key: string) => unknown): object {
  return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, map(value, key)]));
}
