/** Calls from one service to another: JSON, a time limit, and errors that know their consequence. */
import type { Attributes, Span } from "@opentelemetry/api";
import { Slots } from "#lib/waiting/slots.ts";
import { callerLocation } from "#lib/telemetry/optional.ts";
import { traceRequestOut } from "#lib/telemetry/http/client.ts";
import { failSpan } from "#lib/telemetry/index.ts";
import { remainingMs, TIMEOUT_HEADER } from "./deadline.ts";
import { BadGatewayError, GatewayTimeoutError, UnavailableError } from "./errors.ts";

/** How long one call may take, the contract's bound for a service behind the gateway. */
export const CALL_TIMEOUT_MS = 5_000;

/**
 * Calls to one service at a time; more wait. Bun sends 256 requests at a time in all: a service that
 * hangs must not take those of the other one behind the gateway, nor the probes'. The worker makes as
 * many calls at a time as it has orders in work (128), whichever service they go to.
 */
export const CALLS_MAX = 120;

/**
 * An idle connection is closed after this time (Bun's timer takes up to 8 s longer): before our servers
 * close it, which they do after 30 s, so that no call is sent at that very moment.
 */
const IDLE_TIMEOUT_S = 12;

export type CallMethod = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";

export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  /** How often this call was tried before. */
  resendCount?: number;
  timeoutMs?: number;
  /** The caller's line, where the call is made on behalf of it after an `await`. */
  location?: Attributes | undefined;
}

/** An answer that was read to its end. */
export interface ServiceAnswer {
  status: number;
  headers: Headers;
  body: string;
}

export interface ServiceClient {
  readonly name: string;
  /**
   * Makes one call.
   * @param path with its leading slash, already encoded
   * @returns the answer, whatever its status
   * @throws BadGatewayError where the service cannot be reached or breaks off
   * @throws GatewayTimeoutError where it does not answer in time
   * @throws UnavailableError where other calls to it left no room for this one in time
   */
  call(method: CallMethod, path: string, options?: CallOptions): Promise<ServiceAnswer>;
}

/**
 * A client of one service, with connections of its own that never go through a proxy: HTTP_PROXY and
 * its kin are for what is outside.
 *
 * @param name of the service called, for error texts
 * @param baseUrl without a slash at its end
 */
export function createServiceClient(name: string, baseUrl: string): ServiceClient {
  const slots = new Slots(CALLS_MAX);
  const session = new Bun.FetchSession({
    proxy: false,
    keepAlive: { idleTimeout: IDLE_TIMEOUT_S },
  });
  return {
    name,
    async call(method, path, options = {}) {
      // Read before the first await, while the caller's line is on the stack.
      const location = options.location ?? callerLocation();
      const timeoutMs = await enter(slots, name, options.timeoutMs ?? CALL_TIMEOUT_MS);
      const headers: Record<string, string> = {
        ...options.headers,
        [TIMEOUT_HEADER]: String(timeoutMs),
      };
      const init: BunFetchRequestInit = {
        method,
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
        session,
      };
      if (options.body !== undefined) {
        init.body = JSON.stringify(options.body);
        headers["content-type"] = "application/json";
      }
      const { resendCount } = options;
      try {
        return await traceRequestOut(baseUrl + path, init, readAnswer, { resendCount, location });
      } catch (error) {
        const cause = { cause: error };
        if (error instanceof Error && error.name === "TimeoutError") {
          // Where one connection went silent, all that are kept may have: an address that moved, a
          // dropped NAT entry. Each would cost a later call its whole time. Calls under way go on.
          session.close();
          throw new GatewayTimeoutError(`the ${name} service did not answer in time`, cause);
        }
        throw new BadGatewayError(`the ${name} service cannot be reached`, cause);
      } finally {
        slots.release();
      }
    },
  };
}

/** Reads an answer to its end, and tells the span what a failed one says. */
async function readAnswer(response: Response, span: Span): Promise<ServiceAnswer> {
  const { status, headers } = response;
  const body = await response.text();
  const reason = status >= 400 ? errorInBody(body) : undefined;
  if (reason) failSpan(span, String(status), reason);
  return { status, headers, body };
}

/** Takes a slot for a call. @returns what is left of its time, in milliseconds */
async function enter(slots: Slots, name: string, timeoutMs: number): Promise<number> {
  const allowedMs = remainingMs(timeoutMs);
  const startedMs = performance.now();
  // Most calls find a free slot, and need no timer for it.
  const signal = slots.taken < CALLS_MAX ? never : AbortSignal.timeout(allowedMs);
  try {
    await slots.acquire(signal);
  } catch (error) {
    throw new UnavailableError(`too many calls to the ${name} service at a time`, { cause: error });
  }
  return Math.max(1, Math.floor(allowedMs - (performance.now() - startedMs)));
}

const never = new AbortController().signal;

/**
 * A text as one segment of a path. `.` and `..` cannot be one, however they are encoded: a URL drops
 * them. They become a segment that names nothing.
 */
export function pathSegment(text: string): string {
  return text === "." || text === ".." ? text.replaceAll(".", "%252E") : encodeURIComponent(text);
}

/**
 * Whether a service is up: its `/healthz` answers 200.
 * @throws Error that says what is wrong
 */
export async function probeHealth(name: string, baseUrl: string, timeoutMs = 2_000): Promise<void> {
  const response = await probe(`${baseUrl}/healthz`, timeoutMs).catch((error: unknown) => {
    throw new Error(`the ${name} service cannot be reached`, { cause: error });
  });
  await response.body?.cancel();
  if (response.status !== 200) throw new Error(`the ${name} service answers ${response.status}`);
}

/**
 * Asks how a service is: past any proxy, as calls go, and over a connection of its own. One that was
 * kept tells of the service as it was reached then.
 * @throws what fetch throws: TypeError-like connection errors, TimeoutError after `timeoutMs`
 */
export function probe(url: string, timeoutMs: number): Promise<Response> {
  return fetch(url, { signal: AbortSignal.timeout(timeoutMs), proxy: false, keepalive: false });
}

/** The `error` text of an answer in the house's form. */
export function errorInBody(body: string): string | undefined {
  try {
    const parsed = JSON.parse(body) as { error?: unknown };
    return typeof parsed.error === "string" ? parsed.error : undefined;
  } catch {
    return undefined;
  }
}
